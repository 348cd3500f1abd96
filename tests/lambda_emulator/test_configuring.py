"""boto3 configures functions: their lives from a zip to the end, waiters, pages, and errors by their names."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

import pytest

from engine.lambda_emulator.clock import SystemClock
from tests.lambda_emulator.control_plane import ACCOUNT, REGION, ROLE, arn, new_emulator
from tests.lambda_emulator.packages import zipped
from tests.lambda_emulator.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.lambda_emulator.serving import Server


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("code")
    with serving(lambda url: new_emulator(directory, url=url, clock=SystemClock())) as running:
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    made = server.client()
    yield made
    for function in made.list_functions()["Functions"]:
        made.delete_function(FunctionName=function["FunctionName"])
    made.close()


def create(client: Any, name: str = "f", **given: Any) -> dict[str, Any]:
    needed = {"Role": ROLE, "Runtime": "python3.12", "Handler": "app.handler", "Code": {"ZipFile": zipped()}}
    return client.create_function(FunctionName=name, **(needed | given))


def test_a_function_lives_from_a_zip_to_its_deletion(client):
    made = create(client, Environment={"Variables": {"KEY": "ä"}}, Tags={"a": "1"})
    assert (made["ResponseMetadata"]["HTTPStatusCode"], made["State"]) == (201, "Pending")
    client.get_waiter("function_exists").wait(FunctionName="f")
    client.get_waiter("function_active_v2").wait(FunctionName="f")
    client.get_waiter("function_active").wait(FunctionName="f")
    changed = client.update_function_code(FunctionName="f", ZipFile=zipped({"app.py": "2"}))
    assert changed["LastUpdateStatus"] == "InProgress"
    client.get_waiter("function_updated_v2").wait(FunctionName="f")
    client.update_function_configuration(FunctionName="f", Timeout=9)
    client.get_waiter("function_updated").wait(FunctionName="f")
    version = client.publish_version(FunctionName="f")
    assert (version["ResponseMetadata"]["HTTPStatusCode"], version["Version"]) == (201, "1")
    client.get_waiter("published_version_active").wait(FunctionName="f", Qualifier="1")
    shown = client.get_function(FunctionName="f", Qualifier="1")
    assert shown["Configuration"]["Environment"] == {"Variables": {"KEY": "ä"}}
    with urlopen(shown["Code"]["Location"]) as answer:
        assert answer.read() == zipped({"app.py": "2"})
    deleted = client.delete_function(FunctionName="f")
    assert deleted["ResponseMetadata"]["HTTPStatusCode"] == 204
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function(FunctionName="f")


def test_every_answer_has_the_status_of_the_model_or_of_the_recordings(client):
    def status(answer: dict[str, Any]) -> int:
        return int(answer["ResponseMetadata"]["HTTPStatusCode"])

    create(client, Publish=True)
    f = {"FunctionName": "f"}
    alias = f | {"Name": "prod"}
    assert status(client.create_alias(**alias, FunctionVersion="1")) == 201
    assert status(client.update_alias(**alias, Description="d")) == 200
    assert status(client.put_function_concurrency(**f, ReservedConcurrentExecutions=5)) == 200
    provisioned = f | {"Qualifier": "prod"}
    asked = client.put_provisioned_concurrency_config(**provisioned, ProvisionedConcurrentExecutions=1)
    assert status(asked) == 202
    assert status(client.delete_provisioned_concurrency_config(**provisioned)) == 204
    assert status(client.delete_function_concurrency(**f)) == 204
    permission = client.add_permission(**f, StatementId="s", Action="lambda:InvokeFunction", Principal="*")
    assert (status(permission), json.loads(permission["Statement"])["Sid"]) == (201, "s")
    assert status(client.remove_permission(**f, StatementId="s")) == 204
    assert status(client.create_function_url_config(**f, AuthType="NONE")) == 201
    assert status(client.update_function_url_config(**f, AuthType="AWS_IAM")) == 200
    assert status(client.delete_function_url_config(**f)) == 204
    assert status(client.tag_resource(Resource=arn(), Tags={"a": "1"})) == 204
    assert client.list_tags(Resource=arn())["Tags"] == {"a": "1"}
    assert status(client.untag_resource(Resource=arn(), TagKeys=["a"])) == 204
    said = client.put_function_event_invoke_config(**f, MaximumRetryAttempts=0)
    assert isinstance(said["LastModified"], datetime)
    assert status(client.delete_function_event_invoke_config(**f)) == 204
    assert status(client.delete_alias(**alias)) == 204
    assert status(client.put_function_recursion_config(**f, RecursiveLoop="Allow")) == 200
    assert status(client.put_runtime_management_config(**f, UpdateRuntimeOn="Auto")) == 200
    assert status(client.get_function_code_signing_config(**f)) == 200


def test_layers_over_the_wire(client):
    layer = {"LayerName": "l"}
    made = client.publish_layer_version(**layer, Content={"ZipFile": zipped()}, CompatibleRuntimes=["python3.12"])
    number = made["Version"]
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    create(client, Layers=[made["LayerVersionArn"]])
    by_arn = client.get_layer_version_by_arn(Arn=made["LayerVersionArn"])
    assert by_arn["Version"] == client.get_layer_version(**layer, VersionNumber=number)["Version"] == number
    given = {"StatementId": "s", "Action": "lambda:GetLayerVersion", "Principal": "*"}
    client.add_layer_version_permission(**layer, VersionNumber=number, **given)
    assert "Policy" in client.get_layer_version_policy(**layer, VersionNumber=number)
    client.remove_layer_version_permission(**layer, VersionNumber=number, StatementId="s")
    assert [one["Version"] for one in client.list_layer_versions(**layer)["LayerVersions"]] == [number]
    client.delete_layer_version(**layer, VersionNumber=number)
    assert client.list_layers()["Layers"] == []


def test_boto3s_paginators_find_everything(client):
    for number in range(3):
        create(client, f"f{number}", Publish=True)
    pages = client.get_paginator("list_functions").paginate(FunctionVersion="ALL", PaginationConfig={"PageSize": 1})
    assert [one["FunctionArn"] for page in pages for one in page["Functions"]] == [
        arn(f"f{number}", version) for number in range(3) for version in ("$LATEST", "1")
    ]
    for name in ("a", "b"):
        client.create_alias(FunctionName="f0", Name=name, FunctionVersion="1")
    pages = client.get_paginator("list_aliases").paginate(FunctionName="f0", PaginationConfig={"PageSize": 1})
    assert [one["Name"] for page in pages for one in page["Aliases"]] == ["a", "b"]


def test_an_arn_in_the_path_is_a_name(client):
    create(client, Publish=True)
    assert client.get_function_configuration(FunctionName=arn("f", "1"))["Version"] == "1"


@pytest.mark.parametrize(
    ("operation", "given", "name"),
    [
        ("get_function", {"FunctionName": "g"}, "ResourceNotFoundException"),
        ("create_alias", {"FunctionName": "f", "Name": "a", "FunctionVersion": "9"}, "ResourceNotFoundException"),
        ("update_function_code", {"FunctionName": "f", "ZipFile": b"x"}, "InvalidParameterValueException"),
        (
            "update_function_configuration",
            {"FunctionName": "f", "Timeout": 9, "RevisionId": "x"},
            "PreconditionFailedException",
        ),
        ("create_function_url_config", {"FunctionName": "f", "AuthType": "NONE"}, "ResourceConflictException"),
        (
            "get_provisioned_concurrency_config",
            {"FunctionName": "f", "Qualifier": "1"},
            "ProvisionedConcurrencyConfigNotFoundException",
        ),
    ],
)
def test_errors_are_boto3s_exceptions(client, operation, given, name):
    create(client, Publish=True)
    client.create_function_url_config(FunctionName="f", AuthType="NONE")
    with pytest.raises(getattr(client.exceptions, name)) as caught:
        getattr(client, operation)(**given)
    assert caught.value.response["Error"]["Code"] == name


@pytest.mark.parametrize(
    ("operation", "given"),
    [
        ("list_event_source_mappings", {}),
        ("create_event_source_mapping", {"FunctionName": "f", "EventSourceArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:q"}),
        ("list_code_signing_configs", {}),
        ("list_durable_executions_by_function", {"FunctionName": "f"}),
        ("get_function_scaling_config", {"FunctionName": "f", "Qualifier": "1"}),
    ],
)
def test_an_operation_that_is_not_built_is_refused_by_its_name(client, operation, given):
    with pytest.raises(client.exceptions.ClientError) as caught:
        getattr(client, operation)(**given)
    error = caught.value.response["Error"]
    assert error["Code"] == "NotImplementedException"
    assert operation.replace("_", "") in error["Message"].lower()


def test_a_timeout_of_900_seconds_is_taken_and_one_of_901_is_not(client):
    assert create(client, Timeout=900, MemorySize=10_240)["Timeout"] == 900
    with pytest.raises(client.exceptions.ClientError) as caught:
        create(client, "g", Timeout=901)
    assert caught.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: "
        "Member must have value less than or equal to 900",
    }
