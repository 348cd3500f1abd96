"""Fail: ends its flow with an error of the user's own (asl.md 11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from engine.errors import StatesError
from engine.interpreter.context import Visit
from engine.interpreter.state_plan import StatePlan
from engine.interpreter.step import Raise, Step
from engine.jsonvalue import text
from engine.query.jsonata import Bundle, JsonataTemplate, unexpected_type
from engine.query.jsonpath import PathError
from engine.query.templates import path_not_found

if TYPE_CHECKING:
    from engine.asl.program import FailState
    from engine.query.evaluation import Expression

Text: TypeAlias = Callable[[Visit], str | None]


@dataclass(slots=True, eq=False, kw_only=True)
class FailPlan(StatePlan):
    """A Fail state."""

    error: Text
    cause: Text


def plan(state: FailState) -> FailPlan:
    """Compiles the state."""
    return FailPlan(
        name=state.name,
        type="Fail",
        error=_text("ErrorPath", state.error, state.error_path),
        cause=_text("CausePath", state.cause, state.cause_path),
    )


def enter(state: FailPlan, visit: Visit) -> Step:
    """Fails; Error and Cause that are not there stay absent (recorded)."""
    return Raise(StatesError(state.error(visit), state.cause(visit)))


def _text(field: str, literal: str | JsonataTemplate | None, path: Expression | None) -> Text:
    if path is not None:
        return _by_path(field, path)
    if isinstance(literal, JsonataTemplate):
        return _by_jsonata(literal)
    return lambda visit: literal


def _by_jsonata(template: JsonataTemplate) -> Text:
    bundle = Bundle([template])

    def find(visit: Visit) -> str | None:
        value = bundle.evaluate(visit, {"input": visit.input})[0]
        if not isinstance(value, str):
            raise unexpected_type(template, "string", value)
        return value

    return find


def _by_path(field: str, path: Expression) -> Text:
    def find(visit: Visit) -> str | None:
        try:
            value = path.evaluate(visit.input, visit)
        except PathError as error:
            raise path_not_found(error, field) from None
        if not isinstance(value, str):
            cause = f"The {field} parameter does not reference a string: {path.source} == {text(value)}"
            raise StatesError("States.Runtime", cause, located=True)
        return value

    return find
