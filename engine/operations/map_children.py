"""The child executions of a Map Run: those that have rows, and those that are in the results of their chunk alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from engine import arns
from engine.errors import ExecutionDoesNotExist, InvalidArn
from engine.interpreter.map_chunks import CAUSE, ERROR, OUTPUT, START_DATE, STOP_DATE, child_of
from engine.interpreter.map_counts import PLACE, STATUS, places_under_way
from engine.interpreter.map_runs import chunks_key
from engine.interpreter.snapshot import ROOT, ChunkRunning, Ending, Redrives
from engine.operations.execution_records import described, summary
from engine.operations.map_runs import map_run
from engine.operations.paging import page
from engine.store.protocol import ExecutionId
from engine.store.records import ExecutionRecord
from engine.uuids import place_in_chunk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

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
    if status_filter == "PENDING_REDRIVE":
        return {"executions": []}  # what is redriven is begun at once
    wanted = _Wanted(status_filter, redrive_filter)
    found, last = await _some_children(service, run, wanted, asked.after, asked.most)
    answer: dict[str, Any] = {"executions": [_listed(record, map_run_arn) for record in found]}
    return answer if last is None else {**answer, "next_token": asked.token(last)}


async def all_children(service: Service, map_run_arn: str, *, status: str | None) -> AsyncIterator[ExecutionRecord]:
    """The child executions of a Map Run, the latest first. Raises InvalidArn, ResourceNotFound."""
    run, wanted = await map_run(service, map_run_arn), _Wanted(status, None)
    last: _Position | None = None
    while True:
        found, last = await _some_children(service, run, wanted, last, _CHILDREN_AT_ONCE)
        for record in found:
            yield record
        if last is None:
            return


class _Wanted:
    def __init__(self, status: str | None, redrive_filter: str | None) -> None:
        self.status = status
        self._redrive_filter = redrive_filter

    def has(self, record: ExecutionRecord) -> bool:
        """Whether the filters let it through."""
        if self.status is not None and record.status != self.status:
            return False
        if self._redrive_filter is None:
            return True
        return (record.redrives.count > 0) == (self._redrive_filter == "REDRIVEN")


_Position = tuple[int, UUID, int]


async def _some_children(
    service: Service, run: ExecutionRecord, wanted: _Wanted, after: _Position | None, most: int
) -> tuple[list[ExecutionRecord], _Position | None]:
    """No more than `most` of them, and where the next ones begin; None: there are none."""
    kept = _in_chunks if run.execution.type == "EXPRESS" else _with_rows
    return await kept(service, run.execution.arn, wanted, after, most)


async def _with_rows(
    service: Service, map_run_arn: str, wanted: _Wanted, after: _Position | None, most: int
) -> tuple[list[ExecutionRecord], _Position | None]:
    found: list[ExecutionRecord] = []
    status: Any = wanted.status
    latest = service.library.latest_executions
    at = None if after is None else (after[0], ExecutionId(after[1]))
    for _ in range(_LOOKED_AT_MAX // most + 1):
        chunk = await service.ask(latest, map_run_arn, status=status, after=at, most=most)
        for record in chunk:
            at = record.last_change, record.execution_id
            if wanted.has(record):
                found.append(record)
            if len(found) == most:
                return found, (*at, 0)
        if len(chunk) < most:
            return found, None
    assert at is not None, "there were some"
    return found, (*at, 0)


async def _in_chunks(
    service: Service, map_run_arn: str, wanted: _Wanted, after: _Position | None, most: int
) -> tuple[list[ExecutionRecord], _Position | None]:
    found: list[ExecutionRecord] = []
    looked_at = 0
    # The chunk of the last child is read again: `before` says where in it the next page begins.
    at, before = None, None
    if after is not None:
        at, before = (after[0], ExecutionId(UUID(int=after[1].int + 1))), (after[1], after[2])
    while True:
        latest = service.library.latest_executions
        chunks = await service.ask(latest, chunks_key(map_run_arn), after=at, most=_CHUNKS_AT_ONCE)
        for chunk in chunks:
            children = await _children(service, chunk)
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


async def _children(service: Service, chunk: ExecutionRecord) -> dict[int, ExecutionRecord]:
    """Those of a chunk that were begun, by place."""
    results: list[Any] = []
    running: Sequence[int] = ()
    if chunk.ending is not None:
        ended: Any = chunk.ending.output
        results = ended["results"]
    else:
        snapshot = await service.ask(service.library.snapshot, chunk.execution.arn)
        root = None if snapshot is None else snapshot.frames.get(ROOT)
        if snapshot is not None and root is not None and isinstance(root.waiting, ChunkRunning):
            frames = snapshot.frames.values()
            results = [one for frame in frames if isinstance(frame.input, list) for one in frame.input]
            running = places_under_way(root.waiting)
    found = {result[PLACE]: _record(chunk, result) for result in results}
    return found | {place: _record(chunk, [place, "RUNNING"]) for place in running}


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


def _listed(record: ExecutionRecord, map_run_arn: str) -> dict[str, Any]:
    assert record.execution.map is not None, "a child"
    return {**summary(record), "map_run_arn": map_run_arn, "item_count": record.execution.map.items}


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
    record = (await _children(service, chunk)).get(place)
    if record is None or record.execution.arn != execution_arn:
        raise ExecutionDoesNotExist(execution_arn)
    status = record.status
    reason = f"Execution is {status} and cannot be redriven" if status in ("RUNNING", "SUCCEEDED") else None
    return described(record, reason, has_data=has_data)
