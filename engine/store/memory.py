"""The store of one process: everything in dictionaries, gone when the process is.

It is the store of the in-memory engine, and the model of a durable one: several workers may have handles on it, claim
from one another and be declared dead. Nothing is encoded while an execution runs: Frames are never changed once they
were committed, so the store keeps a Snapshot of its own that shares them. Of a closed execution that can be redriven
the last snapshot is kept, encoded and compressed.
"""

from __future__ import annotations

import threading
import time
import zlib
from bisect import bisect_right
from collections import OrderedDict
from itertools import count, islice
from typing import TYPE_CHECKING

import msgspec

from engine.errors import (
    ActivityAlreadyExists,
    ActivityDoesNotExist,
    ExecutionAlreadyExists,
    ExecutionDoesNotExist,
    ExecutionNotRedrivable,
    InvalidToken,
    TaskTimedOut,
)
from engine.interpreter.history import LAST_EVENT_ID
from engine.interpreter.messages import RedriveRequested, StartRequested
from engine.interpreter.snapshot import ROOT, Redrives, Snapshot, decode_snapshot, encode_snapshot
from engine.jsonvalue import encode
from engine.store.hints import LocalHints
from engine.store.library import HIDDEN_MS_MAX, LIST_MAX, NO_TAGS, REDRIVE_TOKEN_MS, REDRIVE_TOKENS_MAX, check_retention
from engine.store.memory_definitions import MemoryDefinitions
from engine.store.protocol import ALL_TASKS, NEVER_DUE, Backlog, Mail, MailId
from engine.store.records import ExecutionRecord, Garbage, TakenChange
from engine.uuids import uuid7

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from engine.interpreter.history import Segment
    from engine.interpreter.messages import Event, Ticket
    from engine.interpreter.snapshot import Ending, Execution, Frame
    from engine.store.memory_handle import Incarnation, MemoryHandle
    from engine.store.protocol import Birth, Checkpoint, ExecutionId, ExecutionStatus, Offer, RevisionId, WorkerId
    from engine.store.records import ActivityRecord

CLOSED_EXECUTIONS_MAX = 10_000
"""How many closed executions are kept, as AWS keeps them for 90 days. More: a long-lived process grows and grows."""

_NS_PER_MS = 1_000_000
_NEVER = Redrives()


class Row:
    """One execution.

    Attributes:
        seq: Of its last checkpoint.
        snapshot: The store's own; None once it is closed.
        last_snapshot: Set while it is closed and can be redriven: encoded and compressed.
        owner: The worker that has it, alive or not.
        wake_at: When it is due; 0 while somebody owns it, so that it is due at once when its owner dies.
        mail: Not consumed yet, oldest first.
        tokens: All that were ever minted for it.
        offered: Tokens of Tasks that were ever offered to the workers of an activity, and of which.
        heartbeats: When SendTaskHeartbeat last came for a Task.
        redrive_tokens: Client tokens of its last redrives, with their times.
        suspects: Set while it is suspected of killing workers: with how many other suspects a worker may have it.
        deaths: Workers that died while it was their only suspect.
    """

    __slots__ = (
        "deaths",
        "ending",
        "execution",
        "execution_id",
        "heartbeats",
        "input_text",
        "last_event_id",
        "last_snapshot",
        "lost_tasks",
        "mail",
        "missing",
        "offered",
        "owner",
        "pool",
        "quarantine",
        "redrive_tokens",
        "redrives",
        "revision_id",
        "segments",
        "seq",
        "snapshot",
        "stop_date",
        "suspects",
        "tokens",
        "wake_at",
    )  # fmt: skip

    def __init__(self, execution_id: ExecutionId, birth: Birth) -> None:
        self.execution_id = execution_id
        self.execution: Execution = birth.execution
        self.revision_id: RevisionId = birth.revision_id
        self.pool = birth.pool
        self.input_text = birth.input_text
        self.seq = 0
        self.snapshot: Snapshot | None = Snapshot(execution=birth.execution)
        self.last_snapshot: bytes | None = None
        self.segments: list[Segment] = []
        self.ending: Ending | None = None
        self.stop_date: int | None = None
        self.redrives: Redrives = _NEVER
        self.redrive_tokens: dict[str, int] | None = None
        self.last_event_id = 0
        self.owner: Incarnation | None = None
        self.wake_at = 0
        self.mail: dict[MailId, Mail] = {}
        self.tokens: set[str] | None = None
        self.offered: dict[str, str] | None = None
        self.heartbeats: dict[Ticket, int] | None = None
        self.missing: Sequence[str] = ()
        self.quarantine: str | None = None
        self.lost_tasks: int | None = None
        self.suspects: int | None = None
        self.deaths = 0

    def record(self) -> ExecutionRecord:
        """As it is shown."""
        return ExecutionRecord(
            execution_id=self.execution_id,
            execution=self.execution,
            revision_id=self.revision_id,
            pool=self.pool,
            ending=self.ending,
            stop_date=self.stop_date,
            redrives=self.redrives,
            last_event_id=self.last_event_id,
            missing=self.missing,
            quarantine=self.quarantine,
        )

    def copy_of_snapshot(self, *, through_bytes: bool) -> Snapshot:
        """The snapshot for somebody else to move on."""
        assert self.snapshot is not None
        if through_bytes:
            return decode_snapshot(encode_snapshot(self.snapshot))
        own = self.snapshot
        return Snapshot(
            execution=own.execution,
            frames=dict(own.frames),
            counter=own.counter,
            last_event_id=own.last_event_id,
            last_time=own.last_time,
            redrives=own.redrives,
            ending=own.ending,
        )


class MemoryStore(MemoryDefinitions):
    """A `Store` that keeps the `closed_executions_max` executions that closed last."""

    def __init__(
        self,
        *,
        closed_executions_max: int = CLOSED_EXECUTIONS_MAX,
        now: Callable[[], int] | None = None,
        through_bytes: bool = False,
    ) -> None:
        """Nothing is in it.

        Args:
            closed_executions_max: How many closed executions are kept.
            now: The store's clock, ms since the epoch; the system's when not given.
            through_bytes: Encode and decode each snapshot that is claimed, as a database would.
        """
        lock = threading.RLock()  # handles may be used from several threads
        super().__init__(lock, now or (lambda: time.time_ns() // _NS_PER_MS), self._has_open_execution)
        self.through_bytes = through_bytes
        self.rows: dict[ExecutionId, Row] = {}
        self.open: dict[ExecutionId, Row] = {}
        self.workers: dict[WorkerId, Incarnation] = {}
        self.tokens: dict[str, tuple[Row, Ticket] | None] = {}
        self.status_changes: dict[tuple[ExecutionId, int], tuple[int, int, bytes]] = {}
        self.hints = LocalHints()
        self._closed_executions_max = closed_executions_max
        self.offers: dict[str, dict[str, Offer]] = {}
        self._minted = count()
        self._by_arn: dict[str, Row] = {}
        self._closed: OrderedDict[ExecutionId, None] = OrderedDict()

    def handle(self) -> MemoryHandle:
        """See `Store`."""
        from engine.store.memory_handle import MemoryHandle

        return MemoryHandle(self)

    def gc(self, *, older_than: int | None = None, dry_run: bool = False) -> Garbage:
        """See `Store`. Nothing is left behind here, and a name goes with its execution."""
        check_retention(older_than)
        if older_than is None:
            return Garbage()
        with self.lock:
            horizon = self.now() - older_than
            old = [self.rows[execution_id] for execution_id in self._closed]
            old = [row for row in old if row.stop_date is not None and row.stop_date < horizon]
            tokens = sum(len(row.tokens or ()) for row in old)
            if not dry_run:
                for row in old:
                    del self._closed[row.execution_id]
                    self._forget(row.execution_id)
            return Garbage(executions=len(old), names=len(old), task_tokens=tokens)

    def is_connected(self, worker: Incarnation) -> bool:
        """Whether the process of a worker is there: all are in this one."""
        return True

    def sweep(self, *, retention: int | None, proceed: Callable[[], bool]) -> Garbage:
        """See `Store`."""
        return self.gc(older_than=retention) if proceed() else Garbage()

    def take_status_changes(self, *, most: int, hidden_ms: int) -> list[TakenChange]:
        """See `Store`."""
        with self.lock:
            now = self.now()
            due = sorted((due_at, *key) for key, (due_at, _, _) in self.status_changes.items() if due_at <= now)
            taken = []
            for _, execution_id, number in due[:most]:
                _, attempts, event = self.status_changes[execution_id, number]
                hidden = min(hidden_ms << min(attempts, 20), HIDDEN_MS_MAX)
                self.status_changes[execution_id, number] = (now + hidden, attempts + 1, event)
                taken.append(TakenChange(execution_id=execution_id, number=number, attempts=attempts + 1, event=event))
            return sorted(taken, key=lambda change: (change.execution_id, change.number))

    def settle_status_changes(self, changes: Sequence[TakenChange]) -> None:
        """See `Store`."""
        with self.lock:
            for change in changes:
                self.status_changes.pop((change.execution_id, change.number), None)

    def notify(self, channel: str, payloads: Sequence[str]) -> None:
        """See `Store`."""
        raise ValueError(f"notify:{channel}: executions in memory have no database that could notify anybody")

    def backlog(self, pools: Collection[str]) -> Backlog:
        """See `Store`."""
        with self.lock:
            free = [row for row in self.open.values() if row.owner is None and row.quarantine is None]
            dues = [row.wake_at for row in free if row.pool in pools]
            now = self.now()
            return Backlog(parked=len(dues), overdue=max((now - due for due in dues if 0 < due <= now), default=0))

    def close(self) -> None:
        """See `Store`: there is nothing to close."""

    # ── activities ──────────────────────────────────────────────────────────────────────────────────────────────────

    def create_activity(self, activity: ActivityRecord, *, tags: Mapping[str, str] = NO_TAGS) -> ActivityRecord:
        """See `Library`."""
        with self.lock:
            known = self.activity_records.setdefault(activity.arn, activity)
            if known.encryption != activity.encryption:
                raise ActivityAlreadyExists(activity.arn)
            if known is activity and tags:
                self.tag(activity.arn, tags)
            return known

    def delete_activity(self, activity_arn: str) -> None:
        """See `Library`."""
        with self.lock:
            if self.activity_records.pop(activity_arn, None) is not None:
                self.forget_tags(activity_arn)

    def activity(self, activity_arn: str) -> ActivityRecord:
        """See `Library`."""
        try:
            return self.activity_records[activity_arn]
        except KeyError:
            raise ActivityDoesNotExist(activity_arn) from None

    def activities(self, *, after: str = "", most: int = 1_000) -> list[ActivityRecord]:
        """See `Library`."""
        with self.lock:
            found = sorted(self.activity_records.values(), key=lambda activity: activity.arn)
        return [activity for activity in found if activity.arn > after][:most]

    # ── executions as they are shown ────────────────────────────────────────────────────────────────────────────────

    def execution(self, execution_arn: str) -> ExecutionRecord:
        """See `Library`."""
        with self.lock:
            return self._row(execution_arn).record()

    def described(self, execution_arns: Collection[str]) -> Mapping[str, ExecutionRecord | Exception]:
        """See `Library`."""
        found: dict[str, ExecutionRecord | Exception] = {}
        for arn in execution_arns:
            try:
                found[arn] = self.execution(arn)
            except ExecutionDoesNotExist as error:
                found[arn] = error
        return found

    def executions(self, state_machine_arn: str, *, status: ExecutionStatus | None = None) -> list[ExecutionRecord]:
        """See `Library`."""
        with self.lock:
            rows = list(reversed(self.rows.values()))
        records = (row.record() for row in rows if row.execution.listed_by == state_machine_arn)
        return [record for record in records if status is None or record.status == status]

    def latest_executions(
        self,
        state_machine_arn: str,
        *,
        status: ExecutionStatus | None = None,
        after: tuple[int, ExecutionId] | None = None,
        most: int = LIST_MAX,
    ) -> list[ExecutionRecord]:
        """See `Library`."""
        records = self.executions(state_machine_arn, status=status)
        records.sort(key=lambda record: (record.last_change, record.execution_id), reverse=True)
        found = (record for record in records if after is None or (record.last_change, record.execution_id) < after)
        return list(islice(found, most))

    def endings(self, execution_ids: Collection[ExecutionId]) -> dict[ExecutionId, Ending | str | None]:
        """See `Library`."""
        with self.lock:
            rows = ((execution_id, self.rows.get(execution_id)) for execution_id in execution_ids)
            told = {one: None if row is None else row.ending or row.quarantine for one, row in rows}
            return {one: what for one, what in told.items() if what is not None or one not in self.rows}

    def history(
        self,
        execution_arn: str,
        *,
        from_event_id: int = 0,
        events_max: int = LAST_EVENT_ID,
        backwards: bool = False,
    ) -> list[Segment]:
        """See `Library`."""
        with self.lock:
            segments = self._row(execution_arn).segments
        if not segments:
            return []
        last = segments[-1].first_event_id + len(segments[-1].events) - 1

        def place(event_id: int) -> int:
            """Of the segment that has this event."""
            return max(0, bisect_right(segments, event_id, key=lambda segment: segment.first_event_id) - 1)

        if backwards:
            newest = min(from_event_id or last, segments[-1].first_event_id)
            return segments[place(newest - events_max + 1) : place(newest) + 1][::-1]
        oldest = from_event_id or 1
        if oldest > last:
            return []
        return segments[place(oldest) : place(oldest + events_max - 1) + 1]

    def snapshot(self, execution_arn: str) -> Snapshot | None:
        """See `Library`."""
        with self.lock:
            row = self._row(execution_arn)
            if row.snapshot is not None:
                return row.copy_of_snapshot(through_bytes=self.through_bytes)
            return None if row.last_snapshot is None else decode_snapshot(zlib.decompress(row.last_snapshot))

    def roots(self, execution_ids: Collection[ExecutionId]) -> Mapping[ExecutionId, Frame | None]:
        """See `Library`."""
        with self.lock:
            rows = [self.open[execution_id] for execution_id in execution_ids if execution_id in self.open]
            snapshots = {row.execution_id: row.copy_of_snapshot(through_bytes=self.through_bytes) for row in rows}
            return {execution_id: snapshot.frames.get(ROOT) for execution_id, snapshot in snapshots.items()}

    def redriven(self, execution_arn: str, client_token: str) -> int | None:
        """See `Library`."""
        with self.lock:
            made = (self._row(execution_arn).redrive_tokens or {}).get(client_token)
            return None if made is None or self.now() - made > REDRIVE_TOKEN_MS else made

    def reopen(
        self, execution_arn: str, client_token: str | None = None, *, redrives: int | None = None
    ) -> tuple[ExecutionId, int]:
        """See `Library`."""
        now = self.now()
        with self.lock:
            row = self._row(execution_arn)
            if row.last_snapshot is None:
                raise ExecutionNotRedrivable(f"Execution is {row.record().status} and cannot be redriven")
            row.snapshot = decode_snapshot(zlib.decompress(row.last_snapshot))
            row.ending = row.stop_date = row.last_snapshot = None
            row.owner, row.wake_at = None, 0
            del self._closed[row.execution_id]
            self.open[row.execution_id] = row
            row.redrives = Redrives(row.redrives.count + 1, now)
            if client_token is not None:
                tokens = {**(row.redrive_tokens or {}), client_token: now}
                row.redrive_tokens = dict(list(tokens.items())[-REDRIVE_TOKENS_MAX:])
            self.put(row, RedriveRequested(now, redrives))
        self.hints.tell("START", [row.pool])
        return row.execution_id, now

    def resume(self, execution_arn: str) -> ExecutionId:
        """See `Library`."""
        with self.lock:
            row = self._row(execution_arn)
            if row.ending is not None:
                raise ExecutionDoesNotExist(execution_arn)
            if row.quarantine is not None:
                row.quarantine, row.wake_at, row.suspects, row.deaths = None, 0, None, 0
        self.hints.tell("START", [row.pool])
        return row.execution_id

    def _has_open_execution(self, machine_arn: str) -> bool:
        return any(row.execution.state_machine_arn == machine_arn for row in self.open.values())

    def _row(self, execution_arn: str) -> Row:
        try:
            return self._by_arn[execution_arn]
        except KeyError:
            raise ExecutionDoesNotExist(execution_arn) from None

    # ── what handles do to rows; the lock is held ───────────────────────────────────────────────────────────────────

    def remove_worker(self, worker: Incarnation) -> list[Row]:
        """A worker that is one no more; what it owned anybody may have."""
        self.workers.pop(worker.id, None)
        worker.is_alive = False
        orphans = [row for row in self.open.values() if row.owner is worker]
        for row in orphans:
            row.lost_tasks = ALL_TASKS
        return orphans

    def born(self, execution_id: ExecutionId, birth: Birth) -> Row:
        """The row of a new execution."""
        row = Row(execution_id, birth)
        self.rows[execution_id] = self.open[execution_id] = self._by_arn[birth.execution.arn] = row
        return row

    def has_arn(self, arn: str) -> bool:
        """Whether an execution has this ARN, or had it and is still known."""
        return arn in self._by_arn

    def start_named(self, execution_id: ExecutionId, birth: Birth) -> tuple[ExecutionId, bool]:
        """See `DurableStore`."""
        row = self._by_arn.get(birth.execution.arn)
        if row is None:
            self.put(self.born(execution_id, birth), StartRequested(birth.input_text))
            return execution_id, True
        if row.execution_id == execution_id:
            return execution_id, True
        if row.ending is None and _given(row.execution, row.input_text) == _given(birth.execution, birth.input_text):
            return row.execution_id, False
        raise ExecutionAlreadyExists(birth.execution.arn)

    def put(self, row: Row, event: Event) -> None:
        """New mail of the store's own."""
        now = self.now()
        mail_id = MailId(uuid7(now, next(self._minted)))
        row.mail[mail_id] = Mail(id=mail_id, execution_id=row.execution_id, event=event, sent_at=now)

    def send(self, mail: Mail) -> bool:
        """Mail from outside; whether it was taken."""
        row = self.open.get(mail.execution_id)
        if row is not None:
            row.mail.setdefault(mail.id, msgspec.structs.replace(mail, sent_at=self.now()))
        return row is not None

    def write(self, row: Row, checkpoint: Checkpoint) -> None:
        """A checkpoint that was checked."""
        transition = checkpoint.transition
        row.seq = checkpoint.seq
        row.redrives = transition.redrives
        if transition.history:
            row.segments.append(transition.segment())
            row.last_event_id = transition.first_event_id + len(transition.history) - 1
        for mail_id in checkpoint.mail:
            row.mail.pop(mail_id, None)
        for token, task_id in checkpoint.tokens_opened:
            self.tokens[token] = (row, task_id)
            if row.tokens is None:
                row.tokens = set()
            row.tokens.add(token)
        for token in checkpoint.tokens_closed:
            self.close_token(row, token)
        for execution_id, birth in checkpoint.born:
            newborn = self.born(execution_id, birth)
            self.put(newborn, StartRequested(birth.input_text))
            newborn.owner = row.owner if checkpoint.keeps_born else None
        for mail in checkpoint.sent:
            self.send(mail)
        for change in checkpoint.status_changes:
            self.status_changes[row.execution_id, change.number] = (self.now(), 0, change.event)
        row.missing, row.lost_tasks = (), checkpoint.lost_tasks
        if row.lost_tasks is None and row.suspects is not None:
            row.suspects, row.deaths = None, 0
        if transition.ending is not None:
            self._close(row, checkpoint)
            return
        assert row.snapshot is not None
        row.snapshot.apply(transition)
        if checkpoint.release is not None:
            row.owner, row.wake_at = None, checkpoint.release

    def _close(self, row: Row, checkpoint: Checkpoint) -> None:
        ending = checkpoint.transition.ending
        assert ending is not None
        row.ending = ending
        row.stop_date = checkpoint.transition.now
        row.owner, row.wake_at = None, NEVER_DUE
        for token in row.tokens or ():
            self.close_token(row, token)
        row.mail, row.heartbeats = {}, None  # thousands of rows are kept; an empty dict of its own costs the least
        if row.execution.keeps_frames(ending.status):
            assert row.snapshot is not None
            row.snapshot.apply(checkpoint.transition)
            row.last_snapshot = zlib.compress(encode_snapshot(row.snapshot), 1)
        row.snapshot = None
        del self.open[row.execution_id]
        self._closed[row.execution_id] = None
        self.finish_deletion(row.execution.state_machine_arn)
        while len(self._closed) > self._closed_executions_max:
            self._forget(self._closed.popitem(last=False)[0])

    def _forget(self, execution_id: ExecutionId) -> None:
        row = self.rows.pop(execution_id)
        del self._by_arn[row.execution.arn]
        for token in row.tokens or ():
            del self.tokens[token]

    def close_token(self, row: Row, task_token: str) -> None:
        """Nobody may end its Task any more, or take it."""
        self.tokens[task_token] = None
        activity_arn = None if row.offered is None else row.offered.get(task_token)
        if activity_arn is not None:
            self.offers[activity_arn].pop(task_token, None)

    def open_token(self, task_token: str) -> tuple[Row, Ticket]:
        """The Task that a token ends. Raises InvalidToken, TaskTimedOut."""
        try:
            owner = self.tokens[task_token]
        except KeyError:
            raise InvalidToken from None
        if owner is None:
            raise TaskTimedOut
        return owner


def _given(execution: Execution, input_text: str | None) -> bytes:
    """The input byte for byte: whoever uses the name again must give the same (execution.md 7)."""
    return encode(execution.input) if input_text is None else input_text.encode()
