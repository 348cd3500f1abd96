"""Calls to the store that many make at once, made together: all that wait are one call.

A call of its own for each would be a change of threads and a round trip for each, which cost more than all else in it.
The next call begins as soon as the one before is answered: so nobody waits for company.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

from engine.runtime.calls import ThreadCalls
from engine.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from engine.runtime.calls import Outcome

T = TypeVar("T")
R = TypeVar("R")

AT_ONCE_MAX = 64
"""Each may be about an input and an output of 256 KiB."""


class Together(Generic[T, R]):
    """One kind of call, for all who make it in one event loop."""

    def __init__(self, name: str, call: Callable[[Sequence[T]], Sequence[R | Exception]]) -> None:
        """Nothing is begun before somebody asks.

        Args:
            name: Of the thread that calls.
            call: What came of each, in their order; what it raises is the error of all of them.
        """
        self._name = name
        self._call = call
        self._waiting: list[tuple[T, asyncio.Future[R]]] = []
        self._is_calling = self._is_closed = False
        self._calls: ThreadCalls | None = None

    async def ask(self, one: T) -> R:
        """What comes of one.

        Raises:
            StoreUnavailable: This is closed.
            Exception: What `call` tells of it, or raises.
        """
        if self._is_closed:
            raise _closed()
        if self._calls is None:
            self._calls = ThreadCalls(self._name, after=_nothing, on_broken=_raise)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = loop.create_future()
        self._waiting.append((one, future))
        if not self._is_calling:
            self._is_calling = True
            loop.call_soon(self._next, self._calls)  # with all that the event loop has at hand
        return await future

    def close(self) -> None:
        """Nothing is called any more but what has begun; who waits is told."""
        self._is_closed = True
        for _, future in self._waiting:
            _settle(future, _closed())
        self._waiting.clear()
        if self._calls is not None:
            self._calls.close()

    def _next(self, calls: ThreadCalls) -> None:
        waiting = [(one, future) for one, future in self._waiting if not future.done()]
        asked, self._waiting = waiting[:AT_ONCE_MAX], waiting[AT_ONCE_MAX:]
        self._is_calling = bool(asked)
        if asked:
            ones, futures = zip(*asked, strict=True)
            calls.ask(lambda: self._call(ones), partial(self._answered, calls, futures))

    def _answered(
        self, calls: ThreadCalls, futures: Sequence[asyncio.Future[R]], outcome: Outcome[Sequence[R | Exception]]
    ) -> None:
        self._next(calls)  # first: the thread works while the answers go out
        told: Iterable[R | Exception]
        try:
            told = outcome()
        except Exception as error:  # noqa: BLE001  it is the error of all of them
            told = [error] * len(futures)
        for future, one in zip(futures, told, strict=True):
            _settle(future, one)


def _settle(future: asyncio.Future[R], told: R | Exception) -> None:
    if future.done():  # whoever asked has gone
        return
    if isinstance(told, Exception):
        future.set_exception(told)
    else:
        future.set_result(told)


def _closed() -> StoreUnavailable:
    return StoreUnavailable("the engine was left meanwhile")


def _nothing() -> None: ...


def _raise(error: BaseException) -> None:
    raise error  # to the event loop, which logs it
