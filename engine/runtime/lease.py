"""Who is alive: this worker by its confirmed renewals, the others by their heartbeats. Monotonic clocks only.

A worker is dead when a connected observer saw its heartbeat unchanged for the lease. The worker itself stops earlier:
two thirds of the lease after its last confirmed renewal it dispatches nothing more, so that what it has dispatched was
dispatched while nobody could have taken it over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.runtime.clock import real_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.store.protocol import WorkerId

LEASE_SECONDS = 15.0

_SAFE_PART = 2 / 3
_RENEWALS_PER_LEASE = 5

ALONE_RENEW_SECONDS = 0.15
"""Between two renewals of a worker that others may take for gone: see `absence`."""

# A longer gap between two looks does not count whole: what happened in it, a restart of the store above all, is not
# known.
_GAP_PART = 1 / 3


class Lease:
    """This worker's own right to dispatch.

    Attributes:
        seconds: After which others may declare this worker dead.
        monotonic: Real time in seconds.
        is_present: False: this process lost the connection by which others see that it lives.
    """

    def __init__(self, seconds: float = LEASE_SECONDS, monotonic: Callable[[], float] = real_seconds) -> None:
        self.seconds = seconds
        self.monotonic = monotonic
        self._confirmed_at: float | None = None
        self._alive_at = monotonic()
        self._doubted_at: float | None = None
        self.is_present = True

    @property
    def unsafe_at(self) -> float:
        """From when on nothing may be dispatched, unless a renewal is confirmed before; monotonic seconds."""
        return float("-inf") if self._confirmed_at is None else self._confirmed_at + self.seconds * _SAFE_PART

    @property
    def is_safe(self) -> bool:
        """Whether something may be dispatched."""
        return self.monotonic() < self.unsafe_at

    @property
    def renew_seconds(self) -> float:
        """Between two renewals."""
        seconds = self.seconds / _RENEWALS_PER_LEASE
        return seconds if self.is_present else min(seconds, ALONE_RENEW_SECONDS)

    @property
    def may_dispatch(self) -> bool:
        """Whether a Task may be started: the lease is safe, and was renewed since there was reason to doubt it."""
        return self.is_safe and self._doubted_at is None

    def doubt(self) -> None:
        """Others may be about to take over; the next renewal tells."""
        self._doubted_at = self.monotonic()

    @property
    def is_deserved(self) -> bool:
        """Whether to renew: not for an event loop that stood still for a whole lease, whose executions do not move."""
        return self.monotonic() - self._alive_at < self.seconds

    def show_life(self) -> None:
        """The event loop goes round."""
        self._alive_at = self.monotonic()

    def confirm(self, asked_at: float) -> None:
        """A renewal that was asked for at this time took place."""
        if self._confirmed_at is None or asked_at > self._confirmed_at:
            self._confirmed_at = asked_at
        if self._doubted_at is not None and asked_at >= self._doubted_at:
            self._doubted_at = None

    def lose(self) -> None:
        """This worker was declared dead."""
        self._confirmed_at = None


class Watch:
    """The other workers' heartbeats, as this worker saw them."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._seen: dict[WorkerId, tuple[tuple[int, int], float]] = {}
        self._answered_at: float | None = None

    def look(
        self, others: Mapping[WorkerId, tuple[int, int]], asked_at: float
    ) -> list[tuple[WorkerId, tuple[int, int]]]:
        """Those that are dead, with the (epoch, heartbeat) they stopped at.

        Args:
            others: (epoch, heartbeat) of each, as the store has just answered.
            asked_at: When the store was asked, monotonic seconds.
        """
        gap = 0.0 if self._answered_at is None else max(0.0, asked_at - self._answered_at)
        gap = min(gap, self._lease.seconds * _GAP_PART)
        self._answered_at = self._lease.monotonic()
        seen: dict[WorkerId, tuple[tuple[int, int], float]] = {}
        for worker_id, sign in others.items():
            before, unchanged = self._seen.get(worker_id, (None, 0.0))
            seen[worker_id] = (sign, unchanged + gap if before == sign else 0.0)
        self._seen = seen
        return [(worker_id, sign) for worker_id, (sign, unchanged) in seen.items() if unchanged >= self._lease.seconds]

    def forget(self) -> None:
        """The connection was lost: all are counted anew, for while the store was away nobody could renew."""
        self._seen.clear()
        self._answered_at = None
