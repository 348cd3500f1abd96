"""Starts of executions that nobody owns yet.

They have a name of the caller's, or no worker is at hand, or they are a part of the caller's own transaction. They
never ride in a group: a user's open transaction that holds the same name would stall all executions of the worker.

What to ask and what the answers mean is decided here; who asks, and over which connection, is not: `Steps` are driven
by `start_named` and by `callers_connection`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

import psycopg

from engine.errors import ExecutionAlreadyExists, StateMachineDeleting, StateMachineDoesNotExist
from engine.interpreter.messages import StartRequested
from engine.interpreter.snapshot import FORMAT, Execution, Snapshot
from engine.jsonvalue import encode
from engine.store.postgres.arrays import byteas, int8s, texts, uuids
from engine.store.postgres.connection import NOW_MS
from engine.store.postgres.identity import as_execution_id, input_digest, machine_key, owns_its_name
from engine.store.postgres.snapshots import encode_row, pack_whole
from engine.store.postgres.versions import decode_routing
from engine.store.protocol import ExecutionId, RevisionId, StoreUnavailable
from engine.store.records import drawn

if TYPE_CHECKING:
    from engine.store.postgres.arrays import Parameter
    from engine.store.postgres.connection import Connection, Pool, Row
    from engine.store.protocol import Birth, MachineType

T = TypeVar("T")

PARAMETERS = {
    "id": "uuid",
    "machine": "uuid",
    "revision": "uuid",
    "type": "text",
    "start_time": "bigint",
    "pool": "text",
    "name": "text",
    "head": "bytea",
    "snapshot": "bytea",
    "event": "bytea",
    "arn_name": "text",
    "digest": "bytea",
    "role": "text",
    "number": "integer",
    "alias": "text",
}
"""What stands in braces in a `Query`, with its type: connections write their parameters differently."""


class Query(NamedTuple):
    """A statement, with `{name}` for each of PARAMETERS that it has, and their values."""

    text: str
    values: Mapping[str, Any]


Steps: TypeAlias = Generator[Query, "list[Row]", T]
"""Asks queries one after the other, is sent the rows of each, and returns what came of it."""

# `fresh` has one row when the execution is to be made.
_ROWS = f"""
 born as (insert into asl.execution (id, state_machine_id, revision_id, start_time, pool, name, format, head)
  select {{id}}, {{machine}}, f.revision_id, {{start_time}}, f.pool, {{name}}, {FORMAT}, {{head}} from fresh f
  returning 1),
 opened as (insert into asl.open_execution (id, wake_at, format, pool, seq, snapshot)
  select {{id}}, {NOW_MS}, {FORMAT}, f.pool, 0, {{snapshot}} from fresh f returning 1),
 mailed as (insert into asl.mail (execution_id, id, sent_at, format, event)
  select {{id}}, {{id}}, {NOW_MS}, {FORMAT}, {{event}} from fresh returning 1)
select (select count(*) from fresh)
"""

_UNNAMED = f"""
with fresh as (select {{revision}} as revision_id, {{pool}} as pool
 where not exists (select from asl.execution e where e.id = {{id}})),
{_ROWS}
"""

_NAMED = f"""
with named as (
 insert into asl.execution_name (state_machine_id, name, execution_id, input_digest)
 values ({{machine}}, {{arn_name}}, {{id}}, {{digest}}) on conflict do nothing returning 1
),
fresh as (select {{revision}} as revision_id, {{pool}} as pool from named),
{_ROWS}
"""

# Of many at once; a digest is only there for those with names of the callers'.
_MANY = f"""
with given as materialized (select * from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::bigint[], $5::text[],
  $6::text[], $7::bytea[], $8::bytea[], $9::bytea[], $10::text[], $11::bytea[])
 g(id, machine, revision, start_time, pool, name, head, snapshot, event, arn_name, digest)),
 named as (insert into asl.execution_name (state_machine_id, name, execution_id, input_digest)
  select machine, arn_name, id, digest from given where digest is not null on conflict do nothing
  returning execution_id),
 known as (select e.id from asl.execution e where e.id = any($1::uuid[])),
 fresh as (select g.* from given g where case when g.digest is null then g.id not in (select id from known)
  else g.id in (select execution_id from named) end),
 born as (insert into asl.execution (id, state_machine_id, revision_id, start_time, pool, name, format, head)
  select id, machine, revision, start_time, pool, name, {FORMAT}, head from fresh returning 1),
 opened as (insert into asl.open_execution (id, wake_at, format, pool, seq, snapshot)
  select id, {NOW_MS}, {FORMAT}, pool, 0, snapshot from fresh returning 1),
 mailed as (insert into asl.mail (execution_id, id, sent_at, format, event)
  select id, id, {NOW_MS}, {FORMAT}, event from fresh returning 1)
select id from fresh
"""

# Over a connection of the caller's: the state machine is read there, and nothing is written when it is not.
_DEPLOYED = """
with deployed as (
 select case m.status when 'ACTIVE' then m.type else m.status end as type, r.id as revision_id,
  coalesce({pool}, m.pool) as pool, r.role_arn from asl.state_machine m
 join asl.revision r on r.id = coalesce({revision}, m.revision_id) and r.state_machine_id = m.id
 where m.id = {machine} and m.status <> 'DELETED'
)"""

# Likewise, where a version or an alias is named.
_OF_RELEASE = """
select m.status, {column} from asl.state_machine m left join asl.{table} t on t.state_machine_id = m.id and {condition}
where m.id = {{machine}} and m.status <> 'DELETED'
"""
_VERSION = _OF_RELEASE.format(column="t.revision_id::text", table="version", condition="t.number = {number}")
_ALIAS = _OF_RELEASE.format(column="t.routing", table="alias", condition="t.name = {alias}")

_AS_DRAFTED = "type = {type} and role_arn is not distinct from {role}"

_UNNAMED_WITHIN = f"""
{_DEPLOYED},
fresh as (select * from deployed where {_AS_DRAFTED}),
{_ROWS}, (select type from deployed), (select role_arn from deployed)
"""

_NAMED_WITHIN = f"""
{_DEPLOYED},
named as (
 insert into asl.execution_name (state_machine_id, name, execution_id, input_digest)
 select {{machine}}, {{arn_name}}, {{id}}, {{digest}} from deployed where {_AS_DRAFTED}
 on conflict do nothing returning 1
),
fresh as (select deployed.* from deployed, named),
{_ROWS}, (select type from deployed), (select role_arn from deployed)
"""

_FIND_NAME = """
select n.execution_id::text, n.input_digest = {digest},
 exists (select from asl.open_execution o where o.id = n.execution_id)
from asl.execution_name n where n.state_machine_id = {machine} and n.name = {arn_name}
"""

_HAS_EXECUTION = "select 1 from asl.execution where id = {id} and state_machine_id = {machine}"

_COLUMNS: Mapping[str, Callable[[Sequence[Any]], Parameter]] = {
    **dict.fromkeys(("id", "machine", "revision"), uuids), "start_time": int8s,
    **dict.fromkeys(("pool", "name"), texts), **dict.fromkeys(("head", "snapshot", "event"), byteas),
    "arn_name": texts, "digest": byteas,
}  # fmt: skip
"""Of `_MANY`, in its order."""

_ATTEMPTS_MAX = 3


def start_named(pool: Pool, execution_id: ExecutionId, birth: Birth) -> tuple[ExecutionId, bool]:
    """See `DurableStore.start_named`."""
    with pool.connection() as connection:
        return run(_starting(execution_id, birth), lambda query: _ask(connection, query))


def start_many(pool: Pool, births: Sequence[tuple[ExecutionId, Birth]]) -> list[ExecutionId]:
    """See `DurableStore.start_many`."""
    rows = []
    for execution_id, birth in births:
        values = _values(execution_id, birth.execution, birth.input_text, birth.revision_id, birth.pool)
        if owns_its_name(execution_id, birth.execution.arn):
            rows.append({**values, "digest": None})
        elif as_execution_id(values["arn_name"]) is None:  # else it may be the ARN of one without a name
            rows.append(values)
    rows.sort(key=lambda values: (values["machine"], values["arn_name"]))  # so that nobody waits in a circle
    with pool.connection() as connection:
        try:
            columns = [array([values[name] for values in rows]) for name, array in _COLUMNS.items()]
            return [row[0] for row in connection.execute(_MANY, columns, prepare=True).fetchall()]
        except (UnicodeEncodeError, psycopg.DataError, psycopg.errors.LockNotAvailable):
            return []  # nobody tells which of them it was


def run(steps: Steps[T], ask: Callable[[Query], list[Row]]) -> T:
    """What comes of the steps when each of their queries is asked so."""
    try:
        query = next(steps)
        while True:
            query = steps.send(ask(query))
    except StopIteration as ended:
        result: T = ended.value
        return result


def _ask(connection: Connection, query: Query) -> list[Row]:
    sql, names = numbered(query.text)
    return connection.execute(sql, [query.values[name] for name in names], prepare=True).fetchall()


@lru_cache
def numbered(text: str) -> tuple[str, list[str]]:
    """A query as PostgreSQL takes it, with `$1`, `$2`, ..., and the parameter that each number is."""
    names = [name for name in PARAMETERS if f"{{{name}}}" in text]
    return text.format(**{name: f"${place}::{PARAMETERS[name]}" for place, name in enumerate(names, 1)}), names


def _starting(execution_id: ExecutionId, birth: Birth) -> Steps[tuple[ExecutionId, bool]]:
    execution = birth.execution
    values = _values(execution_id, execution, birth.input_text, birth.revision_id, birth.pool)
    if owns_its_name(execution_id, execution.arn):
        yield Query(_UNNAMED, values)  # the same start again changes nothing
        return execution_id, True
    for _ in range(_ATTEMPTS_MAX):
        yield from _check_spelled(execution, values)
        [(count,)] = yield Query(_NAMED, values)
        found = execution_id if count else (yield from _same(execution_id, execution, values))
        if found is not None:
            return found, found == execution_id
    raise StoreUnavailable(f"{execution.arn}: its name came and went")


def starting_within(
    draft: Callable[[MachineType, str | None], tuple[ExecutionId, Execution, str | None]],
    *,
    type_: MachineType | None,
    revision_id: RevisionId | None,
    pool: str | None,
) -> Steps[tuple[ExecutionId, Execution]]:
    """Starts an execution in whatever transaction the connection is in; it is unowned and due at once.

    One statement, unless the name is taken or the state machine turns out to be Express or to have a role. Nothing that
    is refused here breaks the transaction.

    Args:
        draft: Makes the execution, for a state machine of this type and with this role.
        type_: Of the state machine; looked up when not given.
        revision_id: The newest one when not given.
        pool: The state machine's when not given.

    Returns:
        The execution that has the ARN: this one, or the one that runs with the same name and input.

    Raises:
        ExecutionAlreadyExists: As `DurableStore.start_named`.
        StateMachineDoesNotExist: Not in the connection's database.
    """
    role: str | None = None
    execution_id, execution, input_text = draft(type_ or "STANDARD", role)
    for _ in range(_ATTEMPTS_MAX):
        is_named = not owns_its_name(execution_id, execution.arn)
        values = {**_values(execution_id, execution, input_text, revision_id, pool), "role": role}
        if is_named:
            yield from _check_spelled(execution, values)
        [(count, found_type, found_role)] = yield Query(_NAMED_WITHIN if is_named else _UNNAMED_WITHIN, values)
        if count:
            return execution_id, execution
        if found_type is None:
            raise StateMachineDoesNotExist(execution.state_machine_arn)
        if found_type == "DELETING":
            raise StateMachineDeleting(execution.state_machine_arn)
        if (found_type, found_role) != (execution.type, role):
            role = found_role
            execution_id, execution, input_text = draft(found_type, role)
            continue
        found = yield from _same(execution_id, execution, values)
        if found is not None:
            return found, execution
    raise StoreUnavailable(f"{execution.arn}: its name came and went")


def released_within(
    machine_arn: str, *, version: int | None, alias: str | None, draw: float
) -> Steps[tuple[int, RevisionId]]:
    """The version that a start runs, which it names or an alias leads to: its number and its revision.

    Args:
        machine_arn: Of the state machine.
        version: The number of the version, when that is named.
        alias: The name of the alias otherwise.
        draw: Uniform in [0, 1), for an alias of two versions.

    Raises:
        StateMachineDoesNotExist: Nothing has the ARN that was named.
        StateMachineDeleting: See there.
    """
    named = StateMachineDoesNotExist(f"{machine_arn}:{alias if version is None else version}")
    values: dict[str, Any] = {"machine": machine_key(machine_arn), "alias": alias}
    if version is None:
        routing = yield from _of_release(Query(_ALIAS, values), machine_arn, named)
        version = drawn(decode_routing(routing), draw)
    revision_id = yield from _of_release(Query(_VERSION, {**values, "number": version}), machine_arn, named)
    return version, RevisionId(UUID(revision_id))


def _of_release(query: Query, machine_arn: str, absent: StateMachineDoesNotExist) -> Steps[str]:
    rows = yield query
    if not rows:
        raise absent
    status, text = rows[0]
    if status == "DELETING":
        raise StateMachineDeleting(machine_arn)
    if text is None:
        raise absent
    return str(text)


def _values(
    execution_id: ExecutionId,
    execution: Execution,
    input_text: str | None,
    revision_id: RevisionId | None,
    pool: str | None,
) -> dict[str, Any]:
    return {
        "id": execution_id,
        "machine": machine_key(execution.state_machine_arn),
        "revision": revision_id,
        "type": execution.type,
        "start_time": execution.start_time,
        "pool": pool,
        "name": execution.name,
        "head": encode_row(execution),
        "snapshot": pack_whole(Snapshot(execution=execution)),
        "event": encode_row(StartRequested(input_text)),
        "arn_name": execution.arn.rpartition(":")[2],
        "digest": input_digest(input_text, encode(execution.input)),
    }


def _check_spelled(execution: Execution, values: Mapping[str, Any]) -> Steps[None]:
    """Raises ExecutionAlreadyExists: an execution without a name of its own, whose id the name spells, has that ARN."""
    spelled = as_execution_id(values["arn_name"])
    if spelled is not None and (yield Query(_HAS_EXECUTION, {**values, "id": spelled})):
        raise ExecutionAlreadyExists(execution.arn)


def _same(own: ExecutionId, execution: Execution, values: Mapping[str, Any]) -> Steps[ExecutionId | None]:
    """The execution that has the name, if this start means it; None: nobody has it any more."""
    rows = yield Query(_FIND_NAME, values)
    if not rows:
        return None
    text, has_this_input, is_open = rows[0]
    execution_id = as_execution_id(text)
    assert execution_id is not None, "PostgreSQL spells ids as we do"
    if execution_id == own or (is_open and has_this_input):
        return ExecutionId(execution_id)
    raise ExecutionAlreadyExists(execution.arn)
