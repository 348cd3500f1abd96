"""The group as one data-modifying statement: what it says, and the arrays that it is sent with.

Every part (a CTE) is there only when there is something for it, so a lone checkpoint pays for what it does; each
combination of parts is one prepared statement. All arrays are sorted by execution. Each part that changes rows which
the writer believes to be his counts them, and the last select divides by whether the count is right: a fence that is
gone, or a row that is not ours at its `seq`, is a division by zero, which rolls everything back.

The parts of a statement see the tables as they were before it. So nothing may depend on what another part did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec

from engine.interpreter.messages import StartRequested, Ticket
from engine.interpreter.snapshot import FORMAT, Execution, FrameKey, Redrives, Snapshot
from engine.jsonvalue import encode
from engine.store.postgres.arrays import Parameter, byteas, int4, int4s, int8s, texts, uuid, uuids
from engine.store.postgres.connection import NOW_MS, OWNED_BY_ID
from engine.store.postgres.identity import input_digest, machine_key, owns_its_name, token_digest
from engine.store.postgres.packing import squeeze
from engine.store.postgres.snapshots import IS_READABLE, encode_row, pack_transition, pack_whole
from engine.store.protocol import ALL_TASKS, Birth, ExecutionId, MailId, StatusChange

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from engine.interpreter.snapshot import Ending, Transition
    from engine.store.protocol import Checkpoint, Release

KEPT_BYTES_MAX = 64 << 20
"""Of the last snapshot of what did not succeed. A larger one, of a Map with thousands of large results, is not kept."""

_INT4_MAX = (1 << 31) - 1

STILL_OWNED = -1
"""In place of a checkpoint's time of release: it is not released."""


class Closing(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What an ending writes: `kept` is the last snapshot of one that can be redriven."""

    status: str
    listed_by: str
    data: bytes
    time: int
    last_event_id: int
    redrives: Redrives
    kept: bytes | None


class Newborn(msgspec.Struct, frozen=True, gc=False):
    """An execution that begins with somebody else's checkpoint, in the bytes of its rows."""

    id: ExecutionId
    birth: Birth
    head: bytes
    snapshot: bytes
    event: bytes
    wake_at: int


class Written(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A checkpoint in the bytes of its rows. `segment`: (first event id, data).

    A Struct, as these are made for every checkpoint: a frozen dataclass of so many fields takes 3 us.
    """

    id: ExecutionId
    seq: int
    wake_at: int
    execution: Execution
    birth: Birth | None
    head: bytes
    snapshot: bytes
    segment: tuple[int, bytes] | None
    closing: Closing | None
    frames_put: Sequence[tuple[FrameKey, bytes]]
    frames_gone: Sequence[FrameKey]
    drops_frames: bool
    mail: Sequence[MailId]
    tokens_opened: Sequence[tuple[bytes, Ticket]] = ()
    tokens_closed: Sequence[bytes] = ()
    lost_tasks: int | None = None
    status_changes: Sequence[StatusChange] = ()
    sent: Sequence[tuple[ExecutionId, MailId, bytes]] = ()
    newborn: Sequence[Newborn] = ()

    @property
    def size(self) -> int:
        """Bytes to be sent, without what is small."""
        closing, segment = self.closing, self.segment
        ending = 0 if closing is None else len(closing.data) + len(closing.kept or b"")
        frames = sum([len(data) for _, data in self.frames_put]) if self.frames_put else 0
        told = sum([len(change.event) for change in self.status_changes]) if self.status_changes else 0
        told += sum([len(event) for _, _, event in self.sent]) if self.sent else 0
        told += sum([len(child.head) for child in self.newborn]) if self.newborn else 0
        return (
            len(self.head) + len(self.snapshot) + (0 if segment is None else len(segment[1])) + ending + frames + told
        )


def write(checkpoint: Checkpoint) -> Written:
    """A checkpoint as bytes.

    Raises:
        ValueError, TypeError, RecursionError: Data that no JSON text and no UTF-8 can hold.
        OverflowError: A number that is too large for its column.
        ValueError: Also a birth without a name whose ARN somebody else may have.
    """
    transition, birth, execution = checkpoint.transition, checkpoint.birth, checkpoint.snapshot.execution
    if birth is not None:
        _check_birth(checkpoint.execution_id, birth)
    if max(checkpoint.seq, transition.counter, transition.first_event_id + len(transition.history)) > _INT4_MAX:
        raise OverflowError(f"more than {_INT4_MAX} checkpoints, events or tickets")
    closing = None if transition.ending is None else _closing(checkpoint, transition.ending)
    packed = pack_transition(checkpoint.snapshot, transition)
    opened, closed = _tokens(checkpoint) if checkpoint.tokens_opened or checkpoint.tokens_closed else ((), ())
    return Written(
        id=checkpoint.execution_id,
        seq=checkpoint.seq,
        wake_at=STILL_OWNED if checkpoint.release is None else checkpoint.release,
        execution=execution,
        birth=birth,
        head=b"" if birth is None else encode_row(execution),
        snapshot=packed.snapshot,
        segment=_segment(transition) if transition.history else None,
        closing=closing,
        frames_put=() if closing else packed.put,
        frames_gone=() if closing else packed.gone,
        drops_frames=packed.had_rows if closing else packed.drop,
        mail=checkpoint.mail,
        tokens_opened=opened,
        tokens_closed=closed,
        lost_tasks=checkpoint.lost_tasks,
        status_changes=checkpoint.status_changes,
        sent=[(mail.execution_id, mail.id, encode_row(mail.event)) for mail in checkpoint.sent],
        newborn=[_newborn(*one, is_kept=checkpoint.keeps_born) for one in checkpoint.born],
    )


def _check_birth(execution_id: ExecutionId, birth: Birth) -> None:
    execution = birth.execution
    if not birth.is_named and not owns_its_name(execution_id, execution.arn):
        raise ValueError(f"{execution.arn}: without a name its ARN ends in its id {execution_id}")
    for text in (birth.pool, execution.name, execution.state_machine_arn):
        text.encode()


def _newborn(execution_id: ExecutionId, birth: Birth, *, is_kept: bool) -> Newborn:
    assert not birth.is_named, "a name may have to be waited for"
    _check_birth(execution_id, birth)
    snapshot = pack_whole(Snapshot(execution=birth.execution))
    event = encode_row(StartRequested(birth.input_text))
    wake_at = STILL_OWNED if is_kept else birth.execution.start_time
    return Newborn(execution_id, birth, encode_row(birth.execution), snapshot, event, wake_at)


def _tokens(checkpoint: Checkpoint) -> tuple[list[tuple[bytes, Ticket]], list[bytes]]:
    # A token that was minted and given up within one advance was never seen by anybody.
    unborn = {token for token, _ in checkpoint.tokens_opened}.intersection(checkpoint.tokens_closed)
    opened = [(token_digest(token), task_id) for token, task_id in checkpoint.tokens_opened if token not in unborn]
    return opened, [token_digest(token) for token in checkpoint.tokens_closed if token not in unborn]


def _segment(transition: Transition) -> tuple[int, bytes]:
    return transition.first_event_id, encode_row(transition.segment())


def _closing(checkpoint: Checkpoint, ending: Ending) -> Closing:
    before, transition = checkpoint.snapshot, checkpoint.transition
    kept = None
    if before.execution.keeps_frames(ending.status):
        after = Snapshot(execution=before.execution, frames=dict(before.frames))
        after.apply(transition)
        packed = pack_whole(after)
        kept = packed if len(packed) <= KEPT_BYTES_MAX else None
    return Closing(
        status=ending.status,
        listed_by=before.execution.listed_by,
        data=encode_row(ending),
        time=transition.now,
        last_event_id=transition.first_event_id + len(transition.history) - 1,
        redrives=transition.redrives,
        kept=kept,
    )


# ── the statement ───────────────────────────────────────────────────────────────────────────────────────────────────

_FENCE = "fence as (select 1 from asl.worker where id = $1 and epoch = $2 and state = 'alive'{after} for share)"
# A name may have to be waited for, and a renewal waits for the fence.
_AFTER_NAMES = " and (select count(*) from named) >= 0"

_MOVED = f"""seq = u.seq, snapshot = u.snapshot, format = {FORMAT}, missing = null,
 owner = case when u.wake_at < 0 then o.owner end,
 wake_at = case when u.wake_at < 0 then o.wake_at else u.wake_at end"""

# Mail that only a newer worker reads does not keep an execution here. Here and below, `offset 0` keeps the planner from
# making a join of it: for that it reads the whole index, as long as it takes the table for empty.
_HAS_MAIL = f"exists (select from asl.mail m where m.execution_id = o.id and m.format {IS_READABLE} offset 0)"

# Text of each part, with a `?` for each of its arrays. `counted`: the part must touch as many rows as its first array
# has.
_PARTS: dict[str, str] = {
    "named": """insert into asl.execution_name (state_machine_id, name, execution_id, input_digest)
 select * from unnest(?::uuid[], ?::text[], ?::uuid[], ?::bytea[]) on conflict do nothing returning 1""",
    "born": f"""insert into asl.execution (id, state_machine_id, revision_id, start_time, pool, name, head, format)
 select *, {FORMAT} from unnest(?::uuid[], ?::uuid[], ?::uuid[], ?::bigint[], ?::text[], ?::text[], ?::bytea[])
 returning 1""",
    "opened": f"""insert into asl.open_execution (id, wake_at, format, owner, pool, seq, snapshot, is_chunk)
 select id, greatest(wake_at, 0), {FORMAT}, case when wake_at < 0 then $1::uuid end, pool, seq, snapshot, chunk = 1
 from unnest(?::uuid[], ?::bigint[], ?::text[], ?::int[], ?::bytea[], ?::int[])
 u(id, wake_at, pool, seq, snapshot, chunk) returning 1""",
    "moved": f"""update asl.open_execution o set {_MOVED}, suspect = 0, deaths = 0, lost_tasks = null
 from unnest(?::uuid[], ?::int[], ?::bigint[], ?::bytea[]) u(id, seq, wake_at, snapshot)
 where o.id = any(array[u.id]) and o.seq = u.seq - 1 and {OWNED_BY_ID} returning 1""",
    "moved_suspect": f"""update asl.open_execution o set {_MOVED}, lost_tasks = u.lost_tasks
 from unnest(?::uuid[], ?::int[], ?::bigint[], ?::bytea[], ?::int[]) u(id, seq, wake_at, snapshot, lost_tasks)
 where o.id = any(array[u.id]) and o.seq = u.seq - 1 and {OWNED_BY_ID} returning 1""",
    "closed": f"""delete from asl.open_execution o using unnest(?::uuid[], ?::int[]) u(id, seq)
 where o.id = any(array[u.id]) and o.seq = u.seq - 1 and {OWNED_BY_ID} returning 1""",
    "ended": f"""insert into asl.closed_execution (execution_id, stop_time, seq, last_event_id, redrive_count,
 redrive_time, status, ending, state_machine_id, snapshot, format)
 select *, {FORMAT} from unnest(?::uuid[], ?::bigint[], ?::int[], ?::int[],
 ?::int[], ?::bigint[], ?::text[], ?::bytea[], ?::uuid[], ?::bytea[])
 u(id, stop_time, seq, last_event_id, redrive_count, redrive_time, status, ending, machine, snapshot) returning 1""",
    "called": f"""insert into asl.mail (execution_id, id, sent_at, format, event)
 select id, id, {NOW_MS}, {FORMAT}, event from unnest(?::uuid[], ?::bytea[]) u(id, event) returning 1""",
    "sent": f"""insert into asl.mail (execution_id, id, sent_at, format, event)
 select u.execution_id, u.id, {NOW_MS}, {FORMAT}, u.event
 from unnest(?::uuid[], ?::uuid[], ?::bytea[]) u(execution_id, id, event)
 where exists (select from asl.open_execution o where o.id = u.execution_id offset 0)
 on conflict (execution_id, id) do nothing returning 1""",
    "unmailed": """delete from asl.mail m using unnest(?::uuid[]) u(id)
 where m.execution_id = any(array[u.id]) returning 1""",
    "told": f"""insert into asl.history_segment (execution_id, first_event_id, data, format)
 select *, {FORMAT} from unnest(?::uuid[], ?::int[], ?::bytea[]) returning 1""",
    "frames_put": """insert into asl.frame as f (execution_id, fork, place, data)
 select * from unnest(?::uuid[], ?::int[], ?::int[], ?::bytea[])
 on conflict (execution_id, fork, place) do update set data = excluded.data returning 1""",
    "frames_gone": """delete from asl.frame f using unnest(?::uuid[], ?::int[], ?::int[]) u(id, fork, place)
 where f.execution_id = any(array[u.id]) and f.fork = u.fork and f.place = u.place returning 1""",
    "frames_dropped": """delete from asl.frame f using unnest(?::uuid[]) u(id)
 where f.execution_id = any(array[u.id]) returning 1""",
    "folded": """delete from asl.mail m using unnest(?::uuid[], ?::uuid[]) u(execution_id, id)
 where m.execution_id = any(array[u.execution_id]) and m.id = any(array[u.id]) returning 1""",
    "minted": """insert into asl.task_token (digest, execution_id, fork, place, number)
 select * from unnest(?::bytea[], ?::uuid[], ?::int[], ?::int[], ?::int[]) returning 1""",
    "killed": f"""update asl.task_token t set closed_at = {NOW_MS}, offer = null from unnest(?::bytea[]) u(digest)
 where t.digest = any(array[u.digest]) and t.closed_at is null returning 1""",
    "announced": f"""insert into asl.status_change (execution_id, number, due_at, format, event)
 select execution_id, number, {NOW_MS}, {FORMAT}, event from unnest(?::uuid[], ?::int[], ?::bytea[])
 u(execution_id, number, event) returning 1""",
    "kept": f"""select o.id from unnest(?::uuid[], ?::int[], ?::bytea[]) u(id, seq, quarantine)
 join asl.open_execution o on o.id = any(array[u.id]) and o.seq = u.seq and {OWNED_BY_ID}
 where u.quarantine is null and {_HAS_MAIL}""",
    "let_go": f"""update asl.open_execution o set owner = null, wake_at = u.wake_at, missing = u.missing,
 quarantine = u.quarantine, lost_tasks = case when u.quarantine is null then o.lost_tasks else {ALL_TASKS} end
 from unnest(?::uuid[], ?::int[], ?::bigint[], ?::bytea[], ?::bytea[]) u(id, seq, wake_at, missing, quarantine)
 where o.id = any(array[u.id]) and o.seq = u.seq and {OWNED_BY_ID}
 and (u.quarantine is not null or not {_HAS_MAIL}) returning 1""",
}

_COUNTED = ("named", "moved", "moved_suspect", "closed", "killed")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement and its parameters; its one row is `(the store's clock, ids of releases that were kept)`."""

    sql: str
    parameters: Sequence[Parameter]


def statement(
    worker_id: UUID,
    epoch: int,
    checkpoints: Sequence[Written],
    releases: Sequence[Release],
    *,
    is_rehearsal: bool = False,
) -> Statement:
    """The statement that writes these checkpoints, sorted by execution, and releases.

    Args:
        is_rehearsal: It does everything and then fails with a division by zero, unless the data make it fail before.
    """
    arrays = _arrays(checkpoints, releases)
    sql = _sql(tuple((part, len(given)) for part, given in arrays.items()), is_rehearsal)
    return Statement(sql, [uuid(worker_id), int4(epoch), *(array for given in arrays.values() for array in given)])


@lru_cache(maxsize=4_096)
def _sql(parts: tuple[tuple[str, int], ...], is_rehearsal: bool) -> str:
    place = 2
    has_names = any(part == "named" for part, _ in parts)
    ctes, checks = [_FENCE.format(after=_AFTER_NAMES if has_names else "")], ["1 / (select count(*) from fence)::int"]
    first: dict[str, int] = {}
    for part, count in parts:
        first[part] = place + 1
        pieces = _PARTS[part].split("?")
        assert len(pieces) == count + 1, part
        text = pieces[0] + "".join(f"${place + number}{piece}" for number, piece in enumerate(pieces[1:], 1))
        place += count
        ctes.append(f"{part} as ({text})")
        if part in _COUNTED:
            checks.append(f"1 / ((select count(*) from {part}) = cardinality(${first[part]}))::int")
        elif part not in ("kept", "let_go"):
            checks.append(f"(select count(*) from {part})")
    kept = "null"
    if "let_go" in first:
        kept = "array(select id from kept)"
        given = f"cardinality(${first['let_go']})"
        checks.append(f"1 / ((select count(*) from kept) + (select count(*) from let_go) = {given})::int")
    if is_rehearsal:
        checks.append("1 / (select count(*) from fence where false)::int")
    if has_names:
        ctes[:2] = ctes[1::-1]  # an expression sees those before it
    return f"with {', '.join(ctes)} select {NOW_MS}, {kept}, {', '.join(checks)}"


def _arrays(checkpoints: Sequence[Written], releases: Sequence[Release]) -> dict[str, list[Any]]:
    """The arrays of each part that has something to do, by part."""
    arrays: dict[str, list[Any]] = {}
    born = [c for c in checkpoints if c.birth is not None]
    newborn = [child for c in checkpoints for child in c.newborn]
    named = [c for c in born if c.birth is not None and c.birth.is_named]
    if named:
        arrays["named"] = _named(named)
    if born or newborn:
        arrays["born"] = _born([(c.id, c.birth, c.head) for c in born if c.birth is not None]
                               + [(child.id, child.birth, child.head) for child in newborn])  # fmt: skip
    opened = [(c.id, c.wake_at, c.birth.pool, c.seq, c.snapshot, 0) for c in born if c.closing is None and c.birth]
    opened += [(c.id, c.wake_at, c.birth.pool, 0, c.snapshot, int(c.birth.is_chunk)) for c in newborn]
    if opened:
        ids, wake_ats, pools, seqs, snapshots, chunks = zip(*opened, strict=True)
        arrays["opened"] = [uuids(ids), int8s(wake_ats), texts(pools), int4s(seqs), byteas(snapshots), int4s(chunks)]
    if newborn:
        arrays["called"] = [uuids([child.id for child in newborn]), byteas([child.event for child in newborn])]
    moved = [c for c in checkpoints if c.birth is None and c.closing is None]
    suspects = [c for c in moved if c.lost_tasks is not None]
    if suspects:
        arrays["moved_suspect"] = [*_moved(suspects), int4s([c.lost_tasks for c in suspects])]
        moved = [c for c in moved if c.lost_tasks is None]
    if moved:
        arrays["moved"] = _moved(moved)
    ended = [c for c in checkpoints if c.closing is not None]
    if ended:
        arrays["ended"] = _ended(ended)
    closed = [c for c in ended if c.birth is None]
    if closed:
        arrays["closed"] = [uuids([c.id for c in closed]), int4s([c.seq for c in closed])]
        arrays["unmailed"] = [uuids([c.id for c in closed])]
    for part, make in _SPARSE.items():
        given = make(checkpoints)
        if given is not None:
            arrays[part] = given
    if releases:
        _releases(arrays, releases)
    return arrays


def _born(born: list[tuple[ExecutionId, Birth, bytes]]) -> list[Any]:
    """Arrays of (id, birth, head)."""
    births = [birth for _, birth, _ in born]
    about = [birth.execution for birth in births]
    return [
        uuids([execution_id for execution_id, _, _ in born]),
        uuids([machine_key(execution.listed_by) for execution in about]),
        uuids([birth.revision_id for birth in births]),
        int8s([execution.start_time for execution in about]),
        texts([birth.pool for birth in births]),
        texts([execution.name for execution in about]),
        byteas([head for _, _, head in born]),
    ]


def _moved(moved: list[Written]) -> list[Any]:
    return [
        uuids([c.id for c in moved]),
        int4s([c.seq for c in moved]),
        int8s([c.wake_at for c in moved]),
        byteas([c.snapshot for c in moved]),
    ]


def _named(named: list[Written]) -> list[Any]:
    births = [c.birth for c in named if c.birth is not None]
    return [
        uuids([machine_key(c.execution.state_machine_arn) for c in named]),
        texts([c.execution.name for c in named]),
        uuids([c.id for c in named]),
        byteas([input_digest(birth.input_text, encode(birth.execution.input)) for birth in births]),
    ]


def _ended(ended: list[Written]) -> list[Any]:
    closings = [c.closing for c in ended if c.closing is not None]
    # What succeeded is found by its start alone; an index finds the rest by machine and status.
    machines = [machine_key(c.listed_by) for c in closings]
    return [
        uuids([c.id for c in ended]),
        int8s([c.time for c in closings]),
        int4s([c.seq for c in ended]),
        int4s([c.last_event_id for c in closings]),
        int4s([c.redrives.count or None for c in closings]),
        int8s([c.redrives.time for c in closings]),
        texts([c.status for c in closings]),
        byteas([c.data for c in closings]),
        uuids(machines),
        byteas([c.kept for c in closings]),
    ]


def _releases(arrays: dict[str, list[Any]], releases: Sequence[Release]) -> None:
    ids, seqs = uuids([r.execution_id for r in releases]), int4s([r.seq for r in releases])
    quarantines = byteas(
        [None if r.quarantine is None else r.quarantine.encode("utf-8", "backslashreplace") for r in releases]
    )
    missing = byteas([encode_missing(r.missing) if r.missing else None for r in releases])
    arrays["kept"] = [ids, seqs, quarantines]
    arrays["let_go"] = [ids, seqs, int8s([r.wake_at for r in releases]), missing, quarantines]


def encode_missing(names: Sequence[str]) -> bytes:
    """Resources without a handler as the bytes of `open_execution.missing`, whatever they are called."""
    return encode([_utf8(name) for name in names])


def _utf8(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


# ── parts that few checkpoints have ─────────────────────────────────────────────────────────────────────────────────


def _told(checkpoints: Sequence[Written]) -> list[Any] | None:
    rows = [(c.id, *c.segment) for c in checkpoints if c.segment is not None]
    return [uuids([r[0] for r in rows]), int4s([r[1] for r in rows]), byteas([r[2] for r in rows])] if rows else None


def _frames_put(checkpoints: Sequence[Written]) -> list[Any] | None:
    rows = [(c.id, key, data) for c in checkpoints for key, data in sorted(c.frames_put)]
    if not rows:
        return None
    ids, forks, places = uuids([r[0] for r in rows]), int4s([r[1][0] for r in rows]), int4s([r[1][1] for r in rows])
    return [ids, forks, places, byteas([r[2] for r in rows])]


def _frames_gone(checkpoints: Sequence[Written]) -> list[Any] | None:
    rows = [(c.id, key) for c in checkpoints for key in sorted(c.frames_gone)]
    if not rows:
        return None
    return [uuids([r[0] for r in rows]), int4s([r[1][0] for r in rows]), int4s([r[1][1] for r in rows])]


def _frames_dropped(checkpoints: Sequence[Written]) -> list[Any] | None:
    ids = [c.id for c in checkpoints if c.drops_frames]
    return [uuids(ids)] if ids else None


def _folded(checkpoints: Sequence[Written]) -> list[Any] | None:
    # All mail of one that ends goes anyway.
    rows = [(c.id, mail_id) for c in checkpoints if c.closing is None or c.birth is not None for mail_id in c.mail]
    return [uuids([r[0] for r in rows]), uuids([r[1] for r in rows])] if rows else None


def _minted(checkpoints: Sequence[Written]) -> list[Any] | None:
    rows = sorted((digest, c.id, task_id) for c in checkpoints for digest, task_id in c.tokens_opened)
    if not rows:
        return None
    tickets = [r[2] for r in rows]
    places = [int4s([ticket[place] for ticket in tickets]) for place in range(3)]
    return [byteas([r[0] for r in rows]), uuids([r[1] for r in rows]), *places]


def _killed(checkpoints: Sequence[Written]) -> list[Any] | None:
    digests = sorted(digest for c in checkpoints for digest in c.tokens_closed)
    return [byteas(digests)] if digests else None


def _announced(checkpoints: Sequence[Written]) -> list[Any] | None:
    rows = [(c.id, change) for c in checkpoints for change in c.status_changes]
    if not rows:
        return None
    events = byteas([squeeze(change.event) for _, change in rows])
    return [uuids([execution_id for execution_id, _ in rows]), int4s([change.number for _, change in rows]), events]


def _sent(checkpoints: Sequence[Written]) -> list[Any] | None:
    rows = sorted(letter for c in checkpoints for letter in c.sent)
    return [uuids([r[0] for r in rows]), uuids([r[1] for r in rows]), byteas([r[2] for r in rows])] if rows else None


_SPARSE: dict[str, Callable[[Sequence[Written]], list[Any] | None]] = {
    "told": _told,
    "frames_put": _frames_put,
    "frames_gone": _frames_gone,
    "frames_dropped": _frames_dropped,
    "folded": _folded,
    "minted": _minted,
    "killed": _killed,
    "announced": _announced,
    "sent": _sent,
}
