"""State machines and their immutable revisions."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg

from engine.errors import StateMachineAlreadyExists, StateMachineDoesNotExist
from engine.store.library import StateMachineRecord
from engine.store.postgres.identity import machine_key
from engine.store.protocol import RevisionId

if TYPE_CHECKING:
    from engine.store.postgres.connection import Connection, Pool, Row

# The machine's row first: it is what two creations at once wait for.
_CREATE = """
with created as (
 insert into asl.state_machine (id, arn, name, type, creation_date, pool, revision_id)
 values ($1::uuid, $2, $3, $4, $5::bigint, $9, $6::uuid) on conflict do nothing returning 1
)
insert into asl.revision (id, state_machine_id, digest, creation_date, definition)
select $6, $1, $7::bytea, $5, $8 from created returning 1
"""

# The same definition again gives the revision that it was; `revised` finds or makes it.
_REVISE = """
with revised as (
 insert into asl.revision (id, state_machine_id, digest, creation_date, definition)
 values ($2::uuid, $1::uuid, $3::bytea, $4::bigint, $5)
 on conflict (state_machine_id, digest) do update set digest = excluded.digest returning id
)
update asl.state_machine m set revision_id = revised.id, pool = $7 from revised
where m.id = $1 and m.type = $6 returning 1
"""

_COLUMNS = "m.arn, m.name, m.type, r.definition, m.creation_date, m.pool, r.id"
_READ = f"select {_COLUMNS} from asl.state_machine m join asl.revision r on r.id = m.revision_id where m.id = $1"
_READ_REVISION = (
    f"select {_COLUMNS} from asl.revision r join asl.state_machine m on m.id = r.state_machine_id where r.id = $1"
)
_LIST = f"""
select {_COLUMNS} from asl.state_machine m join asl.revision r on r.id = m.revision_id
where m.name > $1 order by m.name limit $2
"""


def create_state_machine(pool: Pool, machine: StateMachineRecord) -> StateMachineRecord:
    """See `Library.create_state_machine`."""
    with pool.connection() as connection:
        _create(connection, machine)
        known = _read(connection, machine.arn)
    if (known.definition, known.type) != (machine.definition, machine.type):
        raise StateMachineAlreadyExists(machine.arn)
    return known


def deploy(pool: Pool, machine: StateMachineRecord) -> StateMachineRecord:
    """See `Library.deploy`."""
    with pool.connection() as connection:
        if not _create(connection, machine):
            digest = _digest(machine.definition)
            given = (machine_key(machine.arn), machine.revision_id, digest, machine.creation_date, machine.definition)
            try:
                with connection.transaction():
                    if not connection.execute(_REVISE, (*given, machine.type, machine.pool)).fetchall():
                        raise StateMachineAlreadyExists(machine.arn)
            except psycopg.errors.UniqueViolation:
                # The caller's revision id is taken by another definition of his.
                connection.execute(_REVISE, (given[0], uuid4(), *given[2:], machine.type, machine.pool))
        return _read(connection, machine.arn)


def _create(connection: Connection, machine: StateMachineRecord) -> bool:
    """Whether it is new."""
    given = (machine_key(machine.arn), machine.arn, machine.name, machine.type, machine.creation_date)
    revision = (machine.revision_id, _digest(machine.definition), machine.definition, machine.pool)
    return bool(connection.execute(_CREATE, (*given, *revision)).fetchall())


def _digest(definition: str) -> bytes:
    return hashlib.sha256(definition.encode()).digest()


def state_machine(pool: Pool, arn: str) -> StateMachineRecord:
    """See `Library.state_machine`."""
    with pool.connection() as connection:
        return _read(connection, arn)


def _read(connection: Connection, arn: str) -> StateMachineRecord:
    row = connection.execute(_READ, (machine_key(arn),), prepare=True).fetchone()
    if row is None:
        raise StateMachineDoesNotExist(arn)
    return _record(row)


def state_machines(pool: Pool, *, after: str = "", most: int = 100) -> list[StateMachineRecord]:
    """State machines with their newest revisions, by name; `after`: the last name of the page before."""
    return [_record(row) for row in pool.execute(_LIST, (after, most))]


def revision(pool: Pool, revision_id: RevisionId) -> StateMachineRecord:
    """See `Library.revision`."""
    rows = pool.execute(_READ_REVISION, (revision_id,))
    if not rows:
        raise StateMachineDoesNotExist(f"revision {revision_id}")
    return _record(rows[0])


def _record(row: Row) -> StateMachineRecord:
    arn, name, type_, definition, creation_date, pool, revision_id = row
    return StateMachineRecord(
        arn=arn,
        name=name,
        type=type_,
        definition=definition,
        creation_date=creation_date,
        pool=pool,
        revision_id=RevisionId(revision_id),
    )
