"""Engines on a store that they share, a clock that tests can push on, and handlers to look into."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anyio

import engine

if TYPE_CHECKING:
    from engine.runtime.fleet_worker import FleetWorker
    from engine.store.memory import MemoryStore

ECHO = {"Type": "Pass"}


class Now:
    """The store's clock: real time, and what was skipped."""

    def __init__(self) -> None:
        self.skipped = 0

    def __call__(self) -> int:
        return time.time_ns() // 1_000_000 + self.skipped

    def skip(self, seconds: float) -> None:
        self.skipped += int(seconds * 1_000)


def on(store: MemoryStore, handlers: Any = None, **options: Any) -> engine.Engine:
    return engine.Engine(url=lambda: store, handlers=handlers, **options)


def fleet(one: engine.Engine) -> FleetWorker:
    worker: FleetWorker = one._backend.worker  # type: ignore[attr-defined]
    return worker


def in_memory(one: engine.Engine) -> int:
    return len(fleet(one).worker.executions.live)


async def echo(event: Any) -> Any:
    return event


class Gate:
    """A handler that waits until it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.inside = anyio.Event()
        self.open = anyio.Event()

    async def __call__(self, event: Any, context: Any) -> str:
        self.calls += 1
        self.inside.set()
        await self.open.wait()
        return "through"
