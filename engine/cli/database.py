"""Which database a command works on: `--db`, `--data-dir`, ASL_DATABASE_URL, or a server of our own."""

from __future__ import annotations

import functools
import os
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from engine.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.store.hints import Hints
    from engine.store.postgres.store import PostgresStore

F = TypeVar("F", bound="Callable[..., Any]")

_SCHEMES = ("postgresql://", "postgres://")


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """Where the executions are.

    Attributes:
        url: Of a PostgreSQL database; None: the engine's own server keeps them.
        data_dir: Of that server; None: the one that this user has by default.
        is_given: Whether the user named one, in whatever way.
        pooler: Whether the URL is that of a pooler in transaction mode.
    """

    url: str | None
    data_dir: Path | None
    is_given: bool
    pooler: bool = False

    @property
    def directory(self) -> Path:
        """Of the engine's own server."""
        from engine.store.postgres.embedded import default_data_dir

        return self.data_dir or default_data_dir(os.environ)


def database_options(command: F) -> F:
    """Adds `--db`, `--data-dir` and `--pooler`; the function gets them as `database`."""

    @click.option("--db", metavar="URL", help="PostgreSQL database; else ASL_DATABASE_URL; else a server of our own.")
    @click.option(
        "--data-dir",
        metavar="DIR",
        type=click.Path(file_okay=False, path_type=Path),
        help="Where our own server keeps its data.",
    )
    @click.option("--pooler", is_flag=True, help="The URL is that of PgBouncer in transaction mode; or ASL_POOLER=1.")
    @functools.wraps(command)
    def with_database(*args: Any, db: str | None, data_dir: Path | None, pooler: bool, **given: Any) -> Any:
        return command(*args, database=_database(db, data_dir, pooler=pooler), **given)

    return with_database  # type: ignore[return-value]  # the same but for the options it takes


def _database(db: str | None, data_dir: Path | None, *, pooler: bool) -> Database:
    if db is not None and data_dir is not None:
        raise click.UsageError("--db and --data-dir exclude one another.")
    settings = Settings.from_environment()
    option, url = ("--db", db) if db is not None else ("ASL_DATABASE_URL", settings.database_url)
    if pooler and (data_dir is not None or url is None):
        raise click.UsageError("--pooler is for the URL of a pooler: give it by --db or ASL_DATABASE_URL.")
    if data_dir is not None:
        return Database(url=None, data_dir=data_dir.resolve(), is_given=True)
    if url is not None and not url.startswith(_SCHEMES):
        raise click.UsageError(f"{option}: expected postgresql://USER:PASSWORD@HOST:PORT/DATABASE.")
    try:
        pooler = url is not None and (pooler or settings.has_pooler)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    return Database(url=url, data_dir=None, is_given=url is not None, pooler=pooler)


@contextmanager
def running(database: Database) -> Iterator[str]:
    """The URL of the database as it is; of our own server it is up inside. Raises as that server does."""
    if database.url is not None:
        yield database.url
        return
    from engine.store.postgres.embedded import EmbeddedPostgres, exit_on_sigterm

    exit_on_sigterm()  # else the server would stay behind
    with EmbeddedPostgres(database.directory) as server:
        server.keep_up()
        yield server.url()


@contextmanager
def connected(database: Database) -> Iterator[str]:
    """The URL of the database. In our own server the tables are brought up to date; elsewhere they are left alone.

    Raises:
        click.ClickException: Inside as well: the database cannot be used; or one of REFUSALS.
    """
    import logging

    from engine.cli.refusals import refusals_told

    # Else Python prints the pool's warnings among what a command says. A worker's log has them all the same.
    logging.getLogger("psycopg.pool").addHandler(logging.NullHandler())
    with database_faults_told(), refusals_told(), running(database) as url:
        if database.url is None:
            from engine.store.postgres.upgrade import upgrade_if_needed

            upgrade_if_needed(url)
        yield url


@contextmanager
def opened(database: Database) -> Iterator[PostgresStore]:
    """The store in that database. Raises as `connected`."""
    with connected(database) as url:
        from engine.store.postgres.store import PostgresStore

        store = PostgresStore(url, application_name="asl command", pooler=database.pooler)
        try:
            yield store
        finally:
            store.close()


@contextmanager
def hints_of(database: Database, url: str) -> Iterator[Hints]:
    """What the processes on that database tell one another; `url` as `connected` gives it."""
    from engine.store.hints import NoHints
    from engine.store.postgres.listener import PostgresHints

    hints = NoHints() if database.pooler else PostgresHints(url)
    try:
        yield hints
    finally:
        hints.close()


@contextmanager
def database_faults_told() -> Iterator[None]:
    """Turns what is wrong with a database into messages.

    Raises:
        click.ClickException: In its place.
    """
    import psycopg

    from engine.store.postgres.connection import PoolerUnnamed
    from engine.store.postgres.embedded_errors import EmbeddedPostgresError
    from engine.store.postgres.upgrade import SchemaMismatch
    from engine.store.protocol import StoreUnavailable

    try:
        yield
    except StoreUnavailable as error:
        raise click.ClickException(f"the database cannot be reached: {_in_lines(error)}") from error
    except psycopg.ProgrammingError as error:  # a URL that is none, found when it is first used
        raise click.ClickException(f"the database cannot be used: {_in_lines(error)}") from error
    except (SchemaMismatch, EmbeddedPostgresError, PoolerUnnamed) as error:
        raise click.ClickException(str(error)) from error


def _in_lines(error: Exception) -> str:
    """The driver's text, which may have several lines, with the later ones indented."""
    return str(error).strip().replace("\n\t", "\n").replace("\n", "\n  ")
