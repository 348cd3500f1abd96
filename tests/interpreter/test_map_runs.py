"""A map run: how much it reads at once, and how large its chunks are."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from engine.asl.parser import load
from engine.interpreter.advance import advance_together
from engine.interpreter.map_shares import CHUNK_BYTES_MAX, CHUNK_MAX
from engine.interpreter.messages import ChunkDone, Counts, ItemsRead, ReadItems, StartChild, StartRequested, Tally
from engine.interpreter.plan import Plan, compile_plan
from engine.interpreter.snapshot import MapRole, Snapshot, decode_snapshot, encode_snapshot
from tests.definitions import machine
from tests.driver import START_TIME, execution_of

if TYPE_CHECKING:
    from engine.interpreter.messages import Event

PARENT = UUID(int=7)
PLAN: Plan = compile_plan(load(machine({"Type": "Pass"})))
GIVEN: dict[str, Any] = {
    "parent": "arn",
    "ticket": [0, 0, 1],
    "maxConcurrency": 0,
    "toleratedFailureCount": None,
    "toleratedFailurePercentage": None,
    "items": None,
    "keys": None,
    "reader": {"Resource": "r", "ReaderConfig": {}, "Arguments": {"Bucket": "b", "Key": "k"}},
    "batch": None,
    "scope": None,
    "writer": None,
}


class Driven:
    """One map run; its snapshot goes through bytes after each fold.

    Attributes:
        asked: The question to the reader that is open.
        chunks: How many children each chunk has that was made.
    """

    def __init__(self, **given: Any) -> None:
        role = MapRole("RUN", "M", 0, "arn:aws:states:us-east-1:123456789012:mapRun:machine/L:run", above=PARENT)
        execution = execution_of(
            GIVEN | given,
            name="run",
            type="EXPRESS",
            map=role,
            state_machine_arn="arn:aws:states:us-east-1:123456789012:stateMachine:machine/L",
        )
        self.snapshot = Snapshot(execution=execution)
        self.chance = random.Random(0)
        self.chunks: list[int] = []
        self.asked: ReadItems | None = None
        self.tell(StartRequested())

    def tell(self, event: Event) -> None:
        transition, _ = advance_together(PLAN, self.snapshot, [event], now=START_TIME, chance=self.chance)
        self.snapshot.apply(transition)
        self.snapshot = decode_snapshot(encode_snapshot(self.snapshot))
        for command in transition.commands:
            if isinstance(command, ReadItems):
                self.asked = command
            elif isinstance(command, StartChild):
                given: Any = command.execution.input
                self.chunks.append(len(given["inputs"]))

    def read(self, items: int, item: Any = 0) -> None:
        """The reader gives so many."""
        assert self.asked is not None
        self.tell(ItemsRead(self.asked.number, [item] * items, None, {"at": items}))

    def end(self, number: int, output_bytes: int) -> None:
        """All children of a chunk succeed."""
        children = self.chunks[number]
        counts = Counts(succeeded=children)
        self.tell(ChunkDone(number, 0, Tally(counts, counts), None, output_bytes))

    def items_max(self) -> int:
        """How many items it asked for last."""
        assert self.asked is not None
        return self.asked.items_max


def test_chunks_grow_with_the_run() -> None:
    run = Driven()
    for _ in range(80):
        run.read(run.items_max())
    assert run.chunks[:9] == [10] * 9
    assert max(run.chunks) == CHUNK_MAX == run.chunks[-1]


@pytest.mark.parametrize(("output_bytes", "children"), [(100_000, 10), (1 << 20, 1), (1_000, 1_000)])
def test_a_chunk_has_no_more_children_than_their_outputs_allow(output_bytes: int, children: int) -> None:
    run = Driven()
    for _ in range(80):
        run.read(run.items_max())
        run.end(len(run.chunks) - 1, run.chunks[-1] * output_bytes)
    assert run.chunks[-1] == children
    assert children * output_bytes <= CHUNK_BYTES_MAX


def test_a_batch_that_is_full_by_bytes_is_not_read_item_by_item() -> None:
    """Each reading that did not fill it would put all of the batch together again."""
    run = Driven(batch={"items": None, "bytes": 10_000, "shared": {}})
    assert run.items_max() >= 100_000
    run.read(12_000, "x" * 7)  # 998 of them are a batch
    assert run.chunks == [10, 2]
