"""Claims: taking executions that nobody alive owns, and loading those that this worker owns.

A claim is fenced like a group: a claim of a worker that was declared dead would orphan its rows for ever. What was
claimed is read by later statements, mail last: a statement sees the tables as they were when it began, and mail that
the last owner folded meanwhile would come back.

Suspects, the executions of a worker that died, are claimed in shrinking batches, a batch only when the last one is
behind: a first time all at once (most workers die of something else), and if the new owner dies as well, 16, 4 and at
last one at a time. So what kills workers is alone in the end. The rest is free of suspicion at its first checkpoint
after which nothing is left of what was under way when the worker died (`Checkpoint.lost_tasks`).
"""

from __future__ import annotations

import threading
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

import psycopg

from engine.interpreter.snapshot import UnknownFormat
from engine.store.postgres.arrays import byteas, int4s, uuids
from engine.store.postgres.connection import NOW_MS, OWNED_BY_ID, unavailable
from engine.store.postgres.group import encode_missing
from engine.store.postgres.mail import letter, read_mail
from engine.store.postgres.snapshots import READABLE_FORMATS, decode_execution, has_frame_rows, unpack
from engine.store.protocol import ALL_TASKS, HANDLER_RETRY_MS, Claim, Claims, OwnershipLost, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from engine.store.postgres.connection import Row, Session
    from engine.store.postgres.ownership import Ownership
    from engine.store.protocol import ExecutionId, Mail

SUSPECT_BATCHES = (16, 4, 1)
"""How many suspects are claimed at once, by how often they were taken over before: once, twice, more often."""

SUSPICION_SECONDS = 10
"""A batch of suspects is behind when each has a checkpoint or was released, or this worker lived on so long with it."""

_FENCE_ATTEMPTS_MAX = 3
_DIVISION_BY_ZERO = "22012"

# $1 worker, $2 its epoch, $3 pools, $4 formats that can be read, $5 how many or which.
_FENCE = "fence as (select 1 from asl.worker where id = $1 and epoch = $2 and state = 'alive' for share)"
# Unlike clock_timestamp() it is stable, so that an index can be searched for it.
_NOW = "(extract(epoch from statement_timestamp()) * 1000)::bigint"

# Whoever can read all of it takes it: a newer worker.
_READABLE = """o.format = any($4::smallint[])
 and not exists (select from asl.mail x where x.execution_id = any(array[o.id]) and x.format <> all($4::smallint[]))"""
_READY = f"o.quarantine is null and {_READABLE}"
_FREE = f"o.owner is null and {_READY}"
_ORPHANED = f"o.pool = any($3::text[]) and {_READABLE}"

_TAKE = f"""
taken as (
 update asl.open_execution o set owner = $1,
  lost_tasks = case when o.owner is null then o.lost_tasks else {ALL_TASKS} end,
  suspect = case when g.state = 'dead' then least(o.suspect + 1, 100) else o.suspect end,
  deaths = o.deaths + case when g.blamed = o.id then 1 else 0 end
 from (select distinct on (id) id, owner from picked) p left join asl.worker g on g.id = p.owner
 where o.id = any(array[p.id]) returning o.id, o.suspect
)
select {NOW_MS}, 1 / (select count(*) from fence)::int, array(select id from taken),
 array(select id from taken where suspect > 1)
"""

# Set operations take no FOR UPDATE, but what they are made of may. $6: how many chunks of map runs; one that is due is
# not taken for its mail, for its first is that it begins.
_CLAIM = f"""
with {_FENCE},
picked as (
 select * from (
  select o.id, o.owner from asl.worker g, lateral (
   select o.id, o.owner from asl.open_execution o where o.owner = g.id and (o.suspect = 0 or g.state = 'resigned')
   and {_ORPHANED} limit $5 for update skip locked) o
  where g.state <> 'alive' limit $5) orphaned
 union all
 select * from (
  select o.id, o.owner from unnest($3::text[]) p(pool), lateral (
   select o.id, o.owner from asl.open_execution o where o.pool = p.pool and o.is_chunk and {_FREE}
   and o.wake_at <= {_NOW} order by o.wake_at limit $6 for update skip locked) o
  limit $6) chunk
 union all
 select due.id, due.owner from unnest($3::text[]) p(pool), lateral (
  select o.id, o.owner from asl.open_execution o where o.pool = p.pool and not o.is_chunk and {_FREE}
  and o.wake_at <= {_NOW} order by o.wake_at limit $5 for update skip locked) due
 union all
 select * from (
  select o.id, o.owner from (select distinct m.execution_id from asl.mail m) m, lateral (
   select o.id, o.owner from asl.open_execution o where o.id = any(array[m.execution_id])
   and o.pool = any($3::text[]) and coalesce(o.owner is null, false) and {_READY}
   and not (o.is_chunk and o.wake_at <= {_NOW}) for update skip locked) o
  limit $5) mailed
 limit $5
),{_TAKE}
"""

# $6: what this worker has missed itself. The index is searched no further than such executions can be due.
_CLAIM_OFFERED = f"""
with {_FENCE},
picked as (
 select offered.id, offered.owner from unnest($3::text[]) p(pool), lateral (
  select o.id, o.owner from asl.open_execution o where o.pool = p.pool and {_FREE} and o.missing is not null
  and o.wake_at <= {_NOW} + {HANDLER_RETRY_MS} and o.missing <> all($6::bytea[])
  order by o.wake_at limit $5 for update skip locked) offered
 limit $5
),{_TAKE}
"""

_CLAIM_SUSPECTS = f"""
with {_FENCE},
suspects as (
 select o.id, o.owner, o.suspect, row_number() over (partition by o.suspect order by o.id) as number,
  min(o.suspect) over () as least_suspect
 from asl.worker g, lateral (select * from asl.open_execution o where o.owner = g.id offset 0) o
 where g.state = 'dead' and o.suspect > 0 and {_ORPHANED}
),
picked as (
 select o.id, o.owner from suspects s
 join asl.open_execution o on o.id = any(array[s.id]) and coalesce(o.owner = s.owner, false)
 where s.suspect = s.least_suspect and s.number <= ($5::int[])[least(s.suspect, cardinality($5::int[]))]
 for update of o skip locked
),{_TAKE}
"""

_CLAIM_ONE = f"""
with {_FENCE},
picked as (
 select o.id, o.owner from asl.open_execution o where o.id = $5 and o.quarantine is null and {_ORPHANED} and (
  (o.owner is null and (o.wake_at <= {_NOW} or exists (select from asl.mail m where m.execution_id = o.id offset 0)))
  or exists (select from asl.worker g where g.id = o.owner
             and (g.state = 'resigned' or g.state = 'dead' and o.suspect = 0)))
 for update skip locked
),{_TAKE}
"""

_LOAD = f"""
select o.id, o.seq, o.snapshot, e.head, e.revision_id, o.pool, o.deaths, o.lost_tasks, o.wake_at
from unnest($2::uuid[]) u(id) join asl.open_execution o on o.id = any(array[u.id]) and {OWNED_BY_ID}
join asl.execution e on e.id = any(array[u.id])
order by o.wake_at, o.id
"""

# `offset 0`: as a join it is planned to read all of an index, as long as the planner takes the table for empty.
_LOAD_FRAMES = """
select f.execution_id, f.data from unnest($1::uuid[]) u(id), lateral (
 select * from asl.frame f where f.execution_id = u.id offset 0) f
order by f.execution_id, f.fork, f.place
"""

# What nobody can read waits for people, as what the engine fails on does; what a newer worker reads waits for that.
_SET_ASIDE = f"""
update asl.open_execution o set owner = null, lost_tasks = {ALL_TASKS}, quarantine = u.quarantine
from unnest($2::uuid[], $3::int[], $4::bytea[]) u(id, seq, quarantine)
where o.id = any(array[u.id]) and o.seq = u.seq and {OWNED_BY_ID} returning 1
"""

_OWNED = "select id from asl.open_execution where owner = $1"

_NEXT_DUE = """
select min(due.wake_at) from unnest($1::text[]) p(pool), lateral (
 select o.wake_at from asl.open_execution o where o.pool = p.pool and o.owner is null and o.quarantine is null
 and not o.is_chunk and o.wake_at < (1::bigint << 62) - 1 order by o.wake_at limit 1) due
"""

_IS_ALIVE = f"select {NOW_MS} from asl.worker where id = $1 and state = 'alive'"


class Claiming:
    """Claims and loads for one worker over a session of its own; any thread."""

    def __init__(self, session: Session, ownership: Ownership) -> None:
        self._session = session
        self._ownership = ownership
        self._formats = list(READABLE_FORMATS)
        self._lock = threading.Lock()
        self._suspects: dict[UUID, float] = {}
        self._lacking: set[bytes] = set()
        self._suspects_lock = threading.Lock()  # the writer thread clears them while another one claims

    def clear(self, execution_ids: Collection[ExecutionId]) -> None:
        """Says that these have a checkpoint since, or were released: they are suspects of this worker no longer."""
        if self._suspects:
            with self._suspects_lock:
                for execution_id in execution_ids:
                    self._suspects.pop(execution_id, None)

    def lacks(self, missing: Collection[Sequence[str]]) -> None:
        """Says that this worker cannot do what was missed by these: it is not offered to it again."""
        self._lacking.update(map(encode_missing, missing))

    def claim(self, most: int, *, chunks: int, offered: bool) -> Claims:
        """See `DurableStore.claim`."""
        with self._lock:
            row = self._take(_CLAIM, most, chunks)
            ids = row[2]
            left = most - len(ids)
            if offered and left > 0:
                ids += self._take(_CLAIM_OFFERED, left, byteas(list(self._lacking)))[2]
                left = most - len(ids)
            if left > 0 and not self._holds_suspects():
                row = self._take(_CLAIM_SUSPECTS, [min(batch, left) for batch in SUSPECT_BATCHES])
                ids += row[2]
            return Claims(now=row[0], claimed=self._load(ids))

    def claim_one(self, execution_id: ExecutionId) -> Claim | None:
        """See `DurableStore.claim_one`."""
        with self._lock:
            claimed = self._load(self._take(_CLAIM_ONE, execution_id)[2])
        return claimed[0] if claimed else None

    def reload(self, execution_ids: Collection[ExecutionId]) -> Claims:
        """See `DurableStore.reload`."""
        with self._lock:
            claimed = self._load(list(execution_ids))
            return Claims(now=self.check_fence(), claimed=claimed)

    def owned(self) -> Collection[ExecutionId]:
        """See `DurableStore.owned`."""
        found = [row[0] for row in self._session.run(_OWNED, (self._ownership.worker_id,))]
        self.check_fence()
        return found

    def check_fence(self) -> int:
        """The store's clock, if this worker is alive; asked after a read, so that what was read was its own.

        Raises:
            OwnershipLost, StoreUnavailable: See there.
        """
        rows = self._session.run(_IS_ALIVE, (self._ownership.worker_id,))
        if not rows:
            raise OwnershipLost("this worker was declared dead")
        now: int = rows[0][0]
        return now

    def next_due(self) -> int | None:
        """See `DurableStore.next_due`."""
        due: int | None = self._session.run(_NEXT_DUE, (self._ownership.pools,))[0][0]
        return due

    def fetch_mail(self, execution_ids: Collection[ExecutionId]) -> Sequence[Mail]:
        """See `DurableStore.fetch_mail`."""
        found = []
        for row in read_mail(self._session, execution_ids):
            with suppress(UnknownFormat, ValueError):  # it stays, and the next claim or reload sets the execution aside
                found.append(letter(*row))
        return found

    def _take(self, sql: str, *last: object) -> Row:
        """The row of a claiming statement: the clock, 1, the ids claimed, the suspects among them."""
        own = self._ownership
        for _ in range(_FENCE_ATTEMPTS_MAX):
            epoch = own.epoch
            try:
                row = self._session.execute(sql, (own.worker_id, epoch, own.pools, self._formats, *last))[0]
            except psycopg.Error as error:
                if error.sqlstate != _DIVISION_BY_ZERO:
                    raise unavailable(error) from error
                if epoch == own.epoch:
                    self.check_fence()
                    # It is alive: `recover` has raised the epoch, and its answer is on its way, or lost.
                    raise unavailable(error) from error
                continue  # `recover` went by meanwhile
            with self._suspects_lock:
                self._suspects |= dict.fromkeys(row[3], monotonic() + SUSPICION_SECONDS)
            return row
        raise StoreUnavailable("the epoch kept changing during a claim")

    def _holds_suspects(self) -> bool:
        now = monotonic()
        with self._suspects_lock:
            self._suspects = {key: until for key, until in self._suspects.items() if until > now}
            return bool(self._suspects)

    def _load(self, execution_ids: Sequence[UUID]) -> list[Claim]:
        if not execution_ids:
            return []
        run = self._session.run
        rows = run(_LOAD, (self._ownership.worker_id, uuids(execution_ids)))
        with_frames = [row[0] for row in rows if has_frame_rows(row[2])]
        frames: dict[UUID, list[bytes]] = {execution_id: [] for execution_id in with_frames}
        if with_frames:
            for execution_id, data in run(_LOAD_FRAMES, (uuids(with_frames),)):
                frames[execution_id].append(data)
        mail: dict[UUID, list[Row]] = {row[0]: [] for row in rows}
        for row in read_mail(self._session, [row[0] for row in rows]):
            mail[row[1]].append(row)
        claims: list[Claim] = []
        unreadable: list[tuple[UUID, int, bytes | None]] = []
        for row in rows:
            try:
                claims.append(_claim(row, frames.get(row[0], ()), mail[row[0]]))
            except UnknownFormat:
                unreadable.append((row[0], row[1], None))  # of mail that came since it was claimed
            except Exception as error:  # noqa: BLE001  whatever it is, the others of the batch must not wait with it
                text = f"the store holds what this engine cannot read: {error!r}"
                unreadable.append((row[0], row[1], text.encode("utf-8", "backslashreplace")))
        if unreadable:
            columns = tuple(zip(*unreadable, strict=True))
            run(_SET_ASIDE, (self._ownership.worker_id, uuids(columns[0]), int4s(columns[1]), byteas(columns[2])))
        return claims


def _claim(row: Row, frames: Sequence[bytes], mail: Sequence[Row]) -> Claim:
    execution_id, seq, snapshot, head, revision_id, pool, deaths, lost_tasks, wake_at = row
    return Claim(
        execution_id=execution_id,
        seq=seq,
        snapshot=unpack(decode_execution(head), snapshot, frames),
        revision_id=revision_id,
        pool=pool,
        mail=[letter(*one) for one in mail],
        deaths=deaths,
        lost_tasks=lost_tasks,
        wake_at=wake_at,
    )
