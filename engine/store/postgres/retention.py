"""What goes, and how, while everything runs.

Finished executions go by days of their start (`partitions`): once a whole day is older than the retention, its three
partitions are emptied by TRUNCATE, in one transaction that puts back what must stay: executions that are open, and
those that finished later. The lock of that is one of three old partitions, which no start and hardly a checkpoint
touches; who reads or writes there waits for milliseconds. An empty day is then dropped. That does need a lock of the
whole tables; nobody waits for it longer than LOCK_TIMEOUT_MS, and it frees nothing: the disk is free already.

A day of which too much must stay, and what fell into a DEFAULT partition, goes by deletes in bounded batches.

A state machine that is being deleted goes when none of its executions is open, what is left of it when none is kept.
Names outlive their executions (`NAME_KEPT_MS`). Task tokens go with theirs. Mail that came in the moment of the end
and the rows of dead workers go when nobody can need them any more.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg

from engine.store.library import NAME_KEPT_MS, REDRIVE_TOKEN_MS, check_retention
from engine.store.postgres.connection import NOW_MS
from engine.store.postgres.definitions import FORGET, GONE
from engine.store.postgres.partitions import DAY_MS, LOCK_TIMEOUT_MS, PARTITIONED, Day, days, make_days
from engine.store.records import Garbage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.store.postgres.connection import Connection, Pool, Row

SWEEP_MS = 60_000
"""Between two sweeps of a fleet: what a worker left behind, and partitions for days to come."""

RETENTION_PASS_MS = 3_600_000
"""Between two times that a fleet looks for days that can go."""

BATCH = 1_000
"""Executions, or other rows, in one statement. More: whoever needs one of these rows waits longer."""

STAYS_MAX = 1_000
STAYS_BYTES_MAX = 32 << 20
"""What may stay of a day that is emptied, as long as who writes there waits: half a second for these bytes."""

_ATTEMPTS_MAX = 5
_PAUSE_SECONDS = 0.2
_STATEMENT_TIMEOUT_MS = 5_000

# Mail has a minute's grace: the start that makes its execution may still be on its way.
_ORPHANED_MAIL = f"""
with gone as (delete from asl.mail where (execution_id, id) in (
 select m.execution_id, m.id from asl.mail m where m.sent_at < {NOW_MS} - 60000
 and not exists (select from asl.open_execution o where o.id = m.execution_id) limit {BATCH}) returning 1)
select count(*) from gone
"""

_WORKERS_WITHOUT_A_TRACE = """
with gone as (delete from asl.worker w where w.state <> 'alive'
 and not exists (select from asl.open_execution o where o.owner = w.id) returning 1)
select count(*) from gone
"""

_OLD_REDRIVES = f"delete from asl.redrive where redrive_time < {NOW_MS} - {REDRIVE_TOKEN_MS}"

# An execution that was redriven since has its name for longer than was thought.
_EXPIRED_NAMES = f"""
with gone as (delete from asl.execution_name where (state_machine_id, name) in (
 select n.state_machine_id, n.name from asl.execution_name n where n.expires_at <= {NOW_MS}
 and not exists (select from asl.execution e where e.id = n.execution_id) limit {BATCH}) returning 1)
select count(*) from gone
"""

# One batch of finished executions after $1, in the order of ids. Of those that finished before $2 the task tokens go,
# and their names get their end. {gone}: nothing more, or the executions go as well.
_BATCH = f"""
with batch as materialized (
 select c.execution_id, c.stop_time from {{closed}} c where c.execution_id > $1 order by c.execution_id limit {BATCH}),
{{gone}},
named as (update asl.execution_name n set expires_at = g.stop_time + {NAME_KEPT_MS}
 from gone g join {{execution}} e on e.id = g.execution_id
 where n.state_machine_id = e.state_machine_id and n.name = e.name and n.execution_id = e.id returning 1),
untokened as (delete from asl.task_token t using gone g where t.execution_id = g.execution_id returning 1)
select (select execution_id from batch order by execution_id desc limit 1),
 (select count(*) from gone), (select count(*) from untokened)
"""

_NONE_GONE = "gone as (select execution_id, stop_time from batch where stop_time < $2)"

# A redrive deletes the same row: whoever is second finds nothing.
_ALL_GONE = """
gone as (delete from {closed} c using batch b where c.execution_id = b.execution_id and c.stop_time < $2
 returning c.execution_id, c.stop_time),
untold as (delete from {history} h using gone g where h.execution_id = g.execution_id returning 1),
unborn as (delete from {execution} e using gone g where e.id = g.execution_id returning 1)
"""

_TURN = f"""
insert into asl.chore (name, due_at) select $1, now + $2::bigint from (select {NOW_MS} as now) clock
on conflict (name) do update set due_at = excluded.due_at where chore.due_at + $2 <= excluded.due_at returning 1
"""


_FINISHED_OF_A_DAY = """
select count(*), (select count(*) from asl.task_token t join {closed} c on c.execution_id = t.execution_id
 where c.stop_time < $1) from {closed} where stop_time < $1
"""

_LEFT_BEHIND = f"""
select (select count(*) from asl.mail m where m.sent_at < {NOW_MS} - 60000
  and not exists (select from asl.open_execution o where o.id = m.execution_id)),
 (select count(*) from asl.worker w where w.state <> 'alive'
  and not exists (select from asl.open_execution o where o.owner = w.id)),
 (select count(*) from asl.execution_name n where n.expires_at <= {NOW_MS}
  and not exists (select from asl.execution e where e.id = n.execution_id))
"""


@dataclass(slots=True)
class _Pass:
    """One pass: by what connection, whether to go on, and what went so far."""

    connection: Connection
    proceed: Callable[[], bool]
    executions: int = 0
    names: int = 0
    task_tokens: int = 0
    mail: int = 0
    workers: int = 0
    left: list[str] = field(default_factory=list)

    def rows(self, sql: str, *parameters: object) -> list[Row]:
        return self.connection.execute(sql, parameters).fetchall()

    def garbage(self) -> Garbage:
        return Garbage(
            executions=self.executions,
            names=self.names,
            task_tokens=self.task_tokens,
            mail=self.mail,
            workers=self.workers,
            left=tuple(self.left),
        )


def gc(pool: Pool, *, older_than: int | None, dry_run: bool) -> Garbage:
    """See `Store.gc`."""
    check_retention(older_than)
    with pool.connection() as connection:
        done = _Pass(connection, lambda: True)
        if dry_run:
            return _would_go(done, older_than)
        _sweep(done)
        if older_than is not None:
            _retain(done, older_than)
        return done.garbage()


def sweep(pool: Pool, *, retention: int | None, proceed: Callable[[], bool]) -> Garbage:
    """See `Store.sweep`; `proceed` is asked between two steps, each of which takes a second or so at most."""
    check_retention(retention)
    with pool.connection() as connection:
        done = _Pass(connection, proceed)
        if _is_my_turn(done, "sweep", SWEEP_MS):
            _sweep(done)
        if retention is not None and _is_my_turn(done, "retention", RETENTION_PASS_MS):
            _retain(done, retention)
        return done.garbage()


def _is_my_turn(done: _Pass, chore: str, every_ms: int) -> bool:
    """Whether this process is to do a chore of the fleet now; for so long nobody else will."""
    return bool(done.rows(_TURN, chore, every_ms))


# ── what workers and callers leave behind ───────────────────────────────────────────────────────────────────────────


def _sweep(done: _Pass) -> None:
    with _noted(done, "the partitions of days to come"):
        make_days(done.connection)
    done.mail += _in_batches(done, _ORPHANED_MAIL)
    done.workers += done.rows(_WORKERS_WITHOUT_A_TRACE)[0][0]
    done.connection.execute(GONE, (None,))
    done.names += _in_batches(done, _EXPIRED_NAMES)
    done.connection.execute(_OLD_REDRIVES)


def _in_batches(done: _Pass, sql: str) -> int:
    total = 0
    while done.proceed():
        count: int = done.rows(sql)[0][0]
        total += count
        if count < BATCH:
            break
    return total


# ── days ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _retain(done: _Pass, retention: int) -> None:
    horizon = _horizon(done, retention)
    for day in _old_days(done, horizon):
        if not done.proceed():
            return
        with _noted(done, f"the executions of {day.date}"):
            _retain_day(done, day, horizon)
    with _noted(done, "the executions in the DEFAULT partition"):
        _delete(done, "default", horizon)
    done.names += _in_batches(done, _EXPIRED_NAMES)
    done.connection.execute(FORGET)


def _horizon(done: _Pass, retention: int) -> int:
    horizon: int = done.rows(f"select {NOW_MS} - $1::bigint", retention)[0][0]
    return horizon


def _old_days(done: _Pass, horizon: int) -> list[Day]:
    return [day for day in days(done.connection) if (day.number + 1) * DAY_MS <= horizon]


def _retain_day(done: _Pass, day: Day, horizon: int) -> None:
    stays = _who_stays(done, day, horizon)
    if stays is None:
        _delete(done, day.label, horizon)
        return
    closed = day.partition("closed_execution")
    if done.rows(f"select exists (select from {closed} where stop_time < $1)", horizon)[0][0]:
        executions, task_tokens = _walk(done, day.label, horizon, _NONE_GONE)
        if not done.proceed():
            return
        if not _tried(done, lambda: _rewrite(done, day, horizon)):
            done.left.append(f"the executions of {day.date}: somebody uses them; another time")
            return
        done.executions += executions
        done.task_tokens += task_tokens
    if not stays and not _tried(done, lambda: _drop(done, day)):
        done.left.append(f"the partitions of {day.date}, which are empty: somebody uses the tables; another time")


def _who_stays(done: _Pass, day: Day, horizon: int) -> list[UUID] | None:
    """The executions of a day that are open, or finished later; None: too much to be put back."""
    stays = [row[0] for row in done.rows(_stays_sql(day), day.first, day.end, horizon)]
    if len(stays) > STAYS_MAX:
        return None
    sizes = f"select sum(pg_column_size(data)) from {day.partition('history_segment')} where execution_id = any($1)"
    return None if (done.rows(sizes, stays)[0][0] or 0) > STAYS_BYTES_MAX else stays


def _stays_sql(day: Day) -> str:
    return f"""
    (select id from asl.open_execution where id >= $1 and id < $2 limit {STAYS_MAX + 1})
    union
    (select execution_id from {day.partition("closed_execution")} where stop_time >= $3 limit {STAYS_MAX + 1})
    """


def _tried(done: _Pass, change: Callable[[], None]) -> bool:
    """Makes a change in a transaction that waits for no lock for long; whether it could be made after some attempts."""
    for attempt in range(_ATTEMPTS_MAX):
        if attempt:
            time.sleep(_PAUSE_SECONDS * attempt)
        if not done.proceed():
            break
        try:
            with done.connection.transaction():
                done.connection.execute(
                    f"select set_config('lock_timeout', '{LOCK_TIMEOUT_MS}', true), "
                    f"set_config('statement_timeout', '{_STATEMENT_TIMEOUT_MS}', true)"
                )
                change()
        except _PASSING:
            continue
        return True
    return False


def _rewrite(done: _Pass, day: Day, horizon: int) -> None:
    """Empties a day but for what stays. Raises _NotNow."""
    execute = done.connection.execute
    partitions = {table: day.partition(table) for table in PARTITIONED}
    # From here on nobody changes a row of this day, and nobody is in the middle of it.
    execute(f"lock table {', '.join(partitions.values())} in access exclusive mode")
    stays = [row[0] for row in done.rows(_stays_sql(day), day.first, day.end, horizon)]
    if len(stays) > STAYS_MAX:
        raise _NotNow
    for table, partition in partitions.items():
        execute(f"create temporary table stays_{table} (like {partition}) on commit drop")
        key = PARTITIONED[table]
        execute(f"insert into stays_{table} select * from {partition} where {key} = any($1)", (stays,))
    execute(f"truncate {', '.join(partitions.values())}")
    for table, partition in partitions.items():
        execute(f"insert into {partition} select * from stays_{table}")


def _drop(done: _Pass, day: Day) -> None:
    """Drops an empty day. Raises _NotNow."""
    tables = ", ".join(f"only asl.{table}" for table in PARTITIONED)
    done.connection.execute(f"lock table {tables} in access exclusive mode")
    for table in PARTITIONED:
        partition = day.partition(table)
        if done.rows(f"select exists (select from {partition})")[0][0]:
            raise _NotNow  # it was redriven meanwhile, for example
        done.connection.execute(f"drop table {partition}")


class _NotNow(Exception):
    """A day is not as it was a moment ago."""


_PASSING = (
    _NotNow,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.DeadlockDetected,
    psycopg.errors.QueryCanceled,
    psycopg.errors.UndefinedTable,
)


# ── one after the other ─────────────────────────────────────────────────────────────────────────────────────────────


def _delete(done: _Pass, suffix: str, horizon: int) -> None:
    executions, task_tokens = _walk(done, suffix, horizon, _ALL_GONE)
    done.executions += executions
    done.task_tokens += task_tokens


def _walk(done: _Pass, suffix: str, horizon: int, gone: str) -> tuple[int, int]:
    """Goes through the finished executions of a day or of the DEFAULT partition; executions and task tokens met."""
    tables = {"execution": f"asl.execution_{suffix}", "closed": f"asl.closed_execution_{suffix}",
              "history": f"asl.history_segment_{suffix}"}  # fmt: skip
    sql = _BATCH.format(gone=gone.format(**tables), **tables)
    executions = task_tokens = 0
    last: UUID | None = UUID(int=0)
    while last is not None and done.proceed():
        last, met, untokened = done.rows(sql, last, horizon)[0]
        executions += met
        task_tokens += untokened
    return executions, task_tokens


def _would_go(done: _Pass, retention: int | None) -> Garbage:
    mail, workers, names = done.rows(_LEFT_BEHIND)[0]
    executions = task_tokens = 0
    if retention is not None:
        horizon = _horizon(done, retention)
        for suffix in [*(day.label for day in _old_days(done, horizon)), "default"]:
            closed = f"asl.closed_execution_{suffix}"
            finished, tokens = done.rows(_FINISHED_OF_A_DAY.format(closed=closed), horizon)[0]
            executions += finished
            task_tokens += tokens
    return Garbage(executions=executions, names=names, task_tokens=task_tokens, mail=mail, workers=workers)


@contextmanager
def _noted(done: _Pass, what: str) -> Iterator[None]:
    """Goes on with the rest when this cannot be done, because of missing rights above all."""
    try:
        yield
    except psycopg.errors.UndefinedTable:
        return  # somebody else collects garbage too
    except psycopg.ProgrammingError as error:
        done.left.append(f"{what}: {str(error).strip()}")
