"""JSON values: their type, their text, their size as AWS counts it, and how to read them.

A value that has become data of a state is never mutated: values are shared, and an update copies the path it changes.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import msgspec

if TYPE_CHECKING:
    Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
else:
    Json = Any  # msgspec reads annotations of Structs at run time and has no recursive aliases

JsonType: TypeAlias = Literal["null", "boolean", "number", "string", "array", "object"]

# AWS: "maximum input or output size for a task, state, or execution", bytes of UTF-8 JSON, inclusive.
PAYLOAD_BYTES_MAX = 262_144

DEPTH_MAX = 300
"""Arrays and objects inside one another in a document that comes from outside or is measured. Ours, not AWS's: the
encoder takes a level of Python's stack for each, of which there are 1,000. Published data has some 30 at most."""

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_ALIKE = bytes.maketrans(b"[]{}", b"()()")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class InvalidJson(ValueError):
    """Text that is not JSON. `line` and `column` start at 1; `reason` says what was expected and what came."""

    def __init__(self, reason: str, line: int, column: int) -> None:
        super().__init__(f"{reason} (line {line}, column {column})")
        self.reason = reason
        self.line = line
        self.column = column


def encode(value: Json) -> bytes:
    """The value as compact UTF-8 JSON: no spaces, members in their order. The size AWS limits is the length of this."""
    return _encode(value)


def text(value: Json) -> str:
    """The value as compact JSON text."""
    return _encode(value).decode()


def decode(source: str | bytes) -> Json:
    """Reads JSON text. Of a member that is written twice the last one counts; integers keep all their digits.

    Raises:
        InvalidJson: Not JSON, more than DEPTH_MAX levels deep, a number beyond a double, an integer of more than 4,300
            digits, or an escape that is half a surrogate pair (which no UTF-8 text can hold).
    """
    try:
        value = _decode(source)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _located(source, error) from None
    if is_too_deep(source):
        raise InvalidJson("the value is nested too deeply", 1, 1)
    return cast("Json", value)


def is_too_deep(encoded: str | bytes) -> bool:
    """Whether JSON text has more than DEPTH_MAX levels. Nearly always its length or a count of its brackets says no."""
    if len(encoded) <= 2 * DEPTH_MAX:
        return False
    data = encoded.encode("utf-8", "surrogatepass") if isinstance(encoded, str) else encoded
    if data.count(b"[") + data.count(b"{") <= DEPTH_MAX:
        return False
    brackets = _STRING.sub(b"", data).translate(_ALIKE, _NO_BRACKETS)
    for _ in range(DEPTH_MAX):  # each turn takes the innermost level away
        if not brackets:
            return False
        brackets = brackets.replace(b"()", b"")
    return bool(brackets)


def _located(source: str | bytes, error: Exception) -> InvalidJson:
    """The standard library's parser names line and column, msgspec's only a byte; ask the former where it agrees."""
    if isinstance(error, RecursionError):
        return InvalidJson("the value is nested too deeply", 1, 1)
    whole = source if isinstance(source, str) else source.decode("utf-8", "replace")
    try:
        json.loads(whole)
    except json.JSONDecodeError as found:
        return InvalidJson(found.msg, found.lineno, found.colno)
    except ValueError:
        return InvalidJson("an integer has too many digits", 1, 1)
    except RecursionError:
        return InvalidJson("the value is nested too deeply", 1, 1)
    reason, _, place = str(error).partition(" (byte ")
    before = whole.encode("utf-8", "surrogatepass")[: int(place.rstrip(")") or 0)].decode("utf-8", "replace")
    return InvalidJson(reason, before.count("\n") + 1, len(before) - before.rfind("\n"))


def json_type(value: Json) -> JsonType:
    """The type's name as AWS prints it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def equal(left: Json, right: Json) -> bool:
    """Whether two values are the same JSON: numbers by value (1 is 1.0), but true is not 1, which Python thinks."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equal(value, right[key]) for key, value in left.items())
    return left == right
