"""`-s NAME=VALUE`: values for the `${NAME}` in a definition, like DefinitionSubstitutions of CloudFormation and SAM.

Most stand for the ARN of a function or the name of a table. AWS takes a definition only when they are replaced.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

    from engine.asl.diagnostics import Diagnostic
    from engine.jsonvalue import Json

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z0-9_.:-]+)\}")
_NAME = re.compile(r"[A-Za-z0-9_.:-]+")


def substitution_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """The option, the same for all commands that read a definition."""
    return click.option(
        "-s",
        "--substitute",
        "substitutions",
        metavar="NAME=VALUE|@FILE",
        multiple=True,
        help="A value for ${NAME}, as in DefinitionSubstitutions; FILE has an object of them.",
    )(command)


def read_substitutions(given: Sequence[str]) -> dict[str, str]:
    """The values by name; of two for one name the last counts.

    Raises:
        click.ClickException: A value is no text, number or boolean, or the file cannot be read.
        click.UsageError: Neither `NAME=VALUE` nor `@FILE`.
    """
    values: dict[str, str] = {}
    for text in given:
        if text.startswith("@"):
            values |= _from_file(text)
            continue
        name, equals, value = text.partition("=")
        if not equals or not _NAME.fullmatch(name):
            raise click.UsageError(f"-s {text}: expected NAME=VALUE, or @FILE with an object of names and values.")
        values[name] = value
    return values


def substituted(text: str, values: Mapping[str, str]) -> str:
    """The text with every `${NAME}` replaced that has a value. What a value holds is not looked at again."""
    return _PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), text)


def with_hints(diagnostics: Iterable[Diagnostic], lines: Sequence[str]) -> tuple[Diagnostic, ...]:
    """The diagnostics; those that point at a placeholder without a value say how to give it one."""
    return tuple(_with_hint(diagnostic, lines) for diagnostic in diagnostics)


def _with_hint(diagnostic: Diagnostic, lines: Sequence[str]) -> Diagnostic:
    if diagnostic.severity != "ERROR" or diagnostic.line is None or diagnostic.column is None:
        return diagnostic
    line = lines[diagnostic.line - 1] if diagnostic.line <= len(lines) else ""
    begin = diagnostic.column - 1
    end = len(line)
    if diagnostic.line == diagnostic.end_line and diagnostic.end_column is not None:
        end = diagnostic.end_column - 1
    # Text that is no JSON for an unquoted placeholder is pointed at where it begins, one character wide.
    found = _PLACEHOLDER.search(line, begin, end) or _PLACEHOLDER.match(line, begin)
    if found is None:
        return diagnostic
    return replace(diagnostic, hint=f"{found[0]} is a placeholder: give it a value, -s {found[1]}=...")


def _from_file(option: str) -> dict[str, str]:
    from engine.cli.documents import read_document

    value = read_document(option, option="-s")
    if not isinstance(value, dict):
        raise click.ClickException(f"-s {option}: expected an object of names and values")
    return {name: _text(name, each, option) for name, each in value.items()}


def _text(name: str, value: Json, option: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        from engine.cli.streams import json_text

        return json_text(value, pretty=False)
    raise click.ClickException(f"-s {option}: {name}: expected a text, a number or a boolean")
