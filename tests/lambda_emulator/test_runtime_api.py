"""The Runtime API as a runtime sees it (lambda.md 5)."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio
import pytest

from engine.lambda_emulator.invocation import RESPONSE_BYTES_MAX
from engine.lambda_emulator.runtime_api import InitFailed, Ready, Responded, Restoring, RuntimeApi
from tests.waiting import DEADLINE_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio

PREFIX = "/2018-06-01/runtime"


class Runtime:
    """A runtime's end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, method: str, path: str, body: bytes = b"", **headers: str) -> None:
        lines = [f"{method} {PREFIX}{path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        await self.write("\r\n".join([*lines, "", ""]).encode() + body)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def receive(self) -> tuple[int, dict[str, str], bytes]:
        with anyio.fail_after(DEADLINE_SECONDS):
            status = int((await self._reader.readline()).split()[1])
            headers = {}
            while (line := (await self._reader.readline()).decode()) != "\r\n":
                name, _, value = line.partition(":")
                headers[name] = value.strip()
            return status, headers, await self._reader.readexactly(int(headers["Content-Length"]))

    async def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, dict[str, str], bytes]:
        await self.send(method, path, body, **headers)
        return await self.receive()

    async def refused(self, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        status, _, answer = await self.ask(method, path, body, **headers)
        return status, json.loads(answer)["errorType"]

    def end(self) -> None:
        self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()


class Heard(list):
    """What the API told of its runtime."""

    async def next(self, kind: type):
        await until(lambda: self)
        message = self.pop(0)
        assert isinstance(message, kind), message
        return message


@pytest.fixture
async def heard() -> Heard:
    return Heard()


@pytest.fixture
async def api(heard) -> AsyncIterator[RuntimeApi]:
    api = RuntimeApi(heard.append)
    await api.listen()
    yield api
    api.close()


@asynccontextmanager
async def connected(api: RuntimeApi) -> AsyncIterator[Runtime]:
    host, _, port = api.address.partition(":")
    runtime = Runtime(*await asyncio.open_connection(host, int(port)))
    try:
        yield runtime
    finally:
        runtime.close()


@pytest.fixture
async def runtime(api) -> AsyncIterator[Runtime]:
    async with connected(api) as runtime:
        yield runtime


async def deliver(api: RuntimeApi, runtime: Runtime, heard: Heard, request_id: str = "r1", payload: bytes = b"{}"):
    await runtime.send("GET", "/invocation/next")
    await heard.next(Ready)
    api.deliver(request_id, {"Lambda-Runtime-Aws-Request-Id": request_id}, payload)
    return await runtime.receive()


async def test_an_invocation_is_delivered_and_answered(api, runtime, heard):
    status, headers, body = await deliver(api, runtime, heard, payload=b'{"a":1}')
    assert (status, body) == (200, b'{"a":1}')
    assert headers["Lambda-Runtime-Aws-Request-Id"] == "r1"
    assert headers["Content-Type"] == "application/json"
    assert await runtime.ask("POST", "/invocation/r1/response", b"[1]") == (
        202,
        {"Content-Length": "16", "Content-Type": "application/json"},
        b'{"status":"OK"}\n',
    )
    assert await heard.next(Responded) == Responded(b"[1]")
    status, _, _ = await deliver(api, runtime, heard, "r2")
    assert status == 200


async def test_an_error_carries_its_type(api, runtime, heard):
    await deliver(api, runtime, heard)
    status, _, _ = await runtime.ask(
        "POST", "/invocation/r1/error", b'{"errorMessage":"m"}', Lambda_Runtime_Function_Error_Type="Runtime.Mine"
    )
    assert status == 202
    assert await heard.next(Responded) == Responded(b'{"errorMessage":"m"}', error_type="Runtime.Mine")


async def test_another_request_id_is_refused(api, runtime, heard):
    await deliver(api, runtime, heard)
    assert await runtime.refused("POST", "/invocation/r0/response", b"1") == (400, "InvalidRequestID")
    assert not heard


@pytest.mark.parametrize("verb", ["response", "error"])
async def test_a_second_answer_is_refused(api, runtime, heard, verb):
    await deliver(api, runtime, heard)
    await runtime.ask("POST", "/invocation/r1/response", b"1")
    assert await runtime.refused("POST", f"/invocation/r1/{verb}", b"2") == (403, "InvalidStateTransition")
    await heard.next(Responded)
    assert not heard


async def test_an_answer_without_an_invocation_is_refused(runtime):
    assert await runtime.refused("POST", "/invocation/r1/response", b"1") == (403, "InvalidStateTransition")


async def test_asking_for_more_before_the_answer_is_refused(api, runtime, heard):
    await deliver(api, runtime, heard)
    assert await runtime.refused("GET", "/invocation/next") == (403, "InvalidStateTransition")


async def test_an_error_of_the_initialisation_is_taken_once_and_only_then(api, runtime, heard):
    status, _, _ = await runtime.ask("POST", "/init/error", b"{}", Lambda_Runtime_Function_Error_Type="Runtime.X")
    assert status == 202
    assert await heard.next(InitFailed) == InitFailed(b"{}", "Runtime.X")
    assert await runtime.refused("POST", "/init/error", b"{}") == (403, "InvalidStateTransition")
    assert await runtime.refused("GET", "/invocation/next") == (403, "InvalidStateTransition")


async def test_an_error_of_the_initialisation_after_it_is_refused(api, runtime, heard):
    await deliver(api, runtime, heard)
    assert await runtime.refused("POST", "/init/error", b"{}") == (403, "InvalidStateTransition")


@pytest.mark.parametrize("verb", ["response", "error"])
async def test_a_response_above_the_limit_is_refused_and_told(api, runtime, heard, verb):
    await deliver(api, runtime, heard)
    assert await runtime.refused("POST", f"/invocation/r1/{verb}", b"x" * (RESPONSE_BYTES_MAX + 1)) == (
        413,
        "RequestEntityTooLarge",
    )
    told = await heard.next(Responded)
    assert told.error_type == "Function.ResponseSizeTooLarge"
    assert json.loads(told.body)["errorType"] == "Function.ResponseSizeTooLarge"


async def test_an_error_of_the_initialisation_above_the_limit_is_refused_and_told(runtime, heard):
    assert await runtime.refused("POST", "/init/error", b"x" * (RESPONSE_BYTES_MAX + 1)) == (
        413,
        "RequestEntityTooLarge",
    )
    assert json.loads((await heard.next(InitFailed)).body)["errorType"] == "Function.ResponseSizeTooLarge"


async def test_a_response_at_the_limit_is_taken(api, runtime, heard):
    await deliver(api, runtime, heard)
    status, _, _ = await runtime.ask("POST", "/invocation/r1/response", b"x" * RESPONSE_BYTES_MAX)
    assert status == 202
    assert len((await heard.next(Responded)).body) == RESPONSE_BYTES_MAX


@pytest.mark.parametrize("cut", ["end", "close"])
async def test_a_truncated_upload_is_told(api, runtime, heard, cut):
    await deliver(api, runtime, heard)
    await runtime.write(f"POST {PREFIX}/invocation/r1/response HTTP/1.1\r\nContent-Length: 9\r\n\r\nhalf".encode())
    getattr(runtime, cut)()
    if cut == "end":
        status, _, body = await runtime.receive()
        assert (status, json.loads(body)["errorType"]) == (400, "TruncatedHTTPRequest")
    assert (await heard.next(Responded)).error_type == "Runtime.TruncatedResponse"


async def test_an_unknown_response_mode_is_refused_and_told(api, runtime, heard):
    await deliver(api, runtime, heard)
    refused = await runtime.refused(
        "POST", "/invocation/r1/response", b"1", Lambda_Runtime_Function_Response_Mode="wishful"
    )
    assert refused == (400, "InvalidFunctionResponseMode")
    assert (await heard.next(Responded)).error_type == "Runtime.InvalidResponseModeHeader"


STREAM = (
    "Lambda-Runtime-Function-Response-Mode: streaming\r\nTransfer-Encoding: chunked\r\nContent-Type: text/plain\r\n\r\n"
)


async def test_a_streamed_response_is_passed_on_as_it_comes(api, runtime, heard):
    began, chunks = [], []
    api.on_begin, api.on_chunk = began.append, chunks.append
    await deliver(api, runtime, heard)
    await runtime.write(f"POST {PREFIX}/invocation/r1/response HTTP/1.1\r\n{STREAM}1\r\na\r\n".encode())
    await until(lambda: chunks)
    assert began == ["text/plain"]
    await runtime.write(b"2\r\nbc\r\n0\r\n\r\n")
    assert (await runtime.receive())[0] == 202
    assert chunks == [b"a", b"bc"]
    assert await heard.next(Responded) == Responded(b"", content_type="text/plain", streamed=True)


async def test_a_streamed_response_is_collected_for_who_wants_all_of_it(api, runtime, heard):
    await deliver(api, runtime, heard)
    await runtime.write(
        f"POST {PREFIX}/invocation/r1/response HTTP/1.1\r\n{STREAM}1\r\na\r\n2\r\nbc\r\n0\r\n\r\n".encode()
    )
    assert await heard.next(Responded) == Responded(b"abc", content_type="text/plain", streamed=True)


async def test_an_error_midway_comes_in_the_trailers(api, runtime, heard):
    api.on_chunk = [].append
    await deliver(api, runtime, heard)
    body = base64.b64encode(b'{"errorType":"Mine"}').decode()
    trailers = f"Lambda-Runtime-Function-Error-Type: Mine\r\nLambda-Runtime-Function-Error-Body: {body}\r\n"
    await runtime.write(
        f"POST {PREFIX}/invocation/r1/response HTTP/1.1\r\n{STREAM}1\r\na\r\n0\r\n{trailers}\r\n".encode()
    )
    told = await heard.next(Responded)
    assert (told.error_type, told.body, told.streamed) == ("Mine", b'{"errorType":"Mine"}', True)


async def test_a_runtime_that_waits_for_its_snapshot_is_told_when_it_is_restored(api, runtime, heard):
    await runtime.send("GET", "/restore/next")
    await heard.next(Restoring)
    api.restore()
    assert (await runtime.receive())[0] == 200
    status, _, _ = await runtime.ask(
        "POST", "/restore/error", b"{}", Lambda_Runtime_Function_Error_Type="Runtime.AfterRestoreError"
    )
    assert status == 202
    assert (await heard.next(InitFailed)).error_type == "Runtime.AfterRestoreError"


async def test_a_runtime_may_come_back_with_another_connection(api, runtime, heard):
    await runtime.send("GET", "/invocation/next")
    await heard.next(Ready)
    runtime.close()
    await until(lambda: api.state != "ready")
    async with connected(api) as other:
        assert (await deliver(api, other, heard))[0] == 200


async def test_a_health_check_is_answered(api):
    async with connected(api) as runtime:
        await runtime.write(b"GET /ping HTTP/1.1\r\n\r\n")
        assert (await runtime.receive())[2] == b"pong"


async def test_extensions_are_refused_by_name(api):
    async with connected(api) as runtime:
        await runtime.write(b"POST /2020-01-01/extension/register HTTP/1.1\r\nContent-Length: 0\r\n\r\n")
        status, _, body = await runtime.receive()
        assert status == 403
        assert "extensions are not supported" in json.loads(body)["errorMessage"]


async def test_an_unknown_path_says_what_was_expected(runtime):
    status, _, body = await runtime.ask("GET", "/nothing")
    assert status == 404
    assert "Runtime API 2018-06-01" in json.loads(body)["errorMessage"]


async def test_what_is_not_http_is_refused(api):
    async with connected(api) as runtime:
        await runtime.write(b"\x00\x01\x02 nonsense\r\n\r\n")
        assert (await runtime.receive())[0] == 400
