"""Command and library with arguments that make no sense: an exit code or a documented error, never a traceback."""

from __future__ import annotations

import json
import tempfile
from contextlib import chdir, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import click
from hypothesis import given

import engine
from engine.cli.main import main
from tests.cli.command_line import asl
from tests.fuzz import expressions
from tests.fuzz.budget import CASE_SECONDS_MAX, RANDOMS, cases, no_hang
from tests.fuzz.documents import STRINGS, document, record
from tests.fuzz.machines import Machine, changed

if TYPE_CHECKING:
    from random import Random

EXIT_CODES = range(5)
DOCUMENTED = (
    engine.ApiError,
    engine.ExecutionFailed,
    engine.InvalidDefinition,
    engine.MissingHandler,
    engine.UnsupportedTask,
)

_OPTIONS = (
    "-i", "--input", "-h", "--help", "--jsonl", "-t", "--target", "--handlers", "--name", "--type", "--limits",
    "--seed", "-j", "--concurrency", "--history", "--trace", "-q", "--quiet", "--output", "--format", "-f",
    "--language", "--context", "-v", "--variable", "--strict", "--type", "-o", "--theme", "--direction", "--severity",
    "-", "--", "-x", "--nope", "--skip-time",
)  # fmt: skip
_SERVICES = ("worker", "serve", "dev", "server")
_VALUES = (
    "", "-1", "0", "1", "1e9", "virtual", "real", "aws", "off", "payload_bytes=1", "history_events=5",
    "payload_bytes=", "a=b=c", "EXPRESS", "yaml", "JSONPath", "jsonata", "nope", "@nope.json", "@", "a:b", "mock:{}",
    "mock:", "fail:E", "cmd:", "f=mock:1", "é😀", "{}", "[", "null", "'", "$", "{% 1 %}", "States.UUID()", "..",
    "/dev/null", "/nonexistent/x", "v=1", "v=", "=1", "Task=mock:null",
)  # fmt: skip


def check(words: list[str], stdin: str | None) -> None:
    with no_hang(lambda: words):
        result = asl(*words, stdin=stdin)
    shown = f"{words} with {stdin!r}: {result.stderr}"
    assert result.exit_code in EXIT_CODES, shown
    assert "Traceback" not in result.stderr, shown
    assert result.exit_code != 1 or result.stderr or result.stdout, shown


def words_of(draw: Random, folder: Path) -> list[str]:
    """A command, then options, values and files in any order; now and then in the order in which they make sense."""
    command = draw.choice((*main.list_commands(click.Context(main)), "nope", "", "--version"))
    files = [str(path) for path in folder.iterdir()]
    words = [command] if draw.random() < 0.97 else []
    if draw.random() < 0.7:
        words.append(draw.choice(files))
    for _ in range(draw.choice((0, 0, 1, 1, 2, 4))):
        words.append(
            draw.choice(
                (
                    draw.choice(_OPTIONS),
                    draw.choice(_OPTIONS),
                    draw.choice(_VALUES),
                    draw.choice(files),
                    f"@{draw.choice(files)}",
                )
            )
        )
        if draw.random() < 0.5:
            words.append(draw.choice(_VALUES))
    if command in _SERVICES:
        words += ["--db", "no-url"]  # they wait for a database that cannot be reached, and run until they are told
    return words


def write_files(draw: Random, folder: Path) -> None:
    definition = draw.choice((Machine(draw, tasks=False).definition, changed(draw)))
    (folder / "good.asl.json").write_text('{"StartAt": "A", "States": {"A": {"Type": "Pass", "End": true}}}')
    (folder / "any.asl.json").write_text(json.dumps(definition))
    (folder / "some.yaml").write_text(f"StartAt: {draw.choice(('A', '[', '*x', '!Sub a'))}\nStates: {{}}\n")
    (folder / "bytes.json").write_bytes(draw.randbytes(draw.randint(0, 20)))
    (folder / "input.json").write_text(json.dumps(document(draw)))
    (folder / "folder").mkdir()


@cases(150)
@given(RANDOMS)
def test_any_words(draw: Random) -> None:
    with tempfile.TemporaryDirectory() as folder, chdir(folder):  # some words are names of files to write
        write_files(draw, Path(folder))
        stdin = draw.choice((None, "", "{}", "[1", json.dumps(record(draw)), "StartAt: A"))
        check(words_of(draw, Path(folder)), stdin)


@cases(80)
@given(RANDOMS)
def test_any_expression(draw: Random) -> None:
    source = draw.choice(
        (
            expressions.path,
            expressions.intrinsic,
            expressions.garbage,
            expressions.jsonata,
            lambda d: expressions.in_delimiters(d, expressions.jsonata(d)),
        )
    )(draw)
    words = [
        "eval",
        "-i",
        json.dumps(given) if (given := document(draw)) is not None else draw.choice(STRINGS),
        "--",
        source,
    ]
    if draw.random() < 0.3:
        words[1:1] = ["--language", draw.choice(("jsonpath", "jsonata"))]
    check(words, None)


@cases(80)
@given(RANDOMS)
def test_any_machine_is_validated_and_drawn(draw: Random) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "any.asl.json")
        path.write_text(json.dumps(changed(draw) if draw.random() < 0.5 else Machine(draw).definition))
        for command in ("validate", "graph"):
            check([command, str(path)], None)


@cases(120)
@given(RANDOMS)
def test_the_library_runs_any_machine(draw: Random) -> None:
    """Whatever is no result is an error that the library documents."""
    definition: Any = Machine(draw).definition if draw.random() < 0.8 else document(draw)

    def handler(event: Any) -> Any:
        match draw.randint(0, 4):
            case 0:
                raise ValueError("handler")
            case 1:
                raise engine.TaskFailed("Custom", None)
            case 2:
                return draw.choice((object(), float("nan"), {1: 2}, b"x", "\ud800", {"a": [{1}]}))
            case _:
                return document(draw)

    limits = engine.Limits(payload_bytes=draw.choice(("aws", "off", 300)), history_events=200)
    handlers = {"*": handler} if draw.random() < 0.9 else None

    # Nobody takes the tasks of an activity, or sends a token back: an execution that waits for that, waits.
    may_wait = any(word in json.dumps(definition) for word in (":activity:", ".waitForTaskToken"))
    documented: list[type[BaseException]] = [*DOCUMENTED, *((TimeoutError,) if may_wait else ())]
    if not isinstance(definition, dict):
        documented += (TypeError, ValueError)

    async def run() -> None:
        with anyio.fail_after(0.2 if may_wait else CASE_SECONDS_MAX):
            await engine.run(definition, record(draw), handlers=handlers, limits=limits, clock="virtual")

    with no_hang(lambda: definition), suppress(*documented):
        anyio.run(run)
