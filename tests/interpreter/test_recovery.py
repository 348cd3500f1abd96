"""Retry and Catch: who matches, how long to wait, what goes on."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from engine.asl.program import Retrier
from engine.errors import PayloadTooLarge, StatesError
from engine.interpreter.messages import ScheduleTask, StartTimer, TaskError
from engine.interpreter.recovery import HeartbeatTimeout, matches, retry_delay_seconds
from tests.driver import START_TIME, Drive, done

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"


def machine(**task: Any) -> dict[str, Any]:
    states = {
        "T": {"Type": "Task", "Resource": LAMBDA, "End": True, **task},
        "Caught": {"Type": "Pass", "End": True},
        "Other": {"Type": "Pass", "Result": "other", "End": True},
    }
    targets = {catcher["Next"] for catcher in task.get("Catch", ())}
    return {"StartAt": "T", "States": {name: s for name, s in states.items() if name == "T" or name in targets}}


def failing(*errors: str | None) -> Any:
    """Answers attempt after attempt with these errors, then succeeds."""
    left = list(errors)

    def answer(command: ScheduleTask) -> Any:
        if left:
            error = left.pop(0)
            return TaskError(command.task_id, error, None if error is None else f"cause of {error}")
        return done(command, "fine")

    return answer


def delays(drive: Drive) -> list[float]:
    """Seconds between an attempt's failure and the next attempt."""
    times = [(event["type"], event["timestamp"]) for event in drive.events()]
    found = []
    for (kind, failed_at), (_, scheduled_at) in itertools.pairwise(times):
        if kind == "LambdaFunctionFailed":
            found.append((scheduled_at - failed_at).total_seconds())
    return found


@pytest.mark.parametrize(
    ("names", "error", "expected"),
    [
        (["A"], "A", True),
        (["A"], "a", False),
        (["A"], "AB", False),
        (["States.ALL"], "A", True),
        (["States.ALL"], None, True),
        (["State.ALL"], "A", False),
        (["States.TaskFailed"], "A", True),
        (["States.TaskFailed"], "States.TaskFailed", True),
        (["States.TaskFailed"], "States.Timeout", False),
        (["States.Timeout"], "States.Timeout", True),
        (["States.ALL"], "States.Runtime", False),
        (["States.Runtime"], "States.Runtime", False),
        (["States.ALL"], "States.DataLimitExceeded", True),
        (["States.ALL"], "States.QueryEvaluationError", True),
    ],
)
def test_error_equals(names: list[str], error: str | None, expected: bool) -> None:
    assert matches(names, StatesError(error)) is expected


def test_an_output_over_the_limit_is_matched_by_nothing() -> None:
    assert not matches(["States.ALL"], PayloadTooLarge())
    assert not matches(["States.DataLimitExceeded"], PayloadTooLarge())


@pytest.mark.parametrize("name", ["States.Timeout", "States.HeartbeatTimeout", "States.ALL"])
def test_a_missed_heartbeat_is_matched_by_both_names(name: str) -> None:
    assert matches([name], HeartbeatTimeout())


def test_back_off_grows_up_to_its_cap() -> None:
    retrier = Retrier(error_equals=("E",), interval_seconds=3, backoff_rate=2.0, max_attempts=4, max_delay_seconds=10)
    assert [retry_delay_seconds(retrier, attempts=n, draw=lambda: 1.0) for n in range(4)] == [3, 6, 10, 10]


def test_full_jitter_draws_below_the_capped_delay() -> None:
    retrier = Retrier(error_equals=("E",), interval_seconds=8, max_delay_seconds=10, jitter_strategy="FULL")
    assert retry_delay_seconds(retrier, attempts=1, draw=lambda: 0.25) == 2.5
    assert retry_delay_seconds(retrier, attempts=0, draw=lambda: 0.0) == 0


def test_a_back_off_that_overflows_is_still_a_delay() -> None:
    retrier = Retrier(error_equals=("E",), backoff_rate=1e10, max_attempts=99_999_999)
    assert retry_delay_seconds(retrier, attempts=5_000, draw=lambda: 1.0) == 99_999_999


def test_retries_wait_as_long_as_they_say() -> None:
    retry = [{"ErrorEquals": ["E"], "IntervalSeconds": 1, "BackoffRate": 2.0, "MaxAttempts": 5}]
    drive = Drive(machine(Retry=retry), answer=failing(*["E"] * 5))
    drive.run()
    assert drive.status == "SUCCEEDED"
    assert delays(drive) == [1, 2, 4, 8, 16]


def test_defaults_are_three_retries_from_one_second_doubling() -> None:
    drive = Drive(machine(Retry=[{"ErrorEquals": ["States.ALL"]}]), answer=failing(*["E"] * 4))
    drive.run()
    assert drive.status == "FAILED"
    assert delays(drive)[:3] == [1, 2, 4]
    assert [event["type"] for event in drive.events()].count("LambdaFunctionFailed") == 4


def test_an_exhausted_retrier_leaves_it_to_the_catchers_not_to_later_retriers() -> None:
    retry = [
        {"ErrorEquals": ["E"], "MaxAttempts": 1},
        {"ErrorEquals": ["States.ALL"], "MaxAttempts": 9},
    ]
    catch = [{"ErrorEquals": ["E"], "Next": "Caught"}]
    drive = Drive(machine(Retry=retry, Catch=catch), answer=failing("E", "E"))
    drive.run()
    assert drive.ending is not None
    assert drive.ending.output == {"Error": "E", "Cause": "cause of E"}


def test_each_retrier_counts_for_itself() -> None:
    retry = [{"ErrorEquals": ["A"], "MaxAttempts": 2}, {"ErrorEquals": ["B"], "MaxAttempts": 2}]
    drive = Drive(machine(Retry=retry), answer=failing("A", "B", "A", "B"))
    drive.run()
    assert drive.status == "SUCCEEDED"
    assert delays(drive) == [1, 1, 2, 2]


def test_a_task_that_is_entered_again_has_all_its_retries_again() -> None:
    retry = [{"ErrorEquals": ["E"], "MaxAttempts": 1}]
    states = {
        "T": {"Type": "Task", "Resource": LAMBDA, "Retry": retry, "ResultPath": "$.r", "Next": "Count"},
        "Count": {
            "Type": "Pass",
            "Parameters": {"n.$": "States.MathAdd($.n, 1)"},
            "Next": "More",
        },
        "More": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.n", "NumericLessThan": 2, "Next": "T"}],
            "Default": "End",
        },
        "End": {"Type": "Succeed"},
    }
    answers = iter(["E", None, "E", None])

    def answer(command: ScheduleTask) -> Any:
        error = next(answers)
        return done(command, 1) if error is None else TaskError(command.task_id, error, None)

    drive = Drive({"StartAt": "T", "States": states}, {"n": 0}, answer=answer)
    drive.run()
    assert drive.status == "SUCCEEDED"


def test_attempt_and_retry_count_go_up_together() -> None:
    seen: list[tuple[int, Any]] = []

    def answer(command: ScheduleTask) -> Any:
        seen.append((command.attempt, command.arguments))
        return TaskError(command.task_id, "E", None) if command.attempt < 2 else done(command, 1)

    task = {"Retry": [{"ErrorEquals": ["E"]}], "Parameters": {"count.$": "$$.State.RetryCount"}}
    Drive(machine(**task), answer=answer).run()
    assert seen == [(0, {"count": 0}), (1, {"count": 1}), (2, {"count": 2})]


@pytest.mark.parametrize(
    ("error", "expected"),
    [("E", {"Error": "E", "Cause": "cause of E"}), (None, {"Error": None, "Cause": None})],
)
def test_the_error_output_has_both_members(error: str | None, expected: dict[str, Any]) -> None:
    drive = Drive(machine(Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]), answer=failing(error))
    drive.run()
    assert drive.ending is not None
    assert drive.ending.output == expected


def test_a_catcher_writes_into_the_raw_input_and_skips_output_path() -> None:
    catch = [{"ErrorEquals": ["E"], "ResultPath": "$.error", "Next": "Caught"}]
    task = machine(InputPath="$.inner", OutputPath="$.nowhere", Catch=catch)
    drive = Drive(task, {"inner": {"a": 1}, "b": 2}, answer=failing("E"))
    drive.run()
    assert drive.ending is not None
    assert drive.ending.output == {"inner": {"a": 1}, "b": 2, "error": {"Error": "E", "Cause": "cause of E"}}


def test_a_time_out_is_caught_with_an_empty_cause() -> None:
    task = machine(TimeoutSeconds=5, Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "Caught"}])
    drive = Drive(task, answer=lambda command: None)
    drive.run()
    assert drive.ending is not None
    assert drive.ending.output == {"Error": "States.Timeout", "Cause": ""}
    assert drive.now == START_TIME + 5_000


def test_an_uncaught_time_out_fails_without_a_cause() -> None:
    drive = Drive(machine(TimeoutSeconds=5), answer=lambda command: None)
    drive.run()
    assert drive.ending is not None
    assert (drive.ending.status, drive.ending.error, drive.ending.cause) == ("FAILED", "States.Timeout", None)
    assert drive.events()[-1]["executionFailedEventDetails"] == {"error": "States.Timeout"}


def test_the_clock_of_a_time_limit_starts_anew_with_each_attempt() -> None:
    starts: list[int | None] = []

    def answer(command: ScheduleTask) -> Any:
        starts.append(command.deadline)
        return None

    task = machine(
        TimeoutSeconds=5, Retry=[{"ErrorEquals": ["States.Timeout"], "MaxAttempts": 1, "IntervalSeconds": 7}]
    )
    Drive(task, answer=answer).run()
    assert starts == [START_TIME + 5_000, START_TIME + 5_000 + 7_000 + 5_000]


def test_a_path_fault_after_a_successful_task_is_caught_by_nothing() -> None:
    task = machine(OutputPath="$.nope", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Caught"}])
    drive = Drive(task, answer=lambda command: done(command, {}))
    drive.run()
    assert drive.ending is not None
    assert drive.ending.error == "States.Runtime"
    assert drive.trace().endswith("5<4 LambdaFunctionSucceeded 6<5 ExecutionFailed")


def test_a_failed_evaluation_can_be_retried_and_caught() -> None:
    task = machine(
        QueryLanguage="JSONata",
        Output="{% $states.result.nope %}",
        Retry=[{"ErrorEquals": ["States.QueryEvaluationError"], "MaxAttempts": 1}],
        Catch=[{"ErrorEquals": ["States.ALL"], "Next": "Caught"}],
    )
    drive = Drive(task, answer=lambda command: done(command, {}))
    drive.run()
    kinds = [event["type"] for event in drive.events()]
    assert drive.status == "SUCCEEDED"
    assert kinds.count("EvaluationFailed") == 2
    assert kinds.count("LambdaFunctionScheduled") == 2


def test_a_fault_in_a_catchers_own_output_fails_the_execution() -> None:
    catch = [{"ErrorEquals": ["States.ALL"], "Output": "{% $nothing %}", "Next": "Caught"}]
    drive = Drive(machine(QueryLanguage="JSONata", Catch=catch), answer=failing("E"))
    drive.run()
    assert drive.ending is not None
    assert drive.ending.error == "States.QueryEvaluationError"
    assert "specified for the field 'Catch[0]/Output'" in (drive.ending.cause or "")


def test_a_retried_parallel_starts_all_branches_again_and_late_answers_fit_none() -> None:
    branch = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": LAMBDA, "End": True}}}
    other = {"StartAt": "B", "States": {"B": {"Type": "Task", "Resource": LAMBDA, "End": True}}}
    parallel = {"Type": "Parallel", "Branches": [branch, other], "Retry": [{"ErrorEquals": ["E"]}], "End": True}
    scheduled: list[ScheduleTask] = []
    drive = Drive({"StartAt": "P", "States": {"P": parallel}}, answer=lambda command: scheduled.append(command))
    drive.start()
    first_a, first_b = scheduled
    drive.tell(TaskError(first_a.task_id, "E", None))
    assert not drive.tasks, "the sibling is cancelled"
    drive.tick()
    assert len(scheduled) == 4
    drive.tell(done(first_b, "late"))
    drive.tell(done(scheduled[2], "a"))
    drive.tell(done(scheduled[3], "b"))
    assert drive.ending is not None
    assert drive.ending.output == ["a", "b"]


def test_the_first_failing_branch_gives_the_error_of_the_whole() -> None:
    fail = {"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "Mine", "Cause": "because"}}}
    parallel = {
        "Type": "Parallel",
        "Branches": [fail],
        "Catch": [{"ErrorEquals": ["Mine"], "Next": "C"}],
        "End": True,
    }
    drive = Drive({"StartAt": "P", "States": {"P": parallel, "C": {"Type": "Pass", "End": True}}})
    drive.run()
    assert drive.ending is not None
    assert drive.ending.output == {"Error": "Mine", "Cause": "because"}


def test_a_path_fault_in_a_branch_ends_the_execution_past_all_catchers() -> None:
    branch = {"StartAt": "P", "States": {"P": {"Type": "Pass", "InputPath": "$.nope", "End": True}}}
    parallel = {
        "Type": "Parallel",
        "Branches": [branch],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}],
        "End": True,
    }
    drive = Drive({"StartAt": "X", "States": {"X": parallel, "C": {"Type": "Pass", "End": True}}})
    drive.run()
    assert drive.status == "FAILED"
    assert drive.trace().endswith("4<3 PassStateEntered 5<4 ExecutionFailed")


def test_timers_of_a_retry_are_named_as_no_other_wait_is() -> None:
    drive = Drive(machine(Retry=[{"ErrorEquals": ["E"]}], TimeoutSeconds=9), answer=failing("E"))
    timers: list[StartTimer] = []
    drive.start()
    timers += [StartTimer(ticket, due) for (ticket, _), due in drive.timers.items()]
    drive.run()
    assert len({timer.timer_id for timer in timers}) == len(timers)
