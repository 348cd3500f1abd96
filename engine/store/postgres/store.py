"""The store in PostgreSQL, put together: `PostgresStore` for a process, a `Handle` for each worker or client in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.store.hints import NoHints, tell_of_group
from engine.store.library import LIST_MAX, NO_TAGS
from engine.store.postgres import (
    activities,
    claims,
    definitions,
    executions,
    latest,
    mail,
    ownership,
    starts,
    status_changes,
    tags,
    versions,
)
from engine.store.postgres.births import NamedBirths
from engine.store.postgres.connection import Pool, Session, clock
from engine.store.postgres.listener import PostgresHints
from engine.store.postgres.retention import gc, sweep
from engine.store.postgres.upgrade import require_current
from engine.store.postgres.writer import GroupWriter
from engine.store.protocol import OwnershipLost

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from engine.interpreter.history import Segment
    from engine.interpreter.messages import Event, Ticket
    from engine.interpreter.snapshot import Ending, Frame, Snapshot
    from engine.store.library import Counted
    from engine.store.postgres.ownership import WorkerRecord
    from engine.store.protocol import (
        Backlog,
        Birth,
        Checkpoint,
        Claim,
        Claims,
        Committed,
        ExecutionId,
        ExecutionStatus,
        Group,
        Mail,
        MailId,
        Offer,
        RevisionId,
        TakenTask,
        WorkerId,
    )
    from engine.store.records import (
        ActivityRecord,
        AliasRecord,
        Changes,
        ExecutionRecord,
        Garbage,
        Publication,
        Routing,
        StateMachineRecord,
        TakenChange,
        VersionRecord,
    )


class PostgresStore:
    """A `Store` in the database of a URL; connections are made when they are needed.

    Attributes:
        hints: See `Store`.
    """

    def __init__(self, url: str, *, application_name: str = "asl", pooler: bool = False) -> None:
        """The database must have the tables of this engine.

        Args:
            url: Of the database, or of a pooler before it.
            application_name: What `pg_stat_activity` shows.
            pooler: The URL is that of a pooler in transaction mode, PgBouncer's for one.

        Raises:
            SchemaMismatch: It has not; the text names the command that upgrades it.
            StoreUnavailable: It cannot be reached.
        """
        self._url = url
        self._pooler = pooler
        self._pool = Pool(url, application_name, pooler=pooler)
        self._handles: list[Handle] = []
        self.hints: PostgresHints | NoHints = NoHints() if pooler else PostgresHints(url)
        try:
            require_current(self._pool)
        except BaseException:
            self._pool.close()
            raise

    def handle(self) -> Handle:
        """See `Store.handle`."""
        handle = Handle(self._url, self._pool, self.hints, pooler=self._pooler)
        self._handles.append(handle)
        return handle

    def close(self) -> None:
        """See `Store.close`."""
        for handle in self._handles:
            handle.close()
        self._handles.clear()
        self.hints.close()
        self._pool.close()

    # ── state machines ──────────────────────────────────────────────────────────────────────────────────────────────

    def create_state_machine(
        self,
        machine: StateMachineRecord,
        *,
        publication: Publication | None = None,
        tags: Mapping[str, str] = NO_TAGS,
    ) -> StateMachineRecord:
        """See `Library`."""
        return definitions.create_state_machine(self._pool, machine, publication=publication, tags=tags)

    def deploy(self, machine: StateMachineRecord) -> StateMachineRecord:
        """See `Library`."""
        return definitions.deploy(self._pool, machine)

    def update_state_machine(
        self, arn: str, changes: Changes, *, revision_id: RevisionId, now: int
    ) -> StateMachineRecord:
        """See `Library`."""
        return definitions.update_state_machine(self._pool, arn, changes, revision_id=revision_id, now=now)

    def delete_state_machine(self, arn: str) -> None:
        """See `Library`."""
        definitions.delete_state_machine(self._pool, arn)

    def deleting(self) -> Mapping[str, int]:
        """See `Library`."""
        return definitions.deleting(self._pool)

    def finish_deletion(self, arn: str) -> None:
        """See `Library`."""
        definitions.finish_deletion(self._pool, arn)

    def state_machine(self, arn: str) -> StateMachineRecord:
        """See `Library`."""
        return definitions.state_machine(self._pool, arn)

    def state_machines(
        self, *, within: str = "arn:", after: str = "", most: int = LIST_MAX
    ) -> list[StateMachineRecord]:
        """See `Library`."""
        return definitions.state_machines(self._pool, within=within, after=after, most=most)

    def count(self, kind: Counted, *, within: str) -> int:
        """See `Library`."""
        count = definitions.count if kind == "stateMachine" else activities.count
        return count(self._pool, within)

    def revision(self, revision_id: RevisionId) -> StateMachineRecord:
        """See `Library`."""
        return definitions.revision(self._pool, revision_id)

    # ── versions and aliases ────────────────────────────────────────────────────────────────────────────────────────

    def publish_version(
        self, machine_arn: str, *, expected: str | None = None, description: str | None = None, now: int
    ) -> VersionRecord:
        """See `Library`."""
        return versions.publish_version(self._pool, machine_arn, expected=expected, description=description, now=now)

    def version(self, machine_arn: str, number: int) -> VersionRecord:
        """See `Library`."""
        return versions.version(self._pool, machine_arn, number)

    def versions(self, machine_arn: str, *, before: int | None = None, most: int = LIST_MAX) -> list[VersionRecord]:
        """See `Library`."""
        return versions.versions(self._pool, machine_arn, before=before, most=most)

    def delete_version(self, machine_arn: str, number: int) -> None:
        """See `Library`."""
        versions.delete_version(self._pool, machine_arn, number)

    def create_alias(self, machine_arn: str, alias: AliasRecord) -> AliasRecord:
        """See `Library`."""
        return versions.create_alias(self._pool, machine_arn, alias)

    def update_alias(
        self, machine_arn: str, name: str, *, description: str | None, routing: Routing | None, now: int
    ) -> AliasRecord:
        """See `Library`."""
        return versions.update_alias(self._pool, machine_arn, name, description=description, routing=routing, now=now)

    def alias(self, machine_arn: str, name: str) -> AliasRecord:
        """See `Library`."""
        return versions.alias(self._pool, machine_arn, name)

    def aliases(
        self, machine_arn: str, *, of_version: int | None = None, after: str = "", most: int = LIST_MAX
    ) -> list[AliasRecord]:
        """See `Library`."""
        return versions.aliases(self._pool, machine_arn, of_version=of_version, after=after, most=most)

    def delete_alias(self, machine_arn: str, name: str) -> None:
        """See `Library`."""
        versions.delete_alias(self._pool, machine_arn, name)

    # ── tags ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def tag(self, resource_arn: str, tags_: Mapping[str, str]) -> None:
        """See `Library`."""
        tags.tag(self._pool, resource_arn, tags_)

    def untag(self, resource_arn: str, keys: Collection[str]) -> None:
        """See `Library`."""
        tags.untag(self._pool, resource_arn, keys)

    def tags(self, resource_arn: str) -> Mapping[str, str]:
        """See `Library`."""
        return tags.tags(self._pool, resource_arn)

    # ── activities ──────────────────────────────────────────────────────────────────────────────────────────────────

    def create_activity(self, activity: ActivityRecord, *, tags: Mapping[str, str] = NO_TAGS) -> ActivityRecord:
        """See `Library`."""
        return activities.create_activity(self._pool, activity, tags)

    def delete_activity(self, activity_arn: str) -> None:
        """See `Library`."""
        activities.delete_activity(self._pool, activity_arn)

    def activity(self, activity_arn: str) -> ActivityRecord:
        """See `Library`."""
        return activities.activity(self._pool, activity_arn)

    def activities(self, *, after: str = "", most: int = 1_000) -> list[ActivityRecord]:
        """See `Library`."""
        return activities.activities(self._pool, after=after, most=most)

    # ── executions as they are shown ────────────────────────────────────────────────────────────────────────────────

    def execution(self, execution_arn: str) -> ExecutionRecord:
        """See `Library`."""
        return executions.execution(self._pool, execution_arn)

    def described(self, execution_arns: Collection[str]) -> Mapping[str, ExecutionRecord | Exception]:
        """See `Library`."""
        return executions.described(self._pool, execution_arns)

    def executions(
        self, state_machine_arn: str | None, *, status: ExecutionStatus | None = None, **filters: Any
    ) -> list[ExecutionRecord]:
        """See `Library`; the other filters, and paging: `executions.executions`."""
        return executions.executions(self._pool, state_machine_arn, status=status, **filters)

    def endings(self, execution_ids: Collection[ExecutionId]) -> Mapping[ExecutionId, Ending | str | None]:
        """See `Library`."""
        return executions.endings(self._pool, execution_ids)

    def history(self, execution_arn: str, **page: Any) -> list[Segment]:
        """See `Library`."""
        return executions.history(self._pool, execution_arn, **page)

    def snapshot(self, execution_arn: str) -> Snapshot | None:
        """See `Library`."""
        return executions.snapshot(self._pool, execution_arn)

    def roots(self, execution_ids: Collection[ExecutionId]) -> dict[ExecutionId, Frame | None]:
        """See `Library`."""
        return executions.roots(self._pool, execution_ids)

    def latest_executions(self, state_machine_arn: str, **page: Any) -> list[ExecutionRecord]:
        """See `Library`."""
        return latest.latest_executions(self._pool, state_machine_arn, **page)

    def held_up(self, list_key: str, *, most: int) -> list[ExecutionRecord]:
        """See `latest.held_up`."""
        return latest.held_up(self._pool, list_key, most=most)

    def redriven(self, execution_arn: str, client_token: str) -> int | None:
        """See `Library`."""
        return executions.redriven(self._pool, execution_arn, client_token)

    def reopen(
        self, execution_arn: str, client_token: str | None = None, *, redrives: int | None = None
    ) -> tuple[ExecutionId, int]:
        """See `Library`."""
        reopened = executions.reopen(self._pool, execution_arn, client_token, redrives)
        self.hints.tell("START")
        return reopened

    def resume(self, execution_arn: str) -> ExecutionId:
        """See `Library`."""
        execution_id = executions.resume(self._pool, execution_arn)
        self.hints.tell("START")
        return execution_id

    def workers(self) -> list[WorkerRecord]:
        """See `ownership.workers`."""
        return ownership.workers(self._pool)

    def owner(self, execution_id: ExecutionId) -> WorkerId | None:
        """See `ownership.owner`."""
        return ownership.owner(self._pool, execution_id)

    def backlog(self, pools: Collection[str]) -> Backlog:
        """See `Store.backlog`."""
        return ownership.backlog(self._pool, pools)

    def gc(self, *, older_than: int | None = None, dry_run: bool = False) -> Garbage:
        """See `Store.gc`."""
        return gc(self._pool, older_than=older_than, dry_run=dry_run)

    def sweep(self, *, retention: int | None, proceed: Callable[[], bool]) -> Garbage:
        """See `Store.sweep`."""
        return sweep(self._pool, retention=retention, proceed=proceed)

    # ── changes of status ───────────────────────────────────────────────────────────────────────────────────────────

    def take_status_changes(self, *, most: int, hidden_ms: int) -> list[TakenChange]:
        """See `Store`."""
        return status_changes.take_status_changes(self._pool, most=most, hidden_ms=hidden_ms)

    def settle_status_changes(self, changes: Sequence[TakenChange]) -> None:
        """See `Store`."""
        status_changes.settle_status_changes(self._pool, changes)

    def notify(self, channel: str, payloads: Sequence[str]) -> None:
        """See `Store`."""
        status_changes.notify(self._pool, channel, payloads)


class Handle:
    """A `DurableStore`: one worker incarnation at a time, or a client that owns nothing."""

    def __init__(self, url: str, pool: Pool, hints: PostgresHints | NoHints, *, pooler: bool = False) -> None:
        self._url = url
        self._pool = pool
        self._hints = hints
        self._pooler = pooler
        self._own: _Own | None = None

    def close(self) -> None:
        """Closes the connections of its own; what another thread still asks of this incarnation has no answer."""
        if self._own is not None:
            self._own.writing.end()
            self._own.claiming.end()
            self._own.starting.end()

    @property
    def _worker(self) -> _Own:
        if self._own is None:
            raise RuntimeError("only a worker can do this: call enlist first")
        return self._own

    # ── the worker itself ───────────────────────────────────────────────────────────────────────────────────────────

    def enlist(self, *, pools: Collection[str], host: str, pid: int) -> WorkerId:
        """See `DurableStore`."""
        self.close()
        before = None if self._own is None else self._own.ownership.worker_id
        own = ownership.Ownership(self._pool, pools=pools, host=host, pid=pid)
        if isinstance(self._hints, PostgresHints):
            self._hints.hold(own.worker_id, instead_of=before)
        self._own = _Own(self._url, own, pooler=self._pooler)
        return self._own.ownership.worker_id

    def renew(self) -> int:
        """See `DurableStore`."""
        return self._worker.ownership.renew(self._worker.writing)

    def resign(self) -> None:
        """See `DurableStore`."""
        if self._own is not None:
            self._own.ownership.resign(self._pool)

    def recover(self) -> int:
        """See `DurableStore`."""
        return self._worker.ownership.recover(self._worker.writing)

    def others(self) -> Mapping[WorkerId, tuple[int, int]]:
        """See `DurableStore`."""
        return ownership.others(self._pool, None if self._own is None else self._own.ownership.worker_id)

    def presence(self) -> Mapping[WorkerId, tuple[int, int, bool]]:
        """See `DurableStore`."""
        return ownership.presence(self._pool, None if self._own is None else self._own.ownership.worker_id)

    def declare_dead(self, worker_id: WorkerId, *, epoch: int, heartbeat: int) -> bool:
        """See `DurableStore`."""
        return ownership.declare_dead(self._pool, worker_id, epoch=epoch, heartbeat=heartbeat)

    # ── executions ──────────────────────────────────────────────────────────────────────────────────────────────────

    def commit(self, group: Group) -> Committed:
        """See `DurableStore`."""
        own = self._worker
        committed = own.writer.commit(group, own.ownership.epoch)
        left = committed.left
        own.claims.clear(
            [one.execution_id for one in group.checkpoints if one.lost_tasks is None and one.execution_id not in left]
        )
        own.claims.clear([release.execution_id for release in group.releases])
        own.claims.lacks([release.missing for release in group.releases if release.missing])
        tell_of_group(self._hints, group, committed)
        return committed

    def start_all(self, worker_id: WorkerId, checkpoints: Sequence[Checkpoint]) -> Collection[ExecutionId]:
        """See `DurableStore`."""
        own = self._worker
        if own.ownership.worker_id != worker_id:
            raise OwnershipLost("this is another worker by now")
        return own.births.start_all(checkpoints)

    def written(self, execution_ids: Collection[ExecutionId]) -> Mapping[ExecutionId, int]:
        """See `DurableStore`."""
        found = executions.written(self._pool, execution_ids)
        if self._own is not None:
            self._own.claims.check_fence()
        return found

    def claim(self, *, most: int, chunks: int | None = None, offered: bool = False) -> Claims:
        """See `DurableStore`."""
        return self._worker.claims.claim(most, chunks=most if chunks is None else chunks, offered=offered)

    def claim_one(self, execution_id: ExecutionId) -> Claim | None:
        """See `DurableStore`."""
        return self._worker.claims.claim_one(execution_id)

    def owned(self) -> Collection[ExecutionId]:
        """See `DurableStore`."""
        return self._worker.claims.owned()

    def reload(self, execution_ids: Collection[ExecutionId]) -> Claims:
        """See `DurableStore`."""
        return self._worker.claims.reload(execution_ids)

    def fetch_mail(self, execution_ids: Collection[ExecutionId]) -> Sequence[Mail]:
        """See `DurableStore`."""
        return self._worker.claims.fetch_mail(execution_ids)

    def next_due(self) -> int | None:
        """See `DurableStore`."""
        return self._worker.claims.next_due()

    # ── from outside ────────────────────────────────────────────────────────────────────────────────────────────────

    def now(self) -> int:
        """See `DurableStore`."""
        return clock(self._pool)

    def start_named(self, execution_id: ExecutionId, birth: Birth) -> tuple[ExecutionId, bool]:
        """See `DurableStore`."""
        started, is_new = starts.start_named(self._pool, execution_id, birth)
        if is_new:
            self._hints.tell("START", [birth.pool])
        return started, is_new

    def start_many(self, births: Sequence[tuple[ExecutionId, Birth]]) -> Collection[ExecutionId]:
        """See `DurableStore`."""
        started = set(starts.start_many(self._pool, births))
        pools = {birth.pool for execution_id, birth in births if execution_id in started}
        if pools:
            self._hints.tell("START", pools)
        return started

    def deliver(self, mail_: Sequence[Mail]) -> Collection[MailId]:
        """See `DurableStore`."""
        taken = mail.deliver(self._pool, mail_)
        to = {letter.execution_id.hex for letter in mail_ if letter.id in taken}
        if to:
            self._hints.tell("MAIL", to)
        return taken

    def take_token(self, task_token: str, event: Event) -> ExecutionId:
        """See `DurableStore`."""
        execution_id = mail.take_token(self._pool, task_token, event)
        self._hints.tell("MAIL", [execution_id.hex])
        return execution_id

    def heartbeat_token(self, task_token: str) -> None:
        """See `DurableStore`."""
        mail.heartbeat_token(self._pool, task_token)

    def last_heartbeat(self, execution_id: ExecutionId, task_id: Ticket) -> int | None:
        """See `DurableStore`."""
        return mail.last_heartbeat(self._pool, execution_id, task_id)

    # ── Tasks of activities ─────────────────────────────────────────────────────────────────────────────────────────

    def offer_tasks(self, offers: Sequence[Offer]) -> Collection[str]:
        """See `DurableStore`."""
        existing = activities.offer_tasks(self._pool, offers)
        if existing:
            self._hints.tell("OFFER", existing)
        return existing

    def take_task(self, activity_arn: str, worker_name: str | None) -> TakenTask | None:
        """See `DurableStore`."""
        taken = activities.take_task(self._pool, activity_arn, worker_name)
        if taken is not None:
            self._hints.tell("MAIL", [taken.execution_id.hex])
        return taken


class _Own:
    """What an enlisted worker has: its row, and sessions, for its writer thread, for claims and for named starts."""

    def __init__(self, url: str, own: ownership.Ownership, *, pooler: bool) -> None:
        name = ownership.session_name(own.worker_id)
        self.ownership = own
        self.writing = Session(url, name, pooler=pooler)
        self.claiming = Session(url, name, pooler=pooler)
        self.starting = Session(url, name, pooler=pooler)
        self.writer = GroupWriter(self.writing, own.worker_id)
        self.births = NamedBirths(self.starting, own)
        self.claims = claims.Claiming(self.claiming, own)
