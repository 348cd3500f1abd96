"""The words in a picture."""

from __future__ import annotations

import pytest

from engine.ui.graph import every_node, graph
from tests.ui.machines import machine

END = {"Type": "Pass", "End": True}


def label_of(rule: dict, **fields: object) -> str:
    states = {"Which": {"Type": "Choice", "Choices": [{**rule, "Next": "A"}], "Default": "A"}, "A": END}
    return next(edge for edge in graph(machine(states, **fields)).edges if edge.kind == "choice").labels[0]


def note_of(rule: dict) -> str:
    states = {"Which": {"Type": "Choice", "Choices": [{**rule, "Next": "A"}], "Default": "A"}, "A": END}
    return next(edge for edge in graph(machine(states)).edges if edge.kind == "choice").notes[0]


def node_of(state: dict, **fields: object):
    states = {"It": {**state, "End": True} if state["Type"] not in {"Fail", "Succeed"} else state}
    return next(node for node in every_node(graph(machine(states, **fields))) if node.name == "It")


X = {"Variable": "$.x"}


@pytest.mark.parametrize(
    ("rule", "label"),
    [
        ({**X, "NumericEquals": 5}, "$.x = 5"),
        ({**X, "NumericGreaterThan": 5}, "$.x > 5"),
        ({**X, "NumericGreaterThanEquals": 5.5}, "$.x ≥ 5.5"),
        ({**X, "NumericLessThanEqualsPath": "$.most"}, "$.x ≤ $.most"),
        ({**X, "StringEquals": 'a "b"'}, '$.x = "a \\"b\\""'),
        ({**X, "StringLessThan": "m"}, '$.x < "m"'),
        ({**X, "StringMatches": "log-*"}, '$.x matches "log-*"'),
        ({**X, "StringEqualsPath": "$$.Execution.Name"}, "$.x = $$.Execution.Name"),
        ({**X, "BooleanEquals": True}, "$.x = true"),
        ({**X, "TimestampLessThan": "2030-01-01T00:00:00Z"}, '$.x < "2030-01-01T00:00:00Z"'),
        ({**X, "IsPresent": True}, "$.x is present"),
        ({**X, "IsPresent": False}, "$.x is not present"),
        ({**X, "IsNull": True}, "$.x is null"),
        ({**X, "IsNumeric": True}, "$.x is a number"),
        ({**X, "IsTimestamp": False}, "$.x is not a timestamp"),
        ({"Not": {**X, "IsPresent": True}}, "$.x is not present"),
        ({"Not": {**X, "IsPresent": False}}, "$.x is present"),
        ({"Not": {**X, "StringEquals": "a"}}, '$.x ≠ "a"'),
        ({"Not": {**X, "NumericLessThan": 3}}, "not ($.x < 3)"),
        ({"Not": {"Not": {**X, "NumericLessThan": 3}}}, "$.x < 3"),
        ({"Or": [{**X, "NumericEquals": 1}, {**X, "NumericEquals": 2}]}, "$.x = 1 or $.x = 2"),
        (
            {"And": [{"Variable": "$.a", "IsNull": False}, {"Or": [{**X, "NumericEquals": 1}, {**X, "IsNull": True}]}]},
            "$.a is not null and ($.x = 1 or $.x is null)",
        ),
        (
            {"Not": {"And": [{**X, "NumericEquals": 1}, {"Variable": "$.y", "NumericEquals": 2}]}},
            "not ($.x = 1 and $.y = 2)",
        ),
    ],
)
def test_a_rule_reads_like_a_condition(rule: dict, label: str):
    assert label_of(rule) == label


@pytest.mark.parametrize(
    ("rules", "label"),
    [
        ([{**X, "IsPresent": True}, {**X, "NumericEquals": 5}], "$.x = 5"),
        ([{**X, "IsPresent": True}, {**X, "IsNull": False}, {**X, "IsString": True}], None),
        ([{**X, "IsPresent": True}, {"Variable": "$.x.y", "IsPresent": True}], "$.x.y is present"),
        ([{**X, "IsPresent": True}, {"Variable": "$.x[0]", "NumericEquals": 1}], "$.x[0] = 1"),
        ([{**X, "IsPresent": True}, {"Variable": "$.xy", "NumericEquals": 1}], "$.x is present and $.xy = 1"),
        ([{**X, "IsPresent": False}, {"Variable": "$.y", "IsNull": True}], "$.x is not present and $.y is null"),
    ],
)
def test_tests_that_only_guard_another_one_are_left_out_of_the_label(rules: list[dict], label: str | None):
    if label is None:
        label = "$.x is present and $.x is not null and $.x is a string"
    assert label_of({"And": rules}) == label


def test_the_note_of_a_rule_leaves_nothing_out():
    rule = {"And": [{**X, "IsPresent": True}, {**X, "NumericEquals": 5}], "Comment": "Five."}
    assert note_of(rule) == "$.x is present and $.x = 5 (Five.)"


def test_a_jsonata_condition_is_shown_without_delimiters_on_one_line():
    assert label_of({"Condition": "{% $states.input.x\n   > 5 %}"}, QueryLanguage="JSONata") == "$states.input.x > 5"
    assert label_of({"Condition": True}, QueryLanguage="JSONata") == "always"


@pytest.mark.parametrize(
    ("resource", "parameters", "detail"),
    [
        ("arn:aws:lambda:us-east-1:123456789012:function:pay:7", None, "lambda: pay:7"),
        ("arn:aws:states:us-east-1:123456789012:activity:cook", None, "activity: cook"),
        ("arn:aws:states:::dynamodb:getItem", {"TableName": "Orders", "Key": {}}, "dynamodb:getItem · Orders"),
        ("arn:aws:states:::dynamodb:getItem", {"TableName.$": "$.table", "Key": {}}, "dynamodb:getItem"),
        ("arn:aws:states:::aws-sdk:s3:listBuckets", {}, "aws-sdk:s3:listBuckets"),
        (
            "arn:aws:states:::lambda:invoke",
            {"FunctionName": "arn:aws:lambda:us-east-1:123456789012:function:pay:$LATEST"},
            "lambda:invoke · pay",
        ),
        (
            "arn:aws:states:::states:startExecution.sync:2",
            {"StateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:Child"},
            "states:startExecution · Child",
        ),
        (
            "arn:aws:states:::sns:publish",
            {"TopicArn": "arn:aws:sns:us-east-1:123456789012:News", "Message": "m"},
            "sns:publish · News",
        ),
    ],
)
def test_a_task_names_its_service_action_and_what_it_works_on(resource: str, parameters: dict | None, detail: str):
    fields = {} if parameters is None else {"Parameters": parameters}
    assert node_of({"Type": "Task", "Resource": resource, **fields}).detail == detail


def test_arguments_name_what_a_jsonata_task_works_on():
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Arguments": {"FunctionName": "pay", "Payload": "{% $states.input %}"},
    }
    assert node_of(task, QueryLanguage="JSONata").detail == "lambda:invoke · pay"
    task["Arguments"]["FunctionName"] = "{% $states.input.function %}"
    assert node_of(task, QueryLanguage="JSONata").detail == "lambda:invoke"


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"Seconds": 0}, "0 s"),
        ({"Seconds": 59}, "59 s"),
        ({"Seconds": 3600}, "1 h"),
        ({"Seconds": 90061}, "1 d 1 h 1 min 1 s"),
        ({"SecondsPath": "$.pause"}, "$.pause seconds"),
        ({"Timestamp": "2030-01-01T00:00:00Z"}, "until 2030-01-01T00:00:00Z"),
        ({"TimestampPath": "$.due"}, "until $.due"),
    ],
)
def test_a_wait_says_how_long(fields: dict, detail: str):
    assert node_of({"Type": "Wait", **fields}).detail == detail


def test_retriers_are_a_badge_and_a_note_each():
    task = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.sync",
        "Retry": [
            {"ErrorEquals": ["Never"], "MaxAttempts": 0},
            {"ErrorEquals": ["A", "B"], "MaxAttempts": 1, "IntervalSeconds": 60, "BackoffRate": 1.5},
            {"ErrorEquals": ["States.ALL"]},
        ],
    }
    node = node_of({**task, "Resource": "arn:aws:states:::lambda:invoke", "Parameters": {"FunctionName": "f"}})
    assert node.badges == ("Retry ×1, ×3",)
    assert node.notes[1:] == (
        "No retry on Never",
        "Retry on A, B: 1 time, first after 1 min, then ×1.5",
        "Retry on States.ALL: 3 times, first after 1 s, then ×2",
    )


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("$.order.customer.address", "$.order.customer.address"),
        ("$.FlowConfig.DestinationList[0].Properties['S3'].OutputFormat.FileType", "$…['S3'].OutputFormat.FileType"),
        ("$.a." + "b" * 70, "$…" + "b" * 70),
    ],
)
def test_of_a_long_path_the_end_is_shown_and_the_note_has_all(path: str, shown: str):
    rule = {"Variable": path, "StringEquals": "CSV"}
    assert label_of(rule) == f'{shown} = "CSV"'
    assert note_of(rule) == f'{path} = "CSV"'


def test_a_long_jsonata_path_is_cut_the_same_way():
    condition = "{% $states.input.configuration.destination.output.format = 'CSV' %}"
    assert label_of({"Condition": condition}, QueryLanguage="JSONata") == "$…destination.output.format = 'CSV'"
