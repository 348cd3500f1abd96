"""Worker incarnations: enlisting, the lease, epochs, taking the rights of the dead.

A worker's row is its fence: see `tables`. Everything here that changes a row waits for a statement of that worker that
is under way, and makes one that is still on its way fail.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

import psycopg

from engine.interpreter.snapshot import FORMAT
from engine.store.postgres.connection import NOW_MS, unavailable
from engine.store.protocol import PARKED_COUNTED_MAX, Backlog, OwnershipLost, WorkerId

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from engine.store.postgres.connection import Pool, Session
    from engine.store.protocol import ExecutionId

_ENLIST = f"""
insert into asl.worker (id, pools, host, pid, started_at, state, format, epoch, heartbeat, renewed_at)
select $1, $2::text[], $3, $4, now, 'alive', {FORMAT}, 1, 0, now from (select {NOW_MS} as now) clock returning 1
"""

_RENEW = f"""
update asl.worker set heartbeat = heartbeat + 1, renewed_at = {NOW_MS}
where id = $1 and epoch = $2 and state = 'alive' returning {NOW_MS}
"""

_RECOVER = f"""
update asl.worker set epoch = $2, heartbeat = heartbeat + 1, renewed_at = {NOW_MS}
where id = $1 and epoch < $2 and state = 'alive' returning {NOW_MS}
"""

_RESIGN = """
update asl.worker set state = 'resigned', epoch = epoch + 1 where id = $1 and state = 'alive' returning 1
"""

# When nothing is left of what it owned; else the row stays, and says that its owner went in good order. A statement of
# its own: the first one may have waited for a group, whose executions only a later one sees.
_FORGET = """
delete from asl.worker where id = $1 and state = 'resigned'
and not exists (select from asl.open_execution where owner = $1) returning 1
"""

_OTHERS = "select id, epoch, heartbeat from asl.worker where state = 'alive' and id <> $1"

_WORKERS = """
select id, pools, host, pid, state, started_at, renewed_at,
 (select count(*) from asl.open_execution o where o.owner = w.id)
from asl.worker w order by started_at, id
"""

_OWNER = "select owner from asl.open_execution where id = $1"

# Beyond some thousands nobody wants to know exactly, and to count a million rows takes a second.
_BACKLOG = f"""
select (select count(*) from (
  select 1 from asl.open_execution o where o.pool = any($1::text[]) and o.owner is null and o.quarantine is null
  limit {PARKED_COUNTED_MAX + 1}) counted),
 (select reltuples::bigint from pg_class where oid = 'asl.open_execution_due'::regclass),
 {NOW_MS} - (select min(due.wake_at) from unnest($1::text[]) p(pool), lateral (
  select o.wake_at from asl.open_execution o where o.pool = p.pool and o.owner is null and o.quarantine is null
  and o.wake_at > 0 order by o.wake_at limit 1) due)
"""

# A key of 64 bits is shown in two halves; locks of other databases are shown, too.
_PRESENCE = """
with held as materialized (
 select (l.classid::bigint << 32) | l.objid::bigint as key from pg_locks l
 where l.locktype = 'advisory' and l.objsubid = 1 and l.granted
 and l.database = (select d.oid from pg_database d where d.datname = current_database())
)
select w.id, w.epoch, w.heartbeat,
 ('x' || substr(replace(w.id::text, '-', ''), 1, 16))::bit(64)::bigint in (select key from held)
from asl.worker w where w.state = 'alive' and w.id <> $1
"""

# Blamed is the only execution it owned, or the only suspect among several.
_DECLARE_DEAD = """
update asl.worker w set state = 'dead', epoch = epoch + 1
where w.id = $1 and w.epoch = $2 and w.heartbeat = $3 and w.state = 'alive' returning 1
"""

# A statement of its own, in the same transaction: the one before may have waited for the worker's last group, and does
# not see what that wrote.
_BLAME = """
update asl.worker w set blamed = (
 select case when count(*) = 1 then (array_agg(o.id))[1]
  when count(*) filter (where o.suspect > 0) = 1 then (array_agg(o.id) filter (where o.suspect > 0))[1] end
 from asl.open_execution o where o.owner = $1)
where w.id = $1
"""

_END_BACKENDS = """
select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1 and pid <> pg_backend_pid()
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRecord:
    """A worker as it is shown; times are ms since the epoch.

    Attributes:
        renewed_at: When it last said that it is alive.
        owned: Executions that it has.
    """

    id: WorkerId
    pools: Sequence[str]
    host: str
    pid: int
    state: Literal["alive", "dead", "resigned"]
    started_at: int
    renewed_at: int
    owned: int


class Ownership:
    """One worker's row.

    Attributes:
        worker_id: Its incarnation.
        epoch: As far as it knows.
        pools: Those that it serves.
    """

    def __init__(self, pool: Pool, *, pools: Collection[str], host: str, pid: int) -> None:
        """Makes the row; see `DurableStore.enlist`."""
        self.worker_id = WorkerId(uuid4())
        self.epoch = 1
        self._next_epoch = 2
        self.pools = sorted(pools)
        pool.execute(_ENLIST, (self.worker_id, self.pools, host, pid))

    def renew(self, session: Session) -> int:
        """See `DurableStore.renew`."""
        rows = session.run(_RENEW, (self.worker_id, self.epoch))
        if not rows:
            raise OwnershipLost("this worker was declared dead")
        now: int = rows[0][0]
        return now

    def recover(self, session: Session) -> int:
        """See `DurableStore.recover`."""
        session.close()
        # Another number each time: a try whose answer was lost and that arrives late must not raise the epoch again.
        epoch = self._next_epoch
        self._next_epoch += 1
        try:
            rows = session.execute(_RECOVER, (self.worker_id, epoch))
        except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled) as error:
            # A statement of ours holds the row and does not come to an end: its client is gone, its backend is stuck.
            session.run(_END_BACKENDS, (session_name(self.worker_id),))
            raise unavailable(error) from error
        except psycopg.Error as error:
            raise unavailable(error) from error
        if not rows:
            raise OwnershipLost("this worker was declared dead")
        self.epoch = epoch
        now: int = rows[0][0]
        return now

    def resign(self, pool: Pool) -> None:
        """See `DurableStore.resign`."""
        pool.execute(_RESIGN, (self.worker_id,))
        pool.execute(_FORGET, (self.worker_id,))


def workers(pool: Pool) -> list[WorkerRecord]:
    """All workers, oldest first: those alive, and the others of which something is left to take over."""
    names = ("id", "pools", "host", "pid", "state", "started_at", "renewed_at", "owned")
    return [WorkerRecord(**dict(zip(names, row, strict=True))) for row in pool.execute(_WORKERS)]


def owner(pool: Pool, execution_id: ExecutionId) -> WorkerId | None:
    """The worker that has an execution, alive or not; None: nobody has it, or it is over."""
    rows = pool.execute(_OWNER, (execution_id,))
    return WorkerId(rows[0][0]) if rows and rows[0][0] is not None else None


def backlog(pool: Pool, pools: Collection[str]) -> Backlog:
    """See `Store.backlog`."""
    counted, estimated, overdue = pool.execute(_BACKLOG, (sorted(pools),))[0]
    parked = counted if counted <= PARKED_COUNTED_MAX else max(counted, estimated)
    return Backlog(parked=parked, overdue=max(0, overdue or 0))


def others(pool: Pool, worker_id: UUID | None) -> dict[WorkerId, tuple[int, int]]:
    """See `DurableStore.others`."""
    rows = pool.execute(_OTHERS, (worker_id or uuid4(),))
    return {WorkerId(row[0]): (row[1], row[2]) for row in rows}


def presence(pool: Pool, worker_id: UUID | None) -> dict[WorkerId, tuple[int, int, bool]]:
    """See `DurableStore.presence`: their locks are `listener.PostgresHints`'."""
    rows = pool.execute(_PRESENCE, (worker_id or uuid4(),))
    return {WorkerId(row[0]): (row[1], row[2], row[3]) for row in rows}


def declare_dead(pool: Pool, worker_id: WorkerId, *, epoch: int, heartbeat: int) -> bool:
    """See `DurableStore.declare_dead`. Not done either while a statement of that worker holds its row too long."""
    with pool.connection() as connection:
        try:
            with connection.transaction():
                is_dead = bool(connection.execute(_DECLARE_DEAD, (worker_id, epoch, heartbeat)).fetchall())
                if is_dead:
                    connection.execute(_BLAME, (worker_id,))
            return is_dead
        except psycopg.errors.LockNotAvailable:
            connection.execute(_END_BACKENDS, (session_name(worker_id),))
            return False  # the next try finds the row free


def session_name(worker_id: UUID) -> str:
    """What `pg_stat_activity` calls the sessions by which a worker writes."""
    return f"asl worker {worker_id}"
