"""Mock configurations of Step Functions Local: what they say, and what is said of those that say nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import engine
from engine import blocking
from engine.integrations.mock_config import read_mock_config
from engine.store.memory import MemoryStore
from tests.definitions import catch, invoke, machine, retry, task
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(30)

# As AWS's guide has it (sfn-local-mock-cfg-file), to the letter.
GUIDE: dict[str, Any] = {
    "StateMachines": {
        "LambdaSQSIntegration": {
            "TestCases": {
                "HappyPath": {"LambdaState": "MockedLambdaSuccess", "SQSState": "MockedSQSSuccess"},
                "RetryPath": {"LambdaState": "MockedLambdaRetry", "SQSState": "MockedSQSSuccess"},
                "HybridPath": {"LambdaState": "MockedLambdaSuccess"},
            }
        }
    },
    "MockedResponses": {
        "MockedLambdaSuccess": {
            "0": {"Return": {"StatusCode": 200, "Payload": {"StatusCode": 200, "body": "Hello from Lambda!"}}}
        },
        "LambdaMockedResourceNotReady": {
            "0": {"Throw": {"Error": "Lambda.ResourceNotReadyException", "Cause": "Lambda resource is not ready."}}
        },
        "MockedSQSSuccess": {
            "0": {
                "Return": {
                    "MD5OfMessageBody": "3bcb6e8e-7h85-4375-b0bc-1a59812c6e51",
                    "MessageId": "3bcb6e8e-8b51-4375-b0bc-1a59812c6e51",
                }
            }
        },
        "MockedLambdaRetry": {
            "0": {"Throw": {"Error": "Lambda.ResourceNotReadyException", "Cause": "Lambda resource is not ready."}},
            "1-2": {"Throw": {"Error": "Lambda.TimeoutException", "Cause": "Lambda timed out."}},
            "3": {"Return": {"StatusCode": 200, "Payload": {"StatusCode": 200, "body": "Hello from Lambda!"}}},
        },
    },
}

LAMBDA = invoke("HelloWorldFunction", Name="LambdaState", Retry=retry(3, IntervalSeconds=2, BackoffRate=2))
SQS = {
    "Name": "SQSState",
    "Type": "Task",
    "Resource": "arn:aws:states:::sqs:sendMessage",
    "Parameters": {"QueueUrl": "https://sqs/q", "MessageBody.$": "$"},
}
ORDERS = machine(LAMBDA, SQS)
NAME = "LambdaSQSIntegration"


def history(case: str) -> list[dict[str, Any]]:
    with blocking.Engine.in_memory(clock="virtual", mock_config=GUIDE) as one:
        one.create_state_machine(ORDERS, NAME)
        execution = one.start_execution(f"{NAME}#{case}", {"a": 1})
        execution.result()
        events: list[dict[str, Any]] = execution.history()
        return events


def of(events: list[dict[str, Any]], kind: str) -> list[Any]:
    details = f"{kind[0].lower()}{kind[1:]}EventDetails"
    return [event[details] for event in events if event["type"] == kind]


# ── what they say ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_happy_path_of_the_guide_gives_what_is_mocked() -> None:
    events = history("HappyPath")
    assert [json.loads(one["output"]) for one in of(events, "TaskSucceeded")] == [
        {"StatusCode": 200, "Payload": {"StatusCode": 200, "body": "Hello from Lambda!"}},
        GUIDE["MockedResponses"]["MockedSQSSuccess"]["0"]["Return"],
    ]
    assert [one["resourceType"] for one in of(events, "TaskScheduled")] == ["lambda", "sqs"]


def test_each_attempt_of_the_retry_path_gives_what_its_number_says() -> None:
    events = history("RetryPath")
    assert [(one["error"], one["cause"]) for one in of(events, "TaskFailed")] == [
        ("Lambda.ResourceNotReadyException", "Lambda resource is not ready."),
        ("Lambda.TimeoutException", "Lambda timed out."),
        ("Lambda.TimeoutException", "Lambda timed out."),
    ]
    assert len(of(events, "TaskSucceeded")) == 2


def test_a_state_that_is_not_mocked_is_done_as_ever() -> None:
    with blocking.Engine.in_memory({"SQSState": 'mock:{"own": true}'}, clock="virtual", mock_config=GUIDE) as one:
        one.create_state_machine(ORDERS, NAME)
        assert one.run(f"{NAME}#HybridPath") == {"own": True}


def test_a_state_that_nobody_does_is_told_before_the_start() -> None:
    with blocking.Engine.in_memory(mock_config=GUIDE) as one:
        one.create_state_machine(ORDERS, NAME)
        with pytest.raises(engine.MissingHandler, match="SQSState"):
            one.run(f"{NAME}#HybridPath")
        with pytest.raises(engine.MissingHandler, match="LambdaState"):
            one.run(NAME)


def test_mocks_go_before_rules_in_a_test_case_and_nowhere_else() -> None:
    with blocking.Engine.in_memory({"*": "mock:1"}, mock_config=GUIDE) as one:
        one.create_state_machine(ORDERS, NAME)
        assert one.run(f"{NAME}#HappyPath") == GUIDE["MockedResponses"]["MockedSQSSuccess"]["0"]["Return"]
        assert one.run(NAME) == 1


def test_an_attempt_beyond_the_last_one_is_told_by_name() -> None:
    config = {
        "StateMachines": {"m": {"TestCases": {"c": {"A": "once"}}}},
        "MockedResponses": {"once": {"0": {"Throw": {"Error": "E", "Cause": "c"}}}},
    }
    with blocking.Engine.in_memory(clock="virtual", mock_config=config) as one:
        one.create_state_machine(machine(task(Retry=retry())), "m")
        with pytest.raises(
            engine.UnsupportedTask, match="'once' of state 'A' ends with attempt 0, and this is attempt 1"
        ):
            one.run("m#c")


@pytest.mark.parametrize(
    ("resource", "kinds"),
    [
        ("arn:aws:states:::ecs:runTask.sync", ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"]),
        (
            "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            ["TaskScheduled", "TaskStarted", "TaskSubmitted", "TaskSucceeded"],
        ),
        ("arn:aws:states:::aws-sdk:s3:getObject", ["TaskScheduled", "TaskStarted", "TaskSucceeded"]),
        (
            "arn:aws:lambda:us-east-1:123456789012:function:f",
            ["LambdaFunctionScheduled", "LambdaFunctionStarted", "LambdaFunctionSucceeded"],
        ),
    ],
)
def test_every_pattern_ends_with_what_is_mocked(resource: str, kinds: list[str]) -> None:
    config = {
        "StateMachines": {"m": {"TestCases": {"c": {"A": "x"}}}},
        "MockedResponses": {"x": {"0": {"Return": {"a": 1}}}},
    }
    with blocking.Engine.in_memory(clock="virtual", mock_config=config) as one:
        one.create_state_machine(machine({"Type": "Task", "Resource": resource}), "m")
        execution = one.start_execution("m#c")
        assert execution.result() == {"a": 1}
        assert [event["type"] for event in execution.history()][2:-2] == kinds


def test_what_is_thrown_is_caught_as_any_error() -> None:
    config = {
        "StateMachines": {"m": {"TestCases": {"c": {"A": "x"}}}},
        "MockedResponses": {"x": {"0": {"Throw": {"Error": "E", "Cause": "why"}}}},
    }
    with blocking.Engine.in_memory(mock_config=config) as one:
        one.create_state_machine(machine(task(Catch=catch("B")), {"Type": "Pass"}), "m")
        assert one.run("m#c") == {"Error": "E", "Cause": "why"}


# ── in every face ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_test_case_that_there_is_not_is_told_with_those_that_there_are() -> None:
    with blocking.Engine.in_memory(mock_config=GUIDE) as one:
        one.create_state_machine(ORDERS, NAME)
        with pytest.raises(engine.ValidationException, match=f"no test case {NAME}#Sad; it has {NAME}#HappyPath, "):
            one.run(f"{NAME}#Sad")


def test_without_a_mock_configuration_a_test_case_is_refused_with_what_to_do() -> None:
    with blocking.Engine.in_memory({"*": "mock:1"}) as one:
        one.create_state_machine(ORDERS, NAME)
        with pytest.raises(engine.ValidationException, match="SFN_MOCK_CONFIG names its file"):
            one.run(f"{NAME}#HappyPath")


def test_the_file_is_found_by_the_variable_of_step_functions_local(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "MockConfigFile.json"
    file.write_text(json.dumps(GUIDE))
    monkeypatch.setenv("SFN_MOCK_CONFIG", str(file))
    with blocking.Engine.in_memory() as one:
        one.create_state_machine(ORDERS, NAME)
        assert "MessageId" in one.run(f"{NAME}#HappyPath")


@pytest.mark.anyio
@pytest.mark.parametrize("other", [None, {"StateMachines": {NAME: {"TestCases": {"Other": {}}}}}])
async def test_a_worker_that_does_not_know_the_test_case_leaves_the_task_to_one_that_does(other: Any) -> None:
    store = MemoryStore(through_bytes=True)
    async with engine.Engine(url=lambda: store, mock_config=GUIDE) as client:
        await client.deploy(ORDERS, NAME)
        execution = await client.start_execution(f"{NAME}#HappyPath")
        async with engine.Engine(url=lambda: store, handlers={"*": "mock:1"}, mock_config=other):
            await until(lambda: store.execution(execution.arn).missing)
        async with engine.Engine(url=lambda: store, handlers={"*": "mock:1"}, mock_config=GUIDE):
            assert "MessageId" in await execution.result()


@pytest.mark.anyio
async def test_a_synchronous_execution_and_a_child_may_be_of_a_test_case() -> None:
    starting = {"StateMachineArn": f"{NAME}#RetryPath", "Input": {}}
    parent = machine(
        {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync:2", "Parameters": starting}
    )
    async with engine.Engine.in_memory(clock="virtual", mock_config=GUIDE) as one:
        await one.create_state_machine(ORDERS, NAME)
        assert (await one.run(parent))["Output"] == GUIDE["MockedResponses"]["MockedSQSSuccess"]["0"]["Return"]
    async with engine.Engine.in_memory(clock="virtual", mock_config=GUIDE) as one:
        await one.create_state_machine(ORDERS, NAME, type="EXPRESS")
        outcome = await one.start_sync_execution(f"{NAME}#HappyPath")
        assert outcome.output == GUIDE["MockedResponses"]["MockedSQSSuccess"]["0"]["Return"]


# ── what says nothing ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", ":1:2: "),
        ("[]", "expected an object with StateMachines and MockedResponses"),
        ('{\n "Mocks": {}}', ":2:2: Mocks: expected only StateMachines and MockedResponses"),
        ('{"StateMachines": {"m": {"Cases": {}}}}', "StateMachines.m.Cases: expected only TestCases"),
        (
            '{"StateMachines": {"m": {"TestCases": {"c": {\n"A": "x"}}}}}',
            ":2:1: StateMachines.m.TestCases.c.A: expected the name of a member of MockedResponses, got 'x'",
        ),
        ('{"MockedResponses": {"x": {"1": {"Return": 1}}}}', "got 1 where 0 was due"),
        ('{"MockedResponses": {"x": {"0-2": {"Return": 1}, "2": {"Return": 1}}}}', "got 2 where 3 was due"),
        ('{"MockedResponses": {"x": {"2-1": {"Return": 1}}}}', "MockedResponses.x.2-1: 1 is before 2"),
        ('{"MockedResponses": {"x": {"first": {"Return": 1}}}}', 'such as "1-2"'),
        ('{"MockedResponses": {"x": {}}}', 'a response for attempt "0" at least'),
        ('{"MockedResponses": {"x": {"0": {}}}}', "expected either Return or Throw, got nothing"),
        ('{"MockedResponses": {"x": {"0": {"Return": 1, "Throw": {}}}}}', "got Return, Throw"),
        ('{"MockedResponses": {"x": {"0": {"Throw": {"Cause": "c"}}}}}', "MockedResponses.x.0.Throw: Error is missing"),
        ('{"MockedResponses": {"x": {"0": {"Throw": {"Error": 5}}}}}', "expected Error and Cause, both texts"),
        ('{"MockedResponses": {"x": {"0": {"Return": 1}}, "x": {"0": {"Return": 2}}}}', "this name is there twice"),
    ],
)
def test_a_bad_file_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "mocks.json"
    file.write_text(text)
    with pytest.raises(engine.InvalidMockConfig) as caught:
        read_mock_config(file)
    assert str(caught.value).startswith(str(file))
    assert told in str(caught.value)


def test_a_file_that_there_is_not_is_told_by_name(tmp_path: Path) -> None:
    with pytest.raises(engine.InvalidMockConfig, match=r"none\.json: No such file"):
        blocking.Engine.in_memory(mock_config=tmp_path / "none.json")
