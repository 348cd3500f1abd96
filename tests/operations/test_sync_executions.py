from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from engine import Engine, TaskFailed, blocking
from engine.errors import (
    InvalidExecutionInput,
    InvalidName,
    StateMachineDoesNotExist,
    StateMachineTypeNotSupported,
)
from engine.operations.sync_executions import start_sync_execution
from engine.runtime import durable_backend
from engine.store.memory import MemoryStore
from tests.definitions import catch, machine, retry, task, wait
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

ACCOUNT = "123456789012"
ECHO = {"Type": "Pass"}


async def echo(event: Any) -> Any:
    return event


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(through_bytes=True)


def on(store: MemoryStore, handlers: Any = None, **options: Any) -> Engine:
    return Engine(url=lambda: store, handlers=handlers, account_id=ACCOUNT, **options)


@pytest.fixture(params=["memory", "worker", "client"])
async def engine(request: pytest.FixtureRequest, store: MemoryStore) -> AsyncIterator[Engine]:
    """One that runs it in memory, a worker that does on a store, and a client whose executions a worker runs."""
    handlers = {"work": echo, "broken": "fail:Broken:down"}
    if request.param == "memory":
        async with Engine.in_memory(handlers, account_id=ACCOUNT) as one:
            yield one
    elif request.param == "worker":
        async with on(store, handlers) as one:
            yield one
    else:
        async with on(store) as one, on(store, handlers):
            yield one


async def deploy(engine: Engine, *states: dict[str, Any], **fields: Any) -> str:
    return (await engine.deploy(machine(*states, **fields), "m", type="EXPRESS")).arn


async def test_the_answer_has_all_that_aws_answers(engine: Engine) -> None:
    arn = await deploy(engine, task())

    answer = await start_sync_execution(
        engine.service, state_machine_arn=arn, name="mine", input='{"a": 1}', trace_header="Root=1"
    )

    assert answer.pop("stop_date") >= answer.pop("start_date")
    assert answer.pop("billing_details") == {"billedDurationInMilliseconds": 100, "billedMemoryUsedInMB": 64}
    assert answer.pop("execution_arn").startswith(f"arn:aws:states:us-east-1:{ACCOUNT}:express:m:mine:")
    assert json.loads(answer.pop("output")) == {"a": 1}
    assert answer == {
        "state_machine_arn": arn,
        "name": "mine",
        "status": "SUCCEEDED",
        "input": '{"a": 1}',
        "input_details": {"included": True},
        "output_details": {"included": True},
        "trace_header": "Root=1",
    }


async def test_one_that_fails_is_an_answer_without_output(engine: Engine) -> None:
    arn = await deploy(engine, task("broken"))

    answer = await start_sync_execution(engine.service, state_machine_arn=arn)

    assert (answer["status"], answer["error"], answer["cause"]) == ("FAILED", "Broken", "down")
    assert answer["output_details"] == {"included": True}
    assert "output" not in answer


async def test_retry_and_catch_are_those_of_standard_executions(engine: Engine) -> None:
    states = task("broken", Retry=retry(1, IntervalSeconds=1, MaxDelaySeconds=2), Catch=catch("B")), ECHO
    arn = await deploy(engine, *states)

    answer = await start_sync_execution(engine.service, state_machine_arn=arn)

    assert answer["status"] == "SUCCEEDED"
    assert json.loads(answer["output"]) == {"Error": "Broken", "Cause": "down"}


async def test_its_context_object_has_no_redrive_count(engine: Engine) -> None:
    arn = await deploy(engine, {**ECHO, "Parameters": {"execution.$": "$$.Execution"}})

    answer = await start_sync_execution(engine.service, state_machine_arn=arn)

    assert set(json.loads(answer["output"])["execution"]) == {"Id", "Input", "Name", "RoleArn", "StartTime"}


async def test_a_time_limit_is_an_answer(engine: Engine) -> None:
    arn = await deploy(engine, wait(250), TimeoutSeconds=1)

    answer = await start_sync_execution(engine.service, state_machine_arn=arn)

    assert (answer["status"], answer["error"]) == ("TIMED_OUT", "States.Timeout")
    assert answer["billing_details"]["billedDurationInMilliseconds"] >= 1_000


async def test_data_may_be_left_out_of_the_answer(engine: Engine) -> None:
    arn = await deploy(engine, ECHO)

    answer = await start_sync_execution(engine.service, state_machine_arn=arn, included_data="METADATA_ONLY")

    assert (answer["input_details"], answer["output_details"]) == ({"included": False}, {"included": False})
    assert not {"input", "output"} & set(answer)


async def test_what_cannot_be_started_is_refused(engine: Engine) -> None:
    arn = await deploy(engine, ECHO)
    standard = await engine.deploy(machine(ECHO), "standard")
    with pytest.raises(StateMachineTypeNotSupported):
        await start_sync_execution(engine.service, state_machine_arn=standard.arn)
    with pytest.raises(StateMachineDoesNotExist):
        await start_sync_execution(engine.service, state_machine_arn=engine.service.machine_arn("nobody"))
    with pytest.raises(InvalidExecutionInput):
        await start_sync_execution(engine.service, state_machine_arn=arn, input="{")
    with pytest.raises(InvalidExecutionInput):
        await start_sync_execution(engine.service, state_machine_arn=arn, input='"\ud800"')
    with pytest.raises(InvalidName):
        await start_sync_execution(engine.service, state_machine_arn=arn, name="a b")


async def test_a_program_gets_values(engine: Engine) -> None:
    await deploy(engine, task())

    done = await engine.start_sync_execution("m", {"a": 1})

    assert (done.status, done.output, done.billed_duration_ms) == ("SUCCEEDED", {"a": 1}, 100)
    with pytest.raises(ValueError, match="deploy it first"):
        await engine.start_sync_execution(json.dumps(machine(ECHO)))


# ── on a store ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_nothing_is_written_where_a_worker_is_at_hand(store: MemoryStore) -> None:
    async with on(store, {"work": echo}) as worker:
        arn = await deploy(worker, task(), task())
        assert (await worker.start_sync_execution(arn)).status == "SUCCEEDED"
        assert not store.rows
        metrics = worker.metrics()
        assert (metrics.started, metrics.ended, metrics.live) == (1, {"SUCCEEDED": 1}, 0)


async def test_who_has_no_handler_for_it_leaves_it_to_others(store: MemoryStore) -> None:
    async with on(store, {"other": echo}) as one, on(store, {"work": echo}):
        arn = await deploy(one, task())
        done = await one.start_sync_execution(arn, {"a": 1})
        assert (done.status, done.output) == ("SUCCEEDED", {"a": 1})
        assert len(store.rows) == 1


async def test_a_function_that_only_the_data_name_and_nobody_has_fails_it(store: MemoryStore) -> None:
    async with on(store, {"work": echo}) as worker:
        state = task()
        state["Resource"] = "arn:aws:states:::lambda:invoke"
        state["Parameters"] = {"FunctionName.$": "$.function"}
        arn = await deploy(worker, state)
        done = await worker.start_sync_execution(arn, {"function": "nobody"})
        assert (done.status, done.error) == ("FAILED", "Engine.MissingHandler")


async def test_it_runs_at_most_once_though_its_worker_is_lost(store: MemoryStore) -> None:
    inside = anyio.Event()

    async def hangs(event: Any) -> None:
        inside.set()
        await anyio.sleep_forever()

    again: list[Any] = []
    done = []
    async with on(store) as client, anyio.create_task_group() as group:
        arn = await deploy(client, task())

        async def run() -> None:
            done.append(await client.start_sync_execution(arn))

        async with on(store, {"work": hangs}):
            group.start_soon(run)
            await inside.wait()
        async with on(store, {"work": again.append}):
            await until(lambda: done)
        assert not again
        assert (done[0].status, done[0].error) == ("FAILED", "Engine.WorkerLost")


async def test_one_that_no_worker_takes_times_out_and_runs_never(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable_backend, "EXPRESS_SECONDS_MAX", 0)
    monkeypatch.setattr(durable_backend, "_NOBODY_CAME_SECONDS", 0.05)
    ran: list[Any] = []
    async with on(store) as client:
        arn = await deploy(client, task())
        done = await client.start_sync_execution(arn)
        assert (done.status, done.error) == ("TIMED_OUT", "States.Timeout")
        async with on(store, {"work": ran.append}):
            await until(lambda: not store.open)
        assert not ran


async def test_leaving_the_engine_ends_it(store: MemoryStore) -> None:
    inside = anyio.Event()
    done: list[Any] = []

    async def hangs(event: Any) -> None:
        inside.set()
        await anyio.sleep_forever()

    async with anyio.create_task_group() as group, on(store, {"work": hangs}) as worker:
        arn = await deploy(worker, task())

        async def run() -> None:
            done.append(await worker.start_sync_execution(arn))

        group.start_soon(run)
        await inside.wait()
    assert (done[0].status, done[0].cause) == ("FAILED", "The engine was closed before the execution ended")


async def test_draining_waits_for_it(store: MemoryStore) -> None:
    inside, go_on = anyio.Event(), anyio.Event()

    async def waits(event: Any) -> str:
        inside.set()
        await go_on.wait()
        return "through"

    done: list[Any] = []
    async with on(store, {"work": waits}) as worker, anyio.create_task_group() as group:
        arn = await deploy(worker, task(), task())

        async def run() -> None:
            done.append(await worker.start_sync_execution(arn))

        group.start_soon(run)
        await inside.wait()
        assert not await worker.drain(0.05)
        go_on.set()
        assert await worker.drain(10)
        await anyio.wait_all_tasks_blocked()
        assert done[0].output == "through"


def test_a_program_without_an_event_loop_has_it_too() -> None:
    with blocking.Engine.in_memory({"work": echo}) as one:
        one.deploy(machine(task()), "m", type="EXPRESS")
        assert one.start_sync_execution("m", {"a": 1}).output == {"a": 1}


async def test_an_error_of_a_callable_is_the_executions() -> None:
    async def raises(event: Any) -> None:
        raise TaskFailed("Mine", "cause")

    async with Engine.in_memory({"work": raises}) as one:
        await deploy(one, task())
        done = await one.start_sync_execution("m")
        assert (done.status, done.error, done.output) == ("FAILED", "Mine", None)
