"""No definition, however broken, gives anything but a program or diagnostics."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.asl.field_tables import STATE_FIELDS, STATE_TYPES
from engine.asl.parser import Parsed, parse, parse_state

SEEDS = [
    case["definition"]
    for folder in ("valid", "invalid")
    for path in sorted((Path(__file__).parent / folder).glob("*.asl.json"))
    if "definition" in (case := json.loads(path.read_text(encoding="utf-8")))
]

WORDS = sorted(
    {name for fields in STATE_FIELDS.values() for name in fields} | {"Mode", "ExecutionType", "x.$", "", "é\u2028"}
)
TEXTS = [
    *STATE_TYPES, "A", "B", "$", "$.x", "$$.Execution.Id", "$x[", "$..*", "{% 1 %}", "{% $states.result %}", "{% (",
    "%}", "States.ALL", "States.Format('{}'", "JSONata", "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
    "2024-01-01T00:00:00Z", "DISTRIBUTED", "\u0000", "😀" * 30,
]  # fmt: skip

scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(TEXTS), st.text(max_size=8),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)
bounded = settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))


def check(parsed: Parsed) -> None:
    errors = [diagnostic for diagnostic in parsed.diagnostics if diagnostic.severity == "ERROR"]
    assert (parsed.program is None) == bool(errors)
    assert all(diagnostic.message and diagnostic.rule and diagnostic.code for diagnostic in parsed.diagnostics)


def places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(deeper for key, member in members for deeper in places(member, (*place, key)))]


def mutate(data: st.DataObject, definition: Any) -> None:
    place = data.draw(st.sampled_from(places(definition)[1:]))
    parent = definition
    for part in place[:-1]:
        parent = parent[part]
    match data.draw(st.sampled_from(["replace", "delete", "rename", "copy"])):
        case "replace":
            parent[place[-1]] = data.draw(values)
        case "delete":
            del parent[place[-1]]
        case "rename" if isinstance(parent, dict):
            parent[data.draw(st.sampled_from(WORDS))] = parent.pop(place[-1])
        case _ if isinstance(parent, dict):
            parent[data.draw(st.sampled_from(WORDS))] = copy.deepcopy(parent[place[-1]])
        case _:
            parent.append(copy.deepcopy(parent[place[-1]]))


@bounded
@given(st.data())
def test_mutated_definitions(data: st.DataObject) -> None:
    definition = copy.deepcopy(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 4))):
        if not places(definition)[1:]:
            break
        mutate(data, definition)
    machine_type: Any = data.draw(st.sampled_from(["STANDARD", "EXPRESS"]))
    check(parse(definition, type=machine_type, name=data.draw(st.sampled_from([None, "n", "a b"]))))
    for diagnostic in (text := parse(json.dumps(definition), type=machine_type)).diagnostics:
        assert diagnostic.line is not None
    check(text)
    states = definition.get("States")
    for state in list(states.values())[:1] if isinstance(states, dict) else ():
        check(parse_state(state))


@bounded
@given(values)
def test_random_values(value: Any) -> None:
    check(parse(value))
    check(parse({"StartAt": "A", "States": value}))
    check(parse({"StartAt": "A", "States": {"A": value}}))


@bounded
@given(st.text(alphabet='{}[]":,\\ \n0-1.eE+tfnulA/*#&!%@`\ud800é', max_size=40), st.sampled_from(["JSON", "YAML"]))
def test_random_texts(text: str, syntax: Any) -> None:
    check(parse(text, syntax=syntax))
    check(parse(text.encode("utf-8", "surrogatepass"), syntax=syntax))


@bounded
@given(st.data())
def test_cut_and_damaged_texts(data: st.DataObject) -> None:
    text = json.dumps(data.draw(st.sampled_from(SEEDS)), indent=data.draw(st.sampled_from([None, 1])))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 5)))
    damaged = text[:start] + data.draw(st.text(max_size=2)) + text[end:]
    check(parse(damaged))
    check(parse(damaged, syntax="YAML"))
    check(parse(text[:start]))
