"""Drives one execution by hand through the interpreter alone: no event loop, no store, a clock that jumps.

The snapshot goes through its serialised form after every fold, so that whatever runs here survives a crash as well.
"""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING, Any

from engine.asl.parser import load
from engine.interpreter.advance import advance, pending_commands
from engine.interpreter.history import Segment, as_aws
from engine.interpreter.messages import (
    CancelTask,
    Continue,
    MailContinue,
    ScheduleTask,
    StartRequested,
    StartTimer,
    TaskDone,
    TaskError,
    TimerDue,
)
from engine.interpreter.plan import Plan, compile_plan
from engine.interpreter.snapshot import Ending, Execution, Snapshot, Transition, decode_snapshot, encode_snapshot
from engine.jsonvalue import PAYLOAD_BYTES_MAX, Json, encode
from engine.store.postgres.snapshots import decode_segment, encode_row

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.interpreter.messages import Event, Ticket

START_TIME = 1_700_000_000_000
HISTORY_EVENTS_MAX = 25_000

_MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:machine"
_FOLDS_MAX = 100_000


def execution_of(data: Json = None, **fields: Any) -> Execution:
    """An execution of a Standard state machine; `fields` replace single facts about it."""
    facts: dict[str, Any] = {
        "arn": "arn:aws:states:us-east-1:123456789012:execution:machine:run",
        "name": "run",
        "type": "STANDARD",
        "role_arn": "arn:aws:iam::123456789012:role/states",
        "state_machine_arn": _MACHINE,
        "state_machine_name": "machine",
        "input": {} if data is None else data,
        "start_time": START_TIME,
        "payload_bytes_max": PAYLOAD_BYTES_MAX,
        "history_events_max": HISTORY_EVENTS_MAX,
        "region": "us-east-1",
        **fields,
    }
    return Execution(input_bytes=len(encode(facts["input"])), **facts)


def done(task: ScheduleTask, output: Json) -> TaskDone:
    """The answer of a Task that succeeded."""
    return TaskDone(task.task_id, output, len(encode(output)))


class Drive:
    """One execution and the world around it.

    Attributes:
        now: Milliseconds since the epoch; jumps to the next timer when asked to.
        tasks: Tasks in flight by id.
        timers: When each timer that runs is due, by (id, heartbeat).
        scheduled: The Task that each Scheduled event of the history is about, by the event's id.
    """

    def __init__(
        self,
        definition: str | dict[str, Any],
        data: Json = None,
        *,
        answer: Callable[[ScheduleTask], Event | None] | None = None,
        seed: int = 0,
        execution: Execution | None = None,
        input_text: str | None = None,
    ) -> None:
        """Nothing runs yet; `answer` is asked for each Task, and None means that it stays open."""
        self.execution = execution or execution_of(data)
        self.plan: Plan = compile_plan(load(definition, type=self.execution.type))
        self.answer = answer
        self.chance = random.Random(seed)
        self.now = self.execution.start_time
        self.snapshot = Snapshot(execution=self.execution)
        self.segments: list[Segment] = []
        self.tasks: dict[Ticket, ScheduleTask] = {}
        self.timers: dict[tuple[Ticket, bool], int] = {}
        self.scheduled: dict[int, ScheduleTask] = {}
        self._input_text = input_text
        self._mail: deque[Event] = deque()

    # ── looking ─────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def ending(self) -> Ending | None:
        return self.snapshot.ending

    @property
    def status(self) -> str:
        return "RUNNING" if self.ending is None else self.ending.status

    def events(self) -> list[dict[str, Any]]:
        """The history so far, in AWS's shape."""
        return list(as_aws(self.segments))

    def trace(self) -> str:
        """The history as execution.md section 4 writes it: `1<0 ExecutionStarted 2<0 PassStateEntered ...`."""
        return " ".join(f"{event['id']}<{event['previousEventId']} {event['type']}" for event in self.events())

    # ── going on ────────────────────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Begins, and runs as far as it gets without time passing."""
        self.tell(StartRequested(self._input_text))

    def run(self) -> None:
        """Runs to the end, or until only Tasks that nobody answers are left."""
        if not self.segments:
            self.start()
        while self.ending is None and self.timers:
            self.tick()

    def tick(self) -> None:
        """Jumps to the timer that is due next, and tells it."""
        ticket, heartbeat = min(self.timers, key=lambda timer: (self.timers[timer], timer))
        self.fire(ticket, heartbeat=heartbeat)

    def fire(self, ticket: Ticket, *, heartbeat: bool = False) -> None:
        """Jumps to when this timer is due, and tells it."""
        self.now = max(self.now, self.timers.pop((ticket, heartbeat)))
        self.tell(TimerDue(ticket, heartbeat))

    def tell(self, event: Event) -> None:
        """Folds an event, and then all mail and answers that follow from it."""
        self._mail.append(event)
        for _ in range(_FOLDS_MAX):
            if not self._mail:
                return
            self._fold(self._mail.popleft())
        raise AssertionError(f"{_FOLDS_MAX} folds did not come to rest")

    def _fold(self, event: Event) -> None:
        if isinstance(event, TaskDone | TaskError):
            self._forget(event.task_id)
        transition = advance(self.plan, self.snapshot, event, now=self.now, chance=self.chance)
        self.snapshot.apply(transition)
        self.snapshot = decode_snapshot(encode_snapshot(self.snapshot))
        if transition.history:
            self.segments.append(decode_segment(encode_row(transition.segment())))
        self._carry_out(transition)
        self._check_recoverable()

    def _check_recoverable(self) -> None:
        """A worker that loads the snapshot now would wait for the same Tasks and timers as this one."""
        pending = pending_commands(self.plan, self.snapshot)
        assert {c.task_id for c in pending if isinstance(c, ScheduleTask)} == self.tasks.keys()
        # A timer that nobody waits for any more is not cancelled; when it is due, it is a late answer.
        assert {(c.timer_id, c.heartbeat) for c in pending if isinstance(c, StartTimer)} <= self.timers.keys()

    def _carry_out(self, transition: Transition) -> None:
        tasks = [command for command in transition.commands if isinstance(command, ScheduleTask)]
        if tasks:
            self._note_scheduled(transition, tasks)
        for command in transition.commands:
            match command:
                case ScheduleTask():
                    self.tasks[command.task_id] = command
                    event = self.answer(command) if self.answer else None
                    if event is not None:
                        self._mail.append(event)
                case StartTimer(timer_id, due, heartbeat):
                    self.timers[timer_id, heartbeat] = due
                case CancelTask(task_id):
                    self._forget(task_id)
                case MailContinue():
                    self._mail.append(Continue())
        if transition.ending is not None:
            assert not self.tasks, f"Tasks outlive the execution: {list(self.tasks)}"
            self.timers.clear()

    def _note_scheduled(self, transition: Transition, tasks: list[ScheduleTask]) -> None:
        events = [event for event in as_aws(self.segments[-1:]) if event["type"].endswith("Scheduled")]
        # A Task that was scheduled and cancelled in one fold has an event, but no command any more.
        if len(events) == len(tasks):
            self.scheduled.update(zip((event["id"] for event in events), tasks, strict=True))
        else:
            assert transition.ending is not None

    def _forget(self, task_id: Ticket) -> None:
        self.tasks.pop(task_id, None)
        self.timers.pop((task_id, False), None)
        self.timers.pop((task_id, True), None)
