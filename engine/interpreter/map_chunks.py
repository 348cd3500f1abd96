"""Folds the events of a chunk: begins its children, as many at once as its share is, and gathers their results. Pure.

A chunk is an execution without a history (docs/decisions/0020). Its input has those of its children:

    {"inputs": [...], "items": [how many items each has] | null, "parallel": 10, "allowance": 0 | null, "outputs": true}

A result is `[place, status, output, error, cause, start date, stop date, redrives, is final]`, dates in ms since the
epoch; what is final no redrive can run again. Results that came together are one Frame's input. The output of its
ending is `{"results": [...]}`, in the order of places.
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec.structs import replace

from engine import arns
from engine.interpreter.map_actor import MapActor, items_of
from engine.interpreter.map_counts import BEFORE, FINAL, PLACE, STATUS, chunk_items, places_under_way, results_before
from engine.interpreter.messages import (
    ChildEnded,
    ChunkDone,
    ChunkFailing,
    Command,
    Event,
    NotReopened,
    RedriveRequested,
    ReopenChild,
    Reopened,
    RunChild,
    SendEvent,
    ShareChanged,
    StartChild,
    StartRequested,
    StopChildren,
    StopRequested,
    Tally,
)
from engine.interpreter.snapshot import ROOT, ChunkRunning, Ending, Execution, Frame, MapRole, Redrives, Snapshot
from engine.jsonvalue import encode
from engine.uuids import child_id, place_in_chunk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.jsonvalue import Json

RESULTS = 1
"""In place of a fork: the Frames with results are (RESULTS, number)."""


OUTPUT, ERROR, CAUSE, START_DATE, STOP_DATE, REDRIVES = range(2, 8)
"""Of a result, between STATUS and FINAL."""


def child_of(chunk: Execution, place: int, now: int) -> Execution:
    """A child execution of a chunk."""
    assert chunk.map is not None
    given: Any = chunk.input
    data = given["inputs"][place]
    items = given["items"][place] if given["items"] else 1
    name = str(child_id(_id_of(chunk), place))
    return replace(
        chunk,
        arn=arns.child_execution_arn(chunk.state_machine_arn, name, is_express=chunk.type == "EXPRESS"),
        name=name,
        input=data,
        input_bytes=len(encode(data)),
        start_time=now,
        map=MapRole("CHILD", chunk.map.state, place, chunk.map.map_run_arn, items=items),
        list_key=chunk.map.map_run_arn,
    )


def end_of_child(
    child: Execution, ending: Ending, now: int, redrives: Redrives, *, is_final: bool = False
) -> ChildEnded:
    """What a chunk is told of a child of its own that ends. `is_final`: see `ChildEnded`."""
    assert child.map is not None
    has_output = ending.status == "SUCCEEDED"
    return ChildEnded(
        child.map.place,
        ending.status,
        ending.output,
        len(encode(ending.output)) if has_output else 0,
        ending.error,
        ending.cause,
        child.start_time,
        now,
        redrives.count,
        is_final,
    )


def _id_of(chunk: Execution) -> UUID:
    return UUID(chunk.name)


def pending_commands(snapshot: Snapshot) -> list[Command]:
    """What a loaded chunk's children want of their worker: Express ones that were under way run in its memory.

    Standard ones have rows; those that a redrive was to open again may not be open yet.
    """
    chunk, root = snapshot.execution, _running(snapshot.frames[ROOT])
    under_way = places_under_way(root)
    if chunk.type == "EXPRESS":
        return [_run(chunk, place, snapshot.last_time) for place in under_way]
    before = results_before(snapshot.frames)
    return [_reopen(chunk, place, before[place][REDRIVES]) for place in under_way if place in before]


def _running(frame: Frame) -> ChunkRunning:
    assert isinstance(frame.waiting, ChunkRunning), "the root of a chunk"
    return frame.waiting


def _run(chunk: Execution, place: int, now: int) -> RunChild:
    return RunChild(place, child_id(_id_of(chunk), place), child_of(chunk, place, now))


def _reopen(chunk: Execution, place: int, redrives: int) -> ReopenChild:
    child = child_id(_id_of(chunk), place)
    arn = arns.child_execution_arn(chunk.state_machine_arn, str(child), is_express=False)
    return ReopenChild(child, arn, redrives + 1)


class Chunk(MapActor[ChunkRunning]):
    """The chunk, and what it has in hand during one fold."""

    __slots__ = ("inputs", "items", "results")

    @property
    def before(self) -> dict[int, list[Any]]:
        """See `results_before`."""
        frame = self.find(BEFORE)
        return {} if frame is None else results_before({BEFORE: frame})

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.inputs: list[Json] = self.given["inputs"]
        self.items = chunk_items(self.execution)
        self.results: list[Any] = []

    # ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, event: Event) -> None:
        """See `MapActor`."""
        match event:
            case StartRequested() if self.root is None:
                self.root = ChunkRunning(0, self.given["parallel"], self.given["allowance"])
            case ChildEnded():
                self._add(event)
            case NotReopened(child, reason):
                self._give_up(place_in_chunk(child)[1], reason)
            case Reopened(child) if self.state.is_stopping:
                self.commands.append(SendEvent(child, StopRequested(None, None)))  # it took no mail before
            case RedriveRequested(time) if self.ending is not None:
                self._redrive(time)
            case ShareChanged(parallel):
                self.put(parallel=parallel)
            case StopRequested():
                self._stop()
            case _:
                pass

    def _add(self, event: ChildEnded) -> None:
        state = self.state
        if state.done >> event.place & 1:
            return
        self.results.append(
            [event.place, event.status, event.output, event.error, event.cause, event.start_date, event.stop_date,
             event.redrives, event.is_final]
        )  # fmt: skip
        self.weight += event.output_bytes
        over = state.over.plus(event.status, self.items[event.place], is_final=event.is_final)
        self.put(over=over, done=state.done | 1 << event.place)

    def _stop(self) -> None:
        if self.state.is_stopping:
            return
        self.put(is_stopping=True)
        running = places_under_way(self.state)
        if self.execution.type == "EXPRESS":
            self.commands.append(StopChildren())
            for place in running:
                self._add(ChildEnded(place, "ABORTED", None, 0, None, None, self.now, self.now))
        else:
            chunk = _id_of(self.execution)
            self.commands += [SendEvent(child_id(chunk, place), StopRequested(None, None)) for place in running]

    def _give_up(self, place: int, reason: str) -> None:
        """A child cannot be redriven: it has failed again."""
        redrives = self.before[place][REDRIVES]
        self._add(
            ChildEnded(place, "FAILED", None, 0, "States.Runtime", reason, self.now, self.now, redrives, is_final=True)
        )

    def _redrive(self, time: int | None) -> None:
        """Runs again what did not succeed, and what was never begun (execution.md 9.2)."""
        self.ending = None
        self.redrives = Redrives(self.redrives.count + 1, self.now if time is None else time)
        batches = [frame for frame in self.frames() if frame.key[0] == RESULTS]
        results = [result for frame in batches for result in items_of(frame.input)]
        kept = [result for result in results if result[STATUS] == "SUCCEEDED"]
        self.changed = {frame.key: None for frame in batches}
        self.weight = sum(frame.size for frame in batches)
        tally, done = Tally(), 0
        for result in kept:
            tally, done = tally.plus("SUCCEEDED", self.items[result[PLACE]]), done | 1 << result[PLACE]
        before: Json = [result for result in results if result[STATUS] != "SUCCEEDED"]
        self.changed[BEFORE] = Frame(BEFORE, ROOT, "", before, 0)
        again = tuple(place for place in range(len(self.inputs)) if not done >> place & 1)
        self.root = ChunkRunning(
            0,
            self.state.parallel or 1,
            None,
            tally,
            done,
            attempt=self.state.attempt + 1,
            again=again,
            kept=len(kept),
        )
        self.results = kept

    # ── going on ────────────────────────────────────────────────────────────────────────────────────────────────────

    def go_on(self) -> None:
        """See `MapActor`."""
        failures = self.state.over.items.failures
        if self.state.allowance is not None and failures > self.state.allowance:
            self._stop()
        self._keep_results()
        if not self.state.is_stopping:
            self._begin_children()
        state = self.state
        is_begun = state.begun == (len(self.inputs) if state.again is None else len(state.again))
        if state.begun == self._over_now and (state.is_stopping or is_begun):
            self._restore()
            self._end()
        elif self.snapshot.ending is None and failures > self._failures_before:
            self.tell_above(ChunkFailing(self.role.place, state.attempt, failures))

    def _restore(self) -> None:
        """Children that were to be redriven and were not are as they were."""
        for place, result in self.before.items():
            if not self.state.done >> place & 1:
                self.results.append(result)
                over = self.state.over.plus(result[STATUS], self.items[place], is_final=result[FINAL])
                self.put(over=over, done=self.state.done | 1 << place)
        self._keep_results()

    @property
    def _over_now(self) -> int:
        """Children that ended since the chunk began, or was redriven."""
        return self.state.over.executions.over - self.state.kept

    @property
    def _failures_before(self) -> int:
        return _running(self.snapshot.frames[ROOT]).over.items.failures if self.snapshot.frames else 0

    def _keep_results(self) -> None:
        if self.results:
            number = self.state.batches
            self.changed[RESULTS, number] = Frame((RESULTS, number), ROOT, "", self.results, self.weight)
            self.put(batches=number + 1)
            self.results = []

    def _begin_children(self) -> None:
        state = self.state
        order: Sequence[int] = range(len(self.inputs)) if state.again is None else state.again
        last = min(state.begun + state.parallel - (state.begun - self._over_now), len(order))
        chunk, before = self.execution, self.before
        for place in order[state.begun : last]:
            if chunk.type == "EXPRESS":
                self.commands.append(_run(chunk, place, self.now))
            elif place in before:
                self.commands.append(_reopen(chunk, place, before[place][REDRIVES]))
            else:
                child = child_of(chunk, place, self.now)
                self.commands.append(StartChild(child_id(_id_of(chunk), place), child))
        items = sum([self.items[place] for place in order[state.begun : last]])
        self.put(begun=max(state.begun, last), begun_items=state.begun_items + items)

    def _end(self) -> None:
        batches = [frame for frame in self.frames() if frame.key[0] == RESULTS]
        results = sorted((result for frame in batches for result in items_of(frame.input)), key=itemgetter(PLACE))
        outputs = [result[OUTPUT] for result in results if result[STATUS] == "SUCCEEDED"]
        size = sum(frame.size for frame in batches) + len(outputs)
        is_too_large = 0 < self.execution.payload_bytes_max < size
        wanted = outputs if self.given["outputs"] and not is_too_large else None
        self.tell_above(ChunkDone(self.role.place, self.state.attempt, self.state.over, wanted, size))
        succeeded = self.state.over.executions.succeeded
        status: Any = "SUCCEEDED" if succeeded == len(self.inputs) else "FAILED"
        self.ending = Ending(status, {"results": results})
