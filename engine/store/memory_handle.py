"""One worker's access to a `MemoryStore`: the fence, ownership and mail of `DurableStore`, over dictionaries."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec

from engine.errors import ExecutionAlreadyExists
from engine.interpreter.messages import TaskStarted
from engine.store.hints import tell_of_group
from engine.store.protocol import (
    ALL_TASKS,
    HANDLER_RETRY_MS,
    NEVER_DUE,
    Claim,
    Claims,
    Committed,
    Conflict,
    ExecutionId,
    Mail,
    MailId,
    OwnershipLost,
    TakenTask,
    WorkerId,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from engine.interpreter.messages import Event, Ticket
    from engine.store.memory import MemoryStore, Row
    from engine.store.protocol import Birth, Checkpoint, Group, Offer, Release


class Incarnation:
    """One worker, from being enlisted to its death; rows name it as their owner."""

    __slots__ = ("epoch", "heartbeat", "id", "is_alive", "pools")

    def __init__(self, pools: Collection[str]) -> None:
        self.id = WorkerId(uuid4())
        self.pools = frozenset(pools)
        self.epoch = 1
        self.heartbeat = 0
        self.is_alive = True


class MemoryHandle:
    """A `DurableStore`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._lock = store.lock
        self._me: Incarnation | None = None
        self._lacking: set[tuple[str, ...]] = set()

    @property
    def epoch(self) -> int:
        """Of this worker; 0 before it is enlisted."""
        return 0 if self._me is None else self._me.epoch

    # ── the worker itself ───────────────────────────────────────────────────────────────────────────────────────────

    def enlist(self, *, pools: Collection[str], host: str, pid: int) -> WorkerId:
        """See `DurableStore`."""
        with self._lock:
            if self._me is not None:
                self._store.remove_worker(self._me)
            self._me = Incarnation(pools)
            self._lacking.clear()
            self._store.workers[self._me.id] = self._me
            return self._me.id

    def renew(self) -> int:
        """See `DurableStore`."""
        with self._lock:
            self._fenced().heartbeat += 1
            return self._store.now()

    def resign(self) -> None:
        """See `DurableStore`."""
        with self._lock:
            if self._me is not None and self._me.is_alive:
                self._store.remove_worker(self._me)
            self._me = None

    def recover(self) -> int:
        """See `DurableStore`."""
        with self._lock:
            me = self._fenced()
            me.epoch += 1
            me.heartbeat += 1
            return self._store.now()

    def others(self) -> Mapping[WorkerId, tuple[int, int]]:
        """See `DurableStore`."""
        with self._lock:
            others = (worker for worker in self._store.workers.values() if worker is not self._me)
            return {worker.id: (worker.epoch, worker.heartbeat) for worker in others}

    def presence(self) -> Mapping[WorkerId, tuple[int, int, bool]]:
        """See `DurableStore`."""
        with self._lock:
            return {
                worker_id: (*sign, self._store.is_connected(self._store.workers[worker_id]))
                for worker_id, sign in self.others().items()
            }

    def declare_dead(self, worker_id: WorkerId, *, epoch: int, heartbeat: int) -> bool:
        """See `DurableStore`."""
        with self._lock:
            self._fenced()
            worker = self._store.workers.get(worker_id)
            if worker is None or (worker.epoch, worker.heartbeat) != (epoch, heartbeat):
                return False
            owned = self._store.remove_worker(worker)
            for row in owned:
                if len(owned) == 1 or row.suspects == 1:
                    row.deaths += 1
                row.suspects = max(1, min(len(owned), row.suspects or len(owned)) // 2)
            return True

    def _fenced(self) -> Incarnation:
        if self._me is None or not self._me.is_alive:
            raise OwnershipLost
        return self._me

    # ── executions ──────────────────────────────────────────────────────────────────────────────────────────────────

    def commit(self, group: Group) -> Committed:
        """See `DurableStore`."""
        store = self._store
        with self._lock:
            me = self._fenced()
            conflicts = [one.execution_id for one in group.checkpoints if not self._may_write(one, me)]
            conflicts += [one.execution_id for one in group.releases if not self._may_release(one, me)]
            if conflicts:
                raise Conflict(conflicts)
            for checkpoint in group.checkpoints:
                if checkpoint.birth is not None:
                    store.born(checkpoint.execution_id, checkpoint.birth).owner = me
                store.write(store.rows[checkpoint.execution_id], checkpoint)
            kept = [release.execution_id for release in group.releases if not self._release(release)]
            committed = Committed(now=store.now(), kept=kept)
        if store.hints.are_heard:
            tell_of_group(store.hints, group, committed)
        return committed

    def start_all(self, worker_id: WorkerId, checkpoints: Sequence[Checkpoint]) -> Collection[ExecutionId]:
        """See `DurableStore`."""
        store = self._store
        with self._lock:
            me = self._fenced()
            if me.id != worker_id:
                raise OwnershipLost("this is another worker by now")
            started = []
            for checkpoint in checkpoints:
                birth = checkpoint.birth
                if birth is None or store.has_arn(birth.execution.arn):
                    continue
                store.born(checkpoint.execution_id, birth).owner = me
                store.write(store.rows[checkpoint.execution_id], checkpoint)
                started.append(checkpoint.execution_id)
            return started

    def _may_release(self, release: Release, me: Incarnation) -> bool:
        row = self._store.rows.get(release.execution_id)
        return row is not None and row.owner is me and row.seq == release.seq

    def _may_write(self, written: Checkpoint, me: Incarnation) -> bool:
        row = self._store.rows.get(written.execution_id)
        if written.birth is not None:
            return row is None
        if row is None or row.owner is not me or row.seq != written.seq - 1:
            return False
        if not written.tokens_closed:
            return True
        opened = {token for token, _ in written.tokens_opened}
        return all(token in opened or self._store.tokens.get(token) for token in written.tokens_closed)

    def _release(self, release: Release) -> bool:
        row = self._store.open[release.execution_id]
        if release.quarantine is None and row.mail:
            return False
        row.owner, row.wake_at = None, release.wake_at
        row.missing, row.quarantine = tuple(release.missing), release.quarantine
        if row.missing:
            self._lacking.add(row.missing)
        if release.quarantine is not None:
            row.lost_tasks = ALL_TASKS
        return True

    def written(self, execution_ids: Collection[ExecutionId]) -> Mapping[ExecutionId, int]:
        """See `DurableStore`."""
        with self._lock:
            self._fenced()
            found = ((execution_id, self._store.rows.get(execution_id)) for execution_id in execution_ids)
            return {execution_id: row.seq for execution_id, row in found if row is not None}

    def claim(self, *, most: int, chunks: int | None = None, offered: bool = False) -> Claims:
        """See `DurableStore`."""
        with self._lock:
            me = self._fenced()
            now = self._store.now()
            due = [row for row in self._store.open.values() if self._is_claimable(row, now, me)]
            due.sort(key=lambda row: (not _is_due_chunk(row, now), row.wake_at))
            if chunks is not None:
                beyond = [row for row in due if _is_due_chunk(row, now)][chunks:]
                due = [row for row in due if row not in beyond]
            if offered:
                due += [row for row in self._store.open.values() if row not in due and self._is_offered(row, now, me)]
            taken: list[Claim] = []
            for row in due:
                if len(taken) == most:
                    break
                if self._may_suspect(row, me):
                    taken.append(self._take(row, me))
            return Claims(now=now, claimed=taken)

    def claim_one(self, execution_id: ExecutionId) -> Claim | None:
        """See `DurableStore`."""
        with self._lock:
            me = self._fenced()
            row = self._store.open.get(execution_id)
            if row is None or not self._is_claimable(row, self._store.now(), me) or not self._may_suspect(row, me):
                return None
            return self._take(row, me)

    def _take(self, row: Row, me: Incarnation) -> Claim:
        due = row.wake_at
        row.owner, row.wake_at = me, 0
        return msgspec.structs.replace(self._claimed(row), wake_at=due)

    def _is_claimable(self, row: Row, now: int, me: Incarnation) -> bool:
        return _is_free(row, me) and (row.wake_at <= now or bool(row.mail))

    def _is_offered(self, row: Row, now: int, me: Incarnation) -> bool:
        is_near = _is_free(row, me) and row.wake_at <= now + HANDLER_RETRY_MS
        return is_near and bool(row.missing) and tuple(row.missing) not in self._lacking

    def _may_suspect(self, row: Row, me: Incarnation) -> bool:
        """Whether this worker may have a suspect beside those that it has."""
        if row.suspects is None:
            return True
        beside = [other.suspects for other in self._store.open.values() if other.owner is me and other.suspects]
        return len(beside) < min([row.suspects, *beside])

    def _claimed(self, row: Row) -> Claim:
        return Claim(
            execution_id=row.execution_id,
            seq=row.seq,
            snapshot=row.copy_of_snapshot(through_bytes=self._store.through_bytes),
            revision_id=row.revision_id,
            pool=row.pool,
            mail=list(row.mail.values()),
            deaths=row.deaths,
            lost_tasks=row.lost_tasks,
        )

    def owned(self) -> Collection[ExecutionId]:
        """See `DurableStore`."""
        with self._lock:
            me = self._fenced()
            return [row.execution_id for row in self._store.open.values() if row.owner is me]

    def reload(self, execution_ids: Collection[ExecutionId]) -> Claims:
        """See `DurableStore`."""
        with self._lock:
            me = self._fenced()
            rows = [self._store.open.get(execution_id) for execution_id in execution_ids]
            mine = [self._claimed(row) for row in rows if row is not None and row.owner is me]
            return Claims(now=self._store.now(), claimed=mine)

    def fetch_mail(self, execution_ids: Collection[ExecutionId]) -> Sequence[Mail]:
        """See `DurableStore`."""
        with self._lock:
            rows = [self._store.open.get(execution_id) for execution_id in execution_ids]
            return [mail for row in rows if row and row.owner is self._me for mail in row.mail.values()]

    def next_due(self) -> int | None:
        """See `DurableStore`."""
        with self._lock:
            me = self._fenced()
            free = (row for row in self._store.open.values() if _is_free(row, me) and row.execution.role != "CHUNK")
            dues = (row.wake_at for row in free if row.wake_at < NEVER_DUE)
            return min(dues, default=None)

    # ── from outside ────────────────────────────────────────────────────────────────────────────────────────────────

    def now(self) -> int:
        """See `DurableStore`."""
        return self._store.now()

    def start_named(self, execution_id: ExecutionId, birth: Birth) -> tuple[ExecutionId, bool]:
        """See `DurableStore`."""
        with self._lock:
            started, is_new = self._store.start_named(execution_id, birth)
        if is_new:
            self._store.hints.tell("START", [birth.pool])
        return started, is_new

    def start_many(self, births: Sequence[tuple[ExecutionId, Birth]]) -> list[ExecutionId]:
        """See `DurableStore`."""
        started = []
        for execution_id, birth in births:
            is_known = execution_id in self._store.rows
            with suppress(ExecutionAlreadyExists):
                if self.start_named(execution_id, birth) == (execution_id, True) and not is_known:
                    started.append(execution_id)
        return started

    def deliver(self, mail: Sequence[Mail]) -> Collection[MailId]:
        """See `DurableStore`."""
        with self._lock:
            taken = [one.id for one in mail if self._store.send(one)]
        to = {one.execution_id.hex for one in mail if one.id in taken}
        if to:
            self._store.hints.tell("MAIL", to)
        return taken

    def take_token(self, task_token: str, event: Event) -> ExecutionId:
        """See `DurableStore`."""
        with self._lock:
            row, task_id = self._store.open_token(task_token)
            self._store.close_token(row, task_token)
            self._store.put(row, msgspec.structs.replace(event, task_id=task_id))
        self._store.hints.tell("MAIL", [row.execution_id.hex])
        return row.execution_id

    def heartbeat_token(self, task_token: str) -> None:
        """See `DurableStore`."""
        with self._lock:
            row, task_id = self._store.open_token(task_token)
            if row.heartbeats is None:
                row.heartbeats = {}
            row.heartbeats[task_id] = self._store.now()

    def last_heartbeat(self, execution_id: ExecutionId, task_id: Ticket) -> int | None:
        """See `DurableStore`."""
        with self._lock:
            row = self._store.open.get(execution_id)
            return None if row is None or row.heartbeats is None else row.heartbeats.get(task_id)

    # ── Tasks of activities ─────────────────────────────────────────────────────────────────────────────────────────

    def offer_tasks(self, offers: Sequence[Offer]) -> Collection[str]:
        """See `DurableStore`."""
        store = self._store
        with self._lock:
            existing = {offer.activity_arn for offer in offers if offer.activity_arn in store.activity_records}
            for offer in offers:
                owner = store.tokens.get(offer.task_token)
                if owner is None or offer.activity_arn not in existing:
                    continue
                row = owner[0]
                if row.offered is None:
                    row.offered = {}
                if offer.task_token not in row.offered:
                    row.offered[offer.task_token] = offer.activity_arn
                    store.offers.setdefault(offer.activity_arn, {})[offer.task_token] = offer
        if existing:
            store.hints.tell("OFFER", existing)
        return existing

    def take_task(self, activity_arn: str, worker_name: str | None) -> TakenTask | None:
        """See `DurableStore`."""
        store = self._store
        with self._lock:
            store.activity(activity_arn)
            now = store.now()
            offers = store.offers.get(activity_arn, {})
            found = next((one for one in offers.values() if one.deadline is None or one.deadline > now), None)
            if found is None:
                return None
            del offers[found.task_token]
            row, task_id = store.open_token(found.task_token)
            store.put(row, TaskStarted(task_id, worker_name))
        store.hints.tell("MAIL", [row.execution_id.hex])
        return TakenTask(execution_id=row.execution_id, task_token=found.task_token, input=found.input)


def _is_due_chunk(row: Row, now: int) -> bool:
    """Whether it is a chunk of a map run that somebody is to begin, or to go on with."""
    return row.execution.role == "CHUNK" and row.owner is None and row.wake_at <= now


def _is_free(row: Row, me: Incarnation) -> bool:
    """Whether this worker could have the row, were it due."""
    if row.owner is not None and row.owner.is_alive:
        return False
    return row.quarantine is None and row.pool in me.pools
