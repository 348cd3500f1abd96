"""Calls to a store that may be away for a while: in threads, and again until it answers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import anyio

from engine.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.query.evaluation import Chance

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE_SECONDS = 30.0
"""How long a call that may safely be made again is made again while the store cannot be reached."""

_CALLS_MAX = 16
_BACK_OFF_SECONDS = 0.05
_BACK_OFF_SECONDS_MAX = 2.0


class Patience:
    """The calls of one backend, so many at once."""

    def __init__(self, chance: Chance) -> None:
        """`chance`: where the pauses are drawn."""
        self._chance = chance
        self._limiter = anyio.CapacityLimiter(_CALLS_MAX)

    async def once(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls what must not be called twice."""
        # Never abandoned: a statement that was cut off may have been carried out, and costs its connection.
        return await anyio.to_thread.run_sync(partial(function, *args, **kwargs), limiter=self._limiter)

    async def ask(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls what may be called twice, until the store is there. Raises StoreUnavailable after PATIENCE_SECONDS."""
        back_off = _BACK_OFF_SECONDS
        with anyio.move_on_after(PATIENCE_SECONDS) as scope:
            while True:
                try:
                    return await self.once(function, *args, **kwargs)
                except StoreUnavailable:
                    if anyio.current_time() + back_off > scope.deadline:
                        raise
                await anyio.sleep(back_off * (0.5 + self._chance.random() / 2))
                back_off = min(back_off * 2, _BACK_OFF_SECONDS_MAX)
        raise StoreUnavailable(f"no answer for {PATIENCE_SECONDS:.0f} seconds")
