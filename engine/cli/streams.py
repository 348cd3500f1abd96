"""stdout belongs to results, stderr to everything said about them.

Whether to use colours is decided here too. The variables about that (`NO_COLOR`, `FORCE_COLOR`, `TERM`) are the
terminal's, not the engine's, so they are read here and not in `engine.settings`.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Any

import click

from engine.cli.excerpt import WIDTH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.jsonvalue import Json


def wants_color(stream: IO[Any]) -> bool:
    """Whether to write colours: `NO_COLOR` forbids and `FORCE_COLOR` asks for them; else a terminal gets them."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return can_redraw(stream)


def can_redraw(stream: IO[Any]) -> bool:
    """Whether what was written can be written over."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width_of(stream: IO[Any]) -> int:
    """Cells in a line of a terminal; a fixed number where there is none."""
    if not stream.isatty():
        return WIDTH
    import shutil

    return shutil.get_terminal_size((WIDTH, 24)).columns


def open_closed_streams() -> None:
    """Gives stdin, stdout and stderr somewhere to lead where whoever started us closed them (`>&-`).

    In this order, so that each takes the number that is its own, and no file that is opened later does.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115  for as long as we run


def read_to_the_end() -> None:
    """Waits in this thread until stdin ends."""
    # Not by the stream: whoever waits in it holds a lock without which the interpreter cannot end.
    while os.read(sys.stdin.fileno(), 4_096):
        pass


def print_result(text: str, stream: IO[str] | None = None) -> None:
    """Writes a line to stdout. A reader that has gone away is no error: nobody is left to be told.

    Raises:
        click.ClickException: It cannot be written.
    """
    _print(text, stream or sys.stdout)


def print_note(text: str) -> None:
    """Writes a line to stderr."""
    _print(text, sys.stderr)


def _print(text: str, stream: IO[str]) -> None:
    """Raises click.ClickException: a result cannot be written."""
    try:
        click.echo(text, file=stream, color=wants_color(stream))
    except BrokenPipeError:
        silence(stream)
    except OSError as error:  # a full disk, for example
        silence(stream)
        if stream is not sys.stderr:
            raise click.ClickException(f"stdout: {error.strerror}") from error


def silence(stream: IO[str]) -> None:
    """Points a stream that nobody reads at nothing, so that flushing it at exit does not complain."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def json_text(value: Json, *, pretty: bool) -> str:
    """A value as JSON: one line, or indented for reading."""
    from engine.jsonvalue import encode

    if not pretty:
        return encode(value).decode()
    import msgspec

    return msgspec.json.format(encode(value), indent=2).decode()


def print_json(value: Json, *, pretty: bool | None = None) -> None:
    """Writes a value to stdout; by default indented when a person reads it."""
    print_result(json_text(value, pretty=sys.stdout.isatty() if pretty is None else pretty))


@contextmanager
def stdout_kept_clean() -> Iterator[IO[str]]:
    """Inside, whatever writes to stdout writes to stderr: a handler's `print`, and what its child processes say.

    Gives the stream that still leads to stdout.
    """
    outside = sys.stdout
    sys.stdout = sys.stderr
    kept = _moved_to_stderr(outside)
    results = outside if kept is None else os.fdopen(kept, "w", encoding="utf-8", closefd=False)
    try:
        yield results
    finally:
        sys.stdout = outside
        if kept is not None:
            with suppress(BrokenPipeError):
                results.close()
            os.dup2(kept, 1)
            os.close(kept)


def _moved_to_stderr(stream: IO[str]) -> int | None:
    """Makes file descriptor 1 lead to stderr and gives a copy of what it was; None where the stream is not that one."""
    try:
        if stream.fileno() != 1:
            return None
        stream.flush()
    except (OSError, ValueError):  # replaced by something in memory, or closed
        return None
    kept = os.dup(1)
    os.dup2(2, 1)
    return kept
