"""What a request may hold: types, and the service model's constraints in AWS's words (api.md 1.3)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.api.aws_json import codecs
from engine.http.faults import Fault

ALIAS = "CreateStateMachineAlias"
ROUTE = {"stateMachineVersionArn": "arn:v", "weight": 50}


def arguments(operation: str, body: Any) -> dict[str, Any]:
    return codecs()[operation].arguments(body if isinstance(body, bytes) else json.dumps(body).encode())


def refusal(operation: str, body: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        arguments(operation, body)
    return caught.value


def broken(operation: str, body: Any) -> str | None:
    fault = refusal(operation, body)
    assert (fault.code, fault.namespace, fault.status) == ("ValidationException", "com.amazon.coral.validate", 400)
    return fault.message


def wrong_type(operation: str, body: Any) -> str | None:
    fault = refusal(operation, body)
    assert (fault.code, fault.status) == ("SerializationException", 400)
    return fault.message


# The texts marked R were recorded from the service.
@pytest.mark.parametrize(
    ("operation", "body", "item"),
    [
        ("ListExecutions", {"maxResults": 1001},  # R
         "Value '1001' at 'maxResults' failed to satisfy constraint: "
         "Member must have value less than or equal to 1000"),
        ("ListExecutions", {"statusFilter": "succeeded"},  # R
         "Value 'succeeded' at 'statusFilter' failed to satisfy constraint: Member must satisfy enum value set: "
         "[SUCCEEDED, TIMED_OUT, PENDING_REDRIVE, ABORTED, FAILED, RUNNING]"),
        ("ListExecutions", {"nextToken": "x" * 3097},  # R
         f"Value '{'x' * 3097}' at 'nextToken' failed to satisfy constraint: "
         "Member must have length less than or equal to 3096"),
        (ALIAS, {"name": "A" * 81, "routingConfiguration": [ROUTE]},  # R
         f"Value '{'A' * 81}' at 'name' failed to satisfy constraint: "
         "Member must have length less than or equal to 80"),
        (ALIAS, {"name": "ALIAS@", "routingConfiguration": [ROUTE]},  # R
         "Value 'ALIAS@' at 'name' failed to satisfy constraint: Member must satisfy regular expression pattern: "
         r"^(?=.*[a-zA-Z_\-\.])[a-zA-Z0-9_\-\.]+$"),
        ("ListExecutions", {"maxResults": -1},
         "Value '-1' at 'maxResults' failed to satisfy constraint: Member must have value greater than or equal to 0"),
        ("StartExecution", {"stateMachineArn": ""},
         "Value '' at 'stateMachineArn' failed to satisfy constraint: "
         "Member must have length greater than or equal to 1"),
        ("StartExecution", {},
         "Value null at 'stateMachineArn' failed to satisfy constraint: Member must not be null"),
        ("StartExecution", {"stateMachineArn": None},
         "Value null at 'stateMachineArn' failed to satisfy constraint: Member must not be null"),
        ("StartExecution", {"stateMachineArn": "a", "traceHeader": "é"},
         r"Value 'é' at 'traceHeader' failed to satisfy constraint: Member must satisfy regular expression pattern: "
         r"\p{ASCII}*"),
        ("StartExecution", {"stateMachineArn": "a", "input": "x" * 262_145},  # sensitive: not shown
         "Value at 'input' failed to satisfy constraint: Member must have length less than or equal to 262144"),
        (ALIAS, {"name": "A", "routingConfiguration": [{"stateMachineVersionArn": "v", "weight": 101}]},
         "Value '101' at 'routingConfiguration.1.member.weight' failed to satisfy constraint: "
         "Member must have value less than or equal to 100"),
        (ALIAS, {"name": "A", "routingConfiguration": [ROUTE] * 3},
         f"Value '[{', '.join(['RoutingConfigurationListItem(stateMachineVersionArn=arn:v, weight=50)'] * 3)}]' at "
         "'routingConfiguration' failed to satisfy constraint: Member must have length less than or equal to 2"),
        ("TagResource", {"resourceArn": "a", "tags": [None]},
         "Value null at 'tags.1.member' failed to satisfy constraint: Member must not be null"),
        ("UpdateMapRun", {"mapRunArn": "a", "toleratedFailurePercentage": 100.5},
         "Value '100.5' at 'toleratedFailurePercentage' failed to satisfy constraint: "
         "Member must have value less than or equal to 100"),
        ("TestState", {"definition": "{}", "mock": {"errorOutput": {"error": "x" * 257}}},
         "Value at 'mock.errorOutput.error' failed to satisfy constraint: "
         "Member must have length less than or equal to 256"),
    ],
)  # fmt: skip
def test_a_broken_constraint_is_told_in_the_words_of_aws(operation, body, item):
    assert broken(operation, body) == f"1 validation error detected: {item}"


def test_several_broken_constraints_are_told_together():
    told = broken("ListExecutions", {"maxResults": 1001, "statusFilter": "x", "nextToken": ""})
    assert told is not None
    assert told.startswith("3 validation errors detected: ")
    assert told.count("; ") == 2


@pytest.mark.parametrize(
    ("member", "value", "told"),
    [
        ("name", 1, "NUMBER_VALUE cannot be converted to String"),
        ("name", 1.5, "DECIMAL_VALUE cannot be converted to String"),
        ("name", True, "TRUE_VALUE cannot be converted to String"),
        ("name", False, "FALSE_VALUE cannot be converted to String"),
        ("name", {}, "Start of structure or map found where not expected"),
        ("name", [], "Start of list found where not expected"),
        ("publish", "true", "STRING_VALUE cannot be converted to Boolean"),
        ("tags", {}, "Expected list or null"),
        ("tags", "x", "Expected list or null"),
        ("tags", [1], "Expected a structure or null"),
        ("loggingConfiguration", "ALL", "Expected a structure or null"),
    ],
)
def test_a_wrong_type_is_a_serialization_error(member, value, told):
    assert wrong_type("CreateStateMachine", {member: value}) == told


@pytest.mark.parametrize("number", [2**31, -(2**31) - 1, 1e300, 10**400])
def test_a_number_out_of_the_range_of_its_type_is_refused(number):
    assert wrong_type("ListExecutions", {"maxResults": number}) == "Numeric value out of range of Integer"


def test_a_huge_number_is_no_float():
    body = {"mapRunArn": "a", "toleratedFailurePercentage": 10**400}
    assert wrong_type("UpdateMapRun", body) == "Numeric value out of range of Float"


def test_a_fraction_is_cut_off_where_a_whole_number_is_meant():
    assert arguments("ListExecutions", {"maxResults": 7.9}) == {"max_results": 7}


@pytest.mark.parametrize("body", [b"{", b"\xff", b'{"name": 1e400}', b"[" * 100_000, b'"\\ud800"', b"NaN", b"{}x"])
def test_what_is_not_json_is_a_serialization_error(body):
    told = wrong_type("CreateActivity", body)
    assert told is not None
    assert told.startswith("the body is ")


@pytest.mark.parametrize("body", [[], 1, "x", None, True])
def test_a_request_is_an_object(body):
    assert wrong_type("CreateActivity", body) == "Expected a structure or null"


def test_members_come_in_snake_case_and_documents_keep_their_names():
    body = {
        "name": "m", "definition": "{}", "roleArn": "arn:r", "unknown": 1, "tags": None,
        "loggingConfiguration": {"level": "ALL", "includeExecutionData": True, "unknown": 1, "destinations": None},
    }  # fmt: skip
    assert arguments("CreateStateMachine", body) == {
        "name": "m",
        "definition": "{}",
        "role_arn": "arn:r",
        "logging_configuration": {"level": "ALL", "includeExecutionData": True},
    }


def test_no_body_is_an_empty_one():
    assert arguments("ListActivities", b"") == {}
