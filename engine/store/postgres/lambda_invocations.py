"""Asynchronous invocations of the Lambda emulator: taken by one server at a time, and removed when they are over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.lambda_emulator.invocation_store import Queued
from engine.store.postgres.arrays import uuids

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

    from engine.store.postgres.connection import Pool

_COLUMNS = (
    "id, account_id, region, function_name, qualifier, request_id, trace_id, payload, accepted_at, due_at, attempts, "
    "refusals"
)
_PUT = (
    f"insert into asl.lambda_invocation ({_COLUMNS}) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) "
    "returning 1"
)
_TAKE = f"""
with due as (
 select id, due_at as was from asl.lambda_invocation where region = $1 and due_at <= $2
 order by due_at limit $3 for update skip locked
)
update asl.lambda_invocation i set due_at = $4 from due where i.id = due.id
returning {", ".join(f"i.{name}" for name in _COLUMNS.split(", ")).replace("i.due_at", "due.was")}
"""
_HIDE = "update asl.lambda_invocation i set due_at = $2 from unnest($1::uuid[]) u(id) where i.id = u.id returning 1"
_WAIT = "update asl.lambda_invocation set due_at = $2, attempts = $3, refusals = $4 where id = $1 returning 1"
_END = "delete from asl.lambda_invocation where id = $1 returning 1"
_NEXT = "select min(due_at) from asl.lambda_invocation where region = $1"


class PostgresInvocationStore:
    """See `InvocationStore`. Servers that share a database go by their own clocks."""

    is_remote = True

    def __init__(self, pool: Pool) -> None:
        """The pool is somebody else's to close."""
        self._pool = pool

    def put(self, queued: Queued) -> None:
        """See `InvocationStore`. Raises StoreUnavailable."""
        self._pool.execute(
            _PUT,
            (
                queued.id, queued.account_id, queued.region, queued.function_name, queued.qualifier, queued.request_id,
                queued.trace_id, queued.payload, queued.accepted_at, queued.due_at, queued.attempts, queued.refusals,
            ),
        )  # fmt: skip

    def take(self, region: str, now: int, *, most: int, hidden_until: int) -> list[Queued]:
        """See `InvocationStore`. Raises StoreUnavailable."""
        rows = self._pool.execute(_TAKE, (region, now, most, hidden_until))
        taken = [
            Queued(
                id=row[0], account_id=row[1], region=row[2], function_name=row[3], qualifier=row[4], request_id=row[5],
                trace_id=row[6], payload=bytes(row[7]), accepted_at=row[8], due_at=row[9], attempts=row[10],
                refusals=row[11],
            )
            for row in rows
        ]  # fmt: skip
        return sorted(taken, key=lambda one: one.due_at)

    def hide(self, ids: Collection[UUID], until: int) -> None:
        """See `InvocationStore`. Raises StoreUnavailable."""
        # Sorted: two servers that both believe to have them must not wait for each other.
        self._pool.execute(_HIDE, (uuids(sorted(ids)), until))

    def settle(self, queued: Queued | None, of: UUID) -> None:
        """See `InvocationStore`. Raises StoreUnavailable."""
        if queued is None:
            self._pool.execute(_END, (of,))
        else:
            self._pool.execute(_WAIT, (of, queued.due_at, queued.attempts, queued.refusals))

    def next_due(self, region: str) -> int | None:
        """See `InvocationStore`. Raises StoreUnavailable."""
        due: int | None = self._pool.execute(_NEXT, (region,))[0][0]
        return due
