"""Reads Java's regular expressions into a tree. What is done with the tree is in `jsonpath_regex`."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

FLAGS = "dixmsuU"
PATTERN_DEPTH_MAX = 50

# Characters as flat sorted bounds (from, past, from, past, ...): a code with an odd number of them at or below is in.
Bounds: TypeAlias = "tuple[int, ...]"
_END = sys.maxunicode + 1


class InvalidPattern(ValueError):
    """Not a pattern that Java compiles, or one that is unsupported here."""


class Chars(NamedTuple):
    """One character out of a set."""

    bounds: Bounds


class Sequence(NamedTuple):
    """One part after the other."""

    parts: tuple[Node, ...]


class Choice(NamedTuple):
    """Any one of the options."""

    options: tuple[Node, ...]


class Repeat(NamedTuple):
    """A part several times; `most` is None where nothing bounds it."""

    part: Node
    least: int
    most: int | None
    possessive: bool


class Group(NamedTuple):
    """A part in parentheses; `opening` as Python's `re` writes it."""

    opening: str
    part: Node


class Verbatim(NamedTuple):
    """A construct that only `re` knows, as `re` writes it."""

    python: str


Node: TypeAlias = "Chars | Sequence | Choice | Repeat | Group | Verbatim"


def _union(sets: Iterable[Bounds]) -> Bounds:
    ranges = sorted((bounds[i], bounds[i + 1]) for bounds in sets for i in range(0, len(bounds), 2))
    merged: list[int] = []
    for start, past in ranges:
        if merged and start <= merged[-1]:
            merged[-1] = max(merged[-1], past)
        else:
            merged += (start, past)
    return tuple(merged)


def _complement(bounds: Bounds) -> Bounds:
    start = bounds[1:] if bounds[:1] == (0,) else (0, *bounds)
    return start[:-1] if start[-1] == _END else (*start, _END)


def _intersection(left: Bounds, right: Bounds) -> Bounds:
    return _complement(_union((_complement(left), _complement(right))))


def _of(chars: str) -> Bounds:
    return _union((ord(char), ord(char) + 1) for char in chars)


_DIGIT, _LOWER, _UPPER = (48, 58), (97, 123), (65, 91)
_ALPHA = _union((_LOWER, _UPPER))
_ALNUM = _union((_ALPHA, _DIGIT))
_WORD = _union((_ALNUM, _of("_")))
_SPACE = _of(" \t\n\x0b\f\r")
_LINE_ENDS = _of("\n\r\x85\u2028\u2029")
_GRAPH = (33, 127)
_POSIX = {
    "Lower": _LOWER,
    "Upper": _UPPER,
    "ASCII": (0, 128),
    "Alpha": _ALPHA,
    "Digit": _DIGIT,
    "Alnum": _ALNUM,
    "Punct": _intersection(_GRAPH, _complement(_ALNUM)),
    "Graph": _GRAPH,
    "Print": (32, 127),
    "Blank": _of(" \t"),
    "Cntrl": (0, 32, 127, 128),
    "XDigit": _union((_DIGIT, (65, 71), (97, 103))),
    "Space": _SPACE,
}
_CLASSES = {
    "d": _DIGIT,
    "w": _WORD,
    "s": _SPACE,
    "h": _union((_of(" \t\xa0\u1680\u180e\u202f\u205f\u3000"), (0x2000, 0x200B))),
    "v": _of("\n\x0b\f\r\x85\u2028\u2029"),
}
_CATEGORIES_OF = {"d": ("Nd",), "w": ("L", "M", "Nd", "Pc"), "s": ("Z",)}
_SIMPLE_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b"}
_NEW_LINE = r"[\n\r\x85\u2028\u2029]"


@lru_cache(64)
def _category(name: str) -> Bounds:
    codes = (code for code in range(_END) if unicodedata.category(chr(code)).startswith(name))
    return _union((code, code + 1) for code in codes)


class _Parser:
    def __init__(self, pattern: str, flags: str) -> None:
        self.pattern = pattern
        self.at = 0
        self.flags = set(flags)
        self.depth = 0

    def parse(self) -> Node:
        node = self._choice()
        if self.at < len(self.pattern):
            raise self._wrong("unmatched ')'")
        return node

    def _wrong(self, reason: str) -> InvalidPattern:
        return InvalidPattern(f"/{self.pattern}/: {reason} at {self.at}")

    def _peek(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise self._wrong("the pattern ends too early")
        self.at += 1
        return char

    def _accept(self, text: str) -> bool:
        if self.pattern.startswith(text, self.at):
            self.at += len(text)
            return True
        return False

    def _choice(self) -> Node:
        self.depth += 1
        if self.depth > PATTERN_DEPTH_MAX:
            raise self._wrong(f"groups are nested more than {PATTERN_DEPTH_MAX} deep")
        flags = set(self.flags)
        options = [self._sequence()]
        while self._accept("|"):
            options.append(self._sequence())
        self.flags = flags  # `(?i)` holds until the end of the group it stands in
        self.depth -= 1
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self) -> Node:
        parts: list[Node] = []
        while (char := self._peek()) and char not in "|)":
            if "x" in self.flags and (char.isspace() or char == "#"):
                self._skip_comment(char)
                continue
            atom = self._atom()
            if atom is not None:
                parts.append(self._repeated(atom))
        return Sequence(tuple(parts))

    def _skip_comment(self, char: str) -> None:
        self.at += 1
        if char == "#":
            while self._peek() not in ("", "\n"):
                self.at += 1

    def _repeated(self, atom: Node) -> Node:
        while (char := self._peek()) and char in "*+?{":
            self.at += 1
            if char == "{":
                counts = re.compile(r"(\d{1,9})(,(\d{1,9})?)?\}").match(self.pattern, self.at)
                if not counts:
                    raise self._wrong("illegal repetition")
                self.at = counts.end()
                least = int(counts[1])
                most = int(counts[3]) if counts[3] else None if counts[2] else least
                if most is not None and most < least:
                    raise self._wrong("illegal repetition range")
            else:
                least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}[char]
            possessive = self._accept("+")
            if not possessive:
                self._accept("?")  # lazy or greedy: the same texts match as a whole
            atom = Repeat(atom, least, most, possessive)
            if (char := self._peek()) and char in "*+?{":
                raise self._wrong(f"dangling '{char}'")
        return atom

    def _atom(self) -> Node | None:
        char = self._take()
        if char == "(":
            return self._group()
        if char == "[":
            return Chars(self._class())
        if char == ".":
            excluded = () if "s" in self.flags else _of("\n") if "d" in self.flags else _LINE_ENDS
            return Chars(_complement(excluded) if excluded else (0, _END))
        if char == "^":
            return Verbatim(rf"(?:\A|(?<={_NEW_LINE}))" if "m" in self.flags else r"\A")
        if char == "$":
            return Verbatim(rf"(?={_NEW_LINE}|\Z)" if "m" in self.flags else rf"(?={_NEW_LINE}?\Z)")
        if char in "*+?{":
            raise self._wrong(f"dangling '{char}'")
        if char == "\\":
            return self._escape()
        return Chars(self._cased(_of(char)))

    def _group(self) -> Node | None:
        opening = "("
        flags = set(self.flags)
        if self._accept("?"):
            if name := re.compile(r"<([A-Za-z][A-Za-z0-9]*)>").match(self.pattern, self.at):
                self.at = name.end()
                opening = f"(?P<{name[1]}>"
            elif sign := next((s for s in (":", "=", "!", "<=", "<!", ">") if self._accept(s)), None):
                opening = f"(?{sign}"
            elif not self._inline_flags():
                return None
            else:
                opening = "(?:"
        node = self._choice()
        if not self._accept(")"):
            raise self._wrong("unclosed group")
        if opening == "(?:":
            self.flags = flags
        return Group(opening, node)

    def _inline_flags(self) -> bool:
        """Reads `i-s)` or `i-s:` and sets the flags; whether a group's content follows."""
        found = re.compile(rf"([{FLAGS}]*)(?:-([{FLAGS}]*))?([):])").match(self.pattern, self.at)
        if not found:
            raise self._wrong("unknown group")
        self.at = found.end()
        self.flags = (self.flags | set(found[1])) - set(found[2] or "")
        return found[3] == ":"

    def _escape(self) -> Node | None:
        if self._accept("Q"):
            end = self.pattern.find("\\E", self.at)
            quoted = self.pattern[self.at : end] if end >= 0 else self.pattern[self.at :]
            self.at = end + 2 if end >= 0 else len(self.pattern)
            return Sequence(tuple(Chars(self._cased(_of(char))) for char in quoted))
        char = self._peek()
        anchors = {"A": r"\A", "z": r"\Z", "Z": rf"(?={_NEW_LINE}?\Z)", "b": r"\b", "B": r"\B"}
        if char in anchors:
            self.at += 1
            return Verbatim(anchors[char])
        if char in "123456789" and char:
            self.at += 1
            return Verbatim(f"(?:\\{char})")
        if self._accept("R"):
            return Choice((Sequence((Chars(_of("\r")), Chars(_of("\n")))), Chars(_CLASSES["v"])))
        if named := re.compile(r"k<(\w+)>").match(self.pattern, self.at):
            self.at = named.end()
            return Verbatim(f"(?P={named[1]})")
        return Chars(self._escaped_chars())

    def _escaped_chars(self) -> Bounds:
        """After a backslash, where a class or one character is meant; inside brackets as well as outside."""
        char = self._take()
        if char.lower() in _CLASSES and char != "":
            bounds = _CLASSES[char.lower()]
            if "U" in self.flags and char.lower() in _CATEGORIES_OF:
                bounds = _union((*map(_category, _CATEGORIES_OF[char.lower()]), bounds))
            return bounds if char.islower() else _complement(bounds)
        if char in "pP":
            return self._property(negated=char == "P")
        return self._cased(_of(self._escaped_char(char)))

    def _escaped_char(self, char: str) -> str:
        if char in _SIMPLE_ESCAPES:
            return _SIMPLE_ESCAPES[char]
        for start, digits, base in (
            ("x", r"\{([0-9A-Fa-f]{1,6})\}|([0-9A-Fa-f]{2})", 16),
            ("u", r"([0-9A-Fa-f]{4})", 16),
            ("0", r"([0-3]?[0-7]{1,2})", 8),
        ):
            if char == start:
                found = re.compile(digits).match(self.pattern, self.at)
                code = int(next(filter(None, found.groups())), base) if found else _END
                if not found or code >= _END:
                    raise self._wrong(f"illegal escape \\{char}")
                self.at = found.end()
                return chr(code)
        if char == "c":
            return chr(ord(self._take()) ^ 64)
        if char.isascii() and char.isalnum():
            raise self._wrong(f"\\{char} is not an escape, or is unsupported")
        return char

    def _property(self, *, negated: bool) -> Bounds:
        found = re.compile(r"\{(\w+)\}|(\w)").match(self.pattern, self.at)
        name = (found[1] or found[2]) if found else ""
        if found and name in _POSIX:
            bounds = self._cased(_POSIX[name])
        elif found and re.fullmatch(r"[LMNPSZC][a-z]?", name) and _category(name):
            bounds = _category(name)
        else:
            raise self._wrong(f"\\p{{{name}}} is not a character property, or is unsupported")
        self.at = found.end()
        return _complement(bounds) if negated else bounds

    def _class(self) -> Bounds:
        self.depth += 1
        if self.depth > PATTERN_DEPTH_MAX:
            raise self._wrong(f"classes are nested more than {PATTERN_DEPTH_MAX} deep")
        negated = self._accept("^")
        whole: Bounds | None = None
        members: list[Bounds] = []
        first = True
        while (char := self._take()) != "]" or first:
            first = False
            if char == "[":
                members.append(self._class())
            elif char == "&" and self._accept("&"):
                whole = self._meet(whole, members)
                members = []
            else:
                members.append(self._class_member(char))
        bounds = self._meet(whole, members)
        self.depth -= 1
        return (_complement(bounds) if bounds else (0, _END)) if negated else bounds

    @staticmethod
    def _meet(whole: Bounds | None, members: list[Bounds]) -> Bounds:
        if whole is None or not members:
            return whole if whole is not None else _union(members)
        return _intersection(whole, _union(members)) if whole else ()

    def _class_member(self, char: str) -> Bounds:
        bounds = self._escaped_chars() if char == "\\" else _of(char)
        single = bounds[0] if len(bounds) == 2 and bounds[1] == bounds[0] + 1 else None
        if char == "\\" and single is None:
            return bounds
        start = bounds[0]
        if self._peek() == "-" and self.pattern[self.at + 1 : self.at + 2] not in ("]", "[", ""):
            self.at += 1
            last = self._take()
            end = ord(self._escaped_char(self._take()) if last == "\\" else last)
            if end < start:
                raise self._wrong("illegal character range")
            return self._cased((start, end + 1))
        return self._cased(bounds)

    def _cased(self, bounds: Bounds) -> Bounds:
        if "i" not in self.flags:
            return bounds
        if "u" not in self.flags and "U" not in self.flags:
            lower, upper = _intersection(bounds, _LOWER), _intersection(bounds, _UPPER)
            return _union((bounds, tuple(code - 32 for code in lower), tuple(code + 32 for code in upper)))
        twins = {
            twin
            for i in range(0, len(bounds), 2)
            for code in range(bounds[i], bounds[i + 1])
            for twin in (chr(code).lower(), chr(code).upper())
            if len(twin) == 1
        }
        return _union((bounds, _of("".join(twins))))


def parse_pattern(pattern: str, flags: str) -> Node:
    """Reads a Java pattern.

    Args:
        pattern: What stands between the slashes.
        flags: Letters of `FLAGS`, as after the closing slash.

    Raises:
        InvalidPattern: Java would refuse it, or it is unsupported (`engine.query.jsonpath_regex`).
    """
    return _Parser(pattern, flags).parse()
