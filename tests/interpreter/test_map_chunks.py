"""A chunk of a Distributed Map: which children it begins, what it makes of their ends, and when it is over."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any
from uuid import UUID

from engine.asl.parser import load
from engine.interpreter.advance import advance_together, pending_commands
from engine.interpreter.map_counts import numbers_of, of_root
from engine.interpreter.messages import (
    ChildEnded,
    ChunkDone,
    ChunkFailing,
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
)
from engine.interpreter.plan import Plan, compile_plan
from engine.interpreter.snapshot import ROOT, MapRole, Snapshot, decode_snapshot, encode_snapshot
from engine.jsonvalue import encode
from engine.uuids import child_id, chunk_id
from tests.definitions import machine
from tests.driver import START_TIME, execution_of

if TYPE_CHECKING:
    from engine.interpreter.messages import ChildStatus, Command, Event

RUN = UUID(int=7)
CHUNK = chunk_id(START_TIME, 1 << 40)
PLAN: Plan = compile_plan(load(machine({"Type": "Pass"})))


class Driven:
    """One chunk; its snapshot goes through bytes after each fold."""

    def __init__(self, children: int, *, kind: str = "STANDARD", **given: Any) -> None:
        given = {"inputs": list(range(children)), "items": None, "parallel": 2, "allowance": 0, "outputs": True} | given
        role = MapRole("CHUNK", "M", 3, "arn:aws:states:us-east-1:123456789012:mapRun:machine/L:run", above=RUN)
        execution = execution_of(
            given,
            name=str(CHUNK),
            type=kind,
            map=role,
            state_machine_arn="arn:aws:states:us-east-1:123456789012:stateMachine:machine/L",
        )
        self.snapshot = Snapshot(execution=execution)
        self.chance = random.Random(0)
        self.tell(StartRequested())

    def tell(self, *events: Event) -> list[Command]:
        transition, count = advance_together(PLAN, self.snapshot, events, now=START_TIME, chance=self.chance)
        assert count == len(events)
        self.snapshot.apply(transition)
        self.snapshot = decode_snapshot(encode_snapshot(self.snapshot))
        self.commands = transition.commands
        return transition.commands

    def end(self, place: int, status: ChildStatus = "SUCCEEDED", output: Any = None) -> list[Command]:
        return self.tell(ended(place, status, output))

    def begun(self) -> list[int]:
        """Places of the children that the last fold began."""
        begins = (c for c in self.commands if isinstance(c, StartChild | RunChild))
        return [c.execution.map.place for c in begins if c.execution.map is not None]

    def told(self) -> list[Event]:
        return [c.event for c in self.commands if isinstance(c, SendEvent) and c.execution_id == RUN]


def ended(place: int, status: ChildStatus = "SUCCEEDED", output: Any = None, *, is_final: bool = False) -> ChildEnded:
    size = len(encode(output)) if status == "SUCCEEDED" else 0
    return ChildEnded(place, status, output, size, None, None, START_TIME, START_TIME, is_final=is_final)


def test_as_many_run_at_once_as_the_share_says() -> None:
    chunk = Driven(5)
    assert chunk.begun() == [0, 1]
    chunk.end(1)
    assert chunk.begun() == [2]
    chunk.tell(ShareChanged(4))
    assert chunk.begun() == [3, 4]


def test_a_smaller_share_stops_nobody_and_begins_fewer() -> None:
    chunk = Driven(5, parallel=3)
    chunk.tell(ShareChanged(1))
    chunk.end(0)
    chunk.end(1)
    assert chunk.begun() == []
    chunk.end(2)
    assert chunk.begun() == [3]


def test_results_are_told_in_the_order_of_places() -> None:
    chunk = Driven(3, parallel=3)
    chunk.tell(ended(2, output="c"), ended(0, output="a"))
    chunk.end(1, output="b")
    (done,) = chunk.told()
    assert isinstance(done, ChunkDone)
    assert (done.chunk, done.outputs, done.tally.executions.each) == (3, ["a", "b", "c"], (3, 0, 0, 0))
    ending: Any = chunk.snapshot.ending
    assert ending.status == "SUCCEEDED"
    assert [result[:3] for result in ending.output["results"]] == [
        [0, "SUCCEEDED", "a"],
        [1, "SUCCEEDED", "b"],
        [2, "SUCCEEDED", "c"],
    ]


def test_the_end_of_a_child_counts_once_though_its_mail_may_come_twice() -> None:
    chunk = Driven(3)
    chunk.tell(ended(0), ended(0))
    assert chunk.begun() == [2]
    chunk.end(0)
    assert chunk.begun() == []
    chunk.end(1)
    chunk.end(2)
    (done,) = chunk.told()
    assert isinstance(done, ChunkDone)
    assert done.tally.executions.succeeded == 3


def test_with_more_failures_than_allowed_no_more_children_begin() -> None:
    chunk = Driven(5, kind="EXPRESS", parallel=2)
    chunk.end(1, "FAILED")
    assert isinstance(chunk.commands[0], StopChildren)
    (done,) = chunk.told()
    assert isinstance(done, ChunkDone)
    assert done.tally.executions.each == (0, 1, 0, 1)


def test_standard_children_are_stopped_one_by_one_and_waited_for() -> None:
    chunk = Driven(5, parallel=2)
    chunk.tell(StopRequested(None, None))
    stops = [c.event for c in chunk.commands if isinstance(c, SendEvent)]
    assert stops == [StopRequested(None, None)] * 2
    chunk.end(0, "ABORTED")
    assert chunk.told() == []
    chunk.end(1)
    (done,) = chunk.told()
    assert isinstance(done, ChunkDone)
    assert done.tally.executions.each == (1, 0, 0, 1)


def test_failures_that_are_allowed_are_told_of() -> None:
    chunk = Driven(4, allowance=None)
    chunk.end(0, "TIMED_OUT")
    assert chunk.told() == [ChunkFailing(3, 0, 1)]


def test_a_batch_counts_all_its_items() -> None:
    chunk = Driven(2, items=[10, 3], allowance=None)
    chunk.tell(ended(0, "FAILED"), ended(1))
    (done,) = chunk.told()
    assert isinstance(done, ChunkDone)
    assert (done.tally.items.each, done.tally.executions.each) == ((3, 10, 0, 0), (1, 1, 0, 0))


def test_how_far_it_is_is_told_by_its_root_frame_alone() -> None:
    """Who asks for the numbers of a map run is not to read the inputs of all that runs."""

    def standing() -> tuple[int, int, int]:
        numbers = of_root(chunk.snapshot.frames[ROOT])
        return numbers.tally.items.over, numbers.running, numbers.running_items

    chunk = Driven(4, items=[10, 3, 5, 2], allowance=None)
    assert standing() == (0, 2, 13)
    chunk.end(0)
    assert standing() == (10, 2, 8)
    chunk.tell(ended(1, "FAILED"), ended(2, "FAILED"))
    assert standing() == (18, 1, 2)


def test_whoever_takes_over_runs_again_what_had_no_result() -> None:
    chunk = Driven(5, kind="EXPRESS", parallel=3)
    chunk.end(1)
    places = [c.place for c in pending_commands(PLAN, chunk.snapshot) if isinstance(c, RunChild)]
    assert places == [0, 2, 3]
    assert pending_commands(PLAN, Driven(5).snapshot) == []


# ── redrive ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def redriven(kind: str = "STANDARD") -> Driven:
    """A chunk of four of which two have failed, one after the other, which is redriven."""
    chunk = Driven(4, kind=kind, parallel=1, allowance=None)
    for place in range(4):
        chunk.end(place, "FAILED" if place % 2 else "SUCCEEDED", None if place % 2 else place)
    chunk.tell(RedriveRequested(START_TIME))
    return chunk


def test_a_redrive_runs_again_what_did_not_succeed_and_nothing_else() -> None:
    chunk = redriven()
    first, second = child_id(CHUNK, 1), child_id(CHUNK, 3)
    assert [c.execution_id for c in chunk.commands if isinstance(c, ReopenChild)] == [first]
    chunk.end(1, output=1)
    assert [c.execution_id for c in chunk.commands if isinstance(c, ReopenChild)] == [second]
    chunk.end(3, output=3)
    (done,) = chunk.told()
    assert isinstance(done, ChunkDone)
    assert (done.attempt, done.outputs, done.tally.executions.each) == (1, [0, 1, 2, 3], (4, 0, 0, 0))


def test_what_is_to_be_redriven_is_neither_pending_nor_over() -> None:
    chunk = redriven("EXPRESS")
    numbers = numbers_of(chunk.snapshot.execution, chunk.snapshot, None)
    assert (numbers.tally.executions.each, numbers.running, numbers.redrivable) == ((2, 0, 0, 0), 1, 1)


def test_what_was_not_redriven_before_a_stop_is_as_it_was() -> None:
    chunk = redriven("EXPRESS")
    chunk.tell(StopRequested(None, None))
    (done,) = chunk.told()
    assert isinstance(done, ChunkDone)
    assert done.tally.executions.each == (2, 1, 0, 1)
    ending: Any = chunk.snapshot.ending
    assert [result[1] for result in ending.output["results"]] == ["SUCCEEDED", "ABORTED", "SUCCEEDED", "FAILED"]
    chunk.tell(RedriveRequested(START_TIME))
    assert numbers_of(chunk.snapshot.execution, chunk.snapshot, None).redrivable == 1


def test_a_child_that_was_closed_when_its_chunk_was_stopped_is_stopped_once_it_takes_mail() -> None:
    chunk = redriven()
    child = child_id(CHUNK, 1)
    assert chunk.tell(Reopened(child)) == []
    chunk.tell(StopRequested(None, None))
    assert chunk.tell(Reopened(child)) == [SendEvent(child, StopRequested(None, None))]


def test_what_no_redrive_can_run_again_has_failed_for_good() -> None:
    chunk = Driven(2, parallel=2, allowance=None)
    chunk.tell(ended(0, "FAILED", is_final=True), ended(1, "FAILED"))
    (done,) = chunk.told()
    assert isinstance(done, ChunkDone)
    assert done.tally.final == (1, 1)
    chunk.tell(RedriveRequested(START_TIME))
    chunk.tell(NotReopened(child_id(CHUNK, 0), "Execution history event limit exceeded"))
    chunk.end(1)
    (done,) = chunk.told()
    assert isinstance(done, ChunkDone)
    assert (done.tally.executions.each, done.tally.final) == ((1, 1, 0, 0), (1, 1))
