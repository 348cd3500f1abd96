"""`asl eval`: tries a JSONPath, an intrinsic function or a JSONata expression on an input."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

import click

from engine.cli.documents import read_document
from engine.cli.excerpt import excerpt, line_and_column, lines_of
from engine.cli.exits import ExitCode
from engine.cli.render_text import excerpt_lines
from engine.cli.streams import print_json, print_note

if TYPE_CHECKING:
    from engine.errors import StatesError
    from engine.jsonvalue import Json
    from engine.query.evaluation import Chance

Language: TypeAlias = Literal["jsonpath", "jsonata"]

_OPEN, _CLOSE = "{%", "%}"
_UNDEFINED = " returned nothing (undefined)."
VARIABLE_FORM = "NAME=JSON"


@click.command("eval")
@click.argument("expression")
@click.option(
    "-i", "--input", "given", metavar="JSON|@FILE|-", default="{}", help="$ in JSONPath, $states.input in JSONata."
)
@click.option("--context", metavar="JSON|@FILE", default="{}", help="The Context Object: $$, or $states.context.")
@click.option("-v", "--variable", "variables", metavar=VARIABLE_FORM, multiple=True, help="A workflow variable.")
@click.option("--language", type=click.Choice(["jsonpath", "jsonata"]), help="Where the expression does not tell.")
def command(expression: str, given: str, context: str, variables: tuple[str, ...], language: Language | None) -> int:
    """Try a JSONPath, intrinsic function or JSONata expression.

    \b
    asl eval '$.items[0].price' -i '{"items": [{"price": 5}]}'
    asl eval "States.Format('{} of {}', $.n, 3)" -i '{"n": 1}'
    asl eval '{% $sum($states.input.prices) %}' -i '{"prices": [1, 2]}'

    What begins with $ or States. is JSONPath, unless it begins with $states; all else is JSONata. An expression that
    fails or finds nothing gives exit code 2.
    """  # noqa: D301  the escape is click's mark of a paragraph to leave as it is
    scope = Trial(
        variables=dict(read_variable(each) for each in variables),
        context_object=_object(read_document(context, option="--context")),
    )
    source = expression.strip()
    value = read_document(given, option="-i")
    if (language or language_of(source)) == "jsonata":
        return _jsonata(source, value, scope)
    return _jsonpath(source, value, scope)


@dataclass(slots=True)
class Trial:
    """The `Scope` of an expression that stands alone: no state machine is around it, and no payload limit."""

    variables: dict[str, Json]
    context_object: dict[str, Json]
    now: int = field(default_factory=lambda: time.time_ns() // 1_000_000)
    chance: Chance = field(default_factory=random.SystemRandom)
    payload_bytes_max: int = 0

    def context(self) -> dict[str, Json]:
        """See `Scope`."""
        return self.context_object


def language_of(source: str) -> Language:
    """The language that an expression shows by its beginning; no variable may be called `$states` (asl.md 9.1)."""
    if source.startswith("States.") or (source.startswith("$") and not source.startswith("$states")):
        return "jsonpath"
    return "jsonata"


def read_variable(text: str) -> tuple[str, Json]:
    """A variable of `-v`. Raises click.UsageError: not `NAME=JSON`."""
    name, equals, value = text.partition("=")
    name = name.strip().removeprefix("$")
    if not equals or not name:
        raise click.UsageError(f"-v {text}: expected {VARIABLE_FORM}.")
    return name, read_document(value, option=f"-v {name}")


def _object(value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise click.UsageError("--context: expected a JSON object.")
    return value


# ── JSONPath and intrinsic functions ────────────────────────────────────────────────────────────────────────────────


def _jsonpath(source: str, value: Json, scope: Trial) -> int:
    from engine.errors import StatesError
    from engine.query.intrinsics import InvalidIntrinsic, compile_intrinsic
    from engine.query.jsonpath import InvalidPath, PathError, compile_path

    try:
        expression = compile_intrinsic(source) if source.startswith("States.") else compile_path(source)
    except (InvalidPath, InvalidIntrinsic) as error:
        _refuse(source, error.reason, error.offset)
        if isinstance(error, InvalidPath) and not source.startswith("$."):
            print_note("If it is meant as JSONata: --language jsonata, or {% %} around it.")
        return ExitCode.USAGE
    try:
        print_json(expression.evaluate(value, scope))
    except PathError as error:
        print_note(error.reason)
        return ExitCode.FAILED
    except StatesError as error:
        return _failed(error)
    return ExitCode.SUCCEEDED


# ── JSONata ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _jsonata(source: str, value: Json, scope: Trial) -> int:
    from engine.errors import StatesError
    from engine.query.jsonata import Bundle, compile_template

    if source.startswith(_OPEN) and source.endswith(_CLOSE) and len(source) >= len(_OPEN + _CLOSE):
        source = source[len(_OPEN) : -len(_CLOSE)].strip()
    template, problems = compile_template("Output", f"{_OPEN}{source}{_CLOSE}", allows=frozenset())
    errors = [problem for problem in problems if problem.code != "JSONATA_2_1_OPERATOR"]
    for problem in problems:
        _refuse(source, problem.message, problem.offset)
    if errors:
        return ExitCode.USAGE
    try:
        (result,) = Bundle([template]).evaluate(scope, {"input": value})
    except StatesError as error:
        if (error.cause or "").endswith(_UNDEFINED):
            print_note("undefined")
            return ExitCode.FAILED
        return _failed(error)
    print_json(result)
    return ExitCode.SUCCEEDED


# ── what went wrong ─────────────────────────────────────────────────────────────────────────────────────────────────


def _refuse(source: str, reason: str, offset: int | None) -> None:
    print_note(reason)
    if offset is not None:
        line, column = line_and_column(source, min(offset, len(source)))
        print_note("\n".join(excerpt_lines(excerpt(lines_of(source), line, column))))


def _failed(error: StatesError) -> int:
    print_note(f"{error.error}: {error.cause}")
    return ExitCode.FAILED
