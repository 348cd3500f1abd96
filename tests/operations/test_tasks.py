from __future__ import annotations

import anyio
import pytest

from engine import ExecutionFailed
from engine.errors import InvalidOutput, InvalidToken, TaskTimedOut
from engine.operations.activities import create_activity, get_activity_task
from engine.operations.history import get_execution_history
from engine.operations.tasks import send_task_failure, send_task_heartbeat, send_task_success
from tests.waiting import DEADLINE_SECONDS

pytestmark = pytest.mark.anyio

DEFINITION = {
    "StartAt": "T",
    "States": {
        "T": {
            "Type": "Task",
            "Resource": "arn:aws:states:us-east-1:123456789012:activity:paint",
            "TimeoutSeconds": 600,
            "HeartbeatSeconds": 300,
            "End": True,
        }
    },
}


@pytest.fixture
async def execution(engine):
    await create_activity(engine.service, name="paint")
    return await engine.start_execution(await engine.deploy(DEFINITION, "M"))


@pytest.fixture
async def token(engine, execution) -> str:
    arn = DEFINITION["States"]["T"]["Resource"]
    return (await get_activity_task(engine.service, activity_arn=arn, wait_seconds=10))["task_token"]


async def test_success_ends_the_task_with_its_output_once(engine, execution, token):
    service = engine.service
    assert await send_task_heartbeat(service, task_token=token) == {}
    assert await send_task_success(service, task_token=token, output='{"a": [1]}') == {}
    with anyio.fail_after(DEADLINE_SECONDS):
        assert await execution.result() == {"a": [1]}
    for again in (
        send_task_success(service, task_token=token, output="1"),
        send_task_failure(service, task_token=token),
        send_task_heartbeat(service, task_token=token),
    ):
        with pytest.raises(TaskTimedOut, match=r"^Task Timed Out: 'Provided task does not exist anymore'$"):
            await again


@pytest.mark.parametrize(
    ("given", "shown"), [({}, {}), ({"error": "E", "cause": "C"}, {"error": "E", "cause": "C"})], ids=["bare", "full"]
)
async def test_failure_shows_what_was_given_and_no_more(engine, execution, token, given, shown):
    assert await send_task_failure(engine.service, task_token=token, **given) == {}
    with anyio.fail_after(DEADLINE_SECONDS), pytest.raises(ExecutionFailed):
        await execution.result()
    history = await get_execution_history(engine.service, execution_arn=execution.arn)
    failed = next(event for event in history["events"] if event["type"] == "ActivityFailed")
    assert failed["activityFailedEventDetails"] == shown


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        (
            "not",
            "Unrecognized token 'not': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or "
            "'false')",
        ),
        ("{'a': 1}", "Unexpected character (''' (code 39)): was expecting double-quote to start field name"),
    ],
)
async def test_an_output_that_is_no_json_is_refused_and_the_task_waits_on(engine, token, output, reason):
    with pytest.raises(InvalidOutput) as caught:
        await send_task_success(engine.service, task_token=token, output=output)
    assert caught.value.message == f"Invalid Output: '{reason}'"
    assert await send_task_heartbeat(engine.service, task_token=token) == {}


async def test_a_token_that_nobody_minted_is_invalid(engine):
    service = engine.service
    for call in (
        send_task_success(service, task_token="no-token", output="1"),
        send_task_failure(service, task_token="no-token"),
        send_task_heartbeat(service, task_token="no-token"),
    ):
        with pytest.raises(InvalidToken, match=r"^Invalid Token: 'Invalid token'$"):
            await call
