"""The two faces of the library behind one: what is tested of `engine.Engine` is tested of its blocking twin."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import anyio

import engine
from engine import blocking

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Face = Literal["async", "blocking"]


class Threaded:
    """A blocking object whose methods can be awaited: each call waits in a thread."""

    def __init__(self, wrapped: object) -> None:
        self._wrapped = wrapped

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wrapped, name)
        if not callable(found):
            return found

        async def call(*args: Any, **kwargs: Any) -> Any:
            result = await anyio.to_thread.run_sync(partial(found, *args, **kwargs), abandon_on_cancel=True)
            return Threaded(result) if isinstance(result, blocking.ExecutionHandle) else result

        return call


@asynccontextmanager
async def open_engine(face: Face, handlers: Any = None, **options: Any) -> AsyncIterator[Any]:
    if face == "async":
        async with engine.Engine.in_memory(handlers, **options) as one:
            yield one
    else:
        with blocking.Engine.in_memory(handlers, **options) as other:
            yield Threaded(other)
