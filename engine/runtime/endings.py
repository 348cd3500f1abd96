"""Waiting for executions that run elsewhere: one question about all of them, at growing pauses or on a hint."""

from __future__ import annotations

import asyncio
import math
from time import monotonic
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from engine.interpreter.snapshot import Ending
    from engine.store.hints import Hint, Hints
    from engine.store.protocol import ExecutionId

Found: TypeAlias = "Ending | str | None"
"""As `Library.endings` tells it."""

PAUSE_SECONDS_MIN = 0.02
PAUSE_SECONDS_MAX = 1.0
"""Between two questions about the same execution, of which the pause doubles each time."""

HEARD_PAUSE_SECONDS_MAX = 5.0
"""The same while hints are heard."""

_SAY_AGAIN_SECONDS = 5.0
_ASKED_AT_ONCE_MAX = 1_000


class _Wait:
    __slots__ = ("due", "execution_id", "found", "pause")

    def __init__(self, execution_id: ExecutionId) -> None:
        self.execution_id = execution_id
        self.found: asyncio.Future[Found] = asyncio.get_running_loop().create_future()
        self.pause = PAUSE_SECONDS_MIN
        self.due = 0.0


class Endings:
    """All who wait in one event loop. `run` does the asking.

    Attributes:
        KINDS: Of hints that mean something to it.
    """

    KINDS = frozenset({"END", "CONNECTED", "DISCONNECTED"})

    def __init__(
        self, ask: Callable[[Collection[ExecutionId]], Awaitable[Mapping[ExecutionId, Found]]], hints: Hints
    ) -> None:
        """Nothing is asked before `run`."""
        self._ask = ask
        self._hints = hints
        self._waits: dict[asyncio.Future[Found], _Wait] = {}
        self._alarm = asyncio.Event()
        self._say_at = 0.0

    def wait_for(self, execution_id: ExecutionId) -> asyncio.Future[Found]:
        """Done when there is something to tell of this execution; to be given to `forget` afterwards."""
        wait = _Wait(execution_id)
        self._waits[wait.found] = wait
        self._alarm.set()
        return wait.found

    def forget(self, found: asyncio.Future[Found]) -> None:
        """Nobody waits for this any more."""
        found.cancel()
        del self._waits[found]

    def heard(self, hint: Hint) -> None:
        """A hint has come; in the event loop."""
        if hint.kind not in self.KINDS:
            return
        for wait in self._waits.values():
            if not hint.about or wait.execution_id.hex in hint.about:
                wait.due, wait.pause = 0.0, PAUSE_SECONDS_MIN
        self._say_at = 0.0 if hint.kind == "CONNECTED" else self._say_at
        self._alarm.set()

    async def run(self) -> None:
        """Asks for ever."""
        while True:
            self._alarm.clear()
            now = monotonic()
            open_waits = [wait for wait in self._waits.values() if not wait.found.done()]
            if open_waits and now >= self._say_at:
                self._say_at = now + _SAY_AGAIN_SECONDS
                self._hints.tell("WAITING")
            due = [wait for wait in open_waits if wait.due <= now]
            if due:
                await self._turn(due[:_ASKED_AT_ONCE_MAX])
                continue
            seconds = min((wait.due for wait in open_waits), default=math.inf) - now
            try:
                await asyncio.wait_for(self._alarm.wait(), None if math.isinf(seconds) else seconds)
            except TimeoutError:
                continue

    async def _turn(self, due: list[_Wait]) -> None:
        try:
            answers = await self._ask({wait.execution_id for wait in due})
        except Exception as error:  # noqa: BLE001  it is the error of all who wait
            for wait in due:
                if not wait.found.done():
                    wait.found.set_exception(error)
            return
        now = monotonic()
        pause_max = HEARD_PAUSE_SECONDS_MAX if self._hints.are_heard else PAUSE_SECONDS_MAX
        for wait in due:
            if wait.execution_id in answers and not wait.found.done():
                wait.found.set_result(answers[wait.execution_id])
            # Those who wait as long as each other are asked about together, whenever they began.
            wait.due = math.ceil(now / wait.pause + 0.5) * wait.pause
            wait.pause = min(wait.pause * 2, pause_max)
