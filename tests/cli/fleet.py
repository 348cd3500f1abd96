"""Workers and other commands as processes, over a database that they share."""

from __future__ import annotations

import json
import subprocess
import threading
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from tests.cli.command_line import PROCESS, asl, environment
from tests.waiting import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

LEASE_SECONDS = "3"
"""Of workers: the usual one makes those who wait for a takeover wait long."""

HANDLERS = """
import asyncio
from pathlib import Path

async def hang(event):
    await asyncio.get_running_loop().create_future()

def from_fifo(event):
    return Path(event["fifo"]).read_text()

def ask(event):
    return None
"""
"""`hang` never ends; `from_fifo` ends with what somebody writes."""

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
TOKEN_RESOURCE = "arn:aws:states:::lambda:invoke.waitForTaskToken"


def task(function: str, **fields: Any) -> dict[str, Any]:
    """A Task state that calls a function and is the last one unless `Next` says otherwise."""
    return {"Type": "Task", "Resource": LAMBDA + function, **({} if "Next" in fields else {"End": True}), **fields}


class Fleet:
    """Commands and workers of one database.

    Attributes:
        place: The options that say where it is.
    """

    def __init__(self, folder: Path, *place: str) -> None:
        self.folder = folder
        self.place = place
        (folder / "shop.py").write_text(HANDLERS)

    def asl(self, *words: str, code: int = 0, stdin: str | None = None) -> str:
        """Runs a command here; its stdout. The exit code must be this one."""
        result = asl(*words, *self.place, stdin=stdin)
        assert result.exit_code == code, result.output
        return result.stdout

    def says(self, *words: str, code: int = 1) -> str:
        """What a command says on stderr."""
        result = asl(*words, *self.place)
        assert result.exit_code == code, result.output
        return result.stderr

    def json(self, *words: str) -> Any:
        """The document that a command prints."""
        return json.loads(self.asl(*words, "--json"))

    def deploy(self, name: str, states: Mapping[str, Any], *words: str) -> str:
        """Deploys a state machine that starts at its first state; its ARN."""
        path = self.folder / f"{name}.asl.json"
        path.write_text(json.dumps({"StartAt": next(iter(states)), "States": dict(states)}))
        return self.asl("deploy", str(path), "--name", name, *words).strip()

    def start(self, machine: str, *words: str) -> str:
        """Starts an execution; its ARN."""
        return self.asl("start", machine, *words).strip()

    @contextmanager
    def worker(self, *words: str) -> Iterator[Process]:
        """A worker that has begun; killed at the end unless it has ended."""
        with self.process("worker", "--handlers", "shop.py", "--lease-seconds", LEASE_SECONDS, *words) as process:
            process.until("worker started")
            yield process

    @contextmanager
    def process(self, *words: str) -> Iterator[Process]:
        """A command in a process of its own; killed at the end unless it has ended."""
        popen = subprocess.Popen(
            [*PROCESS, *words, *self.place],
            cwd=self.folder,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        process = Process(popen)
        try:
            yield process
        finally:
            process.kill()


class Process:
    """A process whose stderr is read while it runs, so that it never waits for a reader."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self.popen = popen
        self.lines: list[str] = []
        self._fresh: SimpleQueue[str | None] = SimpleQueue()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stderr is not None
        for line in self.popen.stderr:
            self.lines.append(line)
            self._fresh.put(line)
        self._fresh.put(None)

    def line_with(self, text: str) -> str:
        """Waits for a line on stderr that holds this text."""
        while (line := self._fresh.get(timeout=DEADLINE_SECONDS)) is not None:
            if text in line:
                return line
        raise AssertionError(f"it ended without saying {text!r}:\n{''.join(self.lines)}")

    def until(self, event: str) -> dict[str, Any]:
        """Waits for an event in a worker's log."""
        found = json.loads(self.line_with(f'"event":"{event}"'))
        assert isinstance(found, dict)
        return found

    def events(self) -> list[dict[str, Any]]:
        """All that a worker has logged so far."""
        return [json.loads(line) for line in self.lines]

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    def ended(self) -> int:
        """Waits for its end; the exit code."""
        code = self.popen.wait(DEADLINE_SECONDS)
        self._reader.join()
        return code

    def kill(self) -> None:
        """kill -9, and waits until it is gone."""
        self.popen.kill()
        self.popen.wait()
        self._reader.join()
        for stream in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            assert stream is not None
            stream.close()
