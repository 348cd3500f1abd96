"""How far a map run is: the numbers that DescribeMapRun shows (execution.md 14). Pure."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.interpreter.messages import Counts, Tally
from engine.interpreter.snapshot import ROOT, ChunkOpen, ChunkOver, ChunkRunning, MapRunning

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from engine.interpreter.snapshot import Ending, Execution, Frame, FrameKey, Snapshot
    from engine.jsonvalue import Json


BEFORE = (2, 0)
"""The Frame of a chunk that was redriven: the results of the children that are redriven with it, as they were."""

PLACE, STATUS, FINAL = 0, 1, 8
"""Of a result of a chunk, as `map_chunks` has them."""


class ChunkNumbers(NamedTuple):
    """How far an open chunk is: its children that are over, under way, or to be redriven, and the items in them."""

    tally: Tally = Tally()
    running: int = 0
    running_items: int = 0
    redrivable: int = 0
    redrivable_items: int = 0


NOTHING: Mapping[UUID, ChunkNumbers] = MappingProxyType({})


def chunk_items(execution: Execution) -> list[int]:
    """How many items each child of a chunk has."""
    given: Any = execution.input
    return given["items"] or [1] * len(given["inputs"])


def open_chunks(snapshot: Snapshot) -> dict[UUID, int]:
    """The chunks of a map run that are not over, and how often each was redriven."""
    waits = [frame.waiting for frame in snapshot.frames.values()]
    return {chunk.chunk: chunk.attempt for chunk in waits if isinstance(chunk, ChunkOpen)}


def redriven_chunks(snapshot: Snapshot) -> dict[UUID, int]:
    """The chunks of a map run that are redriven with it or will be, and how often each will have been then."""
    root = snapshot.frames.get(ROOT)
    if root is None or snapshot.ending is not None or not isinstance(root.waiting, MapRunning):
        return {}
    again = set(root.waiting.again)
    found = {chunk: attempt for chunk, attempt in open_chunks(snapshot).items() if attempt}
    for frame in snapshot.frames.values():
        if isinstance(frame.waiting, ChunkOver) and frame.key[1] in again:
            found[frame.waiting.chunk] = frame.waiting.attempt + 1
    return found


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
    over, begun_items, begun, again, again_items = state.over, 0, 0, 0, 0
    for frame in frames:
        if isinstance(frame.waiting, ChunkOpen):
            numbers = chunks.get(frame.waiting.chunk, ChunkNumbers())
            over = over.together(numbers.tally)
            begun, begun_items = begun + numbers.running, begun_items + numbers.running_items
            again, again_items = again + numbers.redrivable, again_items + numbers.redrivable_items
        elif isinstance(frame.waiting, ChunkOver) and frame.key[1] in state.again:
            others = frame.waiting.tally.others
            again, again_items = again + others.executions.over, again_items + others.items.over
    items = state.items if total is None else total
    return {
        "maxConcurrency": state.max_concurrency,
        "toleratedFailureCount": state.tolerated_failure_count or 0,
        "toleratedFailurePercentage": float(state.tolerated_failure_percentage or 0),
        "itemCounts": _shown(over.items, begun_items, again_items, items, over.final[1]),
        "executionCounts": _shown(over.executions, begun, again, state.children, over.final[0]),
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


def numbers_of(
    chunk: Execution, snapshot: Snapshot | None, ending: Ending | None, *, is_awaited: bool = False
) -> ChunkNumbers:
    """Of a chunk that its map run takes for open: from where it stands, or from how it ended just now.

    Args:
        chunk: Which.
        snapshot: Where it stands, unless it is over.
        ending: Its end.
        is_awaited: It is over, and its map run wants it to be redriven.
    """
    items = chunk_items(chunk)
    ended = ending if snapshot is None else snapshot.ending
    if ended is not None:
        output: Any = ended.output
        tally = Tally()
        for result in output["results"]:
            tally = tally.plus(result[STATUS], items[result[PLACE]], is_final=result[FINAL])
        if snapshot is None and not is_awaited:
            return ChunkNumbers(tally)
        others = tally.others
        return ChunkNumbers(tally.successes, 0, 0, others.executions.over, others.items.over)
    if snapshot is None or not snapshot.frames:
        return ChunkNumbers()
    root = snapshot.frames[ROOT].waiting
    assert isinstance(root, ChunkRunning), "the root of a chunk"
    running, again = places_under_way(root), places_to_redrive(root, snapshot.frames)
    return ChunkNumbers(
        root.over,
        len(running),
        sum(items[place] for place in running),
        len(again),
        sum(items[place] for place in again),
    )


def of_root(root: Frame | None) -> ChunkNumbers:
    """Of an open chunk that was never redriven, from its root Frame alone; None: it has not begun."""
    if root is None:
        return ChunkNumbers()
    state = root.waiting
    assert isinstance(state, ChunkRunning), "the root of a chunk"
    over = state.over
    return ChunkNumbers(over, state.begun - over.executions.over, state.begun_items - over.items.over)


def places_under_way(root: ChunkRunning) -> list[int]:
    """The children of a chunk that were begun and have no result yet."""
    order = range(root.begun) if root.again is None else root.again[: root.begun]
    return [place for place in order if not root.done >> place & 1]


def results_before(frames: Mapping[FrameKey, Frame]) -> dict[int, list[Any]]:
    """By place: what had become of the children that are redriven with a chunk."""
    frame: Any = frames.get(BEFORE)
    return {} if frame is None else {result[PLACE]: result for result in frame.input}


def places_to_redrive(root: ChunkRunning, frames: Mapping[FrameKey, Frame]) -> list[int]:
    """The children of a redriven chunk that are not begun again yet."""
    before = results_before(frames)
    return [] if root.again is None else [place for place in root.again[root.begun :] if place in before]


def _shown(over: Counts, running: int, again: int, total: int, final: int) -> dict[str, Json]:
    some = {"pendingRedrive": again, "failuresNotRedrivable": final}
    return {
        "pending": max(0, total - over.over - running - again),
        "running": running,
        "succeeded": over.succeeded,
        "failed": over.failed,
        "timedOut": over.timed_out,
        "aborted": over.aborted,
        "total": total,
        "resultsWritten": over.succeeded,
        **{name: count for name, count in some.items() if count},
    }
