from __future__ import annotations

import pytest

from engine.errors import (
    ExecutionDoesNotExist,
    InvalidArn,
    InvalidToken,
    ResourceNotFound,
    ValidationException,
)
from engine.operations.map_runs import describe_map_run, list_map_runs, update_map_run

pytestmark = pytest.mark.anyio

HEAD = "arn:aws:states:us-east-1:123456789012"
MAP_RUN = f"{HEAD}:mapRun:M/label:b8a5c1f2-0000-4000-8000-000000000000"
PASS = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}


async def test_an_execution_has_no_map_runs(engine):
    execution = await engine.start_execution(await engine.deploy(PASS, "M"))
    assert await list_map_runs(engine.service, execution_arn=execution.arn) == {"map_runs": []}
    with pytest.raises(InvalidToken):
        await list_map_runs(engine.service, execution_arn=execution.arn, next_token="nonsense")
    with pytest.raises(ExecutionDoesNotExist):
        await list_map_runs(engine.service, execution_arn=execution.arn + "x")
    with pytest.raises(InvalidArn):
        await list_map_runs(engine.service, execution_arn=MAP_RUN)


async def test_a_map_run_that_does_not_exist_is_not_found(engine):
    with pytest.raises(ResourceNotFound) as caught:
        await describe_map_run(engine.service, map_run_arn=MAP_RUN)
    assert (caught.value.message, caught.value.resource_name) == (
        "Request references a resource that does not exist.",
        MAP_RUN,
    )
    with pytest.raises(ResourceNotFound):
        await update_map_run(engine.service, map_run_arn=MAP_RUN, max_concurrency=0)


async def test_an_update_of_nothing_is_refused(engine):
    with pytest.raises(ValidationException) as caught:
        await update_map_run(engine.service, map_run_arn=MAP_RUN)
    assert caught.value.reason == "MISSING_REQUIRED_PARAMETER"


async def test_the_arn_of_something_else_is_refused(engine):
    for call in (
        describe_map_run(engine.service, map_run_arn=f"{HEAD}:execution:M:e"),
        update_map_run(engine.service, map_run_arn="nonsense", max_concurrency=1),
    ):
        with pytest.raises(InvalidArn):
            await call
