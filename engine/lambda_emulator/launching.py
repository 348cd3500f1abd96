"""How the process of an environment comes to be: started from a program, or copied from a snapshot."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Protocol

import anyio
import msgspec

from engine.lambda_emulator import runtimes
from engine.lambda_emulator.errors import (
    LambdaError,
    ServiceException,
    SnapStartException,
    SnapStartTimeoutException,
)
from engine.lambda_emulator.spawning import Order, SpawnFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from engine.lambda_emulator.functions import FunctionVersion
    from engine.lambda_emulator.report import Failure
    from engine.lambda_emulator.runtimes import Initialization, Programs
    from engine.lambda_emulator.spawning import Spawner

_INIT_SECONDS = 10.0
_PREPARED_INIT_SECONDS = 130.0
_RESTORE_SECONDS = 10.0
"""lambda.md 5, 7."""

_scratch_numbers = count(1)


class Process(Protocol):
    """What runs in an environment: a process group, or a container that came by itself.

    Attributes:
        pid: Of the leader; 0 where it is none of this machine's that could be looked at.
        status: None while it lives; then as `os.waitstatus_to_exitcode` has it.
    """

    pid: int
    status: int | None

    def freeze(self) -> None:
        """It stands still, as far as that is possible."""
        ...

    def thaw(self) -> None:
        """And goes on."""
        ...

    def kill(self) -> None:
        """Ends it; `wait` tells when."""
        ...

    async def wait(self) -> None:
        """Returns once it is no more."""
        ...


class Launcher(Protocol):
    """Starts the processes of one environment, one after the other.

    Attributes:
        log_stream: The environment's.
        credentials: JSON that the Runtime API serves; empty: none.
        address: Where the Runtime API listens: host and port, 0 for a free one.
        init_seconds: How long the init phase may take.
        restores: Whether that is the restoring of a snapshot.
    """

    log_stream: str
    credentials: bytes
    address: tuple[str, int]
    init_seconds: float
    restores: bool

    async def launch(self, address: str, log: int, ended: Callable[[Process], None]) -> Process:
        """Starts a process.

        Args:
            address: `host:port` of its Runtime API.
            log: A descriptor for its output; it stays the caller's.
            ended: Called once, when it is no more.

        Raises:
            SpawnFailed, OSError: It could not be started.
            CannotRun, UnsupportedRuntime: There is nothing to start.
        """
        ...

    def error_of(self, failure: Failure) -> LambdaError | None:
        """What the caller of the API is told of a failed init phase; None: it is repeated in the invocation."""
        ...

    def forget(self) -> None:
        """The environment is no more."""
        ...


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A version's files."""

    task: Path
    layers: list[Path]

    @classmethod
    async def of(cls, version: FunctionVersion) -> Unpacked:
        """Raises OSError."""
        assert version.code is not None, "a function of package type Zip has code"
        return cls(await version.code.directory(), [await layer.directory() for layer in version.layers])


class ProgramLauncher:
    """Starts the runtime's program. See `Launcher`."""

    address = ("127.0.0.1", 0)
    credentials = b""
    restores = False

    def __init__(
        self, version: FunctionVersion, spawner: Spawner, programs: Programs, initialization: Initialization
    ) -> None:
        self.log_stream = runtimes.new_log_stream(version)
        self.init_seconds = _INIT_SECONDS
        if initialization != "on-demand":
            self.init_seconds = max(_PREPARED_INIT_SECONDS, version.timeout)
        self._version = version
        self._spawner = spawner
        self._programs = programs
        self._initialization = initialization
        self._scratch = next(_scratch_numbers)

    async def launch(self, address: str, log: int, ended: Callable[[Process], None]) -> Process:
        """See `Launcher`."""
        return await self.launch_with(address, [log], ended)

    async def launch_with(self, address: str, descriptors: list[int], ended: Callable[[Process], None]) -> Process:
        """The same; with a second descriptor, of a socket, it becomes a template of snapshots."""
        unpacked = await Unpacked.of(self._version)
        version, namespace = self._version, self._spawner.namespace
        arguments = runtimes.command(
            version, self._programs, task=unpacked.task, layers=unpacked.layers, namespace=namespace
        )
        order = order_of(
            version,
            self._spawner,
            self._programs,
            unpacked,
            self._scratch,
            address,
            self.log_stream,
            self._initialization,
        )
        return await self._spawner.start(order, arguments, descriptors, ended)

    def error_of(self, _failure: Failure) -> LambdaError | None:
        """See `Launcher`."""
        return None

    def forget(self) -> None:
        """See `Launcher`."""
        self._spawner.forget(self._scratch)


def order_of(
    version: FunctionVersion,
    spawner: Spawner,
    programs: Programs,
    unpacked: Unpacked,
    scratch: int,
    address: str,
    log_stream: str,
    initialization: Initialization,
) -> Order:
    """What a process of the version finds."""
    found = runtimes.variables(
        version,
        programs,
        address=address,
        log_stream=log_stream,
        initialization=initialization,
        task=unpacked.task,
        layers=unpacked.layers,
        namespace=spawner.namespace,
    )
    if initialization == "snap-start":
        runtimes.fetched_credentials(found)
    return Order(
        environment=found,
        task=unpacked.task,
        layers=unpacked.layers,
        scratch=scratch,
        megabytes=version.ephemeral_storage,
        directory=found["LAMBDA_TASK_ROOT"],
    )


class Orders:
    """The socket by which a template is told to make copies."""

    def __init__(self) -> None:
        self._ours, self.theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._lock = anyio.Lock()

    def given(self) -> None:
        """The template has its end."""
        self.theirs.close()

    def close(self) -> None:
        """No more copies."""
        self._ours.close()
        self.theirs.close()

    async def copy(self, order: dict[str, object], log: int) -> int:
        """The process number of the copy. Raises SpawnFailed."""
        async with self._lock:
            try:
                with anyio.fail_after(_RESTORE_SECONDS):
                    socket.send_fds(self._ours, [msgspec.json.encode(order)], [log])
                    await anyio.wait_readable(self._ours)
                    answer = self._ours.recv(1_024)
            except (OSError, TimeoutError) as error:
                raise SpawnFailed(f"the snapshot's process does not answer: {error}") from error
        if not answer:
            raise SpawnFailed("the snapshot's process has ended")
        pid: int = msgspec.json.decode(answer)["pid"]
        return pid


class SnapshotLauncher:
    """Copies a template. See `Launcher`."""

    address = ("127.0.0.1", 0)
    init_seconds = _RESTORE_SECONDS
    restores = True

    def __init__(self, version: FunctionVersion, spawner: Spawner, programs: Programs, template: Template) -> None:
        self.log_stream = runtimes.new_log_stream(version)
        self.credentials = msgspec.json.encode(runtimes.credentials_of(programs))
        self._version = version
        self._spawner = spawner
        self._programs = programs
        self._template = template
        self._scratch = next(_scratch_numbers)

    async def launch(self, address: str, log: int, ended: Callable[[Process], None]) -> Process:
        """See `Launcher`."""
        unpacked = await Unpacked.of(self._version)
        order = order_of(
            self._version,
            self._spawner,
            self._programs,
            unpacked,
            self._scratch,
            address,
            self.log_stream,
            "snap-start",
        )
        with anyio.CancelScope(shield=True):  # a copy that is made must be known, or nobody would end it
            told = {**await self._spawner.copy_order(order), "version": self._version.version}
            pid = await self._template.copy(told, log)
            process = await self._spawner.adopt(pid, ended)
        return process  # noqa: RET504  a scope may swallow, says its type: inside there would be no return

    def error_of(self, failure: Failure) -> LambdaError | None:
        """See `Launcher`: a copy that fails is a fault of its snapshot (lambda.md 7)."""
        if failure.status == "timeout":
            return SnapStartTimeoutException(f"Restoring the snapshot took longer than {_RESTORE_SECONDS:.0f} seconds.")
        with contextlib.suppress(msgspec.DecodeError):
            told = msgspec.json.decode(failure.payload)
            if isinstance(told, dict):
                return SnapStartException(f"{told.get('errorType')}: {told.get('errorMessage')}")
        return SnapStartException(failure.error_type)

    def forget(self) -> None:
        """See `Launcher`."""
        self._spawner.forget(self._scratch)


class Template(Protocol):
    """An initialised process that makes copies of itself."""

    async def copy(self, order: dict[str, object], log: int) -> int:
        """The process number of a copy. Raises SpawnFailed."""
        ...


class TemplateLauncher(ProgramLauncher):
    """Starts the process that becomes a template."""

    def __init__(self, version: FunctionVersion, spawner: Spawner, programs: Programs) -> None:
        super().__init__(version, spawner, programs, "snap-start")
        self.credentials = msgspec.json.encode(runtimes.credentials_of(programs))
        self.orders = Orders()

    async def launch(self, address: str, log: int, ended: Callable[[Process], None]) -> Process:
        """See `Launcher`."""
        try:
            return await self.launch_with(address, [log, self.orders.theirs.fileno()], ended)
        finally:
            self.orders.given()

    def error_of(self, failure: Failure) -> LambdaError:
        """See `Launcher`: it is not tried again."""
        return ServiceException(failure.payload.decode("utf-8", "replace") or failure.error_type)

    def forget(self) -> None:
        """See `Launcher`."""
        self.orders.close()
        super().forget()
