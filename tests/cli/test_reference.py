"""docs/reference/cli.md tells the truth: its examples are run, and every option is in it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from engine.cli.main import main
from tests.cli.command_line import PROJECT, environment
from tests.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (PROJECT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```console\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
FILES = re.findall(r"^```json (\S+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)

ASL = f'#!/bin/sh\nexec "{sys.executable}" -c "from engine.cli.main import main; main(prog_name=\'asl\')" "$@"\n'

VARYING = [
    (re.compile(r"\b\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "UUID"),
    (re.compile(r"--seed \d+"), "--seed N"),
    (re.compile(r"\b[\d.]+ m?s\b"), "DURATION"),
    (re.compile(r"\bTOOK +"), "TOOK "),  # as wide as the durations under it
]


PORTS = ("18083", "13001")
"""Of the examples' servers; here others, as whoever else runs the tests on this machine would take the same."""


def examples(block: str) -> list[tuple[str, str]]:
    """Commands, each with what it prints."""
    return [(command, output) for command, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE)]


def comparable(text: str) -> str:
    for pattern, name in VARYING:
        text = pattern.sub(name, text)
    return text


def as_pattern(output: str) -> str:
    """The printed text as a regular expression; a line of three dots stands for any lines."""
    lines = comparable(output).splitlines(keepends=True)
    return "".join("(?:.*\n)*" if line == "...\n" else re.escape(line) for line in lines)


@pytest.mark.parametrize("block", BLOCKS, ids=[block.partition("\n")[0][:60] for block in BLOCKS])
def test_examples_print_what_is_shown(block: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    for name, content in FILES:
        (tmp_path / name).write_text(content)
    program = tmp_path / "bin" / "asl"
    program.parent.mkdir()
    program.write_text(ASL)
    program.chmod(0o755)
    more = {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    if TEXT.index(block) > TEXT.index("\n## The database\n"):
        more["ASL_DATABASE_URL"] = request.getfixturevalue("url")
    code = 0
    for port in PORTS:
        block = block.replace(port, str(free_port()))
    for command, expected in examples(block):
        if command == "echo $?":
            assert f"{code}\n" == expected
            continue
        run = subprocess.run(
            ["bash", "-c", command],
            cwd=tmp_path, env=environment(**more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False,
        )  # fmt: skip
        assert re.fullmatch(as_pattern(expected), comparable(run.stdout)), run.stdout
        code = run.returncode


@pytest.mark.parametrize("name", main.list_commands(None))
def test_every_option_is_described(name: str) -> None:
    section = TEXT.partition(f"\n## asl {name}\n")[2].partition("\n## ")[0]
    if "[the database](#the-database)" in section:
        section += TEXT.partition("\n## The database\n")[2].partition("\n## ")[0]
    command = main.get_command(None, name)
    for one in [command, *subcommands(command)]:
        assert f"`asl {name}" in section
        for option in one.params:
            if isinstance(option, click.Option):
                for spelling in option.opts + option.secondary_opts:
                    assert f"`{spelling}" in section, f"{spelling} of asl {name}"


def test_every_option_that_is_described_is_there() -> None:
    for heading, section in re.findall(r"^## asl (\S+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL):
        command = main.get_command(None, heading)
        assert command is not None, heading
        there = {
            word
            for one in (command, *subcommands(command))
            for option in one.params
            for word in [*option.opts, *option.secondary_opts]
        }
        described = re.findall(r"`(--?[a-z][a-z-]*)", "".join(re.findall(r"^\| (`-.*?) \|", section, re.MULTILINE)))
        assert set(described) <= there, heading


def subcommands(command: click.Command) -> list[click.Command]:
    return list(command.commands.values()) if isinstance(command, click.Group) else []
