"""Random state machines, and a world that answers their Tasks, for properties that must hold for every program.

The world is a function of what a Task is given, so two runs of one program end alike, however their answers interleave.
A Task may be made to fail softly, on its first attempts, with an error that programs retry; or fatally, with one that
nothing in a program matches.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.asl.parser import load
from engine.interpreter.advance import advance, pending_commands
from engine.interpreter.messages import (
    CancelTask,
    Continue,
    Event,
    MailContinue,
    ScheduleTask,
    StartRequested,
    StartTimer,
    TaskDone,
    TaskError,
    Ticket,
    TimerDue,
)
from engine.interpreter.plan import Plan, compile_plan
from engine.interpreter.snapshot import Snapshot, Transition
from engine.jsonvalue import encode
from tests.driver import START_TIME, execution_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.interpreter.history import Segment

GIVEN = {"n": 1, "items": [3, 1, 2]}


class Program:
    """Makes one random definition; `tasks` are the names of its Task states."""

    def __init__(self, seed: int, *, depth: int = 2, size: int = 5) -> None:
        self._draw = random.Random(seed)
        self._count = 0
        self.tasks: list[str] = []
        self.definition = self._flow(depth, size)

    @property
    def plan(self) -> Plan:
        return compile_plan(load(self.definition))

    def _flow(self, depth: int, size: int) -> dict[str, Any]:
        kinds = [self._kind(depth) for _ in range(self._draw.randint(1, size))]
        names = [self._name(kind) for kind in kinds]
        states = {}
        for place, (name, kind) in enumerate(zip(names, kinds, strict=True)):
            following = names[place + 1 :]
            state = getattr(self, f"_{kind.lower()}")(name, depth, following)
            if kind != "Choice" and kind != "Succeed":
                state |= {"Next": following[0]} if following else {"End": True}
            states[name] = state
        if kinds[-1] == "Choice":
            end = self._name("Pass")
            states[names[-1]] |= {"Default": end}
            states[names[-1]]["Choices"][0]["Next"] = end
            states[end] = {"Type": "Pass", "End": True}
        return {"StartAt": names[0], "States": states}

    def _kind(self, depth: int) -> str:
        kinds = ["Pass", "Pass", "Task", "Task", "Task", "Choice", "Wait"]
        return self._draw.choice(kinds + (["Map", "Parallel"] * 2 if depth else []))

    def _name(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"

    def _pass(self, name: str, depth: int, following: list[str]) -> dict[str, Any]:
        state: dict[str, Any] = {"Type": "Pass"}
        if self._draw.random() < 0.6:
            state |= {"Parameters": {"v.$": "States.MathAdd($.n, 1)"}, "ResultPath": f"$.{name}"}
        if self._draw.random() < 0.4:
            state["Assign"] = {f"var{name}.$": "$"}
        return state

    def _task(self, name: str, depth: int, following: list[str]) -> dict[str, Any]:
        self.tasks.append(name)
        state: dict[str, Any] = {
            "Type": "Task",
            "Resource": self._draw.choice(
                ["arn:aws:lambda:us-east-1:123456789012:function:f", "arn:aws:states:::sns:publish"]
            ),
            "ResultPath": f"$.{name}",
            "Retry": [{"ErrorEquals": ["Soft"], "MaxAttempts": 3, "IntervalSeconds": self._draw.randint(1, 3)}],
        }
        if self._draw.random() < 0.3:
            state["TimeoutSeconds"] = 1_000
        if self._draw.random() < 0.3:
            state["Assign"] = {f"var{name}.$": "$.answer"}
        return state

    def _wait(self, name: str, depth: int, following: list[str]) -> dict[str, Any]:
        return {"Type": "Wait", "Seconds": self._draw.randint(0, 5)}

    def _choice(self, name: str, depth: int, following: list[str]) -> dict[str, Any]:
        target = following[0] if following else ""
        rule = {"Variable": "$.n", "NumericGreaterThan": self._draw.randint(0, 2), "Next": target}
        return {"Type": "Choice", "Choices": [rule], "Default": target}

    def _map(self, name: str, depth: int, following: list[str]) -> dict[str, Any]:
        return {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemSelector": {"n.$": "$$.Map.Item.Value", "items": [1, 2]},
            "MaxConcurrency": self._draw.randint(0, 3),
            "ItemProcessor": self._flow(depth - 1, 3),
            "ResultPath": f"$.{name}",
        }

    def _parallel(self, name: str, depth: int, following: list[str]) -> dict[str, Any]:
        branches = [self._flow(depth - 1, 3) for _ in range(self._draw.randint(1, 3))]
        return {"Type": "Parallel", "Branches": branches, "ResultPath": f"$.{name}"}


@dataclass
class World:
    """Answers Tasks and keeps timers. `next_event` chooses among all that could happen next, at random."""

    draw: random.Random
    soft: dict[str, int] = field(default_factory=dict)  # Task state -> attempts that fail softly
    fatal: set[str] = field(default_factory=set)  # Task states that fail for good
    tasks: dict[Ticket, ScheduleTask] = field(default_factory=dict)
    timers: dict[tuple[Ticket, bool], int] = field(default_factory=dict)
    continues: bool = False
    now: int = START_TIME

    def take(self, commands: list[Any]) -> None:
        for command in commands:
            match command:
                case ScheduleTask():
                    assert command.task_id not in self.tasks, "a ticket was used twice"
                    self.tasks[command.task_id] = command
                case StartTimer(timer_id, due, heartbeat):
                    self.timers[timer_id, heartbeat] = due
                case CancelTask(task_id):
                    self.tasks.pop(task_id, None)
                    self._drop_timers(task_id)
                case MailContinue():
                    self.continues = True

    def next_event(self) -> Event:
        if self.continues:
            self.continues = False
            return Continue()
        # A Task's own limits do not fire: every Task answers in time.
        due_next = [(due, timer) for timer, due in self.timers.items() if timer[0] not in self.tasks]
        if self.tasks and (self.draw.random() < 0.8 or not due_next):
            task_id = self.draw.choice(list(self.tasks))
            task = self.tasks.pop(task_id)
            self._drop_timers(task_id)
            return self._answer(task)
        due, (timer_id, heartbeat) = min(due_next)
        del self.timers[timer_id, heartbeat]
        self.now = max(self.now, due)
        return TimerDue(timer_id, heartbeat)

    def _answer(self, task: ScheduleTask) -> Event:
        if task.state in self.fatal:
            return TaskError(task.task_id, "Fatal", f"{task.state} is broken")
        if task.attempt < self.soft.get(task.state, 0):
            return TaskError(task.task_id, "Soft", "try again")
        # A digest, not the arguments: documents that hold one another would outgrow the payload limit.
        output = {"answer": [task.state, zlib.crc32(encode(task.arguments))]}
        return TaskDone(task.task_id, output, len(encode(output)))

    def _drop_timers(self, task_id: Ticket) -> None:
        self.timers.pop((task_id, False), None)
        self.timers.pop((task_id, True), None)


def new_snapshot() -> Snapshot:
    return Snapshot(execution=execution_of(GIVEN))


@dataclass
class Run:
    """One execution in one world. `between` may replace the snapshot at every quiescent point."""

    plan: Plan
    world: World
    snapshot: Snapshot = field(default_factory=new_snapshot)
    between: Callable[[Snapshot], Snapshot] = lambda snapshot: snapshot
    check: Callable[[Snapshot, Transition], None] = lambda snapshot, transition: None
    segments: list[Segment] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def fold(self, event: Event) -> Transition:
        transition = advance(self.plan, self.snapshot, event, now=self.world.now, chance=self.chance)
        self.check(self.snapshot, transition)
        self.snapshot.apply(transition)
        self.segments.append(transition.segment())
        self.world.take(transition.commands)
        self.snapshot = self.between(self.snapshot)
        return transition

    def to_the_end(self, first: Event | None = None, *, at_most: int = 2_000) -> Run:
        self.fold(StartRequested() if first is None else first)
        for _ in range(at_most):
            if self.snapshot.ending is not None:
                return self
            self.fold(self.world.next_event())
        raise AssertionError(f"no end after {at_most} events")

    def reload(self) -> None:
        """As after a crash: everything in flight is lost, and comes back from the snapshot."""
        self.world.tasks.clear()
        self.world.timers.clear()
        self.world.take(pending_commands(self.plan, self.snapshot))
