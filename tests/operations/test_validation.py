from __future__ import annotations

import json

import pytest

from engine.operations.validation import validate_state_machine_definition
from tests.operations.test_state_machines import passing

pytestmark = pytest.mark.anyio


async def validated(service, definition, **members):
    return await validate_state_machine_definition(service, definition=definition, **members)


async def test_what_is_right_is_ok(service):
    assert await validated(service, passing()) == {"result": "OK", "diagnostics": [], "truncated": False}


async def test_what_is_wrong_is_said_with_its_place_where_aws_has_one(service):
    assert await validated(service, "{}") == {
        "result": "FAIL",
        "diagnostics": [
            {
                "severity": "ERROR",
                "code": "SCHEMA_VALIDATION_FAILED",
                "message": "These fields are required: [States, StartAt]",
                "location": "/",
            }
        ],
        "truncated": False,
    }
    (blank,) = (await validated(service, " "))["diagnostics"]
    assert "location" not in blank


async def test_the_type_decides_what_is_allowed(service):
    message = {"QueueUrl": "q", "MessageBody": "m"}
    waiting = passing(Type="Task", Resource="arn:aws:states:::sqs:sendMessage.waitForTaskToken", Parameters=message)
    assert (await validated(service, waiting))["result"] == "OK"
    assert (await validated(service, waiting, type="EXPRESS"))["result"] == "FAIL"


async def test_warnings_are_told_when_asked_for_and_fail_nothing(service):
    doubtful = passing(Parameters={"a": "$.b"})
    assert (await validated(service, doubtful))["diagnostics"] == []
    answer = await validated(service, doubtful, severity="WARNING")
    assert answer["result"] == "OK"
    assert {found["code"] for found in answer["diagnostics"]} <= {"NO_DOLLAR", "NO_PATH", "PASS_RESULT_IS_STATIC"}
    assert answer["diagnostics"]


async def test_there_are_as_many_as_asked_for(service):
    states = {f"S{number:03}": {"Type": "Pass"} for number in range(150)}
    many = json.dumps({"StartAt": "S000", "States": states})
    for asked, got in ((None, 100), (0, 100), (7, 7)):
        answer = await validated(service, many, max_results=asked)
        assert (len(answer["diagnostics"]), answer["truncated"]) == (got, True)
