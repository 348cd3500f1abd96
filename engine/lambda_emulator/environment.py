"""One execution environment: a process group that runs one version of a function, one invocation at a time.

Its life (lambda.md 5): it is initialised once, for at most ten seconds; then it is frozen, thawed for an invocation,
frozen again, until somebody destroys it. A process that ends, is killed for its memory or its time, or could not be
initialised, leaves an environment without a process: its /tmp stays, and the next invocation initialises again, under
the function's own timeout.

    starting --next--> idle --invoke--> busy --response--> finishing --next--> idle
        |                                 |                    |
        +--failed, exited, too long-------+--------------------+--------> without a process
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import anyio

from engine.lambda_emulator.errors import ServiceException
from engine.lambda_emulator.function_log import FunctionLog
from engine.lambda_emulator.invocation import Outcome
from engine.lambda_emulator.memory_use import Watched, peak_mb
from engine.lambda_emulator.report import Failure, Report, exited, head_of, init_report, platform_failure, timed_out
from engine.lambda_emulator.runtime_api import InitFailed, Ready, Responded, Restoring, RuntimeApi
from engine.lambda_emulator.runtimes import CannotRun, UnsupportedRuntime
from engine.lambda_emulator.spawning import SpawnFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from engine.lambda_emulator.functions import FunctionVersion
    from engine.lambda_emulator.invocation import Event
    from engine.lambda_emulator.launching import Launcher, Process
    from engine.lambda_emulator.log_sink import LogSink
    from engine.lambda_emulator.memory_use import MemoryWatch

INIT_SECONDS = 10.0
"""Of the initialisation of an environment that an invocation waits for (lambda.md 5)."""

_FINISH_SECONDS = 0.1
"""How long a caller waits, after the response, for the runtime to ask for more: its last lines are in the log then."""

_FREEZE_SECONDS = 0.02
"""How long after an invocation it is frozen. Two signals are a quarter of what a warm invocation costs, and under load
the next one is there before that; as on Lambda, nobody can rely on being stopped at once."""

_REPORTED_EXIT_SECONDS = 1.0
"""How long a runtime that reported a failed initialisation may take to end by itself."""

_MS = 1_000.0


@dataclass(frozen=True, slots=True)
class Ended:
    """The process is no more."""

    status: int


@dataclass(frozen=True, slots=True)
class Overdue:
    """Nothing happened in time."""


_Message: TypeAlias = Ready | Restoring | InitFailed | Responded | Ended | Overdue


class Environment:
    """See the module.

    Attributes:
        version: What it runs.
        idle_since, deadline: When it was frozen, and when its last invocation is timed out; by the loop's clock.
        init_failure: The error of an initialisation that failed, for who wants environments that are ready.
        on_idle: Called when the runtime asks for more after its caller has stopped waiting for that.
    """

    def __init__(self, version: FunctionVersion, launcher: Launcher, watch: MemoryWatch, sink: LogSink) -> None:
        self.version = version
        self.idle_since = 0.0
        self.deadline = 0.0
        self.on_idle: Callable[[], None] | None = None
        self.init_failure: bytes | None = None
        self._launcher = launcher
        self._watch = watch
        self._log = FunctionLog(version, launcher.log_stream, sink)
        self._api = RuntimeApi(self._hear, credentials=launcher.credentials)
        self._process: Process | None = None
        self._freezing: asyncio.TimerHandle | None = None
        self._is_frozen = False
        self._watched: Watched | None = None
        self._starts = 0
        self._inbox: deque[_Message] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._max_memory = 0.0
        self._is_out_of_memory = False
        self._init_ms: float | None = None

    @property
    def is_ready(self) -> bool:
        """Whether an invocation can be delivered at once."""
        return self._process is not None and self._api.state == "ready"

    @property
    def has_process(self) -> bool:
        """Whether its process lives."""
        return self._process is not None

    # ── from the outside ────────────────────────────────────────────────────────────────────────────────────────────

    async def initialise(self, turn: AbstractAsyncContextManager[None]) -> None:
        """The init phase; one that fails is repeated by the first invocation.

        Args:
            turn: Held while the process starts.

        Raises:
            LambdaError: ServiceException; or the restoring of a snapshot failed.
        """
        await self._api.listen(*self._launcher.address)
        async with turn:
            began = time.perf_counter()
            failure = await self._start(asyncio.get_running_loop().time() + self._launcher.init_seconds, "")
            self._init_ms = (time.perf_counter() - began) * _MS
        if failure is not None:
            self._log.platform(*init_report(self._init_ms, failure, restores=self._launcher.restores))
            error = self._launcher.error_of(failure)
            if error is not None:
                raise error
            self._init_ms = None
            self.init_failure = failure.payload

    async def invoke(self, event: Event) -> Outcome:
        """Runs it once. Cancelled, it kills the process.

        Raises:
            LambdaError: ServiceException; or the restoring of a snapshot failed.
        """
        began = time.perf_counter()  # the loop's clock may have whole milliseconds only, as uvloop's
        deadline = self.deadline = asyncio.get_running_loop().time() + self.version.timeout
        start = {"requestId": event.request_id, "version": self.version.version}
        self._log.begin(f"START RequestId: {event.request_id} Version: {self.version.version}", "start", start)
        try:
            failed: Failure | None = None
            if self._process is None:
                failed = await self._start_again(deadline, event.request_id)
            answer = failed if failed is not None else await self._ask(event, deadline)
        except BaseException:
            await self._kill()
            raise
        duration_ms = (time.perf_counter() - began) * _MS
        if isinstance(answer, Failure):
            if answer.status == "timeout":
                duration_ms = self.version.timeout * _MS
            return self._report(event, answer.payload, answer, duration_ms)
        await self._finish()
        failure = None if answer.error_type is None else Failure(answer.body, answer.error_type)
        streams = answer.streamed and event.on_chunk is not None
        body = b"" if streams and failure is None else answer.body
        return self._report(event, body, failure, duration_ms, answer.content_type, streamed=answer.streamed)

    def thaw(self) -> None:
        """Lets its processes go on."""
        timer, self._freezing = self._freezing, None
        if timer is not None:
            timer.cancel()
        if self._process is not None and self._is_frozen:
            self._process.thaw()
        self._is_frozen = False

    def freeze(self) -> None:
        """Stops its processes until the next invocation, unless that comes at once."""
        loop = asyncio.get_running_loop()
        self.idle_since = loop.time()
        if self._freezing is not None:
            self._freezing.cancel()  # it may be of a process before this one
        self._freezing = loop.call_later(_FREEZE_SECONDS, self._freeze, self._process)

    def _freeze(self, process: Process | None) -> None:
        self._freezing = None
        if process is not None and process is self._process:
            self._is_frozen = True
            process.freeze()

    async def destroy(self) -> None:
        """Kills it, and its files go."""
        await self._kill()
        self._api.close()
        self._log.close()
        self._launcher.forget()

    # ── initialising ────────────────────────────────────────────────────────────────────────────────────────────────

    async def _start_again(self, deadline: float, request_id: str) -> Failure | None:
        failure = await self._start(deadline, request_id)
        if failure is not None:
            error = self._launcher.error_of(failure)
            if error is not None:
                raise error
            if failure.error_type == _SEGMENTATION_FAULT.error_type:
                # Recorded: an initialisation that dies so is seen as one that takes too long (lambda.md 2.2).
                await anyio.sleep_until(deadline)
                failure = self._too_long(request_id)
            if failure.line is not None:
                self._log.platform(failure.line, "fault", {"requestId": request_id, "error": failure.error_type})
        return failure

    async def _start(self, deadline: float, request_id: str) -> Failure | None:
        """Starts the process, and waits for it to be ready."""
        self._inbox.clear()
        self._api.forget()
        self._is_out_of_memory = False
        self._max_memory = 0.0
        self._starts += 1
        ended = partial(self._ended, self._starts)
        descriptor = self._log.open()
        try:
            self._process = await self._launcher.launch(self._api.address, descriptor, ended)
        except (CannotRun, UnsupportedRuntime) as error:
            error_type = error.error_type if isinstance(error, CannotRun) else "Runtime.InvalidEntrypoint"
            return platform_failure(error_type, str(error), request_id)
        except (SpawnFailed, OSError) as error:
            raise ServiceException(f"{self.version.arn()}: no environment could be started: {error}") from error
        finally:
            os.close(descriptor)
        self._look()
        try:
            message = await self._next(deadline)
            match message:
                case Ready() | Restoring():
                    return None
                case InitFailed():
                    await self._next(min(deadline, asyncio.get_running_loop().time() + _REPORTED_EXIT_SECONDS))
                    return Failure(message.body, message.error_type)
                case Ended():
                    if message.status == -signal.SIGSEGV:
                        return _SEGMENTATION_FAULT
                    return exited(message.status, request_id)
                case _:
                    return self._too_long(request_id)
        finally:
            self._watch_no_more()
            if not self.is_ready and self._api.state != "restoring":
                await self._kill()

    def _too_long(self, request_id: str) -> Failure:
        return timed_out(self.version.timeout, request_id)

    # ── invoking ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _ask(self, event: Event, deadline: float) -> Responded | Failure:
        """Delivers the event, and waits for the response."""
        self.thaw()
        while not self.is_ready:  # it lost its connection, and makes another one
            message = await self._next(deadline)
            if isinstance(message, Ended | Overdue):
                return await self._fail(message, event.request_id)
        self._inbox.clear()
        self._api.on_begin, self._api.on_chunk = event.on_begin, event.on_chunk
        deadline_ms = int((time.time() + deadline - asyncio.get_running_loop().time()) * _MS)
        self._look()
        self._api.deliver(event.request_id, head_of(event, deadline_ms, event.trace_id or _trace_id()), event.payload)
        message = await self._next(deadline)
        while not isinstance(message, Responded | Ended | Overdue):
            message = await self._next(deadline)
        return message if isinstance(message, Responded) else await self._fail(message, event.request_id)

    async def _fail(self, message: Ended | Overdue, request_id: str) -> Failure:
        if isinstance(message, Ended):
            failure = exited(-signal.SIGKILL if self._is_out_of_memory else message.status, request_id)
        else:
            failure = timed_out(self.version.timeout, request_id)
        self._measure()
        self._log.drain()
        self._log.finish_line()
        assert failure.line is not None
        record = {"requestId": request_id, "errorType": failure.error_type}
        self._log.platform(failure.line, "fault", record)
        await self._kill()
        return failure

    async def _finish(self) -> None:
        """The response is there; the runtime may have a little left to do."""
        until = asyncio.get_running_loop().time() + _FINISH_SECONDS
        while not self.is_ready:
            message = await self._next(until)
            if isinstance(message, Overdue):
                return
            if isinstance(message, Ended):
                await self._kill()
                return

    def _report(
        self,
        event: Event,
        body: bytes,
        failure: Failure | None,
        duration_ms: float,
        content_type: str = "application/json",
        *,
        streamed: bool = False,
    ) -> Outcome:
        self._measure()
        self._watch_no_more()
        self._log.drain()
        self._log.finish_line()
        init_ms, self._init_ms = self._init_ms, None
        restores = self._launcher.restores
        report = Report(
            duration_ms=duration_ms,
            memory_size=self.version.memory_size,
            max_memory_used=self.version.memory_size if self._is_out_of_memory else math.ceil(self._max_memory),
            init_ms=None if restores else init_ms,
            restore_ms=init_ms if restores else None,
            failure=failure,
        )
        self._log.platform(f"END RequestId: {event.request_id}", "runtimeDone", {"requestId": event.request_id})
        self._log.platform(report.text(event.request_id), "report", report.record(event.request_id))
        return Outcome(
            payload=body,
            function_error=None if failure is None else "Unhandled",
            content_type=content_type,
            log_tail=self._log.tail(),
            duration_ms=duration_ms,
            billed_ms=report.billed_ms,
            init_ms=report.init_ms,
            restore_ms=report.restore_ms,
            max_memory_used=report.max_memory_used,
            streamed=streamed,
        )

    # ── memory ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _look(self) -> None:
        """Watches its memory from now on."""
        assert self._process is not None
        if self._watched is None and self._process.pid:
            self._watched = Watched(self._process.pid, self.version.memory_size, self._out_of_memory)
            self._watch.add(self._watched)

    def _watch_no_more(self) -> None:
        watched, self._watched = self._watched, None
        if watched is not None:
            self._max_memory = max(self._max_memory, watched.peak)
            self._watch.remove(watched)

    def _measure(self) -> None:
        if self._process is not None and self._process.pid:
            self._max_memory = max(self._max_memory, peak_mb(self._process.pid))

    def _out_of_memory(self) -> None:
        self._is_out_of_memory = True
        if self._process is not None:
            self._process.kill()

    # ── what happens ────────────────────────────────────────────────────────────────────────────────────────────────

    def _hear(self, message: Ready | Restoring | InitFailed | Responded) -> None:
        self._put(message)
        if isinstance(message, Ready) and self._waiter is None and self.on_idle is not None:
            self.on_idle()

    def _ended(self, start: int, process: Process) -> None:
        if start != self._starts:
            return  # one of those before
        assert process.status is not None
        self._put(Ended(process.status))
        if self._waiter is None and self._process is not None:
            # Nobody waits: it died while it was frozen, or after its response.
            self._lost()

    def _put(self, message: _Message) -> None:
        self._inbox.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _be_overdue(self) -> None:
        # Only if nothing else has come in the same turn of the loop: nobody would take it out of the box again.
        if not self._inbox:
            self._put(Overdue())

    async def _next(self, deadline: float) -> _Message:
        """What happened first of what was not yet seen. `deadline` by the loop's clock."""
        if not self._inbox:
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = loop.call_at(deadline, self._be_overdue)
            try:
                await self._waiter
            finally:
                timer.cancel()
                self._waiter = None
        return self._inbox.popleft()

    async def _kill(self) -> None:
        """Ends the process, if there is one, and waits for that."""
        process = self._process
        if process is not None:
            self._watch_no_more()
            process.kill()
            with anyio.CancelScope(shield=True):
                await process.wait()
            self._lost()

    def _lost(self) -> None:
        self._watch_no_more()
        self._process = None
        self._is_frozen = False
        self._api.forget()
        self._log.close()
        self._inbox.clear()


_SEGMENTATION_FAULT = Failure(b"", "Runtime.SegmentationFault")


def _trace_id() -> str:
    root = f"{int(time.time()):08x}-{random.getrandbits(96):024x}"
    return f"Root=1-{root};Parent={random.getrandbits(64):016x};Sampled=0"
