from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.asl.resource import parse_resource
from engine.errors import ValidationException
from engine.operations.mock_results import check_mocked_result

if TYPE_CHECKING:
    from engine.jsonvalue import Json

PREFIX = "Mock result schema validation error: "
START = {"ExecutionArn": "arn", "StartDate": "2026-01-01T00:00:00Z"}


def refusal(action: str, result: Json, mode: Any = "STRICT") -> str | None:
    resource = parse_resource(f"arn:aws:states:::{action}")
    assert resource is not None
    try:
        check_mocked_result(resource, result, mode)
    except ValidationException as error:
        return error.message.removeprefix(PREFIX)
    return None


@pytest.mark.parametrize(
    ("action", "result"),
    [
        ("states:startExecution", START),
        ("aws-sdk:sfn:startExecution", START),
        ("states:startExecution", {**START, "NotOfTheApi": 1}),
        ("dynamodb:getItem", {"Item": {"a": {"S": "x"}, "b": {"BOOL": True}}}),
        ("lambda:invoke", {"Payload": {"any": ["json"]}, "StatusCode": 200}),
        ("sqs:sendMessage.waitForTaskToken", ["whatever", "the", "token", "brought"]),
        ("http:invoke", "text"),
        ("apigateway:invoke", 5),
        ("eks:call", []),
        ("emr-containers:startJobRun.sync", {"Anything": 1}),
        ("aws-sdk:applicationautoscaling:describeScalingPolicies", {"ScalingPolicies": []}),
    ],
)
def test_what_the_api_could_answer_is_taken(action: str, result: Json) -> None:
    assert refusal(action, result) is None


@pytest.mark.parametrize(
    ("action", "result", "reason"),
    [
        ("states:startExecution", {"StartDate": "t"}, "Required field 'ExecutionArn' is missing"),
        (
            "states:startExecution",
            {**START, "ExecutionArn": ""},
            "Field 'ExecutionArn' is smaller than the minimum length",
        ),
        (
            "states:startExecution",
            {**START, "ExecutionArn": "x" * 257},
            "Field 'ExecutionArn' exceeds the maximum length",
        ),
        ("states:startExecution", {**START, "StartDate": None}, "Field 'StartDate' must be a string"),
        ("dynamodb:getItem", {"Item": []}, "Field 'Item' must be an object"),
        ("dynamodb:getItem", {"Item": {"a": {"BOOL": 1}}}, "Field 'BOOL' must be a boolean"),
        ("dynamodb:putItem", {"ConsumedCapacity": {"CapacityUnits": True}}, "Field 'CapacityUnits' must be a number"),
        ("aws-sdk:rds:describeDBInstances", {"DbInstances": {}}, "Field 'DbInstances' must be an array"),
        ("aws-sdk:dynamodb:getItem", {"Item": {"a": {"Nul": 1}}}, "Field 'Nul' must be a boolean"),
        ("aws-sdk:s3:getObject", {"StorageClass": "Papyrus"}, "Field 'StorageClass' is not an expected value"),
        ("aws-sdk:sfn:describeMapRun", {"MaxConcurrency": -1}, "Field 'MaxConcurrency' is less than the minimum value"),
        (
            "aws-sdk:sfn:describeMapRun",
            {"ToleratedFailurePercentage": 101},
            "Field 'ToleratedFailurePercentage' exceeds the maximum value",
        ),
    ],
)
def test_what_it_could_not_is_refused(action: str, result: Json, reason: str) -> None:
    assert refusal(action, result, "STRICT" if "Required" in reason else "PRESENT") == reason


def test_of_a_job_the_polled_answer_counts() -> None:
    assert refusal("states:startExecution.sync", START) == "Required field 'StateMachineArn' is missing"
    polled = {**START, "StateMachineArn": "arn", "Status": "SUCCEEDED"}
    assert refusal("states:startExecution.sync", {**polled, "Output": {"a": 1}}) == "Field 'Output' must be a string"
    assert refusal("states:startExecution.sync:2", {**polled, "Output": {"a": 1}}) is None


def test_required_members_may_be_absent_when_only_what_is_there_counts() -> None:
    assert refusal("states:startExecution", {}, "PRESENT") is None
    assert refusal("states:startExecution", {"ExecutionArn": 1}, "PRESENT") == "Field 'ExecutionArn' must be a string"


def test_nothing_is_checked_when_nothing_shall_be() -> None:
    assert refusal("states:startExecution", {"ExecutionArn": 1}, "NONE") is None


def test_an_answer_of_aws_is_an_object() -> None:
    assert refusal("states:startExecution", [1]) == "Mocked result must be a JSON object."


def test_the_longer_jobs_are_known_by_their_polled_answers() -> None:
    for action in ("athena:startQueryExecution", "batch:submitJob", "ecs:runTask", "glue:startJobRun"):
        assert refusal(f"{action}.sync", [1]) == "Mocked result must be a JSON object.", action
    assert refusal("batch:submitJob.sync", {"JobName": 5}, "PRESENT") == "Field 'JobName' must be a string"
