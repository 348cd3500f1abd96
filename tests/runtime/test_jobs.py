"""Jobs of `.sync` Tasks: submitted once, asked about together, resumed with their execution, stopped with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import pytest

import engine
from engine import TaskFailed
from engine.runtime import jobs
from engine.store.memory_handle import MemoryHandle
from engine.store.protocol import StoreUnavailable
from tests.definitions import catch, machine, parallel, retry, task, wait
from tests.runtime.fleets import ECHO, Now, fleet, in_memory, on
from tests.runtime.job_service import RESOURCE, JobService, JobsOf, job_task
from tests.waiting import until

if TYPE_CHECKING:
    from engine.store.memory import MemoryStore

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


@pytest.fixture
async def service(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> JobService:
    if "now" not in request.fixturenames:  # else time is pushed on
        monkeypatch.setattr(jobs, "POLL_SECONDS_MIN", 0.02)
        monkeypatch.setattr(jobs, "_FINE_MS", 10)
    return JobService()


def handled(service: JobService, **options: Any) -> dict[str, Any]:
    return {RESOURCE: JobsOf(service, **options)}


async def types(execution: engine.ExecutionHandle) -> list[str]:
    return [event["type"] for event in await execution.history()]


# ── the course of a job ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_output_of_the_task_is_what_the_job_gives_and_the_response_shows_in_history(service: JobService):
    async with engine.Engine.in_memory(handled(service), clock="virtual") as one:
        execution = await one.start_execution(machine(job_task()))
        await until(lambda: service.polls)
        assert one.metrics().jobs_watched == 1
        service.end_all({"JobId": "7"})
        assert await execution.result() == {"JobId": "7"}
        assert one.metrics().jobs_watched == 0
        history = await execution.history()
        (submitted,) = [event for event in history if event["type"] == "TaskSubmitted"]
        assert submitted["taskSubmittedEventDetails"]["resource"] == "submitJob.sync"
        assert list(service.submits.values()) == [1]


async def test_a_job_that_ended_badly_fails_the_task_and_is_retried_as_another_job(service: JobService):
    async with engine.Engine.in_memory(handled(service), clock="virtual") as one:
        execution = await one.start_execution(machine(job_task(Retry=retry())))
        await until(lambda: len(service.submits) == 1)
        service.end_all(TaskFailed("States.TaskFailed", '{"Status":"FAILED"}'))
        await until(lambda: len(service.submits) == 2)
        service.end(list(service.submits)[1])
        assert await execution.result() == "done"
        assert "TaskFailed" in await types(execution)


async def test_a_request_that_is_refused_is_told_as_such(service: JobService):
    service.refusals.append(TaskFailed("Batch.ClientException", "no such queue"))
    async with engine.Engine.in_memory(handled(service)) as one:
        execution = await one.start_execution(machine(job_task()))
        with pytest.raises(engine.ExecutionFailed, match="no such queue"):
            await execution.result()
        assert (await types(execution))[-2:] == ["TaskSubmitFailed", "ExecutionFailed"]


async def test_virtual_time_goes_at_real_speed_while_a_job_runs(service: JobService):
    async with engine.Engine.in_memory(handled(service), clock="virtual") as one:
        execution = await one.start_execution(machine(job_task(TimeoutSeconds=3_600)))
        waiting = anyio.Event()

        async def result() -> None:
            waiting.set()
            await execution.result()

        async with anyio.create_task_group() as group:
            group.start_soon(result)
            await until(lambda: service.polls)
            service.end_all()
        assert one.skipped_seconds < 1, "else the job would be asked about without a pause, and time out at once"


async def test_a_time_limit_stops_the_job(service: JobService, store: MemoryStore, now: Now):
    async with on(store, handled(service, later=100)) as one:
        await one.deploy(machine(job_task(TimeoutSeconds=60)), "m")
        execution = await one.start_execution("m")
        await until(lambda: service.polls or in_memory(one) == 0)
        now.skip(61)
        with pytest.raises(engine.ExecutionFailed, match=r"States\.Timeout"):
            await execution.result()
        await until(lambda: service.stopped)
        assert service.stopped == list(service.submits)


async def test_the_execution_is_parked_between_two_questions(service: JobService, store: MemoryStore, now: Now):
    async with on(store, handled(service, later=50)) as one:
        await one.deploy(machine(job_task()), "m")
        execution = await one.start_execution("m")
        for asked in range(1, 4):
            await until(lambda asked=asked: len(service.polls) >= asked and in_memory(one) == 0)
            now.skip(70)
        service.end_all()
        await until(lambda: in_memory(one) == 0)
        now.skip(70)
        assert await execution.result() == "done"
        assert list(service.submits.values()) == [1]


async def test_a_task_token_in_the_input_of_a_job_ends_the_task_though_the_job_goes_on(
    service: JobService, store: MemoryStore
):
    named = {"JobName.$": "$$.Task.Token", "JobQueue": "q", "JobDefinition": "d"}
    state = job_task(Parameters=named)
    async with on(store, handled(service)) as one:
        await one.deploy(machine(state), "m")
        execution = await one.start_execution("m")
        await until(lambda: service.polls or in_memory(one) == 0)
        history = await execution.history()
        (scheduled,) = [event for event in history if event["type"] == "TaskScheduled"]
        token = engine.jsonvalue.decode(scheduled["taskScheduledEventDetails"]["parameters"])["JobName"]
        await one.send_task_success(token, "by token")
        assert await execution.result() == "by token"
        assert service.stopped == []


async def test_a_service_that_was_asked_as_often_as_may_be_waits_and_holds_no_other_service_up(
    service: JobService, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(jobs, "CALLS_PER_SECOND_MAX", 0.001)
    glue, other = "arn:aws:states:::glue:startJobRun.sync", JobService()
    rules = handled(service, together=1) | {glue: JobsOf(other, together=1)}
    async with engine.Engine.in_memory(rules, clock="virtual") as one:
        for _ in range(20):
            await one.start_execution(machine(job_task()))
        await until(lambda: len(service.submits) == 20 and service.polls)
        await one.start_execution(machine(job_task(Resource=glue, Parameters={"JobName": "j"})))
        await until(lambda: other.polls)
        assert service.polls == [1]


# ── when workers are lost ───────────────────────────────────────────────────────────────────────────────────────────


async def test_whoever_takes_over_goes_on_asking_and_does_not_submit_again(service: JobService, store: MemoryStore):
    async with on(store, handled(service)) as one:
        await one.deploy(machine(job_task(), ECHO), "m")
        execution = await one.start_execution("m")
        await until(lambda: service.polls or in_memory(one) == 0)
    async with on(store, handled(service)):
        asked = len(service.polls)
        await until(lambda: len(service.polls) > asked)
        service.end_all()
    async with on(store, handled(service)):
        assert await execution.result() == "done"
    assert list(service.submits.values()) == [1]
    assert service.stopped == [], "that a worker goes stops no job"


async def test_a_job_whose_worker_is_lost_before_it_could_be_written_is_submitted_again_under_the_same_key(
    service: JobService, store: MemoryStore
):
    service.accepts = anyio.Event()
    async with on(store, handled(service)) as one:
        await one.deploy(machine(job_task()), "m")
        execution = await one.start_execution("m")
        await until(lambda: service.submits)
    service.accepts.set()
    async with on(store, handled(service)):
        await until(lambda: sum(service.submits.values()) == 2)
        service.end_all()
        assert await execution.result() == "done"
    assert list(service.submits.values()) == [2]
    assert service.stopped == []


async def test_a_worker_whose_rules_begin_no_jobs_leaves_it_to_one_that_has_such_a_rule(
    service: JobService, store: MemoryStore, now: Now
):
    async with on(store, handled(service)) as one:
        await one.deploy(machine(job_task()), "m")
        execution = await one.start_execution("m")
        await until(lambda: service.polls or in_memory(one) == 0)
    async with on(store, {"other": "mock:1"}):
        now.skip(70)
        await until(lambda: store.execution(execution.arn).missing)
    service.end_all()
    async with on(store, handled(service)):
        now.skip(70)
        assert await execution.result() == "done"
    assert list(service.submits.values()) == [1]


# ── stopping ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_stopped_execution_stops_its_job_whoever_has_it(service: JobService, store: MemoryStore):
    async with on(store) as client:
        async with on(store, handled(service)) as one:
            await one.deploy(machine(job_task()), "m")
            execution = await one.start_execution("m")
            await until(lambda: service.polls or in_memory(one) == 0)
        handle = await client.execution(execution.arn)
        await handle.stop()
        async with on(store, handled(service)):
            await until(lambda: service.stopped)
    assert service.stopped == list(service.submits)


async def test_a_failed_sibling_stops_the_job_though_the_execution_goes_on_to_wait(
    service: JobService, store: MemoryStore, now: Now
):
    failing = machine(wait(1) | {"Name": "W"}, {"Name": "F", "Type": "Fail", "Error": "E"})
    state = parallel(machine(job_task(Name="J")), failing, Catch=catch("B"))
    async with on(store, handled(service, later=50)) as one:
        await one.deploy(machine(state, wait(3_600), ECHO), "m")
        execution = await one.start_execution("m")
        await until(lambda: service.submits)
        now.skip(2)
        await until(lambda: service.stopped and in_memory(one) == 0)
        assert (await execution.describe()).status == "RUNNING"
    assert service.stopped == list(service.submits)


async def test_a_job_that_is_being_submitted_when_its_execution_is_stopped_is_stopped_as_soon_as_it_is_known(
    service: JobService, store: MemoryStore
):
    service.accepts = anyio.Event()
    async with on(store, handled(service)) as one:
        await one.deploy(machine(job_task()), "m")
        execution = await one.start_execution("m")
        await until(lambda: service.submits)
        await execution.stop()
        with pytest.raises(engine.ExecutionFailed):
            await execution.result()
        service.accepts.set()
        await until(lambda: service.stopped)
    assert service.stopped == list(service.submits)


async def test_a_job_that_a_lost_worker_has_begun_and_nobody_was_told_of_is_stopped_with_its_execution(
    service: JobService, store: MemoryStore
):
    service.accepts = anyio.Event()
    async with on(store) as client:
        async with on(store, handled(service)) as one:
            await one.deploy(machine(job_task()), "m")
            execution = await one.start_execution("m")
            await until(lambda: service.submits)
        await (await client.execution(execution.arn)).stop()
        async with on(store, handled(service)):
            await until(lambda: service.stopped)
    assert service.stopped == list(service.submits)
    assert list(service.submits.values()) == [1]


async def test_an_engine_in_memory_that_is_closed_stops_its_jobs(service: JobService):
    async with engine.Engine.in_memory(handled(service)) as one:
        await one.start_execution(machine(job_task()))
        await until(lambda: service.submits)
        await anyio.wait_all_tasks_blocked()
    assert service.stopped == list(service.submits)


# ── load ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_five_hundred_jobs_take_no_place_of_tasks_and_share_their_questions(
    service: JobService, store: MemoryStore, now: Now
):
    async with on(store, {**handled(service), "work": "mock:1"}, max_concurrency=20) as one:
        await one.deploy(machine(job_task()), "jobs")
        await one.deploy(machine(task()), "tasks")
        for _ in range(500):
            await one.start_execution("jobs")
        await until(lambda: len(service.submits) == 500)
        for _ in range(3):
            now.skip(11)
            other = await one.start_execution("tasks")
            assert await other.result() == 1, "jobs in flight hold nobody up"
        assert fleet(one).worker.tasks.in_flight == 0
        service.end_all()
        while one.metrics().ended.get("SUCCEEDED", 0) < 503:
            now.skip(11)
            await anyio.sleep(0.01)
    assert set(service.submits.values()) == {1}
    assert service.asked_at_once <= jobs.POLLS_AT_ONCE_MAX
    assert len(service.polls) < sum(service.polls) / 2, "many are asked about in one call"


@pytest.mark.parametrize(("age", "seconds"), [(0, 1), (5, 1), (30, 3), (99, 10), (300, 30), (600, 60), (86_400, 60)])
def test_the_older_a_job_is_the_more_seldom_it_is_asked_about_but_once_a_minute(age: int, seconds: int):
    now = 1_700_000_000_000
    due = jobs.next_poll(now, age)
    assert seconds * 1_000 <= due - now < seconds * 1_000 + 10_000
    assert due % 1_000 == 0, "those that are due in one second are due together"


async def test_a_question_that_is_not_answered_is_asked_again(service: JobService, monkeypatch: pytest.MonkeyPatch):
    class Slow(JobsOf):
        async def poll(self, jobs: Any, workplace: Any) -> Any:
            service.polls.append(len(jobs))
            if len(service.polls) == 1:
                await anyio.sleep_forever()
            return [self._answer(job.job["id"]) for job in jobs]

    monkeypatch.setattr(jobs, "CALL_SECONDS_MAX", 0.01)
    async with engine.Engine.in_memory({RESOURCE: Slow(service)}) as one:
        execution = await one.start_execution(machine(job_task()))
        await until(lambda: service.submits)
        service.end_all()
        assert await execution.result() == "done"
    assert len(service.polls) == 2


async def test_an_outage_of_the_store_repeats_no_submission(
    service: JobService, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
):
    real, failures = MemoryHandle.commit, [True, True]

    def commit(self: MemoryHandle, group: Any) -> Any:
        if service.submits and failures:
            failures.pop()
            raise StoreUnavailable("for a moment")
        return real(self, group)

    monkeypatch.setattr(MemoryHandle, "commit", commit)
    async with on(store, handled(service)) as one:
        await one.deploy(machine(job_task()), "m")
        execution = await one.start_execution("m")
        await until(lambda: service.submits and not failures)
        service.end_all()
        assert await execution.result() == "done"
    assert list(service.submits.values()) == [1]
