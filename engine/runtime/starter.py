"""Starts with names of the callers': their first checkpoints, written by a thread of its own.

In the worker's groups all executions would wait for somebody's open transaction that holds one of the names.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

import msgspec

from engine.runtime.calls import poster, taken
from engine.runtime.writer import GROUP_MAX, FateAnswer
from engine.store.protocol import Checkpoint, OwnershipLost, StoreUnavailable, WorkerId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.runtime.writer import Fate
    from engine.store.protocol import DurableStore


class _Asked(msgspec.Struct, frozen=True):
    birth: Checkpoint
    worker_id: WorkerId
    answer: FateAnswer


class Starter:
    """Writes what waits, all at once, again and again."""

    def __init__(
        self,
        store: DurableStore,
        *,
        on_lost: Callable[[WorkerId], None],
        on_unsure: Callable[[], None],
        on_broken: Callable[[BaseException], None],
        after: Callable[[], None],
    ) -> None:
        """To be made in the event loop that gets the answers.

        Args:
            on_lost: Called when this worker turns out to have been declared dead.
            on_unsure: Called when it is not known what was written: this worker may own what it was never told of.
            on_broken: Called when the thread ended of an error of ours.
            after: Called after each answer.
        """
        self.pending = 0
        self._store = store
        self._on_lost = on_lost
        self._on_unsure = on_unsure
        self._on_broken = on_broken
        self._after = after
        self._post = poster()
        self._queue: SimpleQueue[_Asked | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="asl starter", daemon=True)
        self._thread.start()

    def submit(self, birth: Checkpoint, worker_id: WorkerId, answer: FateAnswer) -> None:
        """Has it written, then calls `answer` in the event loop: WRITTEN, TAKEN (or not known), or LOST."""
        self.pending += 1
        self._queue.put(_Asked(birth, worker_id, answer))

    def close(self) -> None:
        """Ends the thread after all that waits."""
        self._queue.put(None)

    def join(self, seconds: float) -> None:
        """Waits for the thread's end, but no longer than this."""
        self._thread.join(seconds)

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except Exception as error:  # noqa: BLE001  nobody would be started any more, and nobody would know
            self._post(self._on_broken, error)

    def _turn(self) -> bool:
        """Waits for something to write; False: it is over."""
        waiting = taken(self._queue, most=GROUP_MAX)
        asked = [one for one in waiting if one is not None]
        for worker_id in {one.worker_id for one in asked}:
            self._start([one for one in asked if one.worker_id == worker_id], worker_id)
        return len(asked) == len(waiting)

    def _start(self, asked: Sequence[_Asked], worker_id: WorkerId) -> None:
        try:
            started = self._store.start_all(worker_id, [one.birth for one in asked])
        except OwnershipLost:
            self._post(self._answer, [(one, "LOST") for one in asked], lambda: self._on_lost(worker_id))
        except StoreUnavailable:
            self._post(self._answer, [(one, "TAKEN") for one in asked], self._on_unsure)
        else:
            fates: list[tuple[_Asked, Fate]] = [
                (one, "WRITTEN" if one.birth.execution_id in started else "TAKEN") for one in asked
            ]
            self._post(self._answer, fates, None)

    # ── the event loop ──────────────────────────────────────────────────────────────────────────────────────────────

    def _answer(self, fates: Sequence[tuple[_Asked, Fate]], besides: Callable[[], None] | None) -> None:
        self.pending -= len(fates)
        for one, fate in fates:
            one.answer(fate, "")
        if besides is not None:
            besides()
        self._after()
