"""Invoking from the same process answers as HTTP does."""

from __future__ import annotations

import json
from base64 import b64decode
from email.utils import parsedate_to_datetime
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from engine.errors import StoreUnavailable
from engine.lambda_emulator.invoker import Invoker
from tests.lambda_emulator.control_plane import arn, created, new_emulator
from tests.lambda_emulator.doubles import PlayedRunner, WoundClock, failure
from tests.waiting import DEADLINE_SECONDS

pytestmark = pytest.mark.anyio


class World:
    def __init__(self, invoker: Invoker, runner: PlayedRunner) -> None:
        self.invoker, self.runner = invoker, runner

    async def ask(self, function: str = "f", payload: bytes = b"[1]", **given: Any) -> tuple[int, dict[str, str], Any]:
        status, headers, body = await self.invoker.invoke(function, payload, **given)
        assert all(isinstance(name, str) and isinstance(text, str) for name, text in headers)
        return status, dict(headers), json.loads(body) if body else None


@pytest.fixture
async def world(tmp_path, anyio_backend):
    runner = PlayedRunner()
    async with new_emulator(tmp_path, environments=runner, clock=WoundClock()) as emulator:
        await created(emulator)
        yield World(Invoker(emulator), runner)


async def test_a_result_has_the_headers_of_a_real_one(world):
    status, headers, document = await world.ask()
    assert (status, document) == (200, [1])
    assert headers.keys() == {
        "Content-Type", "X-Amz-Executed-Version", "x-amzn-Remapped-Content-Length", "x-amzn-RequestId",
        "X-Amzn-Trace-Id", "Connection", "Content-Length", "Date",
    }  # fmt: skip
    assert (headers["X-Amz-Executed-Version"], headers["Content-Length"]) == ("$LATEST", "3")
    assert parsedate_to_datetime(headers["Date"]).year == 2026
    assert world.runner.asked[0][1].request_id == headers["x-amzn-RequestId"]


async def test_functions_may_be_named_in_every_way(world):
    for function in ("f", arn(), "000000000000:function:f", arn(qualifier="$LATEST")):
        assert (await world.ask(function))[0] == 200
        assert world.invoker.has(function, None)
    assert (await world.ask(qualifier="$LATEST"))[0] == 200
    assert world.runner.asked[-1][1].invoked_arn == arn(qualifier="$LATEST")


async def test_a_failure_of_the_function_and_its_log_are_in_headers(world):
    world.runner.play = lambda *_: failure()
    status, headers, document = await world.ask(log_type="Tail")
    assert (status, headers["X-Amz-Function-Error"], document["errorType"]) == (200, "Unhandled", "ValueError")
    assert b64decode(headers["X-Amz-Log-Result"]) == b""


async def test_an_error_of_the_api_is_an_answer(world):
    status, headers, document = await world.ask("g")
    assert (status, headers["x-amzn-ErrorType"]) == (404, "ResourceNotFoundException")
    assert document == {"Type": "User", "Message": f"Function not found: {arn('g')}:$LATEST"}
    assert (await world.ask(payload=b"xyz"))[1]["x-amzn-ErrorType"] == "InvalidRequestContentException"
    assert (await world.ask(invocation_type="Later"))[1]["x-amzn-ErrorType"] == "ValidationException"
    assert not world.invoker.has("g", None)
    assert not world.invoker.has("no function's name", None)


@pytest.mark.parametrize(("error", "status"), [(KeyError, 500), (StoreUnavailable, 503)])
async def test_a_fault_of_ours_is_a_service_exception(world, error, status):
    def play(*_: Any) -> Any:
        raise error("secret")

    world.runner.play = play
    told, headers, document = await world.ask()
    assert (told, headers["x-amzn-ErrorType"]) == (status, "ServiceException")
    assert "secret" not in document["Message"]


async def test_an_event_is_acknowledged(world):
    status, _, document = await world.ask(invocation_type="Event")
    assert (status, document) == (202, None)
    with anyio.fail_after(DEADLINE_SECONDS):
        while not world.runner.asked:
            await anyio.lowlevel.checkpoint()
