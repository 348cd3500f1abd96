"""Comparisons of a Choice rule, compiled to predicates `(data, scope) -> bool` (asl.md 10.2, 10.3).

A value of another type than the operator compares makes it false, never an error; a boolean is not a number. A path
that selects nothing is an error everywhere but in IsPresent. Strings are in the order of their UTF-16 code units, as in
Java.
"""

from __future__ import annotations

import operator as order
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from engine.errors import StatesError
from engine.jsonvalue import Json
from engine.query.evaluation import Evaluate, Scope
from engine.query.jsonpath import Path, PathError
from engine.timestamps import parse_timestamp

if TYPE_CHECKING:
    from engine.jsonvalue import JsonType

Predicate: TypeAlias = Callable[[Json, Scope], bool]

Family: TypeAlias = Literal["String", "StringMatches", "Numeric", "Boolean", "Timestamp", "Is"]

_Compare: TypeAlias = Callable[[Any, Any], bool]


@dataclass(frozen=True, slots=True)
class Operator:
    """One of the 39 comparison operators.

    Attributes:
        name: As written, such as `NumericLessThanPath`.
        family: What is compared; `Is` are the type tests.
        literal_type: The JSON type of the operand as written; a path is a string. A literal of the family Timestamp
            must also satisfy `parse_timestamp`.
        is_path: Whether the operand is a path to the value to compare with.
    """

    name: str
    family: Family
    literal_type: JsonType
    is_path: bool


_COMPARES: Mapping[str, _Compare] = {
    "Equals": order.eq,
    "LessThan": order.lt,
    "GreaterThan": order.gt,
    "LessThanEquals": order.le,
    "GreaterThanEquals": order.ge,
}


def _is_numeric(value: Json) -> bool:
    return type(value) is int or type(value) is float


_TYPE_TESTS: Mapping[str, Callable[[Json], bool]] = {
    "IsNull": lambda value: value is None,
    "IsNumeric": _is_numeric,
    "IsString": lambda value: type(value) is str,
    "IsBoolean": lambda value: type(value) is bool,
    "IsTimestamp": lambda value: type(value) is str and parse_timestamp(value) is not None,
}


def _operators() -> dict[str, Operator]:
    found: list[Operator] = []
    compared: tuple[tuple[Family, JsonType], ...] = (
        ("String", "string"),
        ("Numeric", "number"),
        ("Timestamp", "string"),
        ("Boolean", "boolean"),
    )
    for family, literal_type in compared:
        for compare in _COMPARES if family != "Boolean" else ("Equals",):
            found.append(Operator(f"{family}{compare}", family, literal_type, is_path=False))
            found.append(Operator(f"{family}{compare}Path", family, "string", is_path=True))
    found.append(Operator("StringMatches", "StringMatches", "string", is_path=False))
    found.extend(Operator(name, "Is", "boolean", is_path=False) for name in ("IsPresent", *_TYPE_TESTS))
    return {operator.name: operator for operator in found}


OPERATORS: Mapping[str, Operator] = MappingProxyType(_operators())
"""All of them, by name."""


def compile_comparison(operator: str, variable: Path, operand: Json | Path) -> Predicate:
    """Compiles one comparison.

    Args:
        operator: A key of OPERATORS.
        variable: The rule's Variable.
        operand: A Path for an operator that `is_path`, else a literal of its `literal_type`.

    Returns:
        The predicate. It raises `States.Runtime` (located) when a path selects nothing; only IsPresent tolerates that
        of its Variable.
    """
    known = OPERATORS[operator]
    if operator == "IsPresent":
        return _present(variable, operand is True)
    if known.family == "Is":
        return _type_test(_value_of(variable), _TYPE_TESTS[operator], operand is True)
    if known.family == "StringMatches":
        assert isinstance(operand, str), "StringMatches takes a string"
        return _string_matches(_value_of(variable), operand)
    compare = _COMPARES[operator.removeprefix(known.family).removesuffix("Path")]
    if known.is_path:
        assert isinstance(operand, Path), f"{operator} takes a path"
        return _WITH_PATH[known.family](_value_of(variable), _value_of(operand), compare)
    assert not isinstance(operand, Path), f"{operator} takes a literal"
    return _WITH_LITERAL[known.family](variable, operand, compare)


def all_of(predicates: Sequence[Predicate]) -> Predicate:
    """And: the first that is false decides; what comes after it is not evaluated."""
    if len(predicates) == 2:
        first, second = predicates
        return lambda data, scope: first(data, scope) and second(data, scope)
    tests = tuple(predicates)

    def every(data: Json, scope: Scope) -> bool:
        for test in tests:  # noqa: SIM110  all() over a generator takes three times as long
            if not test(data, scope):
                return False
        return True

    return every


def any_of(predicates: Sequence[Predicate]) -> Predicate:
    """Or: the first that is true decides; what comes after it is not evaluated."""
    if len(predicates) == 2:
        first, second = predicates
        return lambda data, scope: first(data, scope) or second(data, scope)
    tests = tuple(predicates)

    def some(data: Json, scope: Scope) -> bool:
        for test in tests:  # noqa: SIM110  any() over a generator takes three times as long
            if test(data, scope):
                return True
        return False

    return some


def negation(predicate: Predicate) -> Predicate:
    """Not."""
    return lambda data, scope: not predicate(data, scope)


# ── Operands ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _invalid_path(path: Path) -> StatesError:
    """The failure of a path that selects nothing, in AWS's text (asl.md 5.3)."""
    cause = f"Invalid path '{path.source}': The choice state's condition path references an invalid value."
    return StatesError("States.Runtime", cause, located=True)


def _value_of(path: Path) -> Evaluate:
    """Reads a path. The two commonest comparisons do it themselves: the call more is a quarter of what they cost."""
    read = path.evaluate

    def value(data: Json, scope: Scope) -> Json:
        try:
            return read(data, scope)
        except PathError:
            raise _invalid_path(path) from None

    return value


def _present(variable: Path, wanted: bool) -> Predicate:
    read = variable.evaluate

    def present(data: Json, scope: Scope) -> bool:
        try:
            read(data, scope)
        except PathError:
            return not wanted
        return wanted

    return present


def _type_test(value: Evaluate, is_type: Callable[[Json], bool], wanted: bool) -> Predicate:
    return lambda data, scope: is_type(value(data, scope)) is wanted


# ── Comparing with a literal ────────────────────────────────────────────────────────────────────────────────────────


def _numeric(variable: Path, literal: Json, compare: _Compare) -> Predicate:
    read = variable.evaluate

    def test(data: Json, scope: Scope) -> bool:
        try:
            found = read(data, scope)
        except PathError:
            raise _invalid_path(variable) from None
        return (type(found) is int or type(found) is float) and compare(found, literal)

    return test


def _boolean(variable: Path, literal: Json, compare: _Compare) -> Predicate:
    value = _value_of(variable)
    return lambda data, scope: value(data, scope) is literal


def _string(variable: Path, literal: Json, compare: _Compare) -> Predicate:
    if compare is order.eq:
        read = variable.evaluate

        def equals(data: Json, scope: Scope) -> bool:
            try:
                found = read(data, scope)
            except PathError:
                raise _invalid_path(variable) from None
            return type(found) is str and found == literal

        return equals

    value = _value_of(variable)
    assert isinstance(literal, str), "a string operator takes a string"

    def test(data: Json, scope: Scope) -> bool:
        found = value(data, scope)
        return type(found) is str and compare(*_comparable(found, literal))

    return test


def _timestamp(variable: Path, literal: Json, compare: _Compare) -> Predicate:
    value = _value_of(variable)
    assert isinstance(literal, str), "a timestamp operator takes a string"
    instant = parse_timestamp(literal)

    def test(data: Json, scope: Scope) -> bool:
        found = value(data, scope)
        if type(found) is not str or instant is None:
            return False
        parsed = parse_timestamp(found)
        return parsed is not None and compare(parsed, instant)

    return test


_WITH_LITERAL: Mapping[Family, Callable[[Path, Json, _Compare], Predicate]] = {
    "Numeric": _numeric,
    "Boolean": _boolean,
    "String": _string,
    "Timestamp": _timestamp,
}


# ── Comparing with a path ───────────────────────────────────────────────────────────────────────────────────────────


def _numeric_path(value: Evaluate, other: Evaluate, compare: _Compare) -> Predicate:
    def test(data: Json, scope: Scope) -> bool:
        left, right = value(data, scope), other(data, scope)
        return _is_numeric(left) and _is_numeric(right) and compare(left, right)

    return test


def _boolean_path(value: Evaluate, other: Evaluate, compare: _Compare) -> Predicate:
    def test(data: Json, scope: Scope) -> bool:
        left, right = value(data, scope), other(data, scope)
        return type(left) is bool and left is right

    return test


def _string_path(value: Evaluate, other: Evaluate, compare: _Compare) -> Predicate:
    def test(data: Json, scope: Scope) -> bool:
        left, right = value(data, scope), other(data, scope)
        return type(left) is str and type(right) is str and compare(*_comparable(left, right))

    return test


def _timestamp_path(value: Evaluate, other: Evaluate, compare: _Compare) -> Predicate:
    def test(data: Json, scope: Scope) -> bool:
        left, right = value(data, scope), other(data, scope)
        if type(left) is not str or type(right) is not str:
            return False
        first, second = parse_timestamp(left), parse_timestamp(right)
        return first is not None and second is not None and compare(first, second)

    return test


_WITH_PATH: Mapping[Family, Callable[[Evaluate, Evaluate, _Compare], Predicate]] = {
    "Numeric": _numeric_path,
    "Boolean": _boolean_path,
    "String": _string_path,
    "Timestamp": _timestamp_path,
}


# ── Strings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _comparable(left: str, right: str) -> tuple[str, str] | tuple[bytes, bytes]:
    """Two things that are in the order of the strings' UTF-16 code units.

    Python orders by code point. That differs only where a character beyond U+FFFF meets one from U+E000 on, so never
    when one of the strings is ASCII.
    """
    if left.isascii() or right.isascii():
        return left, right
    return left.encode("utf-16-be", "surrogatepass"), right.encode("utf-16-be", "surrogatepass")


_PATTERN_SIGNS = re.compile(r"\*|\\.?|[^*\\]+", re.DOTALL)


def _string_matches(value: Evaluate, pattern: str) -> Predicate:
    r"""StringMatches: `*` stands for any characters, `\*` for a star, `\\` for a backslash.

    The texts between the stars are looked for from left to right, each where it first comes: that is enough, and takes
    time linear in the string whatever the pattern. A regular expression would go back and try again.
    """
    pieces = _pattern_pieces(pattern)
    if pieces is None:
        return _open_escape(pattern)
    first, *middle = pieces
    last = middle.pop() if middle else None

    def matches(data: Json, scope: Scope) -> bool:
        found = value(data, scope)
        if type(found) is not str:
            return False
        if last is None:
            return found == first
        end = len(found) - len(last)
        if not (found.startswith(first) and found.endswith(last) and len(first) <= end):
            return False
        at = len(first)
        for piece in middle:
            at = found.find(piece, at, end)
            if at < 0:
                return False
            at += len(piece)
        return True

    return matches


def _pattern_pieces(pattern: str) -> list[str] | None:
    """The literal texts around the stars, escapes resolved; None when a backslash stands before anything else."""
    pieces: list[str] = []
    piece: list[str] = []
    for sign in _PATTERN_SIGNS.findall(pattern):
        if sign == "*":
            pieces.append("".join(piece))
            piece.clear()
        elif sign[0] != "\\":
            piece.append(sign)
        elif sign[1:] in ("*", "\\"):
            piece.append(sign[1])
        else:
            return None
    return [*pieces, "".join(piece)]


def _open_escape(pattern: str) -> Predicate:
    """The Amazon States Language wants a run-time error for a backslash that escapes nothing; AWS's text is unknown."""

    def fail(data: Json, scope: Scope) -> bool:
        cause = rf"The StringMatches pattern '{pattern}' has a backslash that is not part of '\*' or '\\'."
        raise StatesError("States.Runtime", cause, located=True)

    return fail
