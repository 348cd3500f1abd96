"""Folds the events of a map run: has items read, makes chunks of children, watches tolerance, gathers results. Pure.

A map run is an execution without a history (docs/decisions/0020). Its input says what it goes by:

    {"parent": ARN of the execution, "ticket": [...] of its wait,
     "maxConcurrency": 0, "toleratedFailureCount": null, "toleratedFailurePercentage": null,
     "items": [...] | null, "keys": [...] | null, "reader": {...} | null,
     "batch": {"items": 10, "bytes": null, "shared": {"BatchInput": {}}} | null,
     "scope": {"context": {...}, "entered": 2, "input": ..., "size": 9, "variables": {...}} | null,
     "writer": {...} | null}

`scope` is what ItemSelector may read of the Map state. The output of its ending is what `map_counts.summary` shows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from msgspec.structs import replace

from engine import arns
from engine.errors import PayloadTooLarge, StatesError
from engine.interpreter import map_limits, map_shares, recovery
from engine.interpreter.map_actor import MapActor
from engine.interpreter.map_counts import summary
from engine.interpreter.map_items import Batching, SelectingVisit, selected, source_of, unselected
from engine.interpreter.messages import (
    ChunkDone,
    ChunkFailing,
    Command,
    Event,
    ItemsRead,
    MapDataFailed,
    MapRunDone,
    MapRunUpdated,
    NotReopened,
    ReadItems,
    RedriveRequested,
    ReopenChild,
    Reopened,
    ResultsWritten,
    SendEvent,
    ShareChanged,
    StartChild,
    StartRequested,
    StopRequested,
    Ticket,
    WriteResults,
)
from engine.interpreter.snapshot import (
    ROOT,
    ChunkOpen,
    ChunkOver,
    Ending,
    Execution,
    Frame,
    MapRole,
    MapRunning,
    Redrives,
    Snapshot,
    Stopping,
)
from engine.interpreter.states.distributed_map import DistributedMapPlan
from engine.jsonvalue import encode
from engine.query.jsonpath import PathError
from engine.uuids import UUID7_BITS, chunk_id

if TYPE_CHECKING:
    from uuid import UUID

    from engine.jsonvalue import Json

EXCEEDED = "States.ExceedToleratedFailureThreshold"
_EXCEEDED_CAUSE = "The specified tolerated failure threshold was exceeded"
_TOO_LARGE_CAUSE = (
    "The state/task '{}' returned a result with a size exceeding the maximum number of bytes service limit."
)

_NOT_WRITTEN = "States.ResultWriterFailed"

CHUNKS = 1
"""In place of a fork: the Frames of chunks are (CHUNKS, number)."""


def pending_commands(snapshot: Snapshot) -> list[Command]:
    """What a loaded map run waits for from its own worker: reader or writer, and chunks that are to be open again."""
    state, about = _running(snapshot.frames[ROOT]), snapshot.execution
    commands: list[Command] = [_question(about, snapshot, state)] if state.asked else []
    opened = [frame.waiting for frame in snapshot.frames.values() if isinstance(frame.waiting, ChunkOpen)]
    return commands + [_reopen(about, chunk.chunk, chunk.attempt) for chunk in opened if chunk.attempt]


def _reopen(about: Execution, chunk: UUID, redrives: int) -> ReopenChild:
    return ReopenChild(chunk, arns.map_chunk_arn(about.state_machine_arn, str(chunk)), redrives)


def _running(frame: Frame) -> MapRunning:
    assert isinstance(frame.waiting, MapRunning), "the root of a map run"
    return frame.waiting


def _given(execution: Execution) -> dict[str, Any]:
    assert isinstance(execution.input, dict), "made by the Map state"
    return execution.input


def _question(execution: Execution, snapshot: Snapshot, state: MapRunning) -> ReadItems | WriteResults:
    given = _given(execution)
    if not state.is_read and state.stopping is None:
        return _reading(given, state)
    chunks = []
    for number in range(state.chunks):
        waiting = snapshot.frames[CHUNKS, number].waiting
        assert isinstance(waiting, ChunkOver), "results are written when all is over"
        chunks.append(waiting.chunk)
    return WriteResults(state.asked, given["writer"], chunks)


def _reading(given: dict[str, Any], state: MapRunning) -> ReadItems:
    most = map_shares.items_max(given, state)
    return ReadItems(state.asked, given["reader"], state.cursor, most, map_shares.CHUNK_BYTES_MAX)


def chunks_key(map_run_arn: str) -> str:
    """What lists find the chunks of a map run by."""
    return f"{map_run_arn}#chunks"


def exports(execution: Execution) -> bool:
    """Whether a map run writes its results to a place outside."""
    writer = _given(execution)["writer"]
    return writer is not None and "Resource" in writer


class MapRun(MapActor[MapRunning]):
    """The map run, and what it has in hand during one fold."""

    __slots__ = ()

    # ── events ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, event: Event) -> None:
        """See `MapActor`."""
        match event:
            case StartRequested() if self.root is None:
                self._begin()
            case ItemsRead(number) | ResultsWritten(number) | MapDataFailed(number) if number == self.state.asked:
                self._take_answer(event)
            case ChunkDone():
                self._close_chunk(event)
            case ChunkFailing(number, attempt, failures):
                self._note_failures(number, attempt, failures)
            case MapRunUpdated():
                self._update(event)
            case StopRequested(error, cause):
                self._stop(Stopping("ABORTED", error, cause))
            case RedriveRequested(time, redrives) if self.ending is not None:
                self._redrive(self.now if time is None else time, redrives or self.redrives.count + 1)
            case Reopened(chunk) if self.state.stopping is not None:
                self.commands.append(SendEvent(chunk, StopRequested(None, None)))  # it took no mail before
            case NotReopened(_, reason):
                self._stop(Stopping("FAILED", recovery.RUNTIME, reason))
            case _:
                pass

    def _begin(self) -> None:
        given = self.given
        ticket = cast("Ticket", tuple(given["ticket"]))
        self.root = MapRunning(
            ticket, given["maxConcurrency"], given["toleratedFailureCount"], given["toleratedFailurePercentage"]
        )

    def _take_answer(self, event: Event) -> None:
        self.put(asked=0)
        match event:
            case ItemsRead(_, items, keys, cursor, files):
                self.put(cursor=cursor)
                self._add(items, keys, is_last=cursor is None, files=files)
            case ResultsWritten() | MapDataFailed() if self.state.stopping is not None:
                # Why it stopped is worth more than why that could not be written.
                self._end_as(self.state.stopping)
            case ResultsWritten(_, output):
                self._end("SUCCEEDED", output, len(encode(output)))
            case MapDataFailed(_, recovery.DATA_LIMIT_EXCEEDED, _):
                self._stop(self._too_large())
            case MapDataFailed(_, error, cause):
                self._stop(Stopping("FAILED", error, cause))
            case _:
                raise AssertionError(event)

    def _close_chunk(self, event: ChunkDone) -> None:
        frame = self.find((CHUNKS, event.chunk))
        chunk, state = None if frame is None else frame.waiting, self.state
        if frame is None or not isinstance(chunk, ChunkOpen) or event.attempt != chunk.attempt:
            return
        frame = self.own(frame.key)
        frame.waiting = ChunkOver(chunk.chunk, chunk.children, chunk.items, event.tally, chunk.attempt)
        limit = self.execution.payload_bytes_max
        output_bytes = state.output_bytes + event.output_bytes
        frame.input, frame.size = event.outputs, event.output_bytes
        if 0 < limit < output_bytes:
            frame.input, frame.size = None, 0
        self.put(
            open=state.open - 1,
            parallel=state.parallel - chunk.parallel,
            over=state.over.together(event.tally),
            failures=state.failures - chunk.failures,
            output_bytes=output_bytes,
        )

    def _note_failures(self, number: int, attempt: int, failures: int) -> None:
        frame = self.find((CHUNKS, number))
        chunk = None if frame is None else frame.waiting
        if frame is None or not isinstance(chunk, ChunkOpen) or attempt != chunk.attempt:
            return
        self.put(failures=self.state.failures + failures - chunk.failures)
        self.own(frame.key).waiting = replace(chunk, failures=failures)

    def _update(self, event: MapRunUpdated) -> None:
        state = self.state
        if event.max_concurrency is not None:
            state = replace(state, max_concurrency=event.max_concurrency, throttled=True)
        if event.tolerated_failure_count is not None:
            state = replace(state, tolerated_failure_count=event.tolerated_failure_count)
        if event.tolerated_failure_percentage is not None:
            state = replace(state, tolerated_failure_percentage=event.tolerated_failure_percentage)
        self.root = state

    def _redrive(self, time: int, redrives: int) -> None:
        """Goes on where it ended: chunks that did not succeed are redriven, the rest is read (execution.md 9.2)."""
        self.ending = None
        self.redrives = Redrives(redrives, time)
        again, over = [], self.state.over
        for frame in self.frames():
            chunk = frame.waiting
            if isinstance(chunk, ChunkOver) and chunk.tally.executions.succeeded < chunk.children:
                again.append(frame.key[1])
                over = over.together(chunk.tally.others, -1)
        self.put(
            attempt=redrives,
            redriven_at=time,
            stopping=None,
            asked=0,
            failures=0,
            over=over,
            again=tuple(again),
        )

    def _reopen_chunks(self) -> None:
        """Redrives as many chunks as may be open; what became of their children before does not count any more."""
        while self.state.again and self.state.parallel < map_shares.most(self.state):
            number, *rest = self.state.again
            frame = self.own((CHUNKS, number))
            chunk = frame.waiting
            assert isinstance(chunk, ChunkOver), "a chunk that is over"
            share = max(1, min(map_shares.share(self.state), chunk.children))
            frame.waiting = ChunkOpen(
                chunk.chunk, chunk.children, chunk.items, share, chunk.children, attempt=chunk.attempt + 1
            )
            size, frame.input, frame.size = frame.size, None, 0
            self.commands.append(_reopen(self.execution, chunk.chunk, chunk.attempt + 1))
            self.put(
                again=tuple(rest),
                open=self.state.open + 1,
                parallel=self.state.parallel + share,
                over=self.state.over.together(chunk.tally.successes, -1),
                output_bytes=self.state.output_bytes - size,
                throttled=True,
            )

    # ── going on ────────────────────────────────────────────────────────────────────────────────────────────────────

    def go_on(self) -> None:
        """Makes chunks, asks for items, stops, or ends."""
        if self.ending is not None:
            return
        self._judge()
        if self.state.stopping is not None:
            if not self.state.open and not self.state.asked:
                self._end_stopped(self.state.stopping)
            return
        if self.state.throttled or (
            self.state.is_read and self.state.open and self.state.parallel < map_shares.most(self.state)
        ):
            self._share_anew()
        self._reopen_chunks()
        while self.state.stopping is None and not self.state.asked and not self.state.is_read:
            if self.state.parallel >= map_shares.most(self.state):
                return
            if self.given["reader"] is not None:
                self._read()
            else:
                self._slice()
        if self.state.stopping is not None:
            self.go_on()
        elif self.state.is_read and not self.state.open and not self.state.asked and not self.state.again:
            self._finish()

    @property
    def _total(self) -> int | None:
        """How many items there are, if that is known."""
        if self.given["items"] is not None:
            return len(self.given["items"])
        return self.state.items if self.state.is_read else None

    def _judge(self) -> None:
        state = self.state
        is_exceeded = map_limits.is_exceeded(
            state.over.items.failures + state.failures,
            self._total,
            count=state.tolerated_failure_count,
            percentage=state.tolerated_failure_percentage,
            neither=True,
        )
        if is_exceeded:
            self._stop(Stopping("FAILED", EXCEEDED, _EXCEEDED_CAUSE))

    def _allowance(self) -> int | None:
        """How many more items may fail, whatever becomes of those that are under way; None: nobody can tell."""
        state, total = self.state, self._total
        count, percentage = state.tolerated_failure_count, state.tolerated_failure_percentage
        limits = [] if count is None else [count]
        if percentage == 0 or (count is None and percentage is None):
            limits.append(0)
        elif percentage is not None and total is not None:
            limits.append(int(percentage * total / 100))
        return max(0, min(limits) - state.over.items.failures - state.failures) if limits else None

    def _read(self) -> None:
        most = self.given["reader"]["ReaderConfig"].get("MaxItems")
        if most is not None and most < 0:
            self._stop(Stopping("FAILED", "States.ItemReaderFailed", "field MaxItems must be positive"))
            return
        self.counter += 1
        self.put(asked=self.counter)
        self.commands.append(_reading(self.given, self.state))

    def _slice(self) -> None:
        """Takes the next items of the state's own."""
        first, items, keys = self.state.items, self.given["items"], self.given["keys"]
        last, size = min(first + map_shares.items_max(self.given, self.state), len(items)), 0
        for place in range(first, last):
            size += len(encode(items[place]))
            if size > map_shares.CHUNK_BYTES_MAX:
                last = place + 1
        self._add(items[first:last], None if keys is None else keys[first:last], is_last=last == len(items))

    def _add(self, items: list[Json], keys: list[str] | None, *, is_last: bool, files: list[str] | None = None) -> None:
        """Makes children of items that were read, and a chunk of these."""
        state = self.state
        self.put(items=state.items + len(items), is_read=is_last)
        try:
            found = self._selected(items, keys, state.items, files)
        except StatesError as error:
            self._stop(Stopping("FAILED", error.error or "", self._explained(error)))
            return
        except PathError as error:
            self._stop(Stopping("FAILED", recovery.RUNTIME, self._explained(recovery.invalid_path(error))))
            return
        counts: list[int] | None = None
        batch = self.given["batch"]
        if batch is not None:
            batching = Batching(batch["items"], batch["bytes"], batch["shared"])
            found, left = batching.split([*state.left, *found])
            if is_last and left:
                found, left = [*found, batching.batch(left)], []
            self.put(left=tuple(left))
            counts = [len(cast("Any", one)["Items"]) for one in found]
        too_large = self._too_large_input(found)
        if too_large is not None:
            self._stop(too_large)
            return
        most = map_shares.CHUNK_MAX if batch is None or batch["items"] else map_shares.children_max(state)
        for first in range(0, len(found), most):
            part = slice(first, first + most)
            is_final = first + most >= len(found)
            self._make_chunk(found[part], None if counts is None else counts[part], is_last=is_final)

    def _too_large_input(self, inputs: list[Json]) -> Stopping | None:
        """No execution has an input beyond the payload limit: neither has a child (asl.md 17.3)."""
        limit = self.execution.payload_bytes_max
        for place, one in enumerate(inputs):
            size = len(encode(one)) if limit else 0
            if size > limit:
                child = self.state.children + place
                cause = f"The input of child execution {child} has {size} bytes; expected at most {limit}."
                return Stopping("FAILED", recovery.DATA_LIMIT_EXCEEDED, cause)
        return None

    def _selected(self, items: list[Json], keys: list[str] | None, first: int, files: list[str] | None) -> list[Json]:
        scope = self.given["scope"]
        if scope is None:
            return unselected(items, keys)
        plan = self.plan.states[self.role.state]
        assert isinstance(plan, DistributedMapPlan) and plan.selector is not None  # noqa: PT018  one fact
        frame = Frame(ROOT, None, plan.name, scope["input"], scope["size"])
        visit = SelectingVisit(self, frame, plan, scope["variables"], scope["context"])
        reader = self.given["reader"]
        source = source_of(reader) if files is None else [source_of(reader, file) for file in files]
        return selected(plan.selector, visit, items, keys, first=first, source=source)

    def _explained(self, error: StatesError) -> str | None:
        if isinstance(error, PayloadTooLarge) and error.cause is None:
            return _TOO_LARGE_CAUSE.format(self.role.state)
        if not error.located:
            return error.cause
        entered = self.given["scope"]["entered"]
        where = f"while executing the state '{self.role.state}' (entered at the event id #{entered})"
        return f"An error occurred {where}. {error.cause}"

    def _make_chunk(self, inputs: list[Json], counts: list[int] | None, *, is_last: bool) -> None:
        state, about = self.state, self.execution
        items = len(inputs) if counts is None else sum(counts)
        # Nobody comes after the last one: it has all that is left.
        share = map_shares.most(state) - state.parallel if state.is_read and is_last else map_shares.share(state)
        parallel = max(1, min(share, len(inputs)))
        number = state.chunks
        chunk = chunk_id(self.now, self.chance.getrandbits(UUID7_BITS))
        given: Json = {
            "inputs": inputs,
            "items": cast("Json", counts),
            "parallel": parallel,
            "allowance": self._allowance(),
            "outputs": not exports(about),
        }
        execution = replace(
            about,
            arn=arns.map_chunk_arn(about.state_machine_arn, str(chunk)),
            name=str(chunk),
            input=given,
            input_bytes=len(encode(inputs)),
            start_time=self.now,
            map=MapRole("CHUNK", self.role.state, number, about.arn),
            list_key=chunks_key(about.arn),
        )
        self.commands.append(StartChild(chunk, execution))
        waiting = ChunkOpen(chunk, len(inputs), items, parallel, parallel)
        self.changed[CHUNKS, number] = Frame((CHUNKS, number), ROOT, "", None, 0, waiting=waiting)
        self.put(
            chunks=number + 1,
            children=state.children + len(inputs),
            child_items=state.child_items + items,
            open=state.open + 1,
            parallel=state.parallel + parallel,
        )

    def _open_chunks(self) -> list[Frame]:
        return [frame for frame in self.frames() if isinstance(frame.waiting, ChunkOpen)]

    def _share_anew(self) -> None:
        """Divides what may run at once among the open chunks, none of which gets more than it was born with or less.

        A chunk with no share begins nothing more until others are over.
        """
        left, throttled = map_shares.most(self.state), False
        chunks = self._open_chunks()
        for place, frame in enumerate(chunks):
            chunk = frame.waiting
            assert isinstance(chunk, ChunkOpen)
            share = min(chunk.children, -(-left // (len(chunks) - place)))
            left -= share
            throttled |= share < min(chunk.children, chunk.born_parallel)
            if share != chunk.parallel:
                self.commands.append(SendEvent(chunk.chunk, ShareChanged(share)))
                self.own(frame.key).waiting = replace(chunk, parallel=share)
        self.put(parallel=map_shares.most(self.state) - left, throttled=throttled)

    def _stop(self, stopping: Stopping) -> None:
        if self.state.stopping is not None or self.ending is not None:
            return
        self.put(stopping=stopping, asked=0)
        for frame in self._open_chunks():
            assert isinstance(frame.waiting, ChunkOpen)
            self.commands.append(SendEvent(frame.waiting.chunk, StopRequested(None, None)))

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _finish(self) -> None:
        if self._writes:
            self._write()
            return
        if 0 < self.execution.payload_bytes_max < self.state.output_bytes:
            stopping = self._too_large()
            self._end("FAILED", None, 0, stopping.error, stopping.cause)
            return
        outputs: list[Json] = []
        for number in range(self.state.chunks):
            found = self.get((CHUNKS, number)).input
            assert isinstance(found, list), "of a chunk that is over"
            outputs += found
        if ((self.given["writer"] or {}).get("WriterConfig") or {}).get("Transformation") == "FLATTEN":
            outputs = [inner for one in outputs for inner in (one if isinstance(one, list) else [one])]
        self._end("SUCCEEDED", outputs, self.state.output_bytes + 2)

    @property
    def _writes(self) -> bool:
        """Whether its result is made of all that is known of the children, which is not in memory here."""
        config = (self.given["writer"] or {}).get("WriterConfig") or {}
        return exports(self.execution) or config.get("Transformation") == "NONE"

    def _write(self) -> None:
        self.counter += 1
        self.put(asked=self.counter)
        after = Snapshot(execution=self.execution, frames={**self.snapshot.frames, **cast("Any", self.changed)})
        self.commands.append(_question(self.execution, after, self.state))

    def _too_large(self) -> Stopping:
        return Stopping("FAILED", recovery.DATA_LIMIT_EXCEEDED, _TOO_LARGE_CAUSE.format(self.role.state))

    def _end_stopped(self, stopping: Stopping) -> None:
        """What came of the children of a run that failed or was stopped is exported as well: also what never began."""
        if exports(self.execution) and self.state.chunks and stopping.error != _NOT_WRITTEN:
            self._write()
        else:
            self._end_as(stopping)

    def _end_as(self, stopping: Stopping) -> None:
        self._end(stopping.status, None, 0, stopping.error, stopping.cause)

    def _end(self, status: str, output: Json, size: int, error: str | None = None, cause: str | None = None) -> None:
        over = self.state.over
        for number in self.state.again:  # what was to be redriven and was not is as it was
            chunk = self.get((CHUNKS, number)).waiting
            assert isinstance(chunk, ChunkOver), "a chunk that is over"
            over = over.together(chunk.tally.others)
        self.put(over=over, again=())
        # One that was aborted has no error of its own; nobody waits for it any more.
        told = error if status == "SUCCEEDED" or error else status
        self.tell_above(MapRunDone(self.state.ticket, output, size, told, cause, self.state.attempt))
        shown = cast("Any", status)
        self.ending = Ending(shown, summary(self.state, self.frames(), self._total), error, cause)
