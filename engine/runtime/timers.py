"""One heap for all timers of all executions. It waits for nothing: the worker asks what is due, and what is next."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Generic, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from engine.interpreter.messages import Ticket

Key: TypeAlias = "tuple[Ticket, bool | Literal['POLL', 'WRITE']]"
"""(timer_id, heartbeat): of a Task's two timers the second is its heartbeat. What is no event of the execution: POLL,
when to ask about a Task's job again; WRITE, when a chunk of a map run is to be written."""

# A long-lived heap is mostly timers of Tasks that ended in time; below this nobody minds them.
_DEAD_MIN = 1_000

Owner = TypeVar("Owner")


class Timer(Generic[Owner]):
    """One timer that is set. `owner` is None once it was cancelled, and `due` may have moved on since it was pushed."""

    __slots__ = ("due", "key", "owner")

    def __init__(self, owner: Owner, key: Key, due: int) -> None:
        self.owner: Owner | None = owner
        self.key = key
        self.due = due


class Timers(Generic[Owner]):
    """Timers by due time; those due at once fire in the order in which they were set."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Timer[Owner]]] = []
        self._pushed = 0
        self._dead = 0

    def __len__(self) -> int:
        return len(self._heap) - self._dead

    def start(self, owner: Owner, key: Key, due: int) -> Timer[Owner]:
        """Sets a timer for `due`, ms since the epoch."""
        timer = Timer(owner, key, due)
        self._push(timer)
        return timer

    def postpone(self, timer: Timer[Owner], due: int) -> None:
        """Moves a timer to a later time; it stays where it is in the heap until it comes up there."""
        timer.due = max(timer.due, due)

    def cancel(self, timer: Timer[Owner]) -> None:
        """Takes a timer back, unless it has fired."""
        if timer.owner is None:
            return
        timer.owner = None
        self._dead += 1
        if self._dead > _DEAD_MIN and self._dead * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].owner is not None]
            heapify(self._heap)
            self._dead = 0

    def next_due(self) -> int | None:
        """When the next timer is due; None when there is none."""
        while self._heap:
            due, _, timer = self._heap[0]
            if timer.owner is None:
                self._dead -= 1
            elif timer.due == due:
                return due
            else:
                self._push(timer)
            heappop(self._heap)
        return None

    def take_due(self, now: int) -> list[tuple[Owner, Key]]:
        """The timers whose time has come, oldest first; they are set no more."""
        fired: list[tuple[Owner, Key]] = []
        while (due := self.next_due()) is not None and due <= now:
            timer = heappop(self._heap)[2]
            assert timer.owner is not None
            fired.append((timer.owner, timer.key))
            timer.owner = None
        return fired

    def _push(self, timer: Timer[Owner]) -> None:
        self._pushed += 1
        heappush(self._heap, (timer.due, self._pushed, timer))
