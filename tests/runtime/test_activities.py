"""Tasks of activities on a store that many use: offered, taken by whoever polls, and waited for without memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

import engine
from engine.runtime.activities import ActivityPolls
from engine.store.protocol import StoreUnavailable, TakenTask
from tests.definitions import machine, parallel
from tests.runtime.fleets import Now, fleet, in_memory, on
from tests.store.runs import new_id
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.store.memory import MemoryStore
    from engine.store.memory_handle import MemoryHandle

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

PAINT = "arn:aws:states:us-east-1:000000000000:activity:paint"


def painting(**fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": PAINT, **fields}


async def told(execution: engine.ExecutionHandle) -> list[str]:
    return [event["type"] for event in await execution.history()]


async def test_an_execution_that_waits_for_a_worker_of_an_activity_is_in_nobodys_memory(store: MemoryStore):
    async with on(store) as client, on(store, {}) as worker:
        arn = await client.create_activity("paint")
        await client.deploy(machine(painting()), "m")
        execution = await worker.start_execution("m", {"colour": "red"})
        await until(lambda: store.offers.get(arn) and in_memory(worker) == 0)
        work = await client.get_activity_task(arn, "painter")
        assert work is not None
        assert work.input == {"colour": "red"}
        await client.send_task_success(work.task_token, "painted")
        assert await execution.result() == "painted"
        assert (await told(execution))[2:5] == ["ActivityScheduled", "ActivityStarted", "ActivitySucceeded"]
        started = (await execution.history())[3]["activityStartedEventDetails"]
        assert started == {"workerName": "painter"}
        assert not store.offers[arn]


async def test_who_polls_is_given_what_comes_later(store: MemoryStore):
    async with on(store) as client, on(store, {}) as worker:
        await client.create_activity("paint")
        await client.deploy(machine(painting()), "m")
        found = []

        async def poll(one: engine.Engine) -> None:
            found.append(await one.get_activity_task(PAINT, wait_seconds=20))

        async with anyio.create_task_group() as group:
            for one in (client, worker):
                group.start_soon(poll, one)
            await until(lambda: fleet(worker).worker.tasks.polls._lines and client._backend._polls._lines)  # type: ignore[attr-defined]
            executions = [await client.start_execution("m", number) for number in range(2)]
        assert sorted(one.input for one in found) == [0, 1]
        for work in found:
            await worker.send_task_success(work.task_token, work.input + 10)
        assert [await one.result() for one in executions] == [10, 11]


class Counter:
    """Where Tasks lie to be taken, and who asked for them."""

    def __init__(self) -> None:
        self.tasks: list[TakenTask] = []
        self.asked: list[int] = []

    def put(self, count: int) -> None:
        self.tasks += [TakenTask(execution_id=new_id(), task_token=str(n), input=n) for n in range(count)]

    def taker(self, number: int) -> Callable[[], Awaitable[TakenTask | None]]:
        async def take() -> TakenTask | None:
            await anyio.lowlevel.checkpoint()
            self.asked.append(number)
            return self.tasks.pop(0) if self.tasks else None

        return take


async def test_of_many_who_wait_a_few_ask_again_and_each_is_served_in_turn():
    polls, counter, served = ActivityPolls(), Counter(), []

    async def poll(number: int) -> None:
        taken = await polls.poll(PAINT, counter.taker(number), wait_seconds=20, pause_seconds_max=lambda: 0.02)
        assert taken is not None
        served.append(number)

    async with anyio.create_task_group() as group:
        for number in range(50):
            group.start_soon(poll, number)
        await until(lambda: len(counter.asked) > 100)
        first = set(counter.asked[50:])
        assert 0 < len(first) < 10
        counter.put(1)
        polls.offered([PAINT])
        await until(lambda: served)
        counter.asked.clear()
        await until(lambda: len(counter.asked) > 50)
        assert len(set(counter.asked) - first) == 1
        counter.put(49)
        polls.offered([PAINT])
    assert sorted(served) == list(range(50))
    assert not polls._lines


async def test_a_poll_that_waits_for_its_turn_ends_in_time_and_when_it_is_cancelled():
    polls, counter = ActivityPolls(), Counter()
    ended = []

    async def poll(number: int, seconds: float) -> None:
        ended.append(
            await polls.poll(PAINT, counter.taker(number), wait_seconds=seconds, pause_seconds_max=lambda: 0.02)
        )

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(poll, number, 20)
        await until(lambda: len(counter.asked) > 40)
        await poll(20, 0.05)
        with anyio.move_on_after(0.05) as scope:
            await poll(21, 20)
        assert scope.cancelled_caught
        assert ended == [None]
        counter.put(20)
    assert len(ended) == 21
    assert not polls._lines


async def test_a_poll_that_finds_nothing_gives_nothing(store: MemoryStore):
    async with on(store) as client:
        await client.create_activity("paint")
        assert await client.get_activity_task(PAINT, wait_seconds=0) is None
        assert await client.get_activity_task(PAINT, wait_seconds=0.05) is None
        assert not client._backend._polls._lines  # type: ignore[attr-defined]
        with pytest.raises(engine.ActivityDoesNotExist):
            await client.get_activity_task(PAINT + "x")
        with pytest.raises(ValueError, match="worker_name"):
            await client.get_activity_task(PAINT, 5)  # type: ignore[arg-type]


async def test_all_tasks_of_a_parallel_are_offered_in_order(store: MemoryStore):
    async with on(store) as client, on(store, {}):
        await client.create_activity("paint")
        branches = [machine(painting(Parameters={"n": number}, Name=f"Paint{number}")) for number in range(5)]
        await client.deploy(machine(parallel(*branches)), "m")
        execution = await client.start_execution("m")
        inputs = []
        for _ in branches:
            work = await client.get_activity_task(PAINT, wait_seconds=20)
            assert work is not None
            inputs.append(work.input["n"])
            await client.send_task_success(work.task_token, work.input["n"])
        assert inputs == [0, 1, 2, 3, 4]
        assert await execution.result() == [0, 1, 2, 3, 4]


async def test_an_activity_that_nobody_made_is_missing_until_it_is(store: MemoryStore, now: Now):
    async with on(store) as client, on(store, {}) as worker:
        await client.deploy(machine(painting()), "m")
        execution = await client.start_execution("m", 1)
        await until(lambda: store.execution(execution.arn).missing == (PAINT,) and in_memory(worker) == 0)
        await client.create_activity("paint")
        now.skip(11)
        work = await client.get_activity_task(PAINT, wait_seconds=20)
        assert work is not None
        await client.send_task_success(work.task_token, 2)
        assert await execution.result() == 2


async def test_a_worker_that_has_a_handler_does_the_task_itself(store: MemoryStore):
    async with on(store) as client, on(store, {"paint": "mock:7"}):
        await client.create_activity("paint")
        await client.deploy(machine(painting()), "m")
        execution = await client.start_execution("m")
        assert await execution.result() == 7
        assert await client.get_activity_task(PAINT, wait_seconds=0) is None
        assert "ActivityStarted" in await told(execution)


async def test_an_offer_that_was_lost_is_made_again(store: MemoryStore, now: Now, monkeypatch: pytest.MonkeyPatch):
    from engine.store.memory_handle import MemoryHandle

    offer_tasks = MemoryHandle.offer_tasks
    calls = 0

    def flaky(handle: MemoryHandle, offers: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise StoreUnavailable("not now")
        return offer_tasks(handle, offers)

    monkeypatch.setattr(MemoryHandle, "offer_tasks", flaky)
    async with on(store) as client, on(store, {}) as worker:
        await client.create_activity("paint")
        await client.deploy(machine(painting()), "m")
        execution = await client.start_execution("m")
        await until(lambda: calls == 1 and in_memory(worker) == 0)
        now.skip(11)
        work = await client.get_activity_task(PAINT, wait_seconds=20)
        assert work is not None
        await client.send_task_failure(work.task_token, "No", "paint")
        with pytest.raises(engine.ExecutionFailed, match="No"):
            await execution.result()


async def test_a_worker_that_dies_before_it_offers_leaves_the_offer_to_the_next(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
):
    async with on(store) as client:
        await client.create_activity("paint")
        await client.deploy(machine(painting()), "m")
        async with on(store, {}) as dying:
            monkeypatch.setattr(fleet(dying).worker.tasks, "offer", lambda task: None)
            execution = await dying.start_execution("m")
            await until(lambda: store.execution(execution.arn).last_event_id == 3)
            assert in_memory(dying) == 1
        assert not store.offers
        async with on(store, {}):
            work = await client.get_activity_task(PAINT, wait_seconds=20)
            assert work is not None
            await client.send_task_success(work.task_token, 5)
            assert await execution_of(client, execution.arn) == 5


async def execution_of(client: engine.Engine, arn: str) -> Any:
    return await (await client.execution(arn)).result()


async def test_a_task_that_was_taken_is_not_offered_by_the_next_worker(store: MemoryStore):
    async with on(store) as client:
        await client.create_activity("paint")
        await client.deploy(machine(painting()), "m")
        async with on(store, {}):
            execution = await client.start_execution("m")
            work = await client.get_activity_task(PAINT, "painter", wait_seconds=20)
            assert work is not None
        async with on(store, {}):
            assert await client.get_activity_task(PAINT, wait_seconds=0.05) is None
            await client.send_task_heartbeat(work.task_token)
            await client.send_task_success(work.task_token, 5)
            assert await execution.result() == 5


async def test_heartbeats_count_from_when_the_task_was_taken(store: MemoryStore, now: Now):
    async with on(store) as client, on(store, {}) as worker:
        await client.create_activity("paint")
        await client.deploy(machine(painting(HeartbeatSeconds=50)), "m")
        execution = await client.start_execution("m")
        await until(lambda: store.offers.get(PAINT) and in_memory(worker) == 0)
        now.skip(100)
        work = await client.get_activity_task(PAINT)
        assert work is not None
        await until(lambda: store.execution(execution.arn).last_event_id == 4 and in_memory(worker) == 0)
        now.skip(51)
        with pytest.raises(engine.ExecutionFailed, match=r"States\.Timeout"):
            await execution.result()
        with pytest.raises(engine.TaskTimedOut):
            await client.send_task_success(work.task_token, 1)


async def test_a_task_that_nobody_takes_times_out_and_is_offered_no_longer(store: MemoryStore, now: Now):
    async with on(store) as client, on(store, {}) as worker:
        await client.create_activity("paint")
        await client.deploy(machine(painting(TimeoutSeconds=50)), "m")
        execution = await client.start_execution("m")
        await until(lambda: store.offers.get(PAINT) and in_memory(worker) == 0)
        now.skip(51)
        with pytest.raises(engine.ExecutionFailed, match=r"States\.Timeout"):
            await execution.result()
        assert not store.offers[PAINT]
        assert await client.get_activity_task(PAINT, wait_seconds=0) is None


async def test_what_is_stopped_while_it_waits_is_offered_no_longer(store: MemoryStore):
    async with on(store) as client, on(store, {}):
        await client.create_activity("paint")
        await client.deploy(machine(painting()), "m")
        execution = await client.start_execution("m")
        await until(lambda: store.offers.get(PAINT))
        await execution.stop()
        with pytest.raises(engine.ExecutionFailed, match="ABORTED"):
            await execution.result()
        assert await client.get_activity_task(PAINT, wait_seconds=0) is None
