"""Diagnostics for a person: where, what, the line with carets, and what to do.

order.asl.json:7:15: error[MISSING_TRANSITION_TARGET]: Missing 'Next' target: Shp
  |
7 |       "Next": "Shp"
  |               ^^^^^
  = in /States/Charge/Next
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from engine.cli.excerpt import WIDTH, excerpt
from engine.cli.streams import print_note, width_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from engine.asl.diagnostics import Diagnostic
    from engine.cli.definitions import Definition
    from engine.cli.excerpt import Excerpt

_COLORS = {"ERROR": "red", "WARNING": "yellow"}
_JACKSON_SOURCE = "\n at [Source: "
"""AWS's message for text that is no JSON goes on to quote the text; the excerpt shows it better."""


def diagnostics_text(definition: Definition, *, width: int = WIDTH) -> str:
    """All diagnostics of a definition, an empty line between two. `width`: of the terminal, in cells."""
    lines = definition.lines
    return "\n\n".join(diagnostic_text(definition.file, lines, each, width=width) for each in definition.diagnostics)


def diagnostic_text(file: str, lines: Sequence[str], diagnostic: Diagnostic, *, width: int = WIDTH) -> str:
    """One diagnostic, with colours as ANSI codes."""
    color = _COLORS[diagnostic.severity]
    place = file if diagnostic.line is None else f"{file}:{diagnostic.line}:{diagnostic.column}"
    kind = click.style(f"{diagnostic.severity.lower()}[{code_of(diagnostic)}]", fg=color, bold=True)
    message = short_message(diagnostic)
    parts = [f"{click.style(place, bold=True)}: {kind}: {click.style(message, bold=True)}"]
    margin = "  "
    if diagnostic.line is not None and diagnostic.column is not None:
        shown = excerpt(
            lines,
            diagnostic.line,
            diagnostic.column,
            end_line=diagnostic.end_line,
            end_column=diagnostic.end_column,
            width=width - len(str(diagnostic.line)) - len(" | "),
        )
        margin = " " * (len(str(shown.number)) + 1)
        parts += excerpt_lines(shown, color=color)
    if diagnostic.location is not None and not diagnostic.location.startswith("[Source"):
        parts.append(f"{margin}{click.style('=', fg='blue')} in {diagnostic.location}")
    if diagnostic.hint is not None:
        parts.append(f"{margin}{click.style('=', fg='blue')} {click.style('help', bold=True)}: {diagnostic.hint}")
    return "\n".join(parts)


def excerpt_lines(shown: Excerpt, *, color: str = "red") -> list[str]:
    """The excerpt with its line number in a margin."""
    number = str(shown.number)
    bar = click.style("|", fg="blue")
    empty = " " * len(number)
    carets = shown.carets.lstrip()
    indent = " " * (len(shown.carets) - len(carets))
    return [
        f"{empty} {bar}",
        f"{click.style(number, fg='blue')} {bar} {shown.text}",
        f"{empty} {bar} {indent}{click.style(carets, fg=color, bold=True)}",
    ]


def code_of(diagnostic: Diagnostic) -> str:
    """AWS's code; for what AWS does not check, the name of our rule, which can be searched for."""
    from engine.asl.diagnostics import LINT

    return diagnostic.rule if diagnostic.code == LINT else diagnostic.code


def short_message(diagnostic: Diagnostic) -> str:
    """The message without a copy of the definition's text."""
    return diagnostic.message.partition(_JACKSON_SOURCE)[0]


def print_invalid(definition: Definition) -> None:
    """Says on stderr what is wrong with a definition that cannot be used; warnings would only distract."""
    errors = tuple(each for each in definition.diagnostics if each.severity == "ERROR")
    shown = replace(definition, diagnostics=errors)
    print_note(f"{diagnostics_text(shown, width=width_of(sys.stderr))}\n\n{summary([shown])}")


def summary(definitions: Iterable[Definition]) -> str:
    """One line: `2 files: 1 error, 3 warnings`."""
    checked = list(definitions)
    found = [each.severity for definition in checked for each in definition.diagnostics]
    errors, warnings = found.count("ERROR"), found.count("WARNING")
    said = [_counted(n, what) for n, what in ((errors, "error"), (warnings, "warning")) if n]
    return f"{_counted(len(checked), 'file')}: {', '.join(said) or 'no problems'}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
