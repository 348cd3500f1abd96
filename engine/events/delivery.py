"""A thread that passes on what others hand it: in batches, never keeping them waiting.

What cannot be passed on is tried again with growing pauses; what does not fit meanwhile is dropped, counted and told.
"""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

BATCH_MAX = 1_000
"""Handed to the receiver at once."""

_BACK_OFF_SECONDS = 0.2
_BACK_OFF_SECONDS_MAX = 30.0
_TELL_EVERY_SECONDS = 10.0
_CLOSE_SECONDS = 10.0
"""For what still waits when it is closed."""


class TryAgain(Exception):
    """What was to be passed on could not be, now. The text says why, for people."""


class Delivery(Generic[T]):
    """One receiver and its thread.

    Attributes:
        dropped: How many were not passed on, for good.
    """

    def __init__(
        self,
        receive: Callable[[Sequence[T]], None],
        *,
        name: str,
        waiting_max: int,
        tell: Callable[..., None],
    ) -> None:
        """The thread begins at once.

        Args:
            receive: Takes a batch, in the thread. TryAgain: it is given the same batch again. Any other error: it is
                dropped.
            waiting_max: So many may wait; what comes more is dropped.
            tell: Told of trouble; see `FleetOptions.notice`.
        """
        self.dropped = 0
        self._receive = receive
        self._name = name
        self._waiting_max = waiting_max
        self._notice = tell
        self._waiting: deque[T] = deque()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._give_up_at = float("inf")
        self._told_at = float("-inf")
        self._untold = 0
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=f"asl {name}", daemon=True)
        self._thread.start()

    def put(self, one: T) -> None:
        """Hands it over; never waits. From one thread at a time."""
        if self._closing.is_set() or len(self._waiting) >= self._waiting_max:
            self._drop(1, "too many wait" if not self._closing.is_set() else "closed")
            return
        self._waiting.append(one)
        if not self._wake.is_set():
            self._wake.set()

    def close(self) -> None:
        """Passes on what waits, if that goes in ten seconds, and ends the thread."""
        self._give_up_at = monotonic() + _CLOSE_SECONDS
        self._closing.set()
        self._wake.set()
        self._thread.join(_CLOSE_SECONDS + 1.0)

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()  # before looking: what is put from now on wakes again
            while self._waiting:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), BATCH_MAX))]
                self._pass_on(batch)
            if self._closing.is_set():
                if self._untold:
                    self._tell("closed")
                return

    def _pass_on(self, batch: Sequence[T]) -> None:
        pause = _BACK_OFF_SECONDS
        while True:
            try:
                self._receive(batch)
            except TryAgain as error:
                if monotonic() + pause > self._give_up_at:
                    self._drop(len(batch), str(error))
                    return
                self._say(f"{self._name}: trying again", error=str(error), seconds=pause)
                self._closing.wait(pause)
                pause = min(pause * 2, _BACK_OFF_SECONDS_MAX)
                if self._closing.is_set():
                    pause = _BACK_OFF_SECONDS
            except Exception as error:  # noqa: BLE001  one receiver's trouble with one batch must not end all telling
                self._drop(len(batch), repr(error))
                return
            else:
                return

    def _drop(self, count: int, why: str) -> None:
        with self._lock:  # the rare case, and both threads come here
            self.dropped += count
            self._untold += count
        if monotonic() - self._told_at >= _TELL_EVERY_SECONDS or self._closing.is_set():
            self._tell(why)

    def _tell(self, why: str) -> None:
        """Of many drops one line, with their number."""
        with self._lock:
            count, self._untold = self._untold, 0
        self._told_at = monotonic()
        self._notice(f"{self._name}: dropped", count=count, error=why)

    def _say(self, what: str, **about: object) -> None:
        if monotonic() - self._told_at >= _TELL_EVERY_SECONDS:
            self._told_at = monotonic()
            self._notice(what, **about)
