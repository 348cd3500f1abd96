"""Where `now` comes from: the system's clock, or a virtual one that jumps over waiting."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NS_PER_MS = 1_000_000
_MS_PER_SECOND = 1_000

# One slow reply must not set the clock back, a store that was set back must not stay ahead for hours.
_FOLLOWED_BACK = 0.05


class Clock(Protocol):
    """The time of everything that happens in an engine, in ms since the epoch."""

    @property
    def skipped(self) -> int:
        """Milliseconds of waiting that were jumped over."""
        ...

    @property
    def can_jump(self) -> bool:
        """Whether `jump` would."""
        ...

    def now(self) -> int:
        """The time."""
        ...

    def jump(self, due: int) -> bool:
        """Called when nothing can happen before `due`. Whether it is `due` now; if not, the caller waits for it."""
        ...

    def hold(self) -> None:
        """From here on time goes at real speed, until `release` was called as often as `hold`."""
        ...

    def release(self) -> None:
        """Takes one `hold` back."""
        ...

    def attach(self, released: Callable[[], None]) -> None:
        """Called by an engine that begins to go by this clock.

        Args:
            released: Called whenever the clock may jump again, in the thread of whoever let it go.

        Raises:
            RuntimeError: Another engine goes by it, and would not know that this one lets it jump.
        """
        ...

    def detach(self) -> None:
        """Called by that engine when it is left."""
        ...


class SystemClock:
    """Real time."""

    skipped = 0
    can_jump = False

    def now(self) -> int:
        """See `Clock`."""
        return time.time_ns() // _NS_PER_MS

    def jump(self, due: int) -> bool:
        """See `Clock`: real time never jumps."""
        return due <= self.now()

    def hold(self) -> None:
        """See `Clock`: real time needs no holding."""

    def release(self) -> None:
        """See `Clock`."""

    def attach(self, released: Callable[[], None]) -> None:
        """See `Clock`: real time is there for everybody."""

    def detach(self) -> None:
        """See `Clock`."""


# Python's own monotonic clock stands still while a Linux machine is suspended, and a worker that wakes up would believe
# in a lease that is long over.
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def real_seconds() -> float:
    """Real time, of which only differences mean something. It goes on while the machine is suspended."""
    return time.monotonic() if _BOOT_CLOCK is None else time.clock_gettime(_BOOT_CLOCK)


class StoreClock(SystemClock):
    """The clock of a store that others use as well, as far as its replies tell; between them real time goes on.

    Args:
        monotonic: Real time in seconds; only differences are used.
    """

    def __init__(self, monotonic: Callable[[], float] = real_seconds) -> None:
        self._monotonic = monotonic
        self._ahead: float | None = None

    def observe(self, now: int) -> None:
        """A reply that has just come says that it is `now`; from any thread.

        Replies take their time, so each gives a lower bound, and the highest one is nearest. A store whose clock was
        set back is followed slowly.
        """
        ahead = now - self._monotonic() * _MS_PER_SECOND
        known = self._ahead
        self._ahead = ahead if known is None or ahead > known else known + (ahead - known) * _FOLLOWED_BACK

    def now(self) -> int:
        """See `Clock`. Nothing may ask before the store has answered once."""
        assert self._ahead is not None, "nothing is known of the store's clock yet"
        return int(self._monotonic() * _MS_PER_SECOND + self._ahead)


class VirtualClock:
    """Time that stands still while nothing happens and then jumps to whatever is due next.

    While somebody holds it (a handler that runs, above all) it goes at real speed, so that the time limits of a handler
    that hangs are reached. It may be used from any thread, but by one engine at a time.

    Args:
        start: Its first time, ms since the epoch; by default the system's.
        real: Real time in ms; only differences are used.
    """

    def __init__(self, start: int | None = None, *, real: Callable[[], int] | None = None) -> None:
        self._real = real or (lambda: time.monotonic_ns() // _NS_PER_MS)
        self._time = time.time_ns() // _NS_PER_MS if start is None else start
        self._holds = 0
        self._held_at = 0
        self._lock = threading.Lock()
        self._released: Callable[[], None] | None = None
        self.skipped = 0

    @property
    def can_jump(self) -> bool:
        """See `Clock`."""
        return not self._holds

    def now(self) -> int:
        """See `Clock`."""
        with self._lock:
            return self._now()

    def _now(self) -> int:
        return self._time + self._real() - self._held_at if self._holds else self._time

    def jump(self, due: int) -> bool:
        """See `Clock`: jumps unless it is held."""
        with self._lock:
            ahead = due - self._now()
            if ahead > 0:
                if self._holds:
                    return False
                self._time = due
                self.skipped += ahead
            return True

    def hold(self) -> None:
        """See `Clock`."""
        with self._lock:
            if not self._holds:
                self._held_at = self._real()
            self._holds += 1

    def release(self) -> None:
        """See `Clock`."""
        with self._lock:
            assert self._holds > 0, "released more often than held"
            self._holds -= 1
            if self._holds:
                return
            self._time += self._real() - self._held_at
            released = self._released
        if released is not None:
            released()

    def attach(self, released: Callable[[], None]) -> None:
        """See `Clock`."""
        with self._lock:
            if self._released is not None:
                raise RuntimeError("the clock drives another engine that is still open: give each engine its own")
            self._released = released

    def detach(self) -> None:
        """See `Clock`."""
        with self._lock:
            self._released = None

    @contextmanager
    def real_time(self) -> Iterator[None]:
        """Time goes at real speed inside; for a program that answers Tasks from outside their handlers."""
        self.hold()
        try:
            yield
        finally:
            self.release()
