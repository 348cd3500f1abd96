"""The emulator's side of the spawner: orders go out, process numbers and ends come back."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Self

import anyio
import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_HEAD = struct.Struct("!I")
OUTSIDE = Path(__file__).with_name("outside")
"""What functions see as /var/runtime."""

_SCRIPT = OUTSIDE / "spawner.py"
_READ_BYTES = 65_536
_LEAVE_SECONDS = 10


class SpawnFailed(Exception):
    """A process could not be started; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be started.

    Attributes:
        environment: All of its variables; nothing is inherited.
        task: The directory that it sees as /var/task.
        layers: Directories that are merged at /opt; the last one's files win.
        scratch: The number of its /tmp: who orders the same number again finds the files of the one before.
        megabytes: The size of that.
        directory: Where it begins; as it sees it.
    """

    environment: Mapping[str, str]
    task: Path
    layers: Sequence[Path]
    scratch: int
    megabytes: int
    directory: str


class _News(msgspec.Struct):
    """What the spawner tells; see there."""

    id: int = -1
    pid: int | None = None
    status: int | None = None
    refused: str | None = None
    namespace: bool = False
    why: str | None = None


_decode = msgspec.json.Decoder(_News).decode
_encode = msgspec.json.encode


class SandboxProcess:
    """A process group of a function, as the emulator holds it.

    Attributes:
        pid: Of the leader.
        status: None while the leader lives; then as `os.waitstatus_to_exitcode` has it.
    """

    def __init__(self, spawner: Spawner, number: int, ended: Callable[[SandboxProcess], None]) -> None:
        self.pid = 0
        self.status: int | None = None
        self._number = number
        self._spawner = spawner
        self._tell_end = ended
        self._has_ended = asyncio.Event()
        self._started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def freeze(self) -> None:
        """Stops every process of the group."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets them go on."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """Ends them; `wait` tells when."""
        if self.status is None:
            self._spawner.send({"verb": "kill", "id": self._number})

    async def wait(self) -> None:
        """Returns once the leader has been reaped and the rest of the group was killed."""
        await self._has_ended.wait()

    def _signal(self, number: int) -> None:
        # The spawner reaps, and so gives the number free, only after it said so; what is lost in between is a signal.
        if self.status is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def hear(self, news: _News) -> None:
        """Takes what the spawner says of it."""
        if news.refused is not None:
            if not self._started.done():
                self._started.set_exception(SpawnFailed(news.refused))
            self._over(-signal.SIGKILL)
        elif news.pid is not None:
            self.pid = news.pid
            if not self._started.done():
                self._started.set_result(news.pid)
        elif news.status is not None:
            self._over(news.status)

    def lose(self) -> None:
        """The spawner is gone, and with it the process."""
        if not self._started.done():
            self._started.set_exception(SpawnFailed("the process that starts the others has ended"))
        if self.status is None:
            self._over(-signal.SIGKILL)

    def _over(self, status: int) -> None:
        self.status = status
        self._has_ended.set()
        self._tell_end(self)

    async def started(self) -> None:
        """Returns once there is a pid. Raises SpawnFailed."""
        await self._started


class Spawner:
    """One process that starts all others; started again when it was lost. To be used in one event loop.

    Attributes:
        namespace: Whether functions have their own view of the files.
        why: If they have not: what the kernel said.
    """

    def __init__(self, *, namespaces: bool = True) -> None:
        """`namespaces`: whether to try for own views of the files."""
        self._namespaces = namespaces
        self.namespace = False
        self.why: str | None = None
        self._link: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._directory = ""
        self._processes: dict[int, SandboxProcess] = {}
        self._numbers = count(1)
        self._heard = b""
        self._lock = anyio.Lock()
        self._ready: asyncio.Future[None] | None = None

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(self, *_error: object) -> None:
        with anyio.CancelScope(shield=True):
            await self._end()

    async def start(
        self,
        order: Order,
        arguments: Sequence[str],
        descriptors: Sequence[int],
        ended: Callable[[SandboxProcess], None],
    ) -> SandboxProcess:
        """Starts a process.

        Args:
            arguments: The program and its arguments, as the process sees them.
            descriptors: Of its standard output and error; and of a socket, where it is a template. They stay the
                caller's.
            ended: Called once, in the event loop, when the process is no more.

        Raises:
            SpawnFailed: It could not be.
        """
        if self._link is None:
            await self._begin()
        fields = {
            "arguments": list(arguments),
            "environment": dict(order.environment),
            "task": str(order.task),
            "runtime": str(OUTSIDE),
            "layers": [str(layer) for layer in order.layers],
            "scratch": order.scratch,
            "megabytes": order.megabytes,
            "directory": order.directory,
        }
        return await self._ask("start", fields, descriptors, ended)

    async def adopt(self, pid: int, ended: Callable[[SandboxProcess], None]) -> SandboxProcess:
        """Watches a process that one of those here has forked and left. Raises SpawnFailed."""
        return await self._ask("adopt", {"pid": pid}, [], ended)

    async def copy_order(self, order: Order) -> dict[str, object]:
        """What a template is told of one of its copies; its /tmp is made. Raises SpawnFailed."""
        assert self._process is not None
        await self._ask("scratch", {"scratch": order.scratch, "megabytes": order.megabytes}, [], lambda _: None)
        return {
            "environment": dict(order.environment),
            "task": str(order.task),
            "runtime": str(OUTSIDE),
            "layers": [str(layer) for layer in order.layers],
            "scratch": os.path.join(self._directory, f"tmp-{order.scratch}"),
            "mount_points": f"{self._directory}/var",
            "namespace": self.namespace,
            "spawner": self._process.pid,
        }

    def forget(self, scratch: int) -> None:
        """The files of that /tmp go."""
        self.send({"verb": "forget", "scratch": scratch})

    async def _ask(
        self, verb: str, fields: dict[str, object], descriptors: Sequence[int], ended: Callable[[SandboxProcess], None]
    ) -> SandboxProcess:
        number = next(self._numbers)
        process = SandboxProcess(self, number, ended)
        self._processes[number] = process
        self.send({"verb": verb, "id": number, **fields}, descriptors)
        try:
            await process.started()
        except BaseException:
            process.kill()
            raise
        return process

    def send(self, message: dict[str, object], descriptors: Sequence[int] = ()) -> None:
        """Gives the spawner an order; one that is gone has nothing left to do for it."""
        if self._link is None:
            return
        data = _encode(message)
        try:
            # Blocking: an order is small, the socket's buffer holds hundreds, and the spawner does nothing that waits.
            socket.send_fds(self._link, [_HEAD.pack(len(data)) + data], descriptors)
        except OSError:
            self._lose()

    async def _begin(self) -> None:
        async with self._lock:
            if self._link is not None:
                return
            if self._process is not None:
                await self._end()
            loop = asyncio.get_running_loop()
            ours, theirs = socket.socketpair()
            self._directory = tempfile.mkdtemp(prefix="asl-lambda-")
            command = [sys.executable, "-I", "-S", str(_SCRIPT), str(theirs.fileno()), self._directory]
            command.append("namespaces" if self._namespaces else "no namespaces")
            with theirs:
                self._process = subprocess.Popen(  # noqa: ASYNC220, S603  once, and it returns at once; arguments of ours
                    command,
                    pass_fds=[theirs.fileno()],
                    env={"PATH": os.defpath},
                    start_new_session=True,
                    stdin=subprocess.DEVNULL,
                )
            self._link = ours
            self._heard = b""
            self._ready = loop.create_future()
            loop.add_reader(ours.fileno(), self._hear)
            await self._ready

    async def _end(self) -> None:
        self._lose()
        process, self._process = self._process, None
        if process is not None:
            with anyio.move_on_after(_LEAVE_SECONDS) as scope:
                await anyio.to_thread.run_sync(process.wait, abandon_on_cancel=True)
            if scope.cancelled_caught:
                process.kill()
                await anyio.to_thread.run_sync(process.wait)
            # It goes last of all itself, unless it was killed.
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(self._directory, ignore_errors=True))

    def _hear(self) -> None:
        assert self._link is not None
        try:
            data = self._link.recv(_READ_BYTES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lose()
            return
        self._heard += data
        while len(self._heard) >= _HEAD.size:
            end = _HEAD.size + _HEAD.unpack_from(self._heard)[0]
            if len(self._heard) < end:
                return
            news = _decode(self._heard[_HEAD.size : end])
            self._heard = self._heard[end:]
            self._take(news)

    def _take(self, news: _News) -> None:
        if news.id < 0:
            self.namespace, self.why = news.namespace, news.why
            assert self._ready is not None
            self._ready.set_result(None)
            return
        process = self._processes[news.id]
        process.hear(news)
        if process.status is not None or news.pid == 0:
            del self._processes[news.id]

    def _lose(self) -> None:
        link, self._link = self._link, None
        if link is None:
            return
        asyncio.get_running_loop().remove_reader(link.fileno())
        link.close()
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(SpawnFailed("the process that starts the others did not start"))
        processes, self._processes = self._processes, {}
        for process in processes.values():
            process.lose()
