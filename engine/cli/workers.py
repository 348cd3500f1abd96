"""`asl workers`: who runs the executions of a database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.cli.database import database_options, opened
from engine.cli.durations import duration
from engine.cli.exits import ExitCode
from engine.cli.streams import print_json, print_note
from engine.timestamps import iso_timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.cli.database import Database
    from engine.jsonvalue import Json
    from engine.store.postgres.ownership import WorkerRecord

SILENCE_MS = 30_000
"""Twice the usual lease: a worker that was silent for so long is gone, whether others have noticed or not."""


@click.command("workers")
@click.option("--json", "as_json", is_flag=True, help="The workers as one JSON document.")
@database_options
def command(as_json: bool, database: Database) -> int:
    """List the workers.

    Where they are, how they are, and how many executions they have.

    STATE is alive; silent, when it said nothing for 30 seconds and nobody has declared it dead yet; dead or resigned,
    when it is gone and the others have not taken over all that it had.
    """
    with opened(database) as store:
        now = store.handle().now()
        workers = store.workers()
    if as_json:
        print_json({"workers": [_as_json(worker, now) for worker in workers]})
    else:
        _print(workers, now)
    return ExitCode.SUCCEEDED


def state_of(worker: WorkerRecord, now: int) -> str:
    """Its state, or `silent`; `now`: the database's clock, ms since the epoch."""
    return "silent" if worker.state == "alive" and now - worker.renewed_at > SILENCE_MS else worker.state


def _as_json(worker: WorkerRecord, now: int) -> Json:
    return {
        "id": str(worker.id),
        "host": worker.host,
        "pid": worker.pid,
        "pools": list(worker.pools),
        "state": state_of(worker, now),
        "startDate": iso_timestamp(worker.started_at),
        "lastSeen": iso_timestamp(worker.renewed_at),
        "executions": worker.owned,
    }


def _print(workers: Sequence[WorkerRecord], now: int) -> None:
    from engine.cli.tables import print_table

    if not workers:
        print_note("No workers.")
        return
    print_table(
        ("HOST", "PID", "POOLS", "STATE", "SINCE", "SEEN", "EXECUTIONS"),
        [
            (
                worker.host,
                str(worker.pid),
                ", ".join(worker.pools),
                state_of(worker, now),
                iso_timestamp(worker.started_at),
                f"{duration(max(0, now - worker.renewed_at))} ago",
                str(worker.owned),
            )
            for worker in workers
        ],
        cut=("HOST", "POOLS"),
    )
