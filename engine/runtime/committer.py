"""Between folding and the world: nothing that a checkpoint orders happens before the checkpoint is written.

A durable store takes all that waits as one group, in a thread of its own, and answers later. The store of one process
answers at once, so its committer hands over each checkpoint as it comes.
"""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Protocol

from engine.runtime.calls import outcome_of, poster, taken
from engine.runtime.writer import Closing, Item, in_groups
from engine.store.protocol import Checkpoint, Conflict, Group, OwnershipLost, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.runtime.calls import Outcome
    from engine.runtime.lease import Lease
    from engine.runtime.starter import Starter
    from engine.runtime.writer import Answered, FateAnswer, Writer
    from engine.store.protocol import DurableStore, Release

RENEWAL_RETRY_SECONDS = 0.2


class Committer(Protocol):
    """Takes checkpoints and releases, at most one of each execution at a time."""

    @property
    def pending(self) -> int:
        """Those that are not answered yet; time must not jump while there are any."""
        ...

    def submit(self, written: Checkpoint | Release, answer: FateAnswer) -> None:
        """Has it written, then calls `answer` in the event loop with what became of it, and why it was refused."""
        ...


class DirectCommitter:
    """For a store that writes without waiting."""

    pending = 0

    def __init__(self, store: DurableStore) -> None:
        self._store = store

    def submit(self, written: Checkpoint | Release, answer: FateAnswer) -> None:
        """See `Committer`."""
        group = Group(checkpoints=(written,)) if isinstance(written, Checkpoint) else Group(releases=(written,))
        try:
            kept = self._store.commit(group).kept
        except Conflict:
            answer("CONFLICT", "")
            return
        answer("KEPT" if kept else "WRITTEN", "")


class GroupCommitter:
    """Writes in a thread of its own.

    A group begins as soon as the one before has returned, with all that waits by then. The same
    thread renews the lease, so that a worker whose writes hang is not taken for alive.
    """

    def __init__(
        self,
        writer: Writer,
        lease: Lease,
        starter: Starter,
        *,
        on_lost: Callable[[], None],
        on_broken: Callable[[BaseException], None],
        after: Callable[[], None],
    ) -> None:
        """To be made in the event loop that gets the answers.

        Args:
            starter: Takes first checkpoints that need a name.
            on_lost: Called when this worker turns out to have been declared dead.
            on_broken: Called when the thread ended of an error of ours, or an answer could not be taken.
            after: Called after each answer.
        """
        self._unanswered = 0
        self._writer = writer
        self._lease = lease
        self._starter = starter
        self._on_lost = on_lost
        self._on_broken = on_broken
        self._after = after
        self._post = poster()
        self._queue: SimpleQueue[Item | Callable[[], None] | None] = SimpleQueue()
        self._renew_at = lease.monotonic() + lease.renew_seconds
        self._thread = threading.Thread(target=self._run, name="asl writer", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """See `Committer`."""
        return self._unanswered + self._starter.pending

    def submit(self, written: Checkpoint | Release, answer: FateAnswer) -> None:
        """See `Committer`."""
        if isinstance(written, Checkpoint) and written.birth is not None and written.birth.is_named:
            assert self._writer.worker_id is not None
            self._starter.submit(written, self._writer.worker_id, answer)
            return
        self._unanswered += 1
        self._queue.put(Item(written, self._writer.incarnation, answer))

    def enlist(self, answered: Callable[[Outcome[None]], None]) -> None:
        """Makes this worker a new one, after all that waits; then calls `answered`."""
        self._queue.put(lambda: self._post(self._tell, answered, outcome_of(self._writer.enlist)))

    def recover(self, answered: Callable[[Outcome[None]], None]) -> None:
        """`Writer.recover`, for a call that was made in another thread; then calls `answered`."""
        self._queue.put(lambda: self._post(self._tell, answered, outcome_of(self._writer.recover)))

    def renew(self) -> None:
        """Has the lease renewed as soon as possible; any thread."""
        self._queue.put(self._renew)

    def close(self) -> None:
        """Ends the thread after all that waits, or now when the store cannot be reached."""
        self._writer.closing.set()
        self._queue.put(None)

    def join(self, seconds: float) -> None:
        """Waits for the thread's end, but no longer than this."""
        self._thread.join(seconds)

    # ── the thread ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except Closing:
            return
        except Exception as error:  # noqa: BLE001  nothing would be written any more, and nobody would know
            self._post(self._on_broken, error)

    def _turn(self) -> bool:
        """Waits for something to write, or until a renewal is due; False: it is over."""
        waited = taken(self._queue, seconds=max(0.0, self._renew_at - self._lease.monotonic()))
        for group in in_groups([one for one in waited if isinstance(one, Item)]):
            self._post(self._answer, self._writer.write(group))
        if self._lease.monotonic() >= self._renew_at:
            self._renew()
        for other in waited:
            if other is None:
                return False
            if not isinstance(other, Item):
                other()
        return True

    def _renew(self) -> None:
        delay = self._lease.renew_seconds
        if self._writer.incarnation and self._lease.is_deserved:
            try:
                self._writer.renew()
            except OwnershipLost:
                self._lease.lose()
                self._post(self._on_lost)
            except StoreUnavailable:
                delay = min(delay, RENEWAL_RETRY_SECONDS)
        self._renew_at = self._lease.monotonic() + delay

    # ── the event loop ──────────────────────────────────────────────────────────────────────────────────────────────

    def _answer(self, answered: list[Answered]) -> None:
        try:
            self._take(answered)
        except Exception as error:  # noqa: BLE001  the event loop would only log it, and go on without the answers
            self._on_broken(error)
        self._after()

    def _take(self, answered: list[Answered]) -> None:
        self._unanswered -= len(answered)
        is_lost = False
        for item, fate, reason in answered:
            is_lost |= fate == "LOST" and item.incarnation == self._writer.incarnation
            item.answer(fate, reason)
        if is_lost:
            self._on_lost()

    def _tell(self, answered: Callable[[Outcome[None]], None], outcome: Outcome[None]) -> None:
        try:
            answered(outcome)
        except Exception as error:  # noqa: BLE001  as above
            self._on_broken(error)
        self._after()
