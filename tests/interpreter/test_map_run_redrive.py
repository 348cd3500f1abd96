"""A redrive of a parent that waited for a map run: the same one goes on, unless it never began."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any
from uuid import UUID

from msgspec.structs import replace

from engine.asl.parser import load
from engine.interpreter import advance as module
from engine.interpreter.advance import advance_together, pending_commands
from engine.interpreter.messages import (
    ChildEnded,
    MapRunDone,
    RedriveRequested,
    ReopenChild,
    SendEvent,
    StartChild,
    StartRequested,
    StopRequested,
)
from engine.interpreter.plan import Plan, compile_plan
from engine.interpreter.snapshot import MapRole, OnMapRun, Snapshot, decode_snapshot, encode_snapshot
from engine.uuids import chunk_id
from tests.definitions import machine
from tests.driver import START_TIME, execution_of

if TYPE_CHECKING:
    import pytest

    from engine.interpreter.messages import Command, Event

INNER = machine({"Name": "Work", "Type": "Pass"})
EACH: dict[str, Any] = {
    "Name": "Each",
    "Type": "Map",
    "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, **INNER},
}
PLAN: Plan = compile_plan(load(machine(EACH)))


class Parent:
    """An execution of it; its snapshot goes through bytes after each fold."""

    def __init__(self) -> None:
        self.snapshot = Snapshot(execution=execution_of([1, 2]))
        self.chance = random.Random(0)

    def tell(self, *events: Event) -> list[Command]:
        transition, _ = advance_together(PLAN, self.snapshot, events, now=START_TIME, chance=self.chance)
        self.snapshot.apply(transition)
        self.snapshot = decode_snapshot(encode_snapshot(self.snapshot))
        return transition.commands

    @property
    def waiting(self) -> Any:
        return self.snapshot.frames[0, 0].waiting


def test_the_map_run_that_a_stopped_parent_waited_for_goes_on() -> None:
    parent = Parent()
    (begun,) = [c for c in parent.tell(StartRequested()) if isinstance(c, StartChild)]
    assert parent.tell(StopRequested(None, None)) == [SendEvent(begun.execution_id, StopRequested(None, None))]
    wanted = [ReopenChild(begun.execution_id, begun.execution.arn, 1)]
    assert parent.tell(RedriveRequested(START_TIME)) == wanted
    assert pending_commands(PLAN, parent.snapshot) == wanted
    late = MapRunDone(parent.waiting.task_id, [], 2)
    assert parent.tell(late) == []
    assert isinstance(parent.waiting, OnMapRun)


def test_one_that_was_stopped_as_it_began_is_another_one() -> None:
    parent = Parent()
    assert parent.tell(StartRequested(), StopRequested(None, None)) == []
    (begun,) = parent.tell(RedriveRequested(START_TIME))
    assert isinstance(begun, StartChild)
    assert parent.waiting.run == begun.execution_id


def test_one_that_was_redriven_too_often_fails_and_the_next_redrive_begins_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAP_RUN_REDRIVES_MAX", 1)
    parent = Parent()
    (first,) = parent.tell(StartRequested())
    parent.tell(StopRequested(None, None))
    parent.tell(RedriveRequested(START_TIME))
    parent.tell(StopRequested(None, None))
    assert parent.tell(RedriveRequested(START_TIME)) == []
    ending = parent.snapshot.ending
    assert ending is not None
    assert (ending.status, ending.error) == ("FAILED", "States.Runtime")
    (second,) = parent.tell(RedriveRequested(START_TIME))
    assert isinstance(first, StartChild)
    assert isinstance(second, StartChild)
    assert second.execution_id != first.execution_id


def test_a_child_whose_history_has_no_room_for_a_redrive_says_so() -> None:
    role = MapRole("CHILD", "Each", 0, "arn:aws:states:us-east-1:123456789012:mapRun:m/L:r", chunk_id(START_TIME, 0))
    for room, is_final in ((9, False), (4, True)):
        about = execution_of(
            1,
            name=str(chunk_id(START_TIME, 0)),
            map=role,
            history_events_max=room,
        )
        failing = machine({"Name": "Bad", "Type": "Fail"})
        each = {**EACH, "ItemProcessor": {**EACH["ItemProcessor"], **failing}}
        plan = compile_plan(load(machine(each)))
        snapshot = Snapshot(execution=about)
        transition, _ = advance_together(plan, snapshot, [StartRequested()], now=START_TIME, chance=random.Random(0))
        (told,) = [c.event for c in transition.commands if isinstance(c, SendEvent)]
        assert isinstance(told, ChildEnded)
        assert (told.status, told.is_final) == ("FAILED", is_final)


def test_a_map_run_that_missed_a_redrive_of_its_parent_answers_the_last_one() -> None:
    parent = Parent()
    parent.snapshot = Snapshot(execution=execution_of([]))
    (begun,) = parent.tell(StartRequested())
    assert isinstance(begun, StartChild)
    about = begun.execution
    assert about.map is not None
    run = Parent()
    run.snapshot = Snapshot(execution=replace(about, map=replace(about.map, above=UUID(int=1))))
    run.tell(StartRequested())
    (told,) = run.tell(RedriveRequested(START_TIME, 2))
    assert isinstance(told, SendEvent)
    assert isinstance(told.event, MapRunDone)
    assert told.event.attempt == 2
