"""What the service model says of a request's members: their JSON types, and AWS's constraints in AWS's words.

Each shape is compiled once, to a reader (JSON value -> our value) and a checker (which adds to a list what is wrong).

Rules: api.md 1.3. Where several members break rules, they are told in the model's order; AWS's own order is arbitrary.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.api import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from botocore.model import ListShape, Shape, StringShape, StructureShape

    from engine.api.faults import Fault

Reader: TypeAlias = "Callable[[Any], Any]"
"""Of a value that is not null. Raises Fault: it has the wrong JSON type."""

Checker: TypeAlias = "Callable[[Any, str, list[str]], None]"
"""(value, or None if it is absent; path; what is wrong so far)."""

_RANGES = {"integer": ("Integer", 31), "long": ("Long", 63)}
"""By the model's type: Java's name of it, and its bits without the sign."""

_ENUM_ORDERS = {
    "ExecutionStatus": ("SUCCEEDED", "TIMED_OUT", "PENDING_REDRIVE", "ABORTED", "FAILED", "RUNNING"),
}
"""As recorded. AWS tells the values in the order of a hash table; the others come in the model's order."""

_JAVA_CLASSES = {r"\p{ASCII}": r"[\x00-\x7f]"}
"""Of patterns in the model, what Python writes in another way."""


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def reader(shape: Shape) -> Reader:
    """How values of a shape are read. Members that the model does not know, and those that are null, are left out."""
    match shape.type_name:
        case "string":
            return _read_string
        case "boolean":
            return _read_boolean
        case "integer" | "long":
            return _whole_number_reader(*_RANGES[shape.type_name])
        case "float" | "double":
            return _read_float
        case "list":
            return _list_reader(reader(shape.member))
        case "structure":
            return _structure_reader({name: reader(one) for name, one in shape.members.items()})
        case other:
            raise AssertionError(f"no request of the service model has a {other}")


def _read_string(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _wrong(value, "String")


def _read_boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise _wrong(value, "Boolean")


def _read_float(value: Any) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise faults.serialization("Numeric value out of range of Float") from None
    raise _wrong(value, "Float")


def _whole_number_reader(java: str, bits: int) -> Reader:
    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong(value, java)
        if not -(1 << bits) <= value < 1 << bits:
            raise faults.serialization(f"Numeric value out of range of {java}")
        return int(value)

    return read


def _list_reader(item: Reader) -> Reader:
    def read(value: Any) -> list[Any]:
        if not isinstance(value, list):
            raise faults.serialization("Expected list or null")
        return [None if one is None else item(one) for one in value]

    return read


def _structure_reader(members: Mapping[str, Reader]) -> Reader:
    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise faults.serialization("Expected a structure or null")
        return {
            name: member(one) for name, member in members.items() if (one := value.get(name)) is not None
        }  # in the model's order, whatever that of the request

    return read


def _wrong(value: Any, java: str) -> Fault:
    """A scalar of this Java type was expected. The words are those of AWS's JSON protocol."""
    if isinstance(value, dict):
        return faults.serialization("Start of structure or map found where not expected")
    if isinstance(value, list):
        return faults.serialization("Start of list found where not expected")
    if isinstance(value, bool):
        what = "TRUE_VALUE" if value else "FALSE_VALUE"
    elif isinstance(value, str):
        what = "STRING_VALUE"
    else:
        what = "NUMBER_VALUE" if isinstance(value, int) else "DECIMAL_VALUE"
    return faults.serialization(f"{what} cannot be converted to {java}")


# ── checking ────────────────────────────────────────────────────────────────────────────────────────────────────────


def checker(shape: Shape) -> Checker | None:
    """How values of a shape that were read are checked; None: there is nothing to check."""
    match shape.type_name:
        case "structure":
            return _structure_checker(shape)
        case "list":
            return _list_checker(shape)
        case "string":
            return _scalar_checker(shape, _string_rules(shape))
        case "integer" | "long" | "float":
            return _scalar_checker(shape, _number_rules(shape))
        case _:
            return None


_Rule: TypeAlias = "tuple[Callable[[Any], bool], str]"
"""What holds for a good value, and AWS's words for it."""


def _string_rules(shape: StringShape) -> list[_Rule]:
    rules = _length_rules(shape)
    if shape.enum:
        values = _ENUM_ORDERS.get(shape.name, tuple(shape.enum))
        assert set(values) == set(shape.enum), "the recorded order has the model's values"
        rules.append((frozenset(values).__contains__, f"satisfy enum value set: [{', '.join(values)}]"))
    pattern = shape.metadata.get("pattern")
    if pattern is not None:
        python = pattern
        for java, ours in _JAVA_CLASSES.items():
            python = python.replace(java, ours)
        matches = re.compile(python).fullmatch
        rules.append((lambda value: matches(value) is not None, f"satisfy regular expression pattern: {pattern}"))
    return rules


def _length_rules(shape: Shape) -> list[_Rule]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    rules: list[_Rule] = []
    if least:
        rules.append((lambda value: len(value) >= least, f"have length greater than or equal to {least}"))
    if most is not None:
        rules.append((lambda value: len(value) <= most, f"have length less than or equal to {most}"))
    return rules


def _number_rules(shape: Shape) -> list[_Rule]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    rules: list[_Rule] = []
    if least is not None:
        rules.append((lambda value: value >= least, f"have value greater than or equal to {least}"))
    if most is not None:
        rules.append((lambda value: value <= most, f"have value less than or equal to {most}"))
    return rules


def _scalar_checker(shape: Shape, rules: list[_Rule]) -> Checker | None:
    if not rules:
        return None
    is_sensitive = bool(shape.metadata.get("sensitive"))

    def check(value: Any, path: str, found: list[str]) -> None:
        for holds, words in rules:
            if not holds(value):
                found.append(_item(path, words, None if is_sensitive else shown(value, shape)))

    return check


def _list_checker(shape: ListShape) -> Checker:
    rules = _length_rules(shape)
    item = checker(shape.member)

    def check(value: Any, path: str, found: list[str]) -> None:
        for holds, words in rules:
            if not holds(value):
                found.append(_item(path, words, shown(value, shape)))
        for number, one in enumerate(value, start=1):
            inside = f"{path}.{number}.member"
            if one is None:
                found.append(_null(inside))
            elif item is not None:
                item(one, inside, found)

    return check


def _structure_checker(shape: StructureShape) -> Checker:
    required = frozenset(shape.required_members)
    members = [(name, name in required, checker(one)) for name, one in shape.members.items()]

    def check(value: Any, path: str, found: list[str]) -> None:
        for name, is_required, member in members:
            one = value.get(name)
            inside = f"{path}.{name}" if path else name
            if one is None:
                if is_required:
                    found.append(_null(inside))
            elif member is not None:
                member(one, inside, found)

    return check


def _null(path: str) -> str:
    return f"Value null at '{path}' failed to satisfy constraint: Member must not be null"


def _item(path: str, words: str, value: str | None) -> str:
    told = "Value" if value is None else f"Value '{value}'"
    return f"{told} at '{path}' failed to satisfy constraint: Member must {words}"


def shown(value: Any, shape: Shape) -> str:
    """A value as AWS's messages show it: `[RoutingConfigurationListItem(stateMachineVersionArn=arn, weight=50)]`."""
    if value is None:
        return "null"
    if shape.metadata.get("sensitive"):
        return "***Sensitive Data Redacted***"
    match shape.type_name:
        case "list":
            return f"[{', '.join(shown(one, shape.member) for one in value)}]"
        case "structure":
            members = shape.members
            return f"{shape.name}({', '.join(f'{name}={shown(one, members[name])}' for name, one in value.items())})"
        case "boolean":
            return "true" if value else "false"
        case _:
            return str(value)
