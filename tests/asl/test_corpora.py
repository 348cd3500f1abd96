"""Verdicts and messages of the real service, and definitions that people published."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest

from engine.asl.diagnostics import invalid_definition_message
from engine.asl.parser import Parsed, parse, parse_state
from tests.shared_data import json_lines, shared

SOURCES = ("aws-recordings", "statelint", "asl-validator", "language-service", "coinbase-step")

# What one suite expects to be valid, and the service was measured to refuse: a JSONPath state in a JSONata machine.
REFUSED_BY_THE_SERVICE = {"valid-map-with-item-batcher-jsonata"}

# Why published definitions are refused. Samples were written to be deployed or shown; fixtures are test material, some
# of it wrong on purpose. docs/compatibility.md says what stands behind each.
RULES_THAT_REFUSE_SAMPLES = {
    "choice-rule-shape",
    "duplicate-state-name",
    "field-of-other-query-language",
    "invalid-path",
    "invalid-template-field",
    "missing-target",
    "not-a-reference-path",
    "required-field",
    "resource-not-an-arn",
    "resource-not-recognized",
    "unreachable-state",
    "unsupported-field",
    "wrong-type",
}


def verdicts() -> list[dict[str, Any]]:
    return [case for source in SOURCES for case in json_lines("corpus", "validation", f"{source}.jsonl")]


def parsed(case: dict[str, Any]) -> Parsed:
    source = case["text"] if "text" in case else json.dumps(case["definition"])
    return parse(source, type=case.get("type") or "STANDARD", warnings=False)


def test_verdicts_agree_with_what_is_known_of_the_service() -> None:
    cases = [case for case in verdicts() if "disputed" not in case]
    wrong = {case["name"] for case in cases if (parsed(case).program is not None) != (case["expected"] == "valid")}
    assert wrong - REFUSED_BY_THE_SERVICE == set()
    assert 1 - len(wrong) / len(cases) >= 0.99


def test_recorded_messages_are_met_to_the_letter() -> None:
    for case in json_lines("corpus", "validation", "aws-recordings.jsonl"):
        found = parsed(case).diagnostics
        if case["authority"] == "AWS ValidateStateMachineDefinition":
            answered = [
                {"severity": one.severity, "code": one.code, "message": one.message}
                | ({} if one.location is None else {"location": one.location})
                for one in found
            ]
            assert answered == case.get("diagnostics", []), case["name"]
        elif case["message"]:
            assert [invalid_definition_message(found)] == case["message"], case["name"]


def test_published_definitions_are_refused_only_for_known_reasons() -> None:
    refused: Counter[str] = Counter()
    rules: set[str] = set()
    index = json.loads(shared("corpus", "definitions", "index.json").read_text(encoding="utf-8"))
    for entry in index:
        found = parse(shared("corpus", "definitions", entry["file"]).read_bytes(), warnings=False)
        if found.program is None and entry["kind"] == "sample":
            refused["sample"] += 1
            rules |= {diagnostic.rule for diagnostic in found.diagnostics}
        refused["fixture"] += found.program is None and entry["kind"] == "fixture"
    assert rules <= RULES_THAT_REFUSE_SAMPLES
    samples = sum(entry["kind"] == "sample" for entry in index)
    assert refused["sample"] / samples < 0.09
    assert refused["fixture"] / (len(index) - samples) < 0.25


def definition_of(step: dict[str, Any]) -> str | None:
    """The text of a recorded call's definition, with plausible values for what earlier calls would have answered."""
    value = step["params"].get("definition")
    text = json.dumps(value["@json"]) if isinstance(value, dict) and "@json" in value else value
    if not isinstance(text, str):
        return None
    arns = {"activityArn": "arn:aws:states:us-east-1:123456789012:activity:a"}
    lambda_arn = "arn:aws:lambda:us-east-1:123456789012:function:f"

    def fill(found: re.Match[str]) -> str:
        last = found.group(1).rpartition(".")[2]
        return arns.get(last, lambda_arn if last.endswith("Arn") else "x")

    return re.sub(r"@@([^@]+)@@", fill, text)


def recorded_calls() -> list[tuple[str, dict[str, Any]]]:
    index = json.loads(shared("conformance", "sfn", "index.json").read_text(encoding="utf-8"))
    takes_definition = ("CreateStateMachine", "UpdateStateMachine", "ValidateStateMachineDefinition", "TestState")
    return [
        (case["name"], step)
        for case in index
        for step in json.loads(shared("conformance", "sfn", case["file"]).read_text(encoding="utf-8"))["steps"]
        if step["op"] in takes_definition
    ]


def test_recorded_conversations_accept_and_refuse_the_same_definitions() -> None:
    compared: Counter[str] = Counter()
    for name, step in recorded_calls():
        text = definition_of(step)
        if text is None:
            continue
        alone = step["op"] == "TestState" and "StartAt" not in json.loads(text)
        found = parse_state(text) if alone else parse(text, type=step["params"].get("type", "STANDARD"), warnings=False)
        answers = [expected["value"] for expected in step.get("expect", ()) if isinstance(expected.get("value"), dict)]
        compared[_compare(name, found, answers, step)] += 1
    assert compared["diagnostics"] >= 8
    assert compared["message"] >= 10
    assert compared["accepted"] >= 590


def _compare(name: str, found: Parsed, answers: list[dict[str, Any]], step: dict[str, Any]) -> str:
    for answer in answers:
        if "diagnostics" in answer:
            answered = [
                {"severity": one.severity, "code": one.code, "message": one.message}
                | ({} if one.location is None else {"location": one.location})
                for one in found.diagnostics
            ]
            assert answered == answer["diagnostics"], name
            return "diagnostics"
        message = answer.get("exception_value", answer.get("message", ""))
        if "Invalid State Machine Definition: '" in message:
            ours = invalid_definition_message(found.diagnostics).replace("arn:aws:", "arn:<partition>:")
            assert ours in message.replace("arn:aws:", "arn:<partition>:"), name
            return "message"
        if answer.get("Error", {}).get("Code") == "InvalidDefinition":
            return "another text"
    if step.get("outcome") == "ok":
        assert found.program is not None, (name, [str(diagnostic) for diagnostic in found.diagnostics])
        return "accepted"
    return "another error"


@pytest.mark.parametrize("kind", ["sample", "fixture"])
def test_whatever_people_published_gets_an_answer(kind: str) -> None:
    """Warnings and positions too, for every definition there is."""
    index = json.loads(shared("corpus", "definitions", "index.json").read_text(encoding="utf-8"))
    for entry in index:
        if entry["kind"] == kind:
            found = parse(shared("corpus", "definitions", entry["file"]).read_bytes())
            assert all(diagnostic.line is not None for diagnostic in found.diagnostics)
