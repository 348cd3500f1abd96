"""Optimised integrations as Tasks: answers, errors, jobs, against moto's server; the table against the models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel

from engine import Engine, ExecutionFailed
from engine.asl.resource import OPTIMISED
from engine.integrations.optimised import SERVICES
from tests.aws_environment import without_credentials
from tests.definitions import machine
from tests.integrations.stub_aws import operation_of
from tests.moto_server import moto_server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

METADATA = {"SdkHttpMetadata", "SdkResponseMetadata"}


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    without_credentials(monkeypatch)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


async def result(url: str, resource: str, **parameters: Any) -> Any:
    task = {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Parameters": parameters}
    rules = {"*": f"aws:?endpoint={url}"}
    async with Engine.in_memory(rules, region="us-east-1", clock="virtual") as engine:
        return await engine.run(await engine.create_state_machine(machine(task), "m"))


async def failure(url: str, resource: str, **parameters: Any) -> tuple[str | None, str]:
    with pytest.raises(ExecutionFailed) as caught:
        await result(url, resource, **parameters)
    return caught.value.error, str(caught.value.cause)


async def test_a_message_is_sent_with_its_body_as_compact_json(moto: str) -> None:
    queue = (await result(moto, "aws-sdk:sqs:createQueue", QueueName="q"))["QueueUrl"]
    sent = await result(moto, "sqs:sendMessage", QueueUrl=queue, MessageBody={"a": [1]})
    assert set(sent) == {"MD5OfMessageBody", "MessageId", *METADATA}
    assert sent["SdkHttpMetadata"]["HttpStatusCode"] == 200
    received = await result(moto, "aws-sdk:sqs:receiveMessage", QueueUrl=queue)
    assert received["Messages"][0]["Body"] == '{"a":[1]}'


async def test_items_of_dynamodb_come_with_what_the_sdk_tells(moto: str) -> None:
    await result(
        moto,
        "aws-sdk:dynamodb:createTable",
        TableName="orders",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    item = {"id": {"S": "1"}}
    assert set(await result(moto, "dynamodb:putItem", TableName="orders", Item=item)) == METADATA
    assert (await result(moto, "dynamodb:getItem", TableName="orders", Key=item))["Item"] == item
    error, cause = await failure(moto, "dynamodb:getItem", TableName="none", Key=item)
    assert error == "DynamoDB.ResourceNotFoundException"
    assert "(Service: AmazonDynamoDBv2; Status Code: 400; Error Code: ResourceNotFoundException; Request ID: " in cause
    assert cause.endswith("; Proxy: null)")
    error, _ = await failure(
        moto, "dynamodb:putItem", TableName="orders", Item=item, ConditionExpression="attribute_not_exists(id)"
    )
    assert error == "DynamoDB.ConditionalCheckFailedException"


async def test_a_topic_that_there_is_not(moto: str) -> None:
    topic = "arn:aws:sns:us-east-1:123456789012:none"
    error, cause = await failure(moto, "sns:publish", TopicArn=topic, Message={"a": 1})
    assert error == "SNS.NotFoundException"
    assert "Error Code: NotFound; " in cause


async def test_events_name_the_execution_and_tell_of_the_entries_that_failed(moto: str) -> None:
    entry = {"Source": "s", "DetailType": "d", "Detail": {"a": 1}}
    put = await result(moto, "events:putEvents", Entries=[entry])
    assert set(put) == {"Entries", "FailedEntryCount"}
    error, cause = await failure(moto, "events:putEvents", Entries=[{**entry, "Detail": "no json"}])
    assert error == "EventBridge.FailedEntry"
    assert json.loads(cause)["FailedEntryCount"] == 1


async def test_nobody_who_answers() -> None:
    error, _ = await failure("http://127.0.0.1:1", "sqs:sendMessage", QueueUrl="q", MessageBody="b")
    assert error == "SQS.SdkClientException"


async def test_a_job_run_is_waited_for(moto: str) -> None:
    command = {"Name": "glueetl", "ScriptLocation": "s3://b/s.py"}
    await result(moto, "aws-sdk:glue:createJob", Name="j", Role="r", Command=command)
    run = await result(moto, "glue:startJobRun.sync", JobName="j")
    assert (run["JobName"], run["JobRunState"]) == ("j", "SUCCEEDED")
    assert isinstance(run["StartedOn"], int)
    error, _ = await failure(moto, "glue:startJobRun.sync", JobName="none")
    assert error == "Glue.EntityNotFoundException"


# ── the table ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("token", sorted(SERVICES))
def test_the_table_says_what_the_models_have(token: str) -> None:
    service = SERVICES[token]
    model = ServiceModel(Loader().load_service_model(service.client, "service-2"), service.client)
    actions = [action for action in OPTIMISED[token] if action not in service.elsewhere]
    assert {operation_of(service, action) for action in actions} <= set(model.operation_names)
    assert service.calls.keys() | service.elsewhere <= OPTIMISED[token].keys()
    assert {action for action in actions if "SYNC" in OPTIMISED[token][action]} == service.jobs.keys()
    for action, call in service.calls.items():
        shape = model.operation_model(operation_of(service, action)).input_shape
        assert {api.removesuffix("[]") for api in call.given.values()} | call.refused <= set(shape.members)
    for job in service.jobs.values():
        for operation, members in ((job.ask, job.ask_with), (job.stop, job.stop_with)):
            if operation:
                shape = model.operation_model(operation).input_shape
                assert {member.lower() for member in members} <= {name.lower() for name in shape.members}
                assert all(name.startswith("'") or name in job.known_by for name in members.values())
        status = _at(model.operation_model(job.ask).output_shape, [job.items, job.output, job.status])
        assert status is not None
        known = set(getattr(status, "enum", None) or job.good | job.bad)
        assert job.good | job.bad <= known, "as the model spells them"


def _at(shape: Any, paths: list[str]) -> Any:
    for step in ".".join(path for path in paths if path).split("."):
        shape = shape.member if shape.type_name == "list" else shape
        name = next((name for name in shape.members if name[:1].upper() + name[1:] == step), None)
        if name is None:
            return None
        shape = shape.members[name]
    return shape
