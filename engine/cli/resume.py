"""`asl resume`: ends the quarantine of one execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.cli.database import database_options, opened
from engine.cli.exits import ExitCode
from engine.cli.streams import print_note

if TYPE_CHECKING:
    from engine.cli.database import Database


@click.command("resume")
@click.argument("execution")
@database_options
def command(execution: str, database: Database) -> int:
    """End an execution's quarantine.

    EXECUTION is an ARN, MACHINE:NAME, or a name that only one execution has. The engine puts an execution into
    quarantine when it fails itself on it, or when workers died of it; asl get tells why.
    """
    from engine.cli.lookup import find_execution

    with opened(database) as store:
        record = find_execution(store, execution)
        arn = record.execution.arn
        if record.ending is not None:
            raise click.ClickException(f"{arn} is over: {record.status}")
        if record.quarantine is None:
            print_note(f"{arn} is not in quarantine")
            return ExitCode.SUCCEEDED
        store.resume(arn)
        print_note(f"{arn} can be taken by a worker again")
    return ExitCode.SUCCEEDED
