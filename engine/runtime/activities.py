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


class ActivityPolls:
    """All who wait in one event loop.

    Attributes:
        KINDS: Of hints that mean something to it.
    """

    KINDS = frozenset({"OFFER", "CONNECTED", "DISCONNECTED"})

    def __init__(self) -> None:
        self._waiting: dict[str, set[anyio.Event]] = {}

    def heard(self, hint: Hint) -> None:
        """A hint has come; in the event loop."""
        if hint.kind in self.KINDS:
            self.offered(hint.about or list(self._waiting))

    def offered(self, activity_arns: Collection[str]) -> None:
        """Tasks of these activities may be there; in the event loop."""
        for activity_arn in activity_arns:
            for event in self._waiting.get(activity_arn, ()):
                event.set()

    async def poll(
        self,
        activity_arn: str,
        take: Callable[[], Awaitable[TakenTask | None]],
        *,
        wait_seconds: float,
        pause_seconds_max: Callable[[], float],
    ) -> TakenTask | None:
        """What `take` gives, asked at once, when a Task may be there, and now and then; None: nothing in time."""
        until = anyio.current_time() + wait_seconds
        pause = PAUSE_SECONDS_MIN
        while True:
            # Heard from before the question on: what is offered after its answer is not missed.
            event = anyio.Event()
            self._waiting.setdefault(activity_arn, set()).add(event)
            try:
                taken = await take()
                left = until - anyio.current_time()
                if taken is not None or left <= 0:
                    return taken
                with anyio.move_on_after(min(pause, left)):
                    await event.wait()
            finally:
                self._forget(activity_arn, event)
            pause = PAUSE_SECONDS_MIN if event.is_set() else min(pause * 2, pause_seconds_max())

    def _forget(self, activity_arn: str, event: anyio.Event) -> None:
        waiting = self._waiting[activity_arn]
        waiting.remove(event)
        if not waiting:
            del self._waiting[activity_arn]
