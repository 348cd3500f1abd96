"""`asl task`: answers for a Task that waits for its token, or is an activity's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.cli.database import database_options
from engine.cli.exits import ExitCode

if TYPE_CHECKING:
    from engine.cli.database import Database


@click.group("task")
def command() -> None:
    """Answer for a Task by its token.

    The Task's handler was given the TOKEN, and asl get shows it.
    """


@command.command("succeed")
@click.argument("token")
@click.option("-o", "--output", metavar="JSON|@FILE|-", default="{}", show_default=True, help="The Task's result.")
@database_options
def succeed(token: str, output: str, database: Database) -> int:
    """End the Task with a result, as SendTaskSuccess."""
    from engine.cli.client import client
    from engine.cli.documents import read_document

    value = read_document(output, option="-o")
    with client(database) as both:
        both.engine.send_task_success(token, value)
    return ExitCode.SUCCEEDED


@command.command("fail")
@click.argument("token")
@click.option("--error", metavar="NAME", help="Error Name, for Retry and Catch.")
@click.option("--cause", metavar="TEXT", help="For a person.")
@database_options
def fail(token: str, error: str | None, cause: str | None, database: Database) -> int:
    """Fail the Task, as SendTaskFailure."""
    from engine.cli.client import client

    with client(database) as both:
        both.engine.send_task_failure(token, error, cause)
    return ExitCode.SUCCEEDED


@command.command("heartbeat")
@click.argument("token")
@database_options
def heartbeat(token: str, database: Database) -> int:
    """Start the Task's HeartbeatSeconds anew, as SendTaskHeartbeat."""
    from engine.cli.client import client

    with client(database) as both:
        both.engine.send_task_heartbeat(token)
    return ExitCode.SUCCEEDED
