"""Documents that hold whatever a definition reads: the input of its executions, and what its Tasks answer.

    document = Wanted.of(definition).document(visit)

Every path in the definition leads to something in them, from the root and from each place that a result could have been
put at: of `$.order.lines[0].price` there are `order.lines`, `lines` and `price`. What stands there suits its reader:
a number for `SecondsPath`, an array for `ItemsPath`, of a Choice each time the next of the values that it looks for.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_STEP = r"\.[A-Za-z_][\w-]*|\.`[^`]+`|\.?\['[^']*'\]|\.?\[\"[^\"]*\"\]|\.\*|\.?\[[^\[\]]*\]"
_PATH = re.compile(rf"(?<![\w$])\$([A-Za-z_]\w*|\$)?((?:{_STEP})+)")
_STEPS = re.compile(_STEP)
_NAME = re.compile(r"\.`?([^`\[*]+)`?|\.?\[['\"](.*)['\"]\]")
_ELSEWHERE: Final = {
    "states": (["input"], ["result"], ["errorOutput"], ["context", "Execution", "Input"],
               ["context", "Map", "Item", "Value"]),
    "$": (["Execution", "Input"], ["Map", "Item", "Value"]),
}  # fmt: skip
"""Of `$states` and `$$`, what holds documents."""

_CALL = re.compile(r"(States\.\w+|\$\w+)\(")
_COMPARED = re.compile(r"\s*!?=\s*('[^']*'|\"[^\"]*\"|\d+|true|false)")
_BEFORE_NUMBER = re.compile(r"(?:[<>+*/-]|<=|>=)\s*$")
_AFTER_NUMBER = re.compile(r"\s*(?:[<>+*/]|- )")

ABSENT: Final = object()
"""Among the values of a member: that it is not there."""

_TIME: Final = "2024-01-01T00:00:00Z"
_NUMBER_FIELDS: Final = ("SecondsPath", "HeartbeatSecondsPath", "MaxConcurrencyPath", "ToleratedFailureCountPath",
                         "ToleratedFailurePercentagePath", "TimeoutSecondsPath", "MaxItemsPath", "MaxItemsPerBatchPath",
                         "MaxInputBytesPerBatchPath")  # fmt: skip
_TAKES: Final[dict[str, Any]] = {
    "States.StringToJson": '{"a": 1}', "States.MathAdd": 1, "States.MathRandom": 1, "States.ArrayRange": 1,
    "States.ArrayPartition": [1, 2], "States.ArrayContains": [1, 2], "States.ArrayGetItem": [1, 2],
    "States.ArrayLength": [1, 2], "States.ArrayUnique": [1, 2], "States.StringSplit": "a,b",
    "States.Base64Decode": "YQ==", "States.JsonMerge": {"a": 1},
    "$parse": '{"a": 1}', "$number": 1, "$sum": [1, 2], "$count": [1, 2], "$map": [1, 2], "$filter": [1, 2],
    "$partition": [1, 2], "$split": "a,b", "$lowercase": "a", "$uppercase": "a", "$substring": "a",
}  # fmt: skip
"""What functions take, where a text would not do."""


@dataclass(slots=True)
class Wanted:
    """What is read at a place.

    Attributes:
        members: Below it, by name.
        item: What is read of each item, if it is read as an array.
        values: What may stand there, in turn.
    """

    members: dict[str, Wanted] = field(default_factory=dict)
    item: Wanted | None = None
    values: list[Any] = field(default_factory=list)

    @classmethod
    def of(cls, definition: Any) -> Self:
        """All that a definition reads anywhere."""
        root = cls()
        for steps, values in _reads(definition):
            for first in range(len(steps)):
                if steps[first] != "*":
                    root._add(steps[first:], values)
        return root

    def _add(self, steps: Sequence[str], values: Sequence[Any]) -> None:
        place = self
        for step in steps:
            if step == "*":
                place.item = place.item or Wanted()
                place = place.item
            else:
                place = place.members.setdefault(step, Wanted())
        place.values += [value for value in values if value not in place.values]

    def document(self, visit: int, *, leaf: Any = "text") -> Any:
        """What is wanted; `visit` chooses among the values, `leaf` is what nobody looks at."""
        value = self.values[visit % len(self.values)] if self.values else leaf
        if value is ABSENT:
            return value
        if self.item is not None:
            return [self.item.document(visit, leaf=leaf)] * 2
        if self.members:
            found = {name: one.document(visit, leaf=leaf) for name, one in self.members.items()}
            return {name: member for name, member in found.items() if member is not ABSENT}
        return value

    def answer(self, state: Mapping[str, Any], visit: int, *, leaf: Any = "text") -> Any:
        """What the Task of a state gives: a plain value, where that is what is read at the state's ResultPath."""
        found = _PATH.fullmatch(state.get("ResultPath") or "")
        if found is not None and "ResultSelector" not in state:
            place: Wanted | None = self
            for steps, _ in _paths(found[0], []):
                for step in steps:
                    place = None if place is None else place.members.get(step)
            if place is not None and place.values and not place.members and place.item is None:
                value = place.document(visit)
                return "text" if value is ABSENT else value
        return self.document(visit, leaf=leaf)


def _reads(value: Any, name: str = "") -> Iterator[tuple[list[str], list[Any]]]:
    """(steps of a path, values that suit its reader) of each path in a part of a definition."""
    match value:
        case {"Variable": str(variable), **rule}:
            yield from _paths(variable, _values_of(rule))
            for operand in rule.values():
                yield from _reads(operand)
        case dict():
            for key, member in value.items():
                yield from _reads(member, key)
        case list():
            for member in value:
                yield from _reads(member, name)
        case str() if name in ("ItemsPath", "Items"):
            for steps, _ in _paths(value, []):
                yield [*steps, "*"], []
        case str() if name in _NUMBER_FIELDS or (value.startswith("{%") and f"{name}Path" in _NUMBER_FIELDS):
            yield from _paths(value, [1])
        case str() if name == "TimestampPath":
            yield from _paths(value, [_TIME])
        case str():
            yield from _calls(value)


def _calls(text: str) -> Iterator[tuple[list[str], list[Any]]]:
    """Of an expression: what a function takes, or an operator, suits a path that is an argument of it."""
    for found in _PATH.finditer(text):
        before, after = text[: found.start()], text[found.end() :]
        called = _CALL.findall(before)
        compared = _COMPARED.match(after)
        if compared is not None:
            values: list[Any] = [json.loads(compared[1].replace("'", '"'))]
        elif called and called[-1] in _TAKES:
            values = [_TAKES[called[-1]]]
        elif text.startswith("{%") and (_BEFORE_NUMBER.search(before) or _AFTER_NUMBER.match(after)):
            values = [1]
        else:
            values = []
        yield from _paths(found[0], values)


def _paths(text: str, values: list[Any]) -> Iterator[tuple[list[str], list[Any]]]:
    for found in _PATH.finditer(text):
        steps = ["*" if (name := _NAME.fullmatch(step)) is None or step == ".*" else name[1] or name[2] or ""
                 for step in _STEPS.findall(found[2])]  # fmt: skip
        if found[1] in _ELSEWHERE:
            steps = next((steps[len(one) :] for one in _ELSEWHERE[found[1]] if steps[: len(one)] == one), [])
        if steps:
            yield steps, values


def _values_of(rule: dict[str, Any]) -> list[Any]:
    """What a Choice may find at its Variable: what it looks for, first."""
    found: list[Any] = []
    if "IsPresent" in rule:
        return ["text", ABSENT]
    for operator, operand in rule.items():
        match operator, operand:
            case (("IsNumeric" | "IsString" | "IsBoolean" | "IsTimestamp" | "IsNull"), _):
                found += [{"IsNumeric": 1, "IsString": "text", "IsBoolean": True, "IsTimestamp": _TIME}.get(operator)]
            case ("StringMatches", str()):
                found += [operand.replace("*", "x")]
            case (_, int() | float()) if operator.startswith("Numeric"):
                found += [operand, operand + 1, operand - 1]
            case (_, bool()):
                found += [operand, not operand]
            case (_, str()) if not operator.endswith("Path") and operator not in ("Next", "Comment", "Output"):
                found += [operand, _TIME if operator.startswith("Timestamp") else "other"]
            case (_, str()) if operator.endswith("Path"):
                found += [1 if operator.startswith("Numeric") else _TIME if operator.startswith("Time") else "text"]
            case _:
                pass
    return [value for value in found if value is not None]
