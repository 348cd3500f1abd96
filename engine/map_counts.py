"""How far map runs are, for a program that shows it or waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import anyio

from engine.operations.map_runs import describe_map_run, list_map_runs, map_run
from engine.parts import Part

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

WATCH_SECONDS = 1.0
"""How often a map run is looked at: results of Express children are written no more often."""


class MapRunCounts(NamedTuple):
    """How far a map run is, in items: DescribeMapRun's `itemCounts` (execution.md 14).

    Attributes:
        state: Name of the Map state.
        total: Items that were read so far; while an ItemReader reads, it grows.
        running: In children that were begun and have no result yet.
    """

    map_run_arn: str
    state: str
    status: Literal["RUNNING", "SUCCEEDED", "FAILED", "ABORTED"]
    total: int
    pending: int
    running: int
    succeeded: int
    failed: int
    timed_out: int
    aborted: int

    @property
    def done(self) -> int:
        """Items that have a result, a good one or not."""
        return self.succeeded + self.failed + self.timed_out + self.aborted


class MapRuns(Part):
    """A part of `Engine`."""

    async def map_runs(self, execution_arn: str) -> list[str]:
        """The ARNs of an execution's map runs, the latest first. Raises InvalidArn, ExecutionDoesNotExist."""
        found: list[str] = []
        token: str | None = None
        while True:
            page = await list_map_runs(self.service, execution_arn=execution_arn, next_token=token)
            found += [run["map_run_arn"] for run in page["map_runs"]]
            token = page.get("next_token")
            if token is None:
                return found

    async def map_run_counts(self, map_run_arn: str) -> MapRunCounts:
        """How far a map run is now. Raises InvalidArn, ResourceNotFound."""
        record = await map_run(self.service, map_run_arn)
        assert record.execution.map is not None, "what a map run is of"
        described = await describe_map_run(self.service, map_run_arn=map_run_arn)
        items: Any = described["item_counts"]
        return MapRunCounts(
            map_run_arn,
            record.execution.map.state,
            described["status"],
            *(items[key] for key in ("total", "pending", "running", "succeeded", "failed", "timedOut", "aborted")),
        )

    async def watch_map_run(
        self, map_run_arn: str, *, every_seconds: float = WATCH_SECONDS
    ) -> AsyncIterator[MapRunCounts]:
        """The counts of a map run, now and again and again until it is over; the last ones are final.

        Raises:
            InvalidArn, ResourceNotFound: As `map_run_counts`.
            ValueError: `every_seconds` is not more than 0.
        """
        check_pause(every_seconds)
        while True:
            counts = await self.map_run_counts(map_run_arn)
            yield counts
            if counts.status != "RUNNING":
                return
            await anyio.sleep(every_seconds)


def check_pause(every_seconds: float) -> None:
    """Raises ValueError: it is not more than 0, so the database would be asked without a pause."""
    if not every_seconds > 0:
        raise ValueError(f"every_seconds: expected a number of seconds more than 0, got {every_seconds!r}")
