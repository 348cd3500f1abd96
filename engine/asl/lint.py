"""Warnings beyond AWS's: what is legal and cannot do what it looks like, or does less.

Every rule has a name that stays, and speaks only when it is sure: one that is wrong about a published definition goes.
They need a program, so a definition with errors gets AWS's own warnings only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from engine.asl.choice_lint import check_choice
from engine.asl.http_fields import is_forbidden_in_http
from engine.asl.program import ChoiceState, MapState, ParallelState, PassState, TaskState
from engine.asl.static_values import warn_of_static_values
from engine.asl.variable_flow import every_read, names_assigned, undefined_reads
from engine.jsonvalue import text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.asl.diagnostics import Place, Report
    from engine.asl.program import Catcher, Flow, Retrier, State, StateMachine
    from engine.jsonvalue import Json

INLINE_CONCURRENCY_MAX: Final = 40

_NOT_HANDLED: Final = frozenset({"States.Runtime"})
"""Errors that AWS neither retries nor catches (asl.md 13.2)."""

_REFUSED_INLINE: Final = ("ItemReader", "ItemBatcher", "ResultWriter")
_DISTRIBUTED_FIELDS: Final = (*_REFUSED_INLINE, "Label")

_TOKEN: Final = ("Task.Token", "'Token'", '"Token', '$$.Task"', '"$$"', "context.Task ")


@dataclass(frozen=True, slots=True)
class StateAt:
    """A state of the program, the JSON it was made of, and where that stands."""

    place: Place
    values: dict[str, Json]
    state: State
    express: bool
    """Inside a Distributed Map whose children are Express executions."""


def lint(definition: dict[str, Json], program: StateMachine | None, report: Report) -> None:
    """Reports AWS's warnings and, when there is a program, ours."""
    warn_of_static_values(definition, report)
    if program is None:
        return
    if definition.get("TimeoutSeconds") == 0:
        report.warning("zero-timeout", "A TimeoutSeconds of 0 limits nothing", ("TimeoutSeconds",))
    reads = every_read(program)
    undefined = undefined_reads(program, reads)
    for found in _every_state((), definition, program, express=False):
        _check_state(found, report)
        for name in sorted(undefined.get(found.state.name, ())):
            message = f"The variable '${name}' is never assigned on any way to this state"
            report.warning("undefined-variable", message, found.place, key=True)
    _check_unused_variables(definition, program, frozenset().union(*reads.values()), report)


def _every_state(place: Place, values: dict[str, Json], flow: Flow, *, express: bool) -> Iterator[StateAt]:
    states = values["States"]
    assert isinstance(states, dict), "a program was made of it"
    for name, state in flow.states.items():
        state_values = states[name]
        assert isinstance(state_values, dict), "a program was made of it"
        at = (*place, "States", name)
        yield StateAt(at, state_values, state, express)
        if isinstance(state, ParallelState):
            for index, branch in enumerate(state.branches):
                branches = state_values["Branches"]
                inner = branches[index] if isinstance(branches, list) else None
                assert isinstance(inner, dict), "a program was made of it"
                yield from _every_state((*at, "Branches", index), inner, branch, express=express)
        elif isinstance(state, MapState):
            key = "ItemProcessor" if "ItemProcessor" in state_values else "Iterator"
            inner = state_values[key]
            assert isinstance(inner, dict), "a program was made of it"
            children = state.item_processor.execution_type
            in_express = express if children is None else children == "EXPRESS"
            yield from _every_state((*at, key), inner, state.item_processor, express=in_express)


def _check_state(found: StateAt, report: Report) -> None:
    state = found.state
    if isinstance(state, TaskState | ParallelState | MapState):
        _check_retriers(found, state.retry, report)
        _check_catchers(found, state.catch, report)
        _check_discarded(found, report)
    match state:
        case TaskState():
            _check_task(found, state, report)
        case MapState():
            _check_map(found, state, report)
        case ChoiceState():
            check_choice(found.place, found.values, state, report)
        case PassState():
            _check_pass(found, state, report)
        case _:
            pass


# ── Retry and Catch ─────────────────────────────────────────────────────────────────────────────────────────────────


def _check_retriers(found: StateAt, retriers: tuple[Retrier, ...], report: Report) -> None:
    _check_matching(found.place, "Retry", [retrier.error_equals for retrier in retriers], report)
    for index, retrier in enumerate(retriers):
        delay = retrier.max_delay_seconds
        if delay is not None and delay <= retrier.interval_seconds:
            message = (
                "MaxDelaySeconds is not above IntervalSeconds, so every delay is the same and there is no back-off"
            )
            report.warning("max-delay-not-above-interval", message, (*found.place, "Retry", index, "MaxDelaySeconds"))


def _check_catchers(found: StateAt, catchers: tuple[Catcher, ...], report: Report) -> None:
    _check_matching(found.place, "Catch", [catcher.error_equals for catcher in catchers], report)


def _check_matching(place: Place, field: str, entries: list[tuple[str, ...]], report: Report) -> None:
    """Names that can never match: errors AWS does not hand over, and names that an earlier entry takes."""
    rule = "unreachable-retrier" if field == "Retry" else "unreachable-catcher"
    taken: set[str] = set()
    for index, names in enumerate(entries):
        at = (*place, field, index, "ErrorEquals")
        for position, name in enumerate(names):
            if name in _NOT_HANDLED:
                message = f"{name} is never {'retried' if field == 'Retry' else 'caught'}"
                report.warning("unhandled-error-name", message, (*at, position))
        hidden = [name for name in names if name in taken or ("States.TaskFailed" in taken and _is_own(name))]
        if names and len(hidden) == len(names):
            message = f"An earlier entry of '{field}' already matches {', '.join(hidden)}"
            report.warning(rule, message, (*place, field, index))
        taken.update(names)


def _is_own(name: str) -> bool:
    """Whether a name is the user's own, and so one that `States.TaskFailed` matches for certain."""
    return not name.startswith("States.")


# ── Data flow ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_discarded(found: StateAt, report: Report) -> None:
    if found.values.get("ResultPath", "") is None and "ResultSelector" in found.values:
        message = "ResultSelector has no effect: a ResultPath of null discards the result"
        report.warning("result-discarded", message, (*found.place, "ResultSelector"), key=True)


def _check_pass(found: StateAt, state: PassState, report: Report) -> None:
    if state.result is not None and found.values.get("ResultPath", "") is None:
        message = "Result has no effect: a ResultPath of null discards it"
        report.warning("result-discarded", message, (*found.place, "Result"), key=True)
    if state.result is not None and state.parameters is not None and "Assign" not in found.values:
        message = "Parameters has no effect beside Result, which is the state's result"
        report.warning("parameters-beside-result", message, (*found.place, "Parameters"), key=True)


def _check_unused_variables(
    definition: dict[str, Json], program: StateMachine, used: frozenset[str], report: Report
) -> None:
    reported: set[str] = set()
    for found in _every_state((), definition, program, express=False):
        for name in sorted(names_assigned(getattr(found.state, "assign", None)) - used - reported):
            reported.add(name)
            message = f"The variable '{name}' is assigned but never read"
            report.warning("unused-variable", message, (*found.place, "Assign"), key=True)


# ── Task ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_task(found: StateAt, state: TaskState, report: Report) -> None:
    resource = state.resource
    waits_for_token = resource.kind == "service" and resource.pattern == "WAIT_FOR_TASK_TOKEN"
    field = "Parameters" if state.query_language == "JSONPath" else "Arguments"
    if resource.kind == "service" and field not in found.values:
        # AWS refuses it in these words; public test suites for validators have it as valid.
        message = f"{field} field is required for resource ARN: {resource.arn}"
        report.warning("integration-without-parameters", message, found.place, key=True)
    elif waits_for_token and not any(sign in text(found.values[field]) for sign in _TOKEN):
        message = f"{field} does not pass on the task token, without which nobody can end this Task"
        report.warning("token-not-passed", message, (*found.place, field), key=True)
    if resource.service == "http":
        _check_http(found, found.values.get(field), report)
    timed = [name for name in found.values if name.startswith(("TimeoutSeconds", "HeartbeatSeconds"))]
    heartbeat = [name for name in timed if name.startswith("Heartbeat")]
    if resource.pattern == "REQUEST_RESPONSE" and heartbeat and resource.kind != "other":
        message = f"{heartbeat[0]} has no effect: only an activity, a job or a task with a token sends heartbeats"
        report.warning("heartbeat-without-effect", message, (*found.place, heartbeat[0]), key=True)
    timeout, beat = state.timeout_seconds, state.heartbeat_seconds
    if isinstance(timeout, int) and isinstance(beat, int) and beat >= timeout:
        # The Amazon States Language forbids it; published definitions, one of AWS's own among them, have it.
        message = "HeartbeatSeconds has no effect: it is not below TimeoutSeconds"
        report.warning("heartbeat-not-below-timeout", message, (*found.place, "HeartbeatSeconds"))
    if not timed and (waits_for_token or resource.kind == "activity"):
        message = "Without TimeoutSeconds or HeartbeatSeconds this Task may wait for ever"
        report.warning("no-timeout", message, found.place, key=True)
    if state.credentials is not None and not {"RoleArn", "RoleArn.$"} & _credentials(found):
        message = "Credentials without RoleArn have no effect"
        report.warning("credentials-without-role", message, (*found.place, "Credentials"), key=True)
    if found.express and (resource.kind == "activity" or resource.pattern != "REQUEST_RESPONSE"):
        message = "Express child executions of a Distributed Map support neither activities nor '.sync' nor tokens"
        report.warning("not-in-express-children", message, (*found.place, "Resource"))


def _check_http(found: StateAt, arguments: Json, report: Report) -> None:
    """Literal headers of an HTTP Task."""
    headers = arguments.get("Headers") if isinstance(arguments, dict) else None
    if not isinstance(arguments, dict) or not isinstance(headers, dict | None):
        return
    field = "Parameters" if "Parameters" in found.values else "Arguments"
    names = [name.removesuffix(".$") for name in headers or ()]
    for name in names:
        if is_forbidden_in_http(name):
            message = f"An HTTP Task may not have the header {name}: it fails with States.Runtime"
            report.warning("forbidden-header", message, (*found.place, field, "Headers"))
    transform = arguments.get("Transform")
    is_form = isinstance(transform, dict) and transform.get("RequestBodyEncoding") == "URL_ENCODED"
    if is_form and "Headers.$" not in arguments and not any(name.lower() == "content-type" for name in names):
        message = "On AWS a form needs the header content-type: application/x-www-form-urlencoded"
        report.warning("form-without-content-type", message, (*found.place, field), key=True)


def _credentials(found: StateAt) -> set[str]:
    credentials = found.values.get("Credentials")
    return set(credentials) if isinstance(credentials, dict) else set()


# ── Map ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _check_map(found: StateAt, state: MapState, report: Report) -> None:
    if state.item_processor.mode == "DISTRIBUTED":
        if found.express:
            message = "Express child executions of a Distributed Map run no Distributed Map of their own"
            report.warning("not-in-express-children", message, (*found.place, "Type"))
        return
    concurrency = state.max_concurrency
    if isinstance(concurrency, int) and concurrency > INLINE_CONCURRENCY_MAX:
        message = f"An inline Map runs at most {INLINE_CONCURRENCY_MAX} iterations at once"
        report.warning("max-concurrency-above-limit", message, (*found.place, "MaxConcurrency"))
    for name in found.values:
        if name in _DISTRIBUTED_FIELDS or name.startswith("ToleratedFailure"):
            effect = "makes an inline Map fail" if name in _REFUSED_INLINE else "has no effect in an inline Map"
            message = f"{name} {effect}"
            hint = "set ProcessorConfig.Mode to DISTRIBUTED"
            report.warning("distributed-field-in-inline-map", message, (*found.place, name), key=True, hint=hint)
