"""Workers on a store that they share, and what they leave to one another."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest
import structlog

import engine
from engine.runtime import custody, executions
from engine.store.hints import Hint
from engine.store.memory_handle import MemoryHandle
from engine.store.protocol import NEVER_DUE, StoreUnavailable
from tests.definitions import catch, invoke, machine, parallel, task, wait
from tests.runtime.fleets import ECHO, Gate, Now, echo, fleet, in_memory, on
from tests.waiting import until

if TYPE_CHECKING:
    from engine.store.memory import MemoryStore

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


# ── one year ────────────────────────────────────────────────────────────────────────────────────────────────────────

YEAR_SECONDS = 365 * 86_400


@pytest.mark.parametrize("before", [0, 1], ids=["parked until then", "back in memory shortly before"])
async def test_what_waits_for_a_token_is_timed_out_when_it_was_open_for_a_year(
    store: MemoryStore, now: Now, before: int
):
    async with on(store, {"work": lambda event: None}) as worker:
        await worker.deploy(machine(invoke(suffix=".waitForTaskToken")), "m")
        execution = await worker.start_execution("m")
        await until(lambda: store.execution(execution.arn).last_event_id == 5 and in_memory(worker) == 0)
        now.skip(YEAR_SECONDS - before)
        with pytest.raises(engine.ExecutionFailed, match=r"States\.Timeout"):
            await execution.result()
        described = await execution.describe()
        assert described.status == "TIMED_OUT"
        assert (await execution.history())[-1]["type"] == "ExecutionTimedOut"


async def test_a_task_does_not_run_again_when_the_year_went_by_without_a_worker(store: MemoryStore, now: Now):
    gate = Gate()
    async with on(store) as client:
        await client.deploy(machine(task()), "m")
        async with on(store, {"work": gate}):
            execution = await client.start_execution("m")
            await gate.inside.wait()
        now.skip(YEAR_SECONDS)
        async with on(store, {"work": gate}):
            with pytest.raises(engine.ExecutionFailed, match=r"States\.Timeout"):
                await execution.result()
    assert gate.calls == 1


# ── waiting costs nothing ───────────────────────────────────────────────────────────────────────────────────────────


async def test_an_execution_that_only_waits_holds_no_memory_and_goes_on_when_it_is_due(store: MemoryStore, now: Now):
    async with on(store, {"work": echo}) as worker:
        await worker.deploy(machine(wait(3_600), task()), "m")
        execution = await worker.start_execution("m", 5)
        await until(lambda: in_memory(worker) == 0)
        assert (await execution.describe()).status == "RUNNING"
        now.skip(3_600)
        assert await execution.result() == 5


async def test_a_token_is_answered_while_nobody_has_the_execution(store: MemoryStore):
    tokens: list[str] = []

    async def work(event: Any, context: Any) -> None:
        tokens.append(context.task_token)

    async with on(store) as client:
        await client.deploy(machine(invoke(suffix=".waitForTaskToken"), ECHO), "m")
        execution = await client.start_execution("m")
        async with on(store, {"work": work}) as worker:
            await until(lambda: tokens)
            await until(lambda: store.execution(execution.arn).last_event_id == 5 and in_memory(worker) == 0)
        await client.send_task_success(tokens[0], "approved")
        with pytest.raises(engine.TaskTimedOut):
            await client.send_task_success(tokens[0], "again")
        async with on(store, {"work": work}):
            assert await execution.result() == "approved"
        assert len(tokens) == 1, "who submitted once does not submit again"


async def test_heartbeats_of_a_parked_task_count(store: MemoryStore, now: Now):
    tokens: list[str] = []

    async def work(event: Any, context: Any) -> None:
        tokens.append(context.task_token)

    async with on(store, {"work": work}) as worker:
        await worker.deploy(machine(invoke(suffix=".waitForTaskToken", HeartbeatSeconds=100)), "m")
        execution = await worker.start_execution("m")
        await until(lambda: tokens and in_memory(worker) == 0)
        row = store.rows[store.execution(execution.arn).execution_id]
        for _ in range(3):
            now.skip(60)
            await worker.send_task_heartbeat(tokens[0])
            beat = now()
            await until(lambda beat=beat: row.wake_at == NEVER_DUE or row.wake_at < beat + 90_000)
        assert (await execution.describe()).status == "RUNNING"
        now.skip(101)
        with pytest.raises(engine.ExecutionFailed, match=r"States\.Timeout"):
            await execution.result()


async def test_a_parked_execution_is_stopped_and_redriven_from_afar(store: MemoryStore):
    async with on(store) as client, on(store, {"work": echo}) as worker:
        await client.deploy(machine(wait(100_000), task()), "m")
        execution = await client.start_execution("m", 1)
        await until(lambda: store.execution(execution.arn).last_event_id > 0 and in_memory(worker) == 0)
        await execution.stop("Enough", "of it")
        with pytest.raises(engine.ExecutionFailed, match="Enough"):
            await execution.result()
        await execution.redrive()
        await until(lambda: store.execution(execution.arn).redrives.count == 1)
        assert execution.status == "RUNNING"


# ── what a worker cannot do ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_task_without_a_handler_waits_for_a_worker_that_has_one_and_is_shown_by_name(
    store: MemoryStore, now: Now
):
    async with on(store, {"work": echo}) as without:
        await without.deploy(machine(task("work"), task("rare")), "m")
        execution = await without.start_execution("m", 7)
        await until(lambda: store.execution(execution.arn).missing)
        (resource,) = store.execution(execution.arn).missing
        assert resource.endswith(":function:rare")
        assert fleet(without).worker.custody.missing[resource] >= 1
        assert (await execution.describe()).status == "RUNNING"
        async with on(store, {"work": echo, "rare": "mock:8"}):
            while not await ended(execution):
                now.skip(custody.HANDLER_RETRY_MS / 1_000)
        assert await execution.result() == 8


async def ended(execution: engine.ExecutionHandle) -> bool:
    with anyio.move_on_after(0.3):
        await execution.result()
        return True
    return False


async def test_an_execution_that_the_engine_fails_on_is_quarantined_for_people_to_see(store: MemoryStore, monkeypatch):
    real = executions.advance_together
    is_broken = True

    def faulty(plan: Any, snapshot: Any, *args: Any, **kwargs: Any) -> Any:
        if is_broken and snapshot.execution.name == "unlucky":
            raise AssertionError("planted")
        return real(plan, snapshot, *args, **kwargs)

    monkeypatch.setattr(executions, "advance_together", faulty)
    with structlog.testing.capture_logs():
        async with on(store) as client, on(store, {"work": echo}) as worker:
            await client.deploy(machine(task()), "m")
            unlucky = await client.start_execution("m", 1, name="unlucky")
            assert await client.run("m", 2) == 2
            with pytest.raises(engine.ExecutionQuarantined, match="planted"):
                await unlucky.result()
            assert "Traceback" in (store.execution(unlucky.arn).quarantine or "")
            assert in_memory(worker) == 0
            is_broken = False
            await unlucky.resume()
            assert await unlucky.result() == 1


async def test_a_quarantine_whose_answer_was_lost_is_written_all_the_same(store: MemoryStore, monkeypatch):
    real, lost = MemoryHandle.commit, []

    def commit(self: MemoryHandle, group: Any) -> Any:
        if not lost and any(release.quarantine for release in group.releases):
            lost.append(group)
            raise StoreUnavailable
        return real(self, group)

    def planted(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("planted")

    monkeypatch.setattr(MemoryHandle, "commit", commit)
    with structlog.testing.capture_logs():
        async with on(store) as client, on(store, {"work": echo}):
            await client.deploy(machine(task()), "m")
            monkeypatch.setattr(executions, "advance_together", planted)
            unlucky = await client.start_execution("m", 1, name="unlucky")
            with pytest.raises(engine.ExecutionQuarantined, match="planted"):
                await unlucky.result()
    assert lost


async def test_an_execution_whose_revision_is_gone_is_quarantined_alone(store: MemoryStore):
    async with on(store) as client:
        await client.deploy(machine(task()), "m")
        bad = await client.start_execution("m", 1, name="bad")
        del store._revisions[store.execution(bad.arn).revision_id]
        await client.deploy(machine(task(), task()), "m")
        good = await client.start_execution("m", 2, name="good")
        with structlog.testing.capture_logs():
            async with on(store, {"work": echo}):
                assert await good.result() == 2
                with pytest.raises(engine.ExecutionQuarantined, match="KeyError"):
                    await bad.result()


# ── errors of ours ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_claim_that_failed_of_an_error_of_ours_is_not_forgotten(store: MemoryStore, monkeypatch):
    real, failed = MemoryHandle.claim, []

    def claim(self: MemoryHandle, **given: Any) -> Any:
        claims = real(self, **given)
        if claims.claimed and not failed:
            failed.append(claims)
            raise ZeroDivisionError("planted")
        return claims

    monkeypatch.setattr(MemoryHandle, "claim", claim)
    with structlog.testing.capture_logs() as logged:
        async with on(store) as client, on(store, {"work": echo}):
            await client.deploy(machine(task()), "m")
            assert await client.run("m", 1) == 1
    assert failed
    assert [entry["event"] for entry in logged] == ["a question to the store failed"]


async def test_a_worker_whose_writer_fails_of_an_error_of_ours_ends_for_all_to_see(store: MemoryStore, monkeypatch):
    def commit(self: MemoryHandle, group: Any) -> Any:
        raise ZeroDivisionError("planted")

    async def run() -> None:
        async with on(store, {"work": echo}) as worker:
            await worker.deploy(machine(task()), "m")
            monkeypatch.setattr(MemoryHandle, "commit", commit)
            await worker.run("m", 1)

    with pytest.raises(ExceptionGroup) as caught:
        await run()
    assert caught.group_contains(ZeroDivisionError, match="planted")


# ── losing workers ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_a_worker_leaves_unfinished_another_runs_again(store: MemoryStore):
    gate = Gate()
    async with on(store) as client:
        await client.deploy(machine(task()), "m")
        async with on(store, {"work": gate}):
            execution = await client.start_execution("m")
            await gate.inside.wait()
        async with on(store, {"work": "mock:2"}):
            assert await execution.result() == 2
        assert gate.calls == 1


async def test_a_task_that_must_not_run_again_by_itself_fails_when_its_worker_is_lost(store: MemoryStore):
    gate = Gate()
    careful = engine.Handlers()
    careful.add("work", gate, on_worker_loss="fail")
    async with on(store) as client:
        await client.deploy(machine(task(Catch=catch("B")), ECHO), "m")
        async with on(store, careful):
            execution = await client.start_execution("m")
            await gate.inside.wait()
        async with on(store, careful):
            assert (await execution.result())["Error"] == "Engine.WorkerLost"
        assert gate.calls == 1


async def test_a_task_that_may_have_run_waits_for_a_worker_that_knows_its_handler(store: MemoryStore, now: Now):
    gate = Gate()
    careful = engine.Handlers()
    careful.add("work", gate, on_worker_loss="fail")
    async with on(store) as client:
        branches = parallel(machine({**task(), "Name": "W"}), machine({**task("other"), "Name": "O"}))
        await client.deploy(machine(branches, ECHO), "m")
        async with on(store, careful):
            execution = await client.start_execution("m")
            await gate.inside.wait()
        # The other branch gets on meanwhile: that tells nothing about this one.
        async with on(store, {"other": echo}):
            await until(lambda: store.execution(execution.arn).missing)
        assert gate.calls == 1
        now.skip(60)
        async with on(store, careful):
            with pytest.raises(engine.ExecutionFailed, match=r"Engine\.WorkerLost"):
                await execution.result()


def kill_all(store: MemoryStore) -> None:
    observer = store.handle()
    observer.enlist(pools=["nothing"], host="observer", pid=1)
    for worker_id, (epoch, heartbeat) in observer.others().items():
        assert observer.declare_dead(worker_id, epoch=epoch, heartbeat=heartbeat)
    observer.resign()


async def test_only_tasks_that_may_have_run_are_lost(store: MemoryStore, now: Now):
    """One Task was under way when its worker was lost; one was scheduled later, and never started anywhere."""
    gate = Gate()
    cautious = engine.Handlers()
    cautious.add("lost", gate, on_worker_loss="fail")
    cautious.add("next", echo, on_worker_loss="fail")
    async with on(store) as client:
        lost = machine(task("lost", Name="L", Catch=catch("C")), {**ECHO, "Name": "C", "Result": "caught"})
        branches = parallel(lost, machine(task("first", Name="F"), task("next", Name="N")))
        await client.deploy(machine(branches), "m")
        async with on(store, cautious):
            execution = await client.start_execution("m", 5)
            await gate.inside.wait()
        async with on(store, {"first": echo}):
            await until(lambda: len(store.execution(execution.arn).missing) == 2)
        now.skip(60)
        async with on(store, cautious):
            assert await execution.result() == ["caught", 5]


async def test_an_execution_that_kills_workers_is_quarantined_though_one_branch_gets_on(
    store: MemoryStore,
):
    """One branch commits again and again, the other one kills its worker now and then."""
    poison, beats = Gate(), Gate()
    beats.open.set()
    handlers = engine.Handlers()
    handlers.add("poison", poison)
    handlers.add("beat", beats)
    again = {"Type": "Choice", "Choices": [{"Variable": "$", "IsPresent": True, "Next": "Beat"}], "Default": "End"}
    loop = {
        "StartAt": "Beat",
        "States": {"Beat": task("beat", Next="Again"), "Again": again, "End": {"Type": "Succeed"}},
    }
    async with on(store) as client:
        await client.deploy(machine(parallel(machine(task("poison", Name="Poison")), loop)), "m")
        execution = await client.start_execution("m")
        with structlog.testing.capture_logs():
            for _ in range(custody.DEATHS_MAX):
                async with on(store, handlers):
                    calls = beats.calls
                    await until(lambda calls=calls: beats.calls > calls + 1)
                    kill_all(store)
            async with on(store, handlers):
                with pytest.raises(engine.ExecutionQuarantined, match="3 workers died"):
                    await execution.result()


async def test_who_gives_no_sign_of_life_is_taken_over(store: MemoryStore):
    async with on(store) as client:
        await client.deploy(machine(task()), "m")
        execution = await client.start_execution("m", 3)
        silent = store.handle()
        silent.enlist(pools=["default"], host="gone", pid=1)
        assert len(silent.claim(most=1).claimed) == 1
        async with on(store, {"work": echo}, lease_seconds=0.2):
            assert await execution.result() == 3


async def test_a_worker_that_was_declared_dead_begins_anew(store: MemoryStore):
    gate = Gate()
    async with on(store, {"work": gate}) as worker:
        await worker.deploy(machine(task()), "m")
        execution = await worker.start_execution("m")
        await gate.inside.wait()
        (incarnation,) = store.workers.values()
        store.remove_worker(incarnation)
        fleet(worker).housekeeping.heard(Hint("START"))
        await until(lambda: gate.calls == 2)
        gate.open.set()
        assert await execution.result() == "through"
        assert fleet(worker).housekeeping.incarnations == 2


# ── going ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_draining_worker_waits_for_its_task_and_leaves_the_next_one_to_others(store: MemoryStore):
    gate = Gate()
    async with on(store) as client:
        await client.deploy(machine(task(), task("next")), "m")
        await client.deploy(machine(wait(50_000)), "w")
        async with on(store, {"work": gate, "next": "fail:Wrong:here"}) as old:
            execution = await old.start_execution("m")
            await gate.inside.wait()
            async with anyio.create_task_group() as group:
                drained: list[bool] = []

                async def drain() -> None:
                    drained.append(await old.drain(20))

                group.start_soon(drain)
                await until(lambda: fleet(old).housekeeping.is_draining)
                late = await old.start_execution("m")
                gate.open.set()
            assert drained == [True]
            assert in_memory(old) == 0
        assert gate.calls == 1
        async with on(store, {"work": "mock:1", "next": "mock:2"}):
            assert [await (await client.execution(one.arn)).result() for one in (execution, late)] == [2, 2]


async def test_draining_ends_when_its_time_is_over(store: MemoryStore):
    gate = Gate()
    async with on(store, {"work": gate}) as worker:
        await worker.deploy(machine(task()), "m")
        await worker.start_execution("m")
        await gate.inside.wait()
        assert await worker.drain(0.01) is False


async def test_leaving_a_worker_leaves_no_row_and_no_thread(store: MemoryStore):

    async with on(store, {"work": echo}) as worker:
        await worker.deploy(machine(task()), "m")
        assert await worker.run("m", 1) == 1
        assert len(store.workers) == 1
    assert not store.workers
    assert not [thread for thread in threading.enumerate() if thread.name in ("asl writer", "asl clerk")]
