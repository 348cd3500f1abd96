"""`asl start`: starts an execution, which workers run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.cli.database import database_options
from engine.cli.exits import ExitCode
from engine.cli.streams import print_json, print_note, print_result

if TYPE_CHECKING:
    from engine.cli.database import Database


@click.command("start")
@click.argument("machine")
@click.option("-i", "--input", "given", metavar="JSON|@FILE|-", default="{}", show_default=True, help="The input.")
@click.option("--name", metavar="NAME", help="Of the execution; a UUID when not given. A name starts once.")
@click.option("--pool", metavar="POOL", help="Whose workers run it; by default that of the state machine.")
@click.option("--wait", is_flag=True, help="Wait for its end and print its output; as asl wait.")
@click.option("--sync", is_flag=True, help="Run an Express execution to its end, once at most, and print its output.")
@click.option(
    "--json", "as_json", is_flag=True, help="As StartExecution or StartSyncExecution answers; not with --wait."
)
@database_options
def command(
    machine: str,
    given: str,
    name: str | None,
    pool: str | None,
    wait: bool,
    sync: bool,
    as_json: bool,
    database: Database,
) -> int:
    """Start an execution.

    MACHINE is the name or ARN of a state machine that was deployed, or the ARN of a version or an alias, or MACHINE:N,
    MACHINE:ALIAS. The ARN of the execution goes to stdout. Once it is printed the execution is in the database, and
    runs as soon as a worker of its pool has a place for it. The same name and input again, while it runs, is the same
    execution.
    """
    if wait and as_json:
        raise click.UsageError("--wait and --json exclude one another: with --wait the output is printed.")
    if sync and (wait or pool is not None):
        raise click.UsageError("--sync waits by itself, and for a worker of the state machine's pool.")
    from engine.cli.client import client
    from engine.cli.documents import read_document
    from engine.cli.lookup import machine_arn

    value = read_document(given, option="-i")
    with client(database) as both:
        if sync:
            from engine.cli.start_sync import run_and_tell

            return run_and_tell(both, machine_arn(machine), value, name=name, as_json=as_json)
        arn = both.engine.start_execution(machine_arn(machine), value, name=name, pool=pool).arn
        if wait:
            from engine.cli.ending import wait_and_tell

            print_note(arn)
            return wait_and_tell(both, arn)
        if as_json:
            from engine.timestamps import iso_timestamp

            started = both.store.execution(arn).execution.start_time
            print_json({"executionArn": arn, "startDate": iso_timestamp(started)})
        else:
            print_result(arn)
    return ExitCode.SUCCEEDED
