"""The replayer: references, repeated calls, errors; against an adapter that answers what it is told to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.conformance.cases import Case, Parameters
from tests.conformance.replay import CallFailed, replay

if TYPE_CHECKING:
    from collections.abc import Mapping

OK = {"HTTPHeaders": {}, "HTTPStatusCode": 200}


class Scripted:
    """Answers each call with the next of its answers, and notes what it was asked."""

    def __init__(self, *answers: dict[str, Any] | CallFailed) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, Any]]] = []
        self.passed = 0.0

    def call(self, service: str, operation: str, params: Mapping[str, Any], account: str) -> dict[str, Any]:
        assert account == "first"
        self.asked.append((service, operation, dict(params)))
        answer = self.answers.pop(0)
        if isinstance(answer, CallFailed):
            raise answer
        return answer

    def let_pass(self, seconds: float) -> None:
        self.passed += seconds


def case(*steps: dict[str, Any], **more: Any) -> Case:
    filled = [{"id": f"c{n}", "params": {}, "outcome": "ok", **step} for n, step in enumerate(steps, 1)]
    return Case("area/name.json", {"steps": filled, "placeholders": {"in_text": [], "whole_value": []}, **more})


def expects(value: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"key": "k", "value": value, **more}]


def test_references_reach_into_earlier_answers_and_into_json_inside_them() -> None:
    first = {"op": "A"}
    second = {"op": "B", "params": {"arn": "@@c1.list.0.body.!.token@@", "text": "x-@@c1.n@@-@@u1@@", "n": "@@c1.n@@"}}
    adapter = Scripted({"list": [{"body": '{"token": "t"}'}], "n": 5}, {})
    assert replay(case(first, second), adapter) == []
    assert adapter.asked[1][2] == {"arn": "t", "text": "x-5-u1xxxxxx", "n": 5}


def test_marked_parameters_are_made_what_they_stand_for() -> None:
    made = Parameters(case()).of({"definition": {"@json": {"a": "@@account@@"}}, "body": {"@base64": "aGk="}})
    assert json.loads(made["definition"]) == {"a": "123456789012"}
    assert made["body"] == b"hi"


def test_a_call_is_repeated_while_time_passes_until_the_history_is_complete() -> None:
    step = {"op": "GetExecutionHistory", "repeat_until": "terminal"}
    adapter = Scripted({"events": []}, {"events": []}, {"events": [{"type": "ExecutionFailed"}]})
    assert replay(case(step), adapter) == []
    assert (len(adapter.asked), round(adapter.passed, 1)) == (3, 0.4)


def test_a_call_is_repeated_until_the_answer_is_the_expected_one() -> None:
    step = {"op": "A", "repeat_until": "expected", "expect": expects({"n": 2, "ResponseMetadata": OK})}
    assert replay(case(step), Scripted({"n": 1}, {"n": 2})) == []


def test_a_call_is_repeated_until_what_later_steps_refer_to_is_there() -> None:
    steps = ({"op": "A", "repeat_until": "referenced"}, {"op": "B", "params": {"x": "@@c1.found@@"}})
    adapter = Scripted({}, {"found": 1}, {})
    assert replay(case(*steps), adapter) == []
    assert [operation for _, operation, _ in adapter.asked] == ["A", "A", "B"]


def test_an_error_is_compared_in_the_shape_of_boto3() -> None:
    value = {
        "Error": {"Code": "InvalidArn", "Message": "m"},
        "message": "m",
        "ResponseMetadata": {"HTTPStatusCode": 400},
    }
    step = {"op": "A", "outcome": "error", "expect": expects(value)}
    assert replay(case(step), Scripted(CallFailed("InvalidArn", "m"))) == []
    assert [found.path for found in replay(case(step), Scripted(CallFailed("InvalidArn", "n")))] == [
        "$.k.Error.Message",
        "$.k.message",
    ]


def test_a_step_that_expects_nothing_must_still_go_on_as_it_did() -> None:
    assert replay(case({"op": "A", "outcome": "error"}), Scripted(CallFailed("X", "m"))) == []
    assert [found.path for found in replay(case({"op": "A"}), Scripted(CallFailed("X", "m")))] == ["$.c1.outcome"]


def test_a_reference_that_nothing_answers_is_a_difference_and_the_case_goes_on() -> None:
    found = replay(case({"op": "A"}, {"op": "B", "params": {"x": "@@c1.no@@"}}, {"op": "C"}), Scripted({}, {}))
    assert [difference.path for difference in found] == ["$.c2.params"]


def test_the_output_of_an_execution_can_be_expected_alone() -> None:
    step = {"op": "GetExecutionHistory", "expect": expects({"a": 1}, of="execution_output")}
    answer = {"events": [{"type": "ExecutionSucceeded", "executionSucceededEventDetails": {"output": '{"a":1}'}}]}
    assert replay(case(step), Scripted(answer)) == []
