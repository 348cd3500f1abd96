from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import StatesError
from engine.jsonvalue import json_type
from engine.query.comparisons import OPERATORS, all_of, any_of, compile_comparison, negation
from engine.query.jsonpath import compile_path
from tests.query.fixed_scope import FixedScope
from tests.shared_data import json_lines, shared

SCOPE = FixedScope()
COMPARED = ["Equals", "LessThan", "GreaterThan", "LessThanEquals", "GreaterThanEquals"]


def predicate(rule):
    """The predicate of a rule as it stands in a definition."""
    (operator,) = rule.keys() & OPERATORS.keys()
    operand = rule[operator]
    if OPERATORS[operator].is_path:
        operand = compile_path(operand)
    return compile_comparison(operator, compile_path(rule["Variable"]), operand)


def holds(operator, value, operand):
    """Whether the value satisfies the operator; for an operator with a path the operand is put where the path leads."""
    data = {"Variable": value, "Value": operand}
    if OPERATORS[operator].is_path:
        operand = "$.Value"
    return predicate({"Variable": "$.Variable", operator: operand})(data, SCOPE)


# ── Recorded ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_recorded_comparison_is_decided_as_aws_did():
    cases = json_lines("corpus", "choice", "cases.jsonl")
    # Both timestamps were replaced by the word "date": what was compared cannot be known any more.
    known = [case for case in cases if not case["variable"] == case["comparand"] == "date"]
    wrong = [case["id"] for case in known if predicate(case["rule"])(case["input"], SCOPE) is not case["taken"]]
    assert not wrong
    assert len(known) > 0.95 * len(cases)


def recorded_conversations():
    """(rule, input, whether it was taken) of the recorded executions, whose timestamps were not replaced."""
    for file in sorted(shared("conformance", "sfn", "choice_operators").glob("*.json")):
        rule = data = None
        for step in json.loads(file.read_text(encoding="utf-8"))["steps"]:
            if step["op"] == "CreateStateMachine":
                rule = step["params"]["definition"]["@json"]["States"]["CheckValues"]["Choices"][0]
            elif step["op"] == "StartExecution":
                data = step["params"]["input"]["@json"]
            else:
                yield rule, data, step["expect"][0]["value"] == {"TestResult.$": "ConditionTrue"}


def test_every_recorded_execution_takes_the_same_way():
    cases = list(recorded_conversations())
    assert cases
    assert [case for case in cases if predicate(case[0])(case[1], SCOPE) is not case[2]] == []


# ── The table ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_there_are_39_operators():
    assert len(OPERATORS) == 39
    assert all(name == operator.name for name, operator in OPERATORS.items())


def test_an_operator_tells_what_its_operand_must_be():
    assert OPERATORS["NumericLessThan"].literal_type == "number"
    assert OPERATORS["NumericLessThanPath"].literal_type == "string"
    assert OPERATORS["NumericLessThanPath"].is_path
    assert OPERATORS["TimestampEquals"].family == "Timestamp"
    assert OPERATORS["BooleanEquals"].literal_type == "boolean"
    assert OPERATORS["IsPresent"].literal_type == "boolean"
    assert not OPERATORS["StringMatches"].is_path
    assert "StringMatchesPath" not in OPERATORS
    assert "BooleanLessThan" not in OPERATORS


# ── Missing paths ───────────────────────────────────────────────────────────────────────────────────────────────────

OPERANDS = {"string": "2016-12-05T21:29:29Z", "number": 1, "boolean": True}


@pytest.mark.parametrize("operator", [name for name in OPERATORS if name != "IsPresent"])
def test_a_variable_that_is_missing_fails_the_state(operator):
    operand = "$.Value" if OPERATORS[operator].is_path else OPERANDS[OPERATORS[operator].literal_type]
    with pytest.raises(StatesError) as raised:
        predicate({"Variable": "$.x", operator: operand})({"Value": 1}, SCOPE)
    assert raised.value.error == "States.Runtime"
    assert raised.value.cause == "Invalid path '$.x': The choice state's condition path references an invalid value."
    assert raised.value.located


@pytest.mark.parametrize("operator", [name for name, operator in OPERATORS.items() if operator.is_path])
def test_an_operand_that_is_missing_fails_the_state(operator):
    with pytest.raises(StatesError, match=r"Invalid path '\$\.Value'"):
        predicate({"Variable": "$.x", operator: "$.Value"})({"x": 1}, SCOPE)


def test_only_is_present_tolerates_a_missing_variable():
    assert predicate({"Variable": "$.x", "IsPresent": True})({}, SCOPE) is False
    assert predicate({"Variable": "$.x", "IsPresent": False})({}, SCOPE) is True
    assert predicate({"Variable": "$.x[3]", "IsPresent": True})({"x": [1]}, SCOPE) is False


def test_a_null_is_present():
    assert holds("IsPresent", None, True)
    assert not holds("IsPresent", None, False)


def test_variables_and_the_context_can_be_compared():
    scope = FixedScope(variables={"limit": 3}, context_object={"State": {"RetryCount": 2}})
    rule = {"Variable": "$$.State.RetryCount", "NumericLessThanPath": "$limit"}
    assert predicate(rule)({}, scope) is True


# ── Types ───────────────────────────────────────────────────────────────────────────────────────────────────────────

VALUES = [None, True, False, 0, 1, -1.5, "", "a", "1", "true", "2016-12-05T21:29:29Z", [], [1], {}, {"a": 1}]


@pytest.mark.parametrize("operator", [name for name, operator in OPERATORS.items() if operator.family != "Is"])
def test_a_value_of_another_type_is_never_equal_or_ordered(operator):
    wanted = {"Numeric": "number", "Boolean": "boolean"}.get(OPERATORS[operator].family, "string")
    for value in VALUES:
        if json_type(value) != wanted:
            assert holds(operator, value, OPERANDS[wanted]) is False
            assert not OPERATORS[operator].is_path or holds(operator, OPERANDS[wanted], value) is False


@pytest.mark.parametrize(
    ("operator", "examples"),
    [
        ("IsNull", [None]),
        ("IsNumeric", [0, 1, -1.5]),
        ("IsString", ["", "a", "1", "true", "2016-12-05T21:29:29Z"]),
        ("IsBoolean", [True, False]),
        ("IsTimestamp", ["2016-12-05T21:29:29Z"]),
    ],
)
def test_a_type_test_and_its_negation_divide_all_values(operator, examples):
    for value in VALUES:
        expected = any(value is example for example in examples)
        assert holds(operator, value, True) is expected
        assert holds(operator, value, False) is not expected


def test_one_is_one_point_zero_but_not_true():
    assert holds("NumericEquals", 1, 1.0)
    assert not holds("NumericEquals", True, 1)
    assert not holds("NumericEqualsPath", 1, True)
    assert not holds("BooleanEquals", 1, True)
    assert not holds("BooleanEqualsPath", 0, False)


def test_integers_are_compared_to_their_last_digit():
    assert holds("NumericLessThan", 2**53, 2**53 + 1)
    assert not holds("NumericEqualsPath", 2**53, 2**53 + 1)


# ── Strings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(st.text(max_size=6), st.text(max_size=6))
def test_strings_are_in_the_order_of_their_utf_16_code_units(left, right):
    def units(text):
        encoded = text.encode("utf-16-be")
        return [int.from_bytes(encoded[at : at + 2]) for at in range(0, len(encoded), 2)]

    assert holds("StringLessThan", left, right) is (units(left) < units(right))
    assert holds("StringGreaterThanEqualsPath", left, right) is (units(left) >= units(right))
    assert holds("StringEquals", left, right) is (left == right)


def test_a_character_beyond_the_first_plane_comes_before_the_last_of_it():
    assert holds("StringLessThan", "\U0001f600", "\uffff")
    assert holds("StringGreaterThanPath", "\uffff", "\U0001f600")


def test_strings_are_neither_trimmed_nor_folded():
    assert not holds("StringEquals", " ", "     ")
    assert not holds("StringEquals", "hello", "Hello")
    assert holds("StringLessThan", "Z", "a")


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("log-*.txt", ["log-.txt", "log-a.txt", "log-a.txt.txt"], ["log-a.txt ", "xlog-.txt", "log-.tx", "log.txt"]),
        ("*", ["", "anything", "*"], []),
        ("**", ["", "x"], []),
        ("", [""], ["x"]),
        ("a*a", ["aa", "aba"], ["a", "ab"]),
        ("a*b*c", ["abc", "axxbxxc", "abbc"], ["acb", "ac", "abcd"]),
        ("*ab*", ["ab", "xaby"], ["a", "ba"]),
        ("a*bc*bc", ["abcbc", "abcxbc"], ["abc"]),
        (r"\*", ["*"], ["", "x", r"\*"]),
        (r"a\\b", [r"a\b"], [r"a\\b", "ab"]),
        (r"\\*", ["\\", r"\x"], ["x", "*"]),
        ("a?c", ["a?c"], ["abc"]),
        ("a.c", ["a.c"], ["abc"]),
        ("[ab]", ["[ab]"], ["a"]),
        ("line*end", ["line\nend"], []),
    ],
)
def test_a_star_stands_for_any_characters_and_nothing_else_has_a_meaning(pattern, matching, others):
    assert [text for text in matching if not holds("StringMatches", text, pattern)] == []
    assert [text for text in others if holds("StringMatches", text, pattern)] == []


@pytest.mark.parametrize("pattern", ["\\", "a\\", r"\n", r"a\b*"])
def test_a_backslash_that_escapes_nothing_fails_when_it_is_run(pattern):
    with pytest.raises(StatesError, match="StringMatches pattern") as raised:
        holds("StringMatches", "a", pattern)
    assert raised.value.error == "States.Runtime"


def test_a_pattern_of_many_stars_takes_no_longer_than_the_text():
    text, pattern = "a" * 100_000, "*a" * 5_000 + "*b"
    started = time.perf_counter()
    assert holds("StringMatches", text, pattern) is False
    assert holds("StringMatches", text + "b", pattern) is True
    assert time.perf_counter() - started < 2


# ── Timestamps ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_timestamps_are_compared_as_instants():
    assert holds("TimestampEquals", "2024-01-01T00:00:00Z", "2024-01-01T01:00:00+01:00")
    assert holds("TimestampLessThan", "2024-01-01T00:00:00.999999998Z", "2024-01-01T00:00:00.999999999Z")
    assert holds("TimestampGreaterThanPath", "2024-01-01T00:00:00-01:00", "2024-01-01T00:59:59Z")
    assert not holds("TimestampLessThanEqualsPath", "2012-10-09T19:00:56Z", "2012-10-09T19:00:55Z")


@pytest.mark.parametrize("compared", COMPARED)
def test_what_is_no_timestamp_is_not_even_equal_to_itself(compared):
    assert not holds(f"Timestamp{compared}Path", "2023-02-24 12:15:56.83", "2023-02-24 12:15:56.83")
    assert not holds(f"Timestamp{compared}", "2023-02-24", "2024-01-01T00:00:00Z")


# ── And, Or, Not ────────────────────────────────────────────────────────────────────────────────────────────────────


def yes(data, scope):
    return True


def no(data, scope):
    return False


def unreached(data, scope):
    raise AssertionError("the result was already decided")


def test_and_and_or_stop_when_they_are_decided():
    assert all_of([yes, yes])(None, SCOPE) is True
    assert all_of([no, unreached])(None, SCOPE) is False
    assert all_of([yes, no, unreached])(None, SCOPE) is False
    assert all_of([yes, yes, yes])(None, SCOPE) is True
    assert any_of([no, no])(None, SCOPE) is False
    assert any_of([yes, unreached])(None, SCOPE) is True
    assert any_of([no, yes, unreached])(None, SCOPE) is True
    assert any_of([no, no, no])(None, SCOPE) is False


def test_not_turns_the_result_round():
    assert negation(yes)(None, SCOPE) is False
    assert negation(no)(None, SCOPE) is True
