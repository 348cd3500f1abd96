"""What Node handlers see, and what becomes of what they return and throw."""

from __future__ import annotations

import json
import re
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from engine.lambda_emulator.environments import Environments
from tests.lambda_emulator.running import Log, call, error, files, function, result

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from engine.lambda_emulator.functions import FunctionVersion

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed"),
]


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def environments(log) -> AsyncIterator[Environments]:
    async with Environments(log) as environments:
        yield environments


def node(directory: Path, handler: str = "app.handler", **sources: str) -> FunctionVersion:
    return function(directory, code=files(directory, **sources), runtime="nodejs20.x", handler=handler)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("exports.handler = async (event) => ({ ...event, seen: true });", {"a": 1, "seen": True}),
        ("exports.handler = (event, context, callback) => setTimeout(() => callback(null, 'later'), 10);", "later"),
        ("exports.handler = (event, context) => context.succeed('done');", "done"),
        ("exports.handler = async () => {};", None),
        ("exports.handler = () => {};", None),
    ],
)
async def test_a_handler_answers_in_any_way_that_lambda_knows(environments, tmp_path, source, expected):
    assert await result(environments, node(tmp_path, app_js=source), {"a": 1}) == expected


async def test_modules_of_both_kinds_are_loaded(environments, tmp_path):
    source = "import { readFileSync } from 'node:fs'; export const handler = async () => typeof readFileSync;"
    assert await result(environments, node(tmp_path, app_mjs=source)) == "function"
    package = json.dumps({"type": "module"})
    version = node(tmp_path, app_js=source, package_json=package)
    await environments.retire("f")
    assert await result(environments, version) == "function"


async def test_a_callback_waits_for_what_is_left_to_do_unless_told_otherwise(environments, log, tmp_path):
    source = """
        exports.handler = (event, context, callback) => {
            context.callbackWaitsForEmptyEventLoop = event.waits;
            setTimeout(() => console.log("left"), 100);
            callback(null, 1);
        };
    """
    version = node(tmp_path, app_js=source)
    assert b"left" in (await call(environments, version, {"waits": True})).log_tail
    assert b"left" not in (await call(environments, version, {"waits": False})).log_tail


@pytest.mark.parametrize(
    ("source", "error_type", "message"),
    [
        ("exports.handler = async () => { throw new TypeError('bad'); };", "TypeError", "bad"),
        ("exports.handler = () => { throw new RangeError('bad'); };", "RangeError", "bad"),
        ("exports.handler = (e, c, callback) => callback(new Error('bad'));", "Error", "bad"),
        ("exports.handler = (e, c, callback) => callback('text');", "string", "text"),
        ("exports.handler = () => { setTimeout(() => { throw new Error('late'); }, 5); };", "Error", "late"),
        (
            "exports.handler = (e, c, d) => { Promise.reject(new Error('lost')); setTimeout(d, 1000); };",
            "Runtime.UnhandledPromiseRejection",
            "Error: lost",
        ),
    ],
)
async def test_an_error_has_type_message_and_trace(environments, tmp_path, source, error_type, message):
    """lambda.md 2.2 [R]."""
    failed = await error(environments, node(tmp_path, app_js=source))
    assert list(failed) == ["errorType", "errorMessage", "trace"]
    assert (failed["errorType"], failed["errorMessage"]) == (error_type, message)
    assert await error(environments, node(tmp_path, app_js=source)) is not None


@pytest.mark.parametrize(
    ("handler", "sources", "error_type", "message"),
    [
        ("app.missing", {"app_js": ""}, "Runtime.HandlerNotFound", "app.missing is undefined or not exported"),
        ("app", {"app_js": ""}, "Runtime.MalformedHandlerName", "Bad handler"),
        ("nothing.handler", {"app_js": ""}, "Runtime.ImportModuleError", "Error: Cannot find module"),
        ("app.handler", {"app_js": "require('missing')"}, "Runtime.ImportModuleError", "Cannot find module 'missing'"),
        ("app.handler", {"app_js": "exports.handler = ("}, "Runtime.UserCodeSyntaxError", "SyntaxError: "),
        ("app.handler", {"app_js": "throw new Error('init')"}, "Error", "init"),
    ],
)
async def test_what_cannot_be_loaded_is_told(environments, tmp_path, handler, sources, error_type, message):
    failed = await error(environments, node(tmp_path, handler, **sources))
    assert failed["errorType"] == error_type
    assert message in failed["errorMessage"]


async def test_the_context_has_what_lambda_gives(environments, tmp_path):
    source = """
        exports.handler = async (event, context) => ({
            ...context, left: context.getRemainingTimeInMillis() > 9000, trace: process.env._X_AMZN_TRACE_ID,
        });
    """
    found: dict[str, Any] = await result(
        environments,
        node(tmp_path, app_js=source),
        request_id="r-1",
        trace_id="Root=1-a",
        client_context='{"custom": {"k": "ü"}}',
    )
    assert re.fullmatch(r".*/\[\$LATEST\][0-9a-f]{32}", found.pop("logStreamName"))
    assert found == {
        "callbackWaitsForEmptyEventLoop": True,
        "functionVersion": "$LATEST",
        "functionName": "f",
        "memoryLimitInMB": "128",
        "logGroupName": "/aws/lambda/f",
        "clientContext": {"custom": {"k": "ü"}},
        "invokedFunctionArn": "arn:aws:lambda:eu-central-1:000000000000:function:f",
        "awsRequestId": "r-1",
        "left": True,
        "trace": "Root=1-a",
    }


async def test_the_console_writes_time_request_and_level(environments, log, tmp_path):
    source = "exports.handler = async () => { console.log('hello %d', 1, { a: 1 }); console.error('two\\nlines'); };"
    await call(environments, node(tmp_path, app_js=source), request_id="r-2")
    hello, two = log.lines[1:3]
    assert re.fullmatch(r"\d{4}-\S+Z\tr-2\tINFO\thello 1 \{ a: 1 \}", hello)
    assert two.endswith("\tERROR\ttwo\nlines")


STREAMS = """
    exports.handler = awslambda.streamifyResponse(async (event, stream) => {
        stream.setContentType("text/plain");
        stream.write("one,");
        await new Promise((resolve) => setTimeout(resolve, 50));
        if (event.fails) throw new Error("midway");
        stream.write("two");
        stream.end();
    });
"""


async def test_a_streamed_response_comes_in_parts(environments, tmp_path):
    parts: list[bytes] = []
    version = node(tmp_path, app_js=STREAMS)
    outcome = await call(environments, version, on_chunk=parts.append)
    assert parts == [b"one,", b"two"]
    assert (outcome.payload, outcome.streamed, outcome.content_type) == (b"", True, "text/plain")
    whole = await call(environments, version)
    assert (whole.payload, whole.function_error) == (b"one,two", None)


async def test_an_error_in_the_middle_of_a_stream_is_told(environments, tmp_path):
    parts: list[bytes] = []
    version = node(tmp_path, app_js=STREAMS)
    outcome = await call(environments, version, {"fails": True}, on_chunk=parts.append)
    assert parts == [b"one,"]
    assert outcome.function_error == "Unhandled"
    assert json.loads(outcome.payload)["errorMessage"] == "midway"


async def test_a_prelude_says_what_the_http_answer_shall_be(environments, tmp_path):
    source = """
        exports.handler = awslambda.streamifyResponse(async (event, stream) => {
            const http = awslambda.HttpResponseStream.from(stream, { statusCode: 201 });
            http.end("body");
        });
    """
    outcome = await call(environments, node(tmp_path, app_js=source))
    assert outcome.content_type == "application/vnd.awslambda.http-integration-response"
    assert outcome.payload == b'{"statusCode":201}' + bytes(8) + b"body"
