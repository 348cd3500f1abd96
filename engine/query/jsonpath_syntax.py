r"""Reads the text of a JSONPath into its steps, with Jayway's grammar down to what it tolerates by accident.

Jayway 2.10 looks ahead by characters, and so does this: a lone last character is never looked at (`$.a[` is `$.a`), a
dot before a bracket is allowed, a function that is not the last step leaves its `)` behind as a name. One thing
differs on purpose: a backslash before a special character of a dotted name takes it literally (`$.a\.b`), as the
states language's specification says.
"""

from __future__ import annotations

from typing import Literal

from engine.query.jsonpath_filters import closing_bracket, read_filter
from engine.query.jsonpath_java import InvalidLiteral, unescape
from engine.query.jsonpath_steps import (
    DEPTH_MAX,
    Deep,
    Filter,
    Function,
    Indexes,
    InvalidPath,
    Names,
    Selection,
    Slice,
    Step,
    Wildcard,
    selection_of,
)


def read_path(text: str, *, offset: int = 0, depth: int = 0) -> Selection:
    """Reads a path that starts with `$` or `@`.

    Args:
        text: The path; spaces around it are ignored.
        offset: Where `text` starts in what the user wrote, for messages.
        depth: How many paths it is nested in.

    Raises:
        InvalidPath: As Jayway raises its exception of that name when it compiles.
    """
    start = len(text) - len(text.lstrip(" "))
    path = text.strip(" ")
    if not path:
        raise InvalidPath("a path must not be empty", offset)
    if path.endswith("."):
        raise InvalidPath("a path must not end with '.'", offset + start + len(path) - 1)
    return _PathReader(path, offset + start, depth).read()


class _PathReader:
    def __init__(self, text: str, offset: int, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise InvalidPath(f"paths and filters are nested more than {DEPTH_MAX} deep", offset)
        self.text = text
        self.offset = offset
        self.depth = depth
        self.at = 0
        self.steps: list[Step] = []

    def read(self) -> Selection:
        root: Literal["$", "@"] = "@" if self.text.startswith("@") else "$"
        if not self.text.startswith(root):
            raise self._wrong("a path must start with '$'")
        if len(self.text) > 1:
            self.at = 1
            if self._char() not in ".[":
                raise self._wrong("expected '.' or '['")
            self._read_steps()
        return selection_of(root, tuple(self.steps))

    def _read_steps(self) -> None:
        while True:
            char = self._char()
            if char == ".":
                self._read_dots()
                continue  # something must follow a dot
            if char == "[":
                self._read_bracket()
            elif char == "*":
                self.steps.append(Wildcard())
                self.at += 1
            else:
                self._read_name()
            if self.at + 1 >= len(self.text):
                return

    # -- characters --

    def _wrong(self, reason: str, at: int | None = None) -> InvalidPath:
        return InvalidPath(reason, self.offset + (self.at if at is None else at))

    def _char(self, at: int | None = None) -> str:
        at = self.at if at is None else at
        if at >= len(self.text):
            raise self._wrong("the path ends too early", at)
        return self.text[at]

    def _after_spaces(self, at: int) -> int:
        at += 1
        while at < len(self.text) and self.text[at] == " ":
            at += 1
        return at

    def _next(self, at: int) -> str:
        """The next character after `at` that is no space, or a space at the end."""
        at = self._after_spaces(at)
        return self.text[at] if at < len(self.text) else " "

    # -- after dots --

    def _read_dots(self) -> None:
        if self.text.startswith("..", self.at):
            self.steps.append(Deep())
            self.at += 2
        else:
            self.at += 1
        if self._char() == ".":
            raise self._wrong("a name, '*' or '[' must follow")

    def _read_name(self) -> None:
        if self._char() == " ":
            raise self._wrong("unexpected space")
        name, at = "", self.at
        while at < len(self.text) and self.text[at] not in ".[(":
            if self.text[at] == " ":
                raise self._wrong("a name with spaces needs the bracket notation ['my name']", at)
            if self.text[at] == "\\" and self.text[at + 1 : at + 2] and not self.text[at + 1].isalnum():
                at += 1
            name += self.text[at]
            at += 1
        if at < len(self.text) and self.text[at] == "(":
            self._read_function(name, at)
        else:
            self.steps.append(Names((name,)))
            self.at = at

    # -- functions --

    def _read_function(self, name: str, opening: int) -> None:
        opened = 0
        for at in range(opening, len(self.text)):
            opened += {"(": 1, ")": -1}.get(self.text[at], 0)
            if opened == 0:
                break
        else:
            raise self._wrong(f"the arguments of {name}() are not closed", opening)
        if self.text[opening + 1] == ")":
            self.steps.append(Function(name, None))
            self.at = opening + 1
        else:
            self.at = opening + 1
            self.steps.append(Function(name, self._read_arguments(name)))

    def _read_arguments(self, name: str) -> tuple[Selection | str, ...]:
        """Cuts the arguments at commas outside brackets and double quotes.

        What starts with neither `{`, `"`, `-`, a digit, `$` nor `@` is skipped in silence (`'a'`, `[1]`, `true`).
        """
        arguments: list[Selection | str] = []
        opened = {"(": 1, "[": 0, "{": 0, '"': 0}
        closes = {")": "(", "]": "[", "}": "{"}
        kind = argument = before = ""
        while self.at < len(self.text):
            char = self.text[self.at]
            self.at += 1
            if not kind:
                if char in " \t\r\n":
                    continue
                kind = "json" if char in '{"-' or char.isdecimal() else "path" if char in "$@" else ""
            if char == '"':
                opened['"'] += -1 if before != "\\" and opened['"'] > 0 else 1
            elif char in opened:
                opened[char] += 1
            elif char in closes:
                if char != ")" and opened[closes[char]] == 0:
                    raise self._wrong(f"unexpected '{char}'", self.at - 1)
                opened[closes[char]] -= 1
                if char == ")" and (opened["("] < 0 or before == "("):
                    argument += char
            bare = not opened["{"] and not opened["["] and opened["("] <= 1
            if char in ",)" and bare and not opened['"'] and (opened["("] == 1 or char == ")"):
                if kind:
                    arguments.append(self._argument(kind, argument))
                kind = argument = ""
                if opened["("] == 0:
                    return tuple(arguments)
            elif kind and not (char == "," and bare):  # a comma in a string is lost
                argument += char
            before = char
        if opened["("] or opened["["] or opened["{"]:
            raise self._wrong(f"the arguments of {name}() are not closed")
        return tuple(arguments)  # a quote was left open, and took the last argument with it

    def _argument(self, kind: str, text: str) -> Selection | str:
        if kind == "json":
            return text
        return _PathReader(text, self.offset + self.at - len(text) - 1, self.depth + 1).read()

    # -- brackets --

    def _read_bracket(self) -> None:
        following = self._next(self.at)
        if following in "'\"":
            self._read_quoted_names(following)
        elif (following.isdecimal() or following in "-:") and self._read_numbers():
            return
        elif following == "*":
            star = self._after_spaces(self.at)
            if self._next(star) != "]":
                raise self._wrong("expected ']' after '*'", star + 1)
            self.steps.append(Wildcard())
            self.at = self._after_spaces(star) + 1
        elif following == "?":
            self._read_filter()
        else:
            raise self._wrong("expected a quoted name, a number, '*' or '?(...)' in brackets")

    def _read_quoted_names(self, quote: str) -> None:
        names: list[str] = []
        at = start = end = self.at + 1
        inside = after_comma = False
        while at < len(self.text):
            char = self.text[at]
            if char == "\\":
                at += 1
            elif char == quote and inside:
                if self._next(at) not in "],":
                    raise self._wrong("expected ',' or ']' after a quoted name", at)
                names.append(self._unescaped(start, at))
                inside, end = False, at
            elif char == quote:
                start, inside, after_comma = at + 1, True, False
            elif char in "],":
                if after_comma and not inside:
                    raise self._wrong("a quoted name is missing", at)
                if char == "]" and not inside:
                    break
                after_comma = not inside
            at += 1
        if inside or not names or self._next(end) != "]":
            raise self._wrong(f"the name is not closed with {quote} and ]")
        self.steps.append(Names(tuple(names), quote))
        self.at = self._after_spaces(end) + 1

    def _unescaped(self, start: int, end: int) -> str:
        try:
            return unescape(self.text[start:end])
        except InvalidLiteral as error:
            raise self._wrong(str(error), start) from None

    def _read_numbers(self) -> bool:
        closing = self.text.find("]", self.at)
        numbers = self.text[self.at + 1 : closing].strip()
        if closing < 0 or not all(char.isdecimal() or char in "-,: " for char in numbers):
            raise self._wrong("expected a quoted name, a number, '*' or '?(...)' in brackets")
        if ":" in numbers:
            if " " in numbers or "," in numbers:
                raise self._wrong(f"{numbers}: expected a slice such as 1:3")
            parts = [self._integer(part) if part else None for part in numbers.split(":")[:2]]
            if parts == [None, None]:
                raise self._wrong("a slice needs a number")
            self.steps.append(Slice(parts[0], parts[1]))
        else:
            self.steps.append(Indexes(tuple(self._integer(part.strip()) for part in numbers.split(","))))
        self.at = closing + 1
        return True

    def _integer(self, digits: str) -> int:
        number = int(digits) if digits.removeprefix("-").isdecimal() and len(digits) < 20 else None
        if number is None or not -(2**31) <= number < 2**31:
            raise self._wrong(f"{digits or 'nothing'}: expected an integer of 32 bits")
        return number

    def _read_filter(self) -> None:
        opening = self._after_spaces(self._after_spaces(self.at))
        if self._char(opening) != "(":
            raise self._wrong("expected '(' after '?'", opening)
        closing = closing_bracket(self.text, opening, len(self.text), self._wrong, skip_regex=True)
        if closing < 0 or self._next(closing) != "]":
            raise self._wrong("the filter is not closed with ')]'", opening)
        self.steps.append(
            Filter(read_filter(self.text[opening : closing + 1], self.offset + opening, self.depth + 1, read_path))
        )
        self.at = self._after_spaces(closing) + 1
