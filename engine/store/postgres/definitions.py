"""State machines and their immutable revisions.

Whatever changes one locks its row first, so that two changes at once go one after the other. A state machine that was
deleted keeps its row, as DELETED, for the executions that name its revisions; created again it is another one, with the
same key.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, cast
from uuid import uuid4

import msgspec

from engine.errors import StateMachineAlreadyExists, StateMachineDeleting, StateMachineDoesNotExist
from engine.jsonvalue import Json
from engine.store.library import NO_TAGS
from engine.store.postgres.connection import NOW_MS
from engine.store.postgres.identity import machine_key
from engine.store.postgres.tags import TAG, UNTAG_WHOLE
from engine.store.protocol import RevisionId, StoreUnavailable
from engine.store.records import StateMachineRecord, same_creation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.store.postgres.connection import Connection, Pool, Row
    from engine.store.records import Changes, Publication

_INSERT = """
insert into asl.state_machine (id, arn, name, type, creation_date, pool, revision_id, status, published)
values ($1::uuid, $2, $3, $4, $5::bigint, $6, $7::uuid, 'DELETED', 0) on conflict do nothing
"""

# The first creation, or the next one after a deletion.
_BEGIN = """
update asl.state_machine set type = $2, creation_date = $3::bigint, pool = $4, revision_id = $5::uuid,
 status = 'ACTIVE', deleted_at = null, published = 0, is_published = $6, version_description = $7 where id = $1
"""

_CHANGE = "update asl.state_machine set revision_id = $2::uuid, pool = $3 where id = $1"

_REVISE = """
insert into asl.revision (id, state_machine_id, creation_date, is_initial, definition, role_arn, configuration)
values ($1::uuid, $2::uuid, $3::bigint, $4, $5, $6, $7) on conflict (id) do nothing returning id
"""

_COLUMNS = """
m.arn, m.name, m.type, m.creation_date, m.pool, m.status, r.id, r.creation_date, r.is_initial, r.definition, r.role_arn,
r.configuration
"""
_NEWEST = f"select {_COLUMNS} from asl.state_machine m join asl.revision r on r.id = m.revision_id"
_READ = f"{_NEWEST} where m.id = $1 and m.status <> 'DELETED'"
_READ_REVISION = (
    f"select {_COLUMNS} from asl.revision r join asl.state_machine m on m.id = r.state_machine_id where r.id = $1"
)
_LOCK = "select status, is_published, version_description from asl.state_machine where id = $1 for update"

_LIST = f"{_NEWEST} where m.arn > $1 and m.arn < $2 and m.status <> 'DELETED' order by m.arn limit $3"

_COUNT = "select count(*) from asl.state_machine where arn >= $1 and arn < $2 and status <> 'DELETED'"

_DELETING = "select arn, deleted_at from asl.state_machine where status = 'DELETING'"

_DELETE = f"""
update asl.state_machine set status = 'DELETING', deleted_at = {NOW_MS} where id = $1 and status = 'ACTIVE'
"""
_DELETE_PARTS = (
    "delete from asl.alias where state_machine_id = $1",
    "delete from asl.version where state_machine_id = $1",
)

GONE = f"""
update asl.state_machine m set status = 'DELETED', deleted_at = {NOW_MS}
where m.status = 'DELETING' and ($1::uuid is null or m.id = $1) and not exists (
 select from asl.execution e join asl.open_execution o on o.id = e.id where e.state_machine_id = m.id)
"""
"""Ends the deletion of state machines without open executions: of one, or (null) of all."""

# A start may still be on its way that read the row before it was deleted.
FORGET = f"""
with gone as (delete from asl.state_machine m where m.status = 'DELETED' and m.deleted_at < {NOW_MS} - 3600000
 and not exists (select from asl.execution e where e.state_machine_id = m.id) returning m.id)
delete from asl.revision r using gone g where r.state_machine_id = g.id
"""
"""Removes what is left of state machines that are deleted, when no execution names it any more."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, dict[str, Json]]).decode

_ATTEMPTS_MAX = 3


class Locked(NamedTuple):
    """A state machine that nobody else changes until the transaction ends."""

    record: StateMachineRecord
    is_published: bool
    version_description: str | None


@contextmanager
def changing(pool: Pool) -> Iterator[Connection]:
    """A connection in a transaction."""
    with pool.connection() as connection, connection.transaction():
        yield connection


def locked(connection: Connection, arn: str) -> Locked:
    """Locks a state machine. Raises StateMachineDoesNotExist, StateMachineDeleting."""
    row = _lock(connection, arn)
    if row is None or row[0] == "DELETED":
        raise StateMachineDoesNotExist(arn)
    return _active(connection, arn, row)


def _lock(connection: Connection, arn: str) -> Row | None:
    return connection.execute(_LOCK, (machine_key(arn),)).fetchone()


def _active(connection: Connection, arn: str, row: Row) -> Locked:
    status, is_published, version_description = row
    if status == "DELETING":
        raise StateMachineDeleting(arn)
    return Locked(_read(connection, arn), is_published, version_description)


def create_state_machine(
    pool: Pool,
    machine: StateMachineRecord,
    *,
    publication: Publication | None = None,
    tags: Mapping[str, str] = NO_TAGS,
) -> StateMachineRecord:
    """See `Library.create_state_machine`."""
    with changing(pool) as connection:
        known = _taken(connection, machine)
        if known is None:
            return _begin(connection, machine, publication, tags)
    description = None if publication is None else publication.description
    is_same = (known.is_published, known.version_description) == (publication is not None, description)
    if not is_same or not same_creation(known.record, machine):
        raise StateMachineAlreadyExists(machine.arn)
    return known.record


def deploy(pool: Pool, machine: StateMachineRecord) -> StateMachineRecord:
    """See `Library.deploy`."""
    with changing(pool) as connection:
        known = _taken(connection, machine)
        if known is None:
            return _begin(connection, machine, None, NO_TAGS)
        if known.record.type != machine.type:
            raise StateMachineAlreadyExists(machine.arn)
        given = replace(known.record, definition=machine.definition, pool=machine.pool)
        if given.definition != known.record.definition:
            given = replace(given, revision_id=machine.revision_id)
            given = _new_revision(connection, given, now=machine.creation_date, is_initial=False)
        connection.execute(_CHANGE, (machine_key(machine.arn), given.revision_id, given.pool))
        return given


def _taken(connection: Connection, machine: StateMachineRecord) -> Locked | None:
    """The state machine with this ARN; None: there is none, and its row is ours to begin one in.

    Raises:
        StateMachineDeleting: See there.
    """
    key = machine_key(machine.arn)
    given = (key, machine.arn, machine.name, machine.type, machine.creation_date, machine.pool, machine.revision_id)
    for _ in range(_ATTEMPTS_MAX):
        connection.execute(_INSERT, given)
        row = _lock(connection, machine.arn)
        if row is not None:  # else its row, which was there, has just gone
            return None if row[0] == "DELETED" else _active(connection, machine.arn, row)
    raise StoreUnavailable(f"{machine.arn}: its row came and went")


def _begin(
    connection: Connection, machine: StateMachineRecord, publication: Publication | None, tags: Mapping[str, str]
) -> StateMachineRecord:
    from engine.store.postgres.versions import publish

    key = machine_key(machine.arn)
    machine = _new_revision(connection, machine, now=machine.creation_date, is_initial=True)
    description = None if publication is None else publication.description
    given = (machine.type, machine.creation_date, machine.pool, machine.revision_id, publication is not None)
    connection.execute(_BEGIN, (key, *given, description))
    if publication is not None:
        publish(connection, machine, publication.description, machine.creation_date)
    if tags:
        connection.execute(TAG, (machine.arn, list(tags), list(tags.values())))
    return machine


def update_state_machine(
    pool: Pool, arn: str, changes: Changes, *, revision_id: RevisionId, now: int
) -> StateMachineRecord:
    """See `Library.update_state_machine`."""
    with changing(pool) as connection:
        known = locked(connection, arn).record
        given = replace(known, **changes)
        if given == known:
            return known
        given = _new_revision(connection, replace(given, revision_id=revision_id), now=now, is_initial=False)
        connection.execute(_CHANGE, (machine_key(arn), given.revision_id, given.pool))
        return given


def _new_revision(
    connection: Connection, record: StateMachineRecord, *, now: int, is_initial: bool
) -> StateMachineRecord:
    record = replace(record, is_initial=is_initial, revision_date=now)
    configuration = {"logging": record.logging, "tracing": record.tracing, "encryption": record.encryption}
    told = _encode(configuration).decode()
    given = (machine_key(record.arn), now, is_initial, record.definition, record.role_arn, told)
    if not connection.execute(_REVISE, (record.revision_id, *given)).fetchall():
        # The caller's id is taken: he deploys a definition again, after another one.
        record = replace(record, revision_id=RevisionId(uuid4()))
        connection.execute(_REVISE, (record.revision_id, *given))
    return record


def delete_state_machine(pool: Pool, arn: str) -> None:
    """See `Library.delete_state_machine`."""
    key = machine_key(arn)
    with changing(pool) as connection:
        if connection.execute(_DELETE, (key,)).rowcount:
            for statement in _DELETE_PARTS:
                connection.execute(statement, (key,))
            connection.execute(UNTAG_WHOLE, (arn,))
    finish_deletion(pool, arn)  # by itself: it may take a while, and a start must not wait for it


def finish_deletion(pool: Pool, arn: str) -> None:
    """See `Library.finish_deletion`."""
    with pool.connection() as connection:
        connection.execute(GONE, (machine_key(arn),))


def deleting(pool: Pool) -> Mapping[str, int]:
    """See `Library.deleting`."""
    return dict(pool.execute(_DELETING))


def state_machine(pool: Pool, arn: str) -> StateMachineRecord:
    """See `Library.state_machine`."""
    with pool.connection() as connection:
        return _read(connection, arn)


def _read(connection: Connection, arn: str) -> StateMachineRecord:
    row = connection.execute(_READ, (machine_key(arn),), prepare=True).fetchone()
    if row is None:
        raise StateMachineDoesNotExist(arn)
    return _record(row)


def state_machines(pool: Pool, *, within: str, after: str, most: int) -> list[StateMachineRecord]:
    """See `Library.state_machines`."""
    return [_record(row) for row in pool.execute(_LIST, (max(within, after), f"{within}\U0010ffff", most))]


def count(pool: Pool, within: str) -> int:
    """See `Library.count`."""
    return int(pool.execute(_COUNT, (within, f"{within}\U0010ffff"))[0][0])


def revision(pool: Pool, revision_id: RevisionId) -> StateMachineRecord:
    """See `Library.revision`."""
    rows = pool.execute(_READ_REVISION, (revision_id,))
    if not rows:
        raise StateMachineDoesNotExist(f"revision {revision_id}")
    return _record(rows[0])


def _record(row: Row) -> StateMachineRecord:
    (arn, name, type_, creation_date, pool, status, revision_id, revision_date, is_initial, definition, role_arn,
     configuration) = row  # fmt: skip
    record = StateMachineRecord(
        arn=arn,
        name=name,
        type=type_,
        definition=definition,
        creation_date=creation_date,
        revision_id=RevisionId(revision_id),
        pool=pool,
        status="ACTIVE" if status == "ACTIVE" else "DELETING",
        role_arn=role_arn,
        is_initial=is_initial,
        revision_date=revision_date,
    )
    return record if configuration is None else replace(record, **cast("Changes", _decode(configuration)))
