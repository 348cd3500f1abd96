"""What Java does to values and texts on their way through a JSONPath: the library AWS uses is written in it.

How numbers and values print, how texts compare and unescape, and the forgiving reader for JSON literals inside a path.
The rules were recorded from Jayway JsonPath 2.10 with json-smart on Java 17.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.jsonvalue import encode

if TYPE_CHECKING:
    from engine.jsonvalue import Json

# Deeper literals than this would only serve to exhaust the stack; Java has such a limit too, only by accident.
LITERAL_DEPTH_MAX = 64

_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,9})?")
_BARE_NUMBER = re.compile(r"-?\d+(\.\d*)?([eE][+-]?\d+)?")
_SPACES = " \t\r\n"


class InvalidLiteral(ValueError):
    """A JSON literal inside a path that even the forgiving reader cannot read."""


def double_text(value: float) -> str:
    """`Double.toString`: `1.0`, `0.001`, `1.0E7`, `1.0E-4`."""
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return format(Decimal(repr(value)), "f")
    mantissa, _, exponent = format(Decimal(repr(value)), "E").partition("E")
    whole, _, fraction = mantissa.partition(".")
    return f"{whole}.{fraction.rstrip('0') or '0'}E{int(exponent)}"


def decimal_of(value: float) -> Decimal:
    """The number as `BigDecimal` reads it back from Java's own print: exact, and 0.1 is 0.1."""
    return Decimal(double_text(value)) if isinstance(value, float) else Decimal(value)


def decimal_in(text: str) -> Decimal | None:
    """The number that `new BigDecimal(text)` makes; None where it refuses the text."""
    return Decimal(text) if _DECIMAL.fullmatch(text) else None


def java_text(value: Json) -> str:
    """`String.valueOf(value)`: `{a=1, b=[2,3]}`; strings stand bare, arrays print as JSON with `/` escaped."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}={java_text(member)}" for name, member in value.items()) + "}"
    if isinstance(value, list):
        return _json_smart(value)
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    return double_text(value) if isinstance(value, float) else str(Decimal(value))


def _json_smart(value: Json) -> str:
    """JSON as json-smart writes it into a text."""
    if isinstance(value, list):
        return f"[{','.join(map(_json_smart, value))}]"
    if isinstance(value, dict):
        members = (f"{_json_smart(name)}:{_json_smart(member)}" for name, member in value.items())
        return f"{{{','.join(members)}}}"
    return encode(value).decode().replace("/", "\\/") if isinstance(value, str) else java_text(value)


def class_name(value: Json) -> str:
    """The Java class that holds the value, as error texts name it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "java.lang.Boolean"
    if isinstance(value, int):
        if -(2**31) <= value < 2**31:
            return "java.lang.Integer"
        return "java.lang.Long" if -(2**63) <= value < 2**63 else "java.math.BigInteger"
    if isinstance(value, float):
        return "java.lang.Double"
    if isinstance(value, str):
        return "java.lang.String"
    return "net.minidev.json.JSONArray" if isinstance(value, list) else "java.util.LinkedHashMap"


def units(text: str) -> int:
    """`String.length()`: UTF-16 units, so that an emoji counts as two."""
    return len(text) if text.isascii() else len(text.encode("utf-16-be", "surrogatepass")) // 2


def before(left: str, right: str) -> bool:
    """`left.compareTo(right) < 0`: by UTF-16 units, which differs from code points beyond U+FFFF."""
    return left.encode("utf-16-be", "surrogatepass") < right.encode("utf-16-be", "surrogatepass")


def equals(left: Json, right: Json) -> bool:
    """`left.equals(right)` for parsed JSON: an Integer never equals a Double, whatever they count."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(equals(value, right[name]) for name, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(equals, left, right))
    return type(left) is type(right) and left == right


def double_value(value: float) -> float:
    """`Number.doubleValue()`: an integer beyond the doubles becomes infinity."""
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def int_value(value: Decimal | float) -> int:
    """`intValue()`: cut off towards zero; a double stops at the bounds of 32 bits, everything else wraps round."""
    if isinstance(value, float):
        return max(-(2**31), min(2**31 - 1, int(max(-1e10, min(1e10, value)))))
    if isinstance(value, Decimal) and value.adjusted() - len(value.as_tuple().digits) >= 31:
        return 0  # a multiple of 10^32, and so of 2^32; written out it could fill the memory
    return (int(value) + 2**31) % 2**32 - 2**31


_ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(u)|(.)|$)", re.DOTALL)


def unescape(text: str) -> str:
    r"""A quoted name or string without its escapes: `\n`, `\u00e9`, and any other character stands for itself.

    Raises:
        InvalidLiteral: `\u` without four hexadecimal digits, or half a surrogate pair: Java would go on with it, but no
            JSON text can hold what comes of it.
    """
    if "\\" not in text:
        return text

    def plain(found: re.Match[str]) -> str:
        digits, unfinished, char = found.groups()
        if unfinished:
            raise InvalidLiteral(r"\u must be followed by four hexadecimal digits")
        if digits:
            return chr(int(digits, 16))
        return _ESCAPES.get(char, char) if char else "\\"

    # Two escapes of a surrogate pair become the one character they mean.
    try:
        return _ESCAPE.sub(plain, text).encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise InvalidLiteral(r"\u with half of a surrogate pair") from None


def read_literal(text: str) -> Json:
    """Reads JSON as json-smart's permissive mode does: `{a:1}`, `['x',]`, `[p1, p 2]` and proper JSON.

    Raises:
        InvalidLiteral: Not even that.
    """
    return _LiteralReader(text).read()


class _LiteralReader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def read(self) -> Json:
        return self._value("", 0)

    def _peek(self) -> str:
        while self.at < len(self.text) and self.text[self.at] in _SPACES:
            self.at += 1
        if self.at >= len(self.text):
            raise InvalidLiteral(f"{self.text}: the literal is not closed")
        return self.text[self.at]

    def _value(self, stops: str, depth: int) -> Json:
        if depth > LITERAL_DEPTH_MAX:
            raise InvalidLiteral(f"the literal is nested more than {LITERAL_DEPTH_MAX} deep")
        first = self._peek()
        if first == "{":
            return self._object(depth)
        if first == "[":
            return self._array(depth)
        if first in "'\"":
            return self._quoted(first)
        return _bare(self._until(stops))

    def _object(self, depth: int) -> Json:
        members: dict[str, Json] = {}
        self.at += 1
        while (char := self._peek()) != "}":
            if char == ",":
                self.at += 1
                continue
            name = self._quoted(char) if char in "'\"" else self._until(":").strip()
            if self._peek() != ":":
                raise InvalidLiteral(f"{self.text}: expected ':' at {self.at}")
            self.at += 1
            members[name] = self._value("},", depth + 1)
        self.at += 1
        return members

    def _array(self, depth: int) -> Json:
        elements: list[Json] = []
        self.at += 1
        while (char := self._peek()) != "]":
            if char == ",":
                self.at += 1
            elif char in "}:":
                raise InvalidLiteral(f"{self.text}: unexpected '{char}' at {self.at}")
            else:
                elements.append(self._value("],", depth + 1))
        self.at += 1
        return elements

    def _quoted(self, quote: str) -> str:
        start = self.at + 1
        end = start
        while end < len(self.text) and self.text[end] != quote:
            end += 2 if self.text[end] == "\\" else 1
        if end >= len(self.text):
            raise InvalidLiteral(f"{self.text}: the string is not closed")
        self.at = end + 1
        return unescape(self.text[start:end])

    def _until(self, stops: str) -> str:
        start = self.at
        while self.at < len(self.text) and self.text[self.at] not in stops:
            self.at += 1
        return self.text[start : self.at]


def _bare(word: str) -> Json:
    word = word.strip(_SPACES)
    if word in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[word]
    if _BARE_NUMBER.fullmatch(word):
        number = Decimal(word)
        return int(number) if word.lstrip("-").isdecimal() else float(number)
    return word
