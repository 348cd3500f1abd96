"""`asl versions`: lists, publishes and deletes versions of state machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.cli.database import database_options
from engine.cli.exits import ExitCode
from engine.cli.streams import print_json, print_note, print_result
from engine.timestamps import iso_of

if TYPE_CHECKING:
    from engine.cli.database import Database


@click.group("versions")
def command() -> None:
    """List, publish and delete versions of a state machine.

    A version is a revision that stays as it is. MACHINE is the name or ARN of a state machine. A version's ARN can be
    started like a state machine's.
    """


@command.command("ls")
@click.argument("machine")
@click.option("--json", "as_json", is_flag=True, help="As ListStateMachineVersions answers.")
@database_options
def ls(machine: str, as_json: bool, database: Database) -> int:
    """List the versions of a state machine, the newest first."""
    from engine.cli.client import client
    from engine.cli.tables import print_table

    with client(database) as both:
        found = both.engine.list_versions(machine)
    rows = [(one.arn, iso_of(one.creation_date)) for one in found]
    if as_json:
        print_json(
            {"stateMachineVersions": [{"stateMachineVersionArn": arn, "creationDate": date} for arn, date in rows]}
        )
    elif rows:
        print_table(("VERSION", "CREATED"), rows, cut=())
    else:
        print_note("No versions.")
    return ExitCode.SUCCEEDED


@command.command("publish")
@click.argument("machine")
@click.option("--description", metavar="TEXT", help="For people.")
@database_options
def publish(machine: str, description: str | None, database: Database) -> int:
    """Make what was last deployed a version; its ARN goes to stdout.

    What is a version already stays the one that it is.
    """
    from engine.cli.client import client

    with client(database) as both:
        print_result(both.engine.publish_version(machine, description=description).arn)
    return ExitCode.SUCCEEDED


@command.command("delete")
@click.argument("version")
@database_options
def delete(version: str, database: Database) -> int:
    """Delete a version, given as MACHINE:NUMBER or ARN.

    Executions that were started with it go on. One that an alias leads to stays.
    """
    from engine.cli.client import client
    from engine.cli.lookup import machine_arn

    with client(database) as both:
        both.engine.delete_version(machine_arn(version))
    return ExitCode.SUCCEEDED
