"""How a map run divides its items among chunks, and what may run at once among these. Pure.

Several workers should have a chunk each; a lost one should not have much to do again; and the map run is not to be
written for each child.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.interpreter.snapshot import MapRunning

PARALLEL_MAX = 10_000
"""Children that run at once, where MaxConcurrency does not say less (asl.md 17.1)."""

CHUNK_MAX = 1_000
CHUNK_MIN = 10
CHUNK_BYTES_MAX = 1 << 20
"""Of a chunk: children, and bytes of their inputs, and of their outputs. More: what a lost worker did is done again.
Fewer: more checkpoints of the map run."""

_ITEMS_MAX = 100_000
"""That are read at once, however small they are."""

_SHARES = 8
"""Into so many parts MaxConcurrency is divided, so that several workers have a chunk each."""

_ROUNDS = 50
"""How many children one after the other make a chunk with a small share long enough."""


def most(state: MapRunning) -> int:
    """How many children may run at once."""
    return min(state.max_concurrency or PARALLEL_MAX, PARALLEL_MAX)


def share(state: MapRunning) -> int:
    """How many of its children the next chunk may run at once, unless it has fewer."""
    parallel = most(state)
    return max(1, min(parallel - state.parallel, -(-parallel // _SHARES)))


def children_max(state: MapRunning) -> int:
    """How many children the next chunk has, unless they are too large. Outputs are as those before were."""
    children = min(CHUNK_MAX, _ROUNDS * share(state), max(CHUNK_MIN, state.children // _SHARES))
    if state.output_bytes:
        children = min(children, CHUNK_BYTES_MAX * state.over.executions.succeeded // state.output_bytes)
    return max(1, children)


def items_max(given: dict[str, Any], state: MapRunning) -> int:
    """How many items are taken or read next. `given`: the map run's input."""
    batch = given["batch"]
    if batch is not None and not batch["items"]:
        return _ITEMS_MAX  # a batch is full by its bytes, and nobody knows how many items those are
    per_batch = 1 if batch is None else int(batch["items"])
    children = children_max(state)
    if given["items"] is not None:  # a few are spread as well
        children = min(children, -(-len(given["items"]) // (_SHARES * per_batch)) or 1)
    return children * per_batch
