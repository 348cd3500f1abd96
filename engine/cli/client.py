"""Acting on executions that others run: the library as a client of the database, for the length of one command."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import click

from engine.cli.database import connected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.blocking import Engine
    from engine.cli.database import Database
    from engine.store.postgres.store import PostgresStore


class Client(NamedTuple):
    """`engine` acts, `store` shows."""

    engine: Engine
    store: PostgresStore


@contextmanager
def client(database: Database) -> Iterator[Client]:
    """A client of the database, which runs nothing itself.

    Raises:
        click.ClickException: As `connected`; or SFN_MOCK_CONFIG names no mock configuration.
    """
    with connected(database) as url:
        from engine.store.postgres.store import PostgresStore

        store = PostgresStore(url, application_name="asl command", pooler=database.pooler)
        try:
            with _engine(url, database) as engine:
                yield Client(engine, store)
        finally:
            store.close()


def _engine(url: str, database: Database) -> Engine:
    from engine.blocking import Engine
    from engine.integrations.mock_config import InvalidMockConfig

    try:
        return Engine(url, pooler=database.pooler)
    except InvalidMockConfig as error:  # of SFN_MOCK_CONFIG
        raise click.ClickException(f"mock configuration {error}") from error
