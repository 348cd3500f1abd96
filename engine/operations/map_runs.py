"""Map Runs (api.md 5.6). There are none: a Map state with Mode DISTRIBUTED is not run here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from engine.errors import ResourceNotFound, ValidationException
from engine.operations.paging import page
from engine.operations.resources import checked_arn

if TYPE_CHECKING:
    from engine.operations.service import Service


async def list_map_runs(
    service: Service, *, execution_arn: str, max_results: int | None = None, next_token: str | None = None
) -> dict[str, Any]:
    """The Map Runs of an execution. Raises InvalidArn, InvalidToken, ExecutionDoesNotExist."""
    checked_arn(execution_arn, "execution")
    page(service, "ListMapRuns", str, max_results=max_results, next_token=next_token, execution_arn=execution_arn)
    await service.backend.describe(execution_arn)
    return {"map_runs": []}


async def describe_map_run(service: Service, *, map_run_arn: str) -> NoReturn:
    """A Map Run. Raises InvalidArn, ResourceNotFound."""
    raise_no_map_run(map_run_arn)


async def update_map_run(
    service: Service,
    *,
    map_run_arn: str,
    max_concurrency: int | None = None,
    tolerated_failure_percentage: float | None = None,
    tolerated_failure_count: int | None = None,
) -> NoReturn:
    """Changes a Map Run that runs. Raises InvalidArn, ResourceNotFound, ValidationException: nothing is to change."""
    checked_arn(map_run_arn, "mapRun")
    if max_concurrency is None and tolerated_failure_percentage is None and tolerated_failure_count is None:
        raise ValidationException(
            "Either the maxConcurrency, the toleratedFailurePercentage, or the toleratedFailureCount must be specified",
            reason="MISSING_REQUIRED_PARAMETER",
        )
    raise_no_map_run(map_run_arn)


def raise_no_map_run(map_run_arn: str) -> NoReturn:
    """Raises InvalidArn, ResourceNotFound: there are none."""
    checked_arn(map_run_arn, "mapRun")
    raise ResourceNotFound(resource_name=map_run_arn)
