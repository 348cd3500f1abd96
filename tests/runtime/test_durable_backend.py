"""Engines on a store that they share: what a client asks for, what is deployed and started, and what goes."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

import engine
from engine import blocking
from engine.errors import StatesError
from engine.library import UsedAfterFork
from engine.store.memory import MemoryStore
from engine.store.memory_handle import MemoryHandle
from engine.store.protocol import StoreUnavailable
from tests.definitions import machine, task, wait
from tests.runtime.fleets import ECHO, Gate, Now, echo, on
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from pathlib import Path

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


# ── clients and workers ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_client_starts_what_a_worker_runs(store: MemoryStore):
    async with on(store) as client, on(store, {"work": echo}):
        await client.deploy(machine(task()), "m")
        execution = await client.start_execution("m", {"a": 1})
        assert await execution.result() == {"a": 1}
        assert execution.status == "SUCCEEDED"
        assert [event["type"] for event in await execution.history()][-1] == "ExecutionSucceeded"


async def test_what_is_started_while_no_worker_is_there_waits_for_one(store: MemoryStore):
    async with on(store) as client:
        await client.deploy(machine(task()), "m")
        execution = await client.start_execution("m", {"a": 1}, name="mine")
        assert (await execution.describe()).status == "RUNNING"
        async with on(store, {"work": echo}):
            assert await execution.result() == {"a": 1}


async def test_a_start_in_a_worker_is_one_group_and_is_owned_from_birth(store: MemoryStore):
    async with on(store, {"work": echo}) as worker:
        await worker.deploy(machine(task()), "m")
        execution = await worker.start_execution("m", {"a": 1})
        assert store.execution(execution.arn).last_event_id > 0
        assert execution.name == str(store.execution(execution.arn).execution_id)
        assert await execution.result() == {"a": 1}


async def test_who_waits_for_what_was_born_and_ended_here_asks_the_store_nothing(store: MemoryStore, monkeypatch):
    async with on(store, {}) as worker:
        flow = await worker.deploy(machine(ECHO), "flow")
        execution = await worker.start_execution(flow, {"n": 1})
        monkeypatch.setattr(store, "execution", None)
        assert execution.status == "SUCCEEDED"
        assert await execution.result() == {"n": 1}


async def test_a_failure_tells_all_there_is_to_know(store: MemoryStore):
    async with on(store) as client, on(store, {"work": "fail:Broken:down"}):
        await client.deploy(machine({**ECHO, "Result": {"n": 1}}, task()), "m")
        with pytest.raises(engine.ExecutionFailed) as caught:
            await client.run("m")
        assert (caught.value.error, caught.value.state, caught.value.input_of_state) == ("Broken", "B", {"n": 1})
        assert caught.value.history


async def test_a_name_is_taken_once_on_a_store_as_well(store: MemoryStore):
    async with on(store) as client:
        await client.deploy(machine(wait(1_000)), "m")
        first = await client.start_execution("m", {"a": 1}, name="n")
        assert (await client.start_execution("m", {"a": 1}, name="n")).arn == first.arn
        with pytest.raises(engine.ExecutionAlreadyExists):
            await client.start_execution("m", {"a": 2}, name="n")


async def test_executions_keep_the_revision_that_they_were_started_with(store: MemoryStore):
    async with on(store) as client:
        await client.deploy(machine({**ECHO, "Result": "old"}), "m")
        early = await client.start_execution("m")
        await client.deploy(machine({**ECHO, "Result": "new"}), "m")
        late = await client.start_execution("m")
        async with on(store, {}):
            assert (await early.result(), await late.result()) == ("old", "new")


async def test_workers_claim_their_own_pools_alone(store: MemoryStore):
    async with on(store) as client, on(store, {"work": "mock:1"}), on(store, {"work": "mock:2"}, pools=["gpu"]):
        await client.deploy(machine(task()), "m")
        await client.deploy(machine(task()), "g", pool="gpu")
        assert await client.run("m") == 1
        assert await client.run("g") == 2
        assert await client.run("m", pool="gpu") == 2


async def test_one_that_claims_its_own_alone_leaves_the_others_executions_alone(store: MemoryStore):
    async with on(store) as client, on(store, {"work": "mock:1"}, claims="own") as runner:
        await client.deploy(machine(task()), "m")
        others = await client.start_execution("m")
        assert await runner.run("m") == 1
        assert await runner.run("m", name="named") == 1
        assert (await others.describe()).status == "RUNNING"
        assert store.execution(others.arn).last_event_id == 0


async def test_above_its_concurrency_a_worker_leaves_starts_to_others(store: MemoryStore):
    gate = Gate()
    async with on(store, {"work": gate}, max_concurrency=2) as busy:
        await busy.deploy(machine(task()), "m")
        started = [await busy.start_execution("m") for _ in range(5)]
        await until(lambda: gate.calls == 2)
        assert [store.execution(one.arn).last_event_id > 0 for one in started] == [True, True, False, False, False]
        async with on(store, {"work": "mock:1"}):
            assert [await one.result() for one in started[2:]] == [1, 1, 1]
        gate.open.set()
        assert [await one.result() for one in started[:2]] == ["through", "through"]


async def test_what_many_ask_of_a_store_at_once_is_one_question(store: MemoryStore, monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    described = store.described

    def counted(arns: Collection[str]) -> Mapping[str, Any]:
        asked.append(len(arns))
        return described(arns)

    async with on(store) as client:
        await client.deploy(machine(wait(1_000)), "m")
        started = await gathered([partial(client.start_execution, "m", name=name) for name in ("a", "b", "c")])
        monkeypatch.setattr(store, "described", counted)
        found = await gathered([one.describe for one in started * 3])
        assert [one.execution_arn for one in found] == [one.arn for one in started] * 3
        assert asked == [3]
        bad = [partial(client.execution, started[0].arn), partial(client.execution, started[0].arn + "x")]
        with pytest.raises(engine.ExecutionDoesNotExist):
            await gathered(bad)


async def test_what_cannot_be_asked_together_is_asked_alone(store: MemoryStore, monkeypatch: pytest.MonkeyPatch):
    def away(*_: object) -> None:
        raise StoreUnavailable("away")

    monkeypatch.setattr(store, "described", away)
    monkeypatch.setattr(MemoryHandle, "start_many", away)
    async with on(store) as client:
        await client.deploy(machine(wait(1_000)), "m")
        execution = await client.start_execution("m")
        assert (await execution.describe()).status == "RUNNING"


async def gathered(calls: Sequence[Callable[[], Awaitable[Any]]]) -> list[Any]:
    return list(await asyncio.gather(*(call() for call in calls)))


# ── definitions as they are ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_definition_as_it_is_is_deployed_under_a_name_that_its_text_gives(store: MemoryStore):
    async with on(store, {}) as one, on(store, {}) as other:
        first = await one.start_execution(machine(ECHO), 1)
        assert await first.result() == 1
        assert await other.run(machine(ECHO), 2) == 2
        assert await one.run(machine(ECHO, ECHO), 3) == 3
        with pytest.raises(engine.InvalidDefinition):
            await one.start_execution({"StartAt": "A", "States": {}})
        with pytest.raises(engine.StateMachineDoesNotExist):
            await one.start_execution("unknown")
    name = first.arn.split(":")[-2]
    assert name.startswith("definition-")
    assert len(store.executions(first.arn.replace("execution", "stateMachine").rpartition(":")[0])) == 2


async def test_a_file_is_deployed_under_its_own_name_and_starts_as_it_is_at_that_moment(
    store: MemoryStore, tmp_path: Path
):
    file = tmp_path / "my order.asl.json"
    file.write_text(json.dumps(machine({**ECHO, "Result": "old"})))
    async with on(store) as client:
        old = await client.start_execution(file)
        file.write_text(json.dumps(machine({**ECHO, "Result": "new"})))
        new = await client.start_execution(file)
        async with on(store, {}) as worker:
            assert [await old.result(), await new.result()] == ["old", "new"]
            assert await worker.run("my-order") == "new"


async def test_a_definition_that_was_deployed_by_this_engine_is_not_deployed_again(store: MemoryStore, monkeypatch):
    async with on(store, {}) as one:
        await one.run(machine(ECHO))
        monkeypatch.setattr(store, "deploy", None)
        assert await one.run(machine(ECHO), 4) == 4


def test_a_seed_is_refused_where_ids_must_not_come_twice(store: MemoryStore):
    with pytest.raises(ValueError, match="must not come twice"):
        on(store, seed=1)


@pytest.mark.parametrize("pool", ["", "a b", "\0", "\ud800", "x" * 81])
async def test_a_pool_has_a_name_that_any_store_can_hold(store: MemoryStore, pool: str):
    with pytest.raises(ValueError, match="pool: expected"):
        on(store, pools=[pool])
    async with on(store) as client:
        with pytest.raises(ValueError, match="pool: expected"):
            await client.deploy(machine(ECHO), "m", pool=pool)
        await client.deploy(machine(ECHO), "m")
        with pytest.raises(ValueError, match="pool: expected"):
            await client.start_execution("m", pool=pool)


@pytest.mark.parametrize(("error", "cause"), [("e" * 257, None), (None, "c" * 32_769), ("\ud800", None)])
async def test_an_error_that_history_cannot_hold_is_refused(store: MemoryStore, error: Any, cause: Any):
    async with on(store) as client:
        await client.deploy(machine(wait(100)), "m")
        execution = await client.start_execution("m")
        with pytest.raises(ValueError, match="expected"):
            await execution.stop(error, cause)
        with pytest.raises(ValueError, match="expected"):
            await client.send_task_failure("token", error, cause)


async def test_the_error_of_a_handler_is_cut_to_what_history_holds(store: MemoryStore):
    def fail(event: Any) -> None:
        raise StatesError("E" * 300, "c" * 40_000)

    async with on(store, {"work": fail}) as worker:
        await worker.deploy(machine(task()), "m")
        with pytest.raises(engine.ExecutionFailed) as caught:
            await worker.run("m")
    assert (caught.value.error, len(caught.value.cause or "")) == ("E" * 256, 32_768)


async def test_an_engine_is_refused_after_a_fork(store: MemoryStore, monkeypatch):
    async with on(store) as client:
        parent = os.getpid()
        monkeypatch.setattr(os, "getpid", lambda: parent + 1)
        with pytest.raises(UsedAfterFork, match="in the child"):
            await client.start_execution("m")
        monkeypatch.undo()


def test_the_blocking_face_is_a_client_and_a_worker_too(store: MemoryStore):
    with (
        blocking.Engine(url=lambda: store) as client,
        blocking.Engine(url=lambda: store, handlers={"work": lambda event: event}) as worker,
    ):
        client.deploy(machine(task()), "m")
        assert client.run("m", {"a": 1}) == {"a": 1}
        assert client.start_execution("m", 2, name="two").result() == 2
        assert worker.drain(5) is True


# ── retention ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_client_removes_what_finished_long_ago(store: MemoryStore, now: Now):
    async with on(store, {"work": echo}) as one:
        await one.deploy(machine(task()), "m")
        old = await one.start_execution("m")
        await old.result()
        now.skip(31 * 86_400)
        young = await one.start_execution("m")
        await young.result()
        assert await one.gc() == engine.Garbage()
        assert (await one.gc(older_than=timedelta(days=30), dry_run=True)).executions == 1
        assert (await one.gc(older_than=timedelta(days=30))).executions == 1
        with pytest.raises(engine.ExecutionDoesNotExist):
            await one.execution(old.arn)
        await one.execution(young.arn)
        with pytest.raises(ValueError, match="a day at least"):
            await one.gc(older_than=timedelta(hours=23))
    with pytest.raises(ValueError, match="a day at least"):
        on(store, retention=timedelta(hours=1))


async def test_a_worker_with_a_retention_removes_by_itself(store: MemoryStore, now: Now):
    async with on(store, {"work": echo}) as one:
        await one.deploy(machine(task()), "m")
        old = await one.start_execution("m")
        await old.result()
    now.skip(31 * 86_400)
    async with on(store, {"work": echo}) as one:
        await one.run("m")
    assert len(store.rows) == 2
    async with on(store, {"work": echo}, retention=timedelta(days=30)):
        await until(lambda: len(store.rows) == 1)


async def test_a_sweep_that_takes_long_holds_nobody_up_and_ends_with_the_worker(monkeypatch: pytest.MonkeyPatch):
    is_sweeping = threading.Event()

    def slow(self: MemoryStore, *, retention: int | None, proceed: Any) -> engine.Garbage:
        is_sweeping.set()
        while proceed():
            time.sleep(0.001)
        return engine.Garbage(left=("the rest",))

    monkeypatch.setattr(MemoryStore, "sweep", slow)
    store, told = MemoryStore(), []
    async with on(store, {"work": echo}, notice=lambda event, **about: told.append((event, about))) as one:
        await until(is_sweeping.is_set)
        await one.deploy(machine(task()), "m")
        async with on(store) as client:  # whose start only a claim finds
            assert await client.run("m", 7) == 7
    assert told == [("retention is behind", {"left": ["the rest"]})]
