"""A recorded history as a script: it tells what each Task answered and in which order, and what should come of it.

Any case whose history was recorded can be driven this way, whatever services its Tasks call: what is tested is the
interpreter, not the integrations.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from engine.arns import activity_arn, execution_arn, state_machine_arn
from engine.asl.diagnostics import InvalidDefinition, invalid_definition_message
from engine.interpreter.messages import (
    EXECUTION_TIMER,
    MapRunDone,
    StopRequested,
    TaskError,
    TaskStarted,
    TaskSubmitted,
)
from engine.interpreter.snapshot import OnMapRun
from engine.jsonvalue import encode, text
from tests.conformance.cases import ACCOUNT, Case, Parameters
from tests.conformance.compare import ABSENT, Comparison, Difference
from tests.driver import Drive, done, execution_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.interpreter.messages import ScheduleTask

_REGION = "us-east-1"
_WORK = ("Task", "LambdaFunction", "Activity")
_PHASES: Mapping[str, Literal["RUN", "START", "SUBMIT"]] = {
    "StartFailed": "START",
    "SubmitFailed": "SUBMIT",
    "ScheduleFailed": "START",
    "Failed": "RUN",
}


class OffScript(Exception):
    """Our execution is not in a place from which the next recorded event could come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedExecution:
    """One execution of a case whose history was recorded.

    Attributes:
        key: Of the expectation that holds the history.
        machine: The parameters of CreateStateMachine.
        start: The parameters of StartExecution.
        events: As recorded.
    """

    key: str
    machine: Mapping[str, Any]
    start: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]


def recorded_executions(case: Case) -> Iterator[RecordedExecution]:
    """All executions of a case whose whole history is known."""
    parameters = Parameters(case, stand_in=lambda reference: f"stand-in-for-{reference}")
    machines: dict[str, Mapping[str, Any]] = {}
    starts: dict[str, Mapping[str, Any]] = {}
    for step in case.steps:
        params = parameters.of(step["params"])
        match step.get("service", "stepfunctions"), step["op"]:
            case "stepfunctions", "CreateStateMachine":
                arn = state_machine_arn(_REGION, ACCOUNT, params["name"])
                machines[arn] = params
                parameters.answers[step["id"]] = {"stateMachineArn": arn}
            case "stepfunctions", "UpdateStateMachine":
                arn = params["stateMachineArn"]
                machines[arn] = {**machines[arn], **params}
            case "stepfunctions", "CreateActivity":
                parameters.answers[step["id"]] = {"activityArn": activity_arn(_REGION, ACCOUNT, params["name"])}
            case "sns", "CreateTopic":
                parameters.answers[step["id"]] = {"TopicArn": f"arn:aws:sns:{_REGION}:{ACCOUNT}:{params['Name']}"}
            case "stepfunctions", "StartExecution":
                machine = params["stateMachineArn"].rpartition(":")[2]
                arn = execution_arn(_REGION, ACCOUNT, machine, params.get("name", f"run-{step['id']}"))
                starts[arn] = params
                parameters.answers[step["id"]] = {"executionArn": arn}
            case "stepfunctions", "GetExecutionHistory" if params["executionArn"] in starts:
                start = starts[params["executionArn"]]
                machine_of = machines.get(start["stateMachineArn"])
                for expectation in step.get("expect", ()):
                    events = "of" not in expectation and expectation["value"].get("events")
                    if events and machine_of is not None:
                        yield RecordedExecution(key=expectation["key"], machine=machine_of, start=start, events=events)
            case _:
                pass


def replay_history(case: Case, recorded: RecordedExecution) -> list[Difference]:
    """Drives our interpreter by the recorded events; the differences of the two histories."""
    placeholders = case.data["placeholders"]
    comparison = Comparison(placeholders["in_text"], placeholders["whole_value"], case.data.get("unordered", ()))
    machine, start = recorded.machine, recorded.start
    name, given = start.get("name", "run"), start.get("input", "{}")
    execution = execution_of(
        json.loads(given),
        arn=execution_arn(_REGION, ACCOUNT, machine["name"], name),
        name=name,
        role_arn=machine["roleArn"],
        state_machine_arn=start["stateMachineArn"],
        state_machine_name=machine["name"],
        # What a Wait has to wait for was in the future when it was recorded, by less than an execution may run.
        start_time=time.time_ns() // 1_000_000,
    )
    place = (recorded.key, "events")
    try:
        drive = Drive(machine["definition"], execution=execution, input_text=given)
    except InvalidDefinition as error:
        return [Difference(place, "a valid definition", invalid_definition_message(error.diagnostics))]
    script = _Script(drive, recorded.events, comparison)
    try:
        script.play()
    except OffScript as error:
        return [*comparison.compare(place, recorded.events, drive.events()), Difference(place, ABSENT, str(error))]
    return comparison.compare(place, recorded.events, drive.events())


class _Script:
    """Tells a Drive what, after the record, happened next."""

    def __init__(self, drive: Drive, events: Sequence[Mapping[str, Any]], comparison: Comparison) -> None:
        self._drive = drive
        self._events = events
        self._comparison = comparison

    def play(self) -> None:
        """Goes on until either the execution or the record ends."""
        drive, seen = self._drive, 0
        drive.start()
        while drive.ending is None and drive.snapshot.last_event_id < len(self._events):
            last = drive.snapshot.last_event_id
            if last == seen:
                raise OffScript(f"after event {last} comes {self._events[last]['type']}, and ours stands still")
            # Only to learn what the placeholders stand for.
            self._comparison.compare((), list(self._events[seen:last]), drive.events()[seen:last])
            seen = last
            self._tell(self._events[last])

    def _tell(self, event: Mapping[str, Any]) -> None:
        drive, kind = self._drive, event["type"]
        family = next(
            (family for family in _WORK if kind.startswith(family) and not kind.startswith("TaskState")), None
        )
        if family is not None:
            self._answer(event, kind.removeprefix(family), self._details(event))
        elif kind == "ExecutionAborted":
            details = self._details(event)
            drive.tell(StopRequested(details.get("error"), details.get("cause")))
        elif kind in ("MapRunSucceeded", "MapRunFailed"):
            drive.tell(self._end_of_map_run(event, self._details(event)))
        elif kind == "ExecutionTimedOut":
            drive.fire(next(ticket for ticket, _ in drive.timers if ticket[0] == EXECUTION_TIMER))
        elif drive.timers:
            drive.tick()
        else:
            raise OffScript(f"nothing is under way that {kind} (event {event['id']}) could come from")

    def _end_of_map_run(self, event: Mapping[str, Any], details: Mapping[str, Any]) -> MapRunDone:
        waits = [frame.waiting for frame in self._drive.snapshot.frames.values()]
        waiting = next((wait for wait in waits if isinstance(wait, OnMapRun)), None)
        if waiting is None:
            raise OffScript(f"no map run is under way that {event['type']} (event {event['id']}) could be about")
        if event["type"] == "MapRunFailed":
            return MapRunDone(waiting.task_id, None, 0, details["error"], details["cause"])
        later = self._events[event["id"] :]
        left = next(self._details(after) for after in later if after["type"] == "MapStateExited")
        output = _value(left["output"])
        return MapRunDone(waiting.task_id, output, len(encode(output)))

    def _answer(self, event: Mapping[str, Any], what: str, details: Mapping[str, Any]) -> None:
        task = self._task_of(event)
        if task is None:
            if not self._drive.timers:
                raise OffScript(f"no Task is open that {event['type']} (event {event['id']}) could be about")
            self._drive.tick()  # the delay before a retry
        elif what == "Succeeded":
            self._drive.tell(done(task, _value(details["output"])))
        elif what == "Submitted":
            self._drive.tell(TaskSubmitted(task.task_id, _value(details["output"])))
        elif what == "Started":
            self._drive.tell(TaskStarted(task.task_id, details.get("workerName")))
        elif what == "TimedOut":
            self._time_out(task, event)
        elif what in _PHASES:
            self._drive.tell(TaskError(task.task_id, details.get("error"), self._cause(details), _PHASES[what]))
        else:
            raise OffScript(f"{event['type']} (event {event['id']}) is not ours yet")

    def _task_of(self, event: Mapping[str, Any]) -> ScheduleTask | None:
        """The open Task that an event is about: that of the nearest Scheduled event before it."""
        while event["previousEventId"] and not event["type"].endswith("StateEntered"):
            event = self._events[event["previousEventId"] - 1]
            if event["type"].endswith("Scheduled"):
                task = self._drive.scheduled.get(event["id"])
                return task if task is not None and task.task_id in self._drive.tasks else None
        return None

    def _time_out(self, task: ScheduleTask, event: Mapping[str, Any]) -> None:
        due = [(self._drive.timers[timer], timer) for timer in self._drive.timers if timer[0] == task.task_id]
        if not due:
            raise OffScript(f"{event['type']} (event {event['id']}): the Task has no time limit")
        ticket, heartbeat = min(due)[1]
        self._drive.fire(ticket, heartbeat=heartbeat)

    def _cause(self, details: Mapping[str, Any]) -> str | None:
        """The cause as it was. Shown opened in the Task's own event, its text stands further down, in Error Output."""
        cause = details.get("cause")
        if cause is None or isinstance(cause, str):
            return cause
        texts = (self._comparison.filled(found) for found in _texts(self._events) if found.startswith("{"))
        return next((found for found in texts if json.loads(found) == cause), text(cause))

    def _details(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        details: Mapping[str, Any] = next((event[key] for key in event if key.endswith("EventDetails")), {})
        filled: Mapping[str, Any] = self._comparison.filled(details)
        return filled


def _value(shown: Any) -> Any:
    """A payload as it was: the record shows objects opened, everything else as JSON text."""
    return json.loads(shown) if isinstance(shown, str) else shown


def _texts(value: Any) -> Iterator[str]:
    """All strings in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for member in value:
            yield from _texts(member)
    elif isinstance(value, dict):
        yield from _texts(list(value.values()))
