"""History events as small tuples, sealed segments, and AWS's shape when somebody reads them.

An event is `(code, previous_id, name, payload, assigned)`, cut short where the rest is absent. Its id is its place in
the segment, its timestamp the segment's: one advance happens at one instant. What an event shares with the one it
follows (`previous_id`, always in the same segment) is written once: a StateEntered, StateExited or ExecutionSucceeded
without a payload has the document of that event, for the input of a state *is* the output before it; a Scheduled event
without its input or parameters has them from there. Events are plain tuples because a frozen dataclass here costs 70 to
100 % of the whole interpreter.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

from engine.errors import StatesError
from engine.jsonvalue import DEPTH_MAX, Json, encode, is_too_deep, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HistoryTuple: TypeAlias = tuple[Any, ...]
"""(code, previousEventId, name, payload, assigned); see the head of the module."""

_STATE_TYPES = ("Pass", "Choice", "Wait", "Succeed", "Fail", "Task", "Parallel", "Map")

# The place of a type is its code in stored segments: append only.
TYPES: Final = (
    "ExecutionStarted", "ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut",
    "ExecutionRedriven", "EvaluationFailed",
    *(f"{kind}StateEntered" for kind in _STATE_TYPES),
    *(f"{kind}StateExited" for kind in _STATE_TYPES if kind != "Fail"),
    *(f"{kind}State{what}" for kind in ("Parallel", "Map") for what in ("Started", "Succeeded", "Failed", "Aborted")),
    *(f"MapIteration{what}" for what in ("Started", "Succeeded", "Failed", "Aborted")),
    "TaskStateAborted", "WaitStateAborted",
    *(f"Task{what}" for what in
      ("Scheduled", "Started", "StartFailed", "Submitted", "SubmitFailed", "Succeeded", "Failed", "TimedOut")),
    *(f"LambdaFunction{what}" for what in
      ("Scheduled", "ScheduleFailed", "Started", "StartFailed", "Succeeded", "Failed", "TimedOut")),
    *(f"Activity{what}" for what in ("Scheduled", "ScheduleFailed", "Started", "Succeeded", "Failed", "TimedOut")),
    *(f"MapRun{what}" for what in ("Started", "Succeeded", "Failed", "Aborted", "Redriven")),
)  # fmt: skip

CODE: Final = {name: code for code, name in enumerate(TYPES)}

_PAYLOADS: Final = ("input", "output", "parameters")
_EXECUTION_DATA: Final = frozenset(
    [*_PAYLOADS, "inputDetails", "outputDetails", "assignedVariables", "assignedVariablesDetails"]
)
_WITHOUT_DETAILS: Final = frozenset(
    ["LambdaFunctionStarted", "TaskStateAborted", "WaitStateAborted", "MapRunSucceeded", "MapRunAborted"]
    + [f"{kind}State{what}" for kind in ("Parallel", "Map") for what in ("Succeeded", "Failed", "Aborted")]
    + ["ParallelStateStarted"]
)  # fmt: skip

INPUT_TEXT: Final = "inputText"
"""Member of an ExecutionStarted's payload: the input's text as it was given, where it is not the one we would write."""

_SHARING: Final = ("StateEntered", "StateExited", "ExecutionSucceeded")
_RESULTS: Final = ("TaskSucceeded", "LambdaFunctionSucceeded", "ActivitySucceeded")
_SHARING_MEMBER: Final = {
    "TaskScheduled": "parameters",
    "LambdaFunctionScheduled": "input",
    "ActivityScheduled": "input",
}

SHOWING_RESULT: Final = frozenset(CODE[kind] for kind in _RESULTS)
"""Codes of events whose payload has the document under `output`."""

# What was given is shown twice: by ExecutionStarted, and by the first state's Entered event (recorded).
_FIRST_ENTERED_ID = 2

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

LAST_EVENT_ID: Final = (1 << 31) - 1
"""No event has a higher id."""


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """The events of one transition, or of several that were written together.

    Attributes:
        first_event_id: Id of the first of them.
        now: The timestamp of the last, ms since the epoch.
        events: One tuple each.
        times: Of several transitions: `(place, timestamp)` of the first event of each, ascending. Empty: all at `now`.
    """

    first_event_id: int
    now: int
    events: list[HistoryTuple]
    times: list[tuple[int, int]] = []


def as_aws(segments: Iterable[Segment], *, first: int = 1, last: int = LAST_EVENT_ID) -> Iterator[dict[str, Any]]:
    """Events as GetExecutionHistory gives them (execution.md 2), in the shape of boto3.

    Args:
        segments: Whole ones: events have their payloads from others of their segment.
        first: Id of the first event that is wanted.
        last: Id of the last one.

    Yields:
        `{"timestamp": aware datetime, "type", "id", "previousEventId", "<type>EventDetails"?: {...}}`. Payloads in the
        details are JSON text, each with `{"truncated": False}` beside it.
    """
    for segment in segments:
        if segment.first_event_id > last or segment.first_event_id + len(segment.events) <= first:
            continue
        timestamp = _EPOCH + timedelta(milliseconds=segment.now)
        times = dict(segment.times)
        payloads: list[Json] = []
        input_text: str | None = None
        for place, (code, previous, *rest) in enumerate(segment.events):
            if place in times:
                timestamp = _EPOCH + timedelta(milliseconds=times[place])
            kind = TYPES[code]
            name, payload, assigned = (*rest, None, None, None)[:3]
            if isinstance(payload, msgspec.Raw):
                payload = msgspec.json.decode(payload)
            if len(rest) < 2 and kind.endswith(_SHARING):
                payload = payloads[previous - segment.first_event_id]
            elif kind in _SHARING_MEMBER and _SHARING_MEMBER[kind] not in payload:
                payload = {**payload, _SHARING_MEMBER[kind]: payloads[previous - segment.first_event_id]}
            payloads.append(_document(kind, payload))
            event_id = segment.first_event_id + place
            if not first <= event_id <= last and kind != "ExecutionStarted":
                continue
            event = {
                "timestamp": timestamp,
                "type": kind,
                "id": event_id,
                "previousEventId": previous,
            }
            if kind not in _WITHOUT_DETAILS:
                details = event[details_key(kind)] = _details(kind, name, payload, assigned)
                if kind == "ExecutionStarted":
                    input_text = details.pop(INPUT_TEXT, None)
                if input_text is not None and event_id <= _FIRST_ENTERED_ID and "input" in details:
                    details["input"] = input_text
            if event_id >= first:
                yield event


def without_data(event: dict[str, Any]) -> dict[str, Any]:
    """An event of `as_aws` without what the execution worked on: `includeExecutionData` false (execution.md 16)."""
    key = details_key(event["type"])
    if key not in event:
        return event
    kept = {name: value for name, value in event[key].items() if name not in _EXECUTION_DATA}
    return {**event, key: kept}


def _document(kind: str, payload: Json) -> Json:
    """The document that a following event may share."""
    if kind == "ExecutionStarted" and isinstance(payload, dict):
        return payload["input"]
    if kind in _RESULTS and isinstance(payload, dict):
        return payload["output"]
    return payload


def details_key(kind: str) -> str:
    """The member that holds an event's details: all states share two, every other type has its own."""
    for suffix in ("StateEntered", "StateExited"):
        if kind.endswith(suffix):
            return f"s{suffix[1:]}EventDetails"
    return f"{kind[0].lower()}{kind[1:]}EventDetails"


def _details(kind: str, name: str | None, payload: Any, assigned: dict[str, Json] | None) -> dict[str, Any]:
    if kind.endswith("StateEntered"):
        return {"name": name, **_payload("input", payload)}
    if kind.endswith("StateExited"):
        details = {"name": name, **_payload("output", payload)}
        if assigned:
            details["assignedVariables"] = {variable: text(value) for variable, value in assigned.items()}
            details["assignedVariablesDetails"] = {"truncated": False}
        return details
    if kind.startswith("MapIteration"):
        return {"name": name, "index": payload}
    if kind == "MapStateStarted":
        return {"length": payload}
    if kind == "ExecutionSucceeded":
        return _payload("output", payload)
    details = {}
    for key, value in (payload or {}).items():
        if key == "parameters":
            details[key] = text(value)
        elif key in _PAYLOADS:
            details |= _payload(key, value)
        else:
            details[key] = value
    return details


def _payload(key: str, value: Json) -> dict[str, Any]:
    return {key: text(value), f"{key}Details": {"truncated": False}}


def payload_bytes(value: Json) -> tuple[msgspec.Raw, int]:
    """A document as history takes it when it is encoded already, and its size. Raises as `measured`."""
    data = measured(value)
    return msgspec.Raw(data), len(data)


def measured(value: Json) -> bytes:
    """The text of a document that is about to become the data of a state.

    Raises:
        StatesError: `States.Runtime`, located: it is nested too deeply to be written down.
    """
    try:
        data = encode(value)
    except RecursionError:
        data = None
    if data is None or is_too_deep(data):
        cause = f"The data is nested too deeply: more than {DEPTH_MAX} arrays and objects inside one another."
        raise StatesError("States.Runtime", cause, located=True)
    return data
