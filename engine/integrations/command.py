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
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio

from engine.errors import StatesError
from engine.integrations.invocation import (
    CAUSE_CHARACTERS_MAX,
    SECONDS_MAX,
    answer_of,
    checked_seconds,
    event_of,
    new_request_id,
    timed_out,
)
from engine.jsonvalue import InvalidJson, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from anyio.abc import ByteReceiveStream, ByteSendStream, Process

    from engine.integrations.request import Answer, Channel, TaskRequest, WorkerLoss, Workplace

_STDERR_BYTES_KEPT = 4 * CAUSE_CHARACTERS_MAX
"""A character has at most four bytes; of a long stderr the end says what went wrong."""

_PIPES_SECONDS = 2.0
"""How long after a command's end its pipes are read: what left its session (a daemon) may hold them open for ever."""

STDOUT_BYTES_MAX = 64 << 20
"""Ten times what a Lambda function may return. More: a command that never stops writing takes all memory."""


class Command:
    """A command line.

    Attributes:
        seconds: Its time limit for one invocation: `Sandbox.Timedout` when it is reached.
        on_worker_loss, concurrency: See `Handler`.
    """

    fixed_answer = None

    def __init__(
        self,
        spec: str,
        *,
        timeout_seconds: float = SECONDS_MAX,
        on_worker_loss: WorkerLoss = "rerun",
        concurrency: int | None = None,
    ) -> None:
        """Raises ValueError: a time limit beyond Lambda's, no words, an open quote, or no such command."""
        self.concurrency = concurrency
        self.name = spec
        self.on_worker_loss: WorkerLoss = on_worker_loss
        self.seconds = checked_seconds(timeout_seconds)
        self._words = shlex.split(spec.removeprefix("cmd:"))
        if not self._words:
            raise ValueError("expected cmd: and a command")
        if shutil.which(self._words[0]) is None:
            raise ValueError(f"no such command: {self._words[0]}")

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        """See `Handler`. Cancelled, it kills the command and all that the command started."""
        request_id = new_request_id()
        event = encode(event_of(request))
        collected = _Output()
        async with workplace.commands:
            with anyio.move_on_after(self.seconds) as scope:
                await self._run(event, _environment(request), collected)
        if scope.cancelled_caught:
            raise timed_out(self.seconds, request_id)
        if collected.is_too_large:
            raise StatesError(
                "Command.OutputTooLarge", f"{self.name} wrote more than {STDOUT_BYTES_MAX} bytes on stdout"
            )
        if collected.status != 0:
            raise StatesError(_error_of(collected.status), collected.cause())
        try:
            stdout = bytes(collected.stdout).strip() or b"null"
            return answer_of(request, stdout, request_id, log=bytes(collected.stderr))
        except InvalidJson as error:
            raise StatesError("Command.InvalidOutput", f"stdout of {self.name} is not JSON: {error}") from None

    async def _run(self, event: bytes, environment: dict[str, str], collected: _Output) -> None:
        try:
            process = await start_process(self._words, stderr=subprocess.PIPE, env=os.environ | environment)
        except (OSError, ValueError) as error:  # a script without an interpreter; a name that no variable can hold
            raise StatesError("Command.NotStarted", f"{self.name}: {error}") from None
        try:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            async with anyio.create_task_group() as group:
                group.start_soon(_write, process.stdin, event)
                group.start_soon(self._read_stdout, process, collected)
                group.start_soon(_read, process.stderr, collected.take_stderr)
                collected.status = await process.wait()
                kill_group(process)  # else what it left in the background would keep the pipes open
                group.cancel_scope.deadline = anyio.current_time() + _PIPES_SECONDS
        finally:
            with anyio.CancelScope(shield=True):
                kill_group(process)
                await process.aclose()

    async def _read_stdout(self, process: Process, collected: _Output) -> None:
        assert process.stdout is not None
        await _read(process.stdout, collected.take_stdout)
        if collected.is_too_large:
            kill_group(process)


class _Output:
    """What a command left behind; of a long stderr the end."""

    def __init__(self) -> None:
        self.stdout = bytearray()
        self.stderr = bytearray()
        self.status = 0
        self.is_too_large = False

    def take_stdout(self, chunk: bytes) -> bool:
        """Keeps what was read; False: it is too much."""
        self.stdout += chunk
        self.is_too_large = len(self.stdout) > STDOUT_BYTES_MAX
        return not self.is_too_large

    def take_stderr(self, chunk: bytes) -> bool:
        """Keeps the end of what was read."""
        self.stderr += chunk
        del self.stderr[:-_STDERR_BYTES_KEPT]
        return True

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
    if status >= 0:
        return f"Command.ExitStatus.{status}"
    known = {number.value: number.name for number in signal.Signals}
    return f"Command.Signal.{known.get(-status, -status)}"


async def _write(stdin: ByteSendStream, data: bytes) -> None:
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, ConnectionError):
        await stdin.send(data)  # a command need not read its input
    await stdin.aclose()


async def _read(stream: ByteReceiveStream, take: Callable[[bytes], bool]) -> None:
    async for chunk in stream:
        if not take(chunk):
            return
