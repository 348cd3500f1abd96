"""Wait: until a number of seconds after it was entered, or until a time (asl.md 11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from engine.errors import StatesError
from engine.interpreter.context import Visit
from engine.interpreter.dataflow import Exit, Tap, compile_effective_input, compile_exit
from engine.interpreter.messages import StartTimer
from engine.interpreter.snapshot import OnTimer
from engine.interpreter.state_plan import StatePlan
from engine.interpreter.step import Leave, Stay, Step
from engine.jsonvalue import Json, text
from engine.query.jsonata import Bundle, JsonataTemplate, unexpected_type
from engine.query.jsonpath import Path, PathError
from engine.timestamps import parse_timestamp

if TYPE_CHECKING:
    from engine.asl.program import WaitState
    from engine.query.evaluation import Evaluate

Due: TypeAlias = Callable[[Visit], int]
"""When to go on, in ms since the epoch."""

_DELAY_SECONDS_MAX = 1 << 31  # recorded: a wait of 24,855 days is accepted, one of 24,856 refused
SECONDS_MAX = 99_999_999
_MS_PER_SECOND = 1_000
_NS_PER_MS = 1_000_000


class TimestampFault(StatesError):
    """A JSONata Timestamp that is none: its EvaluationFailed follows the Entered event itself (recorded)."""


@dataclass(slots=True, eq=False, kw_only=True)
class WaitPlan(StatePlan):
    """A Wait state."""

    due: Due
    leave: Exit


def plan(state: WaitState, tap: Tap | None = None) -> WaitPlan:
    """Compiles the state."""
    return WaitPlan(name=state.name, type="Wait", due=_due(state), leave=compile_exit(state, tap))


def enter(state: WaitPlan, visit: Visit) -> Step:
    """Waits, unless the time has come already."""
    due = state.due(visit)
    if due <= visit.now:
        return state.leave(visit, state.next)
    if due - visit.now > _DELAY_SECONDS_MAX * _MS_PER_SECOND:
        raise StatesError("States.Runtime", "Wait state delay is too long.", located=True)
    timer_id = visit.new_ticket()
    return Stay(OnTimer(timer_id, due), (StartTimer(timer_id, due),))


def resume(state: WaitPlan, visit: Visit) -> Leave:
    """Goes on."""
    return state.leave(visit, state.next)


def _due(state: WaitState) -> Due:
    if state.seconds_path is not None:
        return _seconds_by_path(state.seconds_path, compile_effective_input(state))
    if state.timestamp_path is not None:
        return _timestamp_by_path(state.timestamp_path, compile_effective_input(state))
    if isinstance(state.seconds, JsonataTemplate):
        return _seconds_by_jsonata(state.seconds)
    if isinstance(state.timestamp, JsonataTemplate):
        return _timestamp_by_jsonata(state.timestamp)
    if state.seconds is not None:
        delay = state.seconds * _MS_PER_SECOND
        return lambda visit: visit.now + delay
    assert state.timestamp is not None, "the parser lets no Wait state through that has none of the four"
    instant = _instant(state.timestamp)
    assert instant is not None, "the parser has checked the Timestamp"
    return lambda visit: instant


def _seconds_by_path(path: Path, effective: Evaluate | None) -> Due:
    def due(visit: Visit) -> int:
        value = _read(path, effective, visit, "SecondsPath", "does not reference an input value")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _runtime(f"The SecondsPath parameter does not reference an input value: {path.source}")
        if value != int(value):
            raise _runtime(
                f"The SecondsPath parameter cannot be parsed as a long value: {path.source} == {text(value)}"
            )
        if value < 0:
            raise _runtime(f"The SecondsPath parameter references a negative value: {path.source} == {text(value)}")
        return visit.now + int(value) * _MS_PER_SECOND

    return due


def _timestamp_by_path(path: Path, effective: Evaluate | None) -> Due:
    def due(visit: Visit) -> int:
        value = _read(path, effective, visit, "TimestampPath", "does not reference an input value")
        instant = _instant(value) if isinstance(value, str) else None
        if instant is None:
            shown = value if isinstance(value, str) else text(value)
            raise _runtime(
                "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format "
                f"string: {path.source} == {shown}"
            )
        return instant

    return due


def _read(path: Path, effective: Evaluate | None, visit: Visit, field: str, fault: str) -> Json:
    data = visit.input if effective is None else effective(visit.input, visit)
    try:
        return path.evaluate(data, visit)
    except PathError:
        raise _runtime(f"The {field} parameter {fault}: {path.source}") from None


def _seconds_by_jsonata(template: JsonataTemplate) -> Due:
    bundle = Bundle([template])

    def due(visit: Visit) -> int:
        value = bundle.evaluate(visit, {"input": visit.input})[0]
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise unexpected_type(template, "integer", value)
        if not 0 <= value <= SECONDS_MAX:
            cause = f"The Seconds field must be between 0 and {SECONDS_MAX} but was: {text(value)}"
            raise StatesError("States.QueryEvaluationError", cause, location="Seconds", located=True)
        return visit.now + int(value) * _MS_PER_SECOND

    return due


def _timestamp_by_jsonata(template: JsonataTemplate) -> Due:
    bundle = Bundle([template])

    def due(visit: Visit) -> int:
        value = bundle.evaluate(visit, {"input": visit.input})[0]
        if not isinstance(value, str):
            raise unexpected_type(template, "string", value)
        instant = _instant(value)
        if instant is None:
            cause = (
                f"The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: {value}"
            )
            raise TimestampFault("States.QueryEvaluationError", cause, location="Timestamp", located=True)
        return instant

    return due


def _instant(timestamp: str) -> int | None:
    nanoseconds = parse_timestamp(timestamp)
    return None if nanoseconds is None else -(-nanoseconds // _NS_PER_MS)


def _runtime(cause: str) -> StatesError:
    return StatesError("States.Runtime", cause, located=True)
