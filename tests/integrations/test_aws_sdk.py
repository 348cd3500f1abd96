"""Actions of AWS's SDK as Tasks: names, members, errors; against stubs and moto's server."""

from __future__ import annotations

import json
import time
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import botocore
import pytest

from engine import Engine, ExecutionFailed, Handlers, InvalidDefinition, MissingHandler
from engine.api.app import Api
from engine.asl.sdk_actions import FILE, sdk_service, sdk_services
from engine.http.access import Access
from engine.integrations import aws_names
from tests.api.asking import ask
from tests.aws_environment import with_credentials
from tests.definitions import machine
from tests.integrations.sdk_sweep import ENVIRONMENT, EXCEPTIONS, sweep
from tests.moto_server import moto_server

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    with_credentials(monkeypatch)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_server() as url:
        yield url


def call(resource: str, parameters: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return machine({"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Parameters": parameters, **fields})


async def result(url: str, resource: str, **parameters: Any) -> Any:
    async with Engine.in_memory({"*": f"aws:?endpoint={url}"}, region="us-east-1") as engine:
        return await engine.run(await engine.create_state_machine(call(resource, parameters), "m"))


async def failure(url: str, resource: str, **parameters: Any) -> tuple[str | None, str]:
    with pytest.raises(ExecutionFailed) as caught:
        await result(url, resource, **parameters)
    return caught.value.error, str(caught.value.cause)


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("token", "client", "prefix"),
    [
        ("dynamodb", "dynamodb", "DynamoDb"),
        ("sfn", "stepfunctions", "Sfn"),
        ("cloudwatchlogs", "logs", "CloudWatchLogs"),
        ("eventbridge", "events", "EventBridge"),
        ("costexplorer", "ce", "CostExplorer"),
        ("cognitoidentityprovider", "cognito-idp", "CognitoIdentityProvider"),
        ("elasticloadbalancingv2", "elbv2", "ElasticLoadBalancingV2"),
        ("databasemigration", "dms", "DatabaseMigration"),
        ("directory", "ds", "Directory"),
        ("config", "config", "Config"),
        ("lexruntime", "lex-runtime", "LexRuntime"),
        ("marketplaceentitlement", "marketplace-entitlement", "MarketplaceEntitlement"),
        ("rdsdata", "rds-data", "RdsData"),
        ("xray", "xray", "XRay"),
        ("wafv2", "wafv2", "Wafv2"),
        ("codestarnotifications", "codestar-notifications", "CodestarNotifications"),
        ("memorydb", "memorydb", "MemoryDb"),
        ("docdb", "docdb", "DocDb"),
        ("iotanalytics", "-", "IoTAnalytics"),
    ],
)
def test_services_have_the_names_of_the_sdk_for_java(token: str, client: str, prefix: str) -> None:
    service = sdk_service(token)
    assert service is not None
    assert (service.client, service.prefix) == (client, prefix)


@pytest.mark.parametrize(
    ("member", "spelled"),
    [
        ("taskArn", "TaskArn"),
        ("DBSnapshotArn", "DbSnapshotArn"),
        ("ETag", "ETag"),
        ("ARN", "Arn"),
        ("VPCSecurityGroups", "VpcSecurityGroups"),
        ("privateIPv4Address", "PrivateIPv4Address"),
    ],
)
def test_members_are_spelled_as_javas_getters(member: str, spelled: str) -> None:
    assert aws_names.sdk_member(member) == spelled


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ("NoSuchKey", "NoSuchKeyException"),
        ("InvalidToken", "InvalidTokenException"),
        ("DBInstanceNotFoundFault", "DbInstanceNotFoundException"),
        ("ResourceNotFoundException", "ResourceNotFoundException"),
    ],
)
def test_names_of_errors_end_in_exception(shape: str, name: str) -> None:
    assert aws_names.exception_name(shape, "Prefix") == name


def test_the_table_is_that_of_the_botocore_it_names() -> None:
    table = aws_names.table(["dynamodb", "stepfunctions", "sqs", "logs", "kinesis"])
    head, *lines = table.splitlines()
    with (files("engine.asl") / FILE).open(encoding="ascii") as file:
        known = file.read().splitlines()
    if known[0] != head:
        pytest.skip(f"botocore {botocore.__version__} is installed")
    assert set(lines) <= set(known)
    assert len(known) - 1 == len(sdk_services())


@pytest.mark.parametrize("resource", ["aws-sdk:s3:getObjekt", "aws-sdk:s4:getObject", "aws-sdk:s3:GetObject"])
async def test_an_action_that_there_is_not_is_found_when_the_machine_is_created(resource: str) -> None:
    async with Engine.in_memory() as engine:
        with pytest.raises(InvalidDefinition, match="is not recognized"):
            await engine.create_state_machine(call(resource, {}), "m")


async def test_the_api_refuses_such_an_action_too() -> None:
    definition = json.dumps(call("aws-sdk:s3:getObjekt", {}))
    async with Engine.in_memory() as engine:
        api = Api(engine.service, access=Access(now=time.time))
        role = "arn:aws:iam::000000000000:role/r"
        refused = await ask(api, "CreateStateMachine", {"name": "m", "roleArn": role, "definition": definition})
        assert (refused.status, refused.code) == (400, "InvalidDefinition")
        validated = await ask(api, "ValidateStateMachineDefinition", {"definition": definition})
    assert validated.body["result"] == "FAIL"
    assert "aws-sdk:s3:getObjekt is not recognized" in validated.body["diagnostics"][0]["message"]


# ── all actions ─────────────────────────────────────────────────────────────────────────────────────────────────────


def sample(services: int, actions: int) -> dict[str, list[str]]:
    """Services spread over all there are, some actions of each; and one service of each protocol."""
    tokens = [
        *sdk_services()[:: len(sdk_services()) // services],
        "dynamodb",
        "s3",
        "sns",
        "ec2",
        "lambda",
        "cloudwatch",
    ]
    chosen = {}
    for token in tokens:
        service = sdk_service(token)
        assert service is not None
        every = sorted(service.actions)
        chosen[token] = every[:: len(every) // actions + 1]
    return chosen


async def test_actions_of_every_protocol_work_well_are_refused_and_used_wrongly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    count, wrong = await sweep(sample(services=25, actions=12))
    assert wrong == []
    assert count > 250


def test_few_actions_are_excepted_from_the_sweep() -> None:
    assert len(EXCEPTIONS) <= 10


# ── against a server ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_table_of_dynamodb(moto: str) -> None:
    await result(
        moto,
        "aws-sdk:dynamodb:createTable",
        TableName="t",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    item = {"id": {"S": "1"}, "camelCase": {"N": "2"}}
    assert await result(moto, "aws-sdk:dynamodb:putItem", TableName="t", Item=item) == {}
    assert await result(moto, "aws-sdk:dynamodb:getItem", TableName="t", Key={"id": {"S": "1"}}) == {"Item": item}


async def test_a_body_is_the_json_text_of_its_value_and_comes_back_as_text(moto: str) -> None:
    await result(moto, "aws-sdk:s3:createBucket", Bucket="bucket")
    for value, text in (("text", '"text"'), ({"a": [1, "ä"]}, '{"a":[1,"ä"]}'), (False, "false"), (0, "0")):
        await result(moto, "aws-sdk:s3:putObject", Bucket="bucket", Key="a b/ä", Body=value)
        got = await result(moto, "aws-sdk:s3:getObject", Bucket="bucket", Key="a b/ä")
        assert got["Body"] == text
    listed = await result(moto, "aws-sdk:s3:listObjectsV2", Bucket="bucket")
    assert [one["Key"] for one in listed["Contents"]] == ["a b/ä"]


async def test_of_a_body_its_type_and_its_checksum_are_told_unless_the_task_tells_others(moto: str) -> None:
    await result(moto, "aws-sdk:s3:createBucket", Bucket="told")
    put = await result(moto, "aws-sdk:s3:putObject", Bucket="told", Key="a", Body=False)
    assert put["ChecksumCRC32"] == "K81oMA=="  # recorded
    got = await result(moto, "aws-sdk:s3:getObject", Bucket="told", Key="a")
    assert got["ContentType"] == "text/plain; charset=UTF-8"

    own = {"ContentType": "application/json", "ChecksumAlgorithm": "SHA256"}
    put = await result(moto, "aws-sdk:s3:putObject", Bucket="told", Key="b", Body={}, **own)
    assert "ChecksumCRC32" not in put
    assert put["ChecksumSHA256"]
    assert (await result(moto, "aws-sdk:s3:getObject", Bucket="told", Key="b"))["ContentType"] == "application/json"


async def test_an_error_with_a_class_has_its_name_and_the_sdks_text(moto: str) -> None:
    error, cause = await failure(moto, "aws-sdk:dynamodb:getItem", TableName="none", Key={"id": {"S": "1"}})
    assert error == "DynamoDb.ResourceNotFoundException"
    assert cause.startswith("Requested resource not found (Service: DynamoDb, Status Code: 400, Request ID: ")
    assert cause.endswith(") (SDK Attempt Count: 1)")
    assert (await failure(moto, "aws-sdk:s3:getObject", Bucket="none", Key="k"))[0] == "S3.NoSuchBucketException"
    error, _ = await failure(moto, "aws-sdk:rds:describeDBInstances", DbInstanceIdentifier="none")
    assert error == "Rds.DbInstanceNotFoundException"


async def test_an_error_without_a_class_is_the_services_own(moto: str) -> None:
    error, _ = await failure(moto, "aws-sdk:s3:createBucket", Bucket="b")
    assert error == "S3.S3Exception"


async def test_what_head_says_is_missing_has_the_name_that_get_gives_it(moto: str) -> None:
    await result(moto, "aws-sdk:s3:createBucket", Bucket="heads")
    error, cause = await failure(moto, "aws-sdk:s3:headObject", Bucket="heads", Key="none")
    assert error == "S3.NoSuchKeyException"
    assert cause.startswith("The specified key does not exist. (Service: S3, Status Code: 404, Request ID: ")
    assert (await failure(moto, "aws-sdk:s3:headBucket", Bucket="none"))[0] == "S3.NoSuchBucketException"


async def test_a_copy_names_its_source_as_the_sdk_for_java_does(moto: str) -> None:
    await result(moto, "aws-sdk:s3:createBucket", Bucket="copies")
    await result(moto, "aws-sdk:s3:putObject", Bucket="copies", Key="a b/ä?", Body=1)
    names = {"DestinationBucket": "copies", "DestinationKey": "new"}
    source = {"SourceBucket": "copies", "SourceKey": "a b/ä?"}
    await result(moto, "aws-sdk:s3:copyObject", **names, **source)
    assert (await result(moto, "aws-sdk:s3:getObject", Bucket="copies", Key="new"))["Body"] == "1"
    await result(moto, "aws-sdk:s3:copyObject", Bucket="copies", Key="newer", CopySource="copies/new")
    error, cause = await failure(moto, "aws-sdk:s3:copyObject", **names, **source, CopySource="copies/new")
    assert (error, 'The field "SourceBucket" is not supported' in cause) == ("States.Runtime", True)


async def test_an_object_without_a_key_is_not_taken_for_its_bucket(moto: str) -> None:
    await result(moto, "aws-sdk:s3:createBucket", Bucket="kept")
    for key in ("", ".", ".."):
        error, cause = await failure(moto, "aws-sdk:s3:deleteObject", Bucket="kept", Key=key)
        assert error == "States.Runtime"
        assert "The value of the field 'Key' has an invalid format" in cause
    await result(moto, "aws-sdk:s3:headBucket", Bucket="kept")


async def test_bytes_that_are_no_text_fail_the_task_and_it_is_told_that_it_was_called(moto: str) -> None:
    import boto3

    await result(moto, "aws-sdk:s3:createBucket", Bucket="pictures")
    s3 = boto3.client("s3", endpoint_url=moto, region_name="us-east-1")
    s3.put_object(Bucket="pictures", Key="dot.png", Body=b"\x89PNG\r\n\x1a\n")
    error, cause = await failure(moto, "aws-sdk:s3:getObject", Bucket="pictures", Key="dot.png")
    assert error == "States.Runtime"
    assert "was called, but the bytes of Body are not UTF-8" in cause


async def test_members_that_the_action_has_not_fail_before_it_is_called(moto: str) -> None:
    error, cause = await failure(moto, "aws-sdk:s3:getObject", Bucket="bucket", Kay=1)
    assert error == "States.Runtime"
    assert cause.endswith(
        """The Parameters '{"Bucket":"bucket","Kay":1}' could not be used to start the Task: [The field "Kay" is not """
        "supported by Step Functions, The field 'Key' is required but was missing]"
    )


async def test_nobody_who_answers_is_an_error_of_the_client() -> None:
    error, cause = await failure("http://127.0.0.1:1", "aws-sdk:sqs:listQueues")
    assert error == "Sqs.SdkClientException"
    assert cause.startswith("Unable to execute HTTP request: Connect to 127.0.0.1:1 failed")


# ── who may call AWS ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_without_leave_no_task_leaves_the_machine() -> None:
    async with Engine.in_memory() as engine:
        with pytest.raises(MissingHandler, match=r"'aws:' calls AWS, 'aws:\?endpoint=URL' \(or AWS_ENDPOINT_URL\)"):
            await engine.run(await engine.create_state_machine(call("aws-sdk:sqs:listQueues", {}), "m"))


async def test_an_endpoint_in_place_of_awss_is_leave_enough(moto: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", moto)
    async with Engine.in_memory(region="us-east-1") as engine:
        machine_ = await engine.create_state_machine(call("aws-sdk:sts:getCallerIdentity", {}), "m")
        assert (await engine.run(machine_))["Account"] == "123456789012"
        with pytest.raises(MissingHandler):
            await engine.run(await engine.create_state_machine(call("aws-sdk:sqs:listQueues", {}), "other"))


def test_leave_goes_after_every_rule() -> None:
    from engine.asl.resource import parse_resource

    handlers = Handlers({"Mine": "mock:1"})
    handlers.call_aws(is_allowed=True)
    resource = parse_resource("arn:aws:states:::aws-sdk:sqs:listQueues")
    assert resource is not None

    def name(state: str) -> str | None:
        found = handlers.find(state, resource, None, region="us-east-1", account="123456789012")
        return None if found is None else found.name

    assert (name("Mine"), name("Other")) == ("mock:1", "aws:")
