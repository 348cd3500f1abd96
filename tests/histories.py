"""What every history must be, whatever happened to the workers that wrote it."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_ENDS = frozenset({"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"})
_SCHEDULED = frozenset({"TaskScheduled", "LambdaFunctionScheduled", "ActivityScheduled"})
_ANSWERED = re.compile(r"(Task|LambdaFunction|Activity)(Succeeded|Failed|TimedOut)")


class ScheduledTask(NamedTuple):
    """One attempt of a Task, as the history shows it. `is_answered`: it ended, in whatever way."""

    key: str
    is_answered: bool
    scheduled_at: datetime


def fault_of(events: Sequence[dict[str, Any]]) -> str | None:
    """Why this cannot be the history of an execution that is over; None: it can be.

    Its ids have no gap, it begins and ends once (a redrive begins and ends anew), and no attempt of a Task is answered
    twice.
    """
    for place, event in enumerate(events, 1):
        if event["id"] != place or not 0 <= event["previousEventId"] < place:
            return f"a gap or a knot at {event}"
    if not events or events[0]["type"] != "ExecutionStarted":
        return "it does not begin with ExecutionStarted"
    ends = [event["id"] for event in events if event["type"] in _ENDS]
    redriven = [event["id"] for event in events if event["type"] == "ExecutionRedriven"]
    if ends != [*(place - 1 for place in redriven), len(events)]:
        return f"it ends at {ends}, is redriven at {redriven} and has {len(events)} events"
    answered: dict[int, int] = {}
    for event in events:
        if _ANSWERED.fullmatch(event["type"]):
            scheduled = _scheduled_by(events, event["id"])
            if scheduled in answered:
                return f"events {answered[scheduled]} and {event['id']} both answer {scheduled}"
            answered[scheduled] = event["id"]
    return None


def scheduled_tasks(execution_arn: str, events: Sequence[dict[str, Any]]) -> list[ScheduledTask]:
    """All attempts of Tasks in a history without redrives, with the idempotency key that their handlers are given."""
    answered = {_scheduled_by(events, event["id"]) for event in events if _ANSWERED.fullmatch(event["type"])}
    found: list[ScheduledTask] = []
    for event in events:
        if event["type"] not in _SCHEDULED:
            continue
        attempt, before = 0, events[event["previousEventId"] - 1]
        while before["type"] != "TaskStateEntered":
            attempt += before["type"] in _SCHEDULED
            before = events[before["previousEventId"] - 1]
        name = f"{execution_arn}#0#{before['id']}#{attempt}"
        found.append(
            ScheduledTask(str(uuid.uuid5(uuid.NAMESPACE_URL, name)), event["id"] in answered, event["timestamp"])
        )
    return found


def _scheduled_by(events: Sequence[dict[str, Any]], event_id: int) -> int:
    event = events[event_id - 1]
    while event["type"] not in _SCHEDULED:
        event = events[event["previousEventId"] - 1]
    place: int = event["id"]
    return place
