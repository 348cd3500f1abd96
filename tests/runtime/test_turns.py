"""Whose turn it is: places for all handlers, lines for those that have a limit of their own, and who waits apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

import engine
from engine.integrations.request import Answer
from engine.runtime.turns import APART_MAX
from tests.definitions import machine, parallel, task
from tests.runtime.fleets import Gate, fleet, on
from tests.waiting import until

if TYPE_CHECKING:
    from engine.store.memory import MemoryStore

pytestmark = pytest.mark.anyio


class Apart:
    """A handler that waits for an answer from elsewhere."""

    name = "apart"
    fixed_answer = None
    waits_apart = True

    def __init__(self) -> None:
        self.inside = 0
        self.open = anyio.Event()

    async def run(self, *_: Any) -> Answer:
        self.inside += 1
        await self.open.wait()
        return Answer(None, 4)


class Counted:
    """A callable that notes how many of it run at once."""

    def __init__(self) -> None:
        self.inside = self.inside_max = 0

    async def __call__(self, event: Any) -> None:
        self.inside += 1
        self.inside_max = max(self.inside_max, self.inside)
        await anyio.sleep(0.001)
        self.inside -= 1


async def results(one: engine.Engine, definition: Any, count: int) -> list[Any]:
    executions = [await one.start_execution(definition, {}) for _ in range(count)]
    return [await execution.result() for execution in executions]


async def test_a_rule_has_as_many_tasks_at_once_as_it_says():
    counted, others = Counted(), Counted()
    handlers = engine.Handlers({"free": others})
    handlers.add("work", counted, concurrency=2)
    branches = parallel(*[machine(task(name, Name=f"{name}{n}")) for n in range(8) for name in ("work", "free")])
    async with engine.Engine.in_memory(handlers) as one:
        await results(one, machine(branches), 1)
    assert (counted.inside_max, others.inside_max) == (2, 8)


async def test_tasks_that_wait_for_their_rule_take_nobodys_place():
    gate = Gate()
    handlers = engine.Handlers({"other": "tests.runtime.fleets:echo"})
    handlers.add("slow", gate, concurrency=1)
    async with engine.Engine.in_memory(handlers, max_concurrency=2) as one:
        slow = [await one.start_execution(machine(task("slow"))) for _ in range(5)]
        await gate.inside.wait()
        assert await results(one, machine(task("other")), 3) == [{}, {}, {}]
        gate.open.set()
        assert [await execution.result() for execution in slow] == ["through"] * 5
    assert gate.calls == 5


async def test_a_limited_task_that_was_cancelled_gives_its_turn_to_the_next():
    gate = Gate()
    handlers = engine.Handlers()
    handlers.add("slow", gate, concurrency=1)
    async with engine.Engine.in_memory(handlers) as one:
        first, second, third = [await one.start_execution(machine(task("slow"))) for _ in range(3)]
        await gate.inside.wait()
        await second.stop()
        await first.stop()
        gate.open.set()
        assert await third.result() == "through"
    assert gate.calls == 2


async def test_who_waits_apart_takes_nobodys_place_of_a_worker(store: MemoryStore):
    """The worker claims and does other executions, though far more Tasks wait than it may do at once."""
    apart = Apart()
    async with on(store, {"apart": apart, "other": "tests.runtime.fleets:echo"}, max_concurrency=4) as one:
        await one.deploy(machine(task("apart")), "slow")
        await one.deploy(machine(task("other")), "quick")
        slow = [await one.start_execution("slow") for _ in range(40)]
        await until(lambda: apart.inside == 40)
        assert await results(one, "quick", 10) == [{}] * 10
        assert fleet(one).free() > 0
        apart.open.set()
        assert [await execution.result() for execution in slow] == [None] * 40


async def test_beyond_a_thousand_they_wait_for_one_another(store: MemoryStore):
    apart = Apart()
    count = APART_MAX + 10
    async with on(store, {"apart": apart}, max_concurrency=count) as one:
        branches = parallel(*[machine(task("apart", Name=f"T{n}")) for n in range(count)])
        await one.deploy(machine(branches), "m")
        execution = await one.start_execution("m")
        await until(lambda: apart.inside == APART_MAX)
        assert fleet(one).worker.tasks.apart == APART_MAX
        apart.open.set()
        assert await execution.result() == [None] * count


async def test_a_worker_that_drains_begins_none_of_those_that_wait(store: MemoryStore):
    gate = Gate()
    handlers = engine.Handlers()
    handlers.add("slow", gate, concurrency=1)
    async with on(store) as client:
        await client.deploy(machine(task("slow")), "m")
        async with on(store, handlers) as one:
            executions = [await one.start_execution("m") for _ in range(3)]
            await gate.inside.wait()
            gate.open.set()
            assert await one.drain(10)
        assert gate.calls == 1
        async with on(store, {"slow": "mock:2"}):
            assert sorted([str(await execution.result()) for execution in executions]) == ["2", "2", "through"]
