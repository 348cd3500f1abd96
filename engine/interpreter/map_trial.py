"""A Map whose iterations are mocked: what they would get, and how many may fail (api.md 9.2; asl.md 17). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.errors import StatesError
from engine.interpreter.dataflow import compile_fill
from engine.interpreter.snapshot import Frame
from engine.jsonvalue import encode, text
from engine.query.jsonata import Bundle, JsonataTemplate, unexpected_type

if TYPE_CHECKING:
    from engine.asl.program import ItemBatcher, MapState
    from engine.interpreter.context import Visit
    from engine.interpreter.dataflow import Tap
    from engine.interpreter.states.map_ import MapPlan
    from engine.jsonvalue import Json
    from engine.query.jsonpath import Path


class Iterations(NamedTuple):
    """`number` None: it is not known how many there are. The others as the state has them; None: it has none."""

    number: int | None
    max_concurrency: int
    tolerated_count: int | None
    tolerated_percentage: float | None

    @property
    def counts(self) -> dict[str, float]:
        """The limits by the members of AWS's inspection data; a percentage has a fraction (recorded)."""
        counts: dict[str, float] = {"maxConcurrency": self.max_concurrency}
        if self.tolerated_count is not None:
            counts["toleratedFailureCount"] = self.tolerated_count
        if self.tolerated_percentage is not None:
            counts["toleratedFailurePercentage"] = float(self.tolerated_percentage)
        return counts

    def is_exceeded_by(self, failures: int) -> bool:
        """Whether so many failures fail the Map. Without a threshold of its own none does (recorded)."""
        if self.tolerated_count is not None and failures > self.tolerated_count:
            return True
        if self.tolerated_percentage is None or not self.number:
            return False
        return 100 * failures / self.number > self.tolerated_percentage


def iterations_of(state: MapState, plan: MapPlan, visit: Visit, items: list[Json] | None, tap: Tap) -> Iterations:
    """Evaluates what a Map would give its iterations.

    Args:
        items: What it iterates over; None: its ItemReader would tell.
        tap: Told of each stage by the name of AWS's inspection data.

    Raises:
        StatesError, PathError: A field of the state fails.
    """
    data, _ = plan.work_input(visit)
    most_at_once = plan.concurrency(data, visit)
    count = _number(
        "ToleratedFailureCount", state.tolerated_failure_count, state.tolerated_failure_count_path, data, visit
    )
    percentage = _number(
        "ToleratedFailurePercentage",
        state.tolerated_failure_percentage,
        state.tolerated_failure_percentage_path,
        data,
        visit,
    )
    inputs = items
    config = None if state.item_reader is None else state.item_reader.reader_config
    if inputs is not None and config is not None:
        most = _number("MaxItems", config.max_items, config.max_items_path, data, visit)
        inputs = inputs[: int(most)] if most else inputs
    if inputs is not None and state.query_language == "JSONPath" and state.item_reader is None:
        tap("afterItemsPath", inputs)
    if inputs is not None and config is not None and config.items_pointer is not None:
        tap("afterItemsPointer", inputs)
    if inputs is not None and plan.selector is not None:
        inputs = _selected(plan, visit, inputs)
        tap("afterItemSelector", inputs)
    if inputs is not None and state.item_batcher is not None:
        inputs = _batches(state.item_batcher, inputs, data, visit)
        tap("afterItemBatcher", inputs)
    number = None if inputs is None else len(inputs)
    return Iterations(number, most_at_once, None if count is None else int(count), percentage)


def _selected(plan: MapPlan, visit: Visit, items: list[Json]) -> list[Json]:
    assert plan.selector is not None
    own, selected = visit.frame, []
    for index, item in enumerate(items):
        visit.frame = Frame((-1, index), own.key, "", item, 0, item=(index, item))  # its $$.Map.Item
        selected.append(plan.selector(visit)[0])
    visit.frame = own
    return selected


def _batches(batcher: ItemBatcher, items: list[Json], data: Json, visit: Visit) -> list[Json]:
    """`[{"BatchInput": {...}, "Items": [...]}, ...]`, each as full as the limits allow."""
    most = _number("MaxItemsPerBatch", batcher.max_items_per_batch, batcher.max_items_per_batch_path, data, visit)
    most_bytes = _number(
        "MaxInputBytesPerBatch",
        batcher.max_input_bytes_per_batch,
        batcher.max_input_bytes_per_batch_path,
        data,
        visit,
    )
    shared: dict[str, Json] = {}
    if batcher.batch_input is not None:
        shared["BatchInput"] = compile_fill(batcher.batch_input)[0](data, visit)
    frame_bytes = len(encode({**shared, "Items": []}))
    batches: list[Json] = []
    batch: list[Json] = []
    size = frame_bytes
    for item in items:
        added = len(encode(item)) + 1
        is_full = (most is not None and len(batch) >= most) or (most_bytes is not None and size + added > most_bytes)
        if batch and is_full:
            batches.append({**shared, "Items": batch})
            batch, size = [], frame_bytes
        batch.append(item)
        size += added
    if batch:
        batches.append({**shared, "Items": batch})
    return batches


def _number(
    field: str, literal: float | JsonataTemplate | None, path: Path | None, data: Json, visit: Visit
) -> float | None:
    """A limit that is written, found by a path, or computed.

    Raises:
        StatesError: It is no number, or negative.
    """
    value: Json
    if path is not None:
        value = path.evaluate(data, visit)
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            shown = value if isinstance(value, str) else text(value)
            cause = f'The {field}Path field refers to value "{shown}" which is not a valid number: {path.source}'
            raise StatesError("States.Runtime", cause, located=True)
        return value
    if not isinstance(literal, JsonataTemplate):
        return literal
    value = Bundle([literal]).evaluate(visit, {"input": visit.input})[0]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise unexpected_type(literal, "number", value)
    if value < 0:
        cause = f"The {field} field must not be negative but was: {text(value)}"
        raise StatesError("States.QueryEvaluationError", cause, location=field, located=True)
    return value
