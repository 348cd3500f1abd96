"""Every warning: where it speaks and where it must not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import engine.asl
from engine.asl.parser import parse
from tests.shared_data import shared

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:Ship"
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:Pick"
JOB = "arn:aws:states:::ecs:runTask.sync"
TOKEN = "arn:aws:states:::sqs:sendMessage.waitForTaskToken"
DISTRIBUTED = {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}


def one(state: dict[str, Any], **top: Any) -> dict[str, Any]:
    return {
        **top,
        "StartAt": "A",
        "States": {"A": state, "Z": {"Type": "Succeed"}} if "Next" in state else {"A": state},
    }


def a_pass(**fields: Any) -> dict[str, Any]:
    return one({"Type": "Pass", "End": True, **fields})


def a_task(resource: str = LAMBDA, **fields: Any) -> dict[str, Any]:
    return one({"Type": "Task", "Resource": resource, "Next": "Z", **fields})


def waiting(sent: dict[str, Any], language: str = "JSONPath") -> dict[str, Any]:
    """A Task with a token and a timeout."""
    field = "Parameters" if language == "JSONPath" else "Arguments"
    state = {"Type": "Task", "Resource": TOKEN, "TimeoutSeconds": 5, field: {"QueueUrl": "q", **sent}, "End": True}
    return one(state, QueryLanguage=language)


def a_map(config: dict[str, Any] | None = None, inner: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    state = inner or {"Type": "Pass", "End": True}
    processor = {"ProcessorConfig": config or {"Mode": "INLINE"}, "StartAt": "I", "States": {"I": state}}
    return one({"Type": "Map", "ItemProcessor": processor, "End": True, **fields})


def a_choice(*rules: dict[str, Any], default: bool = True, **top: Any) -> dict[str, Any]:
    choice = {
        "Type": "Choice",
        "Choices": [{"Next": "Z", **rule} for rule in rules],
        **({"Default": "Z"} if default else {}),
    }
    return {**top, "StartAt": "A", "States": {"A": choice, "Z": {"Type": "Succeed"}}}


def a_jsonata_pass(output: Any) -> dict[str, Any]:
    return one({"Type": "Pass", "Output": output, "End": True}, QueryLanguage="JSONata")


def retry(*entries: dict[str, Any]) -> dict[str, Any]:
    return a_task(Retry=list(entries))


def catch(*names: list[str]) -> dict[str, Any]:
    return a_task(Catch=[{"ErrorEquals": name, "Next": "Z"} for name in names])


def an_http_task(**parameters: Any) -> dict[str, Any]:
    required = {"ApiEndpoint": "https://a.test", "Method": "POST", "Authentication": {"ConnectionArn": "c"}}
    return a_task("arn:aws:states:::http:invoke", Parameters={**required, **parameters})


def assigning(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """A assigns (`first`), then B (`second`) runs."""
    states = {"A": {"Type": "Pass", "Next": "B", **first}, "B": {"Type": "Pass", "End": True, **second}}
    return {"StartAt": "A", "States": states}


def x(operator: str, operand: Any, **fields: Any) -> dict[str, Any]:
    return {"Variable": "$.x", operator: operand, **fields}


A = "/States/A"

INNER_MAP = {
    "Type": "Map",
    "ItemProcessor": {"ProcessorConfig": DISTRIBUTED, "StartAt": "J", "States": {"J": {"Type": "Pass", "End": True}}},
    "End": True,
}

SPEAKS: list[tuple[str, str, dict[str, Any]]] = [
    # AWS's own
    ("no-dollar", f"{A}/Parameters/list[0]/id", a_pass(Parameters={"list": [{"id": "$.id"}]})),
    ("no-dollar", f"{A}/ResultSelector/f", a_task(ResultSelector={"f": "States.Format('{}', $.x)"})),
    ("no-path", f"{A}/Error", one({"Type": "Fail", "Error": "$.error"})),
    ("no-path", f"{A}/Choices[0]/And[0]/StringEquals", a_choice({"And": [x("StringEquals", "$$.State.Name")]})),
    ("result-is-static", f"{A}/Result", a_pass(Result={"id": "$.id"})),
    ("result-is-static", f"{A}/Result", a_pass(Result={"id.$": "$.id"})),
    # Retry and Catch
    ("unreachable-retrier", f"{A}/Retry[1]", retry({"ErrorEquals": ["E", "F"]}, {"ErrorEquals": ["F"]})),
    ("unreachable-retrier", f"{A}/Retry[1]", retry({"ErrorEquals": ["States.TaskFailed"]}, {"ErrorEquals": ["Own"]})),
    ("unreachable-catcher", f"{A}/Catch[1]", catch(["E"], ["E"])),
    ("unhandled-error-name", f"{A}/Catch[0]/ErrorEquals[1]", catch(["E", "States.Runtime"])),
    ("unhandled-error-name", f"{A}/Retry[0]/ErrorEquals[0]", retry({"ErrorEquals": ["States.Runtime"]})),
    (
        "max-delay-not-above-interval",
        f"{A}/Retry[0]/MaxDelaySeconds",
        retry({"ErrorEquals": ["E"], "IntervalSeconds": 5, "MaxDelaySeconds": 5}),
    ),
    # data flow
    ("result-discarded", f"{A}/ResultSelector", a_task(ResultPath=None, ResultSelector={"x.$": "$.x"})),
    ("result-discarded", f"{A}/Result", a_pass(ResultPath=None, Result=1)),
    ("parameters-beside-result", f"{A}/Parameters", a_pass(Result=1, Parameters={"x.$": "$.x"})),
    # Task
    ("token-not-passed", f"{A}/Parameters", waiting({"MessageBody": "x"})),
    ("no-timeout", A, a_task(TOKEN, Parameters={"QueueUrl": "q", "MessageBody.$": "$$.Task.Token"})),
    ("no-timeout", A, a_task(ACTIVITY)),
    ("heartbeat-without-effect", f"{A}/HeartbeatSeconds", a_task(HeartbeatSeconds=5)),
    ("heartbeat-not-below-timeout", f"{A}/HeartbeatSeconds", a_task(ACTIVITY, HeartbeatSeconds=5, TimeoutSeconds=5)),
    ("integration-without-parameters", A, a_task("arn:aws:states:::lambda:invoke")),
    ("credentials-without-role", f"{A}/Credentials", a_task(Credentials={"Role": "r"})),
    (
        "not-in-express-children",
        f"{A}/ItemProcessor/States/I/Resource",
        a_map(DISTRIBUTED, {"Type": "Task", "Resource": ACTIVITY, "TimeoutSeconds": 5, "End": True}),
    ),
    (
        "not-in-express-children",
        f"{A}/ItemProcessor/States/I/Type",
        a_map(DISTRIBUTED, INNER_MAP),
    ),
    ("forbidden-header", f"{A}/Parameters/Headers", an_http_task(Headers={"authorization.$": "$.x", "X-Good": "1"})),
    (
        "form-without-content-type",
        f"{A}/Parameters",
        an_http_task(Transform={"RequestBodyEncoding": "URL_ENCODED"}, Headers={"X": "1"}),
    ),
    # Map
    ("max-concurrency-above-limit", f"{A}/MaxConcurrency", a_map(MaxConcurrency=41)),
    ("distributed-field-in-inline-map", f"{A}/Label", a_map(Label="L")),
    ("distributed-field-in-inline-map", f"{A}/ToleratedFailureCount", a_map(ToleratedFailureCount=1)),
    # Choice
    ("choice-without-default", A, a_choice(x("StringEquals", "a"), default=False)),
    ("repeated-choice-rule", f"{A}/Choices[1]", a_choice(x("IsNull", True), x("IsNull", True, Comment="again"))),
    (
        "choice-rule-never-true",
        f"{A}/Choices[0]",
        a_choice({"And": [x("StringEquals", "a"), x("IsPresent", True), x("StringEquals", "b")]}),
    ),
    ("choice-rule-never-true", f"{A}/Choices[0]", a_choice({"Condition": "{% false %}"}, QueryLanguage="JSONata")),
    (
        "unreachable-choice-rule",
        f"{A}/Choices[1]",
        a_choice({"Condition": True}, {"Condition": "{% $states.input.a %}"}, default=False, QueryLanguage="JSONata"),
    ),
    ("unreachable-choice-rule", f"{A}/Default", a_choice({"Condition": True}, QueryLanguage="JSONata")),
    # variables
    ("undefined-variable", A, a_pass(Parameters={"y.$": "$x.y"})),
    ("undefined-variable", "/States/A", assigning({"InputPath": "$x"}, {"Assign": {"x": 1}})),
    (
        "undefined-variable",
        f"{A}/ItemProcessor/States/I",
        a_map(DISTRIBUTED, {"Type": "Pass", "InputPath": "$x", "End": True}, Assign={"x": 1}),
    ),
    ("unused-variable", f"{A}/Assign", a_pass(Assign={"x": 1})),
    # JSONata, machine
    ("jsonata-2.1-operator", f"{A}/Output", a_jsonata_pass("{% $states.input.a ?? 1 %}")),
    ("zero-timeout", "/TimeoutSeconds", one({"Type": "Pass", "End": True}, TimeoutSeconds=0)),
]  # fmt: skip

SILENT: list[tuple[str, dict[str, Any]]] = [
    ("a price is no path", a_pass(Parameters={"price": "$5", "sign": "$", "text": "States.Format is a function"})),
    ("operators that take a path", a_choice(x("StringEqualsPath", "$.y"))),
    ("a JSONata text that looks like a path", a_jsonata_pass({"a": "$.a"})),
    ("timeouts after failures", retry({"ErrorEquals": ["States.TaskFailed"]}, {"ErrorEquals": ["States.Timeout"]})),
    ("the rest after names", catch(["E"], ["States.ALL"])),
    ("a name with another", catch(["E"], ["E", "F"])),
    ("a token in the middle of a text", waiting({"MessageBody.$": "States.Format('{}', $$.Task.Token)"})),
    ("the whole context as parameters", waiting({"MessageBody.$": "$$"})),
    ("a token in JSONata", waiting({"MessageBody": "{% $states.context.Task.Token %}"}, "JSONata")),
    ("a job may have a heartbeat", a_task(JOB, Parameters={"TaskDefinition": "t"}, HeartbeatSeconds=5)),
    ("a Distributed Map may tolerate", a_map(DISTRIBUTED, Label="L", MaxConcurrency=1000)),
    ("both values of a boolean", a_choice(x("BooleanEquals", True), x("BooleanEquals", False), default=False)),
    ("a rule and its negation", a_choice(x("IsNull", True), {"Not": x("IsNull", True)}, default=False)),
    ("below and not below", a_choice(x("NumericLessThan", 5), x("NumericGreaterThanEquals", 5), default=False)),
    ("one of two values", a_choice({"Or": [x("StringEquals", "a"), x("StringEquals", "b")]})),
    ("a variable of the state before", assigning({"Assign": {"x": 1}}, {"InputPath": "$x"})),
    ("a variable of a function's own", a_jsonata_pass("{% $map([1], function($v) { $v + 1 }) %}")),
    ("a variable from outside in a branch", {"StartAt": "A", "States": {
        "A": {"Type": "Pass", "Assign": {"x": 1}, "Next": "B"},
        "B": {"Type": "Parallel", "End": True, "Branches": [
            {"StartAt": "I", "States": {"I": {"Type": "Pass", "InputPath": "$x", "End": True}}}]}}}),
    ("a variable that only one way assigns", {"StartAt": "A", "States": {
        "A": {"Type": "Choice", "Choices": [x("IsNull", True, Assign={"x": 1}, Next="B")], "Default": "B"},
        "B": {"Type": "Pass", "InputPath": "$x", "End": True}}}),
    ("a variable of a loop", {"StartAt": "A", "States": {
        "A": {"Type": "Pass", "InputPath": "$x", "Assign": {"x": 1}, "Next": "B"},
        "B": {"Type": "Choice", "Choices": [{"Variable": "$.a", "IsNull": True, "Next": "A"}], "Default": "C"},
        "C": {"Type": "Succeed"}}}),
]  # fmt: skip


def warnings(definition: dict[str, Any]) -> list[tuple[str, str | None]]:
    parsed = parse(json.dumps(definition))
    assert parsed.program is not None, [str(diagnostic) for diagnostic in parsed.diagnostics]
    assert all(diagnostic.severity == "WARNING" for diagnostic in parsed.diagnostics)
    return [(diagnostic.rule, diagnostic.location) for diagnostic in parsed.diagnostics]


@pytest.mark.parametrize(("rule", "location", "definition"), SPEAKS, ids=[f"{rule} {at}" for rule, at, _ in SPEAKS])
def test_a_rule_speaks_and_no_other_does(rule: str, location: str, definition: dict[str, Any]) -> None:
    assert warnings(definition) == [(rule, location)]


@pytest.mark.parametrize(("name", "definition"), SILENT, ids=[name for name, _ in SILENT])
def test_what_is_meant_gets_no_warning(name: str, definition: dict[str, Any]) -> None:
    assert warnings(definition) == []


def test_every_warning_is_tried_here() -> None:
    sources = "".join(path.read_text() for path in Path(engine.asl.__path__[0]).glob("*.py"))
    written = set(re.findall(r'report\.warning\(\s*"([a-z0-9.-]+)"', sources)) | {
        "unreachable-retrier",
        "unreachable-catcher",
    }
    assert {rule for rule, _, _ in SPEAKS} == written


def test_the_codes_of_the_service_are_kept_for_its_own_warnings() -> None:
    definition = a_pass(Parameters={"id": "$.id"}, Result="$.id")
    codes = {diagnostic.rule: diagnostic.code for diagnostic in parse(definition).diagnostics}
    assert codes == {
        "no-dollar": "NO_DOLLAR",
        "result-is-static": "PASS_RESULT_IS_STATIC",
        "parameters-beside-result": "LINT",
    }


def test_a_definition_with_errors_gets_only_the_services_warnings() -> None:
    definition = a_pass(Parameters={"id": "$.id"}, Result=1, Nonsense=True)
    assert [diagnostic.rule for diagnostic in parse(definition).diagnostics] == ["unsupported-field", "no-dollar"]


def test_no_rule_is_wrong_about_published_samples() -> None:
    """What is said of them was read one by one; a rule that appears here anew has to be read too."""
    index = json.loads(shared("corpus", "definitions", "index.json").read_text(encoding="utf-8"))
    said = {
        diagnostic.rule
        for entry in index
        if entry["kind"] == "sample"
        for diagnostic in parse(shared("corpus", "definitions", entry["file"]).read_bytes()).diagnostics
        if diagnostic.severity == "WARNING"
    }
    assert said <= {
        "choice-without-default",
        "heartbeat-not-below-timeout",
        "heartbeat-without-effect",
        "no-dollar",
        "no-timeout",
        "result-discarded",
        "unused-variable",
    }
