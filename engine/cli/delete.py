"""`asl delete`: has a state machine go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.cli.database import database_options
from engine.cli.exits import ExitCode
from engine.cli.streams import print_note

if TYPE_CHECKING:
    from engine.cli.database import Database


@click.command("delete")
@click.argument("machine")
@database_options
def command(machine: str, database: Database) -> int:
    """Delete a state machine with its versions and aliases.

    MACHINE is a name or ARN. Nothing of it can be started any more. Executions that run end as ABORTED at their next
    event; within a minute of the last one it is gone, and its name is free. What they did stays to be seen. One that is
    not there is no error.
    """
    from engine.cli.client import client
    from engine.cli.lookup import machine_arn
    from engine.errors import StateMachineDoesNotExist

    arn = machine_arn(machine)
    with client(database) as both:
        try:
            both.store.state_machine(arn)
        except StateMachineDoesNotExist:
            was_there = False
        else:
            was_there = True
        both.engine.delete_state_machine(arn)
        if not was_there:
            print_note(f"{arn} is not there")
            return ExitCode.SUCCEEDED
        try:
            both.store.state_machine(arn)
        except StateMachineDoesNotExist:
            print_note(f"{arn} is deleted")
        else:
            print_note(f"{arn} is being deleted: what runs of it ends at its next event")
    return ExitCode.SUCCEEDED
