"""`asl eval`: which language, which values, and what is said when there is none."""

import json
from pathlib import Path

import pytest

from engine.cli.eval_ import language_of
from tests.cli.command_line import asl

INPUT = '{"a": {"b": [1, 2]}, "c": "x"}'


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("$", {"a": {"b": [1, 2]}, "c": "x"}),
        ("$.a.b[1]", 2),
        ("$..b", [[1, 2]]),
        ("States.Format('{}-{}', $.c, 7)", "x-7"),
        ("States.ArrayLength($.a.b)", 2),
        ("{% $states.input.a.b[1] %}", 2),
        ("{% $sum($states.input.a.b) %}", 3),
        ("$states.input.c", "x"),
        ("1 + 2", 3),
        ("  {%  'y'  %}  ", "y"),
    ],
)
def test_an_expression_gives_its_value(expression: str, expected: object) -> None:
    result = asl("eval", expression, "-i", INPUT)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == expected


@pytest.mark.parametrize(
    ("source", "language"),
    [("$.a", "jsonpath"), ("$$.Execution.Id", "jsonpath"), ("$x", "jsonpath"), ("States.UUID()", "jsonpath")]
    + [(source, "jsonata") for source in ("{% $x %}", "$states.input", "1", '"States."', "(1)", "[$x]")],
)  # fmt: skip
def test_the_language_shows_in_the_beginning(source: str, language: str) -> None:
    assert language_of(source) == language


def test_the_language_can_be_said() -> None:
    assert asl("eval", "$sum([1, 2])", "--language", "jsonata").stdout == "3\n"


def test_jsonata_taken_for_a_path_is_pointed_out() -> None:
    result = asl("eval", "$sum([1, 2])")
    assert (result.exit_code, "--language jsonata" in result.stderr) == (1, True)


def test_variables_and_the_context_object_can_be_given(tmp_path: Path) -> None:
    context = tmp_path / "context.json"
    context.write_text('{"Execution": {"Name": "n"}}')
    given = ["--context", f"@{context}", "-v", 'x={"y": 7}', "-v", "$z=[8]"]
    assert asl("eval", "$x.y", *given).stdout == "7\n"
    assert asl("eval", "$z[0]", *given).stdout == "8\n"
    assert asl("eval", "$$.Execution.Name", *given).stdout == '"n"\n'
    assert asl("eval", "{% $x.y + $z[0] & $states.context.Execution.Name %}", *given).stdout == '"15n"\n'


def test_what_is_not_there_exits_with_2() -> None:
    result = asl("eval", "$.nope", "-i", INPUT)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == "No results for path: $['nope']\n"


def test_undefined_is_no_value() -> None:
    result = asl("eval", "{% $states.input.nope %}", "-i", INPUT)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", "undefined\n")


def test_null_is_a_value() -> None:
    assert asl("eval", "{% null %}").stdout == "null\n"


def test_an_expression_that_fails_says_why() -> None:
    result = asl("eval", '{% $error("boo") %}')
    assert (result.exit_code, result.stdout) == (2, "")
    assert "States.QueryEvaluationError" in result.stderr
    assert "boo" in result.stderr
    assert "States.IntrinsicFailure" in asl("eval", "States.MathAdd('x', 1)").stderr


@pytest.mark.parametrize(
    ("expression", "line", "carets"),
    [
        ("$.a..", "1 | $.a..", "  |     ^"),
        ("States.Nope(1)", "1 | States.Nope(1)", "  | ^"),
        ("{% 1 + %}", "1 | 1 +", "  |    ^"),
    ],
)
def test_a_fault_in_the_text_is_shown_where_it_is(expression: str, line: str, carets: str) -> None:
    result = asl("eval", expression)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"\n{line}\n{carets}\n" in result.stderr


def test_an_operator_that_aws_lacks_is_warned_of() -> None:
    result = asl("eval", "{% $states.input.nope ?? 3 %}")
    assert (result.exit_code, result.stdout) == (0, "3\n")
    assert "JSONata 2.0" in result.stderr


@pytest.mark.parametrize("variable", ["x", "=1", "$=1", "x=", "x=Bob"])
def test_a_variable_needs_a_name_and_a_value(variable: str) -> None:
    assert asl("eval", "$x", "-v", variable).exit_code == 1


def test_the_context_object_is_an_object() -> None:
    assert asl("eval", "$", "--context", "[]").exit_code == 1


@pytest.mark.parametrize(
    "expression", ["", " ", "$", "{%%}", "{% %}", "%}", "\x00", "$" * 5_000, "(" * 5_000, "[" * 5_000]
)
def test_no_text_gives_a_traceback(expression: str) -> None:
    result = asl("eval", expression)
    assert result.exit_code in (0, 1, 2)
    assert "Traceback" not in result.stderr
