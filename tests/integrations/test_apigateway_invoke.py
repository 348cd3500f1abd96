"""`apigateway:invoke`: APIs of API Gateway, against a server on this machine."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from engine import Engine, ExecutionFailed, Handlers, MissingHandler
from engine.http.sigv4 import AccessKey, parse_authorization, verified
from tests.aws_environment import without_credentials
from tests.definitions import machine
from tests.http_server import Asked, Reply, http_server
from tests.waiting import until

pytestmark = pytest.mark.anyio

HOST = "a1b2c3.execute-api.eu-west-1.amazonaws.com"


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    without_credentials(monkeypatch)


def call(method: str = "GET", *, suffix: str = "", **parameters: Any) -> dict[str, Any]:
    arguments = {"ApiEndpoint": HOST, "Method": method, **parameters}
    resource = f"arn:aws:states:::apigateway:invoke{suffix}"
    return machine({"Type": "Task", "Resource": resource, "Parameters": arguments})


async def run(url: str, definition: dict[str, Any]) -> Any:
    async with Engine.in_memory({"*": f"aws:?endpoint={url}"}, region="us-east-1") as engine:
        return await engine.run(definition)


async def failure(url: str, definition: dict[str, Any]) -> tuple[str | None, str]:
    with pytest.raises(ExecutionFailed) as caught:
        await run(url, definition)
    return caught.value.error, str(caught.value.cause)


async def asked_of(definition: dict[str, Any]) -> Asked:
    async with http_server(Reply.of({})) as server:
        await run(server.url, definition)
    [asked] = server.asked
    return asked


@pytest.mark.parametrize(
    ("parameters", "path"),
    [
        ({}, "/"),
        ({"Stage": "prod"}, "/prod"),
        ({"Stage": "/prod/", "Path": "/bills/add"}, "/prod/bills/add"),
        ({"Path": "a b/ü/"}, "/a%20b/%C3%BC/"),
        ({"Stage": "p", "Path": "@connections/Xy%3D"}, "/p/@connections/Xy%3D"),
        ({"Stage": "p", "QueryParameters": {"billId": ["1", "2 3"], "x&": [5]}}, "/p?billId=1&billId=2%203&x%26=5"),
        ({"QueryParameters": {"a": [None], "b": None}, "AllowNullValues": True}, "/?a=&b="),
    ],
)
async def test_where_an_api_is_called(parameters: dict[str, Any], path: str) -> None:
    assert (await asked_of(call(**parameters))).path == path


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_body_is_sent_with_the_methods_that_have_one(method: str) -> None:
    asked = await asked_of(call(method, RequestBody={"a": [1]}, Headers={"X-Many": ["a", "b"]}))
    assert (asked.method, asked.body) == (method, b'{"a":[1]}')
    assert (asked.header("content-type"), asked.header("x-many")) == ("application/json", "a,b")
    assert asked.header("authorization") is None


async def test_a_text_is_the_body_itself() -> None:
    asked = await asked_of(call("POST", RequestBody="a=b", Headers={"content-type": ["text/plain"]}))
    assert (asked.body, asked.all("content-type")) == (b"a=b", ["text/plain"])


@pytest.mark.parametrize("method", ["GET", "DELETE", "HEAD", "OPTIONS"])
async def test_other_methods_have_no_body(method: str) -> None:
    asked = await asked_of(call(method, RequestBody={"a": 1}))
    assert (asked.method, asked.body, asked.header("content-type")) == (method, b"", None)


@pytest.mark.parametrize("auth_type", ["IAM_ROLE", "RESOURCE_POLICY"])
async def test_a_request_is_signed(auth_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    definition = call(
        "POST",
        AuthType=auth_type,
        Stage="p",
        Path="a b/@x/%3D",
        QueryParameters={"b": ["2", "1 "], "a": ["ü"]},
        Headers={"X-One": ["1", "2"]},
        RequestBody={"a": 1},
    )
    asked = await asked_of(definition)
    authorization = parse_authorization(str(asked.header("authorization")))
    assert (authorization.region, authorization.service) == ("eu-west-1", "execute-api")
    path, _, query = asked.path.partition("?")
    key = AccessKey(name="k", id="AKID", secret="SECRET")
    assert verified(
        {"AKID": key},
        authorization,
        method="POST",
        path=path,
        query=query,
        headers=dict(asked.headers),
        body=asked.body,
        now=time.time(),
        service="execute-api",
    )


async def test_the_answer_has_its_headers_as_they_were_spelled() -> None:
    async with http_server(Reply.of({"myBills": []}, x_amzn_requestid="1")) as server:
        output = await run(server.url, call())
    assert output == {
        "Headers": {
            "Content-Type": ["application/json"],
            "X-Amzn-Requestid": ["1"],
            "Content-Length": ["15"],
        },
        "ResponseBody": {"myBills": []},
        "StatusCode": 200,
        "StatusText": "OK",
    }


async def test_a_status_that_is_no_success_is_an_error_with_its_body() -> None:
    reply = Reply.of({"message": "Missing Authentication Token"}, 403, "Forbidden")
    async with http_server(reply) as server:
        assert await failure(server.url, call()) == ("ApiGateway.403", '{"message": "Missing Authentication Token"}')


async def test_no_answer_is_an_error_of_the_client() -> None:
    error, cause = await failure("http://127.0.0.1:1", call())
    assert error == "ApiGateway.SdkClientException"
    assert cause.startswith("Unable to execute HTTP request: Connect to 127.0.0.1:1 failed")


async def test_an_answer_that_is_no_text_fails_the_task() -> None:
    async with http_server(Reply(b"x", headers=[("Content-Type", "image/png")])) as server:
        assert (await failure(server.url, call()))[0] == "States.Runtime"


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"Headers.$": "$.single"}, "The value of the field 'Headers' has an invalid format"),
        ({"Headers.$": "$.forbidden"}, "The 'Headers' field contains unsupported values: [X-Amzn-Thing, host]"),
        ({"QueryParameters.$": "$.single"}, "The value of the field 'QueryParameters' has an invalid format"),
        ({"QueryParameters.$": "$.null"}, "The value of the field 'QueryParameters' has an invalid format"),
        ({"ApiEndpoint.$": "$.url"}, "The value for the 'ApiEndpoint' field is not valid"),
        ({"Method.$": "$.url"}, "The value for the 'Method' field is not valid"),
        ({"AuthType.$": "$.url"}, "The value for the 'AuthType' field is not valid"),
        ({"Stage.$": "$.single"}, "The value for the field 'Stage' must be a STRING"),
        ({"AllowNullValues.$": "$.url"}, "The value for the field 'AllowNullValues' must be a BOOLEAN"),
    ],
)
async def test_arguments_that_cannot_be_used_send_nothing(change: dict[str, str], finding: str) -> None:
    data = {
        "single": {"x": "1"},
        "forbidden": {"X-Amzn-Thing": ["1"], "host": ["x"], "X-Good": ["1"]},
        "null": {"x": [None]},
        "url": "https://example.com/",
    }
    definition = call()
    parameters = definition["States"]["A"]["Parameters"]
    for name in change:
        parameters.pop(name.removesuffix(".$"), None)
    parameters.update(change)
    states = {"Z": {"Type": "Pass", "Result": data, "Next": "A"}, **definition["States"]}
    async with http_server(Reply.of({})) as server:
        error, cause = await failure(server.url, {"StartAt": "Z", "States": states})
        assert error == "States.Runtime"
        assert finding in cause
        assert server.asked == []


async def test_a_callback_waits_for_its_token() -> None:
    definition = call("POST", suffix=".waitForTaskToken", RequestBody={"token.$": "$$.Task.Token"})
    async with (
        http_server(Reply.of({"taken": True})) as server,
        Engine.in_memory({"*": f"aws:?endpoint={server.url}"}) as engine,
    ):
        execution = await engine.start_execution(definition)
        await until(lambda: server.asked)
        await engine.send_task_success(json.loads(server.asked[0].body)["token"], {"paid": True})
        assert await execution.result() == {"paid": True}


async def test_another_endpoint_in_the_environment_is_leave_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Engine.in_memory() as engine:
        with pytest.raises(MissingHandler):
            await engine.run(call())
    async with http_server(Reply.of({})) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_EXECUTE_API", f"{server.url}/_aws/execute-api/{{api_id}}/")
        async with Engine.in_memory() as engine:
            assert (await engine.run(call(Stage="p")))["StatusCode"] == 200
    assert server.asked[0].path == "/_aws/execute-api/a1b2c3/p"


def test_apis_leave_the_machine() -> None:
    from engine.asl.resource import parse_resource
    from engine.integrations.aws_actions import is_outside

    for called in ("http:invoke", "apigateway:invoke"):
        resource = parse_resource(f"arn:aws:states:::{called}")
        assert resource is not None
        assert is_outside(resource)
        handlers = Handlers()
        handlers.call_aws(is_allowed=False)
        assert handlers.without_rule(resource, None) is None
        handlers.call_aws(is_allowed=True)
        assert handlers.without_rule(resource, None) is not None
