"""TestState as a client sees it: members, numbers and errors of the answer."""

from __future__ import annotations

import json
import time

import pytest

from engine import Engine, Handlers
from engine.api.app import Api
from engine.http.access import Access
from tests.api.asking import Answer, ask
from tests.http_server import Reply, http_server

pytestmark = pytest.mark.anyio

FLOW = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}}
MAP = {"Type": "Map", "ItemProcessor": FLOW, "ToleratedFailurePercentage": 50, "Next": "N"}


async def answered(definition: object, handlers: Handlers | None = None, **members: object) -> Answer:
    async with Engine.in_memory(handlers) as engine:
        api = Api(engine.service, access=Access(now=time.time))
        return await ask(api, "TestState", {"definition": json.dumps(definition), **members})


async def test_documents_are_text_and_counts_are_numbers() -> None:
    answer = await answered(MAP, input="[1, 2]", mock={"result": '["a", "b"]'}, inspectionLevel="TRACE")
    assert answer.status == 200
    assert answer.body == {
        "status": "SUCCEEDED",
        "output": '["a", "b"]',
        "nextState": "N",
        "inspectionData": {
            "input": "[1, 2]",
            "afterInputPath": "[1, 2]",
            "afterItemsPath": "[1, 2]",
            "maxConcurrency": 0,
            "toleratedFailurePercentage": 50.0,
            "afterResultSelector": '["a", "b"]',
            "afterResultPath": '["a", "b"]',
        },
    }


async def test_an_error_that_was_not_caught_is_an_answer() -> None:
    answer = await answered({"Type": "Fail", "Error": "E"}, inspectionLevel="DEBUG")
    assert answer.body == {
        "status": "FAILED",
        "error": "E",
        "inspectionData": {"input": "{}", "afterInputPath": "{}"},
    }


async def test_a_map_without_a_mock_is_an_invalid_definition() -> None:
    answer = await answered(MAP)
    assert (answer.status, answer.code) == (400, "InvalidDefinition")
    assert answer.body["message"].startswith("TestState API does not support Map or Parallel states.")


async def test_members_are_held_to_the_service_model() -> None:
    answer = await answered(MAP, mock={"result": "1", "fieldValidationMode": "LAX"})
    assert (answer.status, answer.code) == (400, "ValidationException")
    assert "fieldValidationMode" in answer.body["message"]


async def test_an_http_task_shows_its_request_and_response() -> None:
    handlers = Handlers(
        {"*": "aws:?http=loopback"}, connections={"c": {"type": "basic", "username": "me", "password": "hush"}}
    )
    async with http_server(Reply.text("no", 404, "Not Found")) as server:
        parameters = {"ApiEndpoint": server.url, "Method": "GET", "Authentication": {"ConnectionArn": "c"}}
        definition = {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Parameters": parameters, "End": True}
        asked = {"roleArn": "arn:aws:iam::123456789012:role/r", "inspectionLevel": "TRACE"}
        answer = await answered(definition, handlers, **asked)
        revealed = await answered(definition, handlers, **asked, revealSecrets=True)
    assert (answer.status, answer.body["error"]) == (200, "States.Http.StatusCode.404")
    data = answer.body["inspectionData"]
    assert (data["request"]["method"], data["response"]["statusCode"]) == ("GET", "404")
    assert "Authorization" not in data["request"]["headers"]
    assert "Authorization: Basic " in revealed.body["inspectionData"]["request"]["headers"]
