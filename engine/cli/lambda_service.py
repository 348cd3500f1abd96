"""A process that serves Lambda alone, from its beginning to its end."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING

import anyio
import structlog

from engine.cli.exits import ExitCode
from engine.cli.interrupts import interruptible
from engine.cli.worker_service import at_eof

if TYPE_CHECKING:
    from engine.cli.lambda_face import LambdaFace


async def serve_functions(face: LambdaFace, drain_seconds: float, until_eof: bool) -> int:
    """Answers until it is told to stop; the exit code."""
    log = structlog.get_logger()
    loop = asyncio.get_running_loop()
    told, told_again = anyio.Event(), anyio.Event()

    def stop(signal_name: str) -> None:
        log.info("signal received", signal=signal_name)
        (told_again if told.is_set() else told).set()

    if until_eof:
        threading.Thread(target=at_eof, args=(loop, stop), name="asl stdin", daemon=True).start()
    has_served_all = True
    with interruptible(loop, stop, lambda: None, asked_max=2):
        async with face.running() as api, anyio.create_task_group() as group:
            if api is None:
                return ExitCode.USAGE
            await group.start(face.run_server, api)
            log.info("server started", url=face.url, pid=os.getpid())
            await told.wait()
            log.info("server drains", seconds=drain_seconds, requests=api.counts.in_flight)
            group.start_soon(_cancel_when, told_again, group.cancel_scope)
            has_served_all = False
            has_served_all = await face.stop(drain_seconds)
            group.cancel_scope.cancel()
    log.info("server stopped", has_drained=has_served_all)
    return ExitCode.SUCCEEDED if has_served_all else ExitCode.ABORTED


async def _cancel_when(event: anyio.Event, scope: anyio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
