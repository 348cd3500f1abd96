"""Activities, and their Tasks: offered to whoever polls, and taken once.

An offer is in the row of the Task's token, so that whatever closes the token takes the offer back. `activity_id` stays
when it is taken: no Task is offered twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import TYPE_CHECKING
from uuid import uuid4

import msgspec

from engine.errors import ActivityAlreadyExists, ActivityDoesNotExist
from engine.interpreter.messages import NO_TICKET, TaskStarted
from engine.interpreter.snapshot import FORMAT
from engine.jsonvalue import Json, decode, text
from engine.store.postgres.arrays import byteas, int8s, uuids
from engine.store.postgres.connection import NOW_MS
from engine.store.postgres.identity import activity_key, token_digest
from engine.store.postgres.packing import squeeze, unsqueeze
from engine.store.postgres.snapshots import encode_row
from engine.store.postgres.tags import TAG, UNTAG_WHOLE
from engine.store.protocol import ExecutionId, TakenTask
from engine.store.records import AWS_OWNED_KEY, ActivityRecord

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from engine.store.postgres.connection import Pool
    from engine.store.protocol import Offer

_CREATE = """
insert into asl.activity (id, arn, name, creation_date, encryption) values ($1, $2, $3, $4, $5)
on conflict do nothing returning 1
"""
_DELETE = "delete from asl.activity where id = $1"
_COLUMNS = "arn, name, creation_date, encryption"
_READ = f"select {_COLUMNS} from asl.activity where id = $1"
_COUNT = 'select count(*) from asl.activity where arn collate "C" >= $1 and arn collate "C" < $2'
_LIST = f'select {_COLUMNS} from asl.activity where arn collate "C" > $1 order by arn collate "C" limit $2'

# Sorted by digest: two workers that offer the same Tasks, one of them declared dead, must not wait for each other.
_OFFER = f"""
with offered as (
 update asl.task_token t set activity_id = u.activity, offered_at = u.at, deadline = u.deadline, offer = u.offer
 from (select *, {NOW_MS} as at from unnest($1::bytea[], $2::uuid[], $3::bigint[], $4::bytea[])
  v(digest, activity, deadline, offer) join asl.activity a on a.id = v.activity) u
 where t.digest = u.digest and t.closed_at is null and t.activity_id is null returning 1
)
select a.arn, (select count(*) from offered) from asl.activity a where a.id = any($2::uuid[])
"""

# A token whose Task's time is over is never handed out (execution.md 12). Of one row there is always one, to tell
# whether there is such an activity at all.
_TAKE = f"""
with found as (
 select t.digest, t.offer, {NOW_MS} as at from asl.task_token t
 where t.activity_id = $1 and t.offer is not null and (t.deadline is null or t.deadline > {NOW_MS})
 and exists (select from asl.activity a where a.id = $1)
 and exists (select from asl.open_execution o where o.id = t.execution_id)
 order by t.offered_at, t.execution_id, t.number limit 1 for update of t skip locked
),
taken as (
 update asl.task_token t set offer = null, taken_at = f.at from found f where t.digest = f.digest
 returning t.execution_id, t.fork, t.place, t.number, f.offer, f.at
),
mailed as (
 insert into asl.mail (execution_id, id, sent_at, format, task_id, event)
 select execution_id, $2::uuid, at, {FORMAT}, array[fork, place, number], $3::bytea from taken returning 1
)
select exists (select from asl.activity a where a.id = $1), t.execution_id, t.offer
from (select 1) one left join taken t on true left join mailed on true
"""

_encode_offer = msgspec.json.Encoder().encode
_decode_offer = msgspec.json.Decoder(tuple[str, Json]).decode


def create_activity(pool: Pool, activity: ActivityRecord, tags: Mapping[str, str]) -> ActivityRecord:
    """See `Library.create_activity`."""
    key = activity_key(activity.arn)
    encryption = None if activity.encryption == AWS_OWNED_KEY else text(dict(activity.encryption))
    with pool.connection() as connection, connection.transaction():
        given = (key, activity.arn, activity.name, activity.creation_date, encryption)
        if connection.execute(_CREATE, given).fetchall():
            if tags:
                connection.execute(TAG, (activity.arn, list(tags), list(tags.values())))
            return activity
        row = connection.execute(_READ, (key,)).fetchone()
    # Somebody may have deleted it again in between.
    known = activity if row is None else _record(row)
    if known.encryption != activity.encryption:
        raise ActivityAlreadyExists(activity.arn)
    return known


def delete_activity(pool: Pool, activity_arn: str) -> None:
    """See `Library.delete_activity`."""
    with pool.connection() as connection, connection.transaction():
        connection.execute(_DELETE, (activity_key(activity_arn),))
        connection.execute(UNTAG_WHOLE, (activity_arn,))


def activity(pool: Pool, activity_arn: str) -> ActivityRecord:
    """See `Library.activity`."""
    rows = pool.execute(_READ, (activity_key(activity_arn),))
    if not rows:
        raise ActivityDoesNotExist(activity_arn)
    return _record(rows[0])


def activities(pool: Pool, *, after: str, most: int) -> list[ActivityRecord]:
    """See `Library.activities`."""
    return [_record(row) for row in pool.execute(_LIST, (after, most))]


def count(pool: Pool, within: str) -> int:
    """See `Library.count`."""
    return int(pool.execute(_COUNT, (within, f"{within}\U0010ffff"))[0][0])


def _record(row: Sequence[object]) -> ActivityRecord:
    arn, name, creation_date, encryption = row
    assert isinstance(creation_date, int)
    shown = AWS_OWNED_KEY if encryption is None else decode(str(encryption))
    assert isinstance(shown, Mapping)
    return ActivityRecord(arn=str(arn), name=str(name), creation_date=creation_date, encryption=shown)


def offer_tasks(pool: Pool, offers: Sequence[Offer]) -> Collection[str]:
    """See `DurableStore.offer_tasks`."""
    if not offers:
        return frozenset()
    rows = sorted(((token_digest(offer.task_token), offer) for offer in offers), key=itemgetter(0))
    arrays = (
        byteas([digest for digest, _ in rows]),
        uuids([activity_key(offer.activity_arn) for _, offer in rows]),
        int8s([offer.deadline for _, offer in rows]),
        byteas([squeeze(_encode_offer((offer.task_token, offer.input))) for _, offer in rows]),
    )
    return frozenset(row[0] for row in pool.execute(_OFFER, arrays))


def take_task(pool: Pool, activity_arn: str, worker_name: str | None) -> TakenTask | None:
    """See `DurableStore.take_task`."""
    event = encode_row(TaskStarted(NO_TICKET, worker_name))
    with pool.connection() as connection:
        rows = connection.execute(_TAKE, (activity_key(activity_arn), uuid4(), event), prepare=True).fetchall()
    is_there, execution_id, offer = rows[0]
    if not is_there:
        raise ActivityDoesNotExist(activity_arn)
    if execution_id is None:
        return None
    task_token, given = _decode_offer(unsqueeze(offer))
    return TakenTask(execution_id=ExecutionId(execution_id), task_token=task_token, input=given)
