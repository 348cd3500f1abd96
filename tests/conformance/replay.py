"""Replays a recorded conversation against anything that answers AWS's operations, and lists the differences."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from tests.conformance.cases import Case, Parameters, Unanswered, references_in
from tests.conformance.compare import ABSENT, Comparison, Difference

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_REPEAT_SECONDS = 0.2
_REPEATS_MAX = 500
_OF_OTHERS = "referenced"
"""What is waited for in the answers of other services: the engine tells them of its executions a little later."""

_UNLISTED = "<request-id>"
"""A placeholder that the data's own lists lack in places."""

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

    def call(self, service: str, operation: str, params: Mapping[str, Any], account: str) -> dict[str, Any]:
        """The answer in boto3's shape; without `ResponseMetadata` its status is 200.

        Args:
            service: boto3's name; `stepfunctions` for all of Step Functions.
            operation: `StartExecution`, ...
            account: `first` or `second`: who calls.

        Raises:
            CallFailed: The operation answered with an error.
        """
        ...

    def let_pass(self, seconds: float) -> None:
        """Lets time pass."""
        ...


def replay(case: Case, adapter: Adapter) -> list[Difference]:
    """Makes the calls of a case; all differences between its answers and the recorded ones."""
    return _Conversation(case, adapter).hold()


class _Conversation:
    def __init__(self, case: Case, adapter: Adapter) -> None:
        placeholders = case.data["placeholders"]
        unordered = case.data.get("unordered", ())
        self._steps = case.steps
        self._adapter = adapter
        in_text = [*placeholders["in_text"], _UNLISTED]
        self._comparison = Comparison(in_text, placeholders["whole_value"], unordered)
        self._parameters = Parameters(case)

    def hold(self) -> list[Difference]:
        differences: list[Difference] = []
        for place, step in enumerate(self._steps):
            if "pause_before_seconds" in step:
                self._adapter.let_pass(step["pause_before_seconds"])
            try:
                outcome, answer = self._call_until_reached(step, self._steps[place + 1 :])
            except Unanswered as error:
                differences.append(Difference((step["id"], "params"), str(error), ABSENT))
                continue
            differences += self._compare(step, answer)
            if not step.get("expect") and outcome != step["outcome"]:
                differences.append(Difference((step["id"], "outcome"), step["outcome"], answer))
        return differences

    def _compare(self, step: Mapping[str, Any], answer: Mapping[str, Any]) -> list[Difference]:
        differences: list[Difference] = []
        for expectation in step.get("expect", ()):
            selected = _selected(expectation, step, answer)
            differences += self._comparison.compare((expectation["key"],), expectation["value"], selected)
        return differences

    def _call_until_reached(
        self, step: Mapping[str, Any], later: Sequence[Mapping[str, Any]]
    ) -> tuple[str, dict[str, Any]]:
        """Calls once, or again and again until what the step waits for is there."""
        outcome, answer = self._call(step)
        for _ in range(_REPEATS_MAX):
            if self._is_reached(step, answer, later):
                break
            self._adapter.let_pass(_REPEAT_SECONDS)
            outcome, answer = self._call(step)
        return outcome, answer

    def _call(self, step: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        params = self._parameters.of(step["params"])
        outcome = "ok"
        try:
            answer = self._adapter.call(
                step.get("service", "stepfunctions"), step["op"], params, step.get("account", "first")
            )
            answer = {"ResponseMetadata": {"HTTPStatusCode": 200}, **answer}
        except CallFailed as error:
            outcome = "error"
            answer = {
                "Error": {"Code": error.code, "Message": error.message},
                "message": error.message,
                "ResponseMetadata": {"HTTPStatusCode": error.status},
            }
        self._parameters.answers[step["id"]] = answer
        return outcome, answer

    def _is_reached(
        self, step: Mapping[str, Any], answer: Mapping[str, Any], later: Sequence[Mapping[str, Any]]
    ) -> bool:
        until = step.get("repeat_until") or (_OF_OTHERS if "service" in step else None)
        types = {event.get("type") for event in answer.get("events", ())}
        match until and until.partition(":"):
            case None:
                return True
            case "terminal", _, _:
                return bool(types & _TERMINAL)
            case "event", _, kind:
                return kind in types
            case "status", _, status:
                return bool(answer.get("status") == status)
            case "expected", _, _:
                with self._comparison.on_trial():
                    return not self._compare(step, answer)
            case "referenced", _, _:
                return self._parameters.are_answered(references_in(later), step["id"])
            case _:
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
    if of in ("log_messages", "last_log_message"):
        messages = [json.loads(event["message"]) for event in answer.get("events", ())]
        if of == "log_messages":
            return messages
        return messages[-1] if messages else ABSENT
    if of is not None:
        raise ValueError(f"no such selection: of {of!r}")
    selected: Any = {key: value for key, value in answer.items() if key not in expectation.get("without", ())}
    for key in expectation.get("path", ()):
        selected = selected.get(key, ABSENT)
    return selected
