"""ListMapRuns, DescribeMapRun, UpdateMapRun (api.md 5.6). What a map run is: docs/decisions/0020."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from engine import arns
from engine.errors import ExecutionDoesNotExist, ResourceNotFound, ValidationException
from engine.interpreter.map_counts import ChunkNumbers, numbers_of, of_root, of_snapshot, open_chunks
from engine.interpreter.messages import MapRunUpdated
from engine.operations.paging import page
from engine.operations.resources import checked_arn
from engine.outcome import aware
from engine.store.protocol import ExecutionId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.operations.service import Service
    from engine.store.records import ExecutionRecord


async def list_map_runs(
    service: Service, *, execution_arn: str, max_results: int | None = None, next_token: str | None = None
) -> dict[str, Any]:
    """The Map Runs of an execution, the latest first. Raises InvalidArn, InvalidToken, ExecutionDoesNotExist."""
    checked_arn(execution_arn, "execution")
    asked = page(
        service,
        "ListMapRuns",
        tuple[int, UUID],
        max_results=max_results,
        next_token=next_token,
        execution_arn=execution_arn,
    )
    await service.backend.describe(execution_arn)
    after = None if asked.after is None else (asked.after[0], ExecutionId(asked.after[1]))
    latest = service.library.latest_executions
    found = await service.ask(latest, execution_arn, after=after, most=asked.most + 1)
    runs, rest = asked.shown(found, lambda record: (record.last_change, record.execution_id))
    return {"map_runs": [_listed(run, execution_arn) for run in runs], **rest}


def _listed(run: ExecutionRecord, execution_arn: str) -> dict[str, Any]:
    execution = run.execution
    answer: dict[str, Any] = {
        "execution_arn": execution_arn,
        "map_run_arn": execution.arn,
        "state_machine_arn": execution.state_machine_arn,
        "start_date": aware(execution.start_time),
    }
    if run.stop_date is not None:
        answer["stop_date"] = aware(run.stop_date)
    return answer


async def map_run(service: Service, map_run_arn: str) -> ExecutionRecord:
    """A Map Run, as the store has it. Raises InvalidArn, ResourceNotFound."""
    checked_arn(map_run_arn, "mapRun")
    try:
        return await service.backend.describe(map_run_arn)
    except ExecutionDoesNotExist:
        raise ResourceNotFound(resource_name=map_run_arn) from None


async def describe_map_run(service: Service, *, map_run_arn: str) -> dict[str, Any]:
    """How a Map Run stands (execution.md 14). Raises InvalidArn, ResourceNotFound."""
    run, numbers = await map_run_standing(service, map_run_arn)
    given: Any = run.execution.input
    answer = {
        "map_run_arn": map_run_arn,
        "execution_arn": given["parent"],
        # While its children are stopped the counts still move, and there is no stop date.
        "status": "RUNNING" if run.ending is None else run.ending.status,
        "start_date": aware(run.execution.start_time),
        "max_concurrency": numbers["maxConcurrency"],
        "tolerated_failure_count": numbers["toleratedFailureCount"],
        "tolerated_failure_percentage": numbers["toleratedFailurePercentage"],
        "item_counts": numbers["itemCounts"],
        "execution_counts": numbers["executionCounts"],
        "redrive_count": numbers["redriveCount"],
    }
    if run.stop_date is not None:
        answer["stop_date"] = aware(run.stop_date)
    if numbers["redriveDate"] is not None:
        answer["redrive_date"] = aware(numbers["redriveDate"])
    return answer


async def map_run_standing(service: Service, map_run_arn: str) -> tuple[ExecutionRecord, dict[str, Any]]:
    """A Map Run with its numbers (see `map_counts.summary`), both from before its end or both as it ended.

    Of it and of each chunk the snapshot is read before the record: what is open by then had not ended there.

    Raises:
        InvalidArn, ResourceNotFound: See `map_run`.
    """
    run, snapshot = await map_run(service, map_run_arn), None
    if run.ending is None:
        snapshot = await service.ask(service.library.snapshot, map_run_arn)
        run = await map_run(service, map_run_arn)
    if run.ending is not None:
        ended: Any = run.ending.output
        return run, ended
    assert snapshot is not None, "a Map Run that is open has one"
    return run, of_snapshot(snapshot, await _numbers(service, map_run_arn, open_chunks(snapshot)))


async def _numbers(service: Service, map_run_arn: str, attempts: Mapping[UUID, int]) -> dict[UUID, ChunkNumbers]:
    """Of chunks that were open. The inputs of those that run, a megabyte each, are left where they are."""
    roots = await service.ask(service.library.roots, [ExecutionId(chunk) for chunk in attempts])
    numbers: dict[UUID, ChunkNumbers] = {}
    for chunk, attempt in attempts.items():
        if not attempt and chunk in roots:
            numbers[chunk] = of_root(roots[ExecutionId(chunk)])
            continue
        arn = arns.map_chunk_arn(arns.labelled_arn_of(map_run_arn), str(chunk))
        standing = await service.ask(service.library.snapshot, arn)
        about = await service.ask(service.library.execution, arn)
        numbers[chunk] = numbers_of(
            about.execution,
            None if about.ending is not None else standing,
            about.ending,
            is_awaited=about.redrives.count < attempt,
        )
    return numbers


async def update_map_run(
    service: Service,
    *,
    map_run_arn: str,
    max_concurrency: int | None = None,
    tolerated_failure_percentage: float | None = None,
    tolerated_failure_count: int | None = None,
) -> dict[str, Any]:
    """Changes a Map Run that runs: it gets a mail, and goes by that from then on.

    Raises:
        InvalidArn, ResourceNotFound: See there.
        ValidationException: Nothing is to be changed, or it is over.
    """
    checked_arn(map_run_arn, "mapRun")
    if max_concurrency is None and tolerated_failure_percentage is None and tolerated_failure_count is None:
        raise ValidationException(
            "Either the maxConcurrency, the toleratedFailurePercentage, or the toleratedFailureCount must be specified",
            reason="MISSING_REQUIRED_PARAMETER",
        )
    run = await map_run(service, map_run_arn)
    if run.ending is not None:
        raise ValidationException(
            f"Map Run has already completed: '{map_run_arn}'", reason="CANNOT_UPDATE_COMPLETED_MAP_RUN"
        )
    event = MapRunUpdated(max_concurrency, tolerated_failure_count, tolerated_failure_percentage)
    await service.backend.send(await service.backend.find(map_run_arn), event)
    return {}
