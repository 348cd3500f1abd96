"""Filters, `[?(...)]`: read into a predicate, with Jayway's grammar and its operators' habits.

    or       = and { "||" and }                 and     = operand { "&&" operand }
    operand  = relation | "(" or ")" | "!" operand      relation = value [ operator value ]
    value    = path | 'text' | "text" | number | true | false | null | JSON | /pattern/flags

What an operator does with kinds it does not fit is Jayway's: some compare as text, some answer false, some reject the
item whatever the rest of the filter says (`Rejected`), and some end the whole evaluation (`JsonPathException`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from engine.query.jsonpath_java import InvalidLiteral, decimal_in, unescape
from engine.query.jsonpath_operators import OPERATORS, JsonText, Pattern
from engine.query.jsonpath_pattern import FLAGS, InvalidPattern
from engine.query.jsonpath_regex import compile_pattern
from engine.query.jsonpath_steps import DEPTH_MAX, InvalidPath, Selection

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.query.jsonpath_operators import Value
    from engine.query.jsonpath_steps import Accepts

_OPERATOR_CHARS = "<>=~!"


class _Broken(InvalidPath):
    """A fault after which Jayway does not try to read the expression as a mere test for existence."""


class _Operand(NamedTuple):
    value: Value | Selection
    negated: bool = False


def closing_bracket(
    text: str, opening: int, end: int, wrong: Callable[[str, int], InvalidPath], *, skip_regex: bool
) -> int:
    """The index of the bracket that closes the one at `opening`, quotes and patterns left out; -1 for none."""
    opener = text[opening]
    closer = {"(": ")", "[": "]", "{": "}"}[opener]
    quotes = "'\"/" if skip_regex else "'\""
    opened = 1
    at = opening + 1
    while at < end:
        # After a quoted piece the character behind it is taken as it is, even if it is a quote.
        for group in (quotes[:2], quotes[2:]):
            if at < end and text[at] in group:
                closing = closing_quote(text, at, end)
                if closing < 0:
                    raise wrong(f"{text[at]} is not closed", at)
                at = closing + 1
        if at >= end:
            break
        opened += (text[at] == opener) - (text[at] == closer)
        if opened == 0:
            return at
        at += 1
    return -1


def closing_quote(text: str, opening: int, end: int) -> int:
    """The index of the next character like the one at `opening` that no backslash precedes; -1 when there is none."""
    at = opening + 1
    while at < end:
        if text[at] == "\\":
            at += 1
        elif text[at] == text[opening]:
            return at
        at += 1
    return -1


def read_filter(text: str, offset: int, depth: int, read_path: Callable[..., Selection]) -> Accepts:
    """Compiles `(...)` of `[?(...)]` to a predicate.

    Args:
        text: From the opening parenthesis to its closing one.
        offset: Where `text` starts in what the user wrote.
        depth: How many paths and parentheses it is nested in.
        read_path: `engine.query.jsonpath_syntax.read_path`; passed in because paths and filters contain each other.

    Raises:
        InvalidPath: As Jayway refuses the path when it compiles.
    """
    reader = _FilterReader(text, offset, depth, read_path)
    accepts = reader.read_or()
    reader.skip_spaces()
    if reader.at < len(text):
        raise reader.wrong("the filter should end here")
    return accepts


class _FilterReader:
    def __init__(self, text: str, offset: int, depth: int, read_path: Callable[..., Selection]) -> None:
        self.text = text
        self.offset = offset
        self.depth = depth
        self.read_path = read_path
        self.at = 0

    # -- characters --

    def wrong(self, reason: str, at: int | None = None) -> InvalidPath:
        return InvalidPath(reason, self.offset + (self.at if at is None else at))

    def _broken(self, reason: str, at: int) -> _Broken:
        return _Broken(reason, self.offset + at)

    def _char(self) -> str:
        if self.at >= len(self.text):
            raise self._broken("the filter ends too early", self.at)
        return self.text[self.at]

    def skip_spaces(self) -> None:
        while self.at < len(self.text) and self.text[self.at] == " ":
            self.at += 1

    def _accept(self, word: str) -> bool:
        start = self.at
        self.skip_spaces()
        if self.text.startswith(word, self.at):
            self.at += len(word)
            return True
        self.at = start
        return False

    # -- logic --

    def read_or(self) -> Accepts:
        self.depth += 1
        if self.depth > DEPTH_MAX:
            raise self._broken(f"paths and filters are nested more than {DEPTH_MAX} deep", self.at)
        options = [self._read_and()]
        while self._accept("||"):
            options.append(self._read_and())
        self.depth -= 1
        return options[0] if len(options) == 1 else lambda item, lookups: any(o(item, lookups) for o in options)

    def _read_and(self) -> Accepts:
        operands = [self._read_operand()]
        while self._accept("&&"):
            operands.append(self._read_operand())
        return operands[0] if len(operands) == 1 else lambda item, lookups: all(o(item, lookups) for o in operands)

    def _read_operand(self) -> Accepts:
        bangs = 0
        while self._accept("!"):
            bangs += 1
        self.skip_spaces()
        if bangs and self._char() in "$@":
            bangs -= 1
            self.at = self.text.rindex("!", 0, self.at)  # the last one belongs to the path: it must not exist
        if self._accept("("):
            accepts = self.read_or()
            if not self._accept(")"):
                raise self.wrong("expected ')'")
        else:
            accepts = self._read_relation()
        return (lambda item, lookups: not accepts(item, lookups)) if bangs % 2 else accepts

    def _read_relation(self) -> Accepts:
        left = self._read_value()
        start = self.at
        try:
            operator = self._read_operator()
            right = self._read_value()
        except _Broken:
            raise
        except InvalidPath:
            self.at = start
            return self._existence(left)
        return _relation(left.value, operator, right.value)

    def _existence(self, operand: _Operand) -> Accepts:
        path, negated = operand
        if not isinstance(path, Selection):
            raise self.wrong("expected a comparison, or a path that may exist")
        return lambda item, lookups: lookups.exists(path, item) is not negated

    def _read_operator(self) -> str:
        self.skip_spaces()
        start = self.at
        symbolic = self._char() in _OPERATOR_CHARS
        while self.at < len(self.text) and (
            self.text[self.at] in _OPERATOR_CHARS if symbolic else self.text[self.at] != " "
        ):
            self.at += 1
        name = self.text[start : self.at].upper()
        if name not in OPERATORS:
            raise self.wrong(f"{name.lower()} is not an operator", start)
        return name

    # -- values --

    def _read_value(self) -> _Operand:
        self.skip_spaces()
        char = self._char()
        if char == "!":
            self.at += 1
            self.skip_spaces()
            if self._char() not in "$@":
                raise self.wrong("unexpected '!'", self.at - 1)
            return _Operand(self._read_path(), negated=True)
        if char in "$@":
            return _Operand(self._read_path())
        if char in "'\"":
            return _Operand(self._read_string())
        for word, constant in (("true", True), ("false", False), ("null", None)):
            if char == word[0]:
                if not self.text.startswith(word, self.at):
                    raise self.wrong(f"expected {word}")
                self.at += len(word)
                return _Operand(constant)
        if char in "[{":
            return _Operand(self._read_json())
        if char == "/":
            return _Operand(self._read_pattern())
        return _Operand(self._read_number())

    def _read_string(self) -> str:
        closing = closing_quote(self.text, self.at, len(self.text))
        if closing < 0:
            raise self.wrong("the text is not closed")
        start, self.at = self.at + 1, closing + 1
        try:
            return unescape(self.text[start:closing])
        except InvalidLiteral as error:
            raise self._broken(str(error), start) from None

    def _read_json(self) -> JsonText:
        closing = closing_bracket(self.text, self.at, len(self.text), self.wrong, skip_regex=False)
        if closing < 0:
            raise self.wrong("the JSON value is not closed")
        start, self.at = self.at, closing + 1
        return JsonText(self.text[start : self.at])

    def _read_pattern(self) -> Pattern:
        closing = closing_quote(self.text, self.at, len(self.text))
        if closing < 0:
            raise self.wrong("the pattern is not closed with '/'")
        start, self.at = self.at + 1, closing + 1
        while self.at < len(self.text) and self.text[self.at] in FLAGS:
            self.at += 1
        try:
            return Pattern(compile_pattern(self.text[start:closing], self.text[closing + 1 : self.at]))
        except InvalidPattern as error:
            raise self._broken(str(error), start) from None

    def _read_number(self) -> Value:
        start = self.at
        while self.at < len(self.text) and (self.text[self.at].isdecimal() or self.text[self.at] in "-.eE"):
            self.at += 1
        number = decimal_in(self.text[start : self.at])
        if number is None:
            raise self._broken("expected a value", start)
        return number

    def _read_path(self) -> Selection:
        """Cuts out the path: up to a space, an operator, or a parenthesis that closes no function."""
        start = self.at
        self.at += 1
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                closing = closing_bracket(self.text, self.at, len(self.text), self.wrong, skip_regex=False)
                if closing < 0:
                    raise self.wrong("the bracket is not closed")
                self.at = closing + 1
            char = self._char()
            if char in _OPERATOR_CHARS or char == " " or (char == ")" and not self._closes_function(start)):
                break
            self.at += 1
        try:
            return self.read_path(self.text[start : self.at], offset=self.offset + start, depth=self.depth)
        except _Broken as error:
            raise InvalidPath(error.reason, error.offset) from None

    def _closes_function(self, start: int) -> bool:
        before = self.text[start : self.at].rstrip(" ")
        return before.endswith("(") and "." in before[1:-1]


def _relation(left: Value | Selection, name: str, right: Value | Selection) -> Accepts:
    operate = OPERATORS[name]
    if isinstance(left, Selection):
        path = left
        if isinstance(right, Selection):
            other = right
            return lambda item, lookups: operate(lookups.value(path, item), lookups.value(other, item), lookups)
        return lambda item, lookups: operate(lookups.value(path, item), right, lookups)
    if isinstance(right, Selection):
        other = right
        return lambda item, lookups: operate(left, lookups.value(other, item), lookups)
    return lambda item, lookups: operate(left, right, lookups)
