from __future__ import annotations

import uuid

import anyio
import pytest

from engine import ExecutionFailed
from engine.errors import ExecutionDoesNotExist, ExecutionNotRedrivable, InvalidArn
from engine.operations.executions import describe_execution
from engine.operations.history import get_execution_history
from engine.operations.redrive import redrive_execution
from tests.waiting import DEADLINE_SECONDS

pytestmark = pytest.mark.anyio

HEAD = "arn:aws:states:us-east-1:123456789012"
FAIL = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E"}}}
PASS = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
WAIT = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": True}}}


async def failed(engine):
    execution = await engine.start_execution(await engine.deploy(FAIL, "M"))
    await ends(execution)
    return execution


async def ends(execution) -> None:
    with anyio.fail_after(DEADLINE_SECONDS), pytest.raises(ExecutionFailed):
        await execution.result()


async def redrives(engine, arn) -> int:
    events = (await get_execution_history(engine.service, execution_arn=arn))["events"]
    return [event["type"] for event in events].count("ExecutionRedriven")


async def test_a_redrive_goes_on_and_is_dated_when_it_was_asked_for(engine):
    execution = await failed(engine)

    answer = await redrive_execution(engine.service, execution_arn=execution.arn)

    await ends(execution)
    shown = await describe_execution(engine.service, execution_arn=execution.arn)
    assert (shown["redrive_count"], {"redrive_date": shown["redrive_date"]}) == (1, answer)
    assert await redrives(engine, execution.arn) == 1


async def test_the_same_client_token_redrives_once(engine):
    execution = await failed(engine)
    token = str(uuid.uuid4())

    first = await redrive_execution(engine.service, execution_arn=execution.arn, client_token=token)
    assert await redrive_execution(engine.service, execution_arn=execution.arn, client_token=token) == first
    await ends(execution)
    assert await redrive_execution(engine.service, execution_arn=execution.arn, client_token=token) == first

    assert await redrives(engine, execution.arn) == 1
    await redrive_execution(engine.service, execution_arn=execution.arn, client_token="another")
    await ends(execution)
    assert await redrives(engine, execution.arn) == 2


@pytest.mark.parametrize(
    ("definition", "reason"),
    [(PASS, "Execution is SUCCEEDED and cannot be redriven"), (WAIT, "Execution is RUNNING and cannot be redriven")],
)
async def test_what_cannot_be_redriven_says_why(engine, definition, reason):
    execution = await engine.start_execution(await engine.deploy(definition, "M"))
    if definition is PASS:
        await execution.result()
    with pytest.raises(ExecutionNotRedrivable) as caught:
        await redrive_execution(engine.service, execution_arn=execution.arn, client_token="t")
    assert caught.value.message == reason


async def test_what_names_no_standard_execution_is_refused(engine):
    with pytest.raises(ExecutionDoesNotExist):
        await redrive_execution(engine.service, execution_arn=f"{HEAD}:execution:M:none")
    with pytest.raises(InvalidArn, match="Resource type not valid in this context: express"):
        await redrive_execution(engine.service, execution_arn=f"{HEAD}:express:M:e:1")
