"""`asl redrive`: goes on with one execution where it failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.cli.database import database_options
from engine.cli.exits import ExitCode
from engine.cli.streams import print_note

if TYPE_CHECKING:
    from engine.cli.database import Database


@click.command("redrive")
@click.argument("execution")
@click.option("--wait", is_flag=True, help="Wait for its new end; as asl wait.")
@database_options
def command(execution: str, wait: bool, database: Database) -> int:
    """Go on with an execution where it failed.

    EXECUTION is an ARN, MACHINE:NAME, or a name that only one execution has. It keeps its name, its input and the
    definition that it was started with.
    """
    from engine.cli.client import client
    from engine.cli.lookup import find_execution

    with client(database) as both:
        arn = find_execution(both.store, execution).execution.arn
        both.engine.execution(arn).redrive()
        print_note(f"{arn} goes on")
        if wait:
            from engine.cli.ending import wait_and_tell

            return wait_and_tell(both, arn)
    return ExitCode.SUCCEEDED
