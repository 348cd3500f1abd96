"""How often a worker asks for work: seldom where there was none, at once where there is reason to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_SECONDS_MIN = 0.02
POLL_SECONDS_MAX = 0.25
"""How long nobody asks for work after a question that gave none; from one to the other the pause doubles. What comes
from this process, or with a hint, is not kept waiting."""

HEARD_POLL_SECONDS_MAX = 0.5
"""The same while hints are heard. A start in a transaction of the user's tells nobody, so this is how long it waits at
most; and it is well below PARK_MS, so that everybody learns in time when something parked is due."""


class Pace:
    """How long to leave something alone: shorter when it gave something, longer when not."""

    def __init__(self, monotonic: Callable[[], float], seconds_max: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._seconds_max = seconds_max
        self._pause = POLL_SECONDS_MIN
        self._answered_at = float("-inf")
        self.due = monotonic()

    def found(self, something: bool) -> None:
        """It was asked for, and gave something or not."""
        self._answered_at = self._monotonic()
        self._pause = POLL_SECONDS_MIN if something else min(self._pause * 2, self._seconds_max())
        self.due = self._answered_at + self._pause

    def hurry(self) -> None:
        """There is reason to ask now."""
        self._pause = POLL_SECONDS_MIN
        self.due = self._monotonic()

    def hinted(self) -> None:
        """There may be reason to ask now; others were told the same. Never sooner than the shortest pause."""
        self._pause = POLL_SECONDS_MIN
        self.due = min(self.due, max(self._monotonic(), self._answered_at + POLL_SECONDS_MIN))
