from __future__ import annotations

import json
from typing import Any

import anyio
import pytest

from engine import Engine, InvalidDefinition, VirtualClock
from engine.errors import ApiError, InvalidArn, InvalidExecutionInput, TaskFailed, ValidationException
from engine.operations import test_state as operation

pytestmark = pytest.mark.anyio

ROLE = "arn:aws:iam::123456789012:role/r"
FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
PASS = {"Type": "Pass", "End": True}
TASK = {"Type": "Task", "Resource": FUNCTION, "End": True}
FLOW = {"StartAt": "Inner", "States": {"Inner": PASS}}
MAP = {"Type": "Map", "ItemProcessor": FLOW, "End": True}
PARALLEL = {"Type": "Parallel", "Branches": [FLOW, {"StartAt": "J", "States": {"J": PASS}}], "End": True}
CALLBACK = {"Type": "Task", "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken", "End": True}
MACHINE = {"StartAt": "Outer", "States": {"Outer": MAP}}
NO_TOKEN = (
    "Invalid Context object provided: Context object contains 'Task' when state is not a Task state with a '.sync' or "
    "'.waitForTaskToken' service integration pattern"
)
ERROR = {"errorOutput": {"error": "E"}}


async def ask(definition: dict[str, Any], handlers: Any = None, **given: Any) -> dict[str, Any]:
    async with Engine.in_memory(handlers, clock="virtual") as engine:
        return await operation.test_state(engine.service, definition=json.dumps(definition), **given)


@pytest.mark.parametrize(
    ("definition", "given", "error", "text"),
    [
        (TASK, {}, ValidationException, "RoleArn must be specified when testing a Task state"),
        (TASK, {"role_arn": "x"}, InvalidArn, "Invalid Arn: 'Invalid ARN prefix: x'"),
        (
            PASS,
            {"input": ""},
            InvalidExecutionInput,
            "Invalid State Machine Execution Input: 'Invalid execution input.'",
        ),
        (PASS, {"mock": ERROR}, ValidationException, "State type 'Pass' is not supported when a mock is specified"),
        (
            TASK,
            {"mock": {}},
            ValidationException,
            "A test mock should have only one of the following fields: [result, errorOutput].",
        ),
        (
            TASK,
            {"mock": {"result": "1", **ERROR}},
            ValidationException,
            "A test mock should have only one of the following fields: [result, errorOutput].",
        ),
        (TASK, {"mock": {"result": "{"}}, ValidationException, "Mocked result must be valid JSON"),
        (
            TASK,
            {"mock": ERROR, "reveal_secrets": True},
            ValidationException,
            "TestState does not support RevealSecrets when a mock is specified.",
        ),
        (MAP, {"mock": {"result": "{}"}}, ValidationException, "Mocked result must be an array."),
        (
            {
                **MAP,
                "ItemProcessor": {**FLOW, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}},
                "ResultWriter": {
                    "Resource": "arn:aws:states:::s3:putObject",
                    "Parameters": {"Bucket": "b", "Prefix": "p"},
                },
            },
            {"mock": {"result": "[]"}},
            ValidationException,
            "Mocked result must be a JSON object.",
        ),
        (
            PARALLEL,
            {"mock": {"result": "[1]"}},
            ValidationException,
            "Mocked result must contain the same number of items as number of Parallel branches.",
        ),
        (
            MAP,
            {"state_configuration": {"mapIterationFailureCount": 1}},
            ValidationException,
            "TestState does not support MapIterationFailureCount when a mock is not specified.",
        ),
        (
            MAP,
            {"mock": {"result": "[]"}, "input": "[1]", "state_configuration": {"mapIterationFailureCount": 2}},
            ValidationException,
            "Map iteration failure count must be less than or equal to the number of Map iterations",
        ),
        (
            MAP,
            {"mock": ERROR, "state_configuration": {"errorCausedByState": "No"}},
            ValidationException,
            "State not found in definition",
        ),
        (MACHINE, {"state_name": "No"}, ValidationException, "State not found in definition"),
        (
            TASK,
            {"mock": ERROR, "context": '{"Execution": {"Id": 1}}'},
            ValidationException,
            "Invalid Context object provided: Execution.Id must be a string",
        ),
        (
            TASK,
            {"mock": ERROR, "context": '{"State": {"RetryCount": "1"}}'},
            ValidationException,
            "Invalid Context object provided: State.RetryCount must be a number",
        ),
        (
            TASK,
            {"mock": ERROR, "context": '{"X": {}}'},
            ValidationException,
            "Invalid Context object provided: Field 'X' is not allowed",
        ),
        (
            TASK,
            {"mock": ERROR, "context": '{"Map": {}}'},
            ValidationException,
            "Invalid Context object provided: 'Map' field is not supported when mocking a Context object",
        ),
        (TASK, {"mock": ERROR, "context": '{"Task": {}}'}, ValidationException, NO_TOKEN),
    ],
)
async def test_what_does_not_fit_is_refused_in_the_words_of_aws(
    definition: dict[str, Any], given: dict[str, Any], error: type[ApiError], text: str
) -> None:
    with pytest.raises(error) as refused:
        await ask(definition, **given)
    assert refused.value.message == text


@pytest.mark.parametrize(
    ("definition", "given"),
    [
        (CALLBACK, {"role_arn": ROLE}),
        ({**TASK, "Resource": "arn:aws:states:us-east-1:123456789012:activity:a"}, {"role_arn": ROLE}),
        ({**TASK, "Resource": "arn:aws:states:::ecs:runTask.sync"}, {"role_arn": ROLE}),
        (PASS, {"variables": "[]"}),
        (PASS, {"variables": "{"}),
        (PASS, {"context": "{}"}),
        (TASK, {"mock": ERROR, "context": "[]"}),
        (TASK, {"mock": ERROR, "context": '{"State": 1}'}),
        (TASK, {"mock": {"errorOutput": {"cause": "c"}}}),
        (TASK, {"role_arn": ROLE}),  # no handler here does it
    ],
)
async def test_what_does_not_fit_is_refused_where_no_words_of_aws_are_known(
    definition: dict[str, Any], given: dict[str, Any]
) -> None:
    with pytest.raises(ValidationException):
        await ask(definition, **given)


@pytest.mark.parametrize(("definition", "name"), [(MAP, None), (PARALLEL, None), (MACHINE, "Outer")])
async def test_a_map_or_parallel_needs_a_mock(definition: dict[str, Any], name: str | None) -> None:
    with pytest.raises(InvalidDefinition, match="give a mock") as refused:
        await ask(definition, state_name=name)
    assert refused.value.message.startswith("TestState API does not support Map or Parallel states.")


@pytest.mark.parametrize("given", ["nonsense", "{}", '{"Type": "Pass"}'])
async def test_a_definition_that_cannot_be_used_is_refused(given: str) -> None:
    async with Engine.in_memory() as engine:
        with pytest.raises(InvalidDefinition):
            await operation.test_state(engine.service, definition=given)


async def test_a_handler_of_the_engine_does_the_task() -> None:
    def double(event: int) -> int:
        return event * 2

    answer = await ask(
        {**TASK, "ResultPath": "$.r", "InputPath": "$.n"}, {"f": double}, role_arn=ROLE, input='{"n": 4}'
    )
    assert answer == {"status": "SUCCEEDED", "output": '{"n":4,"r":8}'}


@pytest.mark.parametrize("handler", ["mock:7", "fail:Busy:later"])
async def test_a_fixed_answer_does_the_task(handler: str) -> None:
    answer = await ask(TASK, {"StateName": handler}, role_arn=ROLE)
    assert answer == (
        {"status": "SUCCEEDED", "output": "7"}
        if handler == "mock:7"
        else {"status": "FAILED", "error": "Busy", "cause": "later"}
    )


async def test_a_handler_that_fails_is_retried_by_nobody() -> None:
    calls = []

    def fail(event: object) -> None:
        calls.append(event)
        raise TaskFailed("Busy", "later")

    answer = await ask({**TASK, "Retry": [{"ErrorEquals": ["Busy"]}]}, {"f": fail}, role_arn=ROLE)
    assert answer == {"status": "RETRIABLE", "error": "Busy", "cause": "later"}
    assert len(calls) == 1


async def test_a_handler_is_cancelled_when_the_time_of_its_task_is_up() -> None:
    cancelled = anyio.Event()

    async def hang(event: object) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.set()

    answer = await ask({**TASK, "TimeoutSeconds": 1}, {"f": hang}, role_arn=ROLE)
    assert answer == {"status": "FAILED", "error": "States.Timeout"}
    assert cancelled.is_set()


async def test_waiting_takes_no_time_where_time_is_virtual() -> None:
    clock = VirtualClock()
    async with Engine.in_memory(clock=clock) as engine:
        definition = json.dumps({"Type": "Wait", "Seconds": 299, "Next": "N"})
        answer = await operation.test_state(engine.service, definition=definition)
    assert answer == {"status": "SUCCEEDED", "output": "{}", "next_state": "N"}


async def test_a_test_ends_after_five_minutes() -> None:
    assert await ask({"Type": "Wait", "Seconds": 301, "End": True}) == {"status": "FAILED", "error": "States.Timeout"}


async def test_what_is_given_as_text_is_shown_as_it_was_given() -> None:
    answer = await ask(PASS, input="[ 1,\n 2 ]", inspection_level="DEBUG")
    assert answer["output"] == answer["inspection_data"]["afterInputPath"] == "[ 1,\n 2 ]"


async def test_reader_data_gives_a_map_its_items() -> None:
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSON", "ItemsPointer": "/all", "MaxItems": 2},
    }
    processor = {**FLOW, "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    definition = {
        **MAP,
        "ItemProcessor": processor,
        "ItemReader": {**reader, "Parameters": {"Bucket": "b", "Key": "k"}},
        "ItemSelector": {"v.$": "$$.Map.Item.Value"},
    }
    answer = await ask(
        definition,
        mock={"result": '["x"]'},
        inspection_level="TRACE",
        state_configuration={"mapItemReaderData": '{"all": [7, 8, 9]}'},
    )
    assert answer["output"] == '["x"]'
    assert json.loads(answer["inspection_data"]["afterItemsPointer"]) == [7, 8]
    assert json.loads(answer["inspection_data"]["afterItemSelector"]) == [{"v": 7}, {"v": 8}]


async def test_variables_after_the_state_are_shown() -> None:
    answer = await ask({**PASS, "Assign": {"w": 1}}, variables='{"v": 0}', inspection_level="DEBUG")
    assert json.loads(answer["inspection_data"]["variables"]) == {"v": 0, "w": 1}
