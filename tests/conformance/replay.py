"""Replays a recorded conversation against anything that answers AWS's operations, and lists the differences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from tests.conformance.cases import Case, Parameters, Unanswered
from tests.conformance.compare import ABSENT, Comparison, Difference

if TYPE_CHECKING:
    from collections.abc import Mapping

_REPEAT_SECONDS = 0.2
_REPEATS_MAX = 500
_TERMINAL = frozenset({"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"})


class CallFailed(Exception):
    """An API error: what boto3 raises as ClientError."""

    def __init__(self, code: str, message: str, *, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


class Adapter(Protocol):
    """What the replayer talks to: the only thing to swap for another engine, or for the real service."""

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The answer in boto3's shape; `ResponseMetadata` may be left out when the status is 200.

        Raises:
            CallFailed: The operation answered with an error.
        """
        ...

    def let_pass(self, seconds: float) -> None:
        """Lets time pass."""
        ...


def replay(case: Case, adapter: Adapter) -> list[Difference]:
    """Makes the calls of a case; all differences between its answers and the recorded ones."""
    placeholders = case.data["placeholders"]
    comparison = Comparison(placeholders["in_text"], placeholders["whole_value"], case.data.get("unordered", ()))
    parameters = Parameters(case)
    differences: list[Difference] = []
    for step in case.steps:
        if "pause_before_seconds" in step:
            adapter.let_pass(step["pause_before_seconds"])
        try:
            outcome, answer = _call_until(step, parameters, adapter)
        except Unanswered as error:
            differences.append(Difference((step["id"], "params"), str(error), ABSENT))
            continue
        parameters.answers[step["id"]] = answer
        for expectation in step.get("expect", ()):
            place = (expectation["key"],)
            differences += comparison.compare(place, expectation["value"], _selected(expectation, step, answer))
        if not step.get("expect") and outcome != step["outcome"]:
            differences.append(Difference((step["id"], "outcome"), step["outcome"], answer))
    return differences


def _call_until(step: Mapping[str, Any], parameters: Parameters, adapter: Adapter) -> tuple[str, dict[str, Any]]:
    """Calls once, or again and again until what the step waits for is there."""
    until = step.get("repeat_until")
    outcome, answer = _call(step, parameters, adapter)
    for _ in range(_REPEATS_MAX):
        if until is None or _is_reached(until, answer):
            break
        adapter.let_pass(_REPEAT_SECONDS)
        outcome, answer = _call(step, parameters, adapter)
    return outcome, answer


def _call(step: Mapping[str, Any], parameters: Parameters, adapter: Adapter) -> tuple[str, dict[str, Any]]:
    try:
        answer = adapter.call(step.get("service", "stepfunctions"), step["op"], parameters.of(step["params"]))
    except CallFailed as error:
        return "error", {
            "Error": {"Code": error.code, "Message": error.message},
            "message": error.message,
            "ResponseMetadata": {"HTTPStatusCode": error.status},
        }
    return "ok", {**answer, "ResponseMetadata": {"HTTPStatusCode": 200}}


def _is_reached(until: str, answer: Mapping[str, Any]) -> bool:
    types = {event["type"] for event in answer.get("events", ())}
    if until == "terminal":
        return bool(types & _TERMINAL)
    if until.startswith("event:"):
        return until.removeprefix("event:") in types
    if until.startswith("status:"):
        return answer.get("status") == until.removeprefix("status:")
    raise ValueError(f"no such condition: repeat_until {until!r}")


def _selected(expectation: Mapping[str, Any], step: Mapping[str, Any], answer: Mapping[str, Any]) -> Any:
    """The part of an answer that an expectation is about."""
    of = expectation.get("of")
    if of == "execution_output":
        succeeded = (event.get("executionSucceededEventDetails") for event in answer.get("events", ()))
        return next((details["output"] for details in succeeded if details), ABSENT)
    if of == "error_text":
        error = answer.get("Error")
        if error is None:
            return ABSENT
        value = f"An error occurred ({error['Code']}) when calling the {step['op']} operation: {error['Message']}"
        return {"exception_typename": error["Code"], "exception_value": value}
    if of is not None:
        raise ValueError(f"no such selection: of {of!r}")
    selected: Any = {key: value for key, value in answer.items() if key not in expectation.get("without", ())}
    for key in expectation.get("path", ()):
        selected = selected.get(key, ABSENT)
    return selected
