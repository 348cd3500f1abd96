"""Limits of size and length: exact at the boundary, and off when they are off."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.driver import Drive, done, execution_of

if TYPE_CHECKING:
    from engine.interpreter.messages import ScheduleTask

PASS = {"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": "x", "ResultPath": "$.r", "End": True}}}
LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:f"


def padded(total_bytes: int) -> dict[str, str]:
    """An object of exactly that many bytes of JSON."""
    return {"p": "x" * (total_bytes - len('{"p":""}'))}


def counting(turns: int) -> dict[str, Any]:
    more = {"Variable": "$.n", "NumericLessThan": turns, "Next": "Add"}
    return {
        "StartAt": "More",
        "States": {
            "More": {"Type": "Choice", "Choices": [more], "Default": "End"},
            "Add": {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, 1)"}, "Next": "More"},
            "End": {"Type": "Pass", "End": True},
        },
    }


def test_an_output_of_exactly_the_payload_limit_passes() -> None:
    drive = Drive(PASS, padded(262_144 - len(',"r":"x"')))
    drive.run()
    assert drive.status == "SUCCEEDED"


def test_an_output_one_byte_over_the_payload_limit_fails_the_execution() -> None:
    drive = Drive(PASS, padded(262_144 - len(',"r":"x"') + 1))
    drive.run()
    assert drive.ending is not None
    assert drive.ending.error == "States.DataLimitExceeded"
    assert drive.ending.cause == (
        "The state/task 'P' returned a result with a size exceeding the maximum number of bytes service limit."
    )
    assert drive.trace() == "1<0 ExecutionStarted 2<0 PassStateEntered 3<2 ExecutionFailed"


def test_a_small_payload_limit_of_ones_own_is_kept_exactly() -> None:
    for spare, status in ((0, "SUCCEEDED"), (1, "FAILED")):
        given = padded(100 - len(',"r":"x"') + spare)
        drive = Drive(PASS, execution=execution_of(given, payload_bytes_max=100))
        drive.run()
        assert drive.status == status


def test_a_standard_execution_is_timed_out_when_it_was_open_for_a_year() -> None:
    never = {"Variable": "$$.State.EnteredTime", "StringEquals": "", "Next": "E"}
    states = {
        "W": {"Type": "Wait", "Seconds": 99_999_999, "Next": "C"},
        "C": {"Type": "Choice", "Choices": [never], "Default": "W"},
        "E": {"Type": "Succeed"},
    }
    drive = Drive({"StartAt": "W", "States": states})
    drive.run()
    assert drive.status == "TIMED_OUT"
    first, *_, last = drive.events()
    assert last["type"] == "ExecutionTimedOut"
    assert last["timestamp"] - first["timestamp"] == timedelta(seconds=99_999_999), "no event came before"


def test_without_a_payload_limit_documents_may_be_large() -> None:
    drive = Drive(PASS, execution=execution_of(padded(1_000_000), payload_bytes_max=0))
    drive.run()
    assert drive.status == "SUCCEEDED"


def test_a_task_result_over_the_limit_is_a_failure_that_can_be_caught() -> None:
    task = {"Type": "Task", "Resource": LAMBDA, "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "C"}], "End": True}
    drive = Drive(
        {"StartAt": "T", "States": {"T": task, "C": {"Type": "Pass", "End": True}}},
        answer=lambda command: done(command, "x" * 262_143),
    )
    drive.run()
    assert drive.status == "SUCCEEDED"
    failed = next(event for event in drive.events() if event["type"] == "LambdaFunctionFailed")
    assert failed["lambdaFunctionFailedEventDetails"] == {
        "error": "States.DataLimitExceeded",
        "cause": f"The state/task '{LAMBDA}' returned a result with a size exceeding the maximum number of bytes "
        "service limit.",
    }


def test_event_25_000_is_the_failure() -> None:
    drive = Drive(counting(100_000), {"n": 0})
    drive.run()
    events = drive.events()
    assert len(events) == 25_000
    assert events[-1]["type"] == "ExecutionFailed"
    assert events[-1]["previousEventId"] == 24_999
    assert events[-1]["executionFailedEventDetails"] == {
        "error": "States.Runtime",
        "cause": "The execution reached the maximum number of history events (25000).",
    }


@pytest.mark.parametrize("limit", [5, 6, 7, 8, 20, 101])
def test_no_history_is_longer_than_its_limit(limit: int) -> None:
    drive = Drive(counting(1_000), execution=execution_of({"n": 0}, history_events_max=limit))
    drive.run()
    assert [event["id"] for event in drive.events()] == list(range(1, limit + 1))
    assert drive.events()[-1]["type"] == "ExecutionFailed"


def test_an_execution_may_end_with_the_last_event_that_fits() -> None:
    whole = Drive(counting(3), {"n": 0})
    whole.run()
    length = len(whole.events())
    exact = Drive(counting(3), execution=execution_of({"n": 0}, history_events_max=length))
    exact.run()
    assert exact.status == "SUCCEEDED"
    short = Drive(counting(3), execution=execution_of({"n": 0}, history_events_max=length - 1))
    short.run()
    assert short.status == "FAILED"


def test_many_branches_at_once_do_not_pass_the_history_limit() -> None:
    inner = {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": LAMBDA, "End": True}}}
    each = {
        "StartAt": "M",
        "States": {"M": {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": inner, "End": True}},
    }
    given = {"items": list(range(40))}
    drive = Drive(each, execution=execution_of(given, history_events_max=50), answer=lambda command: None)
    drive.run()
    assert drive.status == "FAILED"
    assert len(drive.events()) == 50
    assert not drive.tasks


def test_without_a_history_limit_an_execution_may_be_long() -> None:
    drive = Drive(counting(20_000), execution=execution_of({"n": 0}, history_events_max=0))
    drive.run()
    assert drive.status == "SUCCEEDED"
    assert len(drive.events()) > 80_000


def test_one_assign_may_set_256_kib_and_no_more() -> None:
    assign = {"Type": "Pass", "Assign": {"v.$": "$.p"}, "Result": {}, "End": True}
    for spare, status in ((0, "SUCCEEDED"), (1, "FAILED")):
        state = {**assign, "Assign": {"v.$": "$"}}
        del state["Result"]
        given = "x" * (262_144 - len('{"v":""}') + spare)
        drive = Drive({"StartAt": "P", "States": {"P": state}}, given)
        drive.run()
        assert drive.status == status, spare


def test_the_variables_of_an_execution_may_hold_10_mib() -> None:
    states: dict[str, Any] = {}
    for n in range(45):
        state: dict[str, Any] = {"Type": "Pass", "Assign": {f"v{n}.$": "$"}}
        state |= {"Next": f"P{n + 1}"} if n < 44 else {"End": True}
        states[f"P{n}"] = state
    drive = Drive({"StartAt": "P0", "States": states}, "x" * 250_000)
    drive.run()
    assert drive.ending is not None
    assert drive.ending.error == "States.DataLimitExceeded"
    assert drive.ending.state == "P41"


def test_a_loop_gives_others_a_turn() -> None:
    drive = Drive(counting(10_000), execution=execution_of({"n": 0}, history_events_max=0))
    drive.run()
    assert max(len(segment.events) for segment in drive.segments) < 2_100
    assert len(drive.segments) > 15


def test_a_task_that_is_answered_when_the_history_is_full_fails_the_execution() -> None:
    tasks: list[ScheduleTask] = []
    machine = {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": LAMBDA, "End": True}}}
    drive = Drive(
        machine, execution=execution_of({}, history_events_max=5), answer=lambda command: tasks.append(command)
    )
    drive.start()
    assert drive.status == "RUNNING"
    drive.tell(done(tasks[0], 1))
    assert drive.trace().endswith("4<3 LambdaFunctionStarted 5<4 ExecutionFailed")


@pytest.mark.parametrize("field", ["Output", "Assign"])
def test_a_jsonata_value_that_repeats_its_input_is_measured(field: str) -> None:
    twice = {"a": "{% $states.input.p %}", "b": "{% $states.input.p %}"}
    state = {"Type": "Pass", field: twice, "End": True}
    for size, status in ((130_000, "SUCCEEDED"), (132_000, "FAILED")):
        drive = Drive({"QueryLanguage": "JSONata", "StartAt": "P", "States": {"P": state}}, padded(size))
        drive.run()
        assert drive.status == status


@pytest.mark.parametrize("inner", [{"a.$": "$"}, [{"b.$": "$"}], {"a.$": "States.Array($)"}, {"a.$": "$[*]"}])
def test_a_document_that_grows_ever_deeper_fails_its_state(inner: Any) -> None:
    states = {
        "P": {"Type": "Pass", "Parameters": inner, "Next": "C"},
        "C": {
            "Type": "Choice",
            "Choices": [{"Variable": "$$.State.Name", "IsNull": True, "Next": "E"}],
            "Default": "P",
        },
        "E": {"Type": "Succeed"},
    }
    drive = Drive({"StartAt": "P", "States": states})
    drive.run()
    assert drive.ending is not None
    assert drive.ending.error == "States.Runtime"
    assert drive.ending.cause is not None
    assert drive.ending.cause.endswith(
        "The data is nested too deeply: more than 300 arrays and objects inside one another."
    )


def test_a_variable_that_grows_ever_deeper_fails_its_state() -> None:
    states = {
        "A": {"Type": "Pass", "Assign": {"v": 1}, "Next": "P"},
        "P": {"Type": "Pass", "Assign": {"v": {"v.$": "$v"}}, "Next": "C"},
        "C": {"Type": "Choice", "Choices": [{"Variable": "$v", "IsNull": True, "Next": "E"}], "Default": "P"},
        "E": {"Type": "Succeed"},
    }
    drive = Drive({"StartAt": "A", "States": states})
    drive.run()
    assert drive.ending is not None
    assert drive.ending.error == "States.Runtime"


@pytest.mark.parametrize("fields", [{}, {"ResultPath": None}, {"ResultSelector": {"first.$": "$[0].n"}}])
@pytest.mark.parametrize("kind", ["Map", "Parallel"])
def test_what_branches_give_together_has_to_fit_the_limit_whatever_goes_on(kind: str, fields: dict[str, Any]) -> None:
    def inner(name: str) -> dict[str, Any]:
        return {"StartAt": name, "States": {name: {"Type": "Pass", "End": True}}}

    work = {"Branches": [inner("A"), inner("B")]} if kind == "Parallel" else {"ItemProcessor": inner("A")}
    document = {"n": 1, "p": "x" * 500}
    for limit, status in ((10_000, "SUCCEEDED"), (1_000, "FAILED")):
        # The items are measured too, so each iteration makes its document of nothing.
        if kind == "Map":
            work["ItemProcessor"]["States"]["A"]["Result"] = document
        given: Any = [1, 2] if kind == "Map" else document
        drive = Drive(
            {"StartAt": "S", "States": {"S": {"Type": kind, **work, **fields, "End": True}}},
            execution=execution_of(given, payload_bytes_max=limit),
        )
        drive.run()
        assert drive.status == status
        assert drive.ending is not None
        assert drive.ending.error == (None if status == "SUCCEEDED" else "States.DataLimitExceeded")


def test_attempts_that_leave_no_event_come_to_an_end_all_the_same() -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 99_999_999, "BackoffRate": 1}]
    task = {"Type": "Task", "Resource": LAMBDA, "End": True, "Retry": retry}
    task["Parameters"] = {"item.$": "States.ArrayGetItem($.list, 5)"}
    machine = {"StartAt": "T", "States": {"T": task}}
    drive = Drive(machine, execution=execution_of({"list": []}, history_events_max=50))
    drive.run()
    assert drive.ending is not None
    assert drive.ending.error == "States.Runtime"
    assert drive.ending.cause == "The state was retried 50 times, more often than a history has events."
