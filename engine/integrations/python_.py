"""Python callables as handlers: asynchronous ones in the event loop, others in threads or in processes of their own."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import anyio

from engine.integrations.context import HandlerContext
from engine.integrations.invocation import SECONDS_MAX, checked_answer, event_of, marshal, timed_out, unhandled

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.integrations.process_child import Job, Reference
    from engine.integrations.request import Answer, Channel, TaskRequest, Workplace
    from engine.jsonvalue import Json

Way: TypeAlias = Literal["async", "thread", "process"]


class PythonCallable:
    """A function of the user: `function(event, context)`, or `function(event)`.

    Attributes:
        way: Where it runs.
        seconds: Its time limit for one invocation: `Sandbox.Timedout` when it is reached.
    """

    fixed_answer = None

    def __init__(
        self, function: Callable[..., Any], *, process: bool = False, timeout_seconds: float = SECONDS_MAX
    ) -> None:
        """Raises ValueError: a time limit beyond Lambda's, or a function that no other process can import."""
        if not 0 < timeout_seconds <= SECONDS_MAX:
            raise ValueError(f"timeout_seconds: expected more than 0 and at most {SECONDS_MAX}, got {timeout_seconds}")
        self.function = function
        self.seconds = timeout_seconds
        self.name: str = getattr(function, "__qualname__", None) or type(function).__name__
        self.way: Way = "process" if process else "async" if _is_async(function) else "thread"
        self._takes_context = _takes_context(function)
        self._reference: Reference | None = None
        if process:
            from engine.integrations.processes import reference_to

            self._reference = reference_to(function)

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        """See `Handler`."""
        event = event_of(request)
        context = HandlerContext(request, channel, seconds=self.seconds)
        result = b""
        with anyio.move_on_after(self.seconds) as scope:
            if self.way == "async":
                result = await self._in_loop(event, context)
            elif self.way == "thread":
                result = await self._in_thread(event, context, workplace)
            else:
                job = self._job(request, event, channel.now(), context.aws_request_id)
                result = await workplace.processes.run(job, channel)
        if scope.cancelled_caught:
            raise timed_out(self.seconds, context.aws_request_id)
        return checked_answer(request, result, context.aws_request_id)

    def _job(self, request: TaskRequest, event: Json, now: int, request_id: str) -> Job:
        from engine.integrations.process_child import Job

        assert self._reference is not None
        return Job(
            reference=self._reference,
            takes_context=self._takes_context,
            request=request,
            event=event,
            now=now,
            seconds=self.seconds,
            request_id=request_id,
        )

    async def _in_loop(self, event: Json, context: HandlerContext) -> bytes:
        try:
            result = await (self.function(event, context) if self._takes_context else self.function(event))
        except (Exception, SystemExit) as error:
            raise unhandled(error, context.aws_request_id) from error
        return marshal(result, context.aws_request_id)

    async def _in_thread(self, event: Json, context: HandlerContext, workplace: Workplace) -> bytes:
        result = await workplace.threads.run(self.call, event, context)
        if isinstance(result, bytes):
            return result
        try:
            result = await result  # a plain function that returned a coroutine, such as a lambda
        except (Exception, SystemExit) as error:
            raise unhandled(error, context.aws_request_id) from error
        return marshal(result, context.aws_request_id)

    def call(self, event: Json, context: HandlerContext) -> Any:
        """Calls the function; the JSON text of its result, or the coroutine that it returned."""
        try:
            result = self.function(event, context) if self._takes_context else self.function(event)
        except (Exception, SystemExit) as error:
            raise unhandled(error, context.aws_request_id) from error
        return result if inspect.iscoroutine(result) else marshal(result, context.aws_request_id)


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _takes_context(function: Callable[..., Any]) -> bool:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True  # a built-in without a signature: it gets what Lambda would give it
    for arguments in ((None, None), (None,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments) > 1
    raise ValueError(f"expected a callable of (event, context) or (event), got {function!r}")
