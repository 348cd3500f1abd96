"""Threads for callables that block. They are daemons: one that hangs holds up neither its engine nor the exit.

anyio's own worker threads are not used, because the interpreter waits for them when it exits.
"""

from __future__ import annotations

import contextvars
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
from anyio import from_thread
from anyio.lowlevel import current_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from anyio.lowlevel import EventLoopToken

T = TypeVar("T")

THREADS_MAX = 40
"""Callables that run in threads at once. More: they mostly wait for the interpreter's lock; fewer: for each other."""


class _Call:
    """One call of a function, and where to tell its end."""

    __slots__ = ("args", "context", "done", "error", "function", "is_abandoned", "result", "token")

    def __init__(self, function: Callable[..., Any], args: tuple[Any, ...], token: EventLoopToken) -> None:
        self.function = function
        self.args = args
        self.context = contextvars.copy_context()
        self.token = token
        self.done = anyio.Event()
        self.is_abandoned = False
        self.result: Any = None
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            self.result = self.context.run(self.function, *self.args)
        except BaseException as error:  # noqa: BLE001  user code: it is raised where it was called
            self.error = error


class _Thread(threading.Thread):
    """Runs calls until it is handed None."""

    def __init__(self, pool: Threads) -> None:
        super().__init__(name="asl handler", daemon=True)
        self.calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._pool = pool

    def run(self) -> None:
        while (call := self.calls.get()) is not None:
            call.run()
            try:
                from_thread.run_sync(self._pool.finished, self, call, token=call.token)
            except anyio.RunFinishedError:
                return  # the engine and its loop are gone; nobody wants the result
            del call  # a thread that waits keeps nobody's data alive


class Threads:
    """Reused threads, at most so many at once. To be used in one event loop.

    Attributes:
        abandoned: Calls that were cancelled while they ran. A thread cannot be killed: such a call may still act.
        hanging: Those of them that still run.
        slots: Whoever calls `run` holds one of these meanwhile; an abandoned call holds none.
    """

    def __init__(self, threads_max: int = THREADS_MAX) -> None:
        self.abandoned = self.hanging = 0
        self.slots = anyio.CapacityLimiter(threads_max)
        self._idle: list[_Thread] = []
        self._closed = False

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """Calls the function in a thread and gives what it returns or raises.

        Cancelled, it leaves the call alone and counts it as abandoned.
        """
        call = _Call(function, args, current_token())
        thread = self._idle.pop() if self._idle else self._new_thread()
        thread.calls.put(call)
        try:
            await call.done.wait()
        except BaseException:
            if not call.done.is_set():
                call.is_abandoned = True
                self.abandoned += 1
                self.hanging += 1
            raise
        if call.error is not None:
            raise call.error
        result: T = call.result
        return result

    def finished(self, thread: _Thread, call: _Call) -> None:
        """Called in the event loop when a thread is through with a call."""
        call.done.set()
        self.hanging -= call.is_abandoned
        if self._closed:
            thread.calls.put(None)
        else:
            self._idle.append(thread)

    def close(self) -> None:
        """Ends the threads; those of abandoned calls end with their calls."""
        self._closed = True
        for thread in self._idle:
            thread.calls.put(None)
        self._idle.clear()

    def _new_thread(self) -> _Thread:
        thread = _Thread(self)
        thread.start()
        return thread
