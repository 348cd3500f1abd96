"""Mail and task tokens: how anybody but its owner reaches an execution."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from uuid import uuid4

import msgspec

from engine.errors import InvalidToken, TaskTimedOut
from engine.interpreter.messages import TaskDone, TaskError, TaskStarted
from engine.interpreter.snapshot import FORMAT
from engine.store.postgres.arrays import byteas, uuids
from engine.store.postgres.connection import NOW_MS
from engine.store.postgres.identity import token_digest
from engine.store.postgres.snapshots import check_format, decode_event, encode_row
from engine.store.protocol import ExecutionId, Mail

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from engine.interpreter.messages import Event, Ticket
    from engine.store.postgres.connection import Pool, Row, Session
    from engine.store.protocol import MailId

# Mail that is there already counts as taken.
_DELIVER = f"""
with sent as (
 insert into asl.mail (execution_id, id, sent_at, format, event)
 select u.execution_id, u.id, {NOW_MS}, {FORMAT}, u.event
 from unnest($1::uuid[], $2::uuid[], $3::bytea[]) u(execution_id, id, event)
 where exists (select from asl.open_execution o where o.id = u.execution_id)
 order by u.execution_id, u.id
 on conflict (execution_id, id) do nothing returning id
)
select id from sent
union all
select u.id from unnest($1::uuid[], $2::uuid[]) u(execution_id, id)
join asl.mail m on m.execution_id = u.execution_id and m.id = u.id
"""

# StartRequested and RedriveRequested have the execution's own id, and are the first of their millisecond.
_READ = """
select m.id, m.execution_id, m.event, m.sent_at, m.task_id, m.format
from unnest($1::uuid[]) u(id) join asl.mail m on m.execution_id = any(array[u.id])
order by m.sent_at, m.id <> m.execution_id, m.id
"""

# The execution must be open, or there is nobody to tell; its row is not locked, see `tables.mail`. An answer comes
# after the TaskStarted of the worker that gives it, be it in the same millisecond.
_TAKE_TOKEN = f"""
with taken as (
 update asl.task_token t set closed_at = {NOW_MS}, offer = null where t.digest = $1 and t.closed_at is null
 and exists (select from asl.open_execution o where o.id = t.execution_id)
 returning t.execution_id, t.fork, t.place, t.number, t.taken_at
)
insert into asl.mail (execution_id, id, sent_at, format, task_id, event)
select execution_id, $2::uuid, greatest({NOW_MS}, taken_at + 1), {FORMAT}, array[fork, place, number],
 $3::bytea from taken
returning execution_id
"""

_HEARTBEAT = f"""
update asl.task_token t set heartbeat_at = {NOW_MS} where t.digest = $1 and t.closed_at is null
and exists (select from asl.open_execution o where o.id = t.execution_id) returning 1
"""

_IS_MINTED = "select 1 from asl.task_token where digest = $1"

_LAST_HEARTBEAT = """
select max(heartbeat_at) from asl.task_token where execution_id = $1 and fork = $2 and place = $3 and number = $4
"""


def deliver(pool: Pool, mail: Sequence[Mail]) -> Collection[MailId]:
    """See `DurableStore.deliver`."""
    if not mail:
        return frozenset()
    ordered = {(letter.execution_id, letter.id): letter for letter in mail}.values()
    arrays = (
        uuids([letter.execution_id for letter in ordered]),
        uuids([letter.id for letter in ordered]),
        byteas([encode_row(letter.event) for letter in ordered]),
    )
    return frozenset(row[0] for row in pool.execute(_DELIVER, arrays))


def read_mail(session: Session, execution_ids: Collection[ExecutionId]) -> list[Row]:
    """Their mail, oldest first, as rows for `letter`; [1] is the execution. Raises StoreUnavailable."""
    return session.run(_READ, (uuids(execution_ids),)) if execution_ids else []


def letter(
    mail_id: MailId, execution_id: ExecutionId, data: bytes, sent_at: int, task_id: list[int] | None, format_: int
) -> Mail:
    """Mail that was read.

    Raises:
        UnknownFormat: A newer engine wrote it.
        ValueError: Nobody did.
    """
    check_format(format_, "mail")
    event = decode_event(data)
    if task_id is not None:
        assert isinstance(event, TaskDone | TaskError | TaskStarted), "only these come by a task token"
        event = msgspec.structs.replace(event, task_id=cast("Ticket", tuple(task_id)))
    return Mail(id=mail_id, execution_id=execution_id, event=event, sent_at=sent_at)


def take_token(pool: Pool, task_token: str, event: Event) -> ExecutionId:
    """See `DurableStore.take_token`."""
    assert isinstance(event, TaskDone | TaskError), "a task token ends its Task"
    digest = token_digest(task_token)
    with pool.connection() as connection:
        rows = connection.execute(_TAKE_TOKEN, (digest, uuid4(), encode_row(event)), prepare=True).fetchall()
        if not rows:
            raise _refusal(connection.execute(_IS_MINTED, (digest,)).fetchone())
    return ExecutionId(rows[0][0])


def heartbeat_token(pool: Pool, task_token: str) -> None:
    """See `DurableStore.heartbeat_token`."""
    digest = token_digest(task_token)
    with pool.connection() as connection:
        if not connection.execute(_HEARTBEAT, (digest,), prepare=True).fetchall():
            raise _refusal(connection.execute(_IS_MINTED, (digest,)).fetchone())


def _refusal(minted: tuple[object, ...] | None) -> InvalidToken | TaskTimedOut:
    return InvalidToken() if minted is None else TaskTimedOut()


def last_heartbeat(pool: Pool, execution_id: ExecutionId, task_id: Ticket) -> int | None:
    """See `DurableStore.last_heartbeat`."""
    found: int | None = pool.execute(_LAST_HEARTBEAT, (execution_id, *task_id))[0][0]
    return found
