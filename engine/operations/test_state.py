"""TestState: one state, entered once with an input, its work mocked or really done (api.md 9)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import anyio

from engine import arns
from engine.asl.parser import TEST_STATE_NAME
from engine.asl.program import FailState, MapState, ParallelState, PassState, TaskState
from engine.errors import InvalidExecutionInput, StatesError, ValidationException
from engine.integrations.invocation import shortened
from engine.integrations.registry import MissingHandler
from engine.integrations.request import UnsupportedTask
from engine.interpreter.messages import ScheduleTask, StartTimer, TaskDone, TaskError, TimerDue
from engine.interpreter.snapshot import Execution
from engine.interpreter.trial import Trial
from engine.jsonvalue import encode, text
from engine.operations.http_trace import traced
from engine.operations.mock_results import FieldValidationMode, check_mocked_result
from engine.operations.test_state_request import check_role, context_of, mock_of, state_under_test, variables_of
from engine.runtime.clock import VirtualClock
from engine.starts import parsed
from engine.timestamps import iso_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.asl.program import State
    from engine.integrations.request import Exchange
    from engine.interpreter.messages import Command
    from engine.interpreter.trial import Mock
    from engine.jsonvalue import Json
    from engine.operations.service import Service

InspectionLevel = Literal["INFO", "DEBUG", "TRACE"]

SECONDS_MAX = 300
"""How long a test may take (api.md 9)."""

_MS_PER_SECOND = 1_000

_NOT_SHOWN = {
    "Map": frozenset({"afterParameters", "afterArguments", "result"}),
    "Parallel": frozenset({"afterInputPath", "afterParameters", "afterArguments", "result"}),
}
"""Stages that the inspection data of a type leaves out (recorded)."""


async def test_state(
    service: Service,
    *,
    definition: str,
    role_arn: str | None = None,
    input: str = "{}",
    inspection_level: InspectionLevel = "INFO",
    reveal_secrets: bool = False,
    variables: str | None = None,
    state_name: str | None = None,
    mock: Mapping[str, Any] | None = None,
    context: str | None = None,
    state_configuration: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Tests one state.

    The answer's `inspection_data` has AWS's own member names; DEBUG and TRACE give the same, as recorded, but for HTTP
    Tasks, of which TRACE shows the request and the response too (see `http_trace`). A Task without a mock is done by
    the handlers of this process.

    Raises:
        InvalidDefinition: Also for a Map or Parallel without a mock.
        InvalidArn, InvalidExecutionInput: As AWS does.
        ValidationException: A rule of api.md 9.1; or no handler does the Task.
    """
    configuration = {key: value for key, value in (state_configuration or {}).items() if value is not None}
    state, is_in_map = state_under_test(definition, state_name)
    mocked = mock_of(state, mock, configuration, reveals_secrets=reveal_secrets)
    check_role(role_arn, state, is_mocked=mocked is not None)
    execution = _execution(service, input)
    about = (
        _own_context(execution, state, role_arn)
        if context is None
        else context_of(context, state, is_mocked=mocked is not None)
    )
    if mock is not None and mocked is not None and mocked.error is None and isinstance(state, TaskState):
        mode: FieldValidationMode = mock.get("fieldValidationMode") or "STRICT"
        await anyio.to_thread.run_sync(partial(check_mocked_result, state.resource, mocked.result, mode))
    trial = Trial(
        state,
        execution=execution,
        context=about,
        variables=variables_of(variables),
        mock=mocked,
        chance=service.chance,
        is_in_map=is_in_map,
        retries=configuration.get("retrierRetryCount", 0),
    )
    exchanges: list[Exchange] = []
    await _run(service, trial, execution, exchanges.append)
    _check_failures(trial, mocked)
    texts = _Texts([(execution.input, input)])
    if mock is not None and mocked is not None and mock.get("result") is not None:
        texts.add(mocked.result, mock["result"])
    answer = _answer(trial, texts, inspection_level)
    if inspection_level == "TRACE" and exchanges:
        answer["inspection_data"] |= traced(exchanges[-1], region=service.region, reveals_secrets=reveal_secrets)
    return answer


# ── what the state is entered with ──────────────────────────────────────────────────────────────────────────────────


def _execution(service: Service, input_text: str) -> Execution:
    """The execution that the state seems to be in: AWS shows an Express one with made-up names (recorded)."""
    name, machine = str(service.new_uuid()), str(service.new_uuid())
    if not input_text:
        raise InvalidExecutionInput("Invalid execution input.")
    try:
        value = parsed(input_text)
    except ValueError as error:
        raise InvalidExecutionInput(str(error)) from None
    size = len(encode(value))
    most = service.limits.number("payload_bytes")
    if 0 < most < size:
        raise InvalidExecutionInput(f"{size} bytes, at most {most} are allowed")
    return Execution(
        arn=f"arn:aws:states:{service.region}:{service.account_id}:express:{machine}:{name}",
        name=name,
        type="EXPRESS",
        role_arn=service.role_arn,
        state_machine_arn=arns.state_machine_arn(service.region, service.account_id, machine),
        state_machine_name=machine,
        input=value,
        input_bytes=size,
        start_time=service.now(),
        payload_bytes_max=most,
        history_events_max=0,
        region=service.region,
    )


def _own_context(execution: Execution, state: State, role_arn: str | None) -> dict[str, Json]:
    """The Context Object. A state is called `StateName` in it even when it has a name (recorded)."""
    entered = iso_timestamp(execution.start_time)
    about: dict[str, Json] = {"Name": TEST_STATE_NAME, "EnteredTime": entered}
    if isinstance(state, TaskState | MapState | ParallelState):
        about["RetryCount"] = 0
    return {
        "Execution": {
            "Id": execution.arn,
            "Input": execution.input,
            "StartTime": entered,
            "Name": execution.name,
            "RoleArn": role_arn,
        },
        "StateMachine": {"Id": execution.state_machine_arn, "Name": execution.state_machine_name},
        "State": about,
    }


# ── running it ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def _run(service: Service, trial: Trial, execution: Execution, on_exchange: Callable[[Exchange], None]) -> None:
    """Runs the state to its end, or until the time of a test is up."""
    until = execution.start_time + SECONDS_MAX * _MS_PER_SECOND
    commands = trial.enter(execution.start_time)
    while trial.outcome is None:
        timer = min((one for one in commands if isinstance(one, StartTimer)), key=lambda one: one.due, default=None)
        due = until if timer is None else min(timer.due, until)
        ended = await _task_event(service, execution, commands, due, on_exchange)
        if ended is not None:
            commands = trial.answer(ended, service.now())
        elif timer is None or due < timer.due:
            trial.give_up(StatesError("States.Timeout"))
        else:
            commands = trial.answer(TimerDue(timer.timer_id, timer.heartbeat), max(service.now(), due))


async def _task_event(
    service: Service,
    execution: Execution,
    commands: Sequence[Command],
    due: int,
    on_exchange: Callable[[Exchange], None],
) -> TaskDone | TaskError | None:
    """How the Task among the commands ends; None: it is `due` first. Virtual time need not be waited for."""
    schedule = next((command for command in commands if isinstance(command, ScheduleTask)), None)
    if schedule is None:
        if not isinstance(service.clock, VirtualClock):
            await anyio.sleep(max(0, due - service.now()) / _MS_PER_SECOND)
        return None
    with anyio.move_on_after(max(0, due - service.now()) / _MS_PER_SECOND):
        try:
            answer = await service.backend.do_task(execution, schedule, on_exchange)
        except StatesError as error:
            failed = shortened(error)
            return TaskError(schedule.task_id, failed.error, failed.cause)
        except (MissingHandler, UnsupportedTask) as error:
            raise ValidationException(str(error)) from error
        return TaskDone(schedule.task_id, answer.output, answer.output_bytes)
    return None


def _check_failures(trial: Trial, mock: Mock | None) -> None:
    iterations = trial.seen.iterations
    if mock is not None and iterations is not None and mock.failures > iterations:
        raise ValidationException(
            "Map iteration failure count must be less than or equal to the number of Map iterations"
        )


# ── the answer ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _Texts:
    """Values as text: what was given as text is shown as it was given, spaces and all (recorded)."""

    def __init__(self, given: list[tuple[Json, str]]) -> None:
        self._given = given

    def add(self, value: Json, as_given: str) -> None:
        self._given.append((value, as_given))

    def of(self, value: Json) -> str:
        return next((as_given for known, as_given in self._given if known is value), None) or text(value)


def _answer(trial: Trial, texts: _Texts, level: InspectionLevel) -> dict[str, Any]:
    outcome = trial.outcome
    assert outcome is not None
    answer: dict[str, Any] = {"status": outcome.status}
    if outcome.status in ("SUCCEEDED", "CAUGHT_ERROR"):
        answer["output"] = texts.of(outcome.output)
    if outcome.error is not None:
        answer |= {"error": outcome.error.error, "cause": outcome.error.cause}
    answer["next_state"] = outcome.next_state
    if level != "INFO":
        answer["inspection_data"] = _inspection(trial, texts)
    return {name: value for name, value in answer.items() if value is not None}


def _inspection(trial: Trial, texts: _Texts) -> dict[str, Any]:
    """AWS's InspectionData (api.md 9.2): documents as JSON text, counts as numbers."""
    assert trial.outcome is not None
    state, seen = trial.state, trial.seen
    given = trial.execution.input
    stages = {"input": given, **seen.stages}
    if isinstance(state, FailState) and state.query_language == "JSONPath":
        stages["afterInputPath"] = given
    if isinstance(state, PassState) and state.result is not None:
        stages.pop("afterInputPath", None)
        stages.pop("afterParameters", None)
    hidden = _NOT_SHOWN.get(type(state).__name__.removesuffix("State"), frozenset())
    data: dict[str, Any] = {name: texts.of(value) for name, value in stages.items() if name not in hidden}
    data |= seen.counts
    if trial.outcome.variables:
        data["variables"] = text(dict(trial.outcome.variables))
    handled = {
        "catchIndex": seen.catcher,
        "retryIndex": seen.retrier,
        "retryBackoffIntervalSeconds": None if seen.back_off_seconds is None else round(seen.back_off_seconds),
    }
    details = {name: value for name, value in handled.items() if value is not None}
    return {**data, "errorDetails": details} if details else data
