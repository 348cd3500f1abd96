from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from engine.errors import StatesError
from engine.query.drawing import spelled_uuid
from engine.query.jsonata import Bundle, compile_template
from tests.query.fixed_scope import FixedScope

if TYPE_CHECKING:
    from engine.jsonvalue import Json


def evaluated(source: str) -> Json:
    template, problems = compile_template("Output", "{%" + source + "%}", allows=frozenset())
    assert not problems
    return Bundle([template]).evaluate(FixedScope(), {"input": None})[0]


def failure(source: str) -> str:
    with pytest.raises(StatesError) as caught:
        evaluated(source)
    assert caught.value.error == "States.QueryEvaluationError"
    assert caught.value.cause is not None
    return caught.value.cause.partition("specified for the field 'Output' ")[2]


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("$partition([1, 2, 3], 2)", [[1, 2], [3]]),
        ("$partition([1, 2, 3], 2.9)", [[1, 2], [3]]),
        ("$partition([0], 4)", [[0]]),
        ("$partition([1, 2])", [[1, 2]]),
        ("$range(0, 6, 2)", [0, 2, 4, 6]),
        ("$range(0, 7, 2)", [0, 2, 4, 6]),
        ("$range(6, 0, -2)", [6, 4, 2, 0]),
        ("$range(-1.7, 2, 1)", [-1, 0, 1, 2]),
        ("$range(1, 9, 9)", 1),
        ("$range(5, 5, 1)", 5),
        ("$count($range(1, 200000, 1))", 200_000),
        ('$hash("input", "SHA-1")', "140f86aae51ab9e1cda9b4254fe98a74eb54c1a1"),
        ('$hash("", "MD5")', "d41d8cd98f00b204e9800998ecf8427e"),
        ("$random(42)", 0.7275636800328681),
        ("$random(42.9)", 0.7275636800328681),
        ('$parse("{\\"a\\": [1.0, null]}")', {"a": [1, None]}),
        ('$parse("{\\"a\\": 1}").a', 1),
        ('$parse("-0")', 0),
        ('$map(["1", "2"], $parse)', [1, 2]),
        ('$base64decode("aGVsbG86d29ybGQ=")', "hello:world"),
        ('$base64decode("aGVsbG86d29ybGQ")', "hello:world"),
    ],
)
def test_functions_of_the_service(source: str, value: Json) -> None:
    assert evaluated(source) == value


@pytest.mark.parametrize(
    "source",
    [
        "$partition([])",
        "$partition([1], 0)",
        "$partition([1], -0.5)",
        "$partition($nothing, 2)",
        "$range(1, 5)",
        "$range(1, 5, 0)",
        "$range(5, 1, 1)",
        '$hash("x")',
        "$parse($nothing)",
        "$base64decode($nothing)",
    ],
)
def test_arguments_that_give_nothing(source: str) -> None:
    assert failure(source) == "returned nothing (undefined)."


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("$partition([1], -2)", "D3137: Second argument must be zero or greater"),
        ("$partition(1, 2)", 'T0412: Argument 1 of function "partition" must be an array of undefined'),
        ('$partition([1], "2")', 'T0410: Argument 2 of function "partition" does not match function signature'),
        ("$partition([1], 2, 3)", 'T0410: Argument 3 of function "partition" does not match function signature'),
        ("$range($nothing, 5, 1)", 'T0410: Argument 1 of function "range" does not match function signature'),
        ("$range(1, $nothing, 1)", 'T0410: Argument 2 of function "range" does not match function signature'),
        ("$hash(1, 'MD5')", 'T0410: Argument 1 of function "hash" does not match function signature'),
        ("$hash($nothing, 'MD5')", 'T0410: Argument 1 of function "hash" does not match function signature'),
        ("$hash('x', 'md5')", "D3137: Hash algorithm 'md5' must be one of SHA-1, SHA-384, SHA-256, SHA-512, MD5"),
        ("$uuid(1)", 'T0410: Argument 1 of function "uuid" does not match function signature'),
        ("$random('x')", 'T0410: Argument 1 of function "random" does not match function signature'),
        ("$parse(1)", 'T0410: Argument 1 of function "parse" does not match function signature'),
        ("$parse('')", "D3137: Invalid JSON"),
        ("$parse('{')", "D3137: Invalid JSON"),
        ("$parse('1 2')", "D3137: Invalid JSON"),
        ("$parse('NaN')", "D3137: Invalid JSON"),
        ('$parse("{\\"a\\": 1, \\"a\\": 2}")', "D3137: Invalid JSON"),
        ('$parse($pad("", 100000, "["))', "D3137: Invalid JSON"),
        ('$eval("1+1")', "T1006: Attempted to invoke a non-function"),
        ("$randomSeeded(1)", "T1006: Attempted to invoke a non-function"),
    ],
)
def test_arguments_that_are_errors(source: str, message: str) -> None:
    assert failure(source) == f"threw an error during evaluation. {message}"


def test_a_range_beyond_memory_is_refused_before_it_is_made() -> None:
    refused = (
        "threw an error during evaluation: "
        "Expression evaluation memory limit exceeded: Check for excessive memory usage"
    )
    assert evaluated("$count($range(1, 360145, 1))") == 360_145
    assert failure("$range(1, 360146, 1)") == refused
    assert failure("$range(1, 1000000000000000, 1)") == refused


def test_what_is_no_base64_is_an_internal_error() -> None:
    assert re.fullmatch(r"threw an internal error during evaluation\. [0-9a-f-]{36}", failure('$base64decode("!!!")'))


def test_chance_comes_from_the_scope() -> None:
    def drawn() -> Json:
        return evaluated("[$random(), $uuid(), $shuffle([1..9])]")

    first = drawn()
    assert first == drawn()
    assert isinstance(first, list)
    number, identifier, shuffled = first[0], first[1], first[2:]
    assert isinstance(number, float)
    assert 0 <= number < 1
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", str(identifier))
    assert shuffled != list(range(1, 10))


def test_a_uuid_keeps_every_bit_but_version_and_variant() -> None:
    assert spelled_uuid(0) == "00000000-0000-4000-8000-000000000000"
    assert spelled_uuid((1 << 128) - 1) == "ffffffff-ffff-4fff-bfff-ffffffffffff"


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("1/0", "Infinity"),
        ("-1/0", "-Infinity"),
        ("0/0", "NaN"),
        ("5 % 0", "NaN"),
        ("1e308 * 10", "Infinity"),
        ("[1/0, 2]", ["Infinity", 2]),
        ('{"k": 0/0}', {"k": "NaN"}),
        ("1/0 + 1", "Infinity"),
        ("$string(1/0)", "Infinity"),
        ('$parseInteger("abc", "0")', "NaN"),
        ('[$parseInteger("abc", "0"), $parseInteger("12", "0")]', ["NaN", 12]),
        ("$map([1, 2], function($v) { 2 / ($v - 1) })", ["Infinity", 2]),
        ("null", None),
        ("[4 / 2, null]", [2, None]),
    ],
)
def test_numbers_beyond_json_are_the_strings_the_service_prints(source: str, value: Json) -> None:
    assert evaluated(source) == value
