"""`test_state` of both faces of the library: values go in and come out."""

from __future__ import annotations

import pytest

from engine import InvalidDefinition, InvalidExecutionInput, MissingHandler, ValidationException
from tests.faces import Face, open_engine

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("face", ["async", "blocking"])]

TASK = {
    "Type": "Task",
    "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f",
    "ResultPath": "$.r",
    "Retry": [{"ErrorEquals": ["Busy"], "IntervalSeconds": 3}],
    "Next": "Then",
}
MACHINE = {"StartAt": "Work", "States": {"Work": TASK, "Then": {"Type": "Succeed"}}}


async def test_a_mocked_task_gives_values(face: Face) -> None:
    async with open_engine(face) as engine:
        outcome = await engine.test_state(MACHINE, {"a": 1}, state="Work", mock={"result": [2]})
    assert (outcome.status, outcome.output, outcome.next_state) == ("SUCCEEDED", {"a": 1, "r": [2]}, "Then")
    assert outcome.inspection_data["afterResultSelector"] == [2]


async def test_a_mocked_error_tells_of_the_retry(face: Face) -> None:
    async with open_engine(face) as engine:
        outcome = await engine.test_state(
            TASK, mock={"errorOutput": {"error": "Busy", "cause": "c"}}, state_configuration={"retrierRetryCount": 1}
        )
    assert (outcome.status, outcome.error, outcome.cause, outcome.output) == ("RETRIABLE", "Busy", "c", None)
    assert outcome.inspection_data["errorDetails"] == {"retryIndex": 0, "retryBackoffIntervalSeconds": 6}


async def test_a_handler_does_the_task(face: Face) -> None:
    async with open_engine(face, {"Work": "mock:5"}) as engine:
        outcome = await engine.test_state(MACHINE, b'{"a": 1}', state="Work", inspection_level="INFO")
    assert (outcome.output, outcome.inspection_data) == ({"a": 1, "r": 5}, {})


async def test_without_a_handler_the_task_is_named(face: Face) -> None:
    async with open_engine(face) as engine:
        with pytest.raises(MissingHandler, match="state 'Work' calls"):
            await engine.test_state(MACHINE, state="Work")


async def test_variables_and_context_are_given_as_values(face: Face) -> None:
    function = "arn:aws:lambda:us-east-1:123456789012:function:f"
    definition = f"Type: Task\nResource: {function}\nParameters: {{v.$: $v, n.$: $$.State.Name}}\nEnd: true"
    async with open_engine(face) as engine:
        outcome = await engine.test_state(
            definition, variables={"v": 1}, context={"State": {"Name": "S"}}, mock={"result": None}
        )
    assert outcome.inspection_data["afterParameters"] == {"v": 1, "n": "S"}
    assert (outcome.output, outcome.inspection_data["variables"]) == (None, {"v": 1})


async def test_what_cannot_be_is_told(face: Face) -> None:
    async with open_engine(face) as engine:
        with pytest.raises(InvalidDefinition):
            await engine.test_state("Type: [")
        with pytest.raises(InvalidExecutionInput):
            await engine.test_state({"Type": "Succeed"}, {1, 2})
        with pytest.raises(ValidationException, match="mock"):
            await engine.test_state(TASK, mock={"result": {1, 2}})
