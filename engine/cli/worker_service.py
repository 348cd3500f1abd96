"""One process that serves, from its beginning to its end: it waits for its database, works, answers probes, and drains.

It is a worker, or answers requests of the API, or both.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import anyio
import click
import structlog

from engine.cli.exits import ExitCode
from engine.cli.interrupts import interruptible
from engine.cli.streams import read_to_the_end
from engine.runtime.watchdog import STILL_PART, Watchdog

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from prometheus_client.registry import Collector

    from engine.cli.api_face import ApiFace
    from engine.library import Engine
    from engine.observability.health import Page

_UNHEALTHY_PART = 1 / 3
"""Of the lease: a loop that stood still for so long is not healthy; at twice as much the watchdog ends the process."""

_DRAINING = "draining: nothing new is begun"
"""As the engine says it."""

_LOOK_SECONDS = 1.0
_PROGRESS_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """How one worker process behaves.

    Attributes:
        drain_seconds: How long Tasks in flight are waited for.
        lease_seconds, retention: See `Engine`.
        hanging_max: It drains and ends when more handlers than this hang that were given up.
        until_eof: It drains when stdin ends as well.
        health: Where probes are answered; None: nowhere.
        about: What the lines of its beginning and end say of it.
        kind: What those lines call it.
        api: Answers requests of the API; None: nobody does.
    """

    drain_seconds: float
    lease_seconds: float
    hanging_max: int
    retention: timedelta | None = None
    until_eof: bool = False
    health: str | None = None
    about: Mapping[str, Any] = field(default_factory=dict)
    kind: Literal["worker", "server"] = "worker"
    api: ApiFace | None = None


async def serve(engine: Engine, service: Service) -> int:
    """Works until it is told to stop, or is not fit to go on; the exit code.

    Raises:
        StoreUnavailable, SchemaMismatch: The database refuses this worker.
        click.ClickException: `health` cannot be listened at.
    """
    return await _Worker(engine, service).run()


class _Worker:
    """The process's one worker.

    Attributes:
        exit_code: Of the process, once it is known to be other than how the draining went.
    """

    def __init__(self, engine: Engine, service: Service) -> None:
        self.exit_code: ExitCode | None = None
        self._engine = engine
        self._service = service
        self._log = structlog.get_logger()
        self._told, self._told_again = anyio.Event(), anyio.Event()
        self._entering = anyio.CancelScope()
        self._has_begun = False
        self._has_drained = True  # until something was begun
        self._missing: set[str] = set()

    async def run(self) -> int:
        """See `serve`."""
        loop = asyncio.get_running_loop()
        if self._service.until_eof:
            threading.Thread(target=at_eof, args=(loop, self._stop), name="asl stdin", daemon=True).start()
        with interruptible(loop, self._stop, lambda: None, asked_max=2), ExitStack() as exits:
            dog = exits.enter_context(Watchdog(self._service.lease_seconds * STILL_PART))
            if self._service.api is not None:
                exits.callback(self._service.api.close)
            if self._service.health is not None:
                exits.enter_context(health_server(self._service.health, self._pages(dog)))
            with self._entering:
                async with self._engine:
                    self._has_begun = True
                    await self._work()
        self._log.info(f"{self._service.kind} stopped", has_drained=self._has_drained, **self._service.about)
        if not self._has_drained:
            return ExitCode.ABORTED
        return ExitCode.SUCCEEDED if self.exit_code is None else self.exit_code

    def _stop(self, signal_name: str) -> None:
        self._log.info("signal received", signal=signal_name)
        (self._told_again if self._told.is_set() else self._told).set()
        if not self._has_begun:
            self._entering.cancel()  # it waits for its database, and has nothing to drain

    async def _work(self) -> None:
        service = self._service
        async with anyio.create_task_group() as group:
            group.start_soon(self._look_after)
            if service.api is not None:
                await group.start(service.api.run, self._engine.service)
            # What is there by now stays. Looked through for garbage, it held up all in flight for 30 ms each time.
            gc.collect()
            gc.freeze()
            self._log.info(f"{service.kind} started", **service.about)
            await self._told.wait()
            self._log.info(f"{service.kind} drains", seconds=service.drain_seconds, **self._in_hand())
            group.start_soon(self._give_up, group.cancel_scope)
            group.start_soon(self._tell_progress)
            self._has_drained = False
            self._has_drained = await self._drained(service)
            group.cancel_scope.cancel()

    async def _drained(self, service: Service) -> bool:
        """Whether everything in hand came to its end in time: requests first, for some of them wait for Tasks."""
        until = anyio.current_time() + service.drain_seconds
        has_served_all = service.api is None or await service.api.stop(service.drain_seconds)
        return await self._engine.drain(max(0.0, until - anyio.current_time())) and has_served_all

    async def _give_up(self, scope: anyio.CancelScope) -> None:
        await self._told_again.wait()
        scope.cancel()

    async def _tell_progress(self) -> None:
        while True:
            await anyio.sleep(_PROGRESS_SECONDS)
            self._log.info(f"{self._service.kind} still drains", **self._in_hand())

    def _in_hand(self) -> dict[str, int]:
        metrics = self._engine.metrics()
        requests = {} if self._service.api is None else {"requests": self._service.api.in_flight}
        return {"tasks": metrics.in_flight, "executions": metrics.live, **requests}

    async def _look_after(self) -> None:
        """Says once which Resource has no handler, and ends a worker in which too many handlers hang."""
        while True:
            metrics = self._engine.metrics()
            for resource in metrics.missing.keys() - self._missing:
                self._missing.add(resource)
                self._log.warning("no handler", resource=resource, remedy=_remedy(resource))
            if metrics.hanging > self._service.hanging_max and self.exit_code is None:
                self._log.error("too many handlers hang", handlers=metrics.hanging, most=self._service.hanging_max)
                self.exit_code = ExitCode.UNFIT
                self._told.set()
            await anyio.sleep(_LOOK_SECONDS)

    # ── probes; in threads of their own ─────────────────────────────────────────────────────────────────────────────

    def _pages(self, dog: Watchdog) -> dict[str, Callable[[], Page]]:
        from engine.observability.health import Page, verdict
        from engine.observability.prometheus import CONTENT_TYPE, EngineCollector, exposition

        def still() -> list[str]:
            seconds = dog.still_seconds
            is_still = seconds >= self._service.lease_seconds * _UNHEALTHY_PART
            return [f"the event loop has stood still for {seconds:.1f} seconds"] if is_still else []

        def not_ready() -> list[str]:
            # From the signal on, also while requests are still answered and the engine has not begun to drain.
            more = [_DRAINING] if self._told.is_set() else []
            return list(dict.fromkeys([*still(), *more, *self._engine.not_ready()]))

        collectors: list[Collector] = [EngineCollector(self._engine.metrics, ready=lambda: not not_ready())]
        if self._service.api is not None:
            collectors.append(self._service.api.collector)
        return {
            "/healthz": lambda: verdict("healthy", still(), pid=os.getpid()),
            "/readyz": lambda: verdict("ready", not_ready(), pid=os.getpid()),
            "/metrics": lambda: Page(200, CONTENT_TYPE, exposition(*collectors)),
        }


def health_server(address: str, pages: Mapping[str, Callable[[], Page]]) -> Any:
    """A `HealthServer`. Raises click.ClickException: it cannot listen there."""
    from engine.observability.health import HealthServer

    try:
        server = HealthServer(address, pages)
    except OSError as error:
        raise click.ClickException(f"--health {address}: {error.strerror or error}") from error
    structlog.get_logger().info("answering probes", address=server.address)
    return server


def _remedy(resource: str) -> str:
    """What lets a worker do the Tasks of a Resource."""
    from engine.asl.resource import parse_resource
    from engine.integrations.aws_actions import is_outside

    found = parse_resource(resource)
    if found is None or not is_outside(found):
        return "a target for it (-t), or --handlers"
    return "a target for it (-t), --allow-aws, or an emulator's AWS_ENDPOINT_URL"


def at_eof(loop: AbstractEventLoop, stop: Callable[[str], None]) -> None:
    """Reads stdin to its end, then calls `stop` in the loop."""
    read_to_the_end()
    with suppress(RuntimeError):  # the loop is closed: it is stopping anyway
        loop.call_soon_threadsafe(stop, "EOF")
