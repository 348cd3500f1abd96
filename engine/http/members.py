"""What the service model says of a request's members: their JSON types, and AWS's constraints in AWS's words.

Each shape is compiled once, to a reader (JSON value -> our value) and a checker (which adds to a list what is wrong).

Rules: api.md 1.3. Where several members break rules, they are told in the model's order; AWS's own order is arbitrary.
"""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from engine.http import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from botocore.model import ListShape, MapShape, Shape, StringShape, StructureShape

    from engine.http.faults import Fault

Reader: TypeAlias = "Callable[[Any], Any]"
"""Of a value that is not null. Raises Fault: it has the wrong JSON type."""

Checker: TypeAlias = "Callable[[Any, str, list[str]], None]"
"""(value, or None if it is absent; path; what is wrong so far)."""

_RANGES = {"integer": ("Integer", 31), "long": ("Long", 63)}
"""By the model's type: Java's name of it, and its bits without the sign."""

_JAVA_CLASSES = {
    r"\p{ASCII}": r"[\x00-\x7f]",
    r"\p{L}": r"\w",  # with the next but one: a word's characters are letters, numbers and `_`
    r"\p{Z}": r" \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000",
    r"\p{N}": r"\d",
}
"""Of patterns in the model, what Python writes in another way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """How a service tells which constraints are broken.

    Attributes:
        lowers: A path has its members' first letters in lower case: `environment.variables`.
        gathers: What is wrong with a list's scalars, or with a map's keys or values, is told of the list or map.
        enums: By the shape, the order in which values are told, where it was recorded: AWS tells them in that of a hash
            table. The others come in the model's order.
        unchecked: (shape, `min` | `max` | `enum` | `pattern`): what operations check themselves, in other words.
    """

    lowers: bool = False
    gathers: bool = False
    enums: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unchecked: frozenset[tuple[str, str]] = frozenset()

    def told(self, member: str) -> str:
        """A member's name in a path."""
        return f"{member[:1].lower()}{member[1:]}" if self.lowers else member

    def rule(self, shape: Shape, name: str) -> Any:
        """What the model says; None: nothing."""
        return None if (shape.name, name) in self.unchecked else shape.metadata.get(name)


STEP_FUNCTIONS = Dialect(
    enums={"ExecutionStatus": ("SUCCEEDED", "TIMED_OUT", "PENDING_REDRIVE", "ABORTED", "FAILED", "RUNNING")}
)


def decoded(body: bytes) -> Any:
    """The document in a body. Raises Fault: it is not JSON."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise faults.serialization(f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise faults.serialization("the body is nested too deeply") from error


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
            return structure_reader({name: reader(one) for name, one in shape.members.items()})
        case "map":
            return _map_reader(reader(shape.value))
        case "blob":
            return _read_blob
        case "timestamp":
            return _read_timestamp
        case other:
            raise AssertionError(f"no request of a service model has a {other}")


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


def structure_reader(members: Mapping[str, Reader]) -> Reader:
    """How a structure of these members is read."""

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise faults.serialization("Expected a structure or null")
        return {
            name: member(one) for name, member in members.items() if (one := value.get(name)) is not None
        }  # in the model's order, whatever that of the request

    return read


def _map_reader(item: Reader) -> Reader:
    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise faults.serialization("Expected map or null")
        return {key: None if one is None else item(one) for key, one in value.items()}

    return read


def _read_blob(value: Any) -> bytes:
    try:
        return b64decode(_read_string(value), validate=True)
    except ValueError:
        raise faults.serialization("a blob is not base64") from None


def _read_timestamp(value: Any) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(value, "Date")
    try:
        return datetime.fromtimestamp(value, UTC)
    except (OverflowError, ValueError, OSError):
        raise faults.serialization("Numeric value out of range of Date") from None


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


def checker(shape: Shape, dialect: Dialect = STEP_FUNCTIONS) -> Checker | None:
    """How values of a shape that were read are checked; None: there is nothing to check."""
    match shape.type_name:
        case "structure":
            return _structure_checker(shape, dialect)
        case "list":
            return _list_checker(shape, dialect)
        case "map":
            return _map_checker(shape, dialect)
        case _:
            return _scalar_checker(shape, _rules(shape, dialect))


_Rule: TypeAlias = "tuple[Callable[[Any], bool], str]"
"""What holds for a good value, and AWS's words for it."""


def _rules(shape: Shape, dialect: Dialect) -> list[_Rule]:
    """Of a scalar."""
    match shape.type_name:
        case "string":
            return _string_rules(shape, dialect)
        case "integer" | "long" | "float" | "double":
            return _number_rules(shape, dialect)
        case _:
            return []


def _string_rules(shape: StringShape, dialect: Dialect) -> list[_Rule]:
    rules = _length_rules(shape, dialect)
    if shape.enum and dialect.rule(shape, "enum"):
        values = dialect.enums.get(shape.name, tuple(shape.enum))
        assert set(values) == set(shape.enum), "the recorded order has the model's values"
        rules.append((frozenset(values).__contains__, f"satisfy enum value set: [{', '.join(values)}]"))
    pattern = dialect.rule(shape, "pattern")
    if pattern is not None:
        python = pattern
        for java, ours in _JAVA_CLASSES.items():
            python = python.replace(java, ours)
        matches = re.compile(python).fullmatch
        rules.append((lambda value: matches(value) is not None, f"satisfy regular expression pattern: {pattern}"))
    return rules


def _length_rules(shape: Shape, dialect: Dialect) -> list[_Rule]:
    least, most = dialect.rule(shape, "min"), dialect.rule(shape, "max")
    rules: list[_Rule] = []
    if least:
        rules.append((lambda value: len(value) >= least, f"have length greater than or equal to {least}"))
    if most is not None:
        rules.append((lambda value: len(value) <= most, f"have length less than or equal to {most}"))
    return rules


def _number_rules(shape: Shape, dialect: Dialect) -> list[_Rule]:
    least, most = dialect.rule(shape, "min"), dialect.rule(shape, "max")
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


def _list_checker(shape: ListShape, dialect: Dialect) -> Checker:
    rules = _length_rules(shape, dialect)
    gathered = _rules(shape.member, dialect) if dialect.gathers else []
    item = None if gathered else checker(shape.member, dialect)

    def check(value: Any, path: str, found: list[str]) -> None:
        for holds, words in rules:
            if not holds(value):
                found.append(_item(path, words, shown(value, shape)))
        if not _all_hold(gathered, value):
            found.append(_item(path, _gathered(gathered), shown(value, shape)))
        for number, one in enumerate(value, start=1):
            inside = f"{path}.{number}.member"
            if one is None:
                found.append(_null(inside))
            elif item is not None:
                item(one, inside, found)

    return check


def _map_checker(shape: MapShape, dialect: Dialect) -> Checker | None:
    rules, keys = _length_rules(shape, dialect), _rules(shape.key, dialect)
    values = _rules(shape.value, dialect)
    if not (rules or keys or values):
        return None

    def check(value: Any, path: str, found: list[str]) -> None:
        for holds, words in rules:
            if not holds(value):
                found.append(_item(path, words, shown(value, shape)))
        for what, some, gathered in (("Map keys", value, keys), ("Map value", value.values(), values)):
            if not _all_hold(gathered, some):
                told = _gathered(gathered)
                found.append(_item(path, told, shown(value, shape), of=what))

    return check


def _all_hold(rules: list[_Rule], values: Iterable[Any]) -> bool:
    return all(holds(one) for holds, _ in rules for one in values if one is not None)


def _gathered(rules: list[_Rule]) -> str:
    """The rule of the list or map that each of its parts keeps these."""
    words = ", ".join(f"Member must {words}" for words in (*(words for _, words in rules), "not be null"))
    return f"satisfy constraint: [{words}]"


def _structure_checker(shape: StructureShape, dialect: Dialect) -> Checker:
    required = frozenset(shape.required_members)
    members = [
        (name, dialect.told(name), name in required, checker(one, dialect)) for name, one in shape.members.items()
    ]

    def check(value: Any, path: str, found: list[str]) -> None:
        for name, told, is_required, member in members:
            one = value.get(name)
            if one is None:
                if is_required:
                    found.append(_null(f"{path}.{told}" if path else told))
            elif member is not None:
                member(one, f"{path}.{told}" if path else told, found)

    return check


def _null(path: str) -> str:
    return f"Value null at '{path}' failed to satisfy constraint: Member must not be null"


def _item(path: str, words: str, value: str | None, *, of: str = "Member") -> str:
    told = "Value" if value is None else f"Value '{value}'"
    return f"{told} at '{path}' failed to satisfy constraint: {of} must {words}"


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
        case "map":
            return f"{{{', '.join(f'{key}={shown(one, shape.value)}' for key, one in value.items())}}}"
        case "boolean":
            return "true" if value else "false"
        case _:
            return str(value)
