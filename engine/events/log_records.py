"""Log records: history events as AWS writes them to a log group. Pure.

{"id": "2", "type": "PassStateEntered", "details": {"name": "A", "input": "{}", "inputDetails": {"truncated": false}},
 "previous_event_id": "0", "event_timestamp": "1700000000123", "execution_arn": "arn:...", "redrive_count": "0"}

Source: api.md 7, execution.md 16 (recorded).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from engine.interpreter.history import CODE, Segment, as_aws, details_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.interpreter.snapshot import Transition
    from engine.jsonvalue import Json

Level = Literal["ALL", "ERROR", "FATAL", "OFF"]

RECORD_BYTES_MAX = 256 * 1_024 - 26
"""Of a record's JSON text: what CloudWatch Logs takes in one event, of which 26 bytes are its own."""

_PAYLOADS = ("input", "output", "parameters")
_EXECUTION_DATA = frozenset(
    [*_PAYLOADS, *(f"{payload}Details" for payload in _PAYLOADS), "assignedVariables", "assignedVariablesDetails"]
)
_FATAL = ("ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut")
_WRITTEN: dict[str, frozenset[int]] = {
    "ALL": frozenset(CODE.values()),
    "ERROR": frozenset(
        code
        for kind, code in CODE.items()
        if kind.endswith(("Failed", "TimedOut", "Aborted")) or kind == "FailStateEntered"
    ),
    "FATAL": frozenset(CODE[kind] for kind in _FATAL),
    "OFF": frozenset(),
}
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggingConfiguration:
    """What a state machine's `loggingConfiguration` says.

    Attributes:
        include_execution_data: Whether payloads are written as well.
        log_group_arn: Without the `:*` that AWS has it end in; None: there is no destination.
    """

    level: Level = "OFF"
    include_execution_data: bool = False
    log_group_arn: str | None = None


def logging_configuration(document: Mapping[str, Any]) -> LoggingConfiguration:
    """AWS's document, `{"level", "includeExecutionData", "destinations": [{"cloudWatchLogsLogGroup": ...}]}`.

    It was checked when the state machine was created; what is absent has AWS's default.
    """
    arns = [one.get("cloudWatchLogsLogGroup", {}).get("logGroupArn") for one in document.get("destinations", ())]
    return LoggingConfiguration(
        level=document.get("level", "OFF"),
        include_execution_data=document.get("includeExecutionData", False),
        log_group_arn=arns[0].removesuffix(":*") if arns and arns[0] else None,
    )


def log_records(
    configuration: LoggingConfiguration, execution_arn: str, transition: Transition
) -> list[dict[str, Json]]:
    """What is logged of a transition, in the order of its events."""
    written = _WRITTEN[configuration.level]
    ids = {
        event_id for event_id, event in enumerate(transition.history, transition.first_event_id) if event[0] in written
    }
    if not ids:
        return []
    segment = Segment(transition.first_event_id, transition.now, transition.history)
    about = {
        "event_timestamp": str(transition.now),
        "execution_arn": execution_arn,
        "redrive_count": str(transition.redrives.count),
    }
    records: list[dict[str, Json]] = []
    for event in as_aws([segment]):
        if event["id"] not in ids:
            continue
        details = event.get(details_key(event["type"]), {})
        if not configuration.include_execution_data:
            details = {name: value for name, value in details.items() if name not in _EXECUTION_DATA}
        records.append(
            {
                "id": str(event["id"]),
                "type": event["type"],
                "details": details,
                "previous_event_id": str(event["previousEventId"]),
                **about,
            }
        )
    return records


def record_text(record: Mapping[str, Json]) -> str:
    """The record as the line that is written; payloads that are too long for CloudWatch Logs are cut, and say so."""
    line = _encode(record)
    excess = len(line) - RECORD_BYTES_MAX
    if excess <= 0:
        return line.decode()
    details = record["details"]
    assert isinstance(details, dict)
    details = dict(details)
    for name in _PAYLOADS:
        whole = details.get(name)
        if not isinstance(whole, str) or excess <= 0:
            continue
        details[name] = cut = _shortened(whole, excess)
        details[f"{name}Details"] = {"truncated": True}
        excess -= len(_encode(whole)) - len(_encode(cut))
    return _encode({**record, "details": details}).decode()


def _shortened(whole: str, excess: int) -> str:
    """A beginning of the text whose JSON text is shorter by so many bytes at least, if there is one."""
    short, long = 0, len(whole)
    bytes_max = len(_encode(whole)) - excess
    while short < long:  # the longest beginning that fits: escapes take more than a byte
        middle = (short + long + 1) // 2
        if len(_encode(whole[:middle])) <= bytes_max:
            short = middle
        else:
            long = middle - 1
    return whole[:short]
