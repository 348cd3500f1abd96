"""Who is dead sooner than the lease tells: a worker whose process is no longer connected, and which shows no life.

A worker's process holds a lock in the store while it is connected (`DurableStore.presence`). When it dies, the lock
goes at once. But it also goes when a connection is lost, and that must not cost a worker its life that is well and can
reach the store. So whoever misses its presence asks for a sign of life (the hint SILENT) and looks on: the worker has
CONFIRM_SECONDS to be present again or to renew its lease. A worker that hears SILENT renews, and one whose connection
for hints was lost renews every ALONE_RENEW_SECONDS until it is present again. The row decides, as always.

This is a rule for observers who hear hints themselves, about workers that they have seen present since they do: after
an outage of the store everybody is missing, and everybody comes back in his own time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.runtime.lease import Lease
    from engine.store.protocol import WorkerId

LOOK_SECONDS = 0.25
"""Between two looks of anybody; each of many workers looks as much less often."""

SUSPECT_LOOK_SECONDS = 0.1
"""The same while somebody is missing."""

CONFIRM_SECONDS = 0.5
"""Without presence and without a sign of life. Less: a worker has no time to connect anew. More: work waits."""

# What happened in a longer gap between two looks is not known.
_GAP_SECONDS_MAX = 0.3


class Absence:
    """The other workers' presence, as this worker saw it."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._seen: set[WorkerId] = set()
        self._missing: dict[WorkerId, tuple[tuple[int, int], float]] = {}
        self._answered_at: float | None = None
        self._forgotten_at = float("-inf")
        self._count = 0

    def look(
        self, presence: Mapping[WorkerId, tuple[int, int, bool]], asked_at: float
    ) -> list[tuple[WorkerId, tuple[int, int]]]:
        """Those that are dead, with the (epoch, heartbeat) they stopped at.

        Args:
            presence: (epoch, heartbeat, whether it is connected) of each other worker, as the store has just answered.
            asked_at: When the store was asked, monotonic seconds.
        """
        if asked_at <= self._forgotten_at:
            return []  # an answer from before the connection was lost
        gap = 0.0 if self._answered_at is None else max(0.0, asked_at - self._answered_at)
        gap = min(gap, _GAP_SECONDS_MAX)
        self._answered_at = self._lease.monotonic()
        self._count = len(presence)
        missing: dict[WorkerId, tuple[tuple[int, int], float]] = {}
        for worker_id, (epoch, heartbeat, is_present) in presence.items():
            if is_present:
                self._seen.add(worker_id)
            elif worker_id in self._seen:
                before, unchanged = self._missing.get(worker_id, (None, 0.0))
                missing[worker_id] = ((epoch, heartbeat), unchanged + gap if before == (epoch, heartbeat) else 0.0)
        self._missing = missing
        self._seen &= presence.keys()
        return [(worker_id, sign) for worker_id, (sign, unchanged) in missing.items() if unchanged >= CONFIRM_SECONDS]

    @property
    def is_somebody_missing(self) -> bool:
        """Whether a worker may be dead."""
        return bool(self._missing)

    @property
    def pause_seconds(self) -> float:
        """Until the next look."""
        if self._missing:
            return SUSPECT_LOOK_SECONDS
        return LOOK_SECONDS * max(1, self._count)

    def forget(self) -> None:
        """The connection was lost: nobody was seen."""
        self._seen.clear()
        self._missing.clear()
        self._answered_at = None
        self._forgotten_at = self._lease.monotonic()
