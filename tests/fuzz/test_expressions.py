"""Expressions of every kind against documents of every kind: documented errors, JSON values, no side effects."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from hypothesis import given

from engine.errors import StatesError
from engine.jsonvalue import encode, equal
from engine.query.comparisons import OPERATORS, Predicate, all_of, any_of, compile_comparison, negation
from engine.query.intrinsics import InvalidIntrinsic, compile_intrinsic
from engine.query.jsonata import Bundle
from engine.query.jsonata import compile_template as compile_jsonata
from engine.query.jsonpath import InvalidPath, PathError, compile_path, compile_result_path
from engine.query.templates import compile_template, compile_value_expression
from engine.timestamps import parse_timestamp
from tests.fuzz import expressions
from tests.fuzz.budget import RANDOMS, cases, no_hang
from tests.fuzz.documents import document, nested, record

if TYPE_CHECKING:
    from random import Random

    from engine.query.evaluation import Expression

ERRORS = frozenset(
    (
        "States.Runtime",
        "States.IntrinsicFailure",
        "States.QueryEvaluationError",
        "States.ResultPathMatchFailure",
        "States.DataLimitExceeded",
    )
)


class FuzzScope:
    """Everything that an expression may read."""

    def __init__(self, draw: Random) -> None:
        self.variables = {name: document(draw, 2) for name in expressions.VARIABLES if draw.random() < 0.7}
        self.now = 1_700_000_000_000
        self.chance = draw
        self.payload_bytes_max = draw.choice((0, 262_144, 100))
        self._context = {
            "Execution": {"Id": "arn", "Input": record(draw, 2)},
            "State": {"Name": "S", "EnteredTime": "2023-11-14T22:13:20.000Z"},
            "Map": {"Item": {"Index": 0, "Value": document(draw, 2)}},
        }

    def context(self) -> dict[str, Any]:
        return self._context


def broken(draw: Random) -> str:
    """Text that begins like a path; half a character may be in it, which no definition can hold."""
    return f"${expressions.garbage(draw)}{draw.choice(('', '', chr(0xD83D)))}{expressions.garbage(draw, 5)}"


def given_to(draw: Random) -> Any:
    chance = draw.random()
    return (
        record(draw)
        if chance < 0.8
        else document(draw)
        if chance < 0.95
        else nested(draw.choice((100, 300, 550)), draw)
    )


def evaluated(expression: Expression, data: Any, scope: FuzzScope) -> Any:
    """The value, or the error; what was given is as it was, and the value within its bound."""
    before, variables = encode(data), encode(scope.variables)
    value: Any
    try:
        with no_hang(lambda: (expression.source, data)):
            value = expression.evaluate(data, scope)
    except (PathError, StatesError) as error:
        value = error
    match value:
        case PathError():
            assert value.reason
        case StatesError():
            assert value.error in ERRORS, value
            assert value.located
        case _:
            size = len(encode(value))
            assert size <= expression.growth.fixed + expression.growth.of_input * len(before), (expression.source, data)
            json.loads(encode(value), parse_constant=_no_constant)
    assert encode(data) == before
    assert encode(scope.variables) == variables
    return value


def _check_offset(error: InvalidPath | InvalidIntrinsic, source: str) -> None:
    assert error.reason
    assert 0 <= error.offset <= len(source)


def _check_named(error: StatesError, *names: str) -> None:
    assert error.error in names, error
    assert error.located or error.error == "States.DataLimitExceeded"


def _no_constant(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


@cases(1_000)
@given(RANDOMS)
def test_json_paths(draw: Random) -> None:
    source = broken(draw) if draw.random() < 0.1 else expressions.path(draw)
    try:
        path = compile_path(source)
    except InvalidPath as error:
        _check_offset(error, source)
        return
    value = evaluated(path, given_to(draw), FuzzScope(draw))
    if not path.definite and not isinstance(value, PathError):
        assert isinstance(value, list)


@cases(300)
@given(RANDOMS)
def test_result_paths(draw: Random) -> None:
    source = expressions.reference_path(draw) if draw.random() < 0.9 else broken(draw)
    try:
        path = compile_result_path(source)
    except InvalidPath:
        return
    data, result = given_to(draw), document(draw, 2)
    before = encode(data)
    try:
        written = path.write(data, result)
    except StatesError as error:
        _check_named(error, "States.ResultPathMatchFailure")
    else:
        assert len(encode(written)) <= len(before) + len(encode(result)) + path.added_bytes
        assert equal(compile_path(source).evaluate(written, FuzzScope(draw)), result)
    assert encode(data) == before


@cases(1_000)
@given(RANDOMS)
def test_intrinsic_functions(draw: Random) -> None:
    source = expressions.intrinsic(draw) if draw.random() < 0.95 else f"States.{broken(draw)}"
    try:
        call = compile_intrinsic(source)
    except InvalidIntrinsic as error:
        _check_offset(error, source)
        return
    assert not isinstance(evaluated(call, given_to(draw), FuzzScope(draw)), PathError)


@cases(400)
@given(RANDOMS)
def test_payload_templates(draw: Random) -> None:
    template, problems = compile_template(expressions.template(draw, 3))
    if not problems:
        assert not isinstance(evaluated(template, given_to(draw), FuzzScope(draw)), PathError)


@cases(200)
@given(RANDOMS)
def test_expressions_of_error_and_cause(draw: Random) -> None:
    try:
        expression = compile_value_expression(expressions.dynamic(draw))
    except (InvalidPath, InvalidIntrinsic):
        return
    evaluated(expression, given_to(draw), FuzzScope(draw))


@cases(800)
@given(RANDOMS)
def test_rules_of_a_choice(draw: Random) -> None:
    predicate = _predicate(expressions.rule(draw))
    if predicate is None:
        return
    data = given_to(draw)
    before = encode(data)
    try:
        with no_hang(lambda: data):
            assert predicate(data, FuzzScope(draw)) in (True, False)
    except StatesError as error:
        _check_named(error, "States.Runtime")
    assert encode(data) == before


def _predicate(rule: dict[str, Any]) -> Predicate | None:
    """As the interpreter puts it together; None when the rule would have been refused."""
    for kind, join in (("And", all_of), ("Or", any_of)):
        if kind in rule:
            inner = [_predicate(each) for each in rule[kind]]
            found = [each for each in inner if each is not None]
            return join(found) if len(found) == len(inner) else None
    if "Not" in rule:
        inside = _predicate(rule["Not"])
        return None if inside is None else negation(inside)
    name = next(name for name in rule if name != "Variable")
    operator = OPERATORS[name]
    operand = rule[name]
    if operator.family == "Timestamp" and not operator.is_path and parse_timestamp(operand) is None:
        return None
    try:
        variable = compile_path(rule["Variable"])
        return compile_comparison(name, variable, compile_path(operand) if operator.is_path else operand)
    except InvalidPath:
        return None


@cases(1_000)
@given(RANDOMS)
def test_jsonata(draw: Random) -> None:
    value = expressions.jsonata_value(draw, roots=expressions.JSONATA_RESULT_ROOTS)
    if draw.random() < 0.05:
        value = f"{{% {expressions.garbage(draw)} %}}"
    template, problems = compile_jsonata("Output", value, allows=frozenset({"result"}))
    if any(problem.code != "JSONATA_2_1_OPERATOR" for problem in problems):
        return
    bundle = Bundle([template])
    scope = FuzzScope(draw)
    states = {"input": given_to(draw), "result": document(draw, 2)}
    before, given_before = encode(states), copy.copy(states)
    try:
        with no_hang(lambda: (value, states)):
            found = bundle.evaluate(scope, states)
    except StatesError as error:
        _check_named(error, "States.QueryEvaluationError", "States.DataLimitExceeded")
    else:
        json.loads(encode(found[0]), parse_constant=_no_constant)
        size = sum(len(encode(member)) for member in states.values())
        assert len(encode(found[0])) <= bundle.growth.fixed + bundle.growth.of_input * size, value
    assert encode(states) == before
    assert states == given_before
