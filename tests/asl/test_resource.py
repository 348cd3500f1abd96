from __future__ import annotations

import pytest

from engine.asl.resource import is_recognized, parse_resource


@pytest.mark.parametrize(
    ("text", "kind", "service", "action", "pattern"),
    [
        ("arn:aws:lambda:us-east-1:123456789012:function:F:live", "lambda", "lambda", "F:live", "REQUEST_RESPONSE"),
        ("arn:aws:states:us-east-1:123456789012:activity:Pick", "activity", "activity", "Pick", "WAIT_FOR_TASK_TOKEN"),
        ("arn:aws:states:::lambda:invoke", "service", "lambda", "invoke", "REQUEST_RESPONSE"),
        ("arn:aws-cn:states:::ecs:runTask.sync", "service", "ecs", "runTask.sync", "SYNC"),
        ("arn:aws:states:::states:startExecution.sync:2", "service", "states", "startExecution.sync:2", "SYNC_2"),
        ("arn:aws:states:::aws-sdk:s3:getObject", "service", "aws-sdk:s3", "getObject", "REQUEST_RESPONSE"),
        (
            "arn:aws:states:::aws-sdk:sqs:sendMessage.waitForTaskToken",
            "service",
            "aws-sdk:sqs",
            "sendMessage.waitForTaskToken",
            "WAIT_FOR_TASK_TOKEN",
        ),
        ("arn:aws:swf:us-east-1:123456789012:task:X", "other", "swf", "task:X", "REQUEST_RESPONSE"),
    ],
)
def test_an_arn_tells_service_action_and_pattern(text: str, kind: str, service: str, action: str, pattern: str) -> None:
    resource = parse_resource(text)
    assert resource is not None
    assert (resource.arn, resource.kind, resource.service) == (text, kind, service)
    assert (resource.action, resource.pattern) == (action, pattern)
    assert is_recognized(resource)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ship",
        "arn:aws:lambda",
        "arn:aws:lambda:us-east-1:123456789012:function",
        "arn:aws:lambda:us-east-1:123456789012:layer:L",
        "arn:aws:states:us-east-1:123456789012:activity",
        "arn:aws:states:::lambda",
        " arn:aws:lambda:us-east-1:123456789012:function:F",
    ],
)
def test_what_is_no_resource(text: str) -> None:
    assert parse_resource(text) is None


@pytest.mark.parametrize(
    "action",
    [
        "dynamodb:query",
        "dynamodb:getItem.sync",
        "fax:send",
        "ecs:runTask.sync:2",
        "lambda:invoke.sync",
        "lambda:.waitForTaskToken",
        "aws-sdk:s3",
        "aws-sdk:S3:getObject",
        "aws-sdk:s3:GetObject",
        "aws-sdk:s3:getObject.sync",
        "aws-sdk:s3:getObject:more",
    ],
)
def test_integrations_that_the_service_does_not_have(action: str) -> None:
    resource = parse_resource(f"arn:aws:states:::{action}")
    assert resource is not None
    assert not is_recognized(resource)
