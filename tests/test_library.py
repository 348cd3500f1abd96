"""Both faces of the library: what a program can do with executions."""

from __future__ import annotations

import pickle
import threading
from datetime import UTC, timedelta
from typing import Any

import anyio
import pytest

import engine
from engine import blocking
from engine.interpreter.history import CODE
from tests.definitions import FUNCTION, catch, invoke, machine, parallel, retry, task, wait
from tests.faces import Face, open_engine

pytestmark = pytest.mark.anyio

ECHO = {"Type": "Pass"}
FAIL = {"Type": "Fail", "Error": "OutOfStock", "Cause": "none left"}


@pytest.fixture(params=["async", "blocking"])
def face(request: pytest.FixtureRequest) -> Face:
    return request.param


def event_types(history: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in history]


async def run_once(face: Face, *args: Any, **kwargs: Any) -> Any:
    if face == "async":
        return await engine.run(*args, **kwargs)
    return blocking.run(*args, **kwargs)


# ── one shot ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_run_gives_the_output(face: Face):
    assert await run_once(face, machine(ECHO), {"id": 1}) == {"id": 1}


async def test_input_is_an_empty_object_when_not_given_and_null_when_null(face: Face):
    assert await run_once(face, machine(ECHO)) == {}
    assert await run_once(face, machine(ECHO), None) is None


@pytest.mark.parametrize(
    "text",
    [
        '{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}',
        b'{"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}',
        "StartAt: A\nStates:\n  A:\n    Type: Succeed\n",
    ],
)
async def test_a_definition_may_be_json_text_bytes_or_yaml_text(text):
    assert await engine.run(text, 7) == 7


async def test_a_definition_may_be_a_file(tmp_path):
    path = tmp_path / "machine.asl.yaml"
    path.write_text("StartAt: A\nStates:\n  A:\n    Type: Succeed\n")
    assert await engine.run(path, 7) == 7


async def test_the_name_of_a_file_is_no_definition(face: Face):
    with pytest.raises(ValueError, match=r"give Path\('machine\.asl\.json'\)"):
        await run_once(face, "machine.asl.json")


async def test_a_failed_run_raises_all_there_is_to_know(face: Face):
    with pytest.raises(engine.ExecutionFailed) as caught:
        await run_once(face, machine({**ECHO, "Result": {"n": 0}}, {**FAIL, "Name": "Give Up"}), name="mine")
    failed = caught.value
    assert (failed.status, failed.error, failed.cause) == ("FAILED", "OutOfStock", "none left")
    assert (failed.state, failed.input_of_state) == ("Give Up", {"n": 0})
    assert failed.execution_arn.endswith(":execution:StateMachine:mine")
    assert event_types(failed.history) == [
        "ExecutionStarted",
        "PassStateEntered",
        "PassStateExited",
        "FailStateEntered",
        "ExecutionFailed",
    ]
    assert "OutOfStock" in str(failed)
    assert "'Give Up'" in str(failed)
    assert '{"n":0}' in str(failed)


async def test_what_a_program_was_given_it_may_change(face: Face):
    async with open_engine(face) as one:
        execution = await one.start_execution(machine(ECHO), {"list": []})
        for value in (
            await execution.result(),
            (await execution.describe()).input,
            (await execution.describe()).output,
        ):
            value["list"].append(1)
        description = await execution.describe()
        assert description.input == description.output == await execution.result() == {"list": []}
        failed = await one.start_execution(machine(FAIL), {"list": []})
        for _ in range(2):
            with pytest.raises(engine.ExecutionFailed) as caught:
                await failed.result()
            assert caught.value.input_of_state == {"list": []}
            caught.value.input_of_state["list"].append(1)


async def test_a_failure_inside_a_map_names_the_inner_state_and_the_item_it_had(face: Face):
    inner = machine({**task(), "Name": "Inner"})
    definition = machine({"Type": "Map", "ItemProcessor": inner})
    with pytest.raises(engine.ExecutionFailed) as caught:
        await run_once(face, definition, [{"item": 1}], handlers={"work": "fail:Broken:down"})
    assert (caught.value.state, caught.value.input_of_state) == ("Inner", {"item": 1})


async def test_an_express_run_has_an_express_arn(face: Face):
    with pytest.raises(engine.ExecutionFailed) as caught:
        await run_once(face, machine(FAIL), type="EXPRESS", name="n")
    assert ":express:StateMachine:n:" in caught.value.execution_arn


async def test_an_express_execution_ends_after_five_minutes(face: Face):
    with pytest.raises(engine.ExecutionFailed) as caught:
        await run_once(face, machine(wait(301)), type="EXPRESS", clock="virtual")
    assert (caught.value.status, caught.value.error) == ("TIMED_OUT", "States.Timeout")


async def test_an_invalid_definition_is_refused_with_diagnostics(face: Face):
    with pytest.raises(engine.InvalidDefinition) as caught:
        await run_once(face, {"StartAt": "Nowhere", "States": {"A": {"Type": "Succeed"}}})
    assert caught.value.diagnostics


@pytest.mark.parametrize("value", [{1, 2}, float("nan"), object()])
async def test_input_that_is_not_json_is_refused(value):
    with pytest.raises(engine.InvalidExecutionInput):
        await engine.run(machine(ECHO), value)


async def test_input_is_a_copy_that_the_caller_may_change_afterwards():
    given: dict[str, Any] = {"list": [1]}
    async with engine.Engine.in_memory() as one:
        execution = await one.start_execution(machine(ECHO), given)
        given["list"].append(2)
        assert await execution.result() == {"list": [1]}


@pytest.mark.parametrize("name", ["", "a b", "a" * 81, "a/b", "a\u0000"])
async def test_names_that_aws_refuses_are_refused(name):
    async with engine.Engine.in_memory() as one:
        with pytest.raises(engine.InvalidName):
            await one.start_execution(machine(ECHO), name=name)
        with pytest.raises(engine.InvalidName):
            await one.create_state_machine(machine(ECHO), name)


@pytest.mark.parametrize("bad", [{"clock": "sundial"}, {"limits": engine.Limits(payload_bytes=0)}])
async def test_arguments_that_mean_nothing_are_refused(bad):
    with pytest.raises(ValueError, match="expected"):
        await engine.run(machine(ECHO), **bad)


# ── time ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_virtual_clock_skips_waiting_and_says_how_much(face: Face):
    async with open_engine(face, clock="virtual") as one:
        execution = await one.start_execution(machine(wait(3_600), wait(1_800)))
        await execution.result()
        entered, exited = [e["timestamp"] for e in await execution.history() if e["type"].startswith("WaitState")][:2]
        assert exited - entered == timedelta(hours=1)
        description = await execution.describe()
        assert description.stop_date - description.start_date >= timedelta(minutes=90)
        assert 5_400 - 1 <= one.skipped_seconds <= 5_400


async def test_retry_delays_are_skipped_on_the_virtual_clock_and_agree_with_history(face: Face):
    attempts = []

    def work(event, context):
        attempts.append(context.attempt)
        if context.attempt < 3:
            raise ConnectionError("not yet")
        return "done"

    definition = machine(task(Retry=retry(IntervalSeconds=100, BackoffRate=2)))
    async with open_engine(face, {"work": work}, clock="virtual") as one:
        execution = await one.start_execution(definition)
        assert await execution.result() == "done"
        history = await execution.history()
    assert attempts == [0, 1, 2, 3]
    waited = history[-1]["timestamp"] - history[0]["timestamp"]
    assert timedelta(seconds=700) <= waited < timedelta(seconds=760)


async def test_while_a_handler_runs_the_virtual_clock_goes_at_real_speed():
    time = [1_000]
    clock = engine.VirtualClock(start=0, real=lambda: time[0])

    async def work(event, context):
        time[0] += 250
        return context.get_remaining_time_in_millis() > 0

    async with engine.Engine.in_memory({"work": work}, clock=clock) as one:
        execution = await one.start_execution(machine(wait(10), task()))
        assert await execution.result() is True
        history = await execution.history()
    at = {event["type"]: event["timestamp"] for event in history}
    assert at["LambdaFunctionSucceeded"] - at["LambdaFunctionStarted"] == timedelta(milliseconds=250)
    assert at["WaitStateExited"] - at["WaitStateEntered"] == timedelta(seconds=10)


async def test_time_does_not_jump_while_nobody_waits_for_a_result():
    async with engine.Engine.in_memory(clock="virtual") as one:
        execution = await one.start_execution(machine(wait(3_600)))
        await anyio.wait_all_tasks_blocked()
        assert execution.status == "RUNNING"
        await execution.stop()
        with pytest.raises(engine.ExecutionFailed, match="ABORTED"):
            await execution.result()
        assert one.skipped_seconds == 0


async def test_time_does_not_jump_before_the_one_who_waited_has_acted():
    async with engine.Engine.in_memory(clock="virtual") as one:
        first = await one.start_execution(machine(wait(10)))
        second = await one.start_execution(machine(wait(20)))
        await first.result()
        await second.stop()
        with pytest.raises(engine.ExecutionFailed, match="ABORTED"):
            await second.result()


async def test_time_does_not_jump_for_others_before_the_one_who_was_woken_has_acted():
    async with engine.Engine.in_memory(clock="virtual") as one:
        first = await one.start_execution(machine(wait(10)))
        second = await one.start_execution(machine(wait(20)))

        async def stop_second_after_first() -> None:
            await first.result()
            await anyio.lowlevel.checkpoint()
            await second.stop()

        async with anyio.create_task_group() as group:
            group.start_soon(stop_second_after_first)
            with pytest.raises(engine.ExecutionFailed, match="ABORTED"):
                await second.result()
        assert one.skipped_seconds <= 10


async def test_the_execution_time_limit_ends_it_as_timed_out(face: Face):
    async with open_engine(face, clock="virtual") as one:
        execution = await one.start_execution(machine(wait(100), TimeoutSeconds=60))
        with pytest.raises(engine.ExecutionFailed) as caught:
            await execution.result()
        assert caught.value.status == execution.status == "TIMED_OUT"
        description = await execution.describe()
        assert description.stop_date - description.start_date == timedelta(seconds=60)
        assert description.error is None


async def test_a_seed_makes_two_runs_the_same():
    definition = machine({"Type": "Pass", "Parameters": {"id.$": "States.UUID()"}})
    assert await engine.run(definition, seed=7) == await engine.run(definition, seed=7)
    assert await engine.run(definition) != await engine.run(definition)


# ── many ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_five_thousand_executions_run_at_once():
    together = anyio.Event()
    inside = 0

    async def work(event):
        nonlocal inside
        inside += 1
        if inside == 5_000:
            together.set()
        await together.wait()
        return event["n"]

    async with engine.Engine.in_memory({"work": work}) as one:
        definition = await one.create_state_machine(machine(task()), "many")
        executions = [await one.start_execution(definition, {"n": n}) for n in range(5_000)]
        assert [await execution.result() for execution in executions] == list(range(5_000))


async def test_max_concurrency_bounds_the_handlers_that_run_at_once():
    running = most = 0

    async def work(event):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await anyio.lowlevel.checkpoint()
        running -= 1

    definition = machine({"Type": "Map", "ItemProcessor": machine({**task(), "Name": "I"})})
    async with engine.Engine.in_memory({"work": work}, max_concurrency=3, clock="virtual") as one:
        await one.run(definition, list(range(20)))
    assert most == 3


async def test_an_execution_that_never_stops_lets_others_have_their_turn():
    forever = {"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "A"}}}
    # The parser wants an end; a Choice that never takes it gives one.
    forever["States"] = {
        "A": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.stop", "BooleanEquals": True, "Next": "B"}],
            "Default": "A",
        },
        "B": {"Type": "Succeed"},
    }
    async with engine.Engine.in_memory(limits=engine.Limits(history_events="off")) as one:
        endless = await one.start_execution(forever, {"stop": False})
        assert await one.run(machine(ECHO), 1) == 1
        await endless.stop()
        with pytest.raises(engine.ExecutionFailed, match="ABORTED"):
            await endless.result()


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_name_with_the_same_input_is_the_same_execution_while_it_runs(face: Face):
    async with open_engine(face) as one:
        first = await one.start_execution(machine(wait(1_000)), {"a": 1}, name="order-1")
        again = await one.start_execution(machine(wait(1_000)), {"a": 1}, name="order-1")
        assert again.arn == first.arn
        with pytest.raises(engine.ExecutionAlreadyExists, match=f"Execution Already Exists: '{first.arn}'"):
            await one.start_execution(machine(wait(1_000)), {"a": 2}, name="order-1")
        await first.stop()
        with pytest.raises(engine.ExecutionFailed):
            await again.result()
        with pytest.raises(engine.ExecutionAlreadyExists):
            await one.start_execution(machine(wait(1_000)), {"a": 1}, name="order-1")


async def test_express_names_are_not_unique(face: Face):
    async with open_engine(face) as one:
        express = await one.create_state_machine(machine(ECHO), "quick", type="EXPRESS")
        first = await one.start_execution(express, name="n")
        second = await one.start_execution(express, name="n")
        assert first.arn != second.arn
        assert await second.result() == {}


async def test_a_state_machine_may_be_created_again_but_not_differently(face: Face):
    async with open_engine(face) as one:
        first = await one.create_state_machine(machine(ECHO), "m")
        assert (await one.create_state_machine(machine(ECHO), "m")).arn == first.arn
        with pytest.raises(engine.StateMachineAlreadyExists):
            await one.create_state_machine(machine(FAIL), "m")


async def test_an_execution_is_found_by_its_arn(face: Face):
    async with open_engine(face) as one:
        execution = await one.start_execution(machine(ECHO), 5)
        await execution.result()
        arn = execution.arn
        del execution
        found = await one.execution(arn)
        assert (await found.result(), found.status) == (5, "SUCCEEDED")
        with pytest.raises(engine.ExecutionDoesNotExist):
            await one.execution(arn + "x")


# ── stop, describe, redrive ─────────────────────────────────────────────────────────────────────────────────────────


async def test_stop_aborts_and_a_second_stop_changes_nothing(face: Face):
    async with open_engine(face) as one:
        execution = await one.start_execution(machine(wait(1_000)))
        await execution.stop("Enough", "I said so")
        with pytest.raises(engine.ExecutionFailed) as caught:
            await execution.result()
        assert (caught.value.status, caught.value.error, caught.value.cause) == ("ABORTED", "Enough", "I said so")
        await execution.stop("Other")
        description = await execution.describe()
        assert (description.status, description.error, description.cause) == ("ABORTED", "Enough", "I said so")
        assert event_types(await execution.history())[-1] == "ExecutionAborted"


async def test_describe_shows_a_running_and_a_succeeded_execution(face: Face):
    async with open_engine(face, region="eu-central-1", account_id="123456789012") as one:
        kept = await one.create_state_machine(machine(wait(1_000)), "slow")
        running = await one.start_execution(kept, {"a": 1}, name="r")
        shown = await running.describe()
        assert shown.execution_arn == "arn:aws:states:eu-central-1:123456789012:execution:slow:r"
        assert shown.state_machine_arn == "arn:aws:states:eu-central-1:123456789012:stateMachine:slow"
        assert (shown.status, shown.input, shown.stop_date) == ("RUNNING", {"a": 1}, None)
        assert shown.redrive_status_reason == "Execution is RUNNING and cannot be redriven"
        ended = await one.start_execution(machine(ECHO), 1)
        await ended.result()
        shown = await ended.describe()
        assert (shown.status, shown.output, shown.redrive_count) == ("SUCCEEDED", 1, 0)
        assert shown.redrive_status_reason == "Execution is SUCCEEDED and cannot be redriven"
        assert shown.stop_date >= shown.start_date


async def test_a_redrive_goes_on_where_it_failed(face: Face):
    calls: list[str] = []

    def first(event):
        calls.append("first")
        return "kept"

    def second(event):
        calls.append("second")
        if calls.count("second") == 1:
            raise OSError("disk full")
        return [event, "done"]

    async with open_engine(face, {"first": first, "second": second}) as one:
        execution = await one.start_execution(machine(task("first"), task("second")))
        with pytest.raises(engine.ExecutionFailed, match="OSError"):
            await execution.result()
        await execution.redrive()
        assert await execution.result() == ["kept", "done"]
        assert calls == ["first", "second", "second"]
        assert "ExecutionRedriven" in event_types(await execution.history())
        assert (await execution.describe()).redrive_count == 1
        with pytest.raises(engine.ExecutionNotRedrivable, match="SUCCEEDED and cannot"):
            await execution.redrive()


async def test_who_waits_while_somebody_redrives_waits_for_the_new_end():
    calls: list[Any] = []

    async def work(event):
        calls.append(event)
        if len(calls) == 1:
            raise OSError("disk full")
        return "done"

    async def redrive() -> None:
        with pytest.raises(engine.ExecutionFailed):
            await execution.result()
        await execution.redrive()

    async with engine.Engine.in_memory({"work": work}) as one:
        execution = await one.start_execution(machine(task()))
        async with anyio.create_task_group() as group:
            group.start_soon(redrive)
            await anyio.lowlevel.checkpoint()  # so that it is woken before we are
            assert await execution.result() == "done"


async def test_a_redrive_is_refused_while_it_runs_and_after_fourteen_days(face: Face):
    async with open_engine(face, clock="virtual") as one:
        running = await one.start_execution(machine(wait(1_000)))
        with pytest.raises(engine.ExecutionNotRedrivable, match="RUNNING and cannot"):
            await running.redrive()
        failed = await one.start_execution(machine(FAIL))
        with pytest.raises(engine.ExecutionFailed):
            await failed.result()
        await one.run(machine(wait(14 * 24 * 3_600 + 1)))
        with pytest.raises(engine.ExecutionNotRedrivable, match="period exceeded"):
            await failed.redrive()


async def test_attempts_after_a_redrive_have_other_idempotency_keys(face: Face):
    keys = []

    def work(event, context):
        keys.append(context.idempotency_key)
        raise ValueError

    async with open_engine(face, {"work": work}, clock="virtual") as one:
        execution = await one.start_execution(machine(task(Retry=retry(1))))
        for _ in range(2):
            with pytest.raises(engine.ExecutionFailed):
                await execution.result()
            if len(keys) == 2:
                await execution.redrive()
    assert len(keys) == len(set(keys)) == 4


async def test_a_name_of_another_definition_is_taken(face: Face):
    async with open_engine(face) as one:
        execution = await one.start_execution(machine(wait(1_000)), name="n")
        assert (await one.start_execution(machine(wait(1_000)), name="n")).arn == execution.arn
        with pytest.raises(engine.ExecutionAlreadyExists):
            await one.start_execution(machine(ECHO), name="n")


@pytest.mark.parametrize(
    "error",
    [engine.TaskTimedOut(), engine.InvalidName("x"), engine.ExecutionDoesNotExist("arn"), engine.TaskFailed("E", "c")],
    ids=repr,
)
async def test_errors_can_be_pickled(error):
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


async def test_a_failed_execution_can_be_pickled(face: Face):
    with pytest.raises(engine.ExecutionFailed) as caught:
        await run_once(face, machine(FAIL), {"n": 1})
    copy = pickle.loads(pickle.dumps(caught.value))
    assert str(copy) == str(caught.value)
    assert (copy.history, copy.input_of_state) == (caught.value.history, {"n": 1})


# ── tokens and activities ───────────────────────────────────────────────────────────────────────────────────────────


class Submissions:
    """An observer that tells when a Task was submitted, and a handler that keeps the token."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self._seen = threading.Event()

    def __call__(self, execution_arn: str, transition: Any) -> None:
        if any(code == CODE["TaskSubmitted"] for code, *_ in transition.history):
            self._seen.set()

    def work(self, event: Any, context: engine.HandlerContext) -> str:
        assert event["token"] == context.task_token
        self.tokens.append(event["token"])
        return "sent"

    async def token(self) -> str:
        await anyio.to_thread.run_sync(self._seen.wait)
        return self.tokens[-1]


async def test_a_task_token_ends_its_task_once(face: Face):
    submissions = Submissions()
    async with open_engine(face, {"work": submissions.work}, observer=submissions) as one:
        execution = await one.start_execution(machine(invoke(suffix=".waitForTaskToken")))
        token = await submissions.token()
        await one.send_task_heartbeat(token)
        await one.send_task_success(token, {"approved": True})
        assert await execution.result() == {"approved": True}
        with pytest.raises(engine.TaskTimedOut, match="Provided task does not exist anymore"):
            await one.send_task_success(token, {})
        with pytest.raises(engine.TaskTimedOut):
            await one.send_task_heartbeat(token)
        with pytest.raises(engine.InvalidToken, match="Invalid Token: 'Invalid token'"):
            await one.send_task_failure("nonsense", "E", "c")
        submitted = next(e for e in await execution.history() if e["type"] == "TaskSubmitted")
    assert '"Payload":"sent"' in submitted["taskSubmittedEventDetails"]["output"]


async def test_a_task_token_fails_its_task_with_error_and_cause(face: Face):
    submissions = Submissions()
    async with open_engine(face, {"work": submissions.work}, observer=submissions) as one:
        execution = await one.start_execution(machine(invoke(suffix=".waitForTaskToken")))
        token = await submissions.token()
        with pytest.raises(engine.InvalidOutput):
            await one.send_task_success(token, {1, 2})
        await one.send_task_failure(token, "Refused", "by hand")
        with pytest.raises(engine.ExecutionFailed) as caught:
            await execution.result()
    assert (caught.value.error, caught.value.cause) == ("Refused", "by hand")


async def test_an_error_that_no_history_could_show_is_refused(face: Face):
    async with open_engine(face) as one:
        execution = await one.start_execution(machine(wait(1_000)))
        for error in (404, "\ud800"):
            with pytest.raises(ValueError, match="error: expected text or None"):
                await execution.stop(error)
        assert execution.status == "RUNNING"
        with pytest.raises(ValueError, match="cause: expected text or None"):
            await one.send_task_failure("token", "Broken", 5)


async def test_a_stopped_execution_kills_its_tokens(face: Face):
    submissions = Submissions()
    async with open_engine(face, {"work": submissions.work}, observer=submissions) as one:
        execution = await one.start_execution(machine(invoke(suffix=".waitForTaskToken")))
        token = await submissions.token()
        await execution.stop()
        with pytest.raises(engine.ExecutionFailed):
            await execution.result()
        with pytest.raises(engine.TaskTimedOut):
            await one.send_task_success(token, 1)


async def test_a_handler_may_end_its_own_task_token(face: Face):
    def work(event, context):
        context.send_task_success({"from": "inside"})

    async with open_engine(face, {"work": work}) as one:
        assert await one.run(machine(invoke(suffix=".waitForTaskToken"))) == {"from": "inside"}


async def test_a_token_that_nobody_ends_times_out_on_the_virtual_clock(face: Face):
    async with open_engine(face, {"work": lambda event: None}, clock="virtual") as one:
        definition = machine(invoke(suffix=".waitForTaskToken", TimeoutSeconds=86_400, Catch=catch("B")), ECHO)
        output = await one.run(definition)
        assert output == {"Error": "States.Timeout", "Cause": ""}
        assert one.skipped_seconds > 86_000


async def test_heartbeats_keep_a_token_alive_until_they_stop():
    tokens: list[str] = []

    async def work(event, context):
        tokens.append(context.task_token)

    async def beat(event):
        await one.send_task_heartbeat(tokens[0])

    held = machine({**invoke(suffix=".waitForTaskToken", HeartbeatSeconds=10), "Name": "Held"})
    twice = [wait(8), task("beat"), wait(8), task("beat")]
    beats = machine(*({**state, "Name": f"Beat{place}"} for place, state in enumerate(twice)))
    async with engine.Engine.in_memory({"work": work, "beat": beat}, clock=engine.VirtualClock(start=0)) as one:
        execution = await one.start_execution(machine(parallel(held, beats)))
        with pytest.raises(engine.ExecutionFailed, match=r"States\.Timeout"):
            await execution.result()
        history = await execution.history()
    timed_out = next(event for event in history if event["type"] == "TaskTimedOut")
    assert timedelta(seconds=26) <= timed_out["timestamp"] - history[0]["timestamp"] < timedelta(seconds=27)


async def test_an_activity_worker_polls_for_its_task(face: Face):
    async with open_engine(face) as one:
        arn = await one.create_activity("paint")
        with pytest.raises(engine.ActivityDoesNotExist):
            await one.get_activity_task(arn + "x")
        assert await one.get_activity_task(arn, wait_seconds=0) is None
        definition = machine({"Type": "Task", "Resource": arn})
        execution = await one.start_execution(definition, {"colour": "red"})
        work = await one.get_activity_task(arn, "painter")
        assert work.input == {"colour": "red"}
        await one.send_task_success(work.task_token, "painted")
        assert await execution.result() == "painted"
        started = [event for event in await execution.history() if event["type"] == "ActivityStarted"]
    assert started[0]["activityStartedEventDetails"] == {"workerName": "painter"}


async def test_activities_are_listed_described_and_deleted(face: Face):
    async with open_engine(face) as one:
        arns = [await one.create_activity(name) for name in ("b", "a", "a")]
        assert [known.name for known in await one.list_activities()] == ["a", "b"]
        described = await one.describe_activity(arns[0])
        assert (described.activity_arn, described.name, described.creation_date.tzinfo) == (arns[0], "b", UTC)
        await one.delete_activity(arns[0])
        await one.delete_activity(arns[0])
        with pytest.raises(engine.ActivityDoesNotExist):
            await one.describe_activity(arns[0])
        with pytest.raises(engine.MissingHandler):
            await one.start_execution(machine({"Type": "Task", "Resource": arns[0]}))


async def test_a_callable_may_be_the_worker_of_an_activity(face: Face):
    arn = "arn:aws:states:us-east-1:123456789012:activity:paint"
    async with open_engine(face, {"paint": lambda event: event["colour"]}) as one:
        execution = await one.start_execution(machine({"Type": "Task", "Resource": arn}), {"colour": "red"})
        assert await execution.result() == "red"
        assert "ActivityStarted" in event_types(await execution.history())


# ── handlers that are missing ───────────────────────────────────────────────────────────────────────────────────────


async def test_every_state_without_a_handler_is_named_before_anything_starts(face: Face):
    started = []
    definition = machine(task("known"), task("unknown"), invoke("also-unknown"))
    async with open_engine(face, {"known": started.append}) as one:
        with pytest.raises(engine.MissingHandler) as caught:
            await one.start_execution(definition)
    assert not started
    assert [state for state, _ in caught.value.tasks] == ["B", "C"]
    assert FUNCTION + "unknown" in str(caught.value)
    assert "also-unknown" in str(caught.value)
    assert "handlers=" in str(caught.value)


async def test_a_function_that_is_only_known_at_run_time_stops_the_run_when_it_has_no_handler(face: Face):
    by_data = invoke()
    by_data["Parameters"] = {"FunctionName.$": "$.function"}
    by_data["Catch"] = catch("B")
    async with open_engine(face, {"work": "mock:1"}) as one:
        assert await one.run(machine(by_data, ECHO), {"function": "work"}) == 1
        execution = await one.start_execution(machine(by_data, ECHO), {"function": "play"})
        with pytest.raises(engine.MissingHandler, match="play"):
            await execution.result()
        assert execution.status == "ABORTED"
        assert (await execution.describe()).error == "Engine.MissingHandler"


async def test_an_invocation_type_that_no_handler_can_play_stops_the_run(face: Face):
    asynchronous = invoke(Catch=catch("B"))
    asynchronous["Parameters"]["InvocationType"] = "Event"
    with pytest.raises(engine.UnsupportedTask, match="InvocationType"):
        await run_once(face, machine(asynchronous, ECHO), handlers={"work": lambda event: event})


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_payloads_are_limited_as_on_aws_unless_limits_are_off(face: Face):
    def work(event):
        return "x" * 300_000

    definition = machine(task())
    with pytest.raises(engine.ExecutionFailed) as caught:
        await run_once(face, definition, handlers={"work": work})
    assert caught.value.error == "States.DataLimitExceeded"
    off = engine.Limits(payload_bytes="off")
    assert len(await run_once(face, definition, handlers={"work": work}, limits=off)) == 300_000
    with pytest.raises(engine.InvalidExecutionInput):
        await run_once(face, definition, "x" * 300_000, handlers={"work": work})


async def test_history_is_limited_to_what_is_asked_for(face: Face):
    definition = machine(*[ECHO] * 20)
    with pytest.raises(engine.ExecutionFailed) as caught:
        await run_once(face, definition, limits=engine.Limits(history_events=10))
    assert caught.value.cause == "The execution reached the maximum number of history events (10)."
    assert len(caught.value.history) == 10


# ── leaving ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_leaving_the_engine_aborts_what_is_open(face: Face):
    endings = []

    def observe(execution_arn, transition):
        if transition.ending is not None:
            endings.append(transition.ending)

    async with open_engine(face, observer=observe) as one:
        await one.start_execution(machine(wait(1_000)))
    assert [(ending.status, ending.cause) for ending in endings] == [
        ("ABORTED", "The engine was closed before the execution ended")
    ]


async def test_an_error_of_the_callers_own_comes_through_as_it_is(face: Face):
    class Mine(Exception):
        pass

    async def use() -> None:
        async with open_engine(face) as one:
            await one.start_execution(machine(wait(1_000)))
            raise Mine

    with pytest.raises(Mine):
        await use()


async def test_a_cancelled_caller_cancels_its_handlers():
    reached = anyio.Event()
    cancelled = []

    async def work(event):
        try:
            reached.set()
            await anyio.sleep_forever()
        except BaseException as error:
            cancelled.append(type(error).__name__)
            raise

    async with anyio.create_task_group() as group:
        group.start_soon(_run_with, {"work": work})
        await reached.wait()
        group.cancel_scope.cancel()
    assert cancelled == ["CancelledError"]


async def _run_with(handlers: dict[str, Any]) -> None:
    await engine.run(machine(task()), handlers=handlers)


async def test_observers_see_every_transition_after_it_is_committed():
    seen: list[Any] = []
    async with engine.Engine.in_memory({"work": "mock:1"}, observer=lambda *args: seen.append(args)) as one:
        execution = await one.start_execution(machine(task()))
        await execution.result()
        events = [event for _, transition in seen for event in transition.history]
        assert {arn for arn, _ in seen} == {execution.arn}
        assert len(events) == len(await execution.history())
    assert [transition.ending is not None for _, transition in seen] == [False, True]


def test_what_finished_long_ago_goes_from_memory_when_it_is_asked_for():
    with blocking.Engine.in_memory(clock="virtual") as one:
        old = one.start_execution(machine(ECHO))
        old.result()
        one.run(machine(wait(31 * 86_400)))
        assert one.gc(older_than=timedelta(days=30)).executions == 1
        with pytest.raises(engine.ExecutionDoesNotExist):
            old.describe()
