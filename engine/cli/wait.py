"""`asl wait`: waits for the end of one execution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.cli.database import database_options

if TYPE_CHECKING:
    from engine.cli.database import Database


@click.command("wait")
@click.argument("execution")
@database_options
def command(execution: str, database: Database) -> int:
    """Wait for an execution's end and print its output.

    EXECUTION is an ARN, MACHINE:NAME, or a name that only one execution has. The exit code says how it ended: 0
    succeeded, 2 failed, 3 timed out, 4 aborted. Ctrl-C ends the waiting, not the execution.
    """
    from engine.cli.client import client
    from engine.cli.ending import wait_and_tell
    from engine.cli.lookup import find_execution

    with client(database) as both:
        return wait_and_tell(both, find_execution(both.store, execution).execution.arn)
