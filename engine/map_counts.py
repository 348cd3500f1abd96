"""How far map runs are, and what became of their children, for a program that shows it or waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import anyio

from engine.operations.map_children import all_children
from engine.operations.map_runs import list_map_runs, map_run_standing
from engine.outcome import ExecutionDescription, described
from engine.parts import Part

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from engine.store.protocol import ExecutionStatus

WATCH_SECONDS = 1.0
"""How often a map run is looked at: results of Express children are written no more often."""


class MapRunCounts(NamedTuple):
    """How far a map run is, in items: DescribeMapRun's `itemCounts` (execution.md 14).

    Attributes:
        state: Name of the Map state.
        total: Items that were read so far.
        pending: In children that were not begun yet, or that are to be redriven.
        running: In children that were begun and have no result yet.
        is_read: Whether all items were read. Before, `total` grows: an ItemReader reads as children are begun.
        expected: How many items there will be: `total` once all are read, before that a guess from the part of the
            file that was read. None: nobody can tell.
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
    is_read: bool
    expected: int | None

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
        record, numbers = await map_run_standing(self.service, map_run_arn)
        assert record.execution.map is not None, "what a map run is of"
        status: Any = "RUNNING" if record.ending is None else record.ending.status
        items = numbers["itemCounts"]
        return MapRunCounts(
            map_run_arn,
            record.execution.map.state,
            status,
            total=items["total"],
            pending=items["pending"] + items.get("pendingRedrive", 0),
            running=items["running"],
            succeeded=items["succeeded"],
            failed=items["failed"],
            timed_out=items["timedOut"],
            aborted=items["aborted"],
            is_read=record.ending is not None or numbers["isRead"],
            expected=items["total"] if record.ending is not None else numbers["expected"],
        )

    async def map_run_children(
        self, map_run_arn: str, *, status: ExecutionStatus | None = None
    ) -> AsyncGenerator[ExecutionDescription, None]:
        """The child executions of a map run that were begun, the latest first; `status`: those of it alone.

        Raises:
            InvalidArn, ResourceNotFound: As `map_run_counts`.
        """
        async for record in all_children(self.service, map_run_arn, status=status):
            yield described(record, None)

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
