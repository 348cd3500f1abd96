"""What TestState takes: its rules besides the service model's, in AWS's words where they are known (api.md 9.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from engine.asl.diagnostics import Diagnostic, InvalidDefinition
from engine.asl.parser import parse, parse_state
from engine.asl.program import Flow, MapState, ParallelState, State, TaskState, flows_of
from engine.errors import InvalidArn, StatesError, ValidationException
from engine.interpreter.trial import Mock
from engine.jsonvalue import InvalidJson, Json, decode
from engine.operations.map_item_reader_data import items_read

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNMOCKED_TYPES = "[Task, Wait, Pass, Succeed, Fail, Choice]"

_CONTEXT_MEMBERS: Final[Mapping[str, Mapping[str, tuple[str, type | tuple[type, ...]]]]] = {
    "Execution": {
        "Id": ("a string", str),
        "Input": ("", object),
        "Name": ("a string", str),
        "RoleArn": ("a string", str),
        "StartTime": ("a string", str),
        "RedriveCount": ("a number", (int, float)),
        "RedriveTime": ("a string", str),
    },
    "State": {"EnteredTime": ("a string", str), "Name": ("a string", str), "RetryCount": ("a number", (int, float))},
    "StateMachine": {"Id": ("a string", str), "Name": ("a string", str)},
    "Task": {"Token": ("a string", str)},
}


def state_under_test(definition: str, name: str | None) -> tuple[State, bool]:
    """The state, and whether it is one of a Map's item processor.

    Args:
        definition: A whole state machine when `name` says which of its states; else the state alone.
        name: Of a state, wherever in the definition.

    Raises:
        InvalidDefinition: With diagnostics.
        ValidationException: No such state.
    """
    parsed = parse_state(definition) if name is None else parse(definition, warnings=False)
    if parsed.program is None:
        raise InvalidDefinition(parsed.diagnostics)
    if name is None:
        return next(iter(parsed.program.states.values())), False
    found = _find(parsed.program, name, is_in_map=False)
    if found is None:
        raise ValidationException("State not found in definition")
    return found


def _find(flow: Flow, name: str, *, is_in_map: bool) -> tuple[State, bool] | None:
    if name in flow.states:
        return flow.states[name], is_in_map
    for state in flow.states.values():
        for inner in flows_of(state):
            found = _find(inner, name, is_in_map=is_in_map or isinstance(state, MapState))
            if found is not None:
                return found
    return None


def check_role(role_arn: str | None, state: State, *, is_mocked: bool) -> None:
    """Raises ValidationException, InvalidArn: a Task that really runs needs a role."""
    if role_arn is None and isinstance(state, TaskState) and not is_mocked:
        raise ValidationException("RoleArn must be specified when testing a Task state")
    if role_arn is not None and not role_arn.startswith("arn:"):
        raise InvalidArn(f"Invalid ARN prefix: {role_arn}")


def mock_of(
    state: State, given: Mapping[str, Any] | None, configuration: Mapping[str, Any], *, reveals_secrets: bool
) -> Mock | None:
    """What stands in for the state's work; None: nothing does.

    Args:
        given: The request's `mock`: `result` is JSON text, `errorOutput` an error and its cause.
        configuration: The request's `stateConfiguration`.
        reveals_secrets: The request's `revealSecrets`.

    Raises:
        ValidationException: It does not fit the state.
        InvalidDefinition: A Map or Parallel without one.
    """
    if given is None:
        _check_unmocked(state, configuration)
        return None
    if not isinstance(state, TaskState | MapState | ParallelState):
        kind = type(state).__name__.removesuffix("State")
        raise ValidationException(f"State type '{kind}' is not supported when a mock is specified")
    if reveals_secrets:
        raise ValidationException("TestState does not support RevealSecrets when a mock is specified.")
    result: Any = given.get("result")
    error_output: Mapping[str, Any] | None = given.get("errorOutput")
    if (result is None) == (error_output is None):
        raise ValidationException("A test mock should have only one of the following fields: [result, errorOutput].")
    _check_causing_state(state, configuration)
    failures = configuration.get("mapIterationFailureCount", 0)
    items = _items(state, configuration.get("mapItemReaderData"))
    if error_output is not None:
        if error_output.get("error") is None:
            raise ValidationException("A mocked errorOutput must have an error.")
        error = StatesError(error_output["error"], error_output.get("cause"))
        return Mock(error=error, failures=failures, items=items)
    return Mock(result=_result(state, result), failures=failures, items=items)


def _check_unmocked(state: State, configuration: Mapping[str, Any]) -> None:
    if configuration.get("mapIterationFailureCount") is not None:
        raise ValidationException("TestState does not support MapIterationFailureCount when a mock is not specified.")
    if isinstance(state, MapState | ParallelState):
        raise _unsupported_type()
    if isinstance(state, TaskState):
        resource = state.resource
        if resource.kind == "activity" or resource.pattern != "REQUEST_RESPONSE":
            raise ValidationException(
                f"TestState does not support the resource {resource.arn} when a mock is not specified."
            )


def _unsupported_type() -> InvalidDefinition:
    message = f"TestState API does not support Map or Parallel states. Supported state types include: {_UNMOCKED_TYPES}"
    diagnostic = Diagnostic(
        severity="ERROR",
        code="SCHEMA_VALIDATION_FAILED",
        message=message,
        rule="test-state-type",
        hint="give a mock",
    )
    return InvalidDefinition((diagnostic,), message)


def _check_causing_state(state: State, configuration: Mapping[str, Any]) -> None:
    name = configuration.get("errorCausedByState")
    if name is not None and not any(_find(flow, name, is_in_map=False) for flow in flows_of(state)):
        raise ValidationException("State not found in definition")


def _items(state: State, data: str | None) -> list[Json] | dict[str, Json] | None:
    if data is None or not isinstance(state, MapState) or state.item_reader is None:
        return None
    return items_read(state.item_reader, data)


def _result(state: TaskState | MapState | ParallelState, text: str) -> Json:
    try:
        result = decode(text)
    except InvalidJson:
        raise ValidationException("Mocked result must be valid JSON") from None
    if isinstance(state, MapState) and state.result_writer is not None:
        if not isinstance(result, dict):
            raise ValidationException("Mocked result must be a JSON object.")
    elif isinstance(state, MapState | ParallelState) and not isinstance(result, list):
        raise ValidationException("Mocked result must be an array.")
    if isinstance(state, ParallelState) and isinstance(result, list) and len(result) != len(state.branches):
        raise ValidationException("Mocked result must contain the same number of items as number of Parallel branches.")
    return result


def variables_of(text: str | None) -> dict[str, Json]:
    """The variables that are set when the state is entered. Raises ValidationException: not the text of an object."""
    try:
        value = {} if text is None else decode(text)
    except InvalidJson as error:
        raise ValidationException(f"Variables must be a valid JSON object: {error}") from None
    if not isinstance(value, dict):
        raise ValidationException("Variables must be a valid JSON object")
    return value


def context_of(text: str, state: State, *, is_mocked: bool) -> dict[str, Json]:
    """The Context Object of the request. Raises ValidationException: it has what a Context Object has not."""
    if not is_mocked:
        raise ValidationException("TestState does not support Context when a mock is not specified.")
    try:
        context = decode(text)
    except InvalidJson as error:
        raise _invalid_context(f"not valid JSON: {error}") from None
    if not isinstance(context, dict):
        raise _invalid_context("Context object must be a JSON object")
    if "Map" in context:
        raise _invalid_context("'Map' field is not supported when mocking a Context object")
    has_token = isinstance(state, TaskState) and state.resource.pattern != "REQUEST_RESPONSE"
    for name, about in context.items():
        members = _CONTEXT_MEMBERS.get(name)
        if members is None:
            raise _invalid_context(f"Field '{name}' is not allowed")
        if name == "Task" and not has_token:
            raise _invalid_context(
                "Context object contains 'Task' when state is not a Task state with a '.sync' or '.waitForTaskToken' "
                "service integration pattern"
            )
        if not isinstance(about, dict):
            raise _invalid_context(f"{name} must be an object")
        for member, value in about.items():
            if member not in members:
                raise _invalid_context(f"Field '{member}' is not allowed")
            what, types = members[member]
            if not isinstance(value, types) or (isinstance(value, bool) and types is not object):
                raise _invalid_context(f"{name}.{member} must be {what}")
    return context


def _invalid_context(reason: str) -> ValidationException:
    return ValidationException(f"Invalid Context object provided: {reason}")
