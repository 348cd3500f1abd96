"""Reads the file of a definition, or stdin, for the commands that take one."""

from __future__ import annotations

import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.excerpt import lines_of
from engine.cli.substitutions import substituted, with_hints

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.asl.diagnostics import Diagnostic
    from engine.asl.program import StateMachine
    from engine.asl.source import Syntax
    from engine.asl.states import MachineType
    from engine.jsonvalue import Json

STDIN = "-"

definition_file = click.Path(exists=True, dir_okay=False, readable=True, allow_dash=True)
"""The type of an argument that names the file of a definition."""

_YAML_SUFFIXES = (".yaml", ".yml")
_TEMPLATE_KEY = re.compile(r"""^["']?(?:AWSTemplateFormatVersion|Transform|Resources)["']?\s*:""", re.MULTILINE)
_DEFINITION_KEY = re.compile(r"""^["']?(?:StartAt|States)["']?\s*:""", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """A definition as it was read.

    Attributes:
        file: As the user named it; `<stdin>` for `-`.
        text: What was in it.
        syntax: Which of the two it was read as.
        program: None when there is an ERROR.
        diagnostics: Everything that was found, warnings too.
    """

    file: str
    text: str
    syntax: Syntax
    program: StateMachine | None
    diagnostics: tuple[Diagnostic, ...]

    @property
    def lines(self) -> list[str]:
        """The lines of the text, for excerpts."""
        return lines_of(self.text)

    @property
    def has_errors(self) -> bool:
        """Whether it cannot be used."""
        return self.program is None

    def source(self) -> str | dict[str, Json]:
        """What the library takes: JSON text, or what the YAML stands for."""
        if self.syntax == "JSON":
            return self.text
        from engine.asl.source import read_source

        return read_source(self.text, self.syntax).value


def read_definition(
    path: str, *, type: MachineType = "STANDARD", substitutions: Mapping[str, str] | None = None
) -> Definition:
    """Reads and parses a definition; everything wrong with it is in the diagnostics.

    Args:
        path: A file, or `-` for stdin.
        type: Express state machines may do less.
        substitutions: Values for the `${NAME}` in it. What is shown of the text is shown with them.

    Raises:
        click.ClickException: The file cannot be read.
    """
    from engine.asl.parser import parse

    data = _read(path)
    if substitutions:
        with suppress(UnicodeDecodeError):  # which the parser tells
            data = substituted(data.decode(), substitutions).encode()
    text = data.decode("utf-8-sig", "replace")
    file = "<stdin>" if path == STDIN else path
    syntax = _syntax(path, text)
    if _is_template(text):
        return Definition(file=file, text=text, syntax=syntax, program=None, diagnostics=(_template_diagnostic(),))
    parsed = parse(data, syntax=syntax, type=type)
    diagnostics = with_hints(parsed.diagnostics, lines_of(text)) if "${" in text else parsed.diagnostics
    return Definition(file=file, text=text, syntax=syntax, program=parsed.program, diagnostics=diagnostics)


def _read(path: str) -> bytes:
    if path == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from error


def _syntax(path: str, text: str) -> Syntax:
    """By the file's suffix; without one that says it, an object in JSON begins with `{`."""
    if path.endswith(_YAML_SUFFIXES):
        return "YAML"
    if path.endswith(".json") or not text.strip() or text.lstrip().startswith(("{", "[", '"')):
        return "JSON"
    return "YAML"


def _is_template(text: str) -> bool:
    """Whether it is a CloudFormation template, which often holds a definition but is none.

    Told by its top-level keys. In YAML these begin a line, so text with tags such as `!Sub` need not be parsed for it.
    """
    if "AWS::" not in text:
        return False
    if not text.lstrip().startswith("{"):
        return _TEMPLATE_KEY.search(text) is not None and _DEFINITION_KEY.search(text) is None
    from engine.jsonvalue import InvalidJson, decode

    try:
        value = decode(text)
    except InvalidJson:
        return False
    return isinstance(value, dict) and "Resources" in value and "States" not in value


def _template_diagnostic() -> Diagnostic:
    from engine.asl.diagnostics import Diagnostic

    return Diagnostic(
        severity="ERROR",
        code="UNSUPPORTED_TEMPLATE",
        message="This is a CloudFormation or SAM template, which asl does not read",
        rule="cloudformation-template",
        hint="put the state machine's definition into a file of its own and refer to it with DefinitionUri",
    )
