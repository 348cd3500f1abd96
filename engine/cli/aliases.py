"""`asl aliases`: lists, sets and deletes aliases of state machines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.cli.database import database_options
from engine.cli.exits import ExitCode
from engine.cli.streams import print_json, print_note, print_result
from engine.timestamps import iso_of

if TYPE_CHECKING:
    from engine.cli.database import Database
    from engine.jsonvalue import Json
    from engine.releases import StateMachineAlias


@click.group("aliases")
def command() -> None:
    """List, set and delete aliases of a state machine.

    An alias is a name for one or two of its versions. MACHINE is the name or ARN of a state machine. An alias's ARN can
    be started like a state machine's; which of its versions is run is drawn for each start.
    """


@command.command("ls")
@click.argument("machine")
@click.option("--json", "as_json", is_flag=True, help="As DescribeStateMachineAlias answers, in a list.")
@database_options
def ls(machine: str, as_json: bool, database: Database) -> int:
    """List the aliases of a state machine."""
    from engine.cli.client import client
    from engine.cli.tables import print_table

    with client(database) as both:
        found = both.engine.list_aliases(machine)
    if as_json:
        print_json({"stateMachineAliases": [_as_json(alias) for alias in found]})
    elif found:
        rows = [(alias.arn, _shown(alias), alias.description or "") for alias in found]
        print_table(("ALIAS", "VERSIONS", "DESCRIPTION"), rows, cut=("DESCRIPTION",))
    else:
        print_note("No aliases.")
    return ExitCode.SUCCEEDED


def _shown(alias: StateMachineAlias) -> str:
    return ", ".join(f"{arn.rpartition(':')[2]}={weight}" for arn, weight in alias.routing.items())


def _as_json(alias: StateMachineAlias) -> Json:
    routes: list[Json] = [{"stateMachineVersionArn": arn, "weight": weight} for arn, weight in alias.routing.items()]
    item: dict[str, Json] = {
        "stateMachineAliasArn": alias.arn,
        "name": alias.name,
        "routingConfiguration": routes,
        "creationDate": iso_of(alias.creation_date),
        "updateDate": iso_of(alias.update_date),
    }
    if alias.description is not None:
        item["description"] = alias.description
    return item


@command.command("set")
@click.argument("machine")
@click.argument("name")
@click.argument("versions", metavar="VERSION[=WEIGHT]...", nargs=-1, required=True)
@click.option("--description", metavar="TEXT", help="For people.")
@database_options
def set_(machine: str, name: str, versions: tuple[str, ...], description: str | None, database: Database) -> int:
    """Make an alias, or have it lead to other versions; its ARN goes to stdout.

    VERSION is a number; two of them share the starts by their WEIGHTs, which are percentages.
    """
    from engine.cli.client import client
    from engine.cli.lookup import machine_arn
    from engine.errors import ResourceNotFound

    arn = machine_arn(machine)
    routing = dict(_route(arn, version) for version in versions)
    with client(database) as both:
        try:
            both.engine.update_alias(f"{arn}:{name}", routing, description=description)
        except ResourceNotFound:  # or a version is not there, which is said again
            both.engine.create_alias(name, routing, description=description)
    print_result(f"{arn}:{name}")
    return ExitCode.SUCCEEDED


def _route(machine_arn: str, given: str) -> tuple[str, int]:
    number, equals, weight = given.partition("=")
    try:
        return f"{machine_arn}:{int(number)}", int(weight) if equals else 100
    except ValueError:
        raise click.BadParameter(f"expected a number, or NUMBER=PERCENTAGE, got {given!r}") from None


@command.command("delete")
@click.argument("alias")
@database_options
def delete(alias: str, database: Database) -> int:
    """Delete an alias, given as MACHINE:NAME or ARN."""
    from engine.cli.client import client
    from engine.cli.lookup import machine_arn

    with client(database) as both:
        both.engine.delete_alias(machine_arn(alias))
    return ExitCode.SUCCEEDED
