"""Functions that are containers: by the contract of the Runtime Interface Emulator, and by the Runtime API."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from engine.lambda_emulator.environments import Environments
from engine.lambda_emulator.errors import ServiceException
from engine.lambda_emulator.spawning import OUTSIDE
from tests.lambda_emulator.running import Log, call, error, function, result
from tests.ports import free_port
from tests.waiting import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
async def environments(log) -> AsyncIterator[Environments]:
    async with Environments(log) as environments:
        yield environments


class Emulator:
    """A container's Runtime Interface Emulator: answers what it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.answer: tuple[int, bytes] = 200, b"null"
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
        self.asked.append((head[0], headers, await reader.readexactly(int(headers["content-length"]))))
        status, body = self.answer
        if status:
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        else:
            await reader.read()  # until the other side gives up
        writer.close()


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    emulator = Emulator()
    server = await asyncio.start_server(emulator.serve, "127.0.0.1", 0)
    emulator.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield emulator
    server.close()


def image(directory: Path, endpoint: str, **config: Any):
    return function(directory, code=None, runtime=None, handler=None, package_type="Image", endpoint=endpoint, **config)


async def test_a_container_is_asked_as_its_emulator_wants_it(environments, emulator, log, tmp_path):
    emulator.answer = 200, b'{"done": 1}'
    version = image(tmp_path, emulator.url)
    outcome = await call(
        environments,
        version,
        {"a": 1},
        request_id="r",
        client_context='{"custom":{}}',
        trace_id="Root=1",
        tenant_id="t",
    )
    assert (outcome.payload, outcome.function_error) == (b'{"done": 1}', None)
    ((line, headers, body),) = emulator.asked
    assert line == "POST /2015-03-31/functions/function/invocations HTTP/1.1"
    assert body == b'{"a": 1}'
    assert base64.b64decode(headers["x-amz-client-context"]) == b'{"custom":{}}'
    assert (headers["x-amzn-trace-id"], headers["x-amz-tenant-id"]) == ("Root=1", "t")
    assert [text.split()[0] for text in log.lines] == ["START", "END", "REPORT"]


@pytest.mark.parametrize("status", [200, 502])
async def test_an_error_is_known_by_its_shape(environments, emulator, tmp_path, status):
    emulator.answer = status, b'{"errorType":"Mine","errorMessage":"bad"}'
    assert (await error(environments, image(tmp_path, emulator.url)))["errorType"] == "Mine"


async def test_a_time_out_of_its_emulator_is_lambdas(environments, emulator, tmp_path):
    emulator.answer = 200, b"Task timed out after 3.00 seconds"
    failed = await error(environments, image(tmp_path, emulator.url, timeout=3), request_id="r")
    assert failed == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: r Error: Task timed out after 3.00 seconds",
    }


async def test_a_container_that_takes_too_long_is_timed_out(environments, emulator, tmp_path):
    emulator.answer = 0, b""
    failed = await error(environments, image(tmp_path, emulator.url, timeout=1))
    assert failed["errorType"] == "Sandbox.Timedout"


async def test_what_is_no_function_is_a_fault_of_the_service(environments, emulator, tmp_path):
    emulator.answer = 404, b"not here"
    with pytest.raises(ServiceException, match="expected the answer of a function, got HTTP 404: not here"):
        await call(environments, image(tmp_path, emulator.url))


async def test_a_container_that_is_not_there_is_told(environments, tmp_path):
    with pytest.raises(ServiceException, match="no container of a function answers there"):
        await call(environments, image(tmp_path, f"http://127.0.0.1:{free_port()}"))


@contextmanager
def container(directory: Path, address: str, source: str) -> Iterator[subprocess.Popen[bytes]]:
    """What an image of AWS's for Python does when it is started with the address of a Runtime API."""
    (directory / "app.py").write_text(source)
    variables = {
        "AWS_LAMBDA_RUNTIME_API": address,
        "_HANDLER": "app.handler",
        "LAMBDA_TASK_ROOT": str(directory),
        "PATH": os.environ["PATH"],
    }
    # It comes again until somebody listens, and after its connection was cut: a container's restart policy.
    script = f"while true; do {sys.executable} {OUTSIDE / 'bootstrap_python.py'}; sleep 0.05; done"
    process = subprocess.Popen(["sh", "-c", script], env=variables, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield process
    finally:
        os.killpg(process.pid, 9)
        process.wait()


async def test_a_container_that_comes_to_the_runtime_api_is_an_environment(environments, tmp_path):
    address = f"127.0.0.1:{free_port()}"
    version = image(tmp_path, f"runtime-api://{address}")
    source = """
n = 0
def handler(event, context):
    global n
    n += 1
    if event == "fail": raise ValueError("bad")
    return [n, event, context.invoked_function_arn]
"""
    with container(tmp_path, address, source):
        assert await result(environments, version, 1) == [1, 1, version.arn()]
        assert await result(environments, version, 2) == [2, 2, version.arn()]
        assert (await error(environments, version, "fail"))["errorType"] == "ValueError"
        found: list[Any] = []

        async def one(value):
            found.append(await result(environments, version, value))

        async with anyio.create_task_group() as group:
            group.start_soon(one, "a")
            group.start_soon(one, "b")
        assert sorted(number for number, *_ in found) == [4, 5]


async def test_a_container_that_hangs_is_cut_off_and_may_come_again(environments, tmp_path):
    address = f"127.0.0.1:{free_port()}"
    version = image(tmp_path, f"runtime-api://{address}", timeout=1)
    source = "import time\ndef handler(event, context):\n    if event: time.sleep(4)\n    return 'fine'"

    async def answers() -> None:
        with anyio.fail_after(DEADLINE_SECONDS):
            while json.loads((await call(environments, version, 0)).payload) != "fine":
                pass  # it has not come yet

    with container(tmp_path, address, source):
        await answers()
        assert (await error(environments, version, 1))["errorType"] == "Sandbox.Timedout"
        await answers()


async def test_a_retired_function_listens_no_longer(environments, tmp_path):
    port = free_port()
    version = image(tmp_path, f"runtime-api://127.0.0.1:{port}", timeout=1)
    await error(environments, version)
    await environments.retire("f", keep_revision="r1")
    with pytest.raises(OSError, match="in use"):
        socket.create_server(("127.0.0.1", port))
    await environments.retire("f")
    socket.create_server(("127.0.0.1", port)).close()


async def test_nobody_who_comes_is_a_time_out(environments, tmp_path):
    version = image(tmp_path, f"runtime-api://127.0.0.1:{free_port()}", timeout=1)
    assert (await error(environments, version))["errorType"] == "Sandbox.Timedout"


async def test_an_address_that_is_taken_is_told(environments, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = f"runtime-api://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ServiceException, match="the Runtime API cannot listen there"):
            await call(environments, image(tmp_path, endpoint))
