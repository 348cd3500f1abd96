"""Reads a definition: JSON text, YAML text or Python values, into a JSON value that knows where its parts stand."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

from engine.asl.diagnostics import SCHEMA, Diagnostic, FindSpan, Place, Span, location_of, pointer_of
from engine.asl.json_text import DEPTH_MAX, InvalidJsonText, Lines, TooDeep, scan_json
from engine.asl.yaml_text import InvalidYaml, read_yaml
from engine.jsonvalue import InvalidJson, Json, decode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Syntax: TypeAlias = Literal["JSON", "YAML"]

_Spans: TypeAlias = "tuple[Mapping[Place, Span], Mapping[Place, Span]]"
"""Of keys and of values."""

_HALF_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A definition that could be read.

    Attributes:
        value: Its value; an object.
        repeated: Places of keys that were written before in the same object; the last one counts.
        find_span: Where something stands in the text.
    """

    value: dict[str, Json]
    repeated: tuple[Place, ...]
    find_span: FindSpan


class InvalidSource(Exception):
    """What was given is no definition at all; `diagnostic` says why."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic)
        self.diagnostic = diagnostic


def read_source(source: object, syntax: Syntax = "JSON") -> Source:
    """Reads text (or UTF-8 bytes) in the given syntax; anything else is taken as Python values that are JSON already.

    Raises:
        InvalidSource: Not that syntax, not JSON values, nested too deeply, or not an object.
    """
    if isinstance(source, bytes | bytearray):
        source = _decoded(bytes(source))
    if not isinstance(source, str):
        return _from_value(source)
    if not source.strip():
        raise _not_an_object()
    return _from_yaml(source) if syntax == "YAML" else _from_json(source)


def _decoded(source: bytes) -> str:
    try:
        return source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = source[: error.start].decode("utf-8", "replace")
        raise _invalid_text(f"Invalid UTF-8: {error.reason}", "not-utf-8", _character(before, len(before))) from None


def _from_json(text: str) -> Source:
    try:
        value = decode(text)
    except InvalidJson as error:
        raise _invalid_json(text, error) from None
    _check_depth(value)
    repeated = tuple(scan_json(text).repeated) if _repeats_a_key(text) else ()
    return Source(value=_object(value), repeated=repeated, find_span=_finder(lambda: _json_spans(text)))


def _from_yaml(text: str) -> Source:
    try:
        reading = read_yaml(text)
    except InvalidYaml as error:
        span = Span(error.line, error.column, error.line, error.column + 1)
        raise _invalid_text(error.reason, "not-yaml", span) from None
    except TooDeep as found:
        raise _too_deep(_character(text, found.offset)) from None
    return Source(
        value=_object(reading.value),
        repeated=tuple(reading.repeated),
        find_span=_finder(lambda: (reading.keys, reading.values)),
    )


def _invalid_json(text: str, error: InvalidJson) -> InvalidSource:
    try:
        scan = scan_json(text)
    except InvalidJsonText as found:
        return _invalid_text(found.message, "not-json", Lines(text).span(found.start, found.end), found.location)
    except TooDeep as found:
        return _too_deep(_character(text, found.offset))
    for start, end in (*scan.keys.values(), *scan.values.values()):
        # JSON by its grammar, but half a surrogate pair, or a number beyond what can be held.
        if text[start] not in "{[" and not _can_be_read(text[start:end]):
            message = f"The value {text[start:end][:50]} cannot be represented"
            return _invalid_text(message, "not-representable", Lines(text).span(start, end))
    return _invalid_text(error.reason, "not-json", Span(error.line, error.column, error.line, error.column + 1))


def _can_be_read(text: str) -> bool:
    try:
        decode(text)
    except InvalidJson:
        return False
    return True


def _character(text: str, offset: int) -> Span:
    return Lines(text).span(offset, offset + 1)


def _repeats_a_key(text: str) -> bool:
    """Whether any object repeats a key. Most texts do not, and then no closer look is needed."""
    found = False

    def members(pairs: list[tuple[str, Json]]) -> None:
        nonlocal found
        found = found or len({name for name, _ in pairs}) != len(pairs)

    json.loads(text, object_pairs_hook=members)
    return found


def _json_spans(text: str) -> _Spans:
    lines = Lines(text)
    scan = scan_json(text)
    return (
        {place: lines.span(*offsets) for place, offsets in scan.keys.items()},
        {place: lines.span(*offsets) for place, offsets in scan.values.items()},
    )


def _finder(make_spans: Callable[[], _Spans]) -> FindSpan:
    """Finds spans; they are made when the first is asked for. What is not in the text is shown at what is around it."""
    spans: _Spans | None = None

    def find(place: Place, key: bool) -> Span | None:
        nonlocal spans
        if spans is None:
            spans = make_spans()
        keys, values = spans
        if key and place in keys:
            return keys[place]
        while place not in values:
            if not place:
                return None
            place = place[:-1]
            if place in keys:
                return keys[place]
        return values[place]

    return find


def _no_span(_place: Place, _key: bool) -> None:
    return None


def _from_value(value: object) -> Source:
    problem = _not_json(value)
    if problem is not None:
        raise problem
    return Source(value=_object(cast("Json", value)), repeated=(), find_span=_no_span)


def _not_json(value: object) -> InvalidSource | None:
    """What keeps a Python value from being JSON: tuples, dates, NaN, keys that are no strings, cycles."""
    left: list[tuple[object, Place]] = [(value, ())]
    while left:
        item, place = left.pop()
        if isinstance(item, dict | list) and len(place) >= DEPTH_MAX:
            return _too_deep(None)
        if isinstance(item, dict):
            for key, member in item.items():
                if not isinstance(key, str):
                    return _not_json_value(f"the key {key!r} is {_python_type(key)}, not a string", place)
                left.append((member, (*place, key)))
        elif isinstance(item, list):
            left.extend((member, (*place, index)) for index, member in enumerate(item))
        elif (reason := _not_json_scalar(item)) is not None:
            return _not_json_value(reason, place)
    return None


def _not_json_scalar(item: object) -> str | None:
    if item is None or isinstance(item, bool | int):
        return None
    if isinstance(item, float):
        return None if math.isfinite(item) else f"{item} is not a JSON number"
    if not isinstance(item, str):
        return f"{_python_type(item)} is not a JSON value"
    return None if item.isascii() or _HALF_SURROGATE.search(item) is None else "half a surrogate pair is no text"


def _python_type(value: object) -> str:
    return f"a Python {type(value).__name__}"


def _check_depth(value: Json) -> None:
    level: list[Json] = [value]
    for _ in range(DEPTH_MAX):
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return
        level = [member for item in containers for member in (item.values() if isinstance(item, dict) else item)]
    if any(isinstance(item, dict | list) for item in level):
        raise _too_deep(None)


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise _not_an_object()
    return value


def _not_an_object() -> InvalidSource:
    """AWS's answer to an empty text [R]; the same for JSON that is no object (unverified)."""
    message = "Definition must be a valid JSON object"
    return InvalidSource(Diagnostic(severity="ERROR", code=SCHEMA, message=message, rule="not-an-object"))


def _not_json_value(reason: str, place: Place) -> InvalidSource:
    diagnostic = Diagnostic(
        severity="ERROR",
        code="INVALID_JSON_DESCRIPTION",
        message=f"The definition holds something that is not JSON: {reason}",
        location=location_of(place),
        pointer=pointer_of(place),
        rule="not-json-values",
    )
    return InvalidSource(diagnostic)


def _invalid_text(reason: str, rule: str, span: Span, location: str | None = None) -> InvalidSource:
    return _invalid("INVALID_JSON_DESCRIPTION", reason, rule, span, location)


def _too_deep(span: Span | None) -> InvalidSource:
    message = f"The definition is nested too deeply: more than {DEPTH_MAX} objects and arrays inside one another"
    return _invalid("TOO_DEEPLY_NESTED", message, "too-deeply-nested", span, "/")


def _invalid(code: str, message: str, rule: str, span: Span | None, location: str | None) -> InvalidSource:
    line, column, end_line, end_column = span or (None, None, None, None)
    diagnostic = Diagnostic(
        severity="ERROR",
        code=code,
        message=message,
        location=location,
        line=line,
        column=column,
        end_line=end_line,
        end_column=end_column,
        rule=rule,
    )
    return InvalidSource(diagnostic)
