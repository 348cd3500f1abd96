"""Tags of state machines and activities."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import ResourceNotFound, TooManyTags
from engine.store.library import TAGS_MAX

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from engine.store.postgres.connection import Connection, Pool

TAG = """
insert into asl.tag (resource_arn, key, value) select $1, * from unnest($2::text[], $3::text[])
on conflict (resource_arn, key) do update set value = excluded.value
"""
"""Resource, keys, values."""

UNTAG_WHOLE = "delete from asl.tag where resource_arn = $1"

_UNTAG = "delete from asl.tag where resource_arn = $1 and key = any($2::text[])"
_READ = "select key, value from asl.tag where resource_arn = $1 order by key"

# The row is locked against whoever removes the resource, or counts its tags as well.
_HOLD = """
select 1 from (select arn from asl.state_machine where arn = $1 and status <> 'DELETED' for update) machine
union all
select 1 from (select arn from asl.activity where arn = $1 for update) activity
"""


def tag(pool: Pool, resource_arn: str, tags: Mapping[str, str]) -> None:
    """See `Library.tag`."""
    with pool.connection() as connection, connection.transaction():
        _hold(connection, resource_arn)
        connection.execute(TAG, (resource_arn, list(tags), list(tags.values())))
        if len(connection.execute(_READ, (resource_arn,)).fetchall()) > TAGS_MAX:
            raise TooManyTags(resource_arn)


def untag(pool: Pool, resource_arn: str, keys: Collection[str]) -> None:
    """See `Library.untag`."""
    with pool.connection() as connection, connection.transaction():
        _hold(connection, resource_arn)
        connection.execute(_UNTAG, (resource_arn, list(keys)))


def tags(pool: Pool, resource_arn: str) -> Mapping[str, str]:
    """See `Library.tags`."""
    with pool.connection() as connection, connection.transaction():
        _hold(connection, resource_arn)
        return dict(connection.execute(_READ, (resource_arn,)).fetchall())


def _hold(connection: Connection, resource_arn: str) -> None:
    if not connection.execute(_HOLD, (resource_arn,)).fetchall():
        raise ResourceNotFound.of_tags(resource_arn)
