"""The executions of a state machine by when something happened to them last, the newest first: ListExecutions.

There is no one index of that: the order of those that run is the order of their ids, but for those that were redriven;
the others stand by their ends, of each status by itself. Each of these gives a page; the newest of all are the page.
"""

from __future__ import annotations

from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, LiteralString, TypeAlias
from uuid import UUID

from engine.store.library import LIST_MAX
from engine.store.postgres.arrays import uuids
from engine.store.postgres.executions import SHOWN, record_of
from engine.store.postgres.identity import machine_key

if TYPE_CHECKING:
    from engine.store.postgres.connection import Pool, Row
    from engine.store.protocol import ExecutionId, ExecutionStatus
    from engine.store.records import ExecutionRecord

Position: TypeAlias = "tuple[int, UUID]"
"""`last_change` of an execution, and its id."""

_ENDS = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")
_NOW_OR_LATER: Position = ((1 << 47) - 1, UUID(int=(1 << 128) - 1))
_BITS_AFTER_TIME = 80

_ENDED = """
select stop_time, execution_id from asl.closed_execution
where state_machine_id = $1 and status = $2 and (stop_time, execution_id) < ($3::bigint, $4::uuid)
order by stop_time desc, execution_id desc limit $5
"""

# An id begins with the time of the start, so the order of ids is this order.
_STARTED = """
select e.start_time, e.id from asl.execution e join asl.open_execution o on o.id = e.id
where e.state_machine_id = $1 and o.redrive_time is null and e.id < $2 order by e.id desc limit $3
"""

_REDRIVEN = """
select o.redrive_time, o.id from asl.open_execution o join asl.execution e on e.id = o.id
where o.redrive_time is not null and (o.redrive_time, o.id) < ($2::bigint, $3::uuid) and e.state_machine_id = $1
order by o.redrive_time desc, o.id desc limit $4
"""

# The bounds are said of both tables with partitions: from a join nothing is concluded.
_READ = f"""
select {SHOWN} from asl.execution e left join asl.open_execution o on o.id = e.id
left join asl.closed_execution c on c.execution_id = e.id and c.execution_id between $2 and $3
where e.id = any($1::uuid[]) and e.id between $2 and $3
"""

_HELD_UP = f"""
select {SHOWN} from asl.execution e join asl.open_execution o on o.id = e.id
left join asl.closed_execution c on c.execution_id = e.id and c.execution_id = $1
where e.state_machine_id = $1 and (o.quarantine is not null or o.missing is not null) order by e.id limit $2
"""


def held_up(pool: Pool, list_key: str, *, most: int) -> list[ExecutionRecord]:
    """The open executions of a state machine, or of a map run, that are in quarantine or lack a handler; oldest first.

    Args:
        list_key: The ARN of the state machine; or what lists find map runs, chunks and children by.
    """
    return [record_of(row) for row in pool.execute(_HELD_UP, (machine_key(list_key), most))]


def latest_executions(
    pool: Pool,
    state_machine_arn: str,
    *,
    status: ExecutionStatus | None = None,
    after: tuple[int, ExecutionId] | None = None,
    most: int = LIST_MAX,
) -> list[ExecutionRecord]:
    """See `Library.latest_executions`."""
    machine = machine_key(state_machine_arn)
    before: Position = _NOW_OR_LATER if after is None else after
    with pool.connection() as connection, connection.transaction():
        # One moment for all: an execution that ends meanwhile would stand at two places, or the next page begin anew.
        connection.execute("set transaction isolation level repeatable read")

        def positions(sql: LiteralString, *given: object) -> list[Row]:
            return connection.execute(sql, given).fetchall()

        sources: list[list[Row]] = []
        if status in (None, "RUNNING"):
            bound = max(before[1], UUID(int=before[0] << _BITS_AFTER_TIME))
            sources.append(positions(_STARTED, machine, bound, most))
            sources.append(positions(_REDRIVEN, machine, *before, most))
        ends = _ENDS if status is None else (status,) if status != "RUNNING" else ()
        sources += [positions(_ENDED, machine, end, *before, most) for end in ends]
        found = [row[1] for row in islice(merge(*sources, key=itemgetter(0, 1), reverse=True), most)]
        if not found:
            return []
        rows = positions(_READ, uuids(found), min(found), max(found))
    known = {row[0]: record_of(row) for row in rows}
    return [known[execution_id] for execution_id in found if execution_id in known]
