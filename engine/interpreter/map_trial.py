"""A Map whose iterations are mocked: what they would get, and how many may fail (api.md 9.2; asl.md 17). Pure."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from engine.interpreter import map_limits
from engine.interpreter.map_items import (
    Batching,
    SelectingVisit,
    batch_input,
    in_a_row,
    selected,
    source_of,
    unselected,
)
from engine.interpreter.states.distributed_map import evaluated_reader

if TYPE_CHECKING:
    from engine.asl.program import ItemBatcher, MapState
    from engine.interpreter.context import Visit
    from engine.interpreter.dataflow import Tap
    from engine.interpreter.states.map_ import MapPlan
    from engine.jsonvalue import Json


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
        count, percentage = self.tolerated_count, self.tolerated_percentage
        return map_limits.is_exceeded(failures, self.number, count=count, percentage=percentage)


def iterations_of(
    state: MapState, plan: MapPlan, visit: Visit, items: list[Json] | dict[str, Json] | None, tap: Tap
) -> Iterations:
    """Evaluates what a Map would give its iterations.

    Args:
        items: What it iterates over, an array or an object; None: its ItemReader would tell.
        tap: Told of each stage by the name of AWS's inspection data.

    Raises:
        StatesError, PathError: A field of the state fails.
    """
    data, _ = plan.work_input(visit)
    most_at_once = plan.concurrency(data, visit)
    count = map_limits.tolerated_count(state, data, visit)
    percentage = map_limits.tolerated_percentage(state, data, visit)
    if items is None:
        return Iterations(None, most_at_once, count, percentage)
    config = None if state.item_reader is None else state.item_reader.reader_config
    if config is not None:
        most = map_limits.whole_number("MaxItems", config.max_items, config.max_items_path, data, visit)
        items = _first(items, most) if most and most > 0 else items
    if state.query_language == "JSONPath" and state.item_reader is None:
        tap("afterItemsPath", items)
    if config is not None and config.items_pointer is not None:
        tap("afterItemsPointer", items)
    values, keys = in_a_row(items)
    if plan.selector is None:
        inputs = unselected(values, keys)
    else:
        own = SelectingVisit(visit.core, visit.frame, visit.state, visit.variables, visit.context())
        inputs = selected(plan.selector, own, values, keys, first=0, source=_source(state, data, visit))
        tap("afterItemSelector", inputs)
    if state.item_batcher is not None:
        inputs = _batches(state.item_batcher, inputs, data, visit)
        tap("afterItemBatcher", inputs)
    return Iterations(len(inputs), most_at_once, count, percentage)


def _first(items: list[Json] | dict[str, Json], most: int) -> list[Json] | dict[str, Json]:
    return items[:most] if isinstance(items, list) else dict(islice(items.items(), most))


def _source(state: MapState, data: Json, visit: Visit) -> str | None:
    if state.item_processor.mode != "DISTRIBUTED":
        return None
    return source_of(None if state.item_reader is None else evaluated_reader(state.item_reader, data, visit))


def _batches(batcher: ItemBatcher, items: list[Json], data: Json, visit: Visit) -> list[Json]:
    """`[{"BatchInput": {...}, "Items": [...]}, ...]`, each as full as the limits allow."""
    batching = Batching(
        map_limits.items_per_batch(batcher, data, visit),
        map_limits.bytes_per_batch(batcher, data, visit),
        batch_input(batcher, data, visit),
    )
    batches, left = batching.split(items)
    return [*batches, batching.batch(left)] if left else batches
