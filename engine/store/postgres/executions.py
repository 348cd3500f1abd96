"""Executions as they are shown: describe, list, history; and what an operator does to one: redrive, resume."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from engine.errors import ExecutionDoesNotExist, ExecutionNotRedrivable
from engine.interpreter.history import LAST_EVENT_ID
from engine.interpreter.messages import RedriveRequested
from engine.interpreter.snapshot import FORMAT, Ending, Execution, Redrives
from engine.jsonvalue import decode
from engine.store.library import LIST_MAX, REDRIVE_TOKEN_MS, REDRIVE_TOKENS_MAX
from engine.store.postgres.arrays import byteas, int4s, texts, uuids
from engine.store.postgres.connection import NOW_MS
from engine.store.postgres.identity import as_execution_id, machine_key, name_key
from engine.store.postgres.partitions import DAY_MS
from engine.store.postgres.snapshots import (
    HEAD_BYTES,
    IS_READABLE,
    READABLE_FORMATS,
    check_format,
    decode_ending,
    decode_execution,
    decode_segment,
    encode_row,
    has_frame_rows,
    pack,
    read_progress,
    unknown_format,
    unpack,
    unpack_root,
)
from engine.store.protocol import ExecutionId, RevisionId
from engine.store.records import ExecutionRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from engine.interpreter.history import Segment
    from engine.interpreter.snapshot import Frame, Snapshot
    from engine.store.postgres.connection import Connection, Pool, Row
    from engine.store.protocol import ExecutionStatus

# Of a table with a partition for each day only one is looked into when the id is given, or bounds of ids are: what a
# join finds while it runs comes too late, and with a year of days the difference is 0.3 and 20 ms.
_BY_NAME = "select n.execution_id from asl.execution_name n where n.state_machine_id = $1 and n.name = $2"

_BY_NAMES = """
select u.place, n.execution_id from unnest($1::uuid[], $2::text[]) with ordinality u(machine, name, place)
join asl.execution_name n on n.state_machine_id = u.machine and n.name = u.name
"""

_HEAD = "select e.head, e.format from asl.execution e where e.id = $1"

# What is known of an execution e, with its rows o in open_execution and c in closed_execution; for `record_of`.
# The last columns stand in for what a newer engine wrote.
SHOWN = f"""
e.id, e.head, e.revision_id, e.pool, c.ending, c.stop_time, c.redrive_count, coalesce(c.redrive_time, o.redrive_time),
c.last_event_id,
substring(o.snapshot for {HEAD_BYTES}), o.missing, o.quarantine, e.format, coalesce(c.format, o.format), c.status,
e.name, e.start_time, case when not e.format {IS_READABLE} then
 (select m.arn from asl.state_machine m where m.id = e.state_machine_id) end
"""

_ENDING, _HEAD_FORMAT, _FORMAT = 4, 12, 13

_DESCRIBE = f"""
select {SHOWN} from asl.execution e left join asl.open_execution o on o.id = e.id
left join asl.closed_execution c on c.execution_id = e.id and c.execution_id = any($1::uuid[])
where e.id = any($1::uuid[])
"""

_ENDINGS = """
select u.id, c.ending, o.quarantine, c.format from unnest($1::uuid[]) u(id)
left join asl.closed_execution c on c.execution_id = u.id and c.execution_id between $2 and $3
left join asl.open_execution o on o.id = u.id where o.id is null or o.quarantine is not null
"""

_WRITTEN = """
select u.id, coalesce(o.seq, c.seq) from unnest($1::uuid[]) u(id) left join asl.open_execution o on o.id = u.id
left join asl.closed_execution c on c.execution_id = u.id and c.execution_id between $2 and $3
where o.id is not null or c.execution_id is not null
"""

_HISTORY = """
select data, format from asl.history_segment where execution_id = $1 and first_event_id < $2::bigint + $3
and first_event_id >= coalesce((
 select max(first_event_id) from asl.history_segment where execution_id = $1 and first_event_id <= $2), 0)
order by first_event_id
"""

_HISTORY_BACKWARDS = """
select data, format from asl.history_segment where execution_id = $1 and first_event_id <= $2
and first_event_id >= coalesce((
 select max(first_event_id) from asl.history_segment where execution_id = $1 and first_event_id <= least($2::bigint, (
  select max(first_event_id) from asl.history_segment where execution_id = $1)) - $3 + 1), 0)
order by first_event_id desc
"""

_SNAPSHOT = f"""
select e.head, coalesce(o.snapshot, c.snapshot), coalesce(o.format, c.format), c.status, c.seq, {NOW_MS}
from asl.execution e left join asl.open_execution o on o.id = e.id
left join asl.closed_execution c on c.execution_id = e.id where e.id = $1
"""

_ROOTS = """
select o.id, o.snapshot, o.format, f.data from unnest($1::uuid[]) u(id)
join asl.open_execution o on o.id = any(array[u.id])
left join asl.frame f on f.execution_id = any(array[u.id]) and f.fork = 0 and f.place = 0
"""

_FRAMES = "select data from asl.frame where execution_id = $1 order by fork, place"

# What came for it after its end would come alive: it goes. A token that nobody closed, too.
_REOPEN = f"""
with reopened as (delete from asl.closed_execution where execution_id = $1 and seq = $7 and snapshot is not null
  returning seq),
 opened as (insert into asl.open_execution (id, wake_at, format, pool, seq, snapshot, redrive_time, is_chunk)
  select $1, {NOW_MS}, {FORMAT}, e.pool, r.seq, $2::bytea, $8::bigint, $10::boolean
  from reopened r, asl.execution e where e.id = $1 returning 1),
 tokened as (insert into asl.redrive (execution_id, client_token, redrive_time)
  select $1, $9::text, $8::bigint from reopened where $9::text is not null
  on conflict (execution_id, client_token) do update set redrive_time = excluded.redrive_time returning 1),
 framed as (insert into asl.frame (execution_id, fork, place, data)
  select $1, u.* from reopened, unnest($3::int[], $4::int[], $5::bytea[]) u returning 1),
 swept as (delete from asl.mail where execution_id = $1 and id <> $1 returning 1),
 killed as (update asl.task_token set closed_at = {NOW_MS}, offer = null
  where execution_id = $1 and closed_at is null and exists (select from reopened) returning 1),
 mailed as (insert into asl.mail (execution_id, id, sent_at, format, event)
  select $1, $1, {NOW_MS}, {FORMAT}, $6::bytea from reopened
  on conflict (execution_id, id) do update set event = excluded.event, sent_at = excluded.sent_at returning 1)
select count(*) from opened
"""

_REDRIVES = f"""
select client_token, redrive_time from asl.redrive where execution_id = $1
and redrive_time >= {NOW_MS} - {REDRIVE_TOKEN_MS} order by redrive_time desc limit $2
"""

# Whoever resumes it says that it is not to blame: with the deaths of its workers it would be quarantined again at once.
_RESUME = f"""
with open as (select id from asl.open_execution where id = $1),
resumed as (update asl.open_execution set quarantine = null, wake_at = {NOW_MS}, suspect = 0, deaths = 0
 where id = $1 and quarantine is not null returning 1)
select id from open
"""

_WINDOW_DAYS = (2, 16, 128)
"""A list looks into so many days first; each time it has not found enough, into more."""

_BITS_AFTER_TIME = 80
_NS_PER_MS = 1_000_000


def find(connection: Connection, execution_arn: str) -> ExecutionId:
    """The id of an execution. Raises ExecutionDoesNotExist."""
    machine, name = name_key(execution_arn)
    named = connection.execute(_BY_NAME, (machine, name), prepare=True).fetchone()
    found: UUID | None = as_execution_id(name) if named is None else named[0]
    if found is not None:
        row = connection.execute(_HEAD, (found,), prepare=True).fetchone()
        if row is not None and (row[1] not in READABLE_FORMATS or decode_execution(row[0]).arn == execution_arn):
            return ExecutionId(found)
    raise ExecutionDoesNotExist(execution_arn)


def execution(pool: Pool, execution_arn: str) -> ExecutionRecord:
    """See `Library.execution`."""
    found = described(pool, [execution_arn])[execution_arn]
    if isinstance(found, Exception):
        raise found
    return found


def described(pool: Pool, execution_arns: Collection[str]) -> dict[str, ExecutionRecord | Exception]:
    """See `Library.described`."""
    found: dict[str, ExecutionRecord | Exception] = {arn: ExecutionDoesNotExist(arn) for arn in execution_arns}
    keys: dict[str, tuple[UUID, str]] = {}
    for arn in execution_arns:
        with suppress(ExecutionDoesNotExist):
            keys[arn] = name_key(arn)
    arns = list(keys)
    with pool.connection() as connection:
        names = uuids([machine for machine, _ in keys.values()]), texts([name for _, name in keys.values()])
        named = dict(connection.execute(_BY_NAMES, names, prepare=True).fetchall())
        ids = [named.get(place) or as_execution_id(keys[arn][1]) for place, arn in enumerate(arns, 1)]
        asked = uuids({found_id for found_id in ids if found_id is not None})
        rows = {row[0]: row for row in connection.execute(_DESCRIBE, (asked,), prepare=True).fetchall()}
    for arn, execution_id in zip(arns, ids, strict=True):
        row = None if execution_id is None else rows.get(execution_id)
        if row is not None:
            try:
                found[arn] = _described(row, arn)
            except Exception as error:  # noqa: BLE001  a row that cannot be read is no matter of the others
                found[arn] = error
    return found


def _described(row: Row, execution_arn: str) -> ExecutionRecord:
    check_format(row[_HEAD_FORMAT], f"{execution_arn} is")
    if row[_ENDING] is not None:
        check_format(row[_FORMAT], f"the end of {execution_arn} is")
    record = record_of(row)
    if record.execution.arn != execution_arn:  # it has the id that the name spells
        raise ExecutionDoesNotExist(execution_arn)
    return record


def endings(pool: Pool, execution_ids: Collection[ExecutionId]) -> Mapping[ExecutionId, Ending | str | None]:
    """See `Library.endings`."""
    found: dict[ExecutionId, Ending | str | None] = {}
    for execution_id, ending, quarantine, format_ in pool.execute(_ENDINGS, _bounded(execution_ids)):
        if ending is not None:
            readable = format_ in READABLE_FORMATS
            found[execution_id] = decode_ending(ending) if readable else unknown_format(format_, "its end is")
        else:
            found[execution_id] = None if quarantine is None else quarantine.decode()
    return found


def written(pool: Pool, execution_ids: Collection[ExecutionId]) -> Mapping[ExecutionId, int]:
    """See `DurableStore.written`."""
    return {row[0]: row[1] for row in pool.execute(_WRITTEN, _bounded(execution_ids))}


def _bounded(execution_ids: Collection[ExecutionId]) -> tuple[object, ...]:
    """The ids as an array, the least and the greatest."""
    return uuids(execution_ids), min(execution_ids, default=None), max(execution_ids, default=None)


def record_of(row: Row) -> ExecutionRecord:
    """The execution that a row of SHOWN is about."""
    (execution_id, head, revision_id, pool, ending, stop_time, redrive_count, redrive_time, last_event_id,
     progress, missing, quarantine, head_format, format_, status, name, start_time, machine_arn) = row  # fmt: skip
    redrives = Redrives(redrive_count or 0, redrive_time)
    is_readable = format_ in READABLE_FORMATS
    if progress is not None and is_readable:
        last_event_id, redrives = read_progress(progress)
        if redrive_time is not None and redrives.time != redrive_time:  # nobody has folded the RedriveRequested yet
            redrives = Redrives(redrives.count + 1, redrive_time)
    return ExecutionRecord(
        execution_id=ExecutionId(execution_id),
        execution=decode_execution(head) if machine_arn is None else _stand_in(machine_arn, name, start_time),
        revision_id=RevisionId(revision_id),
        pool=pool,
        ending=None if ending is None else decode_ending(ending) if is_readable else Ending(status),
        stop_date=stop_time,
        redrives=redrives,
        last_event_id=last_event_id or 0,
        unreadable=None if is_readable and machine_arn is None else max(format_, head_format),
        missing=() if missing is None else tuple(_texts(missing)),
        quarantine=None if quarantine is None else quarantine.decode(),
    )


def _stand_in(machine_arn: str, name: str, start_time: int) -> Execution:
    """What is known of an execution whose head a newer engine wrote, for lists."""
    return Execution(
        arn=f"{machine_arn.replace(':stateMachine:', ':execution:')}:{name}",
        name=name,
        type="STANDARD",
        role_arn="",
        state_machine_arn=machine_arn,
        state_machine_name=machine_arn.rpartition(":")[2],
        input=None,
        input_bytes=0,
        start_time=start_time,
        payload_bytes_max=0,
        history_events_max=0,
        region="",
    )


def _texts(data: bytes) -> list[str]:
    found = decode(data)
    assert isinstance(found, list)
    return [str(item) for item in found]


# ── lists ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def executions(
    pool: Pool,
    state_machine_arn: str | None,
    *,
    status: ExecutionStatus | None = None,
    name_prefix: str | None = None,
    started_from: int | None = None,
    started_before: int | None = None,
    after: ExecutionId | None = None,
    most: int = LIST_MAX,
) -> list[ExecutionRecord]:
    """Executions, newest first.

    Args:
        state_machine_arn: Of one state machine; None: of all.
        status: Of this status only.
        name_prefix: Only those that were given a name, by their starter, that begins so.
        started_from: Milliseconds since the epoch, inclusive.
        started_before: The same, exclusive.
        after: The last one of the page before.
        most: The size of a page.
    """
    machine = None if state_machine_arn is None else machine_key(state_machine_arn)
    given: dict[str, Any] = {
        "status": status,
        "prefix": name_prefix,
        "since": started_from,
        "before": started_before,
        "after": after,
    }
    wanted = {key: value for key, value in given.items() if value is not None}
    found: list[ExecutionRecord] = []
    for window in _windows(after):
        found += [record_of(row) for row in _listed(pool, machine, most - len(found), wanted | window)]
        if len(found) == most:
            break
    return found


def _windows(after: ExecutionId | None) -> list[dict[str, UUID]]:
    """Bounds of ids, the newest first: what is listed is mostly new, and to look into every day takes long."""
    newest = time.time_ns() // _NS_PER_MS if after is None else after.int >> _BITS_AFTER_TIME
    edges = [max(0, newest - days * DAY_MS) << _BITS_AFTER_TIME for days in _WINDOW_DAYS]
    bounds: list[dict[str, UUID]] = []
    for edge in edges:
        below = {"below": bounds[-1]["at_least"]} if bounds else {}
        bounds.append({"at_least": UUID(int=edge), **below})
    return [*bounds, {"below": bounds[-1]["at_least"]}]


def _listed(pool: Pool, machine: UUID | None, most: int, wanted: Mapping[str, Any]) -> list[Row]:
    from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

    dialect = PGDialect_psycopg(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
    compiled = _listing(machine, most, **wanted).compile(dialect=dialect)
    parameters = [compiled.params[key] for key in compiled.positiontup or ()]
    return pool.execute(str(compiled), parameters)


def _listing(machine: UUID | None, most: int, **wanted: Any) -> Any:
    """The statement of a list. Each filter adds a condition that an index serves."""
    from sqlalchemy import and_, select, text

    from engine.store.postgres import tables

    execution, open_, closed_ = (
        table.alias(name)
        for table, name in ((tables.execution, "e"), (tables.open_execution, "o"), (tables.closed_execution, "c"))
    )
    e, o, c, names = execution.c, open_.c, closed_.c, tables.execution_name.c
    status = wanted.get("status")
    is_over = status is not None and status != "RUNNING"
    # The bounds are said of both tables with partitions: from an outer join nothing is concluded.
    closed = [c.execution_id == e.id, *_within(c.execution_id, wanted)]
    source = execution.join(open_, o.id == e.id, isouter=status != "RUNNING")
    source = source.join(closed_, and_(*closed), isouter=not is_over)
    statement = select(text(SHOWN)).select_from(source).order_by(e.id.desc()).limit(most)
    statement = statement.where(*_within(e.id, wanted))
    # What belongs to a map run is found by the map run alone: its key is not that of a state machine.
    machines = tables.state_machine.c
    own = e.state_machine_id == machine if machine is not None else e.state_machine_id.in_(select(machines.id))
    statement = statement.where(own)
    if is_over:
        statement = statement.where(c.status == status)
    if is_over and machine is not None:
        statement = statement.where(c.state_machine_id == machine)
    if "prefix" in wanted:
        named = select(names.execution_id).where(names.name.startswith(wanted["prefix"], autoescape=True))
        if machine is not None:
            named = named.where(names.state_machine_id == machine)
        statement = statement.where(e.id.in_(named))
    if "since" in wanted:
        statement = statement.where(e.start_time >= wanted["since"])
    if "before" in wanted:
        statement = statement.where(e.start_time < wanted["before"])
    if "after" in wanted:
        statement = statement.where(e.id < wanted["after"])
    return statement


def _within(key: Any, wanted: Mapping[str, Any]) -> list[Any]:
    bounds = [key >= wanted["at_least"]] if "at_least" in wanted else []
    return [*bounds, key < wanted["below"]] if "below" in wanted else bounds


# ── history and snapshots ───────────────────────────────────────────────────────────────────────────────────────────


def history(
    pool: Pool, execution_arn: str, *, from_event_id: int = 0, events_max: int = LAST_EVENT_ID, backwards: bool = False
) -> list[Segment]:
    """See `Library.history`."""
    sql, start = (_HISTORY_BACKWARDS, from_event_id or LAST_EVENT_ID) if backwards else (_HISTORY, from_event_id or 1)
    with pool.connection() as connection:
        given = (find(connection, execution_arn), start, events_max)
        rows = connection.execute(sql, given, prepare=True).fetchall()
    for row in rows:
        check_format(row[1], f"history of {execution_arn} is")
    return [decode_segment(row[0]) for row in rows]


def snapshot(pool: Pool, execution_arn: str) -> Snapshot | None:
    """See `Library.snapshot`."""
    with pool.connection() as connection:
        execution_id = find(connection, execution_arn)
        # Frames have rows of their own: without one moment for both reads they would be of two checkpoints.
        with connection.transaction():
            connection.execute("set transaction isolation level repeatable read")
            row = connection.execute(_SNAPSHOT, (execution_id,)).fetchone()
            if row is None:
                raise ExecutionDoesNotExist(execution_arn)
            head, packed, format_, *_ = row
            frames: Sequence[Row] = ()
            if packed is not None and has_frame_rows(packed):
                frames = connection.execute(_FRAMES, (execution_id,)).fetchall()
    if packed is None:
        return None
    check_format(format_, f"the snapshot of {execution_arn} is")
    return unpack(decode_execution(head), packed, [frame[0] for frame in frames])


def roots(pool: Pool, execution_ids: Collection[ExecutionId]) -> dict[ExecutionId, Frame | None]:
    """See `Library.roots`."""
    with pool.connection() as connection:
        rows = connection.execute(_ROOTS, (uuids(execution_ids),)).fetchall()
    found: dict[ExecutionId, Frame | None] = {}
    for execution_id, packed, format_, data in rows:
        check_format(format_, f"the snapshot of {execution_id} is")
        found[execution_id] = unpack_root(packed, data)
    return found


# ── what an operator does ───────────────────────────────────────────────────────────────────────────────────────────


def redriven(pool: Pool, execution_arn: str, client_token: str) -> int | None:
    """See `Library.redriven`."""
    with pool.connection() as connection:
        given = (find(connection, execution_arn), REDRIVE_TOKENS_MAX)
        return dict(connection.execute(_REDRIVES, given).fetchall()).get(client_token)


def reopen(
    pool: Pool, execution_arn: str, client_token: str | None = None, redrives: int | None = None
) -> tuple[ExecutionId, int]:
    """See `Library.reopen`."""
    with pool.connection() as connection:
        execution_id = find(connection, execution_arn)
        row = connection.execute(_SNAPSHOT, (execution_id,)).fetchone()
        if row is None:
            raise ExecutionDoesNotExist(execution_arn)
        head, last, format_, status, seq, now = row
        if status is not None and last is not None:
            check_format(format_, f"the snapshot of {execution_arn} is")
            about = decode_execution(head)
            packed = pack(unpack(about, last))
            arrays = (
                int4s([key[0] for key, _ in packed.put]),
                int4s([key[1] for key, _ in packed.put]),
                byteas([data for _, data in packed.put]),
            )
            event = encode_row(RedriveRequested(now, redrives))
            given = (execution_id, packed.snapshot, *arrays, event, seq, now, client_token, about.role == "CHUNK")
            if connection.execute(_REOPEN, given).fetchall()[0][0] == 1:
                return execution_id, now
            status = None  # somebody else was faster
    status = status or "RUNNING"
    raise ExecutionNotRedrivable(f"Execution is {status} and cannot be redriven")


def resume(pool: Pool, execution_arn: str) -> ExecutionId:
    """See `Library.resume`."""
    with pool.connection() as connection:
        execution_id = find(connection, execution_arn)
        if not connection.execute(_RESUME, (execution_id,)).fetchall():
            raise ExecutionDoesNotExist(execution_arn)
    return execution_id
