"""`asl deploy`: creates a state machine in the database, or gives it a new revision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.cli.database import database_options
from engine.cli.definitions import definition_file, read_definition
from engine.cli.exits import ExitCode
from engine.cli.streams import print_json, print_note, print_result
from engine.cli.substitutions import read_substitutions, substitution_option
from engine.timestamps import iso_timestamp

if TYPE_CHECKING:
    from engine.asl.states import MachineType
    from engine.cli.client import Client
    from engine.cli.database import Database
    from engine.store.protocol import RevisionId
    from engine.store.records import StateMachineRecord


@click.command("deploy")
@click.argument("file", metavar="FILE", type=definition_file)
@click.option("--name", metavar="NAME", required=True, help="Of the state machine.")
@click.option(
    "--type",
    type=click.Choice(["STANDARD", "EXPRESS"], case_sensitive=False),
    default="STANDARD",
    show_default=True,
    metavar="STANDARD|EXPRESS",
    help="Of the state machine; it cannot change.",
)
@substitution_option
@click.option("--pool", metavar="POOL", default="default", show_default=True, help="Whose workers run its executions.")
@click.option("--json", "as_json", is_flag=True, help="Its ARN, revision and dates.")
@database_options
def command(
    file: str,
    name: str,
    type: MachineType,
    substitutions: tuple[str, ...],
    pool: str,
    as_json: bool,
    database: Database,
) -> int:
    """Create a state machine, or give it a new revision.

    FILE is JSON or YAML; - is stdin. Executions that run keep the definition that they were started with. The same
    definition again changes nothing.
    """
    definition = read_definition(file, type=type, substitutions=read_substitutions(substitutions))
    if definition.program is None:
        from engine.cli.render_text import print_invalid

        print_invalid(definition)
        return ExitCode.USAGE
    from engine.cli.client import client

    with client(database) as both:
        before = _revision(both, name)
        both.engine.deploy(definition.source(), name, type=type, pool=pool)
        machine = _found(both, name)
    if as_json:
        print_json(
            {
                "stateMachineArn": machine.arn,
                "name": machine.name,
                "type": machine.type,
                "revisionId": str(machine.revision_id),
                "creationDate": iso_timestamp(machine.creation_date),
                "pool": machine.pool,
                "isChanged": machine.revision_id != before,
            }
        )
        return ExitCode.SUCCEEDED
    done = "created" if before is None else "unchanged" if machine.revision_id == before else "updated"
    print_note(f"{done}, revision {machine.revision_id}")
    print_result(machine.arn)
    return ExitCode.SUCCEEDED


def _revision(both: Client, name: str) -> RevisionId | None:
    from engine.errors import StateMachineDoesNotExist

    try:
        return _found(both, name).revision_id
    except StateMachineDoesNotExist:
        return None


def _found(both: Client, name: str) -> StateMachineRecord:
    from engine.cli.lookup import machine_arn

    return both.store.state_machine(machine_arn(name))
