"""Runs a random machine in a random world to its end, and checks that the service could have shown its history."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from engine.interpreter.advance import not_redrivable, pending_commands
from engine.interpreter.history import Segment, as_aws
from engine.interpreter.messages import (
    CancelTask,
    MailContinue,
    MapRunDone,
    RedriveRequested,
    ScheduleTask,
    StartTimer,
    StopRequested,
    TaskDone,
    TaskError,
    TaskStarted,
    TaskSubmitted,
    TimerDue,
)
from engine.interpreter.snapshot import Failed, OnBranches, OnMapRun
from engine.jsonvalue import encode
from tests.driver import Drive, execution_of
from tests.fuzz.documents import document, nested, record
from tests.fuzz.machines import ERRORS

if TYPE_CHECKING:
    from random import Random

    from engine.interpreter.messages import Event
    from engine.interpreter.snapshot import Execution, Transition

TURNS_MAX = 60
"""What the world says to one execution before it stops it."""

_ENDS = ("ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut")
_FOLLOWING_NOTHING = ("ExecutionStarted", "ExecutionAborted", "ExecutionTimedOut", "EvaluationFailed")


def execution(draw: Random) -> Execution:
    """An execution with a random input and mostly tight limits, which small machines can reach."""
    kind = draw.random()
    data = record(draw) if kind < 0.9 else document(draw) if kind < 0.97 else nested(draw.randint(50, 300), draw)
    size = len(encode(data))
    return execution_of(
        data,
        payload_bytes_max=draw.choice((262_144, 262_144, 0, size + 10, size + 300)),
        history_events_max=draw.choice((25, 60, 60, 200)),
        type=draw.choice(("STANDARD", "STANDARD", "EXPRESS")),
        sync=draw.random() < 0.2,
    )


class World(Drive):
    """Answers in any order, late, twice or never; stops, redrives, and loses the worker.

    Attributes:
        unsealed: The segments as they were before they were bytes.
    """

    def __init__(self, definition: Any, given: Execution, draw: Random) -> None:
        self.draw = draw
        self.unsealed: list[Segment] = []
        super().__init__(definition, execution=given, seed=draw.getrandbits(32))

    def _carry_out(self, transition: Transition) -> None:
        if transition.history:
            self.unsealed.append(transition.segment())
        super()._carry_out(transition)

    def live(self) -> None:
        """Runs the execution to an end, past redrives."""
        self.start()
        said: list[Event] = []
        for _ in range(TURNS_MAX):
            if self.ending is not None:
                self.tell(said[-1] if said else StopRequested(None, None))  # to nobody
                if self.draw.random() < 0.5 or not_redrivable(self.snapshot) is not None:
                    return
                self.tell(RedriveRequested())
                continue
            event = self._next(said)
            if event is not None:
                said.append(event)
                self.tell(event)
        if self.ending is None:
            self.tell(StopRequested(self.draw.choice((None, "Stopped")), None))

    def _next(self, said: list[Event]) -> Event | None:
        draw = self.draw
        chance = draw.random()
        if chance < 0.02:
            return StopRequested(None, "stopped")
        if chance < 0.06:
            self._lose_worker()
            return None
        if chance < 0.1 and said:
            return draw.choice(said)
        if self.tasks and chance < 0.8:
            return self._answer_of(draw.choice(list(self.tasks.values())))
        runs = [frame.waiting for frame in self.snapshot.frames.values() if isinstance(frame.waiting, OnMapRun)]
        if runs and (chance < 0.8 or not self.timers):
            return self._end_of(draw.choice(runs))
        if self.timers:
            ticket, heartbeat = draw.choice(list(self.timers))
            self.now = max(self.now, self.timers.pop((ticket, heartbeat)))
            return TimerDue(ticket, heartbeat)
        if self.tasks:
            return None
        raise AssertionError(f"the execution waits for nothing: {self.trace()}")

    def _answer_of(self, task: ScheduleTask) -> Event:
        draw = self.draw
        match draw.randint(0, 9):
            case 0:
                return TaskStarted(task.task_id, draw.choice((None, "worker")))
            case 1:
                return TaskSubmitted(task.task_id, document(draw, 1))
            case 2 | 3:
                error = draw.choice((None, *ERRORS))
                phase: Any = draw.choice(("RUN", "RUN", "START", "SUBMIT"))
                return TaskError(task.task_id, error, draw.choice((None, "", "because")), phase)
            case 4:
                output: Any = draw.choice(("x" * 200, "x" * 262_143, nested(draw.randint(50, 300), draw)))
            case _:
                output = record(draw) if draw.random() < 0.7 else document(draw)
        return TaskDone(task.task_id, output, len(encode(output)))

    def _end_of(self, run: OnMapRun) -> Event:
        """Of a map run, which is an execution of its own and not looked at here."""
        draw = self.draw
        error = draw.choice((None, None, "States.ExceedToleratedFailureThreshold", "States.ItemReaderFailed"))
        output = [document(draw, 1) for _ in range(draw.randint(0, 3))]
        cause = None if error is None else draw.choice(("", "because"))
        return MapRunDone(run.task_id, output, len(encode(output)), error, cause, run.attempt)

    def _lose_worker(self) -> None:
        """What was in flight comes back from the snapshot."""
        before = set(self.tasks)
        self.tasks.clear()
        self.timers.clear()
        for command in pending_commands(self.plan, self.snapshot):
            match command:
                case ScheduleTask():
                    self.tasks[command.task_id] = command
                case StartTimer(timer_id, due, heartbeat):
                    self.timers[timer_id, heartbeat] = due
                case MailContinue() | CancelTask():
                    raise AssertionError(f"the execution rests, but asks for {command}")
        assert set(self.tasks) == before


def check(world: World) -> None:
    """What every history and every ended execution must be like."""
    events = world.events()
    assert world.ending is not None
    assert list(as_aws(world.unsealed)) == events
    ended = True
    for place, event in enumerate(events, 1):
        kind, previous = event["type"], event["previousEventId"]
        assert event["id"] == place
        assert previous < place
        if previous == 0:
            assert kind in _FOLLOWING_NOTHING or place == 2, f"{place}<0 {kind}"
        else:
            assert kind not in _ENDS[2:]
        assert ended == (kind in ("ExecutionStarted", "ExecutionRedriven")), f"{place} {kind} after the end, or no end"
        ended = kind in _ENDS
        _check_payloads(event, world.execution.payload_bytes_max)
    assert ended, "the last event is no ending"
    assert len(events) <= world.execution.history_events_max
    assert {event["type"] for event in events[:1]} == {"ExecutionStarted"}
    assert events[-1]["type"] == f"Execution{_WORDS[world.status]}"
    assert not world.tasks
    assert not world.timers
    _check_frames(world)
    _check_entries(events)


_WORDS = {"SUCCEEDED": "Succeeded", "FAILED": "Failed", "ABORTED": "Aborted", "TIMED_OUT": "TimedOut"}


def _check_payloads(event: dict[str, Any], limit: int) -> None:
    details: dict[str, Any] = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
    for key in ("input", "output", "parameters"):
        if key in details:
            json.loads(details[key])
            # What somebody outside says when a request was accepted is not ours to limit.
            assert event["type"] == "TaskSubmitted" or not 0 < limit < len(details[key].encode()), event["type"]
    for key in ("error", "cause"):
        assert isinstance(details.get(key, ""), str)
    for value in details.get("assignedVariables", {}).values():
        json.loads(value)


def _check_frames(world: World) -> None:
    """Success leaves nothing; any other end leaves what a redrive needs."""
    frames = world.snapshot.frames
    if world.status == "SUCCEEDED":
        assert not frames
        return
    for key, frame in frames.items():
        assert frame.key == key
        assert frame.parent is None or frame.parent in frames
        if isinstance(frame.waiting, OnBranches):
            assert (frame.waiting.fork, -2) in frames
    assert sum(isinstance(frame.waiting, Failed) for frame in frames.values()) <= 1 + world.snapshot.redrives.count


def _check_entries(events: list[dict[str, Any]]) -> None:
    """No state is left more often than it was entered, and iterations end as often as they begin at most."""
    left: dict[str, int] = {}
    for event in events:
        kind = event["type"]
        if kind.endswith("StateEntered"):
            name = event["stateEnteredEventDetails"]["name"]
            left[name] = left.get(name, 0) + 1
        elif kind.endswith("StateExited"):
            name = event["stateExitedEventDetails"]["name"]
            left[name] = left.get(name, 0) - 1
            assert left[name] >= 0, f"{name} was left without being entered"
