"""Where asynchronous invocations wait: what was acknowledged with 202 is here until it was done or given up.

A server takes an invocation by hiding it from the others for a while, and hides it anew as long as it works on it: when
it dies, another one, or the same one when it is back, takes it up. So one may run more than once, as with AWS.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """One asynchronous invocation. Times are milliseconds since the epoch.

    Attributes:
        qualifier: As the caller gave it.
        request_id: Of all its attempts.
        attempts: That ended in an error of the function.
        refusals: How often in a row it could not be run.
        due_at: When it is to be taken up.
    """

    id: UUID
    account_id: str
    region: str
    function_name: str
    qualifier: str | None
    request_id: str
    trace_id: str
    payload: bytes
    accepted_at: int
    due_at: int
    attempts: int = 0
    refusals: int = 0


class InvocationStore(Protocol):
    """Keeps them; any thread. Its methods raise StoreUnavailable, or their own error for the same."""

    @property
    def is_remote(self) -> bool:
        """Whether its methods wait for somebody."""
        ...

    def put(self, queued: Queued) -> None:
        """Keeps one: when this returned it is not lost."""
        ...

    def take(self, region: str, now: int, *, most: int, hidden_until: int) -> list[Queued]:
        """Those that are due, the oldest first; nobody else gets them until `hidden_until`."""
        ...

    def hide(self, ids: Collection[UUID], until: int) -> None:
        """Keeps those that were taken from others."""
        ...

    def settle(self, queued: Queued | None, of: UUID) -> None:
        """What became of one that was taken: it waits anew as it is given, or (None) it is over."""
        ...

    def next_due(self, region: str) -> int | None:
        """When the next one is to be taken up; None: there is none."""
        ...


class MemoryInvocationStore:
    """For one process: nothing is kept beyond it."""

    is_remote = False

    def __init__(self) -> None:
        self._queued: dict[UUID, Queued] = {}
        self._lock = threading.Lock()

    def __contains__(self, id: UUID) -> bool:
        return id in self._queued

    def put(self, queued: Queued) -> None:
        """See `InvocationStore`."""
        with self._lock:
            self._queued[queued.id] = queued

    def take(self, region: str, now: int, *, most: int, hidden_until: int) -> list[Queued]:
        """See `InvocationStore`."""
        with self._lock:
            due = [one for one in self._queued.values() if one.due_at <= now and one.region == region]
            due = sorted(due, key=lambda one: one.due_at)[:most]
            for one in due:
                self._queued[one.id] = replace(one, due_at=hidden_until)
            return due

    def hide(self, ids: Collection[UUID], until: int) -> None:
        """See `InvocationStore`."""
        with self._lock:
            for id in ids:
                if id in self._queued:
                    self._queued[id] = replace(self._queued[id], due_at=until)

    def settle(self, queued: Queued | None, of: UUID) -> None:
        """See `InvocationStore`."""
        with self._lock:
            if queued is None:
                self._queued.pop(of, None)
            else:
                self._queued[of] = queued

    def next_due(self, region: str) -> int | None:
        """See `InvocationStore`."""
        with self._lock:
            return min((one.due_at for one in self._queued.values() if one.region == region), default=None)
