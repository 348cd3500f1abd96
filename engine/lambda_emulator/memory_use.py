"""How much memory the processes of an environment use, and the end of those that use too much.

What counts is what is resident: of the leader, as the kernel keeps it, and of its descendants where a sample sees
them. No cgroup is needed for it: one has to be given to the emulator by whoever owns the machine, and most who run this
do not.
The price: between two samples a process can be above its limit.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MB: Final = 1_048_576
_INTERVAL_SECONDS: Final = 0.02
_PROC: Final = Path("/proc")
_STATUS_BYTES: Final = 8_192


def resident_mb(leader: int) -> float:
    """What the process and its descendants have in memory now; 0 when it is gone.

    Pages that a process shares with the one it was forked from count for both; see `proportional_mb`.
    """
    return sum(_resident(pid) for pid in _family(leader)) / _MB


def proportional_mb(leader: int) -> float:
    """The same with shared pages divided among those that share them: exact, and a hundred times slower."""
    return sum(_proportional(pid) for pid in _family(leader)) / _MB


def peak_mb(leader: int) -> float:
    """What the process alone had at most until now; 0 when it is gone."""
    # Asked after each invocation: without a text file and its decoder it takes a third of the time.
    try:
        descriptor = os.open(f"/proc/{leader}/status", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0.0
    try:
        status = os.read(descriptor, _STATUS_BYTES)
    except OSError:
        return 0.0
    finally:
        os.close(descriptor)
    words = status.partition(b"VmHWM:")[2].split(None, 1)
    return int(words[0]) / 1_024 if words else 0.0


def _family(leader: int) -> list[int]:
    found = [leader]
    for pid in found:
        try:
            for thread in (_PROC / str(pid) / "task").iterdir():
                found += [int(child) for child in (thread / "children").read_text().split()]
        except OSError:
            continue  # it ended meanwhile
    return found


def _resident(pid: int) -> int:
    try:
        return int((_PROC / str(pid) / "statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _proportional(pid: int) -> int:
    try:
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1_024
    except OSError:
        pass
    return 0


class MemoryWatch:
    """Looks at all environments that run something, many times a second."""

    def __init__(self) -> None:
        self._watched: dict[int, Watched] = {}
        self._begins = anyio.Event()

    def add(self, watched: Watched) -> None:
        """Looks at it from now on."""
        if not self._watched:
            self._begins.set()
        self._watched[id(watched)] = watched

    def remove(self, watched: Watched) -> None:
        """No longer."""
        self._watched.pop(id(watched), None)

    async def run(self) -> None:
        """Until it is cancelled. Asleep while nothing runs."""
        while True:
            if not self._watched:
                self._begins = anyio.Event()
                await self._begins.wait()
            await anyio.sleep(_INTERVAL_SECONDS)
            for watched in tuple(self._watched.values()):
                watched.look()


class Watched:
    """One process and its descendants.

    Attributes:
        peak: MB that a sample has seen at most.
    """

    def __init__(self, leader: int, limit_mb: int, too_much: Callable[[], None]) -> None:
        self.peak = 0.0
        self._leader = leader
        self._limit_mb = limit_mb
        self._too_much = too_much

    def look(self) -> None:
        """Takes a sample."""
        used = resident_mb(self._leader)
        if used > self._limit_mb:
            used = proportional_mb(self._leader)
        self.peak = max(self.peak, used)
        if used > self._limit_mb:
            self._too_much()
