"""Python callables as handlers: asynchronous ones in the event loop, others in threads or in processes of their own."""

from __future__ import annotations

import asyncio
import inspect
import math
import threading
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import anyio

from engine.errors import StatesError
from engine.integrations.context import HandlerContext
from engine.integrations.invocation import (
    SECONDS_MAX,
    checked_answer,
    checked_seconds,
    event_of,
    marshal,
    new_request_id,
    takes_context,
    timed_out,
    unhandled,
    unshared,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.integrations.process_child import Reference
    from engine.integrations.request import Answer, Channel, TaskRequest, WorkerLoss, Workplace

Way: TypeAlias = Literal["async", "thread", "process"]


class PythonCallable:
    """A function of the user: `function(event, context)`, or `function(event)`.

    Attributes:
        way: Where it runs.
        seconds: Its time limit for one invocation: `Sandbox.Timedout` when it is reached.
        on_worker_loss, concurrency: See `Handler`.
    """

    fixed_answer = None

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        process: bool = False,
        timeout_seconds: float = SECONDS_MAX,
        on_worker_loss: WorkerLoss = "rerun",
        concurrency: int | None = None,
    ) -> None:
        """Raises ValueError: a time limit beyond Lambda's, or a function that no other process can import."""
        self.concurrency = concurrency
        self.function = function
        self.on_worker_loss: WorkerLoss = on_worker_loss
        self.seconds = checked_seconds(timeout_seconds)
        self.name: str = getattr(function, "__qualname__", None) or type(function).__name__
        self.way: Way = "process" if process else "async" if _is_async(function) else "thread"
        self._takes_context = takes_context(function)
        self._reference: Reference | None = None
        if process:
            from engine.integrations.processes import reference_to

            self._reference = reference_to(function, "process=True")

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        """See `Handler`."""
        invocation, result = _Invocation(request, channel, self.seconds), b""
        try:
            if self.way == "async":
                invocation.begin()
                result = await self._awaited(invocation, self._called)
            elif self.way == "thread":
                result = await self._in_thread(invocation, workplace)
            else:
                result = await self._in_process(invocation, workplace)
        except (StatesError, asyncio.CancelledError):
            if not invocation.is_over_time:
                raise
        finally:
            invocation.end()
        if invocation.is_over_time:  # whatever the handler made of its cancellation
            raise timed_out(self.seconds, invocation.request_id)
        return checked_answer(request, result, invocation.request_id)

    async def _in_thread(self, invocation: _Invocation, workplace: Workplace) -> bytes:
        async with workplace.threads.slots:
            invocation.begin()
            result = await workplace.threads.run(self.call, invocation)
        # Else a plain function that returned a coroutine, such as a lambda.
        return result if isinstance(result, bytes) else await self._awaited(invocation, lambda _: result)

    async def _in_process(self, invocation: _Invocation, workplace: Workplace) -> bytes:
        from engine.integrations.process_child import Job

        assert self._reference is not None
        async with workplace.processes.slots:
            invocation.begin()
            job = Job(
                reference=self._reference,
                takes_context=self._takes_context,
                request=invocation.request,
                event=invocation.event,
                now=invocation.channel.now(),
                seconds=self.seconds,
                request_id=invocation.request_id,
            )
            return await workplace.processes.run(job, invocation.channel)

    def _called(self, invocation: _Invocation) -> Any:
        event = unshared(invocation.event)
        return self.function(event, invocation.context()) if self._takes_context else self.function(event)

    def call(self, invocation: _Invocation) -> Any:
        """Calls the function; the JSON text of its result, or the coroutine that it returned. Raises StatesError."""
        try:
            result = self._called(invocation)
        except BaseException as error:
            raise unhandled(error, invocation.request_id) from error
        return result if inspect.iscoroutine(result) else marshal(result, invocation.request_id)

    async def _awaited(self, invocation: _Invocation, call: Callable[[_Invocation], Awaitable[object]]) -> bytes:
        """The JSON text of what a handler's coroutine returns. Raises StatesError."""
        try:
            result = await call(invocation)
        except BaseException as error:
            if _is_from_outside(error):
                raise
            raise unhandled(error, invocation.request_id) from error
        return marshal(result, invocation.request_id)


class _Invocation:
    """One call: what it is about, and its time limit.

    Attributes:
        is_over_time: Its time is up, and its handler was cancelled.
    """

    __slots__ = ("_timer", "channel", "event", "is_over_time", "request", "request_id", "seconds")

    def __init__(self, request: TaskRequest, channel: Channel, seconds: float) -> None:
        self.request = request
        self.channel = channel
        self.event = event_of(request)
        self.request_id = new_request_id()
        self.seconds = seconds
        self.is_over_time = False
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Its time runs from here on: waiting for a thread or a process is no part of it."""
        # A cancel scope of its own, with a deadline, takes three times as long, for each Task.
        self._timer = asyncio.get_running_loop().call_later(self.seconds, self._stop)

    def _stop(self) -> None:
        self.is_over_time = True
        self.channel.cancel(timed_out(self.seconds, self.request_id))

    def end(self) -> None:
        """Its handler has ended."""
        if self._timer is not None:
            self._timer.cancel()

    def context(self) -> HandlerContext:
        """What a handler gets beside its event."""
        return HandlerContext(self.request, self.channel, seconds=self.seconds, request_id=self.request_id)


def _is_from_outside(error: BaseException) -> bool:
    """Whether this was raised into a coroutine, not by it: Ctrl-C, the end of its loop, its cancellation."""
    if isinstance(error, KeyboardInterrupt):
        return threading.current_thread() is threading.main_thread()
    if isinstance(error, asyncio.CancelledError):
        return anyio.current_effective_deadline() == -math.inf
    return isinstance(error, GeneratorExit)


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
