"""TestState for programs: values go in and come out, where the operation has their JSON text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from engine.arguments import text_of
from engine.asl.diagnostics import InvalidDefinition
from engine.asl.source import InvalidSource, read_source
from engine.errors import InvalidExecutionInput, ValidationException
from engine.integrations.invocation import json_text
from engine.integrations.registry import MissingHandler
from engine.integrations.request import UnsupportedTask
from engine.jsonvalue import decode, text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.arguments import Definition
    from engine.jsonvalue import Json
    from engine.operations.service import Service
    from engine.operations.test_state import InspectionLevel


@dataclass(frozen=True, slots=True, kw_only=True)
class StateOutcome:
    """How a state that was tested ended.

    Attributes:
        status: `RETRIABLE`: its Retry would try again. `CAUGHT_ERROR`: its Catch took the error.
        output: None as well where there is none: `status` tells.
        error: The Error Name, also of an error that was caught or would be retried.
        next_state: Where it goes on; None: nowhere.
        inspection_data: What the stages of its data flow made, by AWS's member names (`afterInputPath`, ...), which
            Retrier or Catcher was chosen (`errorDetails`), and the `variables` after it. Empty at level INFO. At TRACE
            also `request` and `response` of an HTTP Task.
    """

    status: Literal["SUCCEEDED", "FAILED", "RETRIABLE", "CAUGHT_ERROR"]
    output: Json
    error: str | None
    cause: str | None
    next_state: str | None
    inspection_data: dict[str, Any]


async def tested(
    service: Service,
    definition: Definition,
    input: Json | bytes,
    *,
    state: str | None,
    mock: Mapping[str, Any] | None,
    inspection_level: InspectionLevel,
    reveal_secrets: bool,
    variables: Mapping[str, Json] | None,
    context: Mapping[str, Json] | None,
    state_configuration: Mapping[str, Any] | None,
) -> StateOutcome:
    """See `Engine.test_state`."""
    from engine.operations.test_state import test_state

    try:
        answer = await test_state(
            service,
            definition=_definition_text(definition),
            role_arn=service.role_arn,
            input=_input_text(input),
            inspection_level=inspection_level,
            reveal_secrets=reveal_secrets,
            variables=None if variables is None else _text("variables", dict(variables)),
            state_name=state,
            mock=None if mock is None else _mock(mock),
            context=None if context is None else _text("context", dict(context)),
            state_configuration=state_configuration,
        )
    except ValidationException as error:
        if isinstance(error.__cause__, MissingHandler | UnsupportedTask):
            raise error.__cause__ from None
        raise
    inspected = answer.get("inspection_data", {})
    return StateOutcome(
        status=answer["status"],
        output=decode(answer["output"]) if "output" in answer else None,
        error=answer.get("error"),
        cause=answer.get("cause"),
        next_state=answer.get("next_state"),
        inspection_data={name: decode(value) if isinstance(value, str) else value for name, value in inspected.items()},
    )


def _definition_text(definition: Definition) -> str:
    given, syntax = text_of(definition)
    if syntax == "JSON":
        return given
    try:
        return text(read_source(given, syntax).value)
    except InvalidSource as error:
        raise InvalidDefinition((error.diagnostic,)) from None


def _input_text(given: Json | bytes) -> str:
    try:
        return given.decode() if isinstance(given, bytes) else json_text(given).decode()
    except ValueError as error:
        raise InvalidExecutionInput(str(error)) from None


def _mock(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _text("mock", value) if name == "result" else value for name, value in given.items()}


def _text(what: str, value: object) -> str:
    try:
        return json_text(value).decode()
    except ValueError as error:
        raise ValidationException(f"{what}: {error}") from None
