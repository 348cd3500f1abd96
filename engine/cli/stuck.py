"""Why an execution does not move, where somebody has to do something about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.cli.workers import state_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.store.postgres.ownership import WorkerRecord
    from engine.store.postgres.store import PostgresStore
    from engine.store.records import ExecutionRecord

_TOLD_MAX = 5
"""Parts of map runs that are told: with the first ones resumed, or given a handler, the others are seen."""

_MAP_RUNS_MAX = 100
"""Open map runs of one execution that are looked at."""


def reasons_stuck(record: ExecutionRecord, workers: Sequence[WorkerRecord], now: int) -> list[str]:
    """In words; nothing when it is over, or goes on by itself."""
    if record.ending is not None:
        return []
    return why_unserved(record.pool, workers, now) + _of_its_own(record)


def reasons_below(store: PostgresStore, record: ExecutionRecord) -> list[str]:
    """Why its map runs do not move, which hold it up: they themselves, chunks of theirs, and child executions.

    Quarantined chunks and map runs are in no list of executions, so here their ARNs are told.
    """
    if record.ending is not None or record.unreadable is not None:
        return []
    from engine.interpreter.map_runs import chunks_key

    arn = record.execution.arn
    runs = store.latest_executions(arn, status="RUNNING", most=_MAP_RUNS_MAX)
    keys = [arn, *(key for run in runs for key in (run.execution.arn, chunks_key(run.execution.arn)))]
    found = [held for key in keys for held in store.held_up(key, most=_TOLD_MAX + 1)]
    reasons = [f"{held.execution.arn}: {reason}" for held in found[:_TOLD_MAX] for reason in _of_its_own(held)]
    return reasons if len(found) <= _TOLD_MAX else [*reasons, "and more of its map runs, chunks and child executions"]


def _of_its_own(record: ExecutionRecord) -> list[str]:
    """What it has that others of its pool may not have."""
    reasons = []
    if record.unreadable is not None:
        reasons.append(
            f"a newer asl wrote it, in format {record.unreadable}: only workers of that version go on with it"
        )
    reasons += [f"no handler for {resource} in pool {record.pool}" for resource in record.missing]
    if record.quarantine is not None:
        reasons.append(f"in quarantine until asl resume: {record.quarantine.strip()}")
    return reasons


def why_unserved(pool: str, workers: Sequence[WorkerRecord], now: int) -> list[str]:
    """In words; nothing when a worker serves the pool."""
    is_served = any(pool in worker.pools and state_of(worker, now) == "alive" for worker in workers)
    return [] if is_served else [f"no worker serves pool {pool}"]
