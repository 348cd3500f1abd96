"""Running a function once: within its concurrency, and, where its response is wanted in parts, while it runs."""

from __future__ import annotations

import traceback
from contextlib import suppress
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

import anyio
import structlog

from engine.lambda_emulator.errors import LambdaError, ServiceException
from engine.lambda_emulator.invocable import reserved_total

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.invocable import Invocable
    from engine.lambda_emulator.invocation import Event, Outcome


async def run(emulator: Emulator, found: Invocable, event: Event, *, is_synchronous: bool = True) -> Outcome:
    """Runs a function within its account's and its own concurrency.

    Raises:
        TooManyRequestsException: There is no room.
        LambdaError: It could not be run.
    """
    unreserved = 0
    if found.reserved_concurrency is None:
        unreserved = emulator.limits.concurrent_executions - await reserved_total(emulator)
    with emulator.concurrency.slot(
        emulator.account_id,
        found.version.name,
        reserved=found.reserved_concurrency,
        unreserved=unreserved,
        is_rated=is_synchronous,
    ):
        return await emulator.environments.invoke(found.version, event)


class Running:
    """An invocation whose response is taken in parts. It goes on when nobody takes them any more.

    Attributes:
        outcome: Once all parts were taken; None when it could not be run to its end, which was logged.
        content_type: Of a response that the function gives in parts, known once it has begun; None: it gives it whole.
    """

    def __init__(self, emulator: Emulator, found: Invocable, event: Event) -> None:
        """Begins at once, in the emulator's group."""
        self.outcome: Outcome | None = None
        self._error: LambdaError | None = None
        # Without a bound: who writes cannot wait. A response ends at 200 MB.
        self._send, self._receive = anyio.create_memory_object_stream[bytes](inf)
        self._first: bytes | None = None
        self.content_type: str | None = None
        emulator.group.start_soon(self._run, emulator, found, replace(event, on_begin=self._begin, on_chunk=self._put))

    def _begin(self, content_type: str) -> None:
        self.content_type = content_type

    def _put(self, chunk: bytes) -> None:
        with suppress(anyio.BrokenResourceError):  # nobody listens any more
            self._send.send_nowait(chunk)

    async def _run(self, emulator: Emulator, found: Invocable, event: Event) -> None:
        with self._send:
            try:
                self.outcome = await run(emulator, found, event)
            except LambdaError as error:
                self._error = error
            except Exception as error:  # noqa: BLE001  in the emulator's group it would end all that it does
                trace = "".join(traceback.format_exception(error))
                structlog.get_logger().error("invocation failed", request_id=event.request_id, exception=trace)
                self._error = ServiceException("the server has logged what went wrong, with this request id")
            else:
                if self.content_type is None and self.outcome.function_error is None:
                    self._put(self.outcome.payload)

    async def begun(self) -> None:
        """Waits for the first part, or for the end.

        Raises:
            LambdaError: It could not be run.
        """
        try:
            self._first = await self._receive.receive()
        except anyio.EndOfStream:
            if self._error is not None:
                self._receive.close()
                raise self._error from None

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """The parts. Those that nobody takes are dropped."""
        with self._receive:
            if self._first is not None:
                yield self._first
            async for chunk in self._receive:
                yield chunk
