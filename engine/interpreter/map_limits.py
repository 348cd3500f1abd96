"""The numbers of a Map state that may be written, found by a path, or computed (asl.md 16.2, 17). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import StatesError
from engine.jsonvalue import text
from engine.query.jsonata import Bundle, JsonataTemplate, unexpected_type

if TYPE_CHECKING:
    from engine.asl.program import ItemBatcher, MapState
    from engine.interpreter.context import Visit
    from engine.jsonvalue import Json
    from engine.query.jsonpath import Path

_PERCENT_MAX = 100


def tolerated_count(state: MapState, data: Json, visit: Visit) -> int | None:
    """ToleratedFailureCount. Raises StatesError."""
    given = "ToleratedFailureCount", state.tolerated_failure_count, state.tolerated_failure_count_path
    return _not_negative("ToleratedFailureCount", whole_number(*given, data, visit))


def tolerated_percentage(state: MapState, data: Json, visit: Visit) -> float | None:
    """ToleratedFailurePercentage. Raises StatesError."""
    field = "ToleratedFailurePercentage"
    given = state.tolerated_failure_percentage, state.tolerated_failure_percentage_path
    value = _value(field, *given, data, visit, "float")
    if value is None:
        return None
    if not 0 <= value <= _PERCENT_MAX:
        raise StatesError("States.Runtime", f"{field} must be between 0 and 100.", located=True)
    return value


def items_per_batch(batcher: ItemBatcher, data: Json, visit: Visit) -> int | None:
    """MaxItemsPerBatch. Raises StatesError."""
    given = "MaxItemsPerBatch", batcher.max_items_per_batch, batcher.max_items_per_batch_path
    return _positive("MaxItemsPerBatch", whole_number(*given, data, visit))


def bytes_per_batch(batcher: ItemBatcher, data: Json, visit: Visit) -> int | None:
    """MaxInputBytesPerBatch. Raises StatesError."""
    given = "MaxInputBytesPerBatch", batcher.max_input_bytes_per_batch, batcher.max_input_bytes_per_batch_path
    return _positive("MaxInputBytesPerBatch", whole_number(*given, data, visit))


def whole_number(
    field: str, literal: int | JsonataTemplate | None, path: Path | None, data: Json, visit: Visit
) -> int | None:
    """A number that has no fraction; None: the state has none. Raises StatesError: it is something else."""
    value = _value(field, literal, path, data, visit, "integer")
    return None if value is None else int(value)


def _value(
    field: str,
    literal: float | JsonataTemplate | None,
    path: Path | None,
    data: Json,
    visit: Visit,
    kind: str,
) -> float | None:
    if path is not None:
        found = path.evaluate(data, visit)
        value = _number(found, is_whole=kind == "integer")
        if value is None:
            shown = found if isinstance(found, str) else text(found)
            cause = f'The {field}Path field refers to value "{shown}" which is not a valid {kind}: {path.source}'
            raise StatesError("States.Runtime", cause, located=True)
        return value
    if not isinstance(literal, JsonataTemplate):
        return literal
    found = Bundle([literal]).evaluate(visit, {"input": visit.input})[0]
    value = None if isinstance(found, str) else _number(found, is_whole=kind == "integer")
    if value is None:
        raise unexpected_type(literal, "integer" if kind == "integer" else "number", found)
    return value


def _number(value: Json, *, is_whole: bool) -> float | None:
    """The number that a value is, or spells: a text was accepted where it is one (recorded)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = int(value) if is_whole else float(value)
        except ValueError:
            return None
    if not isinstance(value, int | float) or (is_whole and value != int(value)):
        return None
    return value


def _not_negative(field: str, value: int | None) -> int | None:
    if value is not None and value < 0:
        raise StatesError("States.Runtime", f"{field} cannot be negative.", located=True)
    return value


def _positive(field: str, value: int | None) -> int | None:
    if value is not None and value <= 0:
        raise StatesError("States.Runtime", f"{field} must be greater than 0, but was: {value}.", located=True)
    return value


def is_exceeded(
    failures: int, total: int | None, *, count: int | None, percentage: float | None, neither: bool = False
) -> bool:
    """Whether so many failed items are more than a Map tolerates (asl.md 17.2). Each limit counts that is there.

    Args:
        failures: Items that failed or timed out.
        total: All items; None: it is not known yet, and then the percentage is not judged, unless it is 0.
        count: ToleratedFailureCount.
        percentage: ToleratedFailurePercentage.
        neither: The answer where a Map that has no limit has failures.
    """
    if count is None and percentage is None:
        return neither and failures > 0
    if count is not None and failures > count:
        return True
    if percentage is None or not failures:
        return False
    return percentage == 0 or (bool(total) and 100 * failures > percentage * (total or 0))
