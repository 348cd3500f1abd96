"""A recorded whole execution, run again: how the corpora of dataflow and intrinsic functions compare.

Their events have neither numbers nor times, and payloads are values. Where the recording replaced values by
placeholders, the case says so; a placeholder in the *input* is made a value first.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from tests.conformance.compare import Comparison, Difference
from tests.driver import START_TIME, Drive

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_IN_TEXT = re.compile(r"<[^<>\s]+>")
_PLACES = ("111111111111", "snf_role_arn")
_TIMES = ("date", "timestamp", "<timestamp>")
_DRAWN = {
    "RandomNumberGenerated": re.compile(r"-?\d+"),
    "generated-uuid": re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
}
_SHOWN = ("name", "length", "index", "error", "cause", "state", "location")
_PAYLOADS = ("input", "output")
_QUOTED_AT_THE_END = re.compile(r".*(?:format string: |== )(.+)$")
_DAYS = re.compile(r"\[(\d+)\]$")


def run_again(case: Mapping[str, Any]) -> Drive:
    """Runs the case's definition on its input, to the end."""
    drive = Drive(case["definition"], _input_of(case))
    drive.run()
    return drive


def differences(case: Mapping[str, Any], drive: Drive) -> list[Difference]:
    """Where status, output, error, cause or events are not what was recorded."""
    ending = drive.ending
    assert ending is not None
    expected = {key: case.get(key) for key in ("status", "output", "error", "cause")}
    got = {"status": ending.status, "output": ending.output, "error": ending.error, "cause": ending.cause}
    comparison = _comparison(case)
    found = comparison.compare((), expected, got)
    if "events" in case:
        found += _events_differ(comparison, case["events"], list(map(_simplified, drive.events())))
    return found + _kinds_differ(expected, got)


def _comparison(case: Mapping[str, Any]) -> Comparison:
    if not case.get("scrubbed") and not case.get("nondeterministic"):
        return Comparison((), ())
    text = json.dumps([case.get("output"), case.get("cause"), case.get("events")])
    return Comparison({*_IN_TEXT.findall(text), *_PLACES}, (*_TIMES, *_DRAWN))


def _input_of(case: Mapping[str, Any]) -> Any:
    """The input, with times for its placeholders."""
    if not case.get("scrubbed"):
        return case["input"]
    start = datetime.fromtimestamp(START_TIME / 1_000, UTC)
    quoted = _QUOTED_AT_THE_END.match(case.get("cause") or "")
    days = _DAYS.search(case["test"])
    values = {
        "date": _written(start),
        # A bad time was scrubbed from the input, but not from the cause that quotes it.
        "timestamp": quoted[1] if quoted else "timestamp",
        "<timestamp>": _written(start + timedelta(days=int(days[1]))) if days else "",
    }
    return {key: values.get(value, value) if isinstance(value, str) else value for key, value in case["input"].items()}


def _written(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _simplified(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event in the form of the corpora."""
    details: Mapping[str, Any] = next((event[key] for key in event if key.endswith("EventDetails")), {})
    simple: dict[str, Any] = {"type": event["type"]}
    simple |= {key: details[key] for key in _SHOWN if key in details}
    simple |= {key: json.loads(details[key]) for key in _PAYLOADS if key in details}
    if "assignedVariables" in details:
        simple["assignedVariables"] = {key: json.loads(text) for key, text in details["assignedVariables"].items()}
    return simple


def _events_differ(comparison: Comparison, expected: Sequence[Any], got: Sequence[Any]) -> list[Difference]:
    """In order; but what ran in branches was sorted by the recording project, which lost some events on the way."""
    if not any(event["type"] == "ParallelStateStarted" for event in expected):
        return comparison.compare(("events",), expected, got)
    kept = _branches_sorted(got)
    lost = Counter(map(_key, kept)) - Counter(map(_key, expected))
    for event in kept[:]:
        if event["type"] in ("ParallelStateSucceeded", "ParallelStateExited") and lost[_key(event)]:
            lost[_key(event)] -= 1
            kept.remove(event)
    return comparison.compare(("events",), _branches_sorted(expected), _branches_sorted(kept))


def _branches_sorted(events: Sequence[Any]) -> list[Any]:
    """With all that is between the first ParallelStateStarted and the end of the last Parallel state in one order."""
    types = [event["type"] for event in events]
    first = types.index("ParallelStateStarted") + 1
    last = max(place for place, kind in enumerate(types) if kind.startswith("ParallelState"))
    return [*events[:first], *sorted(events[first:last], key=_key), *events[last:]]


def _key(event: Any) -> str:
    return json.dumps(event, sort_keys=True)


def _kinds_differ(expected: Any, got: Any) -> list[Difference]:
    """What was drawn is another value each time, but one of its kind."""
    if isinstance(expected, dict) and isinstance(got, dict):
        return [found for key in expected for found in _kinds_differ(expected[key], got.get(key))]
    if isinstance(expected, str) and expected in _DRAWN and not _DRAWN[expected].fullmatch(str(got)):
        return [Difference((), expected, got)]
    return []
