"""How far a map run is: the numbers that DescribeMapRun shows (execution.md 14). Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.interpreter.messages import Counts, Tally
from engine.interpreter.snapshot import ROOT, ChunkOpen, ChunkRunning, MapRunning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from engine.interpreter.snapshot import Ending, Execution, Frame, Snapshot
    from engine.jsonvalue import Json


class ChunkNumbers(NamedTuple):
    """How far an open chunk is; `running` are its children that are under way, `running_items` the items in them."""

    tally: Tally = Tally()
    running: int = 0
    running_items: int = 0


NOTHING: Mapping[UUID, ChunkNumbers] = MappingProxyType({})


def chunk_items(execution: Execution) -> list[int]:
    """How many items each child of a chunk has."""
    given: Any = execution.input
    return given["items"] or [1] * len(given["inputs"])


def open_chunks(snapshot: Snapshot) -> list[UUID]:
    """The chunks of a map run that are not over."""
    return [frame.waiting.chunk for frame in snapshot.frames.values() if isinstance(frame.waiting, ChunkOpen)]


def summary(
    state: MapRunning, frames: Iterable[Frame], total: int | None, chunks: Mapping[UUID, ChunkNumbers] = NOTHING
) -> dict[str, Json]:
    """The numbers of a map run.

    Args:
        state: Of its root Frame.
        frames: All of its Frames.
        total: How many items there are, where that is known.
        chunks: Those that are open, as far as they are at hand.

    Returns:
        `{"maxConcurrency", "toleratedFailureCount", "toleratedFailurePercentage", "itemCounts", "executionCounts",
        "redriveCount", "redriveDate"}`, the counts as AWS names them; dates in ms since the epoch.
    """
    over, begun_items, begun = state.over, 0, 0
    for frame in frames:
        if isinstance(frame.waiting, ChunkOpen):
            tally, running, running_items = chunks.get(frame.waiting.chunk, ChunkNumbers())
            over = over.together(tally)
            begun, begun_items = begun + running, begun_items + running_items
    items = state.items if total is None else total
    return {
        "maxConcurrency": state.max_concurrency,
        "toleratedFailureCount": state.tolerated_failure_count or 0,
        "toleratedFailurePercentage": float(state.tolerated_failure_percentage or 0),
        "itemCounts": _shown(over.items, begun_items, items),
        "executionCounts": _shown(over.executions, begun, state.children),
        "redriveCount": state.attempt,
        "redriveDate": state.redriven_at,
    }


def of_snapshot(snapshot: Snapshot, chunks: Mapping[UUID, ChunkNumbers]) -> dict[str, Json]:
    """The numbers of a map run that is not over, from where it and its open chunks stand.

    Returns:
        See `summary`; and `"isRead"`: whether that are all items, and `"expected"`: about how many there will be, null:
        nobody can tell.
    """
    root = snapshot.frames.get(ROOT)
    given: Any = snapshot.execution.input
    total = None if given["items"] is None else len(given["items"])
    state = None if root is None else root.waiting
    if not isinstance(state, MapRunning):
        limits = given["maxConcurrency"], given["toleratedFailureCount"], given["toleratedFailurePercentage"]
        state = MapRunning((0, 0, 0), *limits)
    is_read = state.is_read or total is not None
    numbers = summary(state, snapshot.frames.values(), total, chunks)
    expected = (state.items if total is None else total) if is_read else _expected(given["reader"], state)
    return {**numbers, "isRead": is_read, "expected": expected}


def _expected(reader: dict[str, Any], state: MapRunning) -> int | None:
    """Guessed from the part of the file that was read; the cursor is that of `engine.map_data.reading`."""
    cursor: Any = state.cursor
    if cursor is None or not cursor.get("part"):
        return None
    most: int | None = reader["ReaderConfig"].get("MaxItems")
    part: float = cursor["part"]
    guessed = max(round(state.items / part), state.items + 1)
    return guessed if most is None else min(guessed, most)


def numbers_of(chunk: Execution, snapshot: Snapshot | None, ending: Ending | None) -> ChunkNumbers:
    """Of a chunk that its map run takes for open: from where it stands, or from how it ended just now."""
    items = chunk_items(chunk)
    if ending is not None:
        tally, ended = Tally(), ending.output
        assert isinstance(ended, dict), "a chunk ends with its results"
        results: Any = ended["results"]
        for place, status, *_ in results:
            tally = tally.plus(status, items[place])
        return ChunkNumbers(tally)
    if snapshot is None or not snapshot.frames:
        return ChunkNumbers()
    root = snapshot.frames[ROOT].waiting
    assert isinstance(root, ChunkRunning), "the root of a chunk"
    running = places_under_way(root)
    return ChunkNumbers(root.over, len(running), sum(items[place] for place in running))


def places_under_way(root: ChunkRunning) -> list[int]:
    """The children of a chunk that were begun and have no result yet."""
    order = range(root.begun) if root.again is None else root.again[: root.begun]
    return [place for place in order if not root.done >> place & 1]


def _shown(over: Counts, running: int, total: int) -> dict[str, Json]:
    return {
        "pending": max(0, total - over.over - running),
        "running": running,
        "succeeded": over.succeeded,
        "failed": over.failed,
        "timedOut": over.timed_out,
        "aborted": over.aborted,
        "total": total,
        "resultsWritten": over.succeeded,
    }
