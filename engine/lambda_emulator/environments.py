"""All execution environments: which one runs an invocation, and how long those that run nothing are kept.

An environment runs one invocation at a time. The one that was used last is used first, so that others can be given up.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from collections import deque
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeAlias

import anyio

from engine.lambda_emulator.containers import Containers
from engine.lambda_emulator.environment import Environment
from engine.lambda_emulator.errors import LambdaError, ServiceException
from engine.lambda_emulator.launching import ProgramLauncher, SnapshotLauncher, TemplateLauncher
from engine.lambda_emulator.memory_use import MemoryWatch
from engine.lambda_emulator.runtimes import Programs
from engine.lambda_emulator.spawning import Spawner, SpawnFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.lambda_emulator.functions import FunctionVersion
    from engine.lambda_emulator.invocation import Event, Outcome
    from engine.lambda_emulator.launching import Launcher
    from engine.lambda_emulator.log_sink import LogSink
    from engine.lambda_emulator.runtimes import Initialization

IDLE_SECONDS: Final = 600.0
"""How long an environment that runs nothing is kept. AWS does not say how long it does; minutes were seen."""

_STARTS_AT_ONCE: Final = max(4, 2 * (os.cpu_count() or 1))
_START_SECONDS: Final = 1.0
"""How long one that is being initialised holds back others. After that it waits for the outside, not a processor."""

_Key: TypeAlias = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Count:
    """Environments of a version: those that run something, and those that wait."""

    busy: int
    idle: int


class _Pool:
    """Environments of one revision of a version.

    Attributes:
        creating: How many are on their way.
        retired: Those that run something go when they have done it, and so does the template once nobody copies it.
    """

    def __init__(self, version: FunctionVersion) -> None:
        self.version = version
        self.idle: deque[Environment] = deque()
        self.busy: set[Environment] = set()
        self.template: _Template | None = None
        self.lock = anyio.Lock()
        self.creating = 0
        self.retired = False

    def take(self) -> Environment | None:
        return self.idle.pop() if self.idle else None


class _Template:
    """An environment that was initialised, and whose process makes copies of itself (SnapStart)."""

    def __init__(self, environment: Environment, launcher: TemplateLauncher) -> None:
        self._environment = environment
        self._launcher = launcher
        self._copying = 0

    @property
    def lives(self) -> bool:
        return self._environment.has_process

    async def copy(self, order: dict[str, object], log: int) -> int:
        self._environment.thaw()
        self._copying += 1
        try:
            return await self._launcher.orders.copy(order, log)
        finally:
            self._copying -= 1
            if not self._copying:
                self._environment.freeze()

    async def destroy(self) -> None:
        await self._environment.destroy()


class Environments:
    """See the module. To be used as an asynchronous context manager, in one event loop.

    Attributes:
        isolation: What keeps functions apart: `namespace`, or why they have none.
    """

    def __init__(
        self,
        sink: LogSink,
        programs: Programs | None = None,
        *,
        idle_seconds: float = IDLE_SECONDS,
        namespaces: bool = True,
    ) -> None:
        """Begins nothing yet.

        Args:
            sink: Takes the logs of all functions.
            programs: Which interpreters run them, and with which variables.
            idle_seconds: How long an environment is kept that runs nothing.
            namespaces: Whether functions get their own view of the files, where the kernel allows it and no interpreter
                is below /tmp.
        """
        self._sink = sink
        self._programs = programs or Programs()
        self._idle_seconds = idle_seconds
        hidden = self._programs.hidden() if namespaces else None
        self._hidden = f"{hidden} is below /tmp, of which a function would have its own" if hidden else None
        self._spawner = Spawner(namespaces=namespaces and hidden is None)
        self._watch = MemoryWatch()
        self._pools: dict[_Key, _Pool] = {}
        self._containers = Containers(self._watch, sink)
        self._starts = anyio.Semaphore(_STARTS_AT_ONCE)
        self._stack = AsyncExitStack()

    @property
    def isolation(self) -> str:
        """See the class."""
        return "namespace" if self._spawner.namespace else self._hidden or self._spawner.why or "not started"

    async def __aenter__(self) -> Self:
        if sys.platform != "linux":
            raise ServiceException(
                f"functions are run on Linux; this is {sys.platform}: run the emulator in a container"
            )
        _raise_file_limit()
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self._spawner)
            except SpawnFailed as error:
                raise ServiceException(str(error)) from error
            stack.push_async_callback(self._destroy_all)
            self._group = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(self._group.cancel_scope.cancel)
            self._group.start_soon(self._watch.run)
            self._group.start_soon(self._reap)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()

    # ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def invoke(self, version: FunctionVersion, event: Event) -> Outcome:
        """Runs the version once. A failure of the function is an outcome.

        Raises:
            LambdaError: It could not be run: ServiceException, or what befell its snapshot (SnapStart...Exception).
        """
        if version.endpoint is not None:
            return await self._containers.invoke(version, version.endpoint, event)
        pool = self._pool_of(version)
        environment = pool.take()
        if environment is None:
            environment = await self._create(pool)
        pool.busy.add(environment)
        try:
            return await environment.invoke(event)
        except OSError as error:
            raise ServiceException(f"{version.arn()}: {error}") from error
        finally:
            await self._give_back(pool, environment)

    def check(self, runtime: str) -> None:
        """See `Programs.check`."""
        self._programs.check(runtime)

    async def prepare(self, version: FunctionVersion, count: int = 0) -> None:
        """Makes the version's snapshot, if it is one with SnapStart, and as many environments as shall be there.

        Raises:
            LambdaError: The initialisation failed; the message says what with.
        """
        if version.endpoint is not None:
            return  # it is there, or it is not
        pool = self._pool_of(version)
        if version.is_snap_started:
            async with self._creating(pool):
                await self._template_of(pool)
        while not pool.retired and len(pool.idle) + len(pool.busy) < count:
            environment = await self._create(pool, provisioned=True)
            if environment.init_failure is not None:
                error = environment.init_failure
                await environment.destroy()
                raise ServiceException(error.decode("utf-8", "replace"))
            self._rest(pool, environment)

    async def retire(self, name: str, version: str | None = None, keep_revision: str | None = None) -> None:
        """Destroys the environments of a function, or of one of its versions; those that run something: afterwards.

        Args:
            keep_revision: Environments of this revision stay.
        """
        await self._containers.retire(name, version, keep_revision)
        for key, pool in list(self._pools.items()):
            one = pool.version
            if one.name == name and version in (None, one.version) and one.revision_id != keep_revision:
                await self._retire(key)

    def counts(self) -> dict[tuple[str, str], Count]:
        """Environments by function name and version."""
        found: dict[tuple[str, str], Count] = {}
        for pool in self._pools.values():
            name = pool.version.name, pool.version.version
            before = found.get(name, Count(0, 0))
            found[name] = Count(before.busy + len(pool.busy), before.idle + len(pool.idle))
        return found

    # ── pools ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _pool_of(self, version: FunctionVersion) -> _Pool:
        key = version.arn(), version.version, version.revision_id, version.region
        pool = self._pools.get(key)
        if pool is None:
            older = [other for other in self._pools if other[:2] == key[:2]]
            for other in older:
                self._group.start_soon(self._retire, other)
            pool = self._pools[key] = _Pool(version)
        return pool

    async def _retire(self, key: _Key) -> None:
        pool = self._pools.pop(key, None)
        if pool is None:
            return
        pool.retired = True
        idle, pool.idle = pool.idle, deque()
        for environment in idle:
            await environment.destroy()
        await self._destroy_template(pool)

    async def _destroy_template(self, pool: _Pool) -> None:
        """Once nobody copies it: who began before the change gets an environment all the same."""
        if pool.retired and not pool.creating and pool.template is not None:
            template, pool.template = pool.template, None
            with anyio.CancelScope(shield=True):
                await template.destroy()

    async def _create(self, pool: _Pool, *, provisioned: bool = False) -> Environment:
        version = pool.version
        launcher: Launcher
        async with self._creating(pool):
            if version.is_snap_started:
                launcher = SnapshotLauncher(version, self._spawner, self._programs, await self._template_of(pool))
            else:
                kind: Initialization = "provisioned-concurrency" if provisioned else "on-demand"
                launcher = ProgramLauncher(version, self._spawner, self._programs, kind)
            return await self._initialised(version, launcher)

    @asynccontextmanager
    async def _creating(self, pool: _Pool) -> AsyncIterator[None]:
        """Keeps the template from being destroyed meanwhile."""
        pool.creating += 1
        try:
            yield
        finally:
            pool.creating -= 1
            await self._destroy_template(pool)

    async def _initialised(self, version: FunctionVersion, launcher: Launcher) -> Environment:
        environment = Environment(version, launcher, self._watch, self._sink)
        try:
            await environment.initialise(self._turn())
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await environment.destroy()
            if isinstance(error, OSError):
                raise ServiceException(f"{version.arn()}: {error}") from error
            raise
        return environment

    async def _template_of(self, pool: _Pool) -> _Template:
        async with pool.lock:
            if pool.template is not None and pool.template.lives:
                return pool.template
            if pool.template is not None:
                await pool.template.destroy()
            launcher = TemplateLauncher(pool.version, self._spawner, self._programs)
            environment = await self._initialised(pool.version, launcher)
            environment.freeze()
            pool.template = _Template(environment, launcher)
            return pool.template

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Only so many start at once: each wants a processor, and its time is limited."""
        await self._starts.acquire()
        held = [True]

        def release() -> None:
            if held:
                held.pop()
                self._starts.release()

        timer = asyncio.get_running_loop().call_later(_START_SECONDS, release)
        try:
            yield
        finally:
            timer.cancel()
            release()

    async def _give_back(self, pool: _Pool, environment: Environment) -> None:
        if pool.retired:
            pool.busy.discard(environment)
            with anyio.CancelScope(shield=True):
                await environment.destroy()
        elif environment.is_ready:
            self._rest(pool, environment)
        elif environment.has_process:
            # It has answered, and is still at work: others take its place until it asks for more.
            environment.on_idle = lambda: self._rest(pool, environment)
            self._group.start_soon(self._end_overtime, pool, environment)
        else:
            pool.busy.discard(environment)
            environment.freeze()
            pool.idle.appendleft(environment)

    async def _end_overtime(self, pool: _Pool, environment: Environment) -> None:
        """What goes on after the response has the function's timeout too."""
        await anyio.sleep_until(environment.deadline)
        if environment.on_idle is not None:
            environment.on_idle = None
            pool.busy.discard(environment)
            with anyio.CancelScope(shield=True):
                await environment.destroy()

    def _rest(self, pool: _Pool, environment: Environment) -> None:
        environment.on_idle = None
        pool.busy.discard(environment)
        environment.freeze()
        if pool.retired:
            self._group.start_soon(environment.destroy)
        else:
            pool.idle.append(environment)

    async def _reap(self) -> None:
        """Gives up environments that nobody has used for long."""
        while True:
            await anyio.sleep(self._idle_seconds / 4)
            latest = asyncio.get_running_loop().time() - self._idle_seconds
            for pool in list(self._pools.values()):
                while pool.idle and pool.idle[0].idle_since < latest:
                    with suppress(LambdaError):
                        await pool.idle.popleft().destroy()

    async def _destroy_all(self) -> None:
        with anyio.CancelScope(shield=True):
            await self._containers.close()
            for key in list(self._pools):
                busy = set(self._pools[key].busy)
                await self._retire(key)
                for environment in busy:
                    await environment.destroy()


def _raise_file_limit() -> None:
    """Each environment has a few descriptors here; functions get their own limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or soft < hard:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536) if hard > 0 else 65_536, hard))
