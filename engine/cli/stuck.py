"""Why an execution does not move, where somebody has to do something about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.cli.workers import state_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.store.library import ExecutionRecord
    from engine.store.postgres.ownership import WorkerRecord


def reasons_stuck(record: ExecutionRecord, workers: Sequence[WorkerRecord], now: int) -> list[str]:
    """In words; nothing when it is over, or goes on by itself."""
    if record.ending is not None:
        return []
    is_served = any(record.pool in worker.pools and state_of(worker, now) == "alive" for worker in workers)
    reasons = [] if is_served else [f"no worker serves pool {record.pool}"]
    if record.unreadable is not None:
        reasons.append(
            f"a newer asl wrote it, in format {record.unreadable}: only workers of that version go on with it"
        )
    reasons += [f"no handler for {resource} in pool {record.pool}" for resource in record.missing]
    if record.quarantine is not None:
        reasons.append(f"in quarantine until asl resume: {record.quarantine.strip()}")
    return reasons
