"""How far map runs are, in words and as bars: items, how fast they come, and how long it will take."""

from __future__ import annotations

import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.cli.durations import duration
from engine.errors import ApiError, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from engine.blocking import Engine as BlockingEngine
    from engine.library import Engine, MapRunCounts

LOOK_SECONDS = 0.5
"""How often the counts are looked up: each look reads the map run and its open chunks."""

RUNS_SHOWN = 5
"""Map runs of an execution that are shown: the latest."""

_PACE_SECONDS = 20.0
"""The pace is that of this last stretch: chunks end in bursts, but a change is to be seen."""

_TELL_SECONDS = 30.0
"""A line is said at least so often while something moves."""

_STEPS = 10
"""Lines about one map run, where it is not slow."""

_BAR_CELLS = 20


class MapRunProgress:
    """What is known of one map run, from looks at its counts.

    Attributes:
        counts: The last ones.
    """

    def __init__(self, counts: MapRunCounts, seconds: float) -> None:
        self.counts = counts
        self._seen: deque[tuple[float, int]] = deque([(seconds, counts.done)])
        self._told_done = 0
        self._told_seconds = seconds

    def look(self, counts: MapRunCounts, seconds: float) -> None:
        """Takes in newer counts; `seconds`: on a clock that never goes back."""
        if counts.done < self.counts.done:  # a redrive: what failed is to be done again
            self._seen.clear()
            self._told_done = 0
        self.counts = counts
        self._seen.append((seconds, counts.done))
        while len(self._seen) > 2 and self._seen[1][0] <= seconds - _PACE_SECONDS:
            self._seen.popleft()

    @property
    def per_second(self) -> float:
        """Items that were done in a second of the last stretch."""
        (before, done_before), (now, done) = self._seen[0], self._seen[-1]
        return (done - done_before) / (now - before) if now > before else 0.0

    def is_worth_a_line(self) -> bool:
        """Whether so much has happened since the last line; then that is now."""
        done, total = self.counts.done, self.counts.expected
        seconds = self._seen[-1][0]
        is_step = total is not None and done * _STEPS // max(1, total) != self._told_done * _STEPS // max(1, total)
        is_late = done != self._told_done and seconds - self._told_seconds >= _TELL_SECONDS
        if not (is_step or is_late):
            return False
        self._told_done, self._told_seconds = done, seconds
        return True

    def text(self) -> str:
        """`1,200/10,000 items, 8,750 pending, 50 running, 1,197 succeeded, 3 failed, 812/s, 10.8 s left`.

        While items are still read, `1,200/~10,000 items` has a guess, and `1,200/1,500+ items` those that were read.
        """
        counts, expected = self.counts, self.counts.expected
        total = f"{counts.total:,}"
        if not counts.is_read:
            total = f"{total}+" if expected is None else f"~{expected:,}"
        said = [f"{counts.done:,}/{total} items"]
        numbers = {
            "pending": counts.pending,
            "running": counts.running,
            "succeeded": counts.succeeded,
            "failed": counts.failed,
            "timed out": counts.timed_out,
            "aborted": counts.aborted,
        }
        said += [f"{number:,} {name}" for name, number in numbers.items() if number]
        rate = self.per_second
        if counts.status == "RUNNING" and rate > 0:
            said.append(f"{rate:,.0f}/s" if rate >= 1 else f"{rate * 60:,.1f}/min")
            left = 0 if expected is None else expected - counts.done
            if left > 0:
                said.append(f"{duration(round(left / rate * 1_000))} left")
        return ", ".join(said)

    def bar(self, full: str, empty: str) -> str:
        """As many cells are full as items are done; none where nobody knows how many there are."""
        done, expected = self.counts.done, self.counts.expected
        cells = min(_BAR_CELLS, _BAR_CELLS * done // expected) if expected else 0
        return full * cells + empty * (_BAR_CELLS - cells)


class MapRunsProgress:
    """The map runs of one execution, by ARN, those that began first coming first."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.runs: dict[str, MapRunProgress] = {}
        self._clock = clock

    def look(self, counts: MapRunCounts) -> MapRunProgress:
        """Takes in the counts of one of them."""
        run = self.runs.get(counts.map_run_arn)
        if run is None:
            run = self.runs[counts.map_run_arn] = MapRunProgress(counts, self._clock())
        else:
            run.look(counts, self._clock())
        return run

    def of_state(self, state: str) -> MapRunProgress | None:
        """The latest of a Map state."""
        return next((run for run in reversed(self.runs.values()) if run.counts.state == state), None)


def bar_cells(encoding: str) -> tuple[str, str]:
    """What a full and an empty cell of a bar are on a terminal of this encoding."""
    return ("█", "░") if encoding.startswith("utf") else ("#", "-")


class Looks:
    """Whose counts have to be looked up: those that are over stay as they are."""

    def __init__(self) -> None:
        self._over: set[str] = set()

    def due(self, map_runs: list[str]) -> Collection[str]:
        """Of an execution's map runs, the latest of which come first; in the order in which they began."""
        return [arn for arn in reversed(map_runs[:RUNS_SHOWN]) if arn not in self._over]

    def looked(self, counts: MapRunCounts) -> None:
        """Takes note of the answer."""
        if counts.status != "RUNNING":
            self._over.add(counts.map_run_arn)


async def look_once(engine: Engine, execution_arn: str, looks: Looks, show: Callable[[MapRunCounts], None]) -> None:
    """Shows how far the map runs of an execution are. What cannot be asked now is left out: others tell of it."""
    with suppress(ApiError, StoreUnavailable):
        for map_run_arn in looks.due(await engine.map_runs(execution_arn)):
            counts = await engine.map_run_counts(map_run_arn)
            looks.looked(counts)
            show(counts)


def look_once_blocking(
    engine: BlockingEngine, execution_arn: str, looks: Looks, show: Callable[[MapRunCounts], None]
) -> None:
    """See `look_once`."""
    with suppress(ApiError, StoreUnavailable):
        for map_run_arn in looks.due(engine.map_runs(execution_arn)):
            counts = engine.map_run_counts(map_run_arn)
            looks.looked(counts)
            show(counts)
