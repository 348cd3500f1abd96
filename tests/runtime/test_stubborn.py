"""Coroutines that swallow their cancellation: they hold up neither other Tasks nor the end of their engine."""

from __future__ import annotations

import asyncio
from typing import Any

import anyio
import anyio.lowlevel
import pytest

import engine
from engine.runtime import stubborn
from tests.definitions import catch, machine, task
from tests.waiting import DEADLINE_SECONDS, until

pytestmark = pytest.mark.anyio

ECHO = {"Type": "Pass"}


class Stubborn:
    """A handler that goes on whatever happens, until it is let go."""

    def __init__(self) -> None:
        self.cancelled = 0
        self.released = asyncio.Event()

    async def __call__(self, event: Any) -> str:
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
        return "at last"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stubborn, "PATIENCE_SECONDS", 0.1)


def rules(handler: Stubborn, **options: Any) -> engine.Handlers:
    handlers = engine.Handlers({"quick": "tests.runtime.fleets:echo"})
    handlers.add("work", handler, **options)
    return handlers


async def test_its_task_ends_and_its_place_goes_to_the_next():
    handler = Stubborn()
    async with engine.Engine.in_memory(rules(handler, timeout_seconds=0.05), max_concurrency=1) as one:
        execution = await one.start_execution(machine(task(Catch=catch("B")), ECHO))
        assert (await execution.result())["Error"] == "Sandbox.Timedout"
        assert await (await one.start_execution(machine(task("quick")), 5)).result() == 5
        assert (one.metrics().hanging, one.metrics().in_flight) == (1, 0)
        handler.released.set()
        await until(lambda: one.metrics().hanging == 0)


async def test_it_is_not_cancelled_again_and_again():
    handler = Stubborn()
    async with engine.Engine.in_memory(rules(handler)) as one:
        execution = await one.start_execution(machine(task()))
        await until(lambda: one.metrics().in_flight == 1)
        await execution.stop()
        await until(lambda: one.metrics().hanging == 1)
        often = handler.cancelled
        for _ in range(50):
            await anyio.lowlevel.checkpoint()
        assert handler.cancelled == often
        handler.released.set()
        await until(lambda: one.metrics().hanging == 0)


async def test_what_it_gives_in_the_end_is_nobodys():
    handler = Stubborn()
    async with engine.Engine.in_memory(rules(handler, timeout_seconds=0.05)) as one:
        execution = await one.start_execution(machine(task(Catch=catch("B")), {**task("quick"), "Name": "B"}))
        result = await execution.result()
        handler.released.set()
        await until(lambda: one.metrics().hanging == 0)
        assert (result["Error"], await execution.result()) == ("Sandbox.Timedout", result)


async def test_the_engine_is_left_though_it_goes_on():
    handler = Stubborn()
    with anyio.fail_after(DEADLINE_SECONDS):
        async with engine.Engine.in_memory(rules(handler)) as one:
            await one.start_execution(machine(task()))
            await until(lambda: one.metrics().in_flight == 1)
    handler.released.set()
    await anyio.lowlevel.checkpoint()


async def test_one_that_only_takes_its_time_is_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(stubborn, "PATIENCE_SECONDS", 30.0)
    cleaned = []

    async def work(event: Any) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(0.05)
                cleaned.append(True)

    async with engine.Engine.in_memory({"work": work}) as one:
        await one.start_execution(machine(task()))
        await until(lambda: one.metrics().in_flight == 1)
    assert cleaned == [True]
