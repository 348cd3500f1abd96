"""What must hold for every program, under a scheduler that is as rude as the world can be."""

from __future__ import annotations

import copy
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.interpreter.advance import advance_together
from engine.interpreter.history import as_aws
from engine.interpreter.messages import (
    CancelTask,
    RedriveRequested,
    ScheduleTask,
    StartRequested,
    StopRequested,
    TaskDone,
    TaskError,
    TimerDue,
)
from engine.interpreter.snapshot import (
    OnBranches,
    OnTask,
    Progress,
    Snapshot,
    Transition,
    decode_snapshot,
    encode_snapshot,
)
from tests.interpreter.random_programs import Program, Run, World

SEEDS = st.integers(min_value=0, max_value=2**32)
BOUNDED = settings(max_examples=150, deadline=None)


def through_bytes(snapshot: Snapshot) -> Snapshot:
    return decode_snapshot(encode_snapshot(snapshot))


def soft_faults(program: Program, seed: int) -> dict[str, int]:
    draw = random.Random(seed)
    return {task: draw.randint(1, 3) for task in program.tasks if draw.random() < 0.3}


def history_of(run: Run) -> list[object]:
    return list(as_aws(run.segments))


@given(SEEDS)
@BOUNDED
def test_an_execution_that_goes_through_bytes_at_every_quiescent_point_ends_the_same(seed: int) -> None:
    program = Program(seed)
    soft = soft_faults(program, seed)
    straight = Run(program.plan, World(random.Random(seed), soft)).to_the_end()
    stored = Run(program.plan, World(random.Random(seed), soft), between=through_bytes).to_the_end()
    assert stored.snapshot.ending == straight.snapshot.ending
    assert history_of(stored) == history_of(straight)


@given(SEEDS)
@BOUNDED
def test_the_order_of_answers_does_not_change_the_output(seed: int) -> None:
    program = Program(seed)
    soft = soft_faults(program, seed)
    endings = [Run(program.plan, World(random.Random(order), soft)).to_the_end().snapshot.ending for order in range(3)]
    assert endings[0] is not None
    # Parallel states within one another can multiply their input to more than a payload may be.
    assert endings[0].error in (None, "States.DataLimitExceeded")
    assert endings[1] == endings[0]
    assert endings[2] == endings[0]


@given(SEEDS)
@BOUNDED
def test_a_crash_at_any_point_repeats_only_what_was_in_flight(seed: int) -> None:
    program = Program(seed)
    calm = Run(program.plan, World(random.Random(seed))).to_the_end()
    run = Run(program.plan, World(random.Random(seed)), between=through_bytes)
    run.fold(StartRequested())
    crashes = random.Random(seed)
    for _ in range(2_000):
        if run.snapshot.ending is not None:
            break
        if crashes.random() < 0.4:
            in_flight = set(run.world.tasks)
            run.reload()
            assert set(run.world.tasks) == in_flight
        run.fold(run.world.next_event())
    assert run.snapshot.ending == calm.snapshot.ending


@given(SEEDS)
@BOUNDED
def test_the_redrive_of_a_failed_execution_gives_what_it_would_have_given_without_the_fault(seed: int) -> None:
    program = Program(seed)
    if not program.tasks:
        return
    soft = soft_faults(program, seed)
    healthy = Run(program.plan, World(random.Random(seed), soft)).to_the_end()
    broken = {random.Random(seed).choice(program.tasks)}
    run = Run(program.plan, World(random.Random(seed), soft, fatal=broken), between=through_bytes).to_the_end()
    assert run.snapshot.ending is not None
    if run.snapshot.ending.status == "SUCCEEDED":
        return  # the broken Task was never reached
    assert run.snapshot.ending.error == "Fatal"
    assert not run.world.tasks, "an execution that has ended leaves no Task running"
    succeeded = [name for name in _succeeded(run) if name not in broken]
    run.world.fatal = set()
    run.to_the_end(RedriveRequested())
    assert run.snapshot.ending is not None
    assert healthy.snapshot.ending is not None
    assert run.snapshot.ending.output == healthy.snapshot.ending.output
    assert sorted(_succeeded(run)) == sorted(_succeeded(healthy)), "what had succeeded was run again"
    assert set(succeeded) <= set(_succeeded(healthy))


def _succeeded(run: Run) -> list[str]:
    """For each Task result in the history, what it was made of."""
    kinds = ("TaskSucceeded", "LambdaFunctionSucceeded")
    return [
        event[f"{event['type'][0].lower()}{event['type'][1:]}EventDetails"]["output"]
        for event in as_aws(run.segments)
        if event["type"] in kinds
    ]


@given(SEEDS, st.integers(0, 40))
@BOUNDED
def test_the_redrive_of_a_stopped_execution_finishes_it(seed: int, stop_after: int) -> None:
    program = Program(seed)
    healthy = Run(program.plan, World(random.Random(seed))).to_the_end()
    run = Run(program.plan, World(random.Random(seed)), between=through_bytes)
    run.fold(StartRequested())
    for _ in range(stop_after):
        if run.snapshot.ending is None:
            run.fold(run.world.next_event())
    if run.snapshot.ending is not None:
        return
    run.fold(StopRequested("Operator", None))
    assert run.snapshot.ending is not None
    assert run.snapshot.ending.status == "ABORTED"
    assert not run.world.tasks
    run.to_the_end(RedriveRequested())
    assert healthy.snapshot.ending is not None
    assert run.snapshot.ending.output == healthy.snapshot.ending.output
    assert run.snapshot.redrives.count == 1


@given(SEEDS)
@BOUNDED
def test_invariants_hold_after_every_transition(seed: int) -> None:
    program = Program(seed)
    draw = random.Random(seed)
    fatal = set(draw.sample(program.tasks, k=min(1, len(program.tasks)))) if draw.random() < 0.5 else set()
    tickets = set()
    last_id = 0

    def check(snapshot: Snapshot, transition: Transition) -> None:
        nonlocal last_id
        assert transition.first_event_id == last_id + 1
        last_id += len(transition.history)
        for place, event in enumerate(transition.history):
            assert 0 <= event[1] < transition.first_event_id + place, "an event follows one that comes later"
        for command in transition.commands:
            if isinstance(command, ScheduleTask):
                assert command.task_id not in tickets
                tickets.add(command.task_id)
        after = decode_snapshot(encode_snapshot(snapshot))
        after.apply(transition)
        if after.ending is None:
            assert all(frame.waiting is not None for frame in after.frames.values())
            _check_forks(after)

    run = Run(program.plan, World(random.Random(seed), soft_faults(program, seed), fatal), check=check)
    run.to_the_end()
    endings = [event for event in history_of(run) if event["type"].startswith("Execution")]
    assert len(endings) == 2


def _check_forks(snapshot: Snapshot) -> None:
    for frame in snapshot.frames.values():
        if isinstance(frame.waiting, OnBranches):
            fork = frame.waiting.fork
            progress = snapshot.frames[fork, -2].waiting
            assert isinstance(progress, Progress)
            branches = [snapshot.frames[fork, index] for index in range(progress.next)]
            still_open = [branch for branch in branches if type(branch.waiting).__name__ != "Done"]
            assert len(still_open) == progress.open


@given(SEEDS)
@BOUNDED
def test_advance_leaves_the_snapshot_alone(seed: int) -> None:
    program = Program(seed)

    def check(snapshot: Snapshot, transition: Transition) -> None:
        assert encode_snapshot(snapshot) == before[0]

    before = [b""]

    def remember(snapshot: Snapshot) -> Snapshot:
        before[0] = encode_snapshot(snapshot)
        return snapshot

    run = Run(program.plan, World(random.Random(seed)), between=remember, check=check)
    before[0] = encode_snapshot(run.snapshot)
    run.to_the_end()


@given(SEEDS)
@BOUNDED
def test_late_and_repeated_answers_change_nothing(seed: int) -> None:
    program = Program(seed)
    calm = Run(program.plan, World(random.Random(seed))).to_the_end()
    run = Run(program.plan, World(random.Random(seed)))
    run.fold(StartRequested())
    answered = []
    noise = random.Random(seed + 1)
    while run.snapshot.ending is None:
        event = run.world.next_event()
        run.fold(event)
        answered.append(event)
        late = noise.choice(answered)
        if run.snapshot.ending is None and not isinstance(late, StartRequested):
            transition = run.fold(late)
            if isinstance(late, TaskDone | TaskError | TimerDue):
                assert not transition.history
                assert not transition.changed
                assert not transition.commands
    assert run.snapshot.ending == calm.snapshot.ending
    for event in answered:
        assert not run.fold(event).history, "what has ended takes no more mail"


@pytest.mark.parametrize("seed", range(20))
def test_every_task_in_flight_is_what_some_frame_waits_for(seed: int) -> None:
    program = Program(seed)

    def check(snapshot: Snapshot, transition: Transition) -> None:
        after = decode_snapshot(encode_snapshot(snapshot))
        after.apply(transition)
        waiting = {f.waiting.task_id for f in after.frames.values() if isinstance(f.waiting, OnTask)}
        started = {c.task_id for c in transition.commands if isinstance(c, ScheduleTask)}
        cancelled = {c.task_id for c in transition.commands if isinstance(c, CancelTask)}
        if after.ending is None:
            assert started <= waiting
            assert not cancelled & waiting

    Run(program.plan, World(random.Random(seed), soft_faults(program, seed)), check=check).to_the_end()


@given(SEEDS)
@BOUNDED
def test_answers_folded_together_do_what_they_do_one_by_one(seed: int) -> None:
    program, draw = Program(seed), random.Random(seed)
    faults = {task: 1 for task in program.tasks if draw.random() < 0.2}
    fatal = {task for task in program.tasks if draw.random() < 0.1}
    one_by_one = Run(program.plan, World(random.Random(seed), faults, fatal))
    one_by_one.fold(StartRequested())
    for _ in range(500):
        if one_by_one.snapshot.ending is not None:
            return
        together = copy.deepcopy(one_by_one)
        events = [one_by_one.world.next_event()]
        while not isinstance(events[0], TimerDue) and one_by_one.world.tasks and draw.random() < 0.7:
            more = one_by_one.world.next_event()
            if isinstance(more, TimerDue):
                one_by_one.world.timers[more.timer_id, more.heartbeat] = one_by_one.world.now
                break
            events.append(more)
        together.world = copy.deepcopy(one_by_one.world)
        for event in events:
            one_by_one.fold(event)
        while events:
            transition, count = advance_together(
                together.plan, together.snapshot, events, now=together.world.now, chance=together.chance
            )
            del events[:count]
            together.snapshot.apply(transition)
            together.segments.append(transition.segment())
            together.world.take(transition.commands)
        assert encode_snapshot(together.snapshot) == encode_snapshot(one_by_one.snapshot)
        assert history_of(together) == history_of(one_by_one)
        assert together.world.tasks == one_by_one.world.tasks
        # Timers that nobody waits for any more are not cancelled; at the end some of them were never started.
        if one_by_one.snapshot.ending is None:
            assert together.world.timers == one_by_one.world.timers
