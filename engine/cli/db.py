"""`asl db`: the tables of the database, and the server of our own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from engine.cli.database import database_faults_told, database_options, opened, running
from engine.cli.exits import ExitCode
from engine.cli.moments import Retention
from engine.cli.streams import print_json, print_note, print_result

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.cli.database import Database
    from engine.jsonvalue import Json
    from engine.store.postgres.partitions import Outlook
    from engine.store.postgres.upgrade import SchemaStatus
    from engine.store.records import Garbage

_STATES = {
    "absent": "asl db upgrade makes them",
    "outdated": "asl db upgrade brings them up to date",
    "current": "nothing is to be done",
    "newer": "a newer asl has upgraded them, and this one cannot use them",
}


_NAMES = {"taskTokens": "task tokens"}


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
@click.option("--json", "as_json", is_flag=True, help="revision, needed, state, days.")
@database_options
def status(as_json: bool, database: Database) -> int:
    """Say whether the tables are those that this asl needs; if not, the exit code is 2."""
    from engine.store.postgres import upgrade as schema

    with _reached(database) as url:
        found = schema.status(url)
        days = schema.outlook(url) if found.state == "current" else None
    if as_json:
        print_json(_status_json(found, days))
    else:
        print_result(_status_text(found))
        if days is not None:
            _warn_of_days(days)
    return ExitCode.SUCCEEDED if found.state == "current" else ExitCode.FAILED


def _status_json(found: SchemaStatus, days: Outlook | None) -> Json:
    shown: dict[str, Json] = {"revision": found.revision, "needed": found.needed, "state": found.state}
    if days is not None:
        until = None if days.until is None else str(days.until)
        shown["days"] = {"until": until, "short": days.is_short, "stray": days.has_strays}
    return shown


@command.command("gc")
@click.option(
    "--older-than",
    type=Retention(),
    metavar="SPAN",
    help="Executions that finished so long ago go: 30d, 12w. None when not given.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go.")
@click.option("--json", "as_json", is_flag=True, help="How much of what went.")
@database_options
def gc(older_than: int | None, dry_run: bool, as_json: bool, database: Database) -> int:
    """Remove finished executions, and what nobody needs any more.

    Workers may run meanwhile. asl worker --retention does it by itself, again and again.
    """
    with opened(database) as store:
        garbage = store.gc(older_than=older_than, dry_run=dry_run)
    counts = _counts(garbage)
    if as_json:
        print_json({**counts, "left": list(garbage.left)})
    else:
        words = ", ".join(f"{_NAMES.get(name, name)} {count}" for name, count in counts.items() if count) or "nothing"
        print_result(f"{'to go' if dry_run else 'gone'}: {words}")
        for reason in garbage.left:
            print_note(f"left: {reason}")
    return ExitCode.SUCCEEDED


def _counts(garbage: Garbage) -> dict[str, int]:
    """By what it is, in the words of both forms of the answer."""
    return {
        "executions": garbage.executions,
        "names": garbage.names,
        "taskTokens": garbage.task_tokens,
        "mail": garbage.mail,
        "workers": garbage.workers,
    }


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


def _warn_of_days(days: Outlook) -> None:
    if days.is_short:
        print_note(
            "Partitions are made ahead by any worker, asl db gc and asl db upgrade: run one of them once a week."
        )
    if days.has_strays:
        print_note(
            "Executions of today are in the DEFAULT partition, because theirs was missing when they started. They run "
            "as ever; they will go one after the other instead of as a whole day."
        )


@contextmanager
def _reached(database: Database) -> Iterator[str]:
    """The URL of the database as it is; a server of our own is started, its tables are left alone."""
    with database_faults_told(), running(database) as url:
        yield url
