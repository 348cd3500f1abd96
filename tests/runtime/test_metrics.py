"""What an engine counts is what happened."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import engine
from engine.runtime import housekeeping
from engine.runtime.metrics import Histogram, StoreMeter
from engine.store.protocol import NEVER_DUE, StoreUnavailable
from tests.definitions import machine, task, wait
from tests.runtime.fleets import Gate, Now, on
from tests.waiting import DEADLINE_SECONDS, until

if TYPE_CHECKING:
    from engine.store.memory import MemoryStore

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


def test_a_histogram_counts_a_number_below_the_bound_that_it_equals():
    histogram = Histogram((1, 2))
    for number in (0.5, 1, 1.5, 2, 3):
        histogram.observe(number)
    assert (histogram.counts, histogram.count, histogram.sum) == ([2, 2, 1], 5, 8)


async def test_executions_and_tasks_are_counted_by_how_they_ended():
    async def fail(event: Any) -> None:
        raise ValueError("no")

    gate = Gate()
    async with engine.Engine.in_memory({"work": gate, "fail": fail}) as one:
        assert one.not_ready() == []
        held = await one.start_execution(machine(task()))
        await gate.inside.wait()
        assert (one.metrics().live, one.metrics().in_flight) == (1, 1)
        gate.open.set()
        await held.result()
        with pytest.raises(engine.ExecutionFailed):
            await one.run(machine(task("fail")))
        gate.open, gate.inside = anyio.Event(), anyio.Event()
        stopped = await one.start_execution(machine(task()))
        await gate.inside.wait()
        await stopped.stop()
        await until(lambda: one.metrics().tasks_ended["cancelled"])
        metrics = one.metrics()
    assert metrics.started == 3
    assert metrics.ended == {"SUCCEEDED": 1, "FAILED": 1, "ABORTED": 1}
    assert metrics.tasks_ended == {"succeeded": 1, "failed": 1, "cancelled": 1}
    assert (metrics.live, metrics.in_flight, metrics.store) == (0, 0, None)
    assert metrics.transitions == 6  # each begins with its Task, and ends with its answer
    assert one.not_ready() == ["not entered"]


async def test_a_thread_that_was_given_up_hangs_until_it_ends():
    inside, let_go = threading.Event(), threading.Event()

    def block(event: Any) -> None:
        inside.set()
        let_go.wait(DEADLINE_SECONDS)

    async with engine.Engine.in_memory({"work": block}) as one:
        execution = await one.start_execution(machine(task()))
        await anyio.to_thread.run_sync(inside.wait)
        await execution.stop()
        await until(lambda: one.metrics().abandoned == 1)
        assert one.metrics().hanging == 1
        let_go.set()
        await until(lambda: one.metrics().hanging == 0)
        assert one.metrics().abandoned == 1


async def test_a_worker_tells_how_it_gets_on_with_its_store(store: MemoryStore, now: Now):
    async with on(store) as client:
        await client.deploy(machine(wait(3_600)), "m")
        early = await client.start_execution("m")
        now.skip(20)
        async with on(store, {"work": "mock:1"}) as worker:
            row = next(iter(store.open.values()))
            await until(lambda: row.owner is None and row.wake_at < NEVER_DUE and row.seq)
            await until(lambda: not worker.metrics().live)  # the store knows it before the worker is told
            metrics = worker.metrics()
            assert (metrics.started, metrics.live, metrics.transitions) == (1, 0, 1)
            assert metrics.store is not None
            assert metrics.store.claimed == 1
            assert metrics.store.claim_lag_seconds.sum >= 20
            assert (metrics.store.group_size.count, metrics.store.group_size.sum) == (1, 1)
            assert metrics.store.commit_seconds.count == 1
            assert 0 < metrics.store.lease_margin_seconds <= 10
            assert (metrics.store.is_available, metrics.store.reconnects, metrics.store.lease_lost) == (True, 0, 0)
            assert worker.not_ready() == []
        assert client.metrics().store is None
        assert early.status == "RUNNING"


async def test_the_backlog_is_looked_at_by_itself(store: MemoryStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(housekeeping, "SAMPLE_SECONDS", 0.01)  # the first look may come before anything is parked
    async with on(store) as client:
        await client.deploy(machine(task()), "m", pool="elsewhere")
        await client.start_execution("m", pool="default")
        async with on(store, {}) as worker:
            await until(lambda: worker.metrics().missing)
            assert sum(worker.metrics().missing.values()) == 1
    async with on(store, {}) as worker:

        def parked() -> int | None:
            metrics = worker.metrics().store
            assert metrics is not None
            return metrics.parked

        await until(lambda: parked() == 1)


async def test_what_is_put_into_quarantine_is_counted(store: MemoryStore, monkeypatch: pytest.MonkeyPatch):
    from engine.runtime import custody

    monkeypatch.setattr(custody, "DEATHS_MAX", 0)
    async with on(store) as client:
        await client.deploy(machine(task()), "m")
        await client.start_execution("m")
        import structlog

        with structlog.testing.capture_logs() as logs:
            async with on(store, {}) as worker:
                await until(lambda: worker.metrics().quarantined == 1)
    assert [entry["event"] for entry in logs] == ["execution quarantined"]
    assert "workers died" in logs[0]["reason"]


async def test_a_worker_that_drains_is_not_ready(store: MemoryStore):
    async with on(store, {}) as worker:
        assert worker.not_ready() == []
        assert await worker.drain(10)
        assert worker.not_ready() == ["draining: nothing new is begun"]


class Broken:
    """A store that is away while it is told so."""

    is_away = False

    def renew(self) -> int:
        if self.is_away:
            raise StoreUnavailable("gone")
        return 7


def test_a_store_that_goes_and_comes_is_told_of_once_each_time():
    told: list[str] = []
    meter = StoreMeter(lambda event, **about: told.append(event))
    broken = Broken()
    store = meter.metered(broken)  # type: ignore[arg-type]
    assert store.renew() == 7
    broken.is_away = True
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            store.renew()
    assert (meter.is_available, told) == (False, ["database away"])
    broken.is_away = False
    store.renew()
    store.renew()
    assert (meter.is_available, meter.reconnects, told) == (True, 1, ["database away", "database back"])


async def test_a_store_that_is_not_there_yet_is_waited_for(store: MemoryStore):
    attempts = 0

    def opened() -> MemoryStore:
        nonlocal attempts
        attempts += 1
        if attempts < 2:
            raise StoreUnavailable("it is starting")
        return store

    told: list[tuple[str, Any]] = []
    one = engine.Engine(
        url=opened,
        handlers={},
        waits_for_store=True,
        notice=lambda event, **about: told.append((event, about["error"], one.not_ready())),
    )
    async with one:
        assert one.not_ready() == []
    assert told == [("waiting for the database", "it is starting", ["the database cannot be reached: it is starting"])]


@pytest.mark.parametrize(("waits", "is_final"), [(False, False), (True, True)])
async def test_a_store_is_not_waited_for_unasked_or_in_vain(waits: bool, is_final: bool):
    def refused() -> MemoryStore:
        raise StoreUnavailable("wrong password", is_final=is_final)

    with pytest.raises(StoreUnavailable, match="wrong password"):
        async with engine.Engine(url=refused, handlers={}, waits_for_store=waits):
            pass
