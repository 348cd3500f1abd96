"""Workers that are killed while Lambda holds an invocation: real processes, a real database, real HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.fleet import Fleet, task
from tests.integrations.stub_lambda import Asked, Reply, StubLambda, stub_lambda
from tests.waiting import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMED_OUT = json.dumps({"errorType": "Sandbox.Timedout", "errorMessage": "Task timed out after 900.00 seconds"})


class Held:
    """An endpoint in a thread, whose invocations are held until they are let go."""

    def __init__(self) -> None:
        self.stub: StubLambda
        self.asked = threading.Semaphore(0)
        self._over = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._stop: asyncio.Event
        self._loop: asyncio.AbstractEventLoop

    @contextmanager
    def running(self) -> Iterator[Held]:
        self._thread.start()
        assert self._ready.wait(DEADLINE_SECONDS)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def wait_for_request(self) -> None:
        assert self.asked.acquire(timeout=DEADLINE_SECONDS)

    def reach_the_cap(self) -> None:
        self._over.set()

    async def _serve(self) -> None:
        self._stop, self._loop = asyncio.Event(), asyncio.get_running_loop()
        async with stub_lambda(self._answer) as self.stub:
            self._ready.set()
            await self._stop.wait()

    async def _answer(self, _asked: Asked) -> Reply:
        self.asked.release()
        while not self._over.is_set():  # noqa: ASYNC110  a thread sets it
            await asyncio.sleep(0.01)
        return Reply.function_error(TIMED_OUT)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Iterator[Held]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKID")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    with Held().running() as one:
        yield one


def caught(**fields: Any) -> dict[str, Any]:
    catch = [{"ErrorEquals": ["States.ALL"], "Next": "B"}]
    return {"A": task("work", Next="B", Catch=catch, **fields), "B": {"Type": "Pass", "End": True}}


def events(fleet: Fleet, arn: str, type_: str) -> list[dict[str, Any]]:
    return [event for event in fleet.json("history", arn)["events"] if event["type"] == type_]


def test_after_a_kill_the_invocation_is_made_again_and_reaches_its_cap(fleet: Fleet, held: Held) -> None:
    fleet.deploy("m", caught())
    arn = fleet.start("m")
    target = f"work=lambda:?endpoint={held.stub.url}"
    with fleet.worker("-t", target) as killed:
        held.wait_for_request()
        killed.kill()
        with fleet.worker("-t", target):
            held.wait_for_request()
            held.reach_the_cap()
            assert json.loads(fleet.asl("wait", arn))["Error"] == "Sandbox.Timedout"
    assert len(held.stub.asked) == 2
    assert len(events(fleet, arn, "LambdaFunctionScheduled")) == 1
