"""Runs `asl` in this process or as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from engine.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator

    from click.testing import Result

PROJECT = Path(__file__).resolve().parents[2]
PROCESS = [sys.executable, "-m", "engine"]


def asl(*words: str, stdin: str | bytes | None = None) -> Result:
    """Runs it here; neither stdout nor stderr is a terminal."""
    return CliRunner().invoke(main, words, input=stdin, prog_name="asl", catch_exceptions=False)


def environment(**more: str) -> dict[str, str]:
    """For a process of its own, whatever directory it is started in."""
    return {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "error", **more}


@contextmanager
def asl_process(*words: str, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Starts it with pipes; at the end of a test that went wrong it is killed."""
    with subprocess.Popen(
        [*PROCESS, *words],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def write_definition(path: Path, states: dict[str, Any], **fields: Any) -> str:
    """Writes a definition that starts at its first state, and gives its path."""
    path.write_text(json.dumps({"StartAt": next(iter(states)), "States": states, **fields}))
    return str(path)


TASK = {"Type": "Task", "Resource": "arn:aws:lambda:us-east-1:123456789012:function:f", "End": True}
PASS = {"Type": "Pass", "End": True}
