"""Events of changed status have AWS's shape, and come when AWS sends them."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest

import engine
from engine.events.status_changes import PAYLOAD_BYTES_MAX
from tests.definitions import machine, task, wait

pytestmark = pytest.mark.anyio

PASS = {"Type": "Pass"}
FAIL = {"Type": "Fail", "Error": "Sold.Out", "Cause": "none left"}

DETAIL = {
    "executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate", "input", "output",
    "stateMachineVersionArn", "stateMachineAliasArn", "redriveCount", "redriveDate", "redriveStatus",
    "redriveStatusReason", "inputDetails", "outputDetails", "error", "cause",
}  # fmt: skip


async def told(definition: Any, given: Any = b"{}", **options: Any) -> list[dict[str, Any]]:
    """The events of an execution."""
    events: list[dict[str, Any]] = []
    type_ = options.pop("type", "STANDARD")
    handlers = options.pop("handlers", None)
    async with engine.Engine.in_memory(handlers, clock="virtual", events=events.append) as one:
        orders = await one.create_state_machine(definition, "orders", type=type_)
        execution = await one.start_execution(orders, given, name="first")
        with suppress(engine.ExecutionFailed):
            await execution.result()
    return events


async def test_an_execution_that_succeeds_is_running_and_then_over():
    running, over = await told(machine(wait(60), PASS), b'{"a": 1}')
    detail = running["detail"]
    arn = "arn:aws:states:us-east-1:000000000000:execution:orders:first"
    assert {name: value for name, value in running.items() if name not in ("id", "time", "detail")} == {
        "version": "0",
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "account": "000000000000",
        "region": "us-east-1",
        "resources": [arn],
    }
    assert detail == {
        "executionArn": arn,
        "stateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:orders",
        "name": "first",
        "status": "RUNNING",
        "startDate": detail["startDate"],
        "stopDate": None,
        "input": '{"a": 1}',
        "output": None,
        "stateMachineVersionArn": None,
        "stateMachineAliasArn": None,
        "redriveCount": 0,
        "redriveDate": None,
        "redriveStatus": "NOT_REDRIVABLE",
        "redriveStatusReason": "Execution is RUNNING and cannot be redriven",
        "inputDetails": {"included": True},
        "outputDetails": None,
        "error": None,
        "cause": None,
    }
    end = over["detail"]
    assert set(end) == DETAIL
    assert (end["status"], json.loads(end["output"]), end["outputDetails"]) == (
        "SUCCEEDED",
        {"a": 1},
        {"included": True},
    )
    assert end["stopDate"] - end["startDate"] >= 60_000
    assert end["redriveStatusReason"] == "Execution is SUCCEEDED and cannot be redriven"
    assert running["id"] != over["id"]


async def test_a_start_that_is_over_at_once_is_told_as_two_events():
    assert [event["detail"]["status"] for event in await told(machine(PASS))] == ["RUNNING", "SUCCEEDED"]


async def test_a_failure_shows_error_and_cause_and_can_be_redriven():
    end = (await told(machine(FAIL)))[-1]["detail"]
    assert (end["status"], end["error"], end["cause"]) == ("FAILED", "Sold.Out", "none left")
    assert (end["redriveStatus"], end["redriveStatusReason"]) == ("REDRIVABLE", None)
    assert (end["output"], end["outputDetails"]) == (None, None)


async def test_of_a_time_out_no_error_is_shown():
    end = (await told(machine(wait(60), TimeoutSeconds=5)))[-1]["detail"]
    assert (end["status"], end["error"], end["cause"], end["redriveStatus"]) == ("TIMED_OUT", None, None, "REDRIVABLE")


async def test_of_an_express_execution_nothing_is_told():
    assert await told(machine(PASS), type="EXPRESS") == []


async def test_an_execution_that_is_redriven_runs_again():
    events: list[dict[str, Any]] = []
    answers = iter([RuntimeError("later"), None])

    def work(_: Any) -> str:
        answer = next(answers)
        if answer is not None:
            raise answer
        return "done"

    async with engine.Engine.in_memory({"work": work}, clock="virtual", events=events.append) as one:
        execution = await one.start_execution(machine(task()), {})
        with pytest.raises(engine.ExecutionFailed):
            await execution.result()
        await execution.redrive()
        assert await execution.result() == "done"
    details = [event["detail"] for event in events]
    assert [(detail["status"], detail["redriveCount"]) for detail in details] == [
        ("RUNNING", 0), ("FAILED", 0), ("RUNNING", 1), ("SUCCEEDED", 1),
    ]  # fmt: skip
    assert details[0]["redriveDate"] is None
    assert details[2]["redriveDate"] >= details[1]["stopDate"]
    assert details[2]["stopDate"] is None
    assert len({event["id"] for event in events}) == 4


async def test_payloads_that_are_too_long_together_are_left_out_the_output_first():
    half = "x" * (PAYLOAD_BYTES_MAX // 2)
    running, over = await told(machine(PASS), {"a": half})
    assert running["detail"]["inputDetails"] == {"included": True}
    end = over["detail"]
    assert (end["inputDetails"], end["outputDetails"], end["output"]) == ({"included": True}, {"included": False}, None)
    escaped = '"' * (PAYLOAD_BYTES_MAX // 4)  # twice as long in the input, four times in the event
    for event in await told(machine(PASS), {"a": escaped}):
        assert (event["detail"]["input"], event["detail"]["inputDetails"]) == (None, {"included": False})
