"""How many chunks of map runs a worker takes, and what they cost those that wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

from engine.runtime import custody, room
from engine.store.memory import MemoryStore
from tests.definitions import machine
from tests.runtime.fleets import fleet, on
from tests.runtime.map_run_suite import Handlers, mapped
from tests.waiting import until

if TYPE_CHECKING:
    import engine

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


def children(one: engine.Engine) -> int:
    """Express children of map runs that a worker has begun."""
    return sum(len(execution.children) for execution in fleet(one).worker.executions.live.values())


async def test_a_worker_takes_chunks_as_long_as_it_has_places_and_leaves_the_rest_to_others() -> None:
    store, handlers = MemoryStore(through_bytes=True), Handlers()
    handlers.open = anyio.Event()
    async with on(store, handlers.table, max_concurrency=16) as one:
        execution = await one.start_execution(machine(mapped("EXPRESS")), list(range(80)))
        await until(lambda: children(one) == 20)  # two chunks of ten: with one there are six places left
        assert fleet(one).free() == 0
        async with on(store, handlers.table, max_concurrency=16) as other:
            await until(lambda: children(other) == 20)
            assert children(one) == 20
            handlers.open.set()
            assert await execution.result() == [2 * number for number in range(80)]
        assert fleet(one).worker.executions.children.bytes == 0
        assert fleet(one).free() == 16


async def test_children_that_wait_for_a_time_take_no_place() -> None:
    store = MemoryStore(through_bytes=True)
    waiting: dict[str, Any] = {"Type": "Wait", "Seconds": 60}
    async with on(store, {}, max_concurrency=4) as one:
        execution = await one.start_execution(machine(mapped("EXPRESS", waiting)), list(range(40)))
        await until(lambda: children(one) == 40)
        await until(lambda: fleet(one).free() > 0)
        await execution.stop()


async def test_maps_in_maps_end_where_no_chunk_may_wait_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outer chunks that wait for inner ones must not keep these away."""
    monkeypatch.setattr(room, "CHUNKS_BYTES_MAX", 0)
    monkeypatch.setattr(custody, "RESTING_CHUNKS_BYTES_MAX", 0)
    handlers = Handlers()
    inner = {**mapped("STANDARD"), "Name": "Inner"}
    async with on(MemoryStore(through_bytes=True), handlers.table) as one:
        given = [[number, number + 1] for number in range(20)]
        output = await one.run(machine(mapped("STANDARD", inner)), given)
    assert output == [[2 * number, 2 * number + 2] for number in range(20)]
