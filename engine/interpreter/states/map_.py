"""Map, Inline: the same states for each item of an array (asl.md 16). For the other mode see `distributed_map`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from engine.errors import StatesError
from engine.interpreter.context import Visit
from engine.interpreter.dataflow import (
    ResultExit,
    Tap,
    WorkInput,
    compile_fill,
    compile_result_exit,
    compile_work_input,
)
from engine.interpreter.state_plan import StatePlan
from engine.interpreter.step import Fork, Leave, Step
from engine.jsonvalue import Json, text
from engine.query.evaluation import UNKNOWN
from engine.query.jsonata import Bundle, JsonataTemplate, unexpected_type

if TYPE_CHECKING:
    from engine.asl.program import Fill, MapState
    from engine.query.jsonpath import Path

CONCURRENCY_MAX = 40
"""Of an Inline Map, whatever MaxConcurrency says (execution.md 20.1)."""

Selector: TypeAlias = Callable[[Visit], tuple[Json, int]]
"""What ItemSelector makes of the iteration's `$$.Map.Item`, and the bound of its JSON bytes."""

Items: TypeAlias = Callable[[Json, Visit], Json]
"""An array; of a Distributed Map also an object."""

Concurrency: TypeAlias = Callable[[Json, Visit], int]


@dataclass(slots=True, eq=False, kw_only=True)
class MapPlan(StatePlan):
    """A Map state. `start` is the first state of its item processor, set when all states exist."""

    unsupported: str | None
    work_input: WorkInput
    items: Items
    items_of_input: bool
    selector: Selector | None
    concurrency: Concurrency
    finish: ResultExit
    start: StatePlan | None = None


def plan(state: MapState, tap: Tap | None = None) -> MapPlan:
    """Compiles the state."""
    work_input = compile_work_input(state, tap)
    return MapPlan(
        name=state.name,
        type="Map",
        unsupported=_unsupported(state),
        work_input=work_input,
        items=compile_items(state),
        items_of_input=state.items is None and (state.items_path is None or state.items_path.root == "$"),
        selector=compile_selector(state.item_selector, work_input),
        concurrency=compile_concurrency(state),
        finish=compile_result_exit(state, tap),
    )


def enter(state: MapPlan, visit: Visit) -> Step:
    """Starts as many iterations as may run at once; `advance` starts the others as these end."""
    if state.unsupported is not None:
        raise StatesError("States.Runtime", state.unsupported, located=True)
    data, size = state.work_input(visit)
    concurrency = state.concurrency(data, visit)
    items = state.items(data, visit)
    assert isinstance(items, list), "an Inline Map takes no object"
    # What ItemsPath takes from the input is no larger than it; whatever else is measured once for all.
    size = visit.measure(items, size if state.items_of_input else UNKNOWN.fixed)
    return Fork(items, min(concurrency or CONCURRENCY_MAX, CONCURRENCY_MAX), size)


def _unsupported(state: MapState) -> str | None:
    """AWS's words, which those who ran into them quote."""
    if all(field is None for field in (state.item_reader, state.item_batcher, state.result_writer)):
        return None
    return "The ItemReader, ItemBatcher and ResultWriter fields are not supported for INLINE maps"


def join(state: MapPlan, visit: Visit, results: list[Json], size: int) -> Leave:
    """Makes the output of what the iterations gave, which has to fit the limit as that of a Parallel has."""
    return state.finish(visit, results, visit.measure_beyond_limit(results, size), state.next)


def compile_items(state: MapState) -> Items:
    """What the Map iterates over: an array, or in DISTRIBUTED mode also an object."""
    kinds = (list, dict) if state.item_processor.mode == "DISTRIBUTED" else (list,)
    if state.query_language == "JSONata":
        return _items_of_input(kinds) if state.items is None else _items_by_jsonata(state.items, kinds)
    path = state.items_path
    shown = "$" if path is None else path.source.removeprefix("$") if path.root == "$$" else path.source

    def find(data: Json, visit: Visit) -> Json:
        value = data if path is None else path.evaluate(data, visit)
        if not isinstance(value, kinds):
            raise StatesError("States.Runtime", f'Reference path "{shown}" must point to array.', located=True)
        return value

    return find


def _items_of_input(kinds: tuple[type, ...]) -> Items:
    def find(data: Json, visit: Visit) -> Json:
        if not isinstance(data, kinds):
            cause = f"Map state input must be an array but was: {text(data)}"
            raise StatesError("States.QueryEvaluationError", cause, located=True)
        return data

    return find


def _items_by_jsonata(template: JsonataTemplate, kinds: tuple[type, ...]) -> Items:
    bundle = Bundle([template])

    def find(data: Json, visit: Visit) -> Json:
        value = bundle.evaluate(visit, {"input": visit.input})[0]
        if not isinstance(value, kinds):
            raise unexpected_type(template, "array", value)
        return value

    return find


def compile_selector(selector: Fill | None, work_input: WorkInput) -> Selector | None:
    """ItemSelector: `$` is the effective input of the Map state, not the item (asl.md 16.1)."""
    if selector is None:
        return None
    evaluate, growth = compile_fill(selector)

    def select(visit: Visit) -> tuple[Json, int]:
        data, size = work_input(visit)
        value = evaluate(data, visit)
        return value, visit.measure(value, growth.fixed + growth.of_input * size)

    return select


def compile_concurrency(state: MapState) -> Concurrency:
    """MaxConcurrency or its Path; 0 when there is neither."""
    path, literal = state.max_concurrency_path, state.max_concurrency
    if path is not None:
        return _concurrency_by_path(path)
    if isinstance(literal, JsonataTemplate):
        return _concurrency_by_jsonata(literal)
    return lambda data, visit: literal or 0


def _concurrency_by_path(path: Path) -> Concurrency:
    def find(data: Json, visit: Visit) -> int:
        value = path.evaluate(data, visit)
        if isinstance(value, bool) or not isinstance(value, int):
            shown = value if isinstance(value, str) else text(value)
            cause = (
                f'The MaxConcurrencyPath field refers to value "{shown}" which is not a valid integer: {path.source}'
            )
            raise StatesError("States.Runtime", cause, located=True)
        return _not_negative(value)

    return find


def _concurrency_by_jsonata(template: JsonataTemplate) -> Concurrency:
    bundle = Bundle([template])

    def find(data: Json, visit: Visit) -> int:
        value = bundle.evaluate(visit, {"input": visit.input})[0]
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            raise unexpected_type(template, "integer", value)
        return _not_negative(int(value))

    return find


def _not_negative(value: int) -> int:
    if value < 0:
        raise StatesError("States.Runtime", "MaxConcurrency cannot be negative.", located=True)
    return value
