"""How many invocations may run at once, and begin in a second (lambda.md 3.3, 4). Each process counts its own."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from engine.lambda_emulator.errors import TooManyRequestsException

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_RATE_PER_CONCURRENCY = 10
"""Synchronous invocations in a second, for each that may run at once."""

_RETRY_AFTER_SECONDS = 1


class _Pool(NamedTuple):
    """What invocations share: a function's reservation, or all that the account did not reserve (name: None)."""

    account_id: str
    name: str | None


class Concurrency:
    """Counts what runs.

    Attributes:
        throttled: How often somebody was refused, by Lambda's reason.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.throttled: Counter[str] = Counter()
        self._monotonic = monotonic
        self._running: Counter[_Pool] = Counter()
        self._tokens: dict[_Pool, tuple[float, float]] = {}  # how many, and when that was

    @property
    def running(self) -> int:
        """Invocations that run now."""
        return self._running.total()

    @contextmanager
    def slot(
        self, account_id: str, name: str, *, reserved: int | None, unreserved: int, is_rated: bool
    ) -> Iterator[None]:
        """One invocation.

        Args:
            reserved: The function's reserved concurrency; None: it has none.
            unreserved: What all functions without one share.
            is_rated: Whether it counts towards the rate, as synchronous ones do.

        Raises:
            TooManyRequestsException: As many run as may, or too many began.
        """
        pool = _Pool(account_id, None if reserved is None else name)
        most = unreserved if reserved is None else reserved
        kind = "" if reserved is None else "ReservedFunction"
        if self._running[pool] >= most:
            raise self._refusal(f"{kind}ConcurrentInvocationLimitExceeded")
        if is_rated and not self._has_token(pool, most * _RATE_PER_CONCURRENCY):
            raise self._refusal(f"{kind or 'Function'}InvocationRateLimitExceeded")
        self._running[pool] += 1
        try:
            yield
        finally:
            self._running[pool] -= 1

    def _refusal(self, reason: str) -> TooManyRequestsException:
        self.throttled[reason] += 1
        return TooManyRequestsException("Rate Exceeded.", Reason=reason, retryAfterSeconds=_RETRY_AFTER_SECONDS)

    def _has_token(self, pool: _Pool, per_second: int) -> bool:
        """Takes one."""
        now = self._monotonic()
        tokens, since = self._tokens.get(pool, (float(per_second), now))
        tokens = min(float(per_second), tokens + (now - since) * per_second)
        self._tokens[pool] = (max(tokens - 1, 0.0) if tokens >= 1 else tokens, now)
        return tokens >= 1
