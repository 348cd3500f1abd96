"""Where `now` comes from: the system's clock, or a virtual one that jumps over waiting."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_NS_PER_MS = 1_000_000


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


class VirtualClock:
    """Time that stands still while nothing happens and then jumps to whatever is due next.

    While somebody holds it (a handler that runs, above all) it goes at real speed, so that the time limits of a handler
    that hangs are reached.

    Args:
        start: Its first time, ms since the epoch; by default the system's.
        real: Real time in ms; only differences are used.
    """

    def __init__(self, start: int | None = None, *, real: Callable[[], int] | None = None) -> None:
        self._real = real or (lambda: time.monotonic_ns() // _NS_PER_MS)
        self._time = time.time_ns() // _NS_PER_MS if start is None else start
        self._holds = 0
        self._held_at = 0
        self.skipped = 0

    @property
    def can_jump(self) -> bool:
        """See `Clock`."""
        return not self._holds

    def now(self) -> int:
        """See `Clock`."""
        return self._time + self._real() - self._held_at if self._holds else self._time

    def jump(self, due: int) -> bool:
        """See `Clock`: jumps unless it is held."""
        ahead = due - self.now()
        if ahead > 0:
            if self._holds:
                return False
            self._time = due
            self.skipped += ahead
        return True

    def hold(self) -> None:
        """See `Clock`."""
        if not self._holds:
            self._held_at = self._real()
        self._holds += 1

    def release(self) -> None:
        """See `Clock`."""
        assert self._holds > 0, "released more often than held"
        self._time = self.now()
        self._held_at = self._real()
        self._holds -= 1

    @contextmanager
    def real_time(self) -> Iterator[None]:
        """Time goes at real speed inside; for a program that answers Tasks from outside their handlers."""
        self.hold()
        try:
            yield
        finally:
            self.release()
