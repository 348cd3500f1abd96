"""From items to the inputs of child executions: ItemSelector, then ItemBatcher (asl.md 17.4). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.interpreter.context import Visit
from engine.interpreter.dataflow import compile_fill
from engine.jsonvalue import encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.asl.program import ItemBatcher
    from engine.interpreter.context import Core
    from engine.interpreter.snapshot import Frame
    from engine.interpreter.state_plan import StatePlan
    from engine.interpreter.states.map_ import Selector
    from engine.jsonvalue import Json


class SelectingVisit(Visit):
    """A Map state as its ItemSelector sees it, away from the execution that it is of.

    Attributes:
        own: The Context Object there, without `Map`.
        item: `$$.Map.Item`.
    """

    __slots__ = ("item", "own")

    def __init__(
        self, core: Core, frame: Frame, state: StatePlan, variables: Mapping[str, Json], own: dict[str, Json]
    ) -> None:
        super().__init__(core, frame, state, variables)
        self.own = own
        self.item: dict[str, Json] = {}

    def context(self) -> dict[str, Json]:
        """See `Visit`."""
        return {**self.own, "Map": {"Item": self.item}}


def in_a_row(items: list[Json] | dict[str, Json]) -> tuple[list[Json], list[str] | None]:
    """The items, and the keys that the members of an object have."""
    return (list(items.values()), list(items)) if isinstance(items, dict) else (items, None)


def unselected(items: list[Json], keys: Sequence[str] | None) -> list[Json]:
    """What each item is without an ItemSelector: a member of an object is `{"Key": "a", "Value": 1}`.

    AWS's guide has "passing the pair to the iteration as input"; others measured its members' names.
    """
    if keys is None:
        return items
    return [{"Key": key, "Value": value} for key, value in zip(keys, items, strict=True)]


def source_of(reader: Mapping[str, Json] | None, file: str | None = None) -> str:
    """`$$.Map.Item.Source` (asl.md 6): where the items come from.

    Args:
        reader: Evaluated; None: they come from the state's input.
        file: The key of the object that an item is in, where a listing is read with what is in its objects.
    """
    if reader is None:
        return "STATE_DATA"
    arguments = reader["Arguments"]
    # What is wrong with them is told when they are read.
    given = arguments if isinstance(arguments, dict) else {}
    parts = given.get("Bucket"), given.get("Key") if file is None else file
    place = "/".join(str(part) for part in parts if part is not None)
    return place if place.startswith("file:") else f"S3://{place}"


def selected(
    selector: Selector,
    visit: SelectingVisit,
    items: Sequence[Json],
    keys: Sequence[str] | None,
    *,
    first: int,
    source: Sequence[str] | str | None,
) -> list[Json]:
    """What ItemSelector makes of each item.

    Args:
        selector: Compiled.
        visit: The Map state.
        items: In a row.
        keys: Of the members of an object.
        first: The index of the first item.
        source: `$$.Map.Item.Source` of each item, or of all; None: there is none, as in an Inline Map.

    Raises:
        StatesError, PathError: It fails.
    """
    found: list[Json] = []
    for place, value in enumerate(items):
        visit.item = {"Index": first + place, "Value": value}
        if keys is not None:
            visit.item = {"Index": first + place, "Key": keys[place], "Value": value}
        if source is not None:
            visit.item["Source"] = source if isinstance(source, str) else source[place]
        found.append(selector(visit)[0])
    return found


def batch_input(batcher: ItemBatcher, data: Json, visit: Visit) -> dict[str, Json]:
    """What all batches share: `{"BatchInput": ...}`, or nothing. Raises StatesError, PathError."""
    if batcher.batch_input is None:
        return {}
    return {"BatchInput": compile_fill(batcher.batch_input)[0](data, visit)}


@dataclass(frozen=True, slots=True)
class Batching:
    """How items are put together.

    Attributes:
        items_max: In a batch; None: as many as fit.
        bytes_max: Of a batch's JSON; None: as many as there are.
        shared: See `batch_input`.
    """

    items_max: int | None
    bytes_max: int | None
    shared: dict[str, Json]

    def batch(self, items: list[Json]) -> dict[str, Json]:
        """The input of a child execution."""
        return {**self.shared, "Items": items}

    def split(self, items: list[Json]) -> tuple[list[Json], list[Json]]:
        """Full batches, and the items of the last one, which more items might still fit into."""
        frame_bytes = len(encode(self.batch([])))
        batches: list[Json] = []
        batch: list[Json] = []
        size = frame_bytes
        for item in items:
            added = 0 if self.bytes_max is None else len(encode(item)) + 1
            is_too_much = self.bytes_max is not None and size + added > self.bytes_max
            if batch and (len(batch) == self.items_max or is_too_much):
                batches.append(self.batch(batch))
                batch, size = [], frame_bytes
            batch.append(item)
            size += added
        if len(batch) == self.items_max:
            batches.append(self.batch(batch))
            batch = []
        return batches, batch
