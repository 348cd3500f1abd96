"""JSON that the user gives: in an argument, in a file, on stdin; one document or one per line."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from engine.cli.excerpt import excerpt, line_and_column, lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.jsonvalue import Json

_YAML_SUFFIXES = (".yaml", ".yml")
_LINES_SUFFIXES = (".jsonl", ".ndjson")


class InvalidDocument(click.ClickException):
    """Text that should be JSON and is not; the message shows where."""


def read_document(value: str, *, option: str) -> Json:
    """The JSON of an option: as it stands, in a file (`@file`; YAML by its suffix), or on stdin (`-`).

    Raises:
        InvalidDocument: Not JSON, or not YAML.
        click.ClickException: The file cannot be read.
    """
    text, name = _text_of(value, option)
    return _parsed(text, name, option, value)


def read_inputs(value: str, *, option: str, lines: bool) -> list[Json] | Json:
    """The input of one execution, or a list of inputs made from JSON lines, one for each execution.

    They are lines when `lines` says so, when the file's name ends in `.jsonl` or `.ndjson`, or when stdin holds more
    than one line and each of them is a document, the whole being none. All lines are read and checked before the first
    is used.

    Returns:
        A `Lines` (which is a list) for lines; whatever else came is a single input.

    Raises:
        InvalidDocument: Not JSON.
        click.ClickException: The file cannot be read.
    """
    text, name = _text_of(value, option)
    if lines or (value.startswith("@") and value.endswith(_LINES_SUFFIXES)):
        return Lines(_each_line(text, name))
    if value != "-":
        return _parsed(text, name, option, value)
    try:
        return _parsed(text, name, option, value)
    except InvalidDocument as error:
        if not _looks_like_lines(text):
            raise
        try:
            return Lines(_each_line(text, name))
        except InvalidDocument as line_error:
            raise line_error from error


class Lines(list["Json"]):
    """Inputs that came one on each line; an input that is itself an array is a plain list."""


def _text_of(value: str, option: str) -> tuple[str, str]:
    """The text, and what to call it in messages."""
    if value == "-":
        name, data = "<stdin>", sys.stdin.buffer.read()
    elif value.startswith("@"):
        name = value[1:]
        try:
            data = Path(name).read_bytes()
        except (OSError, ValueError) as error:  # a ValueError: no name of a file holds a NUL
            raise click.ClickException(f"{option} {value}: {getattr(error, 'strerror', error)}") from error
    else:
        return value, option
    try:
        return data.decode("utf-8-sig"), name
    except UnicodeDecodeError as error:
        raise InvalidDocument(f"{name}: not UTF-8: {error.reason} at byte {error.start}") from None


def _parsed(text: str, name: str, option: str, value: str) -> Json:
    if name.endswith(_YAML_SUFFIXES) and value.startswith("@"):
        return _from_yaml(text, name)
    from engine.jsonvalue import InvalidJson, decode

    try:
        return decode(text)
    except InvalidJson as error:
        if not text.strip():
            raise InvalidDocument(f"{name}: expected JSON, got nothing") from None
        raise _invalid(
            text, name, f"not JSON: {error.reason}", error.line, error.column, _hint(value, option)
        ) from None


def _hint(value: str, option: str) -> str | None:
    """What was probably meant."""
    if value.startswith("@") or value == "-":
        return None
    if os.path.isfile(value):  # which any text may be asked for; Path.is_file raises for one that is too long
        return f"to read the file, write {option} {shlex.quote(f'@{value}')}"
    return None


def _from_yaml(text: str, name: str) -> Json:
    from engine.asl.json_text import TooDeep
    from engine.asl.yaml_text import InvalidYaml, read_yaml

    try:
        return read_yaml(text).value
    except InvalidYaml as error:
        raise _invalid(text, name, error.reason, error.line, error.column) from None
    except TooDeep as error:
        raise _invalid(text, name, "nested too deeply", *line_and_column(text, error.offset)) from None


def _each_line(text: str, name: str) -> Iterator[Json]:
    from engine.jsonvalue import InvalidJson, decode

    for number, line in enumerate(lines_of(text), 1):
        if line.strip():
            try:
                yield decode(line)
            except InvalidJson as error:
                raise _invalid(text, name, f"not JSON: {error.reason}", number, error.column) from None


def _looks_like_lines(text: str) -> bool:
    """Whether the first of several lines is a document: then a fault further down is that line's."""
    from engine.jsonvalue import InvalidJson, decode

    first, *others = (line for line in lines_of(text) if line.strip())
    if not others:
        return False
    try:
        decode(first)
    except InvalidJson:
        return False
    return True


def _invalid(text: str, name: str, reason: str, line: int, column: int, hint: str | None = None) -> InvalidDocument:
    from engine.cli.render_text import excerpt_lines

    parts = [f"{name}:{line}:{column}: {reason}", *excerpt_lines(excerpt(lines_of(text), line, column))]
    if hint is not None:
        parts.append(hint)
    return InvalidDocument("\n".join(parts))
