"""The time that the emulator goes by: a seam, so that tests need not wait for minutes."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

import anyio


class Clock(Protocol):
    """Tells the time, and waits for it."""

    def now(self) -> datetime:
        """An aware time, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never fewer than before."""
        ...

    async def sleep_until(self, moment: datetime) -> None:
        """Returns when it is that time."""
        ...


class SystemClock:
    """The machine's."""

    def now(self) -> datetime:
        """See `Clock`."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """See `Clock`."""
        return time.monotonic()

    async def sleep_until(self, moment: datetime) -> None:
        """See `Clock`."""
        await anyio.sleep(max(0.0, (moment - self.now()).total_seconds()))
