"""Starts of executions that nobody owns yet: by a name of the caller's, or because no worker is at hand.

They never ride in a group: a user's open transaction that holds the same name would stall all executions of the worker.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ExecutionAlreadyExists
from engine.interpreter.messages import StartRequested
from engine.interpreter.snapshot import FORMAT, Snapshot
from engine.jsonvalue import encode
from engine.store.postgres.connection import NOW_MS
from engine.store.postgres.identity import as_execution_id, input_digest, machine_key, owns_its_name
from engine.store.postgres.snapshots import encode_row, pack_whole
from engine.store.protocol import ExecutionId, StoreUnavailable

if TYPE_CHECKING:
    from uuid import UUID

    from engine.store.postgres.connection import Connection, Pool
    from engine.store.protocol import Birth

_ROWS = f"""
 born as (insert into asl.execution (id, state_machine_id, revision_id, start_time, pool, name, format, head)
  select $1, $2, $3::uuid, $4::bigint, $5, $6, {FORMAT}, $7::bytea from {{source}} returning 1),
 opened as (insert into asl.open_execution (id, wake_at, format, pool, seq, snapshot)
  select $1, {NOW_MS}, {FORMAT}, $5, 0, $8::bytea from {{source}} returning 1),
 mailed as (insert into asl.mail (execution_id, id, sent_at, format, event)
  select $1, $1, {NOW_MS}, {FORMAT}, $9::bytea from {{source}} returning 1)
"""

_START_NAMED = f"""
with named as (
 insert into asl.execution_name (state_machine_id, name, execution_id, input_digest)
 values ($2::uuid, $10, $1::uuid, $11) on conflict do nothing returning 1
),{_ROWS.format(source="named")}
select count(*) from named
"""

_START_UNNAMED = f"""
with fresh as (select 1 where not exists (select from asl.execution e where e.id = $1::uuid)),
{_ROWS.format(source="fresh")}
select count(*) from fresh
"""

_FIND_NAME = """
select n.execution_id, n.input_digest, exists (select from asl.open_execution o where o.id = n.execution_id)
from asl.execution_name n where n.state_machine_id = $1 and n.name = $2
"""

_HAS_EXECUTION = "select 1 from asl.execution where id = $1 and state_machine_id = $2"

_ATTEMPTS_MAX = 3


def start_named(pool: Pool, execution_id: ExecutionId, birth: Birth) -> tuple[ExecutionId, bool]:
    """See `DurableStore.start_named`."""
    execution = birth.execution
    machine = machine_key(execution.state_machine_arn)
    rows = (
        execution_id,
        machine,
        birth.revision_id,
        execution.start_time,
        birth.pool,
        execution.name,
        encode_row(execution),
        pack_whole(Snapshot(execution=execution)),
        encode_row(StartRequested(birth.input_text)),
    )
    name = execution.arn.rpartition(":")[2]
    digest = input_digest(birth, encode(execution.input))
    with pool.connection() as connection:
        if owns_its_name(execution_id, execution.arn):
            connection.execute(_START_UNNAMED, rows, prepare=True)  # the same start again changes nothing
            return execution_id, True
        chosen = as_execution_id(name)
        if chosen is not None and connection.execute(_HAS_EXECUTION, (chosen, machine)).fetchone():
            raise ExecutionAlreadyExists(execution.arn)  # an execution without a name of its own has that ARN
        for _ in range(_ATTEMPTS_MAX):
            if connection.execute(_START_NAMED, (*rows, name, digest), prepare=True).fetchall()[0][0] == 1:
                return execution_id, True
            found = _find(connection, (machine, name), birth, execution_id, digest)
            if found is not None:
                return found, found == execution_id
    raise StoreUnavailable(f"{execution.arn}: its name came and went")


def _find(
    connection: Connection, key: tuple[UUID, str], birth: Birth, own: ExecutionId, digest: bytes
) -> ExecutionId | None:
    """The execution that has the name, if this start means it; None: nobody has it any more."""
    row = connection.execute(_FIND_NAME, key, prepare=True).fetchone()
    if row is None:
        return None
    execution_id, known_digest, is_open = row
    if execution_id == own or (is_open and known_digest == digest):
        return ExecutionId(execution_id)
    raise ExecutionAlreadyExists(birth.execution.arn)
