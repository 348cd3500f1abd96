"""`asl stop`: ends one execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.cli.database import database_options
from engine.cli.exits import ExitCode
from engine.cli.streams import print_note

if TYPE_CHECKING:
    from engine.cli.database import Database


@click.command("stop")
@click.argument("execution")
@click.option("--error", metavar="NAME", help="Error Name that it ends with.")
@click.option("--cause", metavar="TEXT", help="For a person.")
@database_options
def command(execution: str, error: str | None, cause: str | None, database: Database) -> int:
    """End an execution as ABORTED.

    EXECUTION is an ARN, MACHINE:NAME, or a name that only one execution has. One that is over stays as it is. The
    worker that runs it stops its Tasks; without a worker it ends when one comes.
    """
    from engine.cli.client import client
    from engine.cli.lookup import find_execution

    with client(database) as both:
        record = find_execution(both.store, execution)
        if record.ending is not None:
            print_note(f"{record.execution.arn} is over already: {record.status}")
            return ExitCode.SUCCEEDED
        both.engine.execution(record.execution.arn).stop(error, cause)
        print_note(f"{record.execution.arn} is told to stop")
    return ExitCode.SUCCEEDED
