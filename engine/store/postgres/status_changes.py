"""Changes of status that are to be told: taken by one process at a time, and removed when they were told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.store.library import HIDDEN_MS_MAX
from engine.store.postgres.arrays import int4s, uuids
from engine.store.postgres.connection import NOW_MS
from engine.store.postgres.packing import unsqueeze
from engine.store.postgres.snapshots import IS_READABLE
from engine.store.protocol import ExecutionId
from engine.store.records import TakenChange

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.store.postgres.connection import Pool

# The power is bounded before it is taken: attempts go on for days.
_TAKE = f"""
with due as (
 select execution_id, number from asl.status_change where due_at <= {NOW_MS} and format {IS_READABLE}
 order by due_at, execution_id, number limit $1 for update skip locked
)
update asl.status_change s set attempts = s.attempts + 1,
 due_at = {NOW_MS} + least($2::bigint << least(s.attempts, 20), {HIDDEN_MS_MAX})
from due where s.execution_id = due.execution_id and s.number = due.number
returning s.execution_id, s.number, s.attempts, s.event
"""

_SETTLE = """
delete from asl.status_change s using unnest($1::uuid[], $2::int[]) u(execution_id, number)
where s.execution_id = u.execution_id and s.number = u.number
"""

_NOTIFY = "select pg_notify($1, payload) from unnest($2::text[]) payload"


def take_status_changes(pool: Pool, *, most: int, hidden_ms: int) -> list[TakenChange]:
    """See `Store.take_status_changes`."""
    taken = [
        TakenChange(execution_id=ExecutionId(row[0]), number=row[1], attempts=row[2], event=unsqueeze(row[3]))
        for row in pool.execute(_TAKE, (most, hidden_ms))
    ]
    return sorted(taken, key=lambda change: (change.execution_id.int, change.number))


def settle_status_changes(pool: Pool, changes: Sequence[TakenChange]) -> None:
    """See `Store.settle_status_changes`."""
    with pool.connection() as connection:
        connection.execute(
            _SETTLE, (uuids([change.execution_id for change in changes]), int4s([change.number for change in changes]))
        )


def notify(pool: Pool, channel: str, payloads: Sequence[str]) -> None:
    """See `Store.notify`."""
    with pool.connection() as connection:
        connection.execute(_NOTIFY, (channel, list(payloads)))
