"""The child executions of a Map Run: those that have rows, and those that are in the results of their chunk alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from uuid import UUID

from engine import arns
from engine.errors import ExecutionDoesNotExist, InvalidArn
from engine.interpreter.map_actor import items_of
from engine.interpreter.map_chunks import CAUSE, ERROR, OUTPUT, REDRIVES, RESULTS, START_DATE, STOP_DATE, child_of
from engine.interpreter.map_counts import (
    PLACE,
    STATUS,
    places_to_redrive,
    places_under_way,
    redriven_chunks,
    results_before,
)
from engine.interpreter.map_runs import chunks_key
from engine.interpreter.snapshot import ROOT, ChunkRunning, Ending, Redrives
from engine.operations.execution_records import PENDING_REDRIVE, described, summary
from engine.operations.map_runs import map_run
from engine.operations.paging import page
from engine.store.protocol import ExecutionId
from engine.store.records import ExecutionRecord
from engine.uuids import child_id, place_in_chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from engine.operations.service import Service

_CHUNKS_AT_ONCE = 4
"""Chunks that are read at once: each has the inputs and results of up to a thousand children."""

_CHILDREN_AT_ONCE = 100
"""Of those that are read one page after the other."""

_LOOKED_AT_MAX = 2_000
"""Children of Express type that one call looks at for those of a status."""

_NEVER = Redrives()


async def children_of_map_run(
    service: Service,
    map_run_arn: str,
    *,
    status_filter: str | None,
    redrive_filter: Literal["REDRIVEN", "NOT_REDRIVEN"] | None,
    max_results: int | None,
    next_token: str | None,
) -> dict[str, Any]:
    """ListExecutions by Map Run, the latest first. Raises InvalidArn, InvalidToken, ResourceNotFound."""
    run = await map_run(service, map_run_arn)
    asked = page(
        service,
        "ListExecutions",
        tuple[int, UUID, int],
        max_results=max_results,
        next_token=next_token,
        map_run_arn=map_run_arn,
        status_filter=status_filter,
        redrive_filter=redrive_filter,
    )
    wanted = _Wanted(status_filter, redrive_filter)
    found, last = await _some_children(service, run, wanted, asked.after, asked.most)
    answer: dict[str, Any] = {"executions": [_listed(child, map_run_arn) for child in found]}
    return answer if last is None else {**answer, "next_token": asked.token(last)}


async def all_children(service: Service, map_run_arn: str, *, status: str | None) -> AsyncIterator[ExecutionRecord]:
    """The child executions of a Map Run, the latest first. Raises InvalidArn, ResourceNotFound."""
    run, wanted = await map_run(service, map_run_arn), _Wanted(status, None)
    last: _Position | None = None
    while True:
        found, last = await _some_children(service, run, wanted, last, _CHILDREN_AT_ONCE)
        for child in found:
            yield child.record
        if last is None:
            return


class _Child(NamedTuple):
    """A child execution. `is_pending`: it is over, and is to be redriven."""

    record: ExecutionRecord
    is_pending: bool = False

    @property
    def status(self) -> str:
        return PENDING_REDRIVE if self.is_pending else self.record.status


class _Wanted:
    def __init__(self, status: str | None, redrive_filter: str | None) -> None:
        self.status = status
        self._redrive_filter = redrive_filter

    def has(self, child: _Child) -> bool:
        """Whether the filters let it through."""
        if self.status is not None and child.status != self.status:
            return False
        if self._redrive_filter is None:
            return True
        return (child.record.redrives.count > 0) == (self._redrive_filter == "REDRIVEN")


_Position = tuple[int, UUID, int]


async def _some_children(
    service: Service, run: ExecutionRecord, wanted: _Wanted, after: _Position | None, most: int
) -> tuple[list[_Child], _Position | None]:
    """No more than `most` of them, and where the next ones begin; None: there are none."""
    again, arn = await _redriven_chunks(service, run), run.execution.arn
    if run.execution.type == "EXPRESS":
        return await _in_chunks(service, arn, wanted, again, after, most)
    return await _with_rows(service, arn, wanted, await _pending_children(service, arn, again), after, most)


async def _redriven_chunks(service: Service, run: ExecutionRecord) -> Mapping[UUID, int]:
    """See `map_counts.redriven_chunks`."""
    if run.ending is not None or not run.redrives.count:
        return {}
    snapshot = await service.ask(service.library.snapshot, run.execution.arn)
    return {} if snapshot is None else redriven_chunks(snapshot)


async def _pending_children(service: Service, map_run_arn: str, again: Mapping[UUID, int]) -> dict[UUID, int]:
    """Ids of the Standard children that are redriven, and how often each will have been: their rows may not say so."""
    pending: dict[UUID, int] = {}
    for chunk_id in again:
        arn = arns.map_chunk_arn(arns.labelled_arn_of(map_run_arn), str(chunk_id))
        for result in await _redriven_results(service, await service.backend.describe(arn), again):
            pending[child_id(chunk_id, result[PLACE])] = result[REDRIVES] + 1
    return pending


async def _redriven_results(service: Service, chunk: ExecutionRecord, again: Mapping[UUID, int]) -> list[Any]:
    """What had become of the children of a chunk that are redriven."""
    ending, is_awaited = chunk.ending, chunk.redrives.count < again.get(chunk.execution_id, 0)
    snapshot = None if ending is not None else await service.ask(service.library.snapshot, chunk.execution.arn)
    if snapshot is not None:
        ending, is_awaited = snapshot.ending, True  # with an end: it is open again, and is not told yet
    if ending is None:
        return [] if snapshot is None else list(results_before(snapshot.frames).values())
    ended: Any = ending.output
    return [result for result in ended["results"] if is_awaited and result[STATUS] != "SUCCEEDED"]


def _is_pending(record: ExecutionRecord, pending: Mapping[UUID, int]) -> bool:
    return record.ending is not None and record.redrives.count < pending.get(record.execution_id, 0)


async def _with_rows(
    service: Service,
    map_run_arn: str,
    wanted: _Wanted,
    pending: Mapping[UUID, int],
    after: _Position | None,
    most: int,
) -> tuple[list[_Child], _Position | None]:
    found: list[_Child] = []
    status: Any = None if wanted.status == PENDING_REDRIVE else wanted.status
    latest = service.library.latest_executions
    at = None if after is None else (after[0], ExecutionId(after[1]))
    for _ in range(_LOOKED_AT_MAX // most + 1):
        chunk = await service.ask(latest, map_run_arn, status=status, after=at, most=most)
        for record in chunk:
            at = record.last_change, record.execution_id
            child = _Child(record, _is_pending(record, pending))
            if wanted.has(child):
                found.append(child)
            if len(found) == most:
                return found, (*at, 0)
        if len(chunk) < most:
            return found, None
    assert at is not None, "there were some"
    return found, (*at, 0)


async def _in_chunks(
    service: Service,
    map_run_arn: str,
    wanted: _Wanted,
    again: Mapping[UUID, int],
    after: _Position | None,
    most: int,
) -> tuple[list[_Child], _Position | None]:
    found: list[_Child] = []
    looked_at = 0
    # The chunk of the last child is read again: `before` says where in it the next page begins.
    at, before = None, None
    if after is not None:
        at, before = (after[0], ExecutionId(UUID(int=after[1].int + 1))), (after[1], after[2])
    while True:
        latest = service.library.latest_executions
        chunks = await service.ask(latest, chunks_key(map_run_arn), after=at, most=_CHUNKS_AT_ONCE)
        for chunk in chunks:
            children = await _children(service, chunk, again)
            for place in sorted(children, reverse=True):
                if before is not None and chunk.execution_id == before[0] and place >= before[1]:
                    continue
                looked_at += 1
                if wanted.has(children[place]):
                    found.append(children[place])
                if len(found) == most or looked_at == _LOOKED_AT_MAX:
                    return found, (chunk.last_change, chunk.execution_id, place)
            at = chunk.last_change, chunk.execution_id
        if len(chunks) < _CHUNKS_AT_ONCE:
            return found, None


async def _children(service: Service, chunk: ExecutionRecord, again: Mapping[UUID, int]) -> dict[int, _Child]:
    """Those of a chunk that were begun, by place. `again`: see `map_counts.redriven_chunks`."""
    ending, is_awaited = chunk.ending, chunk.redrives.count < again.get(chunk.execution_id, 0)
    snapshot = None if ending is not None else await service.ask(service.library.snapshot, chunk.execution.arn)
    if snapshot is not None and snapshot.ending is not None:
        ending, is_awaited = snapshot.ending, True  # it is open again, and is not told yet
    if ending is not None:
        ended: Any = ending.output
        return {
            result[PLACE]: _Child(_record(chunk, result), is_awaited and result[STATUS] != "SUCCEEDED")
            for result in ended["results"]
        }
    root = None if snapshot is None else snapshot.frames.get(ROOT)
    if snapshot is None or root is None or not isinstance(root.waiting, ChunkRunning):
        return {}
    before = results_before(snapshot.frames)
    pending = {place: before[place] for place in places_to_redrive(root.waiting, snapshot.frames)}
    found = {place: _Child(_record(chunk, result), is_pending=True) for place, result in pending.items()}
    batches = [frame.input for frame in snapshot.frames.values() if frame.key[0] == RESULTS]
    results: list[Any] = [result for batch in batches for result in items_of(batch)]
    found |= {result[PLACE]: _Child(_record(chunk, result)) for result in results}
    return found | {place: _Child(_record(chunk, [place, "RUNNING"])) for place in places_under_way(root.waiting)}


def _record(chunk: ExecutionRecord, result: Sequence[Any]) -> ExecutionRecord:
    place, status = result[PLACE], result[STATUS]
    begun = chunk.execution.start_time if status == "RUNNING" else result[START_DATE]
    child = child_of(chunk.execution, place, begun)
    ending = None if status == "RUNNING" else Ending(status, result[OUTPUT], result[ERROR], result[CAUSE])
    return ExecutionRecord(
        execution_id=ExecutionId(UUID(child.name)),
        execution=child,
        revision_id=chunk.revision_id,
        pool=chunk.pool,
        ending=ending,
        stop_date=None if ending is None else result[STOP_DATE],
        redrives=_NEVER,
        last_event_id=0,
    )


def _listed(child: _Child, map_run_arn: str) -> dict[str, Any]:
    about = child.record.execution.map
    assert about is not None, "a child"
    return {
        **summary(child.record, is_pending=child.is_pending),
        "map_run_arn": map_run_arn,
        "item_count": about.items,
    }


async def is_pending_redrive(service: Service, record: ExecutionRecord) -> bool:
    """Whether an execution is a child of a Map Run that is over, and is to be redriven."""
    about = record.execution.map
    if about is None or record.ending is None or record.ending.status == "SUCCEEDED":
        return False
    again = await _redriven_chunks(service, await map_run(service, about.map_run_arn))
    chunk_id = place_in_chunk(record.execution_id)[0]
    if chunk_id not in again:
        return False
    chunk = {chunk_id: again[chunk_id]}
    return _is_pending(record, await _pending_children(service, about.map_run_arn, chunk))


async def child_of_map_run(service: Service, execution_arn: str, *, has_data: bool) -> dict[str, Any]:
    """DescribeExecution of an Express child of a Map Run, the only Express executions that it takes.

    Raises:
        InvalidArn: It is that of another Express execution.
        ExecutionDoesNotExist: No such one.
    """
    name = execution_arn.rpartition(":")[2]
    if "/" not in execution_arn:
        raise InvalidArn("Resource type not valid in this context: express")
    try:
        chunk_id, place = place_in_chunk(UUID(name))
    except ValueError:
        raise ExecutionDoesNotExist(execution_arn) from None
    arn = arns.map_chunk_arn(arns.labelled_arn_of(execution_arn), str(chunk_id))
    try:
        chunk = await service.backend.describe(arn)
    except ExecutionDoesNotExist:
        raise ExecutionDoesNotExist(execution_arn) from None
    assert chunk.execution.map is not None, "a chunk"
    again = await _redriven_chunks(service, await map_run(service, chunk.execution.map.map_run_arn))
    child = (await _children(service, chunk, again)).get(place)
    if child is None or child.record.execution.arn != execution_arn:
        raise ExecutionDoesNotExist(execution_arn)
    status = child.status
    reason = f"Execution is {status} and cannot be redriven" if status in ("RUNNING", "SUCCEEDED") else None
    return described(child.record, reason, has_data=has_data, is_pending=child.is_pending)
