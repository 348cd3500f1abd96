"""The program that a definition becomes, and the faces of the parser."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

from engine.asl.diagnostics import InvalidDefinition, invalid_definition_message
from engine.asl.parser import load, parse, parse_state
from engine.asl.program import (
    And,
    ChoiceState,
    Comparison,
    FailState,
    MapState,
    Not,
    ParallelState,
    PassState,
    State,
    TaskState,
    WaitState,
    flows_of,
)
from engine.query.jsonata import JsonataTemplate
from engine.query.jsonpath import Path

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:Ship"


def state(fields: dict[str, Any], **top: Any) -> State:
    end = {} if fields["Type"] in ("Choice", "Fail", "Succeed") else {"End": True}
    states = {"A": {**end, **fields}}
    if fields["Type"] == "Choice" or "Catch" in fields:
        states["Z"] = {"Type": "Succeed"}
    return load({**top, "StartAt": "A", "States": states}).states["A"]


def test_absent_fields_have_the_defaults_of_the_language() -> None:
    found = state({"Type": "Task", "Resource": LAMBDA, "Retry": [{"ErrorEquals": ["E"]}]})
    assert isinstance(found, TaskState)
    assert (found.input_path and found.input_path.source, found.output_path and found.output_path.source) == ("$", "$")
    assert found.result_path is not None
    assert found.result_path.source == "$"
    assert (found.parameters, found.arguments, found.output, found.assign, found.timeout_seconds) == (None,) * 5
    retrier = found.retry[0]
    assert (retrier.interval_seconds, retrier.max_attempts, retrier.backoff_rate) == (1, 3, 2.0)
    assert (retrier.max_delay_seconds, retrier.jitter_strategy) == (None, "NONE")


def test_null_paths_are_none() -> None:
    found = state({"Type": "Pass", "InputPath": None, "OutputPath": None, "ResultPath": None})
    assert isinstance(found, PassState)
    assert (found.input_path, found.output_path, found.result_path) == (None, None, None)


def test_a_jsonata_state_has_no_paths() -> None:
    found = state({"Type": "Pass", "Output": {"x": "{% $y %}"}}, QueryLanguage="JSONata")
    assert isinstance(found, PassState)
    assert (found.query_language, found.input_path, found.output_path, found.result_path) == (
        "JSONata",
        None,
        None,
        None,
    )
    assert isinstance(found.output, JsonataTemplate)
    assert found.output.variables == {"y"}


def test_a_result_of_null_is_a_result() -> None:
    found = state({"Type": "Pass", "Result": None})
    assert isinstance(found, PassState)
    assert found.result is not None
    assert found.result.value is None


def test_jsonata_names_a_field_by_its_place_in_the_state() -> None:
    catch = [{"ErrorEquals": ["E"], "Next": "Z"}, {"ErrorEquals": ["F"], "Output": "{% 1 %}", "Next": "Z"}]
    found = state({"Type": "Task", "Resource": LAMBDA, "Catch": catch}, QueryLanguage="JSONata")
    assert isinstance(found, TaskState)
    assert found.catch[1].output is not None
    assert found.catch[1].output.field == "Catch[1]/Output"
    assert found.catch[0].result_path is None
    choice = state({"Type": "Choice", "Choices": [{"Condition": "{% true %}", "Next": "Z"}]}, QueryLanguage="JSONata")
    assert isinstance(choice, ChoiceState)
    assert isinstance(choice.choices[0].condition, JsonataTemplate)
    assert choice.choices[0].condition.field == "Choices[0]/Condition"


def test_choice_rules_nest() -> None:
    rule = {
        "And": [{"Variable": "$.a", "StringEquals": "x"}, {"Not": {"Variable": "$.b", "NumericLessThanPath": "$.c"}}],
        "Next": "Z",
    }
    found = state({"Type": "Choice", "Choices": [rule], "Default": "Z"})
    assert isinstance(found, ChoiceState)
    condition = found.choices[0].condition
    assert isinstance(condition, And)
    first, second = condition.rules
    assert isinstance(first, Comparison)
    assert (first.variable.source, first.operator, first.operand) == ("$.a", "StringEquals", "x")
    assert isinstance(second, Not)
    assert isinstance(second.rule, Comparison)
    assert isinstance(second.rule.operand, Path)
    assert second.rule.operand.source == "$.c"


def test_the_older_names_of_map_fields_mean_the_newer_ones() -> None:
    processor = {"StartAt": "I", "States": {"I": {"Type": "Pass", "End": True}}, "Comment": "c"}
    older = state({"Type": "Map", "Iterator": processor, "Parameters": {"x.$": "$.x"}})
    newer = state({"Type": "Map", "ItemProcessor": processor, "ItemSelector": {"x.$": "$.x"}})
    for found in (older, newer):
        assert isinstance(found, MapState)
        assert found.parameters is None
        assert not isinstance(found.item_selector, JsonataTemplate)
        assert found.item_selector is not None
        assert found.item_selector.source == '{"x.$":"$.x"}'
        assert (found.item_processor.mode, found.item_processor.comment, found.item_processor.start_at) == (
            "INLINE",
            "c",
            "I",
        )
        assert flows_of(found) == (found.item_processor,)


def test_a_distributed_map_keeps_all_its_fields() -> None:
    found = state(
        {
            "Type": "Map",
            "Label": "L",
            "MaxConcurrencyPath": "$.m",
            "ToleratedFailurePercentage": 12.5,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
                "StartAt": "I",
                "States": {"I": {"Type": "Pass", "End": True}},
            },
            "ItemReader": {
                "Resource": "arn:aws:states:::s3:getObject",
                "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "GIVEN", "CSVHeaders": ["a"], "MaxItems": 5},
                "Parameters": {"Bucket": "b"},
            },
            "ItemBatcher": {"MaxItemsPerBatch": 3, "BatchInput": {"x": 1}},
            "ResultWriter": {"WriterConfig": {"Transformation": "COMPACT", "OutputType": "JSONL"}},
        }
    )
    assert isinstance(found, MapState)
    assert (found.label, found.tolerated_failure_percentage) == ("L", 12.5)
    assert (found.item_processor.mode, found.item_processor.execution_type) == ("DISTRIBUTED", "EXPRESS")
    assert found.item_reader is not None
    assert found.item_reader.reader_config is not None
    assert (found.item_reader.reader_config.csv_headers, found.item_reader.reader_config.max_items) == (("a",), 5)
    assert found.item_batcher is not None
    assert found.item_batcher.max_items_per_batch == 3
    assert found.result_writer is not None
    assert (found.result_writer.resource, found.result_writer.transformation) == (None, "COMPACT")


def test_numbers_may_be_expressions_in_jsonata_only() -> None:
    found = state({"Type": "Wait", "Seconds": "{% 5 %}"}, QueryLanguage="JSONata")
    assert isinstance(found, WaitState)
    assert isinstance(found.seconds, JsonataTemplate)
    refused = parse({"StartAt": "A", "States": {"A": {"Type": "Wait", "Seconds": "{% 5 %}", "End": True}}})
    assert [diagnostic.message for diagnostic in refused.diagnostics] == ["Expected value of type Integer"]


def test_fail_takes_texts_paths_and_functions() -> None:
    found = state({"Type": "Fail", "Error": "E", "CausePath": "States.Format('{}', $.x)"})
    assert isinstance(found, FailState)
    assert (found.error, found.error_path, found.cause) == ("E", None, None)
    assert found.cause_path is not None


def test_a_machine_has_its_own_fields() -> None:
    definition = {
        "Comment": "c",
        "TimeoutSeconds": 60,
        "Version": "1.0",
        "StartAt": "A",
        "States": {"A": {"Type": "Succeed"}},
    }
    machine = load(definition)
    assert (machine.comment, machine.timeout_seconds, machine.version, machine.start_at) == ("c", 60, "1.0", "A")
    assert machine.query_language == "JSONPath"
    assert load({**definition, "TimeoutSeconds": 0}).timeout_seconds is None


def test_load_raises_with_everything_that_is_wrong() -> None:
    with pytest.raises(InvalidDefinition) as caught:
        load('{\n "StartAt": "A",\n "States": {"A": {"Type": "Pass", "Next": "B", "Foo": 1}}\n}')
    assert [diagnostic.rule for diagnostic in caught.value.diagnostics] == [
        "unsupported-field",
        "missing-target",
        "no-terminal-state",
    ]
    assert str(caught.value).splitlines() == [
        "the definition has 3 errors:",
        "  3:48: ERROR Field 'Foo' is not supported (/States/A) [unsupported-field]",
        "  3:43: ERROR Missing 'Next' target: B (/States/A/Next) [missing-target]",
        '  3:2: ERROR Workflow has no terminal state; one state needs "End": true, or be of type Succeed or Fail '
        "[no-terminal-state]",
    ]


def test_the_message_of_the_service_repeats_the_code_and_says_null_for_no_place() -> None:
    parsed = parse({"StartAt": "A", "States": {"A": {"Type": "Pass", "Next": "NOPE"}}})
    assert invalid_definition_message(parsed.diagnostics) == (
        "Invalid State Machine Definition: 'MISSING_TRANSITION_TARGET: Missing 'Next' target: NOPE at /States/A/Next, "
        "MISSING_END_STATE: Workflow has no terminal state at null'"
    )


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "STATE_MACHINE_NAME_EMPTY"),
        ("n" * 81, "STATE_MACHINE_NAME_TOO_LONG"),
        ("my machine", "STATE_MACHINE_NAME_INVALID"),
        ("a/b", "STATE_MACHINE_NAME_INVALID"),
    ],
)
def test_the_machines_name_can_be_checked_too(name: str, code: str) -> None:
    definition = {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}
    assert [diagnostic.code for diagnostic in parse(definition, name=name).diagnostics] == [code]
    assert parse(definition, name="My-machine_1.0").program is not None


def test_a_state_alone_may_lead_anywhere() -> None:
    parsed = parse_state('{"Type": "Pass", "Next": "Elsewhere"}', name="Mine")
    assert parsed.program is not None
    assert list(parsed.program.states) == ["Mine"]


def test_a_state_alone_is_named_by_the_service() -> None:
    parsed = parse_state('{\n"Type": "Parallel", "Branches": [], "End": true}')
    assert invalid_definition_message(parsed.diagnostics) == (
        "Invalid State Machine Definition: "
        "'SCHEMA_VALIDATION_FAILED: Value cannot be empty at /States/StateName/Branches'"
    )
    assert (parsed.diagnostics[0].line, parsed.diagnostics[0].column) == (2, 33)
    assert parse_state("{").diagnostics[0].rule == "not-json"


def test_yaml_is_read_when_asked_for() -> None:
    text = "StartAt: A\nStates:\n  A:\n    Type: Pass\n    End: True\n"
    assert parse(text, syntax="YAML").program is not None
    assert parse(text).program is None


def test_a_wrong_end_in_yaml_is_shown_where_it_is() -> None:
    parsed = parse("StartAt: A\nStates:\n  A:\n    Type: Pass\n    End: yes\n", syntax="YAML")
    first = parsed.diagnostics[0]
    assert (first.message, first.line, first.column, first.end_column) == ("Expected value of type Boolean", 5, 10, 13)


def nested(depth: int) -> dict[str, Any]:
    flow: dict[str, Any] = {"StartAt": "S0", "States": {"S0": {"Type": "Succeed"}}}
    for level in range(1, depth):
        flow = {"StartAt": f"S{level}", "States": {f"S{level}": {"Type": "Parallel", "Branches": [flow], "End": True}}}
    return flow


def test_flows_nest_as_deep_as_the_bound_allows() -> None:
    machine = load(json.dumps(nested(32)))
    depth = 1
    inner: Any = machine
    while isinstance(found := inner.states[inner.start_at], ParallelState):
        inner, depth = found.branches[0], depth + 1
    assert depth == 32
    assert parse(json.dumps(nested(33))).diagnostics[0].code == "TOO_DEEPLY_NESTED"


@pytest.mark.parametrize(
    "make",
    [
        lambda n: {"Type": "Choice", "Choices": [{**wrap_not(n), "Next": "Z"}], "Default": "Z"},
        lambda n: {"Type": "Pass", "Parameters": wrap_list(n), "Next": "Z"},
        lambda n: {"Type": "Pass", "QueryLanguage": "JSONata", "Output": wrap_list(n), "Next": "Z"},
    ],
)
def test_nothing_within_the_bound_runs_out_of_stack(make: Any) -> None:
    """As called from a hundred frames further down than a test is."""

    def deeper(frames: int) -> None:
        if frames:
            deeper(frames - 1)
            return
        definition = {"StartAt": "A", "States": {"A": make(120), "Z": {"Type": "Succeed"}}}
        assert parse(definition).program is not None

    assert sys.getrecursionlimit() == 1000
    deeper(100)


def wrap_not(depth: int) -> dict[str, Any]:
    rule: dict[str, Any] = {"Variable": "$.x", "IsNull": True}
    for _ in range(depth):
        rule = {"Not": rule}
    return rule


def wrap_list(depth: int) -> Any:
    value: Any = {"x.$": "$.x"}
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("rate", [10**309, 10**4_000])
def test_a_backoff_rate_beyond_all_doubles_is_refused(rate: int) -> None:
    retrier = {"ErrorEquals": ["E"], "BackoffRate": rate}
    task = {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "Retry": [retrier], "End": True}
    parsed = parse({"StartAt": "T", "States": {"T": task}})
    assert [diagnostic.message for diagnostic in parsed.diagnostics if diagnostic.severity == "ERROR"] == [
        "Maximum value is 1.7976931348623157e+308"
    ]
