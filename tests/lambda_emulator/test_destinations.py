"""Queues, topics and buses of a server that plays AWS, reached by boto3 as a user's environment says."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest
from anyio import to_thread

from engine.lambda_emulator.destinations import Destinations, Result
from engine.lambda_emulator.functions import FunctionVersion
from engine.lambda_emulator.invocable import EventInvokeConfig, Invocable
from engine.lambda_emulator.invocation import Outcome
from tests.events.conftest import aws  # noqa: F401  a fixture
from tests.lambda_emulator.control_plane import ACCOUNT, REGION, arn
from tests.waiting import DEADLINE_SECONDS

pytestmark = pytest.mark.anyio

MOTO_ACCOUNT = "123456789012"


def found(**given: Any) -> Invocable:
    version = FunctionVersion(account_id=ACCOUNT, region=REGION, name="f", revision_id="1", log_group="/aws/lambda/f")
    return Invocable(
        version=version,
        invoked_arn=arn(),
        reserved_concurrency=None,
        dead_letter_target=given.pop("dead_letter_target", None),
        event_invoke_config=EventInvokeConfig(**given),
    )


def result(condition: Any = "Success") -> Result:
    error = None if condition == "Success" else "Unhandled"
    return Result(
        condition=condition, request_id="r", function_arn=arn(qualifier="$LATEST"), executed_version="$LATEST",
        invoke_count=1, request_payload=b"[1]", time=datetime(2026, 1, 31, tzinfo=UTC),
        outcome=Outcome(payload=b'{"errorMessage":"no"}', function_error=error),
    )  # fmt: skip


@pytest.fixture
def queue(aws, monkeypatch):  # noqa: F811
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    sqs = aws("sqs")
    url = sqs.create_queue(QueueName="told")["QueueUrl"]
    yield sqs, url
    sqs.delete_queue(QueueUrl=url)
    sqs.close()


async def received(queue: Any) -> dict[str, Any]:
    sqs, url = queue
    answer = await to_thread.run_sync(
        lambda: sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, MessageAttributeNames=["All"])
    )
    [message] = answer["Messages"]
    return message


async def test_a_queue_gets_the_record(queue):
    target = f"arn:aws:sqs:{REGION}:{MOTO_ACCOUNT}:told"
    with anyio.fail_after(DEADLINE_SECONDS):
        await Destinations().tell(None, found(on_success=target), result())  # type: ignore[arg-type]
        record = json.loads((await received(queue))["Body"])
    assert (record["requestContext"]["condition"], record["requestPayload"]) == ("Success", [1])


async def test_a_dead_letter_queue_gets_the_event(queue):
    target = f"arn:aws:sqs:{REGION}:{MOTO_ACCOUNT}:told"
    with anyio.fail_after(DEADLINE_SECONDS):
        await Destinations().tell(None, found(dead_letter_target=target), result("RetriesExhausted"))  # type: ignore[arg-type]
        message = await received(queue)
    assert message["Body"] == "[1]"
    assert message["MessageAttributes"]["ErrorMessage"]["StringValue"] == "no"


async def test_a_topic_and_a_bus_hand_it_on(queue, aws):  # noqa: F811
    sqs, url = queue
    mine = f"arn:aws:sqs:{REGION}:{MOTO_ACCOUNT}:told"
    sns, events = aws("sns"), aws("events")
    topic = sns.create_topic(Name="told")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=mine)
    bus = events.create_event_bus(Name="told")["EventBusArn"]
    events.put_rule(Name="all", EventBusName="told", EventPattern='{"source": ["lambda"]}')
    events.put_targets(Rule="all", EventBusName="told", Targets=[{"Id": "1", "Arn": mine}])
    try:
        with anyio.fail_after(DEADLINE_SECONDS):
            await Destinations().tell(None, found(on_failure=topic), result("EventAgeExceeded"))  # type: ignore[arg-type]
            by_topic = json.loads(json.loads((await received(queue))["Body"])["Message"])
            sqs.purge_queue(QueueUrl=url)
            await Destinations().tell(None, found(on_success=bus), result())  # type: ignore[arg-type]
            by_bus = json.loads((await received(queue))["Body"])
    finally:
        sns.close()
        events.close()
    assert by_topic["requestContext"]["condition"] == "EventAgeExceeded"
    assert by_bus["detail-type"] == "Lambda Function Invocation Result - Success"
    assert by_bus["detail"]["requestContext"]["requestId"] == "r"


async def test_a_target_that_is_none_is_logged_and_done_without(queue, monkeypatch):
    async def at_once(_seconds: float) -> None: ...

    monkeypatch.setattr("engine.lambda_emulator.destinations.anyio.sleep", at_once)
    for target in (f"arn:aws:sqs:{REGION}:{MOTO_ACCOUNT}:nobody", "arn:aws:s3:::bucket", "nonsense"):
        await Destinations().tell(None, found(on_success=target), result())  # type: ignore[arg-type]
