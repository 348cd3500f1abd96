"""How much more a worker can take: executions by places, chunks of map runs also by the bytes that they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from engine.runtime.executions import Executions

CHUNKS_BYTES_MAX = 16 << 20
"""Of the inputs of the chunks in hand, as JSON; in memory they take some six times as much. Fewer: children that have
large inputs leave places empty."""

RESTING_CHUNKS_BYTES_MAX = CHUNKS_BYTES_MAX // 2
"""Of the same, where a chunk that only waits may stay in memory. So those that wait never keep all others away."""

_PART_FOR_A_CHUNK = 8
"""A chunk is taken when this part of the places is free: it brings more children than that, and the last ones of a
chunk should not leave the worker idle; while one that takes several at once leaves other workers none."""


class TasksInFlight(Protocol):
    """What `Room` wants of `Tasks`."""

    @property
    def in_flight(self) -> int:
        """Handlers that run or wait for their turn."""
        ...

    @property
    def apart(self) -> int:
        """Those of them that take no place of others."""
        ...


class Room:
    """That of one worker."""

    def __init__(self, executions: Executions, tasks: TasksInFlight, places: int) -> None:
        """`places`: Tasks in flight, and executions at work, at once."""
        self._executions = executions
        self._tasks = tasks
        self._places = places

    def free(self) -> int:
        """How many more executions it can take."""
        executions = self._executions
        children = executions.children
        at_work = len(executions.live) - len(executions.resting) - len(children.chunks) + children.at_work
        return max(0, self._places - max(self._tasks.in_flight, at_work) + self._tasks.apart)

    def free_chunks(self) -> int:
        """How many more chunks of map runs it can take: one or none, so that several workers share them."""
        free = self.free()
        if free >= self._places:
            return 1  # nothing is at work here, whatever is held: somebody must go on
        has_bytes = self._executions.children.bytes < CHUNKS_BYTES_MAX
        return int(has_bytes and free >= max(1, self._places // _PART_FOR_A_CHUNK))
