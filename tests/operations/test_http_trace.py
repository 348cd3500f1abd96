"""TestState of HTTP Tasks at TRACE: the request, the response, and what is hidden of them."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from engine import Engine, Handlers
from engine.operations import test_state as operation
from tests.http_server import Asked, Reply, http_server

pytestmark = pytest.mark.anyio

ROLE = "arn:aws:iam::123456789012:role/r"
CONNECTION = {
    "type": "basic",
    "username": "me",
    "password": "x",
    "headers": {"CustomHeader1": "hush"},
    "query": {"QueryParam1": "hush", "both": "hush"},
    "body": {"BodyKey1": "hush"},
}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)


def definition(url: str, **parameters: Any) -> dict[str, Any]:
    arguments = {
        "Method": "POST",
        "Authentication": {"ConnectionArn": "c"},
        "ApiEndpoint": f"{url}/get",
        "Headers": {"definitionHeader": "h1", "customheader1": "task"},
        "RequestBody": {"message": "Hello"},
        "QueryParameters": {"queryParam": "q1", "both": "task"},
    }
    resource = "arn:aws:states:::http:invoke"
    return {"Type": "Task", "Resource": resource, "Parameters": {**arguments, **parameters}, "End": True}


async def inspected(url: str, level: operation.InspectionLevel = "TRACE", **given: Any) -> dict[str, Any]:
    rules = Handlers({"*": "aws:?http=loopback"}, connections={"c": CONNECTION})
    async with Engine.in_memory(rules, region="eu-west-1") as engine:
        answer = await operation.test_state(
            engine.service,
            definition=json.dumps(definition(url)),
            role_arn=ROLE,
            inspection_level=level,
            **given,
        )
    inspection: dict[str, Any] = answer["inspection_data"]
    return inspection


async def test_request_and_response_are_shown_without_what_the_connection_adds() -> None:
    async with http_server(Reply.of({"a": 1}, x_one="1")) as server:
        data = await inspected(server.url)
    assert data["request"] == {
        "protocol": "http",
        "method": "POST",
        "url": f"{server.url}/get?queryParam=q1",
        "headers": "[definitionHeader: h1, User-Agent: Amazon|StepFunctions|HttpInvoke|eu-west-1, "
        "Range: bytes=0-262144]",
        "body": '{"message":"Hello"}',
    }
    assert data["response"] == {
        "protocol": "http",
        "statusCode": "200",
        "statusMessage": "OK",
        "headers": "[content-type: application/json, x-one: 1, content-length: 8]",
        "body": '{"a": 1}',
    }
    assert "hush" not in json.dumps(data)


async def test_secrets_are_shown_when_that_is_asked_for() -> None:
    async with http_server(Reply.of({})) as server:
        data = await inspected(server.url, reveal_secrets=True)
    assert data["request"] == {
        "protocol": "http",
        "method": "POST",
        "url": f"{server.url}/get?queryParam=q1&QueryParam1=hush&both=hush",
        "headers": "[definitionHeader: h1, CustomHeader1: hush, Authorization: Basic bWU6eA==, "
        "User-Agent: Amazon|StepFunctions|HttpInvoke|eu-west-1, Range: bytes=0-262144]",
        "body": '{"message":"Hello","BodyKey1":"hush"}',
    }
    assert server.asked[0].path == "/get?queryParam=q1&QueryParam1=hush&both=hush"


async def test_other_levels_show_neither() -> None:
    async with http_server(Reply.of({})) as server:
        assert not {"request", "response"} & (await inspected(server.url, "DEBUG", reveal_secrets=True)).keys()


async def test_a_failure_shows_what_came_back_and_no_answer_only_the_request() -> None:
    async with http_server(Reply.text("no", 404, "Not Found")) as server:
        data = await inspected(server.url)
    assert (data["response"]["statusCode"], data["response"]["body"]) == ("404", "no")
    data = await inspected(server.url)
    assert data["request"]["method"] == "POST"
    assert "response" not in data


async def test_the_library_and_the_shell_have_it_too() -> None:
    async def answer(_asked: Asked) -> Reply:
        return Reply.of({})

    rules = Handlers({"*": "aws:?http=loopback"}, connections={"c": CONNECTION})
    async with http_server(answer) as server, Engine.in_memory(rules) as engine:
        for reveals in (False, True):
            outcome = await engine.test_state(definition(server.url), inspection_level="TRACE", reveal_secrets=reveals)
            assert outcome.inspection_data["response"]["statusCode"] == "200"
            assert ("hush" in outcome.inspection_data["request"]["url"]) is reveals
