"""What one worker writes: groups, renewals, and finding out what became of a group whose answer was lost.

All of it is synchronous and for one thread, the writer; nothing here knows of event loops.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar

import msgspec

from engine.store.protocol import Checkpoint, Conflict, Group, OwnershipLost, Release, StoreUnavailable, Unwritable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from engine.query.evaluation import Chance
    from engine.runtime.clock import StoreClock
    from engine.runtime.lease import Lease
    from engine.store.protocol import Committed, DurableStore, ExecutionId, WorkerId

T = TypeVar("T")

Fate: TypeAlias = Literal["WRITTEN", "KEPT", "CONFLICT", "UNWRITABLE", "TAKEN", "LOST"]
"""What became of a checkpoint or release. KEPT: a release that was not made, because mail had come. TAKEN: a first
checkpoint that was not written, since somebody may have the name already. LOST: the worker is not who it was any more,
and owns nothing of what it owned."""

FateAnswer: TypeAlias = Callable[[Fate, str], None]
"""Told what became of it, and why the store refuses it."""

GROUP_MAX = 512
"""Checkpoints in one statement. More: it lasts so long that everybody's latency suffers."""

_BACK_OFF_SECONDS = 0.05
_BACK_OFF_SECONDS_MAX = 5.0


class Closing(Exception):
    """The worker is being left while the store cannot be reached."""


class Item(msgspec.Struct, frozen=True):
    """One thing to write.

    Attributes:
        incarnation: Of the worker that wants it: a later one must not write it.
        answer: Called in the event loop with what became of it, and why the store refuses it.
    """

    written: Checkpoint | Release
    incarnation: int
    answer: FateAnswer


Answered: TypeAlias = tuple[Item, Fate, str]


class Writer:
    """Writes for one worker.

    Attributes:
        incarnation: How often it was enlisted.
        worker_id: Of this incarnation.
        closing: Set when nobody waits for the store any more.
        commits: Groups that were written.
        written: Checkpoints and releases in them.
    """

    def __init__(
        self,
        store: DurableStore,
        *,
        lease: Lease,
        clock: StoreClock,
        chance: Chance,
        pools: Collection[str],
        host: str,
        pid: int,
    ) -> None:
        self.incarnation = 0
        self.worker_id: WorkerId | None = None
        self.closing = threading.Event()
        self.commits = 0
        self.written = 0
        self._store = store
        self._lease = lease
        self._clock = clock
        self._chance = chance
        self._pools = tuple(pools)
        self._host = host
        self._pid = pid

    # ── the worker ──────────────────────────────────────────────────────────────────────────────────────────────────

    def enlist(self) -> None:
        """Becomes a new worker, which owns nothing; waits for the store. Raises Closing."""
        self._lease.lose()
        while True:
            worker_id = self._until_available(self._enlisted)
            try:
                self._until_available(self._renewed)
            except OwnershipLost:
                continue  # this process stood still for a whole lease in between
            self.incarnation += 1
            self.worker_id = worker_id
            return

    def _enlisted(self) -> WorkerId:
        return self._store.enlist(pools=self._pools, host=self._host, pid=self._pid)

    def renew(self) -> None:
        """Says that this worker is alive. Raises OwnershipLost, StoreUnavailable."""
        self._confirming(self._renewed)

    def recover(self) -> None:
        """After a call whose outcome is unknown: whatever of it still runs has run when this returns, or never will.

        Raises:
            OwnershipLost: This worker was declared dead.
            Closing: See there.
        """
        self._until_available(self._recovered)

    def _renewed(self) -> None:
        asked_at = self._lease.monotonic()
        self._clock.observe(self._store.renew())
        self._lease.confirm(asked_at)

    def _recovered(self) -> None:
        asked_at = self._lease.monotonic()
        self._clock.observe(self._store.recover())
        self._lease.confirm(asked_at)

    def _until_available(self, call: Callable[[], T]) -> T:
        attempts = 0
        while True:
            try:
                return self._confirming(call)
            except StoreUnavailable:
                # Each refusal by a server that is down renews the lease: it must be asked for before the lease ends.
                ceiling = min(_BACK_OFF_SECONDS * 2**attempts, _BACK_OFF_SECONDS_MAX, self._lease.renew_seconds)
                # All workers lose the store in the same moment; they must not all come back in the same one.
                if self.closing.wait(ceiling * (0.5 + self._chance.random() / 2)):
                    raise Closing from None
                attempts = min(attempts + 1, 16)

    def _confirming(self, call: Callable[[], T]) -> T:
        asked_at = self._lease.monotonic()
        try:
            return call()
        except StoreUnavailable as error:
            if error.nobody_is_connected and self._lease.is_safe:
                # As good as a renewal: nobody who might declare this worker dead can see the store, and whoever comes
                # back to it counts a whole lease from then on.
                self._lease.confirm(asked_at)
            raise

    # ── groups ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def write(self, items: Sequence[Item]) -> list[Answered]:
        """Writes everything in as few groups as it takes, and tells what became of each.

        Raises:
            Closing: See there; what was not answered has an unknown outcome.
        """
        answered: list[Answered] = [(item, "LOST", "") for item in items if item.incarnation != self.incarnation]
        left = {item.written.execution_id: item for item in items if item.incarnation == self.incarnation}
        while left:
            try:
                answered += self._write_group(left)
                if left:
                    self._renew_between()
            except OwnershipLost:
                self._lease.lose()
                answered += [(item, "LOST", "") for item in left.values()]
                break
        return answered

    def _write_group(self, left: dict[ExecutionId, Item]) -> list[Answered]:
        """One attempt; what is answered is taken out of `left`."""
        written = [item.written for item in left.values()]
        group = Group(
            checkpoints=[one for one in written if isinstance(one, Checkpoint)],
            releases=[one for one in written if isinstance(one, Release)],
        )
        try:
            committed = self._store.commit(group)
        except Conflict as conflict:
            return [(left.pop(execution_id), "CONFLICT", "") for execution_id in conflict.execution_ids]
        except Unwritable as refused:
            bad: list[Answered] = [(left.pop(one), "UNWRITABLE", refused.reason) for one in refused.execution_ids]
            return bad + self._all_written(left, refused.committed)
        except StoreUnavailable:
            self.recover()
            return self._read_back(left)
        self._clock.observe(committed.now)
        return self._all_written(left, committed)

    def _renew_between(self) -> None:
        """Many parts may take longer than the lease. Raises OwnershipLost."""
        with suppress(StoreUnavailable):  # the next part meets it as well
            self.renew()

    def _all_written(self, left: dict[ExecutionId, Item], committed: Committed) -> list[Answered]:
        again = {execution_id: left.pop(execution_id) for execution_id in committed.left}
        self.commits += 1
        self.written += len(left)
        kept = committed.kept
        answered: list[Answered] = [
            (item, "KEPT" if execution_id in kept else "WRITTEN", "") for execution_id, item in left.items()
        ]
        left.clear()
        left.update(again)
        return answered

    def _read_back(self, left: dict[ExecutionId, Item]) -> list[Answered]:
        """After `recover`: what was written after all. What was not stays in `left`, to be written again.

        A release is never written again: it may have been made, and the execution claimed anew by this very worker.
        What is owned is kept, whichever way it came to be.
        """
        checkpoints = [one for one, item in left.items() if isinstance(item.written, Checkpoint)]
        seqs = self._until_available(lambda: self._store.written(checkpoints))
        answered: list[Answered] = []
        known = [one for one in checkpoints if seqs.get(one, 0) >= left[one].written.seq]
        answered += [(left.pop(execution_id), "WRITTEN", "") for execution_id in known]
        releases = [one for one, item in left.items() if isinstance(item.written, Release)]
        if releases:
            owned = self._until_available(self._store.owned)
            answered += [(left.pop(one), "KEPT" if one in owned else "WRITTEN", "") for one in releases]
        return answered


def in_groups(items: Iterable[Item]) -> list[list[Item]]:
    """Everything in groups of no more than GROUP_MAX, each execution at most once in each."""
    groups: list[list[Item]] = []
    for item in items:
        if not groups or len(groups[-1]) == GROUP_MAX:
            groups.append([])
        groups[-1].append(item)
    return groups
