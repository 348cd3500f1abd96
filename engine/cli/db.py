"""`asl db`: the tables of the database, and the server of our own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from engine.cli.database import database_faults_told, database_options, running
from engine.cli.exits import ExitCode
from engine.cli.streams import print_json, print_note, print_result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.cli.database import Database
    from engine.store.postgres.upgrade import SchemaStatus

_STATES = {
    "absent": "asl db upgrade makes them",
    "outdated": "asl db upgrade brings them up to date",
    "current": "nothing is to be done",
    "newer": "a newer asl has upgraded them, and this one cannot use them",
}


@click.group("db")
def command() -> None:
    """Look after the database.

    Everything of ours is in its schema asl.
    """


@command.command("upgrade")
@database_options
def upgrade(database: Database) -> int:
    """Bring the tables up to date, or make them.

    Workers may run meanwhile. Our own server is upgraded by whatever command comes first.
    """
    from engine.store.postgres import upgrade as schema

    with _reached(database) as url:
        before = schema.upgrade(url)
        after = schema.status(url)
    print_note(
        f"The tables have revision {after.revision} already."
        if before.state == "current"
        else f"The tables have revision {after.revision} now; before: {before.revision or 'none'}."
    )
    return ExitCode.SUCCEEDED


@command.command("status")
@click.option("--json", "as_json", is_flag=True, help="revision, needed, state.")
@database_options
def status(as_json: bool, database: Database) -> int:
    """Say whether the tables are those that this asl needs; if not, the exit code is 2."""
    from engine.store.postgres import upgrade as schema

    with _reached(database) as url:
        found = schema.status(url)
    if as_json:
        print_json({"revision": found.revision, "needed": found.needed, "state": found.state})
    else:
        print_result(_status_text(found))
    return ExitCode.SUCCEEDED if found.state == "current" else ExitCode.FAILED


@command.command("stop")
@click.option("--force", is_flag=True, help="Also when somebody uses it; the next command starts it again.")
@database_options
def stop(force: bool, database: Database) -> int:
    """Stop our own server, which a killed process may have left behind."""
    if database.url is not None:
        raise click.UsageError("asl db stop is for the server of a --data-dir; nobody but you stops another one.")
    from engine.store.postgres import embedded

    with database_faults_told():
        was_running = embedded.stop(database.directory, force=force)
    print_note(f"The server in {database.directory} {'is stopped' if was_running else 'was not running'}.")
    return ExitCode.SUCCEEDED


def _status_text(found: SchemaStatus) -> str:
    has = "no tables" if found.revision is None else f"tables of revision {found.revision}"
    return f"{has}; {found.needed} is needed: {_STATES[found.state]}"


@contextmanager
def _reached(database: Database) -> Iterator[str]:
    """The URL of the database as it is; a server of our own is started, its tables are left alone."""
    with database_faults_told(), running(database) as url:
        yield url
