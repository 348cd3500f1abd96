"""Executions that a Task starts: what the Task gives, who waits for whom, and what a crash or a stop leaves behind."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import engine
from engine.operations.nested_executions import NestedExecutions
from engine.operations.state_machines import create_state_machine
from engine.store.memory import MemoryStore
from tests.definitions import catch, machine, parallel, task, wait
from tests.runtime.fleets import ECHO, Now, in_memory
from tests.runtime.fleets import on as joined
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

PREFIX = "arn:aws:states:us-east-1:123456789012:"
CHILD = f"{PREFIX}stateMachine:Child"


def starting(suffix: str = "", **fields: Any) -> dict[str, Any]:
    """A Task that starts `Child` with its own input."""
    parameters = {"StateMachineArn": CHILD, "Input.$": "$", **fields.pop("Parameters", {})}
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::states:startExecution{suffix}",
        "Parameters": parameters,
    } | fields


def on(store: MemoryStore, handlers: Any, **options: Any) -> engine.Engine:
    return joined(store, handlers, account_id="123456789012", region="us-east-1", **options)


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def store(now: Now) -> MemoryStore:
    return MemoryStore(now=now, through_bytes=True)


@pytest.fixture
async def one() -> AsyncIterator[engine.Engine]:
    handlers = {"work": lambda event: event}
    async with engine.Engine.in_memory(handlers, clock="virtual", account_id="123456789012") as made:
        await made.create_state_machine(machine(wait(10), task()), "Child")
        yield made


async def events(execution: engine.ExecutionHandle, kind: str) -> list[dict[str, Any]]:
    found = [event for event in await execution.history() if event["type"] == kind]
    return [next(value for key, value in event.items() if key.endswith("EventDetails")) for event in found]


# ── what the Task gives ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_without_sync_the_task_gives_the_start_and_does_not_wait(one: engine.Engine):
    output = await one.run(machine(starting(), ECHO), {"n": 1})
    assert list(output) == ["ExecutionArn", "SdkHttpMetadata", "SdkResponseMetadata", "StartDate"]
    assert isinstance(output["StartDate"], int)
    child = await one.execution(output["ExecutionArn"])
    assert child.status == "RUNNING"
    assert await child.result() == {"n": 1}


async def test_sync_gives_the_description_of_the_child_with_texts_and_sync_2_with_values(one: engine.Engine):
    as_text = await one.run(machine(starting(".sync")), {"n": 1})
    as_value = await one.run(machine(starting(".sync:2")), {"n": 1})
    assert list(as_text) == [
        "ExecutionArn", "Input", "InputDetails", "Name", "Output", "OutputDetails", "RedriveCount", "RedriveStatus",
        "RedriveStatusReason", "StartDate", "StateMachineArn", "Status", "StopDate",
    ]  # fmt: skip
    assert (as_text["Input"], as_text["Output"]) == ('{"n":1}', '{"n":1}')
    assert (as_value["Input"], as_value["Output"]) == ({"n": 1}, {"n": 1})
    assert 10_000 <= as_text["StopDate"] - as_text["StartDate"] < 11_000, "milliseconds"
    assert as_text["InputDetails"] == as_text["OutputDetails"] == {"Included": True}


@pytest.mark.parametrize("suffix", [".sync", ".sync:2"])
async def test_a_child_that_fails_fails_the_task_with_its_description(one: engine.Engine, suffix: str):
    await one.create_state_machine(machine({"Type": "Fail", "Error": "Broken", "Cause": "by hand"}), "Bad")
    state = starting(suffix, Parameters={"StateMachineArn": CHILD.replace("Child", "Bad"), "Name": "b"})
    with pytest.raises(engine.ExecutionFailed) as caught:
        await one.run(machine(state), {"n": 1})
    assert caught.value.error == "States.TaskFailed"
    about = json.loads(caught.value.cause or "")
    assert (about["Error"], about["Cause"], about["Status"]) == ("Broken", "by hand", "FAILED")
    assert about["Input"] == ('{"n":1}' if suffix == ".sync" else {"n": 1})
    assert "Output" not in about
    assert "OutputDetails" not in about
    assert list(about) == sorted(about)


async def test_the_time_limit_of_a_child_reaches_the_parent_as_a_failed_task(one: engine.Engine):
    await one.create_state_machine({**machine(wait(100)), "TimeoutSeconds": 5}, "Slow")
    state = starting(".sync", Parameters={"StateMachineArn": CHILD.replace("Child", "Slow")}, Catch=catch("B"))
    output = await one.run(machine(state, ECHO))
    assert output["Error"] == "States.TaskFailed"
    assert json.loads(output["Cause"])["Status"] == "TIMED_OUT"


async def test_the_start_shows_as_submitted_and_the_end_without_the_metadata_of_the_call(one: engine.Engine):
    execution = await one.start_execution(machine(starting(".sync", Parameters={"Name": "mine"})))
    await execution.result()
    types = [event["type"] for event in await execution.history()]
    assert types[2:6] == ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]
    (submitted,) = await events(execution, "TaskSubmitted")
    assert list(json.loads(submitted["output"])) == [
        "ExecutionArn", "SdkHttpMetadata", "SdkResponseMetadata", "StartDate"
    ]  # fmt: skip
    assert json.loads(submitted["output"])["ExecutionArn"] == f"{PREFIX}execution:Child:mine"


async def test_a_token_ends_the_task_and_the_child_may_hold_it():
    got: list[str] = []
    state = starting(
        ".waitForTaskToken",
        Parameters={"StateMachineArn": CHILD.replace("Child", "Taker"), "Input": {"token.$": "$$.Task.Token"}},
    )
    state["Parameters"].pop("Input.$")
    async with engine.Engine.in_memory({"take": lambda event: got.append(event["token"])}) as two:
        await two.create_state_machine(machine(task("take")), "Taker")
        execution = await two.start_execution(machine(state))
        await until(lambda: got)
        await two.send_task_success(got[0], "by token")
        assert await execution.result() == "by token"


@pytest.mark.parametrize(
    ("given", "shown"), [(None, {}), ({"a": [1]}, {"a": [1]}), ('{ "a": 1 }', {"a": 1}), ('"text"', "text"), (5, 5)]
)
async def test_the_input_is_any_value_or_a_json_text(one: engine.Engine, given: Any, shown: Any):
    state = starting(".sync:2", Parameters={"Input.$": "$.given"})
    output = await one.run(machine(state), {"given": given})
    assert output["Input"] == shown


async def test_versions_and_aliases_are_named_in_the_description(one: engine.Engine):
    version_arn = (await one.publish_version("Child")).arn
    state = starting(".sync", Parameters={"StateMachineArn": version_arn})
    output = await one.run(machine(state))
    assert output["StateMachineVersionArn"] == version_arn
    assert output["StateMachineArn"] == CHILD


# ── errors of the start ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("parameters", "error", "cause"),
    [
        ({"StateMachineArn": f"{CHILD}Not"}, "StateMachineDoesNotExist", f"State Machine Does Not Exist: '{CHILD}Not'"),
        ({"Name": "a b"}, "InvalidName", "Invalid Name: 'a b'"),
        ({"Input.$": "$.bad"}, "InvalidExecutionInput", "Invalid State Machine Execution Input: "),
    ],
)
async def test_a_start_that_is_refused_fails_the_task_with_the_sdks_name_of_the_error(
    one: engine.Engine, parameters: Any, error: str, cause: str
):
    state = starting(Parameters=parameters)
    with pytest.raises(engine.ExecutionFailed) as caught:
        await one.run(machine(state), {"bad": "{"})
    assert caught.value.error == f"StepFunctions.{error}Exception"
    assert (caught.value.cause or "").startswith(cause)
    assert f"(Service: AWSStepFunctions; Status Code: 400; Error Code: {error}; Request ID: " in str(caught.value.cause)
    assert str(caught.value.cause).endswith("; Proxy: null)")


async def test_a_name_that_somebody_else_has_used_is_an_error(one: engine.Engine):
    await (await one.start_execution("Child", {"other": 1}, name="taken")).result()
    with pytest.raises(engine.ExecutionFailed, match=r"StepFunctions\.ExecutionAlreadyExistsException"):
        await one.run(machine(starting(".sync", Parameters={"Name": "taken"})))


async def test_an_execution_that_runs_under_the_name_with_the_same_input_is_waited_for(one: engine.Engine):
    running = await one.start_execution("Child", {}, name="shared")
    output = await one.run(machine(starting(".sync:2", Parameters={"Name": "shared"})), {})
    assert output["ExecutionArn"] == running.arn
    assert output["Output"] == {}


async def test_an_express_child_cannot_be_waited_for(one: engine.Engine):
    await one.create_state_machine(machine(ECHO), "Quick", type="EXPRESS")
    quick = {"StateMachineArn": CHILD.replace("Child", "Quick")}
    with pytest.raises(engine.ExecutionFailed, match="not supported by this type"):
        await one.run(machine(starting(".sync", Parameters=quick)))
    assert ":express:Quick:" in (await one.run(machine(starting(Parameters=quick))))["ExecutionArn"]


async def test_a_rule_goes_before_the_engine():
    rules = {"arn:aws:states:::states:startExecution.sync:2": 'mock:{"Output": 7}'}
    async with engine.Engine.in_memory(rules) as mocked:
        assert await mocked.run(machine(starting(".sync:2"))) == {"Output": 7}


async def test_in_memory_a_state_machine_of_elsewhere_is_found_by_its_name(one: engine.Engine):
    for named in ("arn:aws:states:eu-west-1:999999999999:stateMachine:Child", "Child"):
        output = await one.run(machine(starting(".sync:2", Parameters={"StateMachineArn": named})), 3)
        assert (output["Output"], output["StateMachineArn"]) == (3, CHILD)


# ── children and parents ────────────────────────────────────────────────────────────────────────────────────────────


async def test_children_of_a_map_run_beside_one_another(one: engine.Engine):
    state = {"Type": "Map", "ItemProcessor": machine(starting(".sync:2", Name="Start"))}
    output = await one.run(machine(state), [1, 2, 3])
    assert [child["Output"] for child in output] == [1, 2, 3]
    assert one.skipped_seconds < 15


@pytest.mark.parametrize("suffix", ["", ".sync", ".sync:2"])
async def test_a_state_machine_of_another_account_is_not_started(store: MemoryStore, suffix: str):
    theirs = CHILD.replace("123456789012", "999999999999")
    async with on(store, {"work": lambda event: event}) as one:
        service = one.service.of("999999999999")
        role = "arn:aws:iam::999999999999:role/any"
        await create_state_machine(service, name="Child", definition=json.dumps(machine(ECHO)), role_arn=role)
        with pytest.raises(engine.ExecutionFailed, match="is not authorized to perform") as caught:
            await one.run(machine(starting(suffix, Parameters={"StateMachineArn": theirs})))
        assert caught.value.error == "StepFunctions.AccessDeniedException"


async def test_the_parent_is_parked_while_it_waits_and_the_end_of_the_child_wakes_it(store: MemoryStore, now: Now):
    async with on(store, {"work": lambda event: event}) as one:
        await one.deploy(machine(wait(3_600)), "Child")
        await one.deploy(machine(starting(".sync:2")), "Parent")
        parent = await one.start_execution("Parent", 1)
        await until(lambda: len(store.open) == 2 and in_memory(one) == 0)
        now.skip(3_601)
        assert (await parent.result())["Output"] == 1


async def test_a_child_runs_in_the_pool_of_its_parent(store: MemoryStore):
    async with on(store, {"work": lambda event: event}, pools=["special"]) as one:
        await one.deploy(machine(wait(3_600)), "Child")
        await one.deploy(machine(starting()), "Parent", pool="special")
        output = await (await one.start_execution("Parent")).result()
        assert store.execution(output["ExecutionArn"]).pool == "special"


@pytest.mark.parametrize("how", ["stop", "time-out", "sibling"])
async def test_whatever_ends_the_wait_stops_the_child_with_the_cause_that_aws_gives(
    store: MemoryStore, now: Now, how: str
):
    failing = machine(wait(60) | {"Name": "W"}, {"Name": "F", "Type": "Fail", "Error": "E"})
    state: dict[str, Any] = starting(".sync", Name="Start")
    if how == "time-out":
        state["TimeoutSeconds"] = 60
    top = parallel(machine(state), failing) if how == "sibling" else state
    async with on(store, {}) as one:
        await one.deploy(machine(wait(3_600)), "Child")
        await one.deploy(machine(top), "Parent")
        parent = await one.start_execution("Parent")
        await until(lambda: len(store.open) == 2 and in_memory(one) == 0)
        if how == "stop":
            await parent.stop("Enough", "of it")
        else:
            now.skip(61)
        with pytest.raises(engine.ExecutionFailed):
            await parent.result()
        await until(lambda: not store.open)
    (child,) = store.executions(CHILD)
    assert child.ending is not None
    assert (child.ending.status, child.ending.error) == ("ABORTED", None)
    assert child.ending.cause == (
        f"The Task state in AWS Step Functions execution [{parent.arn}] which was managing this resource was aborted"
    )


async def test_a_task_that_runs_again_after_a_crash_finds_the_child_that_it_has_started(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
):
    real, started = NestedExecutions.submit, anyio.Event()

    async def submit(self: NestedExecutions, *args: Any) -> Any:
        submitted = await real(self, *args)
        if not started.is_set():
            started.set()
            await anyio.sleep_forever()
        return submitted

    monkeypatch.setattr(NestedExecutions, "submit", submit)
    async with on(store, {}) as one:
        await one.deploy(machine(ECHO), "Child")
        await one.deploy(machine(starting(".sync:2")), "Parent")
        parent = await one.start_execution("Parent", 5)
        await started.wait()
        await until(lambda: len(store.open) == 1)  # the child is over before its start could be written
    async with on(store, {}):
        assert (await parent.result())["Output"] == 5
        types = [event["type"] for event in await parent.history()]
    assert len(store.executions(CHILD)) == 1
    assert types[2:6] == ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]


@pytest.mark.parametrize("name", [{}, {"Name": "mine"}])
async def test_a_child_whose_start_could_not_be_written_is_stopped_with_its_parent(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch, name: dict[str, str]
):
    real, started = NestedExecutions.submit, anyio.Event()

    async def submit(self: NestedExecutions, *args: Any) -> Any:
        await real(self, *args)
        started.set()
        await anyio.sleep_forever()

    monkeypatch.setattr(NestedExecutions, "submit", submit)
    async with on(store, {}) as one:
        await one.deploy(machine(wait(3_600)), "Child")
        await one.deploy(machine(starting(".sync:2", Parameters=name)), "Parent")
        parent = await one.start_execution("Parent", 5)
        await started.wait()
    async with joined(store) as client:
        await (await client.execution(parent.arn)).stop()
    async with on(store, {}):
        await until(lambda: not store.open)
    (child,) = store.executions(CHILD)
    assert child.status == "ABORTED"
    assert child.ending is not None
    assert parent.arn in (child.ending.cause or "")


async def test_a_name_of_the_users_is_found_again_too_and_another_attempt_may_not_have_it(
    store: MemoryStore, monkeypatch: pytest.MonkeyPatch
):
    real, started = NestedExecutions.run, anyio.Event()

    async def run(self: NestedExecutions, *args: Any) -> Any:
        answer = await real(self, *args)
        if not started.is_set():
            started.set()
            await anyio.sleep_forever()
        return answer

    monkeypatch.setattr(NestedExecutions, "run", run)
    async with on(store, {}) as one:
        await one.deploy(machine(ECHO), "Child")
        await one.deploy(machine(starting(Parameters={"Name": "fixed"})), "Parent")
        parent = await one.start_execution("Parent", 5)
        await started.wait()
        await until(lambda: len(store.open) == 1)
    async with on(store, {}) as two:
        assert (await parent.result())["ExecutionArn"] == f"{PREFIX}execution:Child:fixed"
        with pytest.raises(engine.ExecutionFailed, match="ExecutionAlreadyExists"):
            await (await two.start_execution("Parent", 5)).result()


async def test_nobody_but_the_worker_is_lost_when_a_parent_waits(store: MemoryStore, now: Now):
    async with on(store, {}) as one:
        await one.deploy(machine(wait(3_600)), "Child")
        await one.deploy(machine(starting(".sync:2")), "Parent")
        parent = await one.start_execution("Parent", 5)
        await until(lambda: len(store.open) == 2 and in_memory(one) == 0)
    now.skip(3_601)
    async with on(store, {}):
        assert (await parent.result())["Output"] == 5
    assert len(store.executions(CHILD)) == 1


async def test_a_redriven_parent_starts_another_child(one: engine.Engine):
    await one.create_state_machine(machine({"Type": "Fail", "Error": "Broken"}), "Bad")
    state = starting(".sync", Parameters={"StateMachineArn": CHILD.replace("Child", "Bad")})
    execution = await one.start_execution(machine(state))
    for _ in range(2):
        with pytest.raises(engine.ExecutionFailed):
            await execution.result()
        if not await events(execution, "ExecutionRedriven"):
            await execution.redrive()
    arns = {json.loads(event["output"])["ExecutionArn"] for event in await events(execution, "TaskSubmitted")}
    assert len(arns) == 2
