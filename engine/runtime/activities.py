"""Who waits here for the Tasks of activities: GetActivityTask, as often as it takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from engine.store.hints import Hint
    from engine.store.protocol import TakenTask

PAUSE_SECONDS_MIN = 0.02
PAUSE_SECONDS_MAX = 1.0
"""Between two questions of one who waits; the pause doubles each time."""

HEARD_PAUSE_SECONDS_MAX = 5.0
"""The same while hints are heard."""


_ASKING_MAX = 4
"""Of all who wait for one activity, how many ask again and again. The others wait until one of these has gone: with a
thousand, each Task would cost a thousand questions."""


class _Line:
    """Those who wait for one activity.

    Attributes:
        turns: Who has one asks; they are given in the order in which they are waited for.
        alarms: Of those who have one: a Task may be there.
        length: All of them.
    """

    __slots__ = ("alarms", "length", "turns")

    def __init__(self) -> None:
        self.turns = anyio.Semaphore(_ASKING_MAX)
        self.alarms: set[anyio.Event] = set()
        self.length = 0


class ActivityPolls:
    """All who wait in one event loop.

    Attributes:
        KINDS: Of hints that mean something to it.
    """

    KINDS = frozenset({"OFFER", "CONNECTED", "DISCONNECTED"})

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def heard(self, hint: Hint) -> None:
        """A hint has come; in the event loop."""
        if hint.kind in self.KINDS:
            self.offered(hint.about or list(self._lines))

    def offered(self, activity_arns: Collection[str]) -> None:
        """Tasks of these activities may be there; in the event loop."""
        for activity_arn in activity_arns:
            line = self._lines.get(activity_arn)
            for alarm in () if line is None else line.alarms:
                alarm.set()

    async def poll(
        self,
        activity_arn: str,
        take: Callable[[], Awaitable[TakenTask | None]],
        *,
        wait_seconds: float,
        pause_seconds_max: Callable[[], float],
    ) -> TakenTask | None:
        """What `take` gives, asked at once, when a Task may be there, and now and then; None: nothing in time.

        Args:
            take: Loses nothing when it is cancelled: what it has taken by then it gives.
        """
        until = anyio.current_time() + wait_seconds
        taken = await take()
        if taken is not None or anyio.current_time() >= until:
            return taken
        line = self._lines.setdefault(activity_arn, _Line())
        line.length += 1
        try:
            with anyio.move_on_at(until):
                await line.turns.acquire()
                try:
                    return await _asked(line, take, until, pause_seconds_max)
                finally:
                    line.turns.release()
            return None
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[activity_arn]


async def _asked(
    line: _Line, take: Callable[[], Awaitable[TakenTask | None]], until: float, pause_seconds_max: Callable[[], float]
) -> TakenTask | None:
    pause = PAUSE_SECONDS_MIN
    while True:
        # Heard from before the question on: what is offered after its answer is not missed.
        alarm = anyio.Event()
        line.alarms.add(alarm)
        try:
            taken = await take()
            left = until - anyio.current_time()
            if taken is not None or left <= 0:
                return taken
            with anyio.move_on_after(min(pause, left)):
                await alarm.wait()
        finally:
            line.alarms.remove(alarm)
        pause = PAUSE_SECONDS_MIN if alarm.is_set() else min(pause * 2, pause_seconds_max())
