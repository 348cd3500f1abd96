"""Reads the eight state types, field by field in the order of asl.md 3.1, and the flows nested in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, TypedDict

from engine.asl.choice_rules import choice_rules
from engine.asl.expression_fields import (
    NOTHING,
    RESULT,
    assign,
    fill,
    filter_path,
    integer_or_jsonata,
    jsonata,
    may_be_expression,
    number_or_jsonata,
    reference_path,
    result_path,
    string_or_jsonata,
    template,
    value_expression,
)
from engine.asl.field_tables import (
    BRANCH_FIELDS,
    ITEM_PROCESSOR_FIELDS,
    PROCESSOR_CONFIG_FIELDS,
    STATE_FIELDS,
    STATE_TYPES,
)
from engine.asl.fields import Fields
from engine.asl.http_fields import check_http_arguments
from engine.asl.integration_members import check_integration
from engine.asl.map_fields import item_batcher, item_reader, result_writer
from engine.asl.program import (
    ChoiceState,
    Constant,
    FailState,
    Flow,
    ItemProcessor,
    MapState,
    ParallelState,
    PassState,
    SucceedState,
    TaskState,
    WaitState,
)
from engine.asl.recovery_fields import catchers, retriers
from engine.asl.resource import UNREADABLE, is_recognized, parse_resource
from engine.asl.resource_hints import resource_hint
from engine.timestamps import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.asl.program import Catcher, Fill, QueryLanguage, Retrier, State, StateType
    from engine.asl.resource import Resource
    from engine.query.jsonata import JsonataTemplate
    from engine.query.jsonpath import Path, ResultPath
    from engine.query.templates import Template

MachineType: TypeAlias = Literal["STANDARD", "EXPRESS"]

QUERY_LANGUAGES: Final[tuple[QueryLanguage, ...]] = ("JSONPath", "JSONata")

SECONDS_MAX: Final = 99_999_999

_WAIT_FIELDS: Final = ("SecondsPath", "Seconds", "TimestampPath", "Timestamp")
"""In the order in which AWS lists them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What holds in the whole state machine."""

    type: MachineType
    language: QueryLanguage


def read_flow(fields: Fields, machine: Machine) -> Flow:
    """`StartAt` and `States` of a branch; the allowed fields are the caller's business."""
    return Flow(
        start_at=fields.string("StartAt") or "",
        states=read_states(fields, machine),
        comment=fields.comment(),
    )


def read_states(fields: Fields, machine: Machine) -> dict[str, State]:
    """The states of one flow. States that could not be read are left out; they were reported."""
    states = fields.object("States")
    if states is None:
        return {}
    if not states.values:
        states.report.error("empty", "Value cannot be empty", states.place)
    found: dict[str, State] = {}
    for name in states.values:
        state = _read_state(states, name, machine)
        if state is not None:
            found[name] = state
    return found


def _read_state(states: Fields, name: str, machine: Machine) -> State | None:
    value = states.values[name]
    if not isinstance(value, dict):
        states.expected(name, "Object")
        return None
    # A state inherits the machine's language, never that of the Map or Parallel around it; and whatever is not exactly
    # "JSONPath" counts as JSONata [M].
    given = value.get("QueryLanguage", machine.language)
    fields = Fields(value, states.at(name), states.report, "JSONPath" if given == "JSONPath" else "JSONata")
    state_type = _state_type(fields)
    if state_type is None:
        return None
    _check_language(fields, machine)
    fields.check_names(STATE_FIELDS[state_type])
    if "Next" in STATE_FIELDS[state_type]:
        _check_transition(fields)
    return _READERS[state_type](name, fields, machine)


def _state_type(fields: Fields) -> StateType | None:
    if not fields.require("Type"):
        return None
    value = fields.values["Type"]
    for state_type in STATE_TYPES:
        if value == state_type:
            return state_type
    message = f"The field 'Type' should have one of these values: [{', '.join(STATE_TYPES)}]"
    fields.report.error("unknown-state-type", message, fields.at("Type"))
    return None


def _check_language(fields: Fields, machine: Machine) -> None:
    if fields.one_of("QueryLanguage", QUERY_LANGUAGES) == "JSONPath" and machine.language == "JSONata":
        fields.report.error(
            "jsonpath-state-in-jsonata-machine",
            "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine",
            fields.place,
            at=fields.at("QueryLanguage"),
        )


def _check_transition(fields: Fields) -> None:
    """Exactly one of `Next` and `End: true`; `End: false` says nothing (asl.md 1.3)."""
    ends = fields.boolean("End")
    if ends is False and fields.has("Next"):
        return
    if ends is False:
        message = "This object should have only one of the following fields: [Next, End]"
        fields.report.error("one-of-fields-required", message, fields.place, at=fields.at("End"))
        return
    fields.exactly_one("Next", "End")


# ── What several types have ─────────────────────────────────────────────────────────────────────────────────────────


class _Base(TypedDict):
    comment: str | None
    query_language: QueryLanguage


class _Data(_Base):
    input_path: Path | None
    output_path: Path | None
    output: JsonataTemplate | None


class _Work(_Data):
    next: str | None
    parameters: Template | None
    arguments: JsonataTemplate | None
    result_selector: Template | None
    result_path: ResultPath | None
    assign: Fill | None
    retry: tuple[Retrier, ...]
    catch: tuple[Catcher, ...]


def _base(fields: Fields) -> _Base:
    return {"comment": fields.comment(), "query_language": fields.language}


def _data(fields: Fields, allows: frozenset[str] = NOTHING) -> _Data:
    return {
        **_base(fields),
        "input_path": filter_path(fields, "InputPath"),
        "output_path": filter_path(fields, "OutputPath"),
        "output": jsonata(fields, "Output", allows),
    }


def _work(fields: Fields, *, has_parameters: bool = True) -> _Work:
    """What Task, Parallel and Map have. Of a Map `Parameters` means something else."""
    return {
        **_data(fields, RESULT),
        "next": fields.string("Next"),
        "parameters": template(fields, "Parameters") if has_parameters else None,
        "arguments": jsonata(fields, "Arguments"),
        "result_selector": template(fields, "ResultSelector"),
        "result_path": result_path(fields),
        "assign": assign(fields, RESULT),
        "retry": retriers(fields),
        "catch": catchers(fields),
    }


# ── The types ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _pass(name: str, fields: Fields, _machine: Machine) -> PassState:
    return PassState(
        name=name,
        next=fields.string("Next"),
        parameters=template(fields, "Parameters"),
        result=Constant(value=fields.get("Result")) if fields.has("Result") else None,
        result_path=result_path(fields),
        assign=assign(fields),
        **_data(fields),
    )


def _succeed(name: str, fields: Fields, _machine: Machine) -> SucceedState:
    return SucceedState(name=name, **_data(fields))


def _fail(name: str, fields: Fields, _machine: Machine) -> FailState:
    fields.at_most_one("Error", "ErrorPath")
    fields.at_most_one("Cause", "CausePath")
    return FailState(
        name=name,
        error=string_or_jsonata(fields, "Error"),
        error_path=value_expression(fields, "ErrorPath"),
        cause=string_or_jsonata(fields, "Cause"),
        cause_path=value_expression(fields, "CausePath"),
        **_base(fields),
    )


def _wait(name: str, fields: Fields, _machine: Machine) -> WaitState:
    json_path = fields.language == "JSONPath"
    fields.exactly_one(*(field for field in _WAIT_FIELDS if json_path or not field.endswith("Path")))
    timestamp = string_or_jsonata(fields, "Timestamp")
    if isinstance(timestamp, str) and parse_timestamp(timestamp) is None:
        message = "String does not match RFC3339 timestamp"
        fields.report.error("not-a-timestamp", message, fields.at("Timestamp"))
    return WaitState(
        name=name,
        next=fields.string("Next"),
        seconds=integer_or_jsonata(fields, "Seconds", minimum=0, maximum=SECONDS_MAX),
        seconds_path=reference_path(fields, "SecondsPath"),
        timestamp=timestamp,
        timestamp_path=reference_path(fields, "TimestampPath"),
        assign=assign(fields),
        **_data(fields),
    )


def _choice(name: str, fields: Fields, _machine: Machine) -> ChoiceState:
    fields.require("Choices")
    return ChoiceState(
        name=name,
        choices=choice_rules(fields),
        default=fields.string("Default"),
        assign=assign(fields),
        **_data(fields),
    )


def _task(name: str, fields: Fields, machine: Machine) -> TaskState:
    fields.require("Resource")
    resource = _resource(fields, machine)
    check_http_arguments(fields, resource)
    fields.at_most_one("TimeoutSeconds", "TimeoutSecondsPath")
    fields.at_most_one("HeartbeatSeconds", "HeartbeatSecondsPath")
    return TaskState(
        name=name,
        resource=resource,
        credentials=_credentials(fields, resource),
        timeout_seconds=integer_or_jsonata(fields, "TimeoutSeconds", minimum=1, maximum=SECONDS_MAX),
        timeout_seconds_path=reference_path(fields, "TimeoutSecondsPath"),
        heartbeat_seconds=integer_or_jsonata(fields, "HeartbeatSeconds", minimum=1, maximum=SECONDS_MAX),
        heartbeat_seconds_path=reference_path(fields, "HeartbeatSecondsPath"),
        **_work(fields),
    )


def _resource(fields: Fields, machine: Machine) -> Resource:
    text = fields.string("Resource")
    if text is None:
        return UNREADABLE
    place = fields.at("Resource")
    resource = parse_resource(text)
    if resource is None:
        fields.report.error("resource-not-an-arn", "Value is not a valid resource ARN", place)
        return UNREADABLE
    if not is_recognized(resource):
        message = (
            f"The resource provided {text} is not recognized. The value is not a valid resource ARN, "
            "or the resource is not available in this region."
        )
        fields.report.error("resource-not-recognized", message, place, hint=resource_hint(resource))
    else:
        if machine.type == "EXPRESS":
            _check_express(fields, resource)
        check_integration(fields, resource)
    return resource


def _check_express(fields: Fields, resource: Resource) -> None:
    what = None
    if resource.kind == "activity":
        what = "Activity ARN"
    elif resource.pattern in ("SYNC", "SYNC_2"):
        what = "'.sync' service integration"
    elif resource.pattern == "WAIT_FOR_TASK_TOKEN":
        what = "'.waitForTaskToken' service integration "  # the blank at the end is AWS's [R]
    if what is not None:
        message = f"Express state machine does not support {what}"
        fields.report.error("not-in-express", message, fields.at("Resource"))


def _credentials(fields: Fields, resource: Resource) -> Fill | None:
    """`Credentials`: an object with RoleArn.

    Recorded in JSONata for an empty object and for one with other members, measured in JSONPath for an empty one. In
    JSONPath one with other members is accepted: the Amazon States Language leaves the members to the interpreter.
    """
    credentials = fields.object("Credentials")
    if credentials is None:
        return None
    values = credentials.values
    if resource.kind == "activity":
        message = "The field 'Credentials' is not supported for activities"
        fields.report.error("credentials-of-activity", message, credentials.place)
    if "RoleArn" not in values and (fields.language == "JSONata" or not values):
        message = "The field 'RoleArn' is required but was missing"
        fields.report.error("credentials-without-role", message, credentials.place)
    return fill(fields, "Credentials")


def _parallel(name: str, fields: Fields, machine: Machine) -> ParallelState:
    fields.require("Branches")
    branches = fields.objects("Branches", empty=False)
    for branch in branches:
        branch.check_names(BRANCH_FIELDS)
        branch.require("States", "StartAt")
    flows = tuple(read_flow(branch, machine) for branch in branches)
    return ParallelState(name=name, branches=flows, **_work(fields))


def _map(name: str, fields: Fields, machine: Machine) -> MapState:
    fields.exactly_one("ItemProcessor", "Iterator")
    fields.at_most_one("ItemSelector", "Parameters")
    for limit in ("MaxConcurrency", "ToleratedFailureCount", "ToleratedFailurePercentage"):
        fields.at_most_one(limit, f"{limit}Path")
    # Of a Map `Parameters` is what later became `ItemSelector`, not what the other types mean by it.
    selector = "Parameters" if fields.has("Parameters") and not fields.has("ItemSelector") else "ItemSelector"
    work = _work(fields, has_parameters=False)
    return MapState(
        name=name,
        item_processor=_item_processor(fields, machine),
        items=_items(fields),
        items_path=reference_path(fields, "ItemsPath"),
        item_selector=fill(fields, selector),
        max_concurrency=integer_or_jsonata(fields, "MaxConcurrency", minimum=0),
        max_concurrency_path=reference_path(fields, "MaxConcurrencyPath", context=False),
        tolerated_failure_count=integer_or_jsonata(fields, "ToleratedFailureCount", minimum=0),
        tolerated_failure_count_path=reference_path(fields, "ToleratedFailureCountPath", context=False),
        tolerated_failure_percentage=number_or_jsonata(
            fields, "ToleratedFailurePercentage", minimum=0.0, maximum=100.0
        ),
        tolerated_failure_percentage_path=reference_path(fields, "ToleratedFailurePercentagePath", context=False),
        item_reader=item_reader(fields),
        item_batcher=item_batcher(fields),
        result_writer=result_writer(fields),
        label=fields.string("Label"),
        **work,
    )


def _items(fields: Fields) -> JsonataTemplate | None:
    """`Items`: an expression, or an array that may hold some. A Distributed Map also takes an object (asl.md 8.6)."""
    value = fields.get("Items")
    if fields.has("Items") and not (isinstance(value, list | dict) or may_be_expression(value)):
        fields.expected("Items", "Array")
        return None
    return jsonata(fields, "Items")


def _item_processor(fields: Fields, machine: Machine) -> ItemProcessor:
    """`ItemProcessor`, or `Iterator`, its older name, for which the same is true [R]."""
    processor = fields.object("ItemProcessor" if fields.has("ItemProcessor") else "Iterator")
    if processor is None:
        return ItemProcessor(start_at="", states={})
    processor.check_names(ITEM_PROCESSOR_FIELDS)
    processor.require("States", "StartAt")
    config = processor.object("ProcessorConfig")
    mode, execution_type = _processor_config(config, machine) if config is not None else ("INLINE", None)
    flow = read_flow(processor, machine)
    return ItemProcessor(
        start_at=flow.start_at,
        states=flow.states,
        comment=flow.comment,
        mode=mode,
        execution_type=execution_type,
    )


def _processor_config(
    config: Fields, machine: Machine
) -> tuple[Literal["INLINE", "DISTRIBUTED"], Literal["STANDARD", "EXPRESS"] | None]:
    config.check_names(PROCESSOR_CONFIG_FIELDS)
    modes: tuple[Literal["INLINE", "DISTRIBUTED"], ...] = ("INLINE", "DISTRIBUTED")
    types: tuple[Literal["STANDARD", "EXPRESS"], ...] = ("STANDARD", "EXPRESS")
    mode = config.one_of("Mode", modes)
    execution_type = config.one_of("ExecutionType", types)
    if mode == "DISTRIBUTED":
        config.require("ExecutionType")
        if machine.type == "EXPRESS":
            message = "The field 'Mode' with value 'DISTRIBUTED' is not supported inside 'EXPRESS' state machines"
            config.report.error("distributed-map-in-express", message, config.at("Mode"))
    elif config.has("ExecutionType") and (mode == "INLINE" or not config.has("Mode")):
        config.unsupported("ExecutionType", hint="only a Map with Mode DISTRIBUTED has child executions")
    return mode or "INLINE", execution_type


_READERS: Final[Mapping[StateType, Callable[[str, Fields, Machine], State]]] = {
    "Task": _task,
    "Wait": _wait,
    "Pass": _pass,
    "Succeed": _succeed,
    "Fail": _fail,
    "Choice": _choice,
    "Parallel": _parallel,
    "Map": _map,
}
