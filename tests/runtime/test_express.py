"""Express executions on a store that others use as well: they run in memory, and little of them is written."""

from __future__ import annotations

from typing import Any

import anyio
import pytest

import engine
from engine.runtime import custody, unwritten
from engine.store.memory import MemoryStore
from tests.definitions import machine, retry, task, wait
from tests.runtime.fleets import Gate, echo, fleet, on
from tests.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

TEN_TASKS = machine(*[task() for _ in range(10)])


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(through_bytes=True)


def seq(store: MemoryStore, execution: engine.ExecutionHandle) -> int:
    return store.rows[store.execution(execution.arn).execution_id].seq


async def test_ten_tasks_are_two_checkpoints_and_all_of_the_history(store: MemoryStore):
    async with on(store, {"work": echo}) as worker:
        await worker.deploy(TEN_TASKS, "m", type="EXPRESS")
        execution = await worker.start_execution("m", {"a": 1})
        assert await execution.result() == {"a": 1}
        assert seq(store, execution) == 2
        events = await execution.history()
        assert [event["id"] for event in events] == list(range(1, len(events) + 1))
        assert [event["type"] for event in events].count("LambdaFunctionSucceeded") == 10
        assert events[-1]["type"] == "ExecutionSucceeded"
        times = [event["timestamp"] for event in events]
        assert times == sorted(times)


async def test_what_a_client_started_runs_in_memory_as_well(store: MemoryStore):
    async with on(store) as client, on(store, {"work": echo}):
        await client.deploy(TEN_TASKS, "m", type="EXPRESS")
        execution = await client.start_execution("m", {"a": 1})
        assert await execution.result() == {"a": 1}
        assert seq(store, execution) == 1


async def test_after_a_worker_is_lost_another_one_runs_it_from_the_start(store: MemoryStore):
    calls = []

    async def first(event: Any) -> Any:
        calls.append(event)
        return event

    gate, open_gate = Gate(), Gate()
    open_gate.open.set()
    async with on(store) as client:
        await client.deploy(machine(task("first"), task("second")), "m", type="EXPRESS")
        async with on(store, {"first": first, "second": gate}) as worker:
            execution = await worker.start_execution("m")
            await gate.inside.wait()
        async with on(store, {"first": first, "second": open_gate}):
            assert await execution.result() == "through"
        assert (len(calls), open_gate.calls) == (2, 1)
        events = await execution.history()
        assert [event["type"] for event in events].count("LambdaFunctionSucceeded") == 2


async def test_one_that_waits_stays_in_memory_and_takes_nobodys_place(store: MemoryStore):
    async with on(store, {"work": echo}, max_concurrency=1) as worker:
        await worker.deploy(machine(wait(200)), "waits", type="EXPRESS")
        await worker.deploy(machine(task()), "works", type="EXPRESS")
        await worker.start_execution("waits")
        await until(lambda: len(fleet(worker).worker.executions.resting) == 1)
        assert fleet(worker).free() == 1
        assert await worker.run("works", {"a": 1}) == {"a": 1}
        assert len(fleet(worker).worker.executions.live) == 1


async def test_too_many_that_wait_are_given_up_with_all_that_they_did(store: MemoryStore, monkeypatch):
    monkeypatch.setattr(custody, "RESTING_MAX", 0)
    async with on(store, {"work": echo}) as worker:
        await worker.deploy(machine(task(), wait(200)), "m", type="EXPRESS")
        execution = await worker.start_execution("m", {"a": 1})
        await until(lambda: not fleet(worker).worker.executions.live)
        events = await execution.history()
        assert events[-1]["type"] == "WaitStateEntered"


async def test_what_has_no_handler_here_goes_on_elsewhere_where_it_was(store: MemoryStore):
    calls = []

    async def first(event: Any) -> Any:
        calls.append(event)
        return event

    async with on(store) as client:
        await client.deploy(machine(task("first"), task("second")), "m", type="EXPRESS")
        async with on(store, {"first": first}):
            execution = await client.start_execution("m", {"a": 1})
            await until(lambda: not [row for row in store.open.values() if not row.missing])
            async with on(store, {"second": echo}):
                assert await execution.result() == {"a": 1}
        assert calls == [{"a": 1}]


async def test_a_worker_that_drains_hands_over_what_it_did(store: MemoryStore):
    gate, second = Gate(), Gate()
    second.open.set()
    async with on(store) as client:
        await client.deploy(machine(task("first"), task("second")), "m", type="EXPRESS")
        async with on(store, {"first": gate, "second": second}) as worker:
            execution = await worker.start_execution("m")
            await gate.inside.wait()
            async with anyio.create_task_group() as group:
                group.start_soon(worker.drain, 10)
                await anyio.wait_all_tasks_blocked()
                gate.open.set()
            assert not fleet(worker).worker.executions.live
        async with on(store, {"first": gate, "second": second}):
            await execution.result()
        assert (gate.calls, second.calls) == (1, 1)


async def test_memory_has_a_bound(store: MemoryStore, monkeypatch):
    monkeypatch.setattr(unwritten, "BYTES_MAX", 10_000)
    async with on(store, {"work": echo}) as worker:
        await worker.deploy(TEN_TASKS, "m", type="EXPRESS")
        execution = await worker.start_execution("m", "x" * 4_000)
        await execution.result()
        assert 3 <= seq(store, execution) <= 5
        assert len([event for event in await execution.history() if event["type"] == "TaskStateEntered"]) == 10


async def test_retries_are_as_those_of_standard_executions(store: MemoryStore):
    calls = []

    async def fails_twice(event: Any) -> Any:
        calls.append(event)
        if len(calls) < 3:
            raise engine.TaskFailed("Soft", "again")
        return "done"

    async with on(store, {"work": fails_twice}) as worker:
        await worker.deploy(machine(task(Retry=retry(IntervalSeconds=1, BackoffRate=1))), "m", type="EXPRESS")
        assert await worker.run("m") == "done"


async def test_one_that_is_stopped_ends_once(store: MemoryStore):
    gate = Gate()
    async with on(store, {"work": gate}) as worker:
        await worker.deploy(machine(task()), "m", type="EXPRESS")
        execution = await worker.start_execution("m")
        await gate.inside.wait()
        await execution.stop("E", "c")
        with pytest.raises(engine.ExecutionFailed) as caught:
            await execution.result()
        assert (caught.value.status, caught.value.error) == ("ABORTED", "E")
