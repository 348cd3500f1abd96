"""`cmd:./script --flag`: any command as a handler. JSON on its stdin, JSON on its stdout.

The words are split as a shell would, but no shell runs; `cmd:sh -c '...'` asks for one. An exit status of 0 means
success, and nothing on stdout is null. Any other status N fails the Task with the error `Command.ExitStatus.N`, a
signal with `Command.Signal.SIGKILL`; what the command wrote on stderr is the cause.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from engine.errors import StatesError
from engine.integrations.invocation import SECONDS_MAX, answer_of, event_of, timed_out
from engine.jsonvalue import InvalidJson, encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from anyio.abc import ByteReceiveStream, ByteSendStream, Process

    from engine.integrations.request import Answer, Channel, TaskRequest, Workplace

CAUSE_CHARACTERS_MAX = 32_768
"""AWS's limit for a cause (execution.md 2.2); of a long stderr the end says what went wrong."""


class Command:
    """A command line.

    Attributes:
        seconds: Its time limit for one invocation: `Sandbox.Timedout` when it is reached.
    """

    fixed_answer = None

    def __init__(self, spec: str, *, timeout_seconds: float = SECONDS_MAX) -> None:
        """Raises ValueError: no words, an open quote, or no such command."""
        self.name = spec
        self.seconds = timeout_seconds
        self._words = shlex.split(spec.removeprefix("cmd:"))
        if not self._words:
            raise ValueError("expected cmd: and a command")
        if shutil.which(self._words[0]) is None:
            raise ValueError(f"no such command: {self._words[0]}")

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        """See `Handler`. Cancelled, it kills the command and all that the command started."""
        request_id = str(uuid.uuid4())
        event = encode(event_of(request))
        collected = _Output()
        with anyio.move_on_after(self.seconds) as scope:
            await self._run(event, _environment(request), collected)
        if scope.cancelled_caught:
            raise timed_out(self.seconds, request_id)
        if collected.status != 0:
            raise StatesError(_error_of(collected.status), collected.cause())
        try:
            return answer_of(request, bytes(collected.stdout).strip() or b"null", request_id)
        except InvalidJson as error:
            raise StatesError("Command.InvalidOutput", f"stdout of {self.name} is not JSON: {error}") from None

    async def _run(self, event: bytes, environment: dict[str, str], collected: _Output) -> None:
        process = await start_process(self._words, stderr=subprocess.PIPE, env=os.environ | environment)
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            async with anyio.create_task_group() as group:
                group.start_soon(_write, process.stdin, event)
                group.start_soon(_read, process.stdout, collected.stdout)
                group.start_soon(_read, process.stderr, collected.stderr)
            collected.status = await process.wait()
        finally:
            with anyio.CancelScope(shield=True):
                kill_group(process)
                await process.aclose()


class _Output:
    """What a command left behind."""

    def __init__(self) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.status = 0

    def cause(self) -> str:
        return self.stderr.decode("utf-8", "replace").strip()[-CAUSE_CHARACTERS_MAX:]


async def start_process(
    words: Sequence[str], *, stderr: int | None = None, env: Mapping[str, str] | None = None
) -> Process:
    """Starts a process with pipes, in a session of its own: one group to kill, and Ctrl-C reaches the engine alone."""
    process: Process | None = None
    with anyio.CancelScope(shield=True):  # cancelled halfway, asyncio would leave pipes open and the child unread
        process = await anyio.open_process(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, env=env, start_new_session=True
        )
    assert process is not None
    return process


def kill_group(process: Process) -> None:
    """Kills a process that leads a session of its own, with everything in it; nothing when it is gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _environment(request: TaskRequest) -> dict[str, str]:
    environment = {
        "ASL_EXECUTION_ARN": request.execution_arn,
        "ASL_STATE_NAME": request.state,
        "ASL_ATTEMPT": str(request.attempt),
        "ASL_IDEMPOTENCY_KEY": request.idempotency_key,
    }
    if request.task_token is not None:
        environment["ASL_TASK_TOKEN"] = request.task_token
    return environment


def _error_of(status: int) -> str:
    return f"Command.Signal.{signal.Signals(-status).name}" if status < 0 else f"Command.ExitStatus.{status}"


async def _write(stdin: ByteSendStream, data: bytes) -> None:
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
        await stdin.send(data)  # a command need not read its input
    await stdin.aclose()


async def _read(stream: ByteReceiveStream, into: bytearray) -> None:
    async for chunk in stream:
        into += chunk
