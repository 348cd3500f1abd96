"""JSON text looked at closely: where each key and value stands, which keys are repeated, and what is wrong with it.

Only used when there is something to say about a definition: reading a good one does not come here. The wording of
syntax errors is that of the parser AWS uses (Jackson 2.x, asl.md 2.3): its first error, and where it stopped reading.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import NoReturn

from engine.asl.diagnostics import Place, Span

_SPACE = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_LITERAL = re.compile(r"(?:true|false|null)(?![\w$])")
_WORD = re.compile(r"[\w$]+")
_ESCAPE = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')

_ANY_VALUE = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"

# What Jackson shows of the text in its messages, and of a word it does not know, in characters.
_SNIPPET_LENGTH = 500
_WORD_LENGTH = 256

# Levels of objects and arrays in a definition. AWS has a bound (TOO_DEEPLY_NESTED) but tells no figure. Whoever walks a
# definition recursively relies on this one; with a few times as many a chain of `Not` rules comes near Python's
# recursion limit. The deepest published definition known to us has 31.
DEPTH_MAX = 128


class InvalidJsonText(ValueError):
    """Text that is not JSON.

    Attributes:
        reason: Jackson's message.
        message: The same, with the `at [Source: ...]` line AWS prints after it.
        location: That bracket alone: what AWS gives as the diagnostic's location.
        start: The first character at fault.
        end: Where reading stopped, one past the last one.
    """

    def __init__(self, text: str, reason: str, end: int, *, start: int | None = None) -> None:
        self.reason = reason
        self.location = _source(text, end)
        self.message = f"{reason}\n at {self.location}"
        self.start = max(end - 1, 0) if start is None else start
        self.end = end
        super().__init__(self.message)


class TooDeep(Exception):
    """More levels than `DEPTH_MAX`; `offset` is where the first level too many opens."""

    def __init__(self, offset: int) -> None:
        super().__init__(offset)
        self.offset = offset


class Lines:
    """Turns offsets in a text into lines and columns."""

    __slots__ = ("_starts",)

    def __init__(self, text: str) -> None:
        self._starts = [0, *(found.end() for found in re.finditer("\n", text))]

    def at(self, offset: int) -> tuple[int, int]:
        """Line and column, both from 1."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def span(self, start: int, end: int) -> Span:
        """The span from `start` up to, not including, `end`."""
        return Span(*self.at(start), *self.at(end))


@dataclass(slots=True)
class Scan:
    """Offsets (start, end) of keys and values by place, and the places where a key was written again."""

    keys: dict[Place, tuple[int, int]] = field(default_factory=dict)
    values: dict[Place, tuple[int, int]] = field(default_factory=dict)
    repeated: list[Place] = field(default_factory=list)


@dataclass(slots=True)
class _Open:
    """An object or array whose end is not reached."""

    place: Place
    start: int
    is_object: bool
    count: int = 0
    seen: set[str] = field(default_factory=set)

    @property
    def kind(self) -> str:
        return "Object" if self.is_object else "Array"

    @property
    def closer(self) -> str:
        return "}" if self.is_object else "]"


def scan_json(text: str) -> Scan:
    """Walks a JSON text without recursion, in time linear to its length (times the depth of its places).

    Raises:
        InvalidJsonText: At the first thing that is not JSON.
        TooDeep: It goes deeper than `DEPTH_MAX`.
    """
    return _Scanner(text).run()


def jackson_reason(text: str) -> str | None:
    """What AWS's parser says of a text that is not JSON, without where; None: it would take it, or its own limits end.

    AWS prints this alone about inputs and outputs (api.md 4).
    """
    try:
        scan_json(text)
    except InvalidJsonText as error:
        return error.reason
    except TooDeep:
        return None
    return None


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.scan = Scan()
        self.open: list[_Open] = []

    def run(self) -> Scan:
        end = self._value((), self._skip(0))
        while self.open:
            end = self._member(self.open[-1], self._skip(end))
        rest = self._skip(end)
        if rest < len(self.text):
            self._bad_value(rest)
        return self.scan

    def _skip(self, offset: int) -> int:
        found = _SPACE.match(self.text, offset)
        return found.end() if found else offset

    def _value(self, place: Place, start: int) -> int:
        """Reads a scalar, or opens an object or array; gives the offset after what was read."""
        char = self.text[start : start + 1]
        if char in ("{", "["):
            if len(self.open) >= DEPTH_MAX:
                raise TooDeep(start)
            self.open.append(_Open(place, start, char == "{"))
            self.scan.values[place] = (start, start + 1)
            return start + 1
        pattern = _STRING if char == '"' else _LITERAL if char in ("t", "f", "n") else _NUMBER
        found = pattern.match(self.text, start)
        if found is None or (pattern is _NUMBER and self._runs_on(found.end())):
            self._bad_value(start)
        self.scan.values[place] = found.span()
        return found.end()

    def _member(self, parent: _Open, offset: int) -> int:
        """Reads a comma and the next member, or the end of the innermost open object or array."""
        char = self.text[offset : offset + 1]
        if char == parent.closer:
            self.open.pop()
            self.scan.values[parent.place] = (parent.start, offset + 1)
            return offset + 1
        if parent.count:
            if char != ",":
                self._not_a_comma(parent, offset)
            offset = self._skip(offset + 1)
            if offset >= len(self.text):
                self._ended(f" within/between {parent.kind} entries")
        elif not char:
            self._ended_inside(parent)
        if parent.is_object:
            return self._pair(parent, offset)
        parent.count += 1
        return self._value((*parent.place, parent.count - 1), offset)

    def _pair(self, parent: _Open, offset: int) -> int:
        found = _STRING.match(self.text, offset)
        if found is None:
            self._bad_name(offset)
        name = _unescaped(found.group())
        place = (*parent.place, name)
        if name in parent.seen:
            self.scan.repeated.append(place)
        parent.seen.add(name)
        parent.count += 1
        self.scan.keys[place] = found.span()
        colon = self._skip(found.end())
        if colon >= len(self.text):
            self._ended(" within/between Object entries")
        if self.text[colon] != ":":
            self._unexpected(colon, "was expecting a colon to separate field name and value")
        value = self._skip(colon + 1)
        if value >= len(self.text):
            self._ended(" within/between Object entries")
        return self._value(place, value)

    def _runs_on(self, end: int) -> bool:
        return self.text[end : end + 1] not in ("", " ", "\t", "\n", "\r", ",", "]", "}")

    def _bad_value(self, offset: int) -> NoReturn:
        char = self.text[offset : offset + 1]
        if not char:
            if self.open:
                self._ended_inside(self.open[-1])
            raise InvalidJsonText(self.text, "No content to map due to end-of-input", offset)
        if char == '"':
            self._bad_string(offset, "a string value", "string value")
        if char == "-" or char.isdigit():
            self._bad_number(offset)
        word = _WORD.match(self.text, offset)
        if word:
            shown = word.group()[:_WORD_LENGTH]
            dots = "..." if len(shown) == _WORD_LENGTH else ""
            reason = f"Unrecognized token '{shown}{dots}': was expecting {_ANY_VALUE}"
            raise InvalidJsonText(self.text, reason, offset + len(shown), start=offset)
        if char in ("]", "}"):
            self._mismatched(char, offset)
        self._unexpected(offset, f"expected a valid value {_ANY_VALUE}")

    def _bad_number(self, offset: int) -> NoReturn:
        after_sign = offset + (self.text[offset] == "-")
        if self.text[after_sign : after_sign + 1] == "0" and self.text[after_sign + 1 : after_sign + 2].isdigit():
            raise InvalidJsonText(self.text, "Invalid numeric value: Leading zeroes not allowed", after_sign + 1)
        found = _NUMBER.match(self.text, offset)
        end = found.end() if found else after_sign
        if end >= len(self.text):
            self._ended(" within/between numeric value")
        why = {
            "-": "in numeric value: expected digit (0-9) to follow minus sign, for valid numeric value",
            ".": "in numeric value: Decimal point not followed by a digit",
        }.get(self.text[end] if found else "-")
        if why is None:
            self._unexpected(end, "Expected space separating root-level values")
        raise InvalidJsonText(self.text, f"Unexpected character ({_described(self.text[end])}) {why}", end + 1)

    def _bad_name(self, offset: int) -> NoReturn:
        if self.text[offset : offset + 1] == '"':
            self._bad_string(offset, "a field name", "name")
        self._unexpected(offset, "was expecting double-quote to start field name")

    def _bad_string(self, start: int, closing: str, where: str) -> NoReturn:
        offset = start + 1
        while offset < len(self.text):
            char = self.text[offset]
            if char < " ":
                reason = f"Illegal unquoted character ({_described(char)}): has to be escaped using backslash"
                raise InvalidJsonText(self.text, f"{reason} to be included in {where}", offset + 1)
            if char == "\\":
                found = _ESCAPE.match(self.text, offset)
                if found is None and offset + 1 < len(self.text):
                    escape = self.text[offset + 1]
                    reason = f"Unrecognized character escape {_described(escape)}"
                    if escape == "u":
                        reason = "Unexpected character: expected a hex-digit for character escape sequence"
                    raise InvalidJsonText(self.text, reason, offset + 2)
                offset = found.end() if found else len(self.text)
                continue
            offset += 1
        self._ended(" in field name" if where == "name" else f": was expecting closing quote for {closing}")

    def _not_a_comma(self, parent: _Open, offset: int) -> NoReturn:
        char = self.text[offset : offset + 1]
        if not char:
            self._ended_inside(parent)
        if char in ("]", "}"):
            self._mismatched(char, offset)
        self._unexpected(offset, f"was expecting comma to separate {parent.kind} entries")

    def _mismatched(self, char: str, offset: int) -> NoReturn:
        if not self.open or self.open[-1].closer == char:
            self._unexpected(offset, f"expected a valid value {_ANY_VALUE}")
        parent = self.open[-1]
        raise InvalidJsonText(
            self.text,
            f"Unexpected close marker '{char}': expected '{parent.closer}' "
            f"(for {parent.kind} starting at {_source(self.text, parent.start)})",
            offset + 1,
        )

    def _unexpected(self, offset: int, why: str) -> NoReturn:
        raise InvalidJsonText(self.text, f"Unexpected character ({_described(self.text[offset])}): {why}", offset + 1)

    def _ended(self, where: str) -> NoReturn:
        raise InvalidJsonText(self.text, f"Unexpected end-of-input{where}", len(self.text))

    def _ended_inside(self, parent: _Open) -> NoReturn:
        self._ended(f": expected close marker for {parent.kind} (start marker at {_source(self.text, parent.start)})")


def _unescaped(quoted: str) -> str:
    if "\\" not in quoted:
        return quoted[1:-1]
    name = json.loads(quoted)
    assert isinstance(name, str), "the pattern matched a string"
    return name


def _described(char: str) -> str:
    """A character as Jackson names it: `'x' (code 120)`."""
    code = ord(char)
    if code < 32 or 127 <= code < 160:
        return f"(CTRL-CHAR, code {code})"
    return f"'{char}' (code {code} / 0x{code:x})" if code > 255 else f"'{char}' (code {code})"


def _source(text: str, offset: int) -> str:
    """Jackson's name for a place: the text (its first 500 characters), line and column."""
    before = text[:offset]
    rest = len(text) - _SNIPPET_LENGTH
    more = f"[truncated {rest} chars]" if rest > 0 else ""
    line = before.count("\n") + 1
    column = offset - before.rfind("\n")
    return f'[Source: (String)"{text[:_SNIPPET_LENGTH]}"{more}; line: {line}, column: {column}]'
