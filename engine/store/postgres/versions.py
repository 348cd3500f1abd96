"""Versions and aliases of state machines. Whatever changes one locks the row of its state machine first."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from engine.errors import (
    ConflictException,
    ResourceNotFound,
    ServiceQuotaExceededException,
    StateMachineDeleting,
    StateMachineDoesNotExist,
)
from engine.store.library import ALIASES_MAX, VERSIONS_MAX
from engine.store.postgres.definitions import changing, locked
from engine.store.postgres.identity import machine_key
from engine.store.protocol import RevisionId
from engine.store.records import AliasRecord, VersionRecord, same_alias

if TYPE_CHECKING:
    from engine.store.postgres.connection import Connection, Pool, Row
    from engine.store.records import Routing, StateMachineRecord

_PUBLISH = """
with numbered as (update asl.state_machine set published = published + 1 where id = $1 returning published)
insert into asl.version (state_machine_id, number, revision_id, description, creation_date)
select $1::uuid, published, $2::uuid, $3, $4::bigint from numbered returning number
"""

_VERSION = "number, revision_id, description, creation_date"
_OF_REVISION = f"""
select {_VERSION} from asl.version where state_machine_id = $1 and revision_id = $2 order by number desc limit 1
"""
_VERSIONS = f"""
select {_VERSION} from asl.version where state_machine_id = $1 and ($2::bigint is null or number < $2)
order by number desc limit $3
"""
_READ_VERSION = f"select {_VERSION} from asl.version where state_machine_id = $1 and number = $2"
_COUNT_VERSIONS = "select count(*) from asl.version where state_machine_id = $1"
_DELETE_VERSION = "delete from asl.version where state_machine_id = $1 and number = $2"

_ALIAS = "name, routing, description, creation_date, update_date"
_INSERT_ALIAS = f"""
insert into asl.alias (state_machine_id, {_ALIAS}) values ($1, $2, $3, $4, $5, $6)
"""
_UPDATE_ALIAS = """
update asl.alias set routing = $3, description = $4, update_date = $5 where state_machine_id = $1 and name = $2
"""
_READ_ALIAS = f"select {_ALIAS} from asl.alias where state_machine_id = $1 and name = $2"
# There are not many of one state machine, so which of them lead to a version needs no index.
_ALIASES = f"select {_ALIAS} from asl.alias where state_machine_id = $1 and name > $2 order by name"
_DELETE_ALIAS = "delete from asl.alias where state_machine_id = $1 and name = $2"

_encode = msgspec.json.Encoder().encode
decode_routing = msgspec.json.Decoder(tuple[tuple[int, int], ...]).decode
"""The column `routing` of an alias, as `Routing`."""


def publish_version(
    pool: Pool, machine_arn: str, *, expected: str | None, description: str | None, now: int
) -> VersionRecord:
    """See `Library.publish_version`."""
    key = machine_key(machine_arn)
    with changing(pool) as connection:
        known = locked(connection, machine_arn).record
        if expected is not None and expected != known.revision_name:
            raise ConflictException.of_revision(expected, known.revision_name)
        row = connection.execute(_OF_REVISION, (key, known.revision_id)).fetchone()
        if row is not None:
            return _version(row)
        if connection.execute(_COUNT_VERSIONS, (key,)).fetchall()[0][0] >= VERSIONS_MAX:
            raise ServiceQuotaExceededException("versions", VERSIONS_MAX)
        return publish(connection, known, description, now)


def publish(connection: Connection, machine: StateMachineRecord, description: str | None, now: int) -> VersionRecord:
    """Makes the next version of a state machine that is locked."""
    given = (machine_key(machine.arn), machine.revision_id, description, now)
    number = connection.execute(_PUBLISH, given).fetchall()[0][0]
    return VersionRecord(number=number, revision_id=machine.revision_id, description=description, creation_date=now)


def version(pool: Pool, machine_arn: str, number: int) -> VersionRecord:
    """See `Library.version`."""
    rows = pool.execute(_READ_VERSION, (machine_key(machine_arn), number))
    if not rows:
        raise StateMachineDoesNotExist(f"{machine_arn}:{number}")
    return _version(rows[0])


def versions(pool: Pool, machine_arn: str, *, before: int | None, most: int) -> list[VersionRecord]:
    """See `Library.versions`."""
    return [_version(row) for row in pool.execute(_VERSIONS, (machine_key(machine_arn), before, most))]


def delete_version(pool: Pool, machine_arn: str, number: int) -> None:
    """See `Library.delete_version`."""
    with changing(pool) as connection:
        try:
            locked(connection, machine_arn)
        except (StateMachineDoesNotExist, StateMachineDeleting):
            return  # it has none any more
        referring = [alias.name for alias in _aliases(connection, machine_arn, number)]
        if referring:
            raise ConflictException.of_aliases(referring)
        connection.execute(_DELETE_VERSION, (machine_key(machine_arn), number))


def _version(row: Row) -> VersionRecord:
    number, revision_id, description, creation_date = row
    return VersionRecord(
        number=number, revision_id=RevisionId(revision_id), description=description, creation_date=creation_date
    )


# ── aliases ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def create_alias(pool: Pool, machine_arn: str, alias: AliasRecord) -> AliasRecord:
    """See `Library.create_alias`."""
    key = machine_key(machine_arn)
    with changing(pool) as connection:
        locked(connection, machine_arn)
        row = connection.execute(_READ_ALIAS, (key, alias.name)).fetchone()
        if row is not None:
            there = _alias(row)
            if not same_alias(there, alias):
                raise ConflictException.of_alias()
            return there
        _require_versions(connection, machine_arn, alias.routing)
        if len(_aliases(connection, machine_arn)) >= ALIASES_MAX:
            raise ServiceQuotaExceededException("aliases", ALIASES_MAX)
        routing = _encode(alias.routing).decode()
        given = (alias.name, routing, alias.description, alias.creation_date, alias.update_date)
        connection.execute(_INSERT_ALIAS, (key, *given))
        return alias


def update_alias(
    pool: Pool, machine_arn: str, name: str, *, description: str | None, routing: Routing | None, now: int
) -> AliasRecord:
    """See `Library.update_alias`."""
    key = machine_key(machine_arn)
    with changing(pool) as connection:
        try:
            locked(connection, machine_arn)
        except StateMachineDoesNotExist:
            raise ResourceNotFound from None
        row = connection.execute(_READ_ALIAS, (key, name)).fetchone()
        if row is None:
            raise ResourceNotFound
        alias = replace(_alias(row), update_date=now)
        if description is not None:
            alias = replace(alias, description=description)
        if routing is not None:
            _require_versions(connection, machine_arn, routing)
            alias = replace(alias, routing=routing)
        given = (_encode(alias.routing).decode(), alias.description, alias.update_date)
        connection.execute(_UPDATE_ALIAS, (key, name, *given))
        return alias


def _require_versions(connection: Connection, machine_arn: str, routing: Routing) -> None:
    for number, _ in routing:
        if connection.execute(_READ_VERSION, (machine_key(machine_arn), number)).fetchone() is None:
            raise ResourceNotFound


def alias(pool: Pool, machine_arn: str, name: str) -> AliasRecord:
    """See `Library.alias`."""
    rows = pool.execute(_READ_ALIAS, (machine_key(machine_arn), name))
    if not rows:
        raise ResourceNotFound
    return _alias(rows[0])


def aliases(pool: Pool, machine_arn: str, *, of_version: int | None, after: str, most: int) -> list[AliasRecord]:
    """See `Library.aliases`."""
    with pool.connection() as connection:
        return _aliases(connection, machine_arn, of_version, after)[:most]


def _aliases(
    connection: Connection, machine_arn: str, of_version: int | None = None, after: str = ""
) -> list[AliasRecord]:
    rows = connection.execute(_ALIASES, (machine_key(machine_arn), after)).fetchall()
    found = [_alias(row) for row in rows]
    return [alias for alias in found if of_version is None or of_version in dict(alias.routing)]


def delete_alias(pool: Pool, machine_arn: str, name: str) -> None:
    """See `Library.delete_alias`."""
    with pool.connection() as connection:
        connection.execute(_DELETE_ALIAS, (machine_key(machine_arn), name))


def _alias(row: Row) -> AliasRecord:
    name, routing, description, creation_date, update_date = row
    return AliasRecord(
        name=name,
        routing=decode_routing(routing),
        description=description,
        creation_date=creation_date,
        update_date=update_date,
    )
