"""The one place that touches the JSONata library (jlens): programs, limits, and what its errors mean to the service.

A fallback must offer what `Evaluate` says and raise errors with `code` and `token`. Data is passed as *input*, which
the library reads lazily (3 us for 256 KiB); passed as bindings it would be converted whole (2.6 ms). The input is
therefore an object of the variables, and every program begins by binding them: `($states := $.states; ...)`. An
expression that reads the context item all the same (`$uppercase()`, `$$` in a predicate) gets its variables as bindings
and no input, so that the context is undefined, as at the service.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias

import jlens

from engine.errors import PayloadTooLarge
from engine.query import jsonata_functions, jsonata_syntax
from engine.query.jsonata_functions import JsonataError
from engine.query.jsonata_paths import UNDEFINED, Nothing

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from engine.jsonvalue import Json
    from engine.query.evaluation import Scope
    from engine.query.jsonata_functions import HostFunction


class Evaluate(Protocol):
    """How a compiled expression is evaluated: as `jlens.Expression.evaluate`. None is null or undefined."""

    def __call__(
        self,
        input: Any,
        bindings: dict[str, Any] | None,
        *,
        timeout: float,
        max_depth: int,
        max_string_length: int,
        max_array_length: int,
        max_result_size: int,
        now: int,
        seed: int,
    ) -> Any:
        """The result of the expression against `input`; `now` in milliseconds, `timeout` in seconds."""
        ...


class Limits(NamedTuple):
    """What one evaluation may take, as measured at the service (spec 8.4); passing a limit fails the expression.

    The library counts depth as the service does: `1+1+...` passes with 100 terms, parentheses with 99.
    """

    seconds: float = 1.0
    depth: int = 100
    array_items: int = 873_782
    string_bytes: int = (1 << 23) - 1


LIMITS: Final = Limits()

# With the payload limit off something still has to end `[1..800000].$pad("x", 1000)`.
RESULT_BYTES_MAX: Final = 64 << 20

# What the service says. Only the memory text is recorded word by word; the other two are those of the reference
# implementation's test suite, which the service's documentation quotes in part.
_LIMIT_TEXTS: Final = {
    "U1001": jsonata_functions.MEMORY_EXCEEDED,
    "D1011": "Stack overflow error: Check for non-terminating recursive function.  "
    "Consider rewriting as tail-recursive",
    "D1012": "Expression evaluation timeout: Check for infinite loop",
}

# All that an evaluation can raise: the library's own; ours, which pass through it; and what it raises for values it
# cannot hold, such as objects nested 1,000 deep or a function in the answer of a function of ours.
FAILURES: Final = (jlens.JlensError, JsonataError, ValueError, TypeError)

# The block around a program, the object in it, and the block around an expression: levels that are not the user's.
_WRAPPING_LEVELS: Final = 3


class SyntaxFault(Exception):
    """The expression does not parse. `offset` counts characters from its start."""

    def __init__(self, message: str, offset: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


class Reads(NamedTuple):
    """What an expression reads: variables that are no functions, members of `$states` (None: all), the context item."""

    variables: frozenset[str]
    members: frozenset[str] | None
    context_item: bool


def _compiled(source: str, functions: Mapping[str, HostFunction]) -> jlens.Expression:
    try:
        program = jlens.Expression(source)
    except jlens.JlensError as error:
        raise SyntaxFault(_message(error), error.start) from None
    for name, function in functions.items():
        program.register_function(name, function.call, function.signature)
    return program


def reads(source: str) -> Reads:
    """What the expression reads, from an analysis of its text.

    Raises:
        SyntaxFault: It does not parse.
    """
    found = _compiled(source, jsonata_functions.FUNCTIONS).reads()
    names = frozenset(found["bindings"])
    states = found["bindings"].get("states", {})
    return Reads(
        names.difference(("states",), jsonata_functions.FUNCTIONS),
        frozenset(states) if isinstance(states, dict) else None,
        "input" in found,  # also for `$eval`, which may read anything
    )


def _block(source: str) -> str:
    """The expression in a scope of its own. Behind a bracket the grammar takes a slash for a division, not a regex."""
    return f"(0; {source})" if source.startswith("/") else f"({source})"


Run: TypeAlias = "Callable[[Json, dict[str, Json] | None, Scope], dict[str, Json]]"
"""(input, bindings, where) -> the members that are neither undefined nor functions; `failure` reads what it raises."""


class Program:
    """An object constructor with expressions as its members: what compiles; `run` evaluates it within limits."""

    def __init__(
        self,
        members: Mapping[str, str],
        variables: Iterable[str],
        mentions: Collection[str],
        *,
        prologue: str = "",
        functions: Mapping[str, HostFunction] = {},
        limits: Limits = LIMITS,
    ) -> None:
        """Compiles the program. Each expression must have been compiled alone: then none breaks out of its block.

        Args:
            members: Expressions by the name of their member.
            variables: Names without `$` to be bound to the members of the input that have these names.
            mentions: All names with `$` in the expressions. Functions of ours that are not mentioned are left out, for
                each makes every evaluation 0.1 us slower.
            prologue: Assignments of ours before the object.
            functions: More functions.
            limits: What one evaluation may take.
        """
        bound = "".join(f"${name} := $.`{name}`; " for name in variables if name.isidentifier())
        body = ", ".join(f'"{name}": {_block(source)}' for name, source in members.items())
        used = {name: ours for name, ours in jsonata_functions.FUNCTIONS.items() if name in mentions}
        # What the payload limit counts is the values, not our braces, names and commas.
        frame_bytes = 1 + sum(len(name) + 4 for name in members)
        evaluate: Evaluate = _compiled(f"({bound}{prologue}{{{body}}})", {**used, **functions}).evaluate
        run = _runner(evaluate, limits, frame_bytes, shuffles="shuffle" in mentions)
        draws = not jsonata_functions.DRAWING.isdisjoint(mentions)
        self.run: Run = _drawing(run) if draws else run


def _runner(evaluate: Evaluate, limits: Limits, frame_bytes: int, *, shuffles: bool) -> Run:
    """A closure, because this is the hot path: its names are found faster than attributes."""
    seconds, depth, array_items, string_bytes = limits
    depth += _WRAPPING_LEVELS

    def run(data: Json, bindings: dict[str, Json] | None, scope: Scope) -> dict[str, Json]:
        result: dict[str, Json] = evaluate(
            data,
            bindings,
            timeout=seconds,
            max_depth=depth,
            max_string_length=string_bytes,
            max_array_length=array_items,
            max_result_size=(scope.payload_bytes_max or RESULT_BYTES_MAX) + frame_bytes,
            now=scope.now,
            seed=scope.chance.getrandbits(32) if shuffles else 0,
        )
        return result

    return run


def _drawing(run: Run) -> Run:
    def drawing(data: Json, bindings: dict[str, Json] | None, scope: Scope) -> dict[str, Json]:
        token = jsonata_functions.CHANCE.set(scope.chance)
        try:
            return run(data, bindings, scope)
        finally:
            jsonata_functions.CHANCE.reset(token)

    return drawing


class Single:
    """One expression by itself: the slow way, which tells exactly what came of it."""

    def __init__(
        self,
        source: str,
        variables: Iterable[str],
        mentions: Collection[str],
        *,
        lazily: bool,
        as_service: bool = True,
        limits: Limits = LIMITS,
    ) -> None:
        """Compiles what is needed at once; the rest when it is needed.

        Args:
            source: The expression.
            variables: Names without `$` to be bound to members of the input.
            mentions: All names with `$` in it.
            lazily: The variables are members of the input; otherwise they come as bindings, and the input is what the
                expression has as its context.
            as_service: There is no `$eval`, and numbers beyond JSON are the strings the service prints; otherwise the
                first evaluates and the second is the reference implementation's error.
            limits: What one evaluation may take.
        """
        self._source = source
        self._variables = tuple(variables) if lazily else ()
        self._mentions = mentions
        self._lazily = lazily
        self._as_service = as_service
        self._limits = limits
        # A variable that nobody assigned is undefined, so that calling it says what the service says.
        hides_eval = as_service and "eval" in mentions and "eval" not in self._variables
        self._prologue = "$eval := {}.undefined; " if hides_eval else ""
        self._program = self._composed(source, limits)

    def _composed(self, source: str, limits: Limits, functions: Mapping[str, HostFunction] = {}) -> Program:
        prologue = self._prologue
        if not self._lazily:
            # In front of the object: with an array as its context, an object is made once per item.
            prologue, source = f"{prologue}$asl_result := {_block(source)}; ", "$asl_result"
        return Program(
            {"r": source}, self._variables, self._mentions, prologue=prologue, functions=functions, limits=limits
        )

    def evaluate(self, data: Json, bindings: dict[str, Json] | None, scope: Scope) -> Json | Nothing:
        """The value.

        Raises:
            JsonataError: The evaluation failed.
            PayloadTooLarge: The result outgrew the payload limit.
        """
        try:
            result = self._program.run(data, bindings, scope)
            if "r" not in result:
                # An object drops functions as it drops what is undefined.
                kind = self._composed(f"$type({self._source})", self._limits).run(data, bindings, scope)
                return Nothing.FUNCTION if kind.get("r") == "function" else UNDEFINED
        except FAILURES as error:
            if self._as_service and is_beyond_numbers(error):
                return self._spelled(data, bindings, scope, error)
            raise failure(error) from None
        if self._as_service and holds_null(result["r"]) and jsonata_syntax.read(self._source).may_hide_nan:
            return self._spelled(data, bindings, scope, None)
        return result["r"]

    def _spelled(
        self, data: Json, bindings: dict[str, Json] | None, scope: Scope, cause: Exception | None
    ) -> Json | Nothing:
        """The value with infinity and NaN in the words of the service (spec 8.4): evaluated again, by our arithmetic.

        Arithmetic is calls then and lies deeper. When even this fails, what failed first is told.
        """
        source = jsonata_syntax.with_arithmetic_as_calls(self._source, jsonata_functions.ARITHMETIC)
        limits = self._limits._replace(depth=3 * self._limits.depth)
        program = self._composed(source, limits, jsonata_functions.ARITHMETIC_FUNCTIONS)
        try:
            result = program.run(data, bindings, scope)
        except FAILURES as error:
            raise failure(cause or error) from None
        return result.get("r", UNDEFINED)


def failure(error: Exception) -> JsonataError | PayloadTooLarge:
    """What one of `FAILURES` means."""
    if isinstance(error, JsonataError):
        return error
    if not isinstance(error, jlens.JlensError):
        return JsonataError(None, str(error))
    if error.code == "U1001" and error.token is None:  # the result, not a value on the way to it
        return PayloadTooLarge()
    if error.code in _LIMIT_TEXTS:
        return JsonataError("", _LIMIT_TEXTS[error.code])
    return JsonataError(error.code, _message(error))


def is_beyond_numbers(error: Exception) -> bool:
    """Whether arithmetic gave a number that JSON cannot hold, such as `1/0`."""
    return isinstance(error, jlens.JlensError) and error.code == "D1001" and error.token in ("+", "-", "*", "/", "%")


def holds_null(value: Json) -> bool:
    """Whether null stands anywhere in the value."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if value is None:
            return True
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False


# The library writes the token of `1 2` as 2.0, the reference implementation as 2.
_WHOLE_TOKEN = re.compile(r"(?<=\d)\.0(?= |$)")


def _message(error: jlens.JlensError) -> str:
    text = str(error)
    return text if '"' in text else _WHOLE_TOKEN.sub("", text)
