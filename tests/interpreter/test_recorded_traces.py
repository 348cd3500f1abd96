"""Traces recorded from the real service (execution.md 4): ids, previousEventIds and types of whole histories."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from engine.interpreter.messages import StopRequested, TaskError, TaskStarted, TaskSubmitted
from tests.driver import Drive, done

if TYPE_CHECKING:
    from engine.interpreter.messages import Event, ScheduleTask

Play: TypeAlias = Callable[[Drive], None]

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"
INVOKE = "arn:aws:states:::lambda:invoke"
CALLBACK = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:a"
PASS = {"Type": "Pass", "End": True}
FAIL = {"Type": "Fail", "Error": "E", "Cause": "c"}
WAIT = {"Type": "Wait", "Seconds": 60, "End": True}
TWO_RETRIES = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 2, "IntervalSeconds": 1}]
CATCH_ALL = [{"ErrorEquals": ["States.ALL"], "Next": "Caught"}]


def machine(**states: dict[str, Any]) -> dict[str, Any]:
    """The states run in the order they are given; those that end or fail stay as they are."""
    names = list(states)
    linked = {}
    for name, following in zip(names, [*names[1:], None], strict=True):
        state = states[name]
        is_end = state.get("End") or state["Type"] in ("Fail", "Succeed") or following is None
        linked[name] = state if is_end else {**state, "Next": following}
    return {"StartAt": names[0], "States": linked}


def task(resource: str = INVOKE, **fields: Any) -> dict[str, Any]:
    parameters = {INVOKE: {"FunctionName": "f"}, CALLBACK: {"QueueUrl": "q", "MessageBody": "m"}}
    given = {"Parameters": parameters[resource]} if resource in parameters else {}
    return {"Type": "Task", "Resource": resource, **given, **fields}


def end(state: dict[str, Any]) -> dict[str, Any]:
    return {**state, "End": True}


def parallel(*branches: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"Type": "Parallel", "Branches": list(branches), **fields}


def map_over(flow: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"Type": "Map", "ItemProcessor": flow, **fields}


def only_task(drive: Drive) -> ScheduleTask:
    (scheduled,) = drive.tasks.values()
    return scheduled


def tells(*make: Callable[[ScheduleTask], Event]) -> Play:
    """Tells the one open Task each of these, one after the other; timers in between go off by themselves."""

    def play(drive: Drive) -> None:
        for event in make:
            while not drive.tasks:
                drive.tick()
            drive.tell(event(only_task(drive)))

    return play


def succeeds(scheduled: ScheduleTask) -> Event:
    return done(scheduled, {})


def fails(scheduled: ScheduleTask) -> Event:
    return TaskError(scheduled.task_id, "E", "c")


def is_submitted(scheduled: ScheduleTask) -> Event:
    return TaskSubmitted(scheduled.task_id, {})


def is_taken(scheduled: ScheduleTask) -> Event:
    return TaskStarted(scheduled.task_id, None)


def nothing(drive: Drive) -> None:
    del drive


CASES: dict[str, tuple[dict[str, Any], Any, Play, str]] = {
    "a Pass": (
        machine(A=PASS),
        {},
        nothing,
        "1<0 ExecutionStarted 2<0 PassStateEntered 3<2 PassStateExited 4<3 ExecutionSucceeded",
    ),
    "a Fail in the first state": (
        machine(A=FAIL),
        {},
        nothing,
        "1<0 ExecutionStarted 2<0 FailStateEntered 3<2 ExecutionFailed",
    ),
    "a direct Lambda": (
        machine(A=end(task(LAMBDA))),
        {},
        tells(succeeds),
        "1<0 ExecutionStarted 2<0 TaskStateEntered 3<2 LambdaFunctionScheduled 4<3 LambdaFunctionStarted "
        "5<4 LambdaFunctionSucceeded 6<5 TaskStateExited 7<6 ExecutionSucceeded",
    ),
    "an activity": (
        machine(A=end(task(ACTIVITY))),
        {},
        tells(is_taken, succeeds),
        "1<0 ExecutionStarted 2<0 TaskStateEntered 3<2 ActivityScheduled 4<3 ActivityStarted 5<4 ActivitySucceeded "
        "6<5 TaskStateExited 7<6 ExecutionSucceeded",
    ),
    "an activity that times out": (
        machine(A=end(task(ACTIVITY, TimeoutSeconds=5))),
        {},
        tells(is_taken),
        "1<0 ExecutionStarted 2<0 TaskStateEntered 3<2 ActivityScheduled 4<3 ActivityStarted 5<4 ActivityTimedOut "
        "6<5 ExecutionFailed",
    ),
    "a callback": (
        machine(A=end(task(CALLBACK))),
        {},
        tells(is_submitted, succeeds),
        "1<0 ExecutionStarted 2<0 TaskStateEntered 3<2 TaskScheduled 4<3 TaskStarted 5<4 TaskSubmitted "
        "6<5 TaskSucceeded 7<6 TaskStateExited 8<7 ExecutionSucceeded",
    ),
    "a callback that times out": (
        machine(A=end(task(CALLBACK, TimeoutSeconds=5))),
        {},
        tells(is_submitted),
        "1<0 ExecutionStarted 2<0 TaskStateEntered 3<2 TaskScheduled 4<3 TaskStarted 5<4 TaskSubmitted "
        "6<5 TaskTimedOut 7<6 ExecutionFailed",
    ),
    "two retries in vain": (
        machine(A=end(task(Retry=TWO_RETRIES))),
        {},
        tells(fails, fails, fails),
        "1<0 ExecutionStarted 2<0 TaskStateEntered 3<2 TaskScheduled 4<3 TaskStarted 5<4 TaskFailed 6<5 TaskScheduled "
        "7<6 TaskStarted 8<7 TaskFailed 9<8 TaskScheduled 10<9 TaskStarted 11<10 TaskFailed 12<11 ExecutionFailed",
    ),
    "a Catch": (
        machine(A=end(task(Catch=CATCH_ALL)), Caught=PASS),
        {},
        tells(fails),
        "1<0 ExecutionStarted 2<0 TaskStateEntered 3<2 TaskScheduled 4<3 TaskStarted 5<4 TaskFailed "
        "6<5 TaskStateExited 7<6 PassStateEntered 8<7 PassStateExited 9<8 ExecutionSucceeded",
    ),
    "a fault of JSONata in the first state": (
        {"QueryLanguage": "JSONata", **machine(A={**PASS, "Output": "{% $states.input.no %}"})},
        {},
        nothing,
        "1<0 ExecutionStarted 2<0 PassStateEntered 3<0 EvaluationFailed 4<3 ExecutionFailed",
    ),
    "a fault of JSONata in the second state": (
        {"QueryLanguage": "JSONata", **machine(A={"Type": "Pass"}, B={**PASS, "Output": "{% $states.input.no %}"})},
        {},
        nothing,
        "1<0 ExecutionStarted 2<0 PassStateEntered 3<2 PassStateExited 4<3 PassStateEntered 5<3 EvaluationFailed "
        "6<5 ExecutionFailed",
    ),
    "a fault in what is made of a result": (
        machine(A=end(task(LAMBDA, OutputPath="$.no", Catch=CATCH_ALL)), Caught=PASS),
        {},
        tells(succeeds),
        "1<0 ExecutionStarted 2<0 TaskStateEntered 3<2 LambdaFunctionScheduled 4<3 LambdaFunctionStarted "
        "5<4 LambdaFunctionSucceeded 6<5 ExecutionFailed",
    ),
    "a Parallel of two": (
        machine(A=end(parallel(machine(B=PASS), machine(C=PASS)))),
        {},
        nothing,
        "1<0 ExecutionStarted 2<0 ParallelStateEntered 3<2 ParallelStateStarted 4<3 PassStateEntered "
        "5<4 PassStateExited 6<3 PassStateEntered 7<6 PassStateExited 8<7 ParallelStateSucceeded "
        "9<7 ParallelStateExited 10<9 ExecutionSucceeded",
    ),
    "a Parallel whose branch fails, caught": (
        machine(A=end(parallel(machine(B=FAIL), Catch=CATCH_ALL)), Caught=PASS),
        {},
        nothing,
        "1<0 ExecutionStarted 2<0 ParallelStateEntered 3<2 ParallelStateStarted 4<3 FailStateEntered "
        "5<4 ParallelStateFailed 6<5 ParallelStateExited 7<6 PassStateEntered 8<7 PassStateExited "
        "9<8 ExecutionSucceeded",
    ),
    "a Parallel that is retried twice": (
        machine(A=end(parallel(machine(B=FAIL), Retry=TWO_RETRIES))),
        {},
        nothing,
        "1<0 ExecutionStarted 2<0 ParallelStateEntered 3<2 ParallelStateStarted 4<3 FailStateEntered "
        "5<4 ParallelStateStarted 6<5 FailStateEntered 7<6 ParallelStateStarted 8<7 FailStateEntered "
        "9<8 ParallelStateFailed 10<9 ExecutionFailed",
    ),
    "a Parallel whose only Task fails, caught": (
        machine(A=end(parallel(machine(B=end(task(CALLBACK))), Catch=CATCH_ALL)), Caught=PASS),
        {},
        tells(is_submitted, fails),
        "1<0 ExecutionStarted 2<0 ParallelStateEntered 3<2 ParallelStateStarted 4<3 TaskStateEntered 5<4 TaskScheduled "
        "6<5 TaskStarted 7<6 TaskSubmitted 8<7 TaskFailed 9<8 TaskStateAborted 10<8 ParallelStateFailed "
        "11<10 ParallelStateExited 12<11 PassStateEntered 13<12 PassStateExited 14<13 ExecutionSucceeded",
    ),
    "a Map, one iteration after the other": (
        machine(A=end(map_over(machine(B=PASS), MaxConcurrency=1))),
        [1, 2, 3],
        nothing,
        "1<0 ExecutionStarted 2<0 MapStateEntered 3<2 MapStateStarted 4<3 MapIterationStarted 5<4 PassStateEntered "
        "6<5 PassStateExited 7<6 MapIterationSucceeded 8<6 MapIterationStarted 9<8 PassStateEntered "
        "10<9 PassStateExited 11<10 MapIterationSucceeded 12<10 MapIterationStarted 13<12 PassStateEntered "
        "14<13 PassStateExited 15<14 MapIterationSucceeded 16<15 MapStateSucceeded 17<15 MapStateExited "
        "18<17 ExecutionSucceeded",
    ),
    "a Map in a Map": (
        machine(A=end(map_over(machine(B=end(map_over(machine(C=PASS), MaxConcurrency=1))), MaxConcurrency=1))),
        [[1], [2]],
        nothing,
        "1<0 ExecutionStarted 2<0 MapStateEntered 3<2 MapStateStarted 4<3 MapIterationStarted 5<4 MapStateEntered "
        "6<5 MapStateStarted 7<6 MapIterationStarted 8<7 PassStateEntered 9<8 PassStateExited "
        "10<9 MapIterationSucceeded 11<10 MapStateSucceeded 12<10 MapStateExited 13<12 MapIterationSucceeded "
        "14<12 MapIterationStarted 15<14 MapStateEntered 16<15 MapStateStarted 17<16 MapIterationStarted "
        "18<17 PassStateEntered 19<18 PassStateExited 20<19 MapIterationSucceeded 21<20 MapStateSucceeded "
        "22<20 MapStateExited 23<22 MapIterationSucceeded 24<23 MapStateSucceeded 25<23 MapStateExited "
        "26<25 ExecutionSucceeded",
    ),
    "a Map without items": (
        machine(A=end(map_over(machine(B=PASS)))),
        [],
        nothing,
        "1<0 ExecutionStarted 2<0 MapStateEntered 3<2 MapStateStarted 4<3 MapStateSucceeded 5<3 MapStateExited "
        "6<5 ExecutionSucceeded",
    ),
    "a Map whose iteration fails, caught": (
        machine(Z={"Type": "Pass"}, A=end(map_over(machine(B=FAIL), MaxConcurrency=1, Catch=CATCH_ALL)), Caught=PASS),
        [1],
        nothing,
        "1<0 ExecutionStarted 2<0 PassStateEntered 3<2 PassStateExited 4<3 MapStateEntered 5<4 MapStateStarted "
        "6<5 MapIterationStarted 7<6 FailStateEntered 8<7 MapIterationFailed 9<7 MapStateFailed 10<9 MapStateExited "
        "11<10 PassStateEntered 12<11 PassStateExited 13<12 ExecutionSucceeded",
    ),
    "a Map that is retried twice": (
        machine(Z={"Type": "Pass"}, A=end(map_over(machine(B=FAIL), MaxConcurrency=1, Retry=TWO_RETRIES))),
        [1],
        nothing,
        "1<0 ExecutionStarted 2<0 PassStateEntered 3<2 PassStateExited 4<3 MapStateEntered 5<4 MapStateStarted "
        "6<5 MapIterationStarted 7<6 FailStateEntered 8<7 MapIterationFailed 9<7 MapStateStarted "
        "10<9 MapIterationStarted 11<10 FailStateEntered 12<11 MapIterationFailed 13<11 MapStateStarted "
        "14<13 MapIterationStarted 15<14 FailStateEntered 16<15 MapIterationFailed 17<15 MapStateFailed "
        "18<17 ExecutionFailed",
    ),
}


@pytest.mark.parametrize(("definition", "data", "play", "trace"), CASES.values(), ids=CASES.keys())
def test_the_history_is_numbered_and_chained_as_recorded(
    definition: dict[str, Any], data: Any, play: Play, trace: str
) -> None:
    drive = Drive(definition, data)
    drive.start()
    play(drive)
    drive.run()
    assert drive.trace() == trace


def test_stop_in_a_wait_follows_no_event() -> None:
    drive = Drive(machine(A=WAIT))
    drive.start()
    drive.tell(StopRequested(None, None))
    assert drive.trace() == "1<0 ExecutionStarted 2<0 WaitStateEntered 3<0 ExecutionAborted"


def test_a_fault_of_jsonata_in_an_iteration_fails_iteration_and_map_after_the_evaluation() -> None:
    inner = machine(B={"Type": "Pass"}, C={**PASS, "Output": "{% $states.input.no %}"})
    drive = Drive({"QueryLanguage": "JSONata", **machine(A=end(map_over(inner, MaxConcurrency=1)))}, [1])
    drive.run()
    assert drive.trace().endswith(
        "6<5 PassStateExited 7<6 PassStateEntered 8<6 EvaluationFailed 9<8 MapIterationFailed 10<8 MapStateFailed "
        "11<10 ExecutionFailed"
    )


def test_tasks_that_began_together_all_time_out_before_the_first_of_them_fails_the_map() -> None:
    drive = Drive(machine(A=end(map_over(machine(B=end(task(TimeoutSeconds=5)))))), [1, 2, 3, 4])
    drive.run()
    assert [event["type"] for event in drive.events()].count("TaskTimedOut") == 4
    assert drive.trace().endswith(
        "TaskTimedOut 24<20 MapIterationFailed 25<20 TaskStateAborted 26<20 MapIterationAborted 27<20 TaskStateAborted "
        "28<20 MapIterationAborted 29<20 TaskStateAborted 30<20 MapIterationAborted 31<20 TaskStateAborted "
        "32<20 MapStateFailed 33<32 ExecutionFailed"
    )


def test_the_input_is_shown_as_it_was_given_when_it_was_given_as_text() -> None:
    given = '["Hello",  "World"]'
    drive = Drive(machine(A=PASS), ["Hello", "World"], input_text=given)
    drive.run()
    started, entered, exited, _ = drive.events()
    assert started["executionStartedEventDetails"]["input"] == given
    assert entered["stateEnteredEventDetails"]["input"] == given
    assert exited["stateExitedEventDetails"]["output"] == '["Hello","World"]'
    assert "inputText" not in started["executionStartedEventDetails"]
