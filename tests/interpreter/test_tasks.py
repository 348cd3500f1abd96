"""Task: what is scheduled, what history shows, time limits and heartbeats, tokens (asl.md 12, 14)."""

from __future__ import annotations

from typing import Any

import pytest

from engine.interpreter.messages import ScheduleTask, TaskError, TaskStarted, TaskSubmitted
from engine.interpreter.snapshot import UnknownFormat, decode_snapshot, encode_snapshot
from tests.driver import START_TIME, Drive, done, execution_of

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:a"
TOKEN = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
PUBLISH = "arn:aws:states:::sns:publish"


def machine(resource: str, **task: Any) -> dict[str, Any]:
    return {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": resource, "End": True, **task}}}


def opened(resource: str, given: Any = None, **task: Any) -> tuple[Drive, ScheduleTask]:
    """The drive at rest, and the Task it waits for."""
    drive = Drive(machine(resource, **task), given, answer=lambda command: None)
    drive.start()
    return drive, next(iter(drive.tasks.values()))


def details(drive: Drive, kind: str) -> dict[str, Any]:
    event = next(event for event in drive.events() if event["type"] == kind)
    found: dict[str, Any] = event[f"{kind[0].lower()}{kind[1:]}EventDetails"]
    return found


def test_a_service_task_shows_its_parameters_and_limits() -> None:
    drive, command = opened(
        PUBLISH, {"m": "hi"}, Parameters={"Message.$": "$.m"}, TimeoutSeconds=30, HeartbeatSeconds=5
    )
    assert command.arguments == {"Message": "hi"}
    assert details(drive, "TaskScheduled") == {
        "resourceType": "sns",
        "resource": "publish",
        "region": "us-east-1",
        "parameters": '{"Message":"hi"}',
        "timeoutInSeconds": 30,
        "heartbeatInSeconds": 5,
    }
    drive.tell(done(command, {"MessageId": "1"}))
    assert drive.trace() == (
        "1<0 ExecutionStarted 2<0 TaskStateEntered 3<2 TaskScheduled 4<3 TaskStarted 5<4 TaskSucceeded "
        "6<5 TaskStateExited 7<6 ExecutionSucceeded"
    )


def test_heartbeats_mean_nothing_for_request_response() -> None:
    drive, _ = opened(PUBLISH, HeartbeatSeconds=5)
    assert not drive.timers


def test_credentials_reach_the_task_and_history() -> None:
    role = "arn:aws:iam::123456789012:role/other"
    drive, command = opened(LAMBDA, {"r": role}, Credentials={"RoleArn.$": "$.r"})
    assert command.role_arn == role
    assert details(drive, "LambdaFunctionScheduled")["taskCredentials"] == {"roleArn": role}


def test_a_callback_task_has_a_new_token_for_each_attempt() -> None:
    tokens: list[Any] = []

    def answer(command: ScheduleTask) -> Any:
        tokens.append((command.task_token, command.arguments["MessageBody"]))
        return TaskError(command.task_id, "E", None) if command.attempt < 1 else done(command, "callback")

    message = {"QueueUrl": "q", "MessageBody.$": "$$.Task.Token"}
    task = machine(TOKEN, Parameters=message, Retry=[{"ErrorEquals": ["E"]}])
    drive = Drive(task, answer=answer)
    drive.run()
    assert drive.status == "SUCCEEDED"
    assert [shown for shown, _ in tokens] == [passed for _, passed in tokens]
    assert len({shown for shown, _ in tokens}) == 2


def test_the_token_is_not_there_in_other_tasks() -> None:
    drive = Drive(machine(PUBLISH, Parameters={"Message.$": "$$.Task.Token"}))
    drive.run()
    assert drive.ending is not None
    assert drive.ending.error == "States.Runtime"


def test_submitted_shows_what_the_request_gave_and_success_what_the_callback_gave() -> None:
    drive, command = opened(TOKEN)
    drive.tell(TaskSubmitted(command.task_id, {"MessageId": "1"}))
    drive.tell(done(command, {"approved": True}))
    assert details(drive, "TaskSubmitted")["output"] == '{"MessageId":"1"}'
    assert drive.ending is not None
    assert drive.ending.output == {"approved": True}


def test_a_missed_heartbeat_times_the_task_out() -> None:
    drive, _ = opened(TOKEN, HeartbeatSeconds=5, TimeoutSeconds=60)
    drive.tick()
    assert drive.now == START_TIME + 5_000
    assert details(drive, "TaskTimedOut") == {
        "resourceType": "sqs",
        "resource": "sendMessage.waitForTaskToken",
        "error": "States.Timeout",
    }
    assert drive.status == "FAILED"


def test_an_activitys_heartbeats_count_from_when_a_worker_took_it() -> None:
    drive, command = opened(ACTIVITY, HeartbeatSeconds=5, TimeoutSeconds=60)
    assert list(drive.timers.values()) == [START_TIME + 60_000]
    drive.now += 20_000
    drive.tell(TaskStarted(command.task_id, "worker-1"))
    assert details(drive, "ActivityStarted") == {"workerName": "worker-1"}
    drive.tick()
    assert drive.now == START_TIME + 25_000
    assert drive.status == "FAILED"


def test_an_activity_that_nobody_takes_times_out_all_the_same() -> None:
    drive, _ = opened(ACTIVITY, TimeoutSeconds=60)
    drive.run()
    assert drive.trace() == (
        "1<0 ExecutionStarted 2<0 TaskStateEntered 3<2 ActivityScheduled 4<3 ActivityTimedOut 5<4 ExecutionFailed"
    )


def test_a_worker_without_a_name_is_shown_without_one() -> None:
    drive, command = opened(ACTIVITY)
    drive.tell(TaskStarted(command.task_id, None))
    assert details(drive, "ActivityStarted") == {}


@pytest.mark.parametrize(
    ("phase", "kind"), [("START", "TaskStartFailed"), ("SUBMIT", "TaskSubmitFailed"), ("RUN", "TaskFailed")]
)
def test_where_a_task_failed_is_told(phase: Any, kind: str) -> None:
    drive, command = opened(TOKEN)
    drive.tell(TaskError(command.task_id, "E", "c", phase))
    assert details(drive, kind)["error"] == "E"


@pytest.mark.parametrize(
    ("value", "tail"),
    [
        ("soon", 'The TimeoutSecondsPath field refers to value "soon" which is not a valid integer: $.t'),
        (True, 'The TimeoutSecondsPath field refers to value "true" which is not a valid integer: $.t'),
        (0, "The TimeoutSecondsPath field refers to a value that is not positive: $.t == 0"),
        (10**8, "The TimeoutSecondsPath field refers to a value that is larger than 99999999: $.t == 100000000"),
    ],
)
def test_a_time_limit_that_is_none_fails_the_execution(value: Any, tail: str) -> None:
    drive = Drive(machine(LAMBDA, TimeoutSecondsPath="$.t"), {"t": value})
    drive.run()
    assert drive.ending is not None
    assert drive.ending.error == "States.Runtime"
    assert drive.ending.cause == f"An error occurred while executing the state 'T' (entered at the event id #2). {tail}"


def test_a_time_limit_of_jsonata_has_the_same_bounds() -> None:
    fields = {"QueryLanguage": "JSONata", "HeartbeatSeconds": "{% $states.input.t %}"}
    drive = Drive(machine(LAMBDA, **fields), {"t": 10**30})
    drive.run()
    assert drive.ending is not None
    assert drive.ending.error == "States.QueryEvaluationError"
    assert details(drive, "EvaluationFailed")["location"] == "HeartbeatSeconds"


def test_a_role_of_jsonata_that_is_no_string_is_named() -> None:
    role = {"RoleArn": "{% $states.input.role %}"}
    drive = Drive(machine(LAMBDA, QueryLanguage="JSONata", Credentials=role), {"role": 5})
    drive.run()
    assert details(drive, "EvaluationFailed")["location"] == "Credentials/RoleArn"
    assert "Expected 'string', but was 'number' for value: 5" in details(drive, "EvaluationFailed")["cause"]


def test_an_arn_of_none_of_awss_kinds_has_the_history_of_a_service() -> None:
    drive = Drive(machine("arn:own:robots:::arm/lift"), answer=lambda command: done(command, 1))
    drive.run()
    assert drive.status == "SUCCEEDED"
    assert details(drive, "TaskSucceeded")["resourceType"] == "robots"
    assert details(drive, "TaskSucceeded")["resource"] == "arm/lift"


def test_an_express_execution_ends_after_five_minutes() -> None:
    execution = execution_of({}, type="EXPRESS", arn="arn:aws:states:us-east-1:123456789012:express:machine:run:1")
    drive = Drive({"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 400, "End": True}}}, execution=execution)
    drive.run()
    assert drive.status == "TIMED_OUT"
    assert drive.now == START_TIME + 300_000


def test_a_snapshot_of_another_format_is_refused() -> None:
    drive, _ = opened(LAMBDA)
    data = encode_snapshot(drive.snapshot)
    with pytest.raises(UnknownFormat, match="format 99"):
        decode_snapshot(b"[99" + data[data.index(b",") :])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ItemBatcher", {"MaxItemsPerBatch": 2}),
        ("ResultWriter", {"WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSON"}}),
    ],
)
def test_an_inline_map_does_not_pass_over_what_only_a_distributed_one_can(field: str, value: Any) -> None:
    processor = {"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}}
    each = {"Type": "Map", "ItemProcessor": processor, field: value, "End": True}
    drive = Drive({"StartAt": "M", "States": {"M": each}}, [1])
    drive.run()
    assert drive.ending is not None
    assert drive.ending.error == "States.Runtime"
    cause = "#2). The ItemReader, ItemBatcher and ResultWriter fields are not supported for INLINE maps"
    assert (drive.ending.cause or "").endswith(cause)
