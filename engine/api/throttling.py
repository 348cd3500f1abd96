"""Token buckets, one for each account and operation, as AWS throttles its API (api.md 1.5)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from engine.api import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


class Rate(NamedTuple):
    """A bucket's size, and how many tokens it gets back in a second."""

    bucket: float
    refill: float


_OTHERS = Rate(100, 1)

_AWS = {
    "StartExecution": Rate(1300, 300),
    "RedriveExecution": Rate(1300, 300),
    "StopExecution": Rate(1000, 200),
    **dict.fromkeys(("SendTaskSuccess", "SendTaskFailure", "SendTaskHeartbeat", "GetActivityTask"), Rate(3000, 500)),
    "DescribeExecution": Rate(300, 15),
    "GetExecutionHistory": Rate(400, 20),
    "ListExecutions": Rate(200, 5),
    "DescribeStateMachine": Rate(200, 20),
    "StartSyncExecution": Rate(6000, 6000),
    "TestState": Rate(1, 1),
}
"""Of us-east-1. What is not here has `_OTHERS`."""

_FORM = re.compile(r"(?P<operation>\w+)=(?P<bucket>\d+(?:\.\d+)?)/(?P<refill>\d+(?:\.\d+)?)")
_ACCOUNTS_MAX = 10_000
"""An open server believes any account, so somebody could name them all; then the counting begins anew."""


class InvalidRate(ValueError):
    """What was said of a rate means nothing."""


def rates_of(words: Sequence[str], operations: Sequence[str]) -> dict[str, Rate]:
    """The rates that the words name: `aws`, and `StartExecution=1300/300` (bucket/refill per second), later first.

    Raises:
        InvalidRate: They name nothing.
    """
    rates: dict[str, Rate] = {}
    for word in words:
        if word == "aws":
            rates |= {name: _AWS.get(name, _OTHERS) for name in operations}
            continue
        found = _FORM.fullmatch(word)
        if found is None or found["operation"] not in operations or float(found["bucket"]) < 1:
            raise InvalidRate(f"expected aws, or OPERATION=BUCKET/REFILL as in StartExecution=1300/300, got {word!r}")
        rates[found["operation"]] = Rate(float(found["bucket"]), float(found["refill"]))
    return rates


class Throttle:
    """The buckets of a server. An operation without a rate is not throttled."""

    def __init__(self, rates: Mapping[str, Rate], monotonic: Callable[[], float]) -> None:
        self._rates = rates
        self._monotonic = monotonic
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}  # tokens, and when that was

    def take(self, account_id: str, operation: str) -> None:
        """Takes a token. Raises Fault: there is none."""
        rate = self._rates.get(operation)
        if rate is None:
            return
        now = self._monotonic()
        tokens, since = self._buckets.get((account_id, operation), (rate.bucket, now))
        tokens = min(rate.bucket, tokens + (now - since) * rate.refill)
        if len(self._buckets) > _ACCOUNTS_MAX:
            self._buckets.clear()
        self._buckets[account_id, operation] = (max(tokens - 1, 0.0) if tokens >= 1 else tokens, now)
        if tokens < 1:
            raise faults.throttled()
