"""A Map whose iterations are mocked: what they would get, and how many may fail (api.md 9.2; asl.md 17). Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.interpreter import map_limits
from engine.interpreter.map_items import Batching, batch_input
from engine.interpreter.snapshot import Frame

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
    count = map_limits.tolerated_count(state, data, visit)
    percentage = map_limits.tolerated_percentage(state, data, visit)
    inputs = items
    config = None if state.item_reader is None else state.item_reader.reader_config
    if inputs is not None and config is not None:
        most = map_limits.whole_number("MaxItems", config.max_items, config.max_items_path, data, visit)
        inputs = inputs[:most] if most and most > 0 else inputs
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
    return Iterations(number, most_at_once, count, percentage)


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
    batching = Batching(
        map_limits.items_per_batch(batcher, data, visit),
        map_limits.bytes_per_batch(batcher, data, visit),
        batch_input(batcher, data, visit),
    )
    batches, left = batching.split(items)
    return [*batches, batching.batch(left)] if left else batches
