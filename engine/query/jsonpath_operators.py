"""The operators of JSONPath filters, as Jayway 2.10 answers for values of every kind.

Operands are JSON values; numbers written in the path are Decimals, JSON literals JsonText, patterns Pattern, and a
path that leads nowhere is MISSING. An operand that an operator cannot work with at all raises Rejected: the item is
dropped even under `!` or beside `||`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from engine.query.jsonpath_java import (
    InvalidLiteral,
    before,
    decimal_in,
    decimal_of,
    equals,
    int_value,
    read_literal,
    unescape,
    units,
)
from engine.query.jsonpath_steps import Failed, Missing, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.jsonvalue import Json
    from engine.query.jsonpath_regex import Spend
    from engine.query.jsonpath_steps import Lookups


class JsonText:
    """A JSON literal as it stands in a filter. Read when it is first used, so a broken one fails only then."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._value: list[Json] = []

    def value(self) -> Json:
        """The value.

        Raises:
            Failed: Not readable as JSON.
        """
        if not self._value:
            try:
                self._value.append(read_literal(self.text))
            except InvalidLiteral as error:
                raise Failed(str(error)) from None
        return self._value[0]


class Pattern:
    """A regular expression literal."""

    def __init__(self, matches: Callable[[str, Spend], bool]) -> None:
        self.matches = matches


class _PathLike:
    """A string inside a list that reads as a path: equal to nothing."""


Value: TypeAlias = "Json | Decimal | JsonText | Pattern | Missing | _PathLike"
Operator: TypeAlias = "Callable[[Value, Value, Lookups], bool]"


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _decimal(value: Value) -> Decimal:
    assert isinstance(value, int | float | Decimal), "only numbers are counted"
    return value if isinstance(value, Decimal) else decimal_of(value)


def _plain_text(value: Value) -> str | None:
    """Text of a string or a number, which Jayway treats alike in many places."""
    if isinstance(value, str):
        return value
    return str(_decimal(value)) if _is_number(value) else None


def _is_json(value: Value) -> bool:
    return isinstance(value, list | dict | JsonText)


def _same(left: Value, right: Value) -> bool:
    """Whether two operands are equal; the left one decides if a number and a text compare as numbers."""
    if _is_number(left):
        if _is_number(right):
            return _decimal(left) == _decimal(right)
        return isinstance(right, str) and decimal_in(right) == _decimal(left)
    if isinstance(left, str):
        return left == (right if isinstance(right, str) else _plain_text(right))
    if isinstance(left, bool) or left is None:
        return left is right
    return isinstance(left, JsonText) and isinstance(right, JsonText) and left.text == right.text


def _equal(left: Value, right: Value, lookups: Lookups) -> bool:
    if _is_json(left) and _is_json(right):
        # A literal on the left is compared as text with a parsed value, and so never equal.
        parsed = right.value() if isinstance(right, JsonText) else right
        lookups.spend(len(left) if isinstance(left, list | dict) else 1)
        return isinstance(left, list | dict) and isinstance(parsed, list | dict) and equals(left, parsed)
    return _same(left, right)


def _not_equal(left: Value, right: Value, lookups: Lookups) -> bool:
    return not _equal(left, right, lookups)


def _kind(value: Value) -> object:
    return "number" if _is_number(value) else "json" if _is_json(value) else type(value)


def _strictly_equal(left: Value, right: Value, lookups: Lookups) -> bool:
    return _kind(left) == _kind(right) and _equal(left, right, lookups)


def _not_strictly_equal(left: Value, right: Value, lookups: Lookups) -> bool:
    return not _strictly_equal(left, right, lookups)


def _order(left: Value, right: Value) -> int | None:
    """Below, at or above zero as left is less, equal or greater; None when the two cannot be ordered."""
    if _is_number(left) and _is_number(right):
        a, b = _decimal(left), _decimal(right)
        return (a > b) - (a < b)
    if isinstance(left, str) and isinstance(right, str):
        return 0 if left == right else -1 if before(left, right) else 1
    return None


def _less(left: Value, right: Value, _: Lookups) -> bool:
    order = _order(left, right)
    return order is not None and order < 0


def _less_or_equal(left: Value, right: Value, _: Lookups) -> bool:
    order = _order(left, right)
    return order is not None and order <= 0


def _greater(left: Value, right: Value, _: Lookups) -> bool:
    order = _order(left, right)
    return order is not None and order > 0


def _greater_or_equal(left: Value, right: Value, _: Lookups) -> bool:
    order = _order(left, right)
    return order is not None and order >= 0


def _matches(left: Value, right: Value, lookups: Lookups) -> bool:
    if isinstance(left, Pattern) and not isinstance(right, Pattern):
        pattern, subject = left, right
    elif isinstance(right, Pattern) and not isinstance(left, Pattern):
        pattern, subject = right, left
    else:
        return False
    if isinstance(subject, JsonText):
        subject = subject.value()
    subjects = _elements(subject, lookups) if isinstance(subject, list) else [subject]
    return any(pattern.matches(_subject_text(each), lookups.spend) for each in subjects)


def _subject_text(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return _plain_text(value) or ""


def _elements(array: list[Json], lookups: Lookups) -> list[Value]:
    lookups.spend(len(array))
    return [_element(each, lookups) for each in array]


def _element(value: Json, lookups: Lookups) -> Value:
    """An element as an operand: strings that look like paths or JSON are taken for that, and quotes around one go."""
    if isinstance(value, list | dict):
        raise Failed("Could not determine value type")
    if not isinstance(value, str) or len(value) < 2:
        return value
    stripped = value.strip()
    if stripped[:1] in ("$", "@") and lookups.is_path(stripped):
        return _PathLike()
    if (stripped[:1], stripped[-1:]) in (("[", "]"), ("{", "}")) and len(stripped) > 1:
        try:
            read_literal(stripped)
        except InvalidLiteral:
            pass
        else:
            return JsonText(value)
    quoted = value[0] == value[-1] and value[0] in "'\""
    try:
        return unescape(value[1:-1] if quoted else value)
    except InvalidLiteral as error:
        raise Failed(str(error)) from None


def _list(operand: Value, lookups: Lookups) -> list[Value] | None:
    """The operand's elements; None for a JSON object."""
    if isinstance(operand, JsonText):
        operand = operand.value()
    if isinstance(operand, list):
        return _elements(operand, lookups)
    if isinstance(operand, dict):
        return None
    raise Rejected("Expected value list node")


def _in(left: Value, right: Value, lookups: Lookups) -> bool:
    elements = _list(right, lookups)
    return elements is not None and any(_same(left, element) for element in elements)


def _not_in(left: Value, right: Value, lookups: Lookups) -> bool:
    return not _in(left, right, lookups)


def _contains(left: Value, right: Value, lookups: Lookups) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return right in left
    elements = _list(left, lookups) if _is_json(left) else None
    return elements is not None and any(_same(right, element) for element in elements)


def _two_lists(left: Value, right: Value, lookups: Lookups) -> tuple[list[Value], list[Value]] | None:
    others = _list(right, lookups)
    if others is None:
        return None
    elements = _list(left, lookups)
    if elements is None:
        return None
    lookups.spend(len(elements) * len(others))
    return elements, others


def _subset_of(left: Value, right: Value, lookups: Lookups) -> bool:
    lists = _two_lists(left, right, lookups)
    return lists is not None and all(any(_same(each, other) for other in lists[1]) for each in lists[0])


def _any_of(left: Value, right: Value, lookups: Lookups) -> bool:
    lists = _two_lists(left, right, lookups)
    return lists is not None and any(_same(each, other) for each in lists[0] for other in lists[1])


def _none_of(left: Value, right: Value, lookups: Lookups) -> bool:
    lists = _two_lists(left, right, lookups)
    return lists is not None and not any(_same(each, other) for each in lists[0] for other in lists[1])


def _size(left: Value, right: Value, _: Lookups) -> bool:
    if not isinstance(right, int | float | Decimal) or isinstance(right, bool):
        return False
    expected = int_value(_decimal(right))
    if isinstance(left, str):
        return units(left) == expected
    if isinstance(left, JsonText):
        left = left.value()
    return (isinstance(left, list) and len(left) == expected) or (isinstance(left, dict) and expected == -1)


def _empty(left: Value, right: Value, _: Lookups) -> bool:
    if isinstance(left, JsonText):
        left = left.value()
    if isinstance(left, dict):
        raise Failed("class java.util.LinkedHashMap cannot be cast to class java.util.Collection")
    if not isinstance(left, str | list):
        return False
    if not isinstance(right, bool):
        raise Rejected("Expected boolean node")
    return (not left) is right


def _exists(left: Value, right: Value, _: Lookups) -> bool:
    if isinstance(left, bool) and isinstance(right, bool):
        return left is right
    if isinstance(left, bool) or isinstance(right, bool):
        raise Rejected("Expected boolean node")
    raise Failed("Failed to evaluate exists expression")


def _unusable(left: Value, right: Value, _: Lookups) -> bool:
    """ALL, TYPE and MATCHES want operands that no path can write: lists of nodes, Java classes, predicates."""
    raise Rejected("Expected value list, class or predicate node")


OPERATORS: dict[str, Operator] = {
    "==": _equal,
    "!=": _not_equal,
    "===": _strictly_equal,
    "!==": _not_strictly_equal,
    "<": _less,
    "<=": _less_or_equal,
    ">": _greater,
    ">=": _greater_or_equal,
    "=~": _matches,
    "IN": _in,
    "NIN": _not_in,
    "CONTAINS": _contains,
    "SUBSETOF": _subset_of,
    "ANYOF": _any_of,
    "NONEOF": _none_of,
    "SIZE": _size,
    "EMPTY": _empty,
    "EXISTS": _exists,
    "ALL": _unusable,
    "TYPE": _unusable,
    "MATCHES": _unusable,
}
"""By name; a filter may write the words in any case."""
