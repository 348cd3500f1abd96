from __future__ import annotations

import random

from engine.asl.parser import load
from engine.interpreter.advance import advance
from engine.interpreter.history import as_aws
from engine.interpreter.messages import Event, ScheduleTask, StartRequested, TaskDone
from engine.interpreter.plan import compile_plan
from engine.interpreter.snapshot import ROOT, Snapshot, Transition, joined
from engine.store.postgres.snapshots import decode_segment, encode_row
from tests.definitions import machine, task
from tests.driver import START_TIME, execution_of


def transitions() -> tuple[Snapshot, list[Transition]]:
    """Of an execution of three Tasks, each of which takes a second; and where it stands at the end."""
    plan = compile_plan(load(machine(task(), task(), task())))
    snapshot = Snapshot(execution=execution_of({"a": 1}))
    made: list[Transition] = []
    event: Event = StartRequested(None)
    while snapshot.ending is None:
        now = START_TIME + 1_000 * len(made)
        transition = advance(plan, snapshot, event, now=now, chance=random.Random(0))
        made.append(transition)
        snapshot.apply(transition)
        for command in transition.commands:
            if isinstance(command, ScheduleTask):
                event = TaskDone(command.task_id, {"n": len(made)}, 7)
    return snapshot, made


def test_joined_transitions_lead_to_where_they_lead_one_by_one() -> None:
    there, made = transitions()
    again = Snapshot(execution=there.execution)

    again.apply(joined(made))

    assert again == there


def test_joined_transitions_are_shown_as_they_happened() -> None:
    _, made = transitions()

    together = list(as_aws([decode_segment(encode_row(joined(made).segment()))]))

    assert together == list(as_aws([transition.segment() for transition in made]))
    assert len({event["timestamp"] for event in together}) == len(made) == 4


def test_a_frame_that_came_and_went_is_gone() -> None:
    there, made = transitions()

    assert joined(made).changed[ROOT] == there.frames.get(ROOT)
    assert joined(made[:1]) is made[0]
