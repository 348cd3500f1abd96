"""Intrinsic functions as they are written: `States.Format('{} of {}', $.count, States.ArrayLength($.items))`.

A recursive descent over the text; every call becomes one closure. What the functions do is in `intrinsic_functions`.
Whether a function takes so many arguments, and of such types, is found out when it runs (asl.md 2.4, 7.1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.errors import StatesError
from engine.jsonvalue import InvalidJson, decode, text
from engine.query.evaluation import Expression, Growth, constant_growth
from engine.query.intrinsic_functions import FUNCTIONS, Function, Refused, printed, template_parts, wrong_count
from engine.query.jsonpath import InvalidPath, PathError, compile_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.jsonvalue import Json
    from engine.query.evaluation import Evaluate, Scope
    from engine.query.jsonpath import Path

NESTING_MAX = 10
"""Calls inside one another, the outermost included: AWS's limit."""

_SPACE = re.compile(r"[ \t\r\n]*")
_NAME = re.compile(r"States\.[A-Za-z0-9]+(?=\()")
_WORD = re.compile(r"(?:true|false|null)(?![A-Za-z0-9_])")
_NUMBER = re.compile(r"-?[0-9][0-9.eE+-]*")
_PLAIN = re.compile(r"[^'\\]*")
_REGEX = re.compile(r"=~\s*/(?:[^/\\]|\\.)*/", re.DOTALL)
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)


class InvalidIntrinsic(ValueError):
    """Text that is no call of an intrinsic function. `offset` is the character (from 0) where it goes wrong."""

    def __init__(self, reason: str, offset: int) -> None:
        super().__init__(f"{reason} (at character {offset})")
        self.reason = reason
        self.offset = offset


@dataclass(frozen=True, slots=True, kw_only=True)
class Intrinsic(Expression):
    """A compiled call. `function` is the name of the outermost one, a key of FUNCTIONS."""

    function: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Literal(Expression):
    """An argument that stands in the text; `source` of a string is what is between its quotes, escapes still in it."""

    value: Json


def compile_intrinsic(source: str) -> Intrinsic:
    """Compiles a call of an intrinsic function, with nothing before or after it.

    The expression raises, as `located` StatesErrors whose cause quotes the whole of `source`:
        States.IntrinsicFailure: The function cannot work on these arguments.
        States.Runtime: A path among the arguments selects nothing (asl.md 5.3).

    Raises:
        InvalidIntrinsic: The text is no call, names a function that does not exist, or nests too deeply.
    """
    try:
        source.encode()
    except UnicodeEncodeError as error:
        raise InvalidIntrinsic("half a surrogate pair is no character", error.start) from None
    parser = _Parser(source)
    call = parser.call(1)
    if parser.at != len(source):
        raise parser.wrong("expected nothing after the call")
    return call


def empty_when_missing(path: Path) -> Path:
    """The path as an argument or a `.$` field reads it: an indefinite one that finds nothing gives `[]`, not an error.

    Jayway alone fails where a name before the `[*]` or `[1:]` is missing; the service does not (asl.md 5.2, recorded).
    """
    if path.definite:
        return path
    read, names = path.evaluate, path.variables

    def evaluate(data: Json, scope: Scope) -> Json:
        try:
            return read(data, scope)
        except PathError as error:
            if error.missing and names <= scope.variables.keys():
                return []
            raise

    return replace(path, evaluate=evaluate)


class _Parser:
    """Reads one source from left to right; `at` is the next character."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0

    def wrong(self, reason: str) -> InvalidIntrinsic:
        return InvalidIntrinsic(reason, self.at)

    def call(self, depth: int) -> Intrinsic:
        start = self.at
        found = _NAME.match(self.source, start)
        if found is None:
            raise self.wrong("expected a call such as States.Format(...)")
        function = FUNCTIONS.get(found[0])
        if function is None:
            raise self.wrong(f"there is no intrinsic function {found[0]}")
        if depth > NESTING_MAX:
            raise self.wrong(f"calls are nested more than {NESTING_MAX} deep")
        self.at = found.end() + 1
        arguments = self.arguments(depth)
        return Intrinsic(
            source=self.source[start : self.at],
            function=found[0],
            evaluate=_compile_call(found[0], function, arguments, self.source),
            growth=_growth(function, arguments),
            variables=frozenset().union(*(argument.variables for argument in arguments)),
            reads_context=any(argument.reads_context for argument in arguments),
        )

    def arguments(self, depth: int) -> list[Expression]:
        """What stands between the parentheses, and the closing one."""
        arguments: list[Expression] = []
        self.skip_space()
        if self.source.startswith(")", self.at):
            self.at += 1
            return arguments
        while True:
            arguments.append(self.argument(depth))
            self.skip_space()
            sign = self.source[self.at : self.at + 1]
            if sign not in (",", ")"):
                raise self.wrong("expected ',' or ')'")
            self.at += 1
            if sign == ")":
                return arguments
            self.skip_space()

    def skip_space(self) -> None:
        found = _SPACE.match(self.source, self.at)
        assert found is not None, "the pattern matches nothing too"
        self.at = found.end()

    def argument(self, depth: int) -> Expression:
        sign = self.source[self.at : self.at + 1]
        if sign == "'":
            return self.string()
        if sign == "$":
            return self.path()
        if sign == "S":
            return self.call(depth + 1)
        found = _WORD.match(self.source, self.at) or _NUMBER.match(self.source, self.at)
        if found is None:
            raise self.wrong("expected a 'string', a number, true, false, null, a path or a call")
        try:
            value = decode(found[0])
        except InvalidJson as error:
            raise self.wrong(f"{found[0]} is not a number: {error.reason}") from None
        self.at = found.end()
        return _literal(found[0], value)

    def string(self) -> Expression:
        opening = self.at
        pieces: list[str] = []
        self.at += 1
        while True:
            found = _PLAIN.match(self.source, self.at)
            assert found is not None, "the pattern matches nothing too"
            pieces.append(found[0])
            self.at = found.end()
            sign = self.source[self.at : self.at + 2]
            if sign[:1] == "'":
                self.at += 1
                return _literal(self.source[opening + 1 : self.at - 1], "".join(pieces))
            if not sign:
                self.at = opening
                raise self.wrong("the string is not closed")
            if sign not in (r"\'", r"\{", r"\}", r"\\"):
                raise self.wrong(r"only ', {, } and \ may follow a backslash")
            pieces.append(sign[1])
            self.at += 2

    def path(self) -> Expression:
        start = self.at
        self.at = _path_end(self.source, start)
        try:
            return empty_when_missing(compile_path(self.source[start : self.at].rstrip(" \t\r\n")))
        except InvalidPath as error:
            raise InvalidIntrinsic(error.reason, start + error.offset) from None


def _literal(source: str, value: Json) -> _Literal:
    def evaluate(data: Json, scope: Scope) -> Json:
        return value

    return _Literal(source=source, evaluate=evaluate, growth=constant_growth(value), value=value)


def _path_end(source: str, at: int) -> int:
    """Where a path that is an argument ends: at a `,` or `)` that is in no bracket, quote or regular expression.

    Only that; whether what comes before is a path is for the path compiler to say.
    """
    depth = 0
    while at < len(source):
        sign = source[at]
        if sign == "\\":
            at += 2  # `$.a\,b`: asl.md 4.4
            continue
        if depth and (skipped := _QUOTED.match(source, at) or _REGEX.match(source, at)):
            at = skipped.end()
            continue
        if depth == 0 and sign in ",)":
            break
        if sign in "[(":
            depth += 1
        elif sign in "])" and depth:
            depth -= 1
        at += 1
    return min(at, len(source))


def _growth(function: Function, arguments: Sequence[Expression]) -> Growth:
    if not _takes(function, len(arguments)):
        return Growth(0)
    return function.bound([argument.growth for argument in arguments])


def _takes(function: Function, count: int) -> bool:
    return function.arguments_min <= count and (function.arguments_max is None or count <= function.arguments_max)


# ── Closures ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _failure(whole: str, error: Exception, data: Json) -> StatesError:
    """The StatesError for what went wrong in a call; `whole` is the outermost expression, which AWS quotes."""
    if isinstance(error, PathError):
        # All measured (asl.md 5.3): what is missing has words of its own, and a path into the context is then called by
        # one `$` and missing in the state input; what is no array keeps the words of the path engine.
        reason = error.reason
        if error.missing and not reason.startswith("Filter:"):
            path = error.path.removeprefix("$") if error.path.startswith("$$") else error.path
            reason = f"The JsonPath argument for the field '{path}' could not be found in the input '{text(data)}'"
        return StatesError("States.Runtime", f"The function '{whole}' had the following error: {reason}", located=True)
    reason = "the value is nested too deeply" if isinstance(error, RecursionError) else str(error)
    cause = f"The function '{whole}' had the following error: {reason}"
    return StatesError("States.IntrinsicFailure", cause, located=True)


def _compile_call(name: str, function: Function, arguments: Sequence[Expression], whole: str) -> Evaluate:
    count = len(arguments)
    if not _takes(function, count):
        return _refusing(Refused(f"{name} does not take {count} arguments"), whole)
    if name == "States.Format" and isinstance(template := arguments[0], _Literal) and isinstance(template.value, str):
        return _compile_format(template.source, arguments[1:], whole)
    if function.uses_chance:
        return _call_with_chance(function, arguments, whole)
    if count == 1:
        return _call_one(function, arguments[0], whole)
    if count == 2:
        return _call_two(function, arguments[0], arguments[1], whole)
    return _call_many(function, arguments, whole)


def _refusing(error: Refused, whole: str) -> Evaluate:
    def refuse(data: Json, scope: Scope) -> Json:
        raise _failure(whole, error, data)

    return refuse


def _call_one(function: Function, argument: Expression, whole: str) -> Evaluate:
    run, read = function.run, argument.evaluate

    def call(data: Json, scope: Scope) -> Json:
        try:
            return run(read(data, scope))
        except (PathError, Refused, RecursionError) as error:
            raise _failure(whole, error, data) from None

    return call


def _call_two(function: Function, left: Expression, right: Expression, whole: str) -> Evaluate:
    run, first, second = function.run, left.evaluate, right.evaluate

    if isinstance(right, _Literal):  # $.count, 1 in a loop; saves a third of the call
        value = right.value

        def call_with(data: Json, scope: Scope) -> Json:
            try:
                return run(first(data, scope), value)
            except (PathError, Refused, RecursionError) as error:
                raise _failure(whole, error, data) from None

        return call_with

    def call(data: Json, scope: Scope) -> Json:
        try:
            return run(first(data, scope), second(data, scope))
        except (PathError, Refused, RecursionError) as error:
            raise _failure(whole, error, data) from None

    return call


def _call_many(function: Function, arguments: Sequence[Expression], whole: str) -> Evaluate:
    run, reads = function.run, [argument.evaluate for argument in arguments]

    def call(data: Json, scope: Scope) -> Json:
        try:
            return run(*[read(data, scope) for read in reads])
        except (PathError, Refused, RecursionError) as error:
            raise _failure(whole, error, data) from None

    return call


def _call_with_chance(function: Function, arguments: Sequence[Expression], whole: str) -> Evaluate:
    run, reads = function.run, [argument.evaluate for argument in arguments]

    def call(data: Json, scope: Scope) -> Json:
        try:
            return run(scope.chance, *[read(data, scope) for read in reads])
        except (PathError, Refused, RecursionError) as error:
            raise _failure(whole, error, data) from None

    return call


def _compile_format(template: str, arguments: Sequence[Expression], whole: str) -> Evaluate:
    """States.Format whose template is known: taken apart once."""
    try:
        parts = template_parts(template, literal=True)
        if len(parts) != len(arguments) + 1:
            raise wrong_count(parts, len(arguments))
    except Refused as error:
        return _refusing(error, whole)
    pattern = "%s".join(part.replace("%", "%%") for part in parts)
    reads = [argument.evaluate for argument in arguments]

    def call(data: Json, scope: Scope) -> Json:
        try:
            return pattern % tuple([printed(read(data, scope)) for read in reads])
        except (PathError, RecursionError) as error:
            raise _failure(whole, error, data) from None

    return call
