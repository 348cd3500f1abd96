"""The rule of effects, and what mail and timers do to one another."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import engine
from engine.integrations.request import Answer
from engine.interpreter.messages import TimerDue
from engine.runtime.committer import DirectCommitter
from tests.definitions import invoke, machine, parallel, retry, task, wait
from tests.waiting import DEADLINE_SECONDS

if TYPE_CHECKING:
    from engine.integrations.request import Channel, TaskRequest, Workplace
    from engine.runtime.committer import FateAnswer
    from engine.store.protocol import Checkpoint, Release

pytestmark = pytest.mark.anyio


class HeldCommitter(DirectCommitter):
    """Writes nothing until it is told to, as a store whose answer is still on its way."""

    def __init__(self, one: engine.Engine) -> None:
        super().__init__(one._backend._store)
        self._held: list[tuple[Checkpoint | Release, FateAnswer]] = []
        worker = one._backend.worker
        worker._committer = worker.executions._committer = worker.custody._committer = self

    @property
    def pending(self) -> int:  # type: ignore[override]
        return len(self._held)

    def submit(self, written: Checkpoint | Release, answer: FateAnswer) -> None:
        self._held.append((written, answer))

    def release(self) -> None:
        held, self._held = self._held, []
        for written, answer in held:
            super().submit(written, answer)


async def settled() -> None:
    await anyio.wait_all_tasks_blocked()


async def test_nothing_outside_happens_before_the_checkpoint_that_ordered_it_is_written():
    called: list[str] = []

    async def work(event):
        called.append(event)
        return event

    async with engine.Engine.in_memory({"work": work, "next": work}) as one:
        committer = HeldCommitter(one)
        execution = await one.start_execution(machine(task(), task("next")), "x")
        for calls in range(2):
            await settled()
            assert len(called) == calls
            committer.release()
        await settled()
        assert (len(called), execution.status) == (2, "RUNNING")
        committer.release()
        assert await execution.result() == "x"


async def test_what_is_let_go_of_while_it_is_written_is_written_whole():
    """The writer may read the snapshot a second time, after an answer that was lost."""
    async with engine.Engine.in_memory() as one:
        committer = HeldCommitter(one)
        execution = await one.start_execution(machine(wait(1_000)))
        await settled()
        committer.release()
        await execution.stop("Enough")
        await settled()
        ((checkpoint, _),) = committer._held
        before = dict(checkpoint.snapshot.frames)
        executions = one._backend.worker.executions
        executions.drop(executions.live[checkpoint.execution_id])
        assert checkpoint.snapshot.frames == before != {}


async def test_mail_waits_while_a_checkpoint_is_being_written():
    async with engine.Engine.in_memory() as one:
        committer = HeldCommitter(one)
        execution = await one.start_execution(machine(wait(1_000)))
        await settled()
        await execution.stop("First")
        await execution.stop("Second")
        await settled()
        assert committer.pending == 1
        committer.release()
        await settled()
        committer.release()
        with pytest.raises(engine.ExecutionFailed, match="First"):
            await execution.result()
        assert [event["id"] for event in await execution.history()] == [1, 2, 3]


async def test_time_does_not_jump_while_a_checkpoint_is_being_written():
    async with engine.Engine.in_memory({"work": "mock:1"}, clock="virtual") as one:
        first = await one.start_execution(machine(wait(50)))
        await settled()
        committer = HeldCommitter(one)
        second = await one.start_execution(machine(task()))
        async with anyio.create_task_group() as group:
            group.start_soon(first.result)
            await settled()
            assert (committer.pending, one.skipped_seconds) == (1, 0)
            group.start_soon(second.result)
            while first.status == "RUNNING" or second.status == "RUNNING":
                committer.release()
                await settled()


async def test_the_timers_of_a_task_vanish_with_its_answer():
    async with engine.Engine.in_memory({"*": lambda event: 1}, clock="virtual") as one:
        assert await one.run(machine(task(TimeoutSeconds=3_600, HeartbeatSeconds=60), task("b"), wait(5))) == 1
        assert one.skipped_seconds <= 5
        assert len(one._backend.worker.timers) == 0


async def test_nothing_is_left_in_memory_of_an_execution_that_is_over():
    async with engine.Engine.in_memory({"*": lambda event: 1}, clock="virtual") as one:
        await one.run(machine(task(TimeoutSeconds=3_600), wait(5)))
        executions = one._backend.worker.executions
        assert not executions.live
        assert not executions.has_ready
        with anyio.fail_after(DEADLINE_SECONDS):
            while executions.known:  # the handler's thread lets go of the Task a moment after it has answered
                await anyio.lowlevel.checkpoint()


async def test_an_answer_that_was_accepted_counts_though_the_time_limit_is_due():
    tokens: list[Any] = []

    async def work(event, context):
        tokens.append(context.task_token)

    async with engine.Engine.in_memory({"work": work}) as one:
        execution = await one.start_execution(machine(invoke(suffix=".waitForTaskToken", TimeoutSeconds=100)))
        await settled()
        live = execution._tracked
        (task_id,) = live.tasks
        one._backend.worker.executions.mail(live, TimerDue(task_id))
        await one.send_task_success(tokens[0], "in time")
        assert await execution.result() == "in time"


async def test_of_a_token_and_an_answer_in_the_same_moment_one_counts():
    class Both:
        name, fixed_answer, on_worker_loss, waits_apart, concurrency = "both", None, "rerun", False, None

        async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
            channel.send_task_success(request.task_token or "", "by token")
            return Answer("by the handler", 16)

    resource = "arn:aws:states:::batch:submitJob.sync"  # a job has a token, as a callback has
    job = {"JobName": "j", "JobQueue": "q", "JobDefinition": "d"}
    async with engine.Engine.in_memory({resource: Both()}, clock="virtual") as one:
        definition = machine({"Type": "Task", "Resource": resource, "Parameters": job}, wait(5))
        with anyio.fail_after(DEADLINE_SECONDS):
            assert await one.run(definition) == "by token"


async def test_a_late_timer_and_a_late_answer_change_nothing():
    async with engine.Engine.in_memory({"work": "mock:1"}) as one:
        execution = await one.start_execution(machine(task(), wait(1_000)))
        await settled()
        before = await execution.history()
        one._backend.worker.executions.mail(execution._tracked, TimerDue((0, 0, 1)))
        one._backend.worker.executions.mail(execution._tracked, TimerDue((7, 7, 7), heartbeat=True))
        await settled()
        assert await execution.history() == before
        assert execution.status == "RUNNING"


async def test_a_store_that_fails_on_one_checkpoint_leaves_the_others_alone(monkeypatch):
    import structlog

    async with engine.Engine.in_memory() as one:
        commit = one._backend._store.commit

        def faulty(group: Any) -> Any:
            if any(checkpoint.snapshot.execution.name == "unlucky" for checkpoint in group.checkpoints):
                raise AssertionError("planted")
            return commit(group)

        monkeypatch.setattr(one._backend._store, "commit", faulty)
        with structlog.testing.capture_logs():
            unlucky = await one.start_execution(machine(wait(0)), name="unlucky")
            lucky = await one.start_execution(machine(wait(0)), 1)
            with pytest.raises(engine.ExecutionQuarantined, match="planted"):
                await unlucky.result()
        assert await lucky.result() == 1


async def test_a_task_that_is_cancelled_before_it_began_does_nothing():
    called: list[Any] = []

    async def work(event):
        called.append(event)

    async with engine.Engine.in_memory({"work": work}) as one:
        execution = await one.start_execution(machine(task()))
    assert (execution.status, called) == ("ABORTED", [])


async def test_nothing_is_kept_of_activity_tasks_that_no_worker_took():
    async with engine.Engine.in_memory(clock="virtual") as one:
        arn = await one.create_activity("paint")
        with pytest.raises(engine.ExecutionFailed, match=r"States\.Timeout"):
            await one.run(machine({"Type": "Task", "Resource": arn, "TimeoutSeconds": 5}))
        assert not one._backend.library.offers[arn]


# ── one year ────────────────────────────────────────────────────────────────────────────────────────────────────────

YEAR_SECONDS = 365 * 86_400
YEARS = 99_999_999


@pytest.mark.parametrize(
    "definition",
    [
        machine(wait(YEARS)),
        machine(wait(YEARS), TimeoutSeconds=YEAR_SECONDS + 10),
        machine(task(Retry=retry(IntervalSeconds=20_000_000))),
        machine(invoke(suffix=".waitForTaskToken", TimeoutSeconds=YEARS)),
        machine(parallel(machine({**wait(YEARS), "Name": "L"}), machine({**wait(YEARS), "Name": "R"}))),
    ],
    ids=["wait", "TimeoutSeconds", "retry", "task token", "branches"],
)
async def test_an_execution_is_timed_out_when_it_was_open_for_a_year(definition: Any):
    def work(event: Any) -> None:
        raise ValueError

    def submit(event: Any) -> None:
        pass

    handler = submit if "Token" in str(definition) else work
    async with engine.Engine.in_memory({"*": handler}, clock="virtual") as one:
        execution = await one.start_execution(definition)
        with pytest.raises(engine.ExecutionFailed, match=r"States\.Timeout"):
            await execution.result()
        assert execution.status == "TIMED_OUT"
        last = (await execution.history())[-1]
        assert last["type"] == "ExecutionTimedOut"
        open_for = last["timestamp"] - (await execution.describe()).start_date
        assert timedelta(days=365) <= open_for < timedelta(days=365, minutes=1)
        with pytest.raises(engine.ExecutionNotRedrivable, match="Execution has exceeded the max execution time"):
            await execution.redrive()
