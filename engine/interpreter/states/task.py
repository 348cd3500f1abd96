"""Task: work done by somebody outside (asl.md 12, 14; execution.md 3.2)."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.errors import StatesError
from engine.interpreter.context import Visit
from engine.interpreter.dataflow import (
    ResultExit,
    Tap,
    WorkInput,
    compile_fill,
    compile_result_exit,
    compile_work_input,
)
from engine.interpreter.history import CODE
from engine.interpreter.messages import Command, ScheduleTask, StartTimer, TaskDone, TaskError, Ticket
from engine.interpreter.recovery import error_details
from engine.interpreter.snapshot import Frame, OnTask
from engine.interpreter.state_plan import StatePlan
from engine.interpreter.states.wait import SECONDS_MAX
from engine.interpreter.step import Leave, Stay, Step
from engine.jsonvalue import Json, text
from engine.query.jsonata import Bundle, JsonataTemplate, unexpected_type

if TYPE_CHECKING:
    from engine.asl.program import TaskState
    from engine.asl.resource import Resource
    from engine.query.jsonpath import Path

Seconds: TypeAlias = Callable[[Visit], int | None]
RoleArn: TypeAlias = Callable[[Visit], str | None]

_MS_PER_SECOND = 1_000
_TOKEN_BYTES = 48
# An ARN of none of AWS's three kinds runs only where somebody has a handler for it; its history is that of a service.
_FAMILY = {"lambda": "LambdaFunction", "activity": "Activity", "service": "Task", "other": "Task"}


_STARTED_BY: dict[str, Json] = {"StartedBy": "AWS Step Functions"}
_STARTED_BY_BYTES = len(text(_STARTED_BY))


@dataclass(slots=True, eq=False, kw_only=True)
class TaskPlan(StatePlan):
    """A Task state. `is_ecs_job`: the arguments get who started it, which history shows (recorded)."""

    resource: Resource
    family: str
    is_ecs_job: bool
    work_input: WorkInput
    finish: ResultExit
    timeout: Seconds
    heartbeat: Seconds
    role: RoleArn


def plan(state: TaskState, tap: Tap | None = None) -> TaskPlan:
    """Compiles the state."""
    return TaskPlan(
        name=state.name,
        type="Task",
        resource=state.resource,
        family=_FAMILY[state.resource.kind],
        is_ecs_job=state.resource.service == "ecs" and state.resource.pattern == "SYNC",
        work_input=compile_work_input(state, tap),
        finish=compile_result_exit(state, tap),
        timeout=_seconds("TimeoutSeconds", state.timeout_seconds, state.timeout_seconds_path, state),
        heartbeat=_seconds("HeartbeatSeconds", state.heartbeat_seconds, state.heartbeat_seconds_path, state),
        role=_role(state),
    )


def enter(state: TaskPlan, visit: Visit) -> Step:
    """Schedules the Task; each attempt evaluates its input anew and has a token of its own."""
    pattern = state.resource.pattern
    token = None if pattern == "REQUEST_RESPONSE" else _new_token(visit)
    visit.task_token = None if state.resource.kind == "activity" else token
    try:
        arguments, bound = state.work_input(visit)
        if state.is_ecs_job and isinstance(arguments, dict):
            arguments, bound = arguments | _STARTED_BY, bound + _STARTED_BY_BYTES
        timeout_seconds, heartbeat_seconds = state.timeout(visit), state.heartbeat(visit)
        role_arn = state.role(visit)
    finally:
        visit.task_token = None
    visit.measure(arguments, bound)
    task_id = visit.new_ticket()
    # Heartbeats mean nothing for request-response, though history shows the field (recorded).
    watched = None if pattern == "REQUEST_RESPONSE" else heartbeat_seconds
    is_input = arguments is visit.input
    waiting = OnTask(
        task_id,
        None if is_input else arguments,
        is_input,
        token,
        None if timeout_seconds is None else visit.now + timeout_seconds * _MS_PER_SECOND,
        timeout_seconds,
        watched,
        role_arn,
        state.resource.kind != "activity",
    )
    commands = _commands(
        state, waiting, arguments, sum(visit.retries), visit.entered, visit.now, visit.core.redrives.count
    )
    return Stay(waiting, commands, _scheduled(state, visit, arguments, timeout_seconds, heartbeat_seconds, role_arn))


def rescheduled(state: TaskPlan, frame: Frame, waiting: OnTask, now: int, redrive: int) -> tuple[Command, ...]:
    """The commands of a Task whose worker was lost: it runs again, with what is left of its time.

    One that was submitted and waits for its token or its job is only waited for.
    """
    arguments = frame.input if waiting.arguments_are_input else waiting.arguments
    return _commands(state, waiting, arguments, sum(frame.retries), frame.entered, now, redrive)


def resume(state: TaskPlan, visit: Visit, event: TaskDone) -> Leave:
    """Makes the output of the result."""
    return state.finish(visit, event.output, event.output_bytes, state.next)


# ── history ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def succeeded(state: TaskPlan, output: Json) -> tuple[int, dict[str, Any]]:
    """Code and payload of the event that shows the result."""
    return CODE[f"{state.family}Succeeded"], {**_about(state), "output": output}


def failed(state: TaskPlan, event: TaskError) -> tuple[int, dict[str, Any]]:
    """Code and payload of the event that shows why the Task failed; START and SUBMIT where the type exists."""
    what = {"RUN": "Failed", "START": "StartFailed", "SUBMIT": "SubmitFailed"}[event.phase]
    code = CODE.get(f"{state.family}{what}", CODE[f"{state.family}Failed"])
    return code, {**_about(state), **error_details(StatesError(event.error, event.cause))}


def timed_out(state: TaskPlan) -> tuple[int, dict[str, Any]]:
    """Code and payload after either time limit: `States.Timeout` and no cause (recorded)."""
    return CODE[f"{state.family}TimedOut"], {**_about(state), "error": "States.Timeout"}


def submitted(state: TaskPlan, output: Json) -> tuple[int, dict[str, Any]] | None:
    """Code and payload of TaskSubmitted, which only a service's `.sync` and `.waitForTaskToken` have."""
    if state.resource.kind != "service" or state.resource.pattern == "REQUEST_RESPONSE":
        return None
    return CODE["TaskSubmitted"], {**_about(state), "output": output}


def started(worker_name: str | None) -> tuple[int, dict[str, Any]]:
    """Code and payload of ActivityStarted."""
    return CODE["ActivityStarted"], {} if worker_name is None else {"workerName": worker_name}


def too_large(state: TaskPlan) -> str:
    """The cause when a result passes the payload limit; what AWS quotes is the service, or the function's ARN."""
    name = state.resource.service if state.resource.kind == "service" else state.resource.arn
    return f"The state/task '{name}' returned a result with a size exceeding the maximum number of bytes service limit."


def _about(state: TaskPlan) -> dict[str, Any]:
    if state.family != "Task":
        return {}
    return {"resourceType": state.resource.service, "resource": state.resource.action}


def _scheduled(
    state: TaskPlan,
    visit: Visit,
    arguments: Json,
    timeout_seconds: int | None,
    heartbeat_seconds: int | None,
    role_arn: str | None,
) -> tuple[tuple[int, Any], ...]:
    details: dict[str, Any]
    is_shown = arguments is visit.input and visit.core.is_newest(visit.entered)
    if state.family == "Task":
        details = {**_about(state), "region": visit.core.execution.region}
        if not is_shown:
            details["parameters"] = arguments
    else:
        details = {"resource": state.resource.arn}
        if not is_shown:
            details["input"] = arguments
    if timeout_seconds is not None:
        details["timeoutInSeconds"] = timeout_seconds
    if heartbeat_seconds is not None and state.resource.kind != "lambda":
        details["heartbeatInSeconds"] = heartbeat_seconds
    if role_arn is not None and state.resource.kind != "activity":
        details["taskCredentials"] = {"roleArn": role_arn}
    scheduled = (CODE[f"{state.family}Scheduled"], details)
    if state.resource.kind == "activity":
        return (scheduled,)
    if state.resource.kind == "lambda":
        return (scheduled, (CODE["LambdaFunctionStarted"], None))
    return (scheduled, (CODE["TaskStarted"], _about(state)))


# ── commands ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _commands(
    state: TaskPlan, waiting: OnTask, arguments: Json, attempt: int, entered: int, now: int, redrive: int
) -> tuple[Command, ...]:
    task_id: Ticket = waiting.task_id
    schedule = ScheduleTask(
        task_id,
        state.name,
        state.resource.arn,
        arguments,
        attempt,
        entered,
        waiting.task_token,
        waiting.deadline,
        waiting.heartbeat_seconds,
        waiting.role_arn,
        redrive,
        # A handler that did all of a `.sync` Task itself is gone with its worker; a job goes on, and a token is the
        # right to end the Task still.
        waiting.submitted and (state.resource.pattern == "WAIT_FOR_TASK_TOKEN" or waiting.job is not None),
        waiting.job,
    )
    if waiting.deadline is None and waiting.heartbeat_seconds is None:
        return (schedule,)
    commands: list[Command] = [schedule]
    if waiting.deadline is not None:
        commands.append(StartTimer(task_id, waiting.deadline))
    if waiting.heartbeat_seconds is not None and waiting.started:
        commands.append(StartTimer(task_id, now + waiting.heartbeat_seconds * _MS_PER_SECOND, heartbeat=True))
    return tuple(commands)


def heartbeat_timer(waiting: OnTask, now: int) -> tuple[Command, ...]:
    """An activity's heartbeats count from when a worker took it (execution.md 12)."""
    if waiting.heartbeat_seconds is None:
        return ()
    return (StartTimer(waiting.task_id, now + waiting.heartbeat_seconds * _MS_PER_SECOND, heartbeat=True),)


def _new_token(visit: Visit) -> str:
    return base64.b64encode(visit.chance.getrandbits(8 * _TOKEN_BYTES).to_bytes(_TOKEN_BYTES, "big")).decode()


# ── fields ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _seconds(field: str, literal: int | JsonataTemplate | None, path: Path | None, state: TaskState) -> Seconds:
    if path is not None:
        return _seconds_by_path(f"{field}Path", path, state.input_path)
    if isinstance(literal, JsonataTemplate):
        return _seconds_by_jsonata(literal)
    return lambda visit: literal


def _seconds_by_path(field: str, path: Path, input_path: Path | None) -> Seconds:
    def find(visit: Visit) -> int | None:
        data: Json = {} if input_path is None else input_path.evaluate(visit.input, visit)
        value = path.evaluate(data, visit)
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
            shown = value if isinstance(value, str) else text(value)
            cause = f'The {field} field refers to value "{shown}" which is not a valid integer: {path.source}'
            raise StatesError("States.Runtime", cause, located=True)
        if not 0 < value <= SECONDS_MAX:
            what = "not positive" if value <= 0 else f"larger than {SECONDS_MAX}"
            cause = f"The {field} field refers to a value that is {what}: {path.source} == {text(value)}"
            raise StatesError("States.Runtime", cause, located=True)
        return int(value)

    return find


def _seconds_by_jsonata(template: JsonataTemplate) -> Seconds:
    bundle = Bundle([template])

    def find(visit: Visit) -> int | None:
        value = bundle.evaluate(visit, {"input": visit.input})[0]
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value <= 0:
            raise unexpected_type(template, "positive integer", value)
        if value > SECONDS_MAX:
            cause = f"The {template.field} field must be between 1 and {SECONDS_MAX} but was: {text(value)}"
            raise StatesError("States.QueryEvaluationError", cause, location=template.field, located=True)
        return int(value)

    return find


def _role(state: TaskState) -> RoleArn:
    template = state.credentials
    if template is None:
        return lambda visit: None
    evaluate, _ = compile_fill(template)

    def find(visit: Visit) -> str | None:
        data: Json = visit.input if state.input_path is None else state.input_path.evaluate(visit.input, visit)
        credentials = evaluate(data, visit)
        role_arn = credentials.get("RoleArn") if isinstance(credentials, dict) else None
        if not isinstance(role_arn, str):
            if isinstance(template, JsonataTemplate):
                raise unexpected_type(template, "string", role_arn, place=("RoleArn",))
            raise StatesError(
                "States.Runtime", f"Credentials.RoleArn must be a string but was: {text(role_arn)}", located=True
            )
        return role_arn

    return find
