from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from engine.errors import ExecutionDoesNotExist, InvalidArn
from engine.operations import executions
from engine.operations.executions import describe_execution, stop_execution
from tests.waiting import DEADLINE_SECONDS

if TYPE_CHECKING:
    from engine import Engine, ExecutionHandle

pytestmark = pytest.mark.anyio

HEAD = "arn:aws:states:us-east-1:123456789012"
WAIT = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 600, "End": True}}}
PASS = {"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": {"a": [1]}, "End": True}}}
FAIL = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "C"}}}


async def ended(engine: Engine, definition: dict[str, Any], given: bytes = b"{}") -> str:
    """The ARN of an execution that is over."""
    machine = await engine.deploy(definition, "M")
    execution = await engine.start_execution(machine, given)
    with anyio.fail_after(DEADLINE_SECONDS):
        await executions_end(execution)
    return execution.arn


async def executions_end(execution: ExecutionHandle) -> None:
    from contextlib import suppress

    from engine import ExecutionFailed

    with suppress(ExecutionFailed):
        await execution.result()


async def running(engine: Engine) -> str:
    machine = await engine.deploy(WAIT, "M")
    return (await engine.start_execution(machine)).arn


async def test_a_running_execution_cannot_be_redriven_and_has_neither_end_nor_output(engine):
    arn = await running(engine)

    shown = await describe_execution(engine.service, execution_arn=arn)

    start_date = shown.pop("start_date")
    assert start_date.tzinfo is not None
    assert shown == {
        "execution_arn": arn,
        "state_machine_arn": f"{HEAD}:stateMachine:M",
        "name": arn.rpartition(":")[2],
        "status": "RUNNING",
        "input": "{}",
        "input_details": {"included": True},
        "redrive_count": 0,
        "redrive_status": "NOT_REDRIVABLE",
        "redrive_status_reason": "Execution is RUNNING and cannot be redriven",
    }


async def test_a_succeeded_execution_shows_its_input_as_it_was_given(engine):
    given = '{ "n": 1.0,  "b": [ ] }'

    shown = await describe_execution(engine.service, execution_arn=await ended(engine, PASS, given.encode()))

    assert (shown["status"], shown["input"], json.loads(shown["output"])) == ("SUCCEEDED", given, {"a": [1]})
    assert shown["output_details"] == {"included": True}
    assert shown["stop_date"] >= shown["start_date"]
    assert shown["redrive_status_reason"] == "Execution is SUCCEEDED and cannot be redriven"


async def test_a_failed_execution_shows_error_and_cause_and_can_be_redriven(engine):
    shown = await describe_execution(engine.service, execution_arn=await ended(engine, FAIL))

    assert (shown["status"], shown["error"], shown["cause"]) == ("FAILED", "E", "C")
    assert shown["redrive_status"] == "REDRIVABLE"
    assert not {"output", "output_details", "redrive_status_reason"} & shown.keys()


async def test_a_failure_without_error_and_cause_shows_neither(engine):
    definition = {"StartAt": "F", "States": {"F": {"Type": "Fail"}}}

    shown = await describe_execution(engine.service, execution_arn=await ended(engine, definition))

    assert not {"error", "cause"} & shown.keys()


async def test_of_an_execution_that_timed_out_no_error_is_shown(engine):
    shown = await describe_execution(engine.service, execution_arn=await ended(engine, {**WAIT, "TimeoutSeconds": 1}))

    assert shown["status"] == "TIMED_OUT"
    assert not {"error", "cause"} & shown.keys()


async def test_metadata_alone_has_neither_input_nor_output(engine):
    arn = await ended(engine, PASS)

    shown = await describe_execution(engine.service, execution_arn=arn, included_data="METADATA_ONLY")

    assert not {"input", "output"} & shown.keys()
    assert shown["input_details"] == shown["output_details"] == {"included": False}


@pytest.mark.parametrize("operation", [describe_execution, stop_execution])
async def test_what_names_no_standard_execution_is_refused(engine, operation):
    for arn, reason in [
        ("no_arn", "Invalid ARN prefix: no_arn"),
        (f"{HEAD}:express:M:e:1", "Resource type not valid in this context: express"),
    ]:
        with pytest.raises(InvalidArn) as caught:
            await operation(engine.service, execution_arn=arn)
        assert caught.value.message == f"Invalid Arn: '{reason}'"
    with pytest.raises(ExecutionDoesNotExist):
        await operation(engine.service, execution_arn=f"{HEAD}:execution:M:e")


async def test_a_stopped_execution_is_aborted_when_the_call_answers(engine):
    arn = await running(engine)

    answer = await stop_execution(engine.service, execution_arn=arn, error="E", cause="C")

    shown = await describe_execution(engine.service, execution_arn=arn)
    assert (shown["status"], shown["error"], shown["cause"]) == ("ABORTED", "E", "C")
    assert answer == {"stop_date": shown["stop_date"]}


async def test_stopping_what_is_over_changes_nothing_and_tells_when_it_ended(engine):
    arn = await ended(engine, PASS)
    before = await describe_execution(engine.service, execution_arn=arn)

    answer = await stop_execution(engine.service, execution_arn=arn, error="E")

    assert answer == {"stop_date": before["stop_date"]}
    assert await describe_execution(engine.service, execution_arn=arn) == before


async def test_without_a_worker_a_stop_answers_with_the_time_when_it_was_asked_for(monkeypatch):
    from engine import Engine
    from engine.store.memory import MemoryStore

    monkeypatch.setattr(executions, "STOP_SECONDS", 0.0)
    async with Engine(url=MemoryStore) as client:
        arn = (await client.start_execution(await client.deploy(WAIT, "M"))).arn

        answer = await stop_execution(client.service, execution_arn=arn)

        shown = await describe_execution(client.service, execution_arn=arn)
        assert (shown["status"], answer["stop_date"] >= shown["start_date"]) == ("RUNNING", True)
