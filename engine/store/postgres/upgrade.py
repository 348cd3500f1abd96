"""The schema's revision: what it is, what this engine needs, and the way from one to the other.

The migrations are alembic's, in `migrations/` at the top of a checkout and beside this module in an installed package.
SQLAlchemy and alembic are imported only when something is to be migrated.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psycopg

from engine.store.postgres import partitions
from engine.store.postgres.connection import CONNECT_TIMEOUT_SECONDS, connect, unavailable

if TYPE_CHECKING:
    from engine.store.postgres.connection import Connection, Pool
    from engine.store.postgres.partitions import Outlook

SCHEMA_REVISION = "0010"
"""Of the last migration, which this engine needs."""

_LOCK_TIMEOUT_MS = 10_000
# Of an advisory lock: two upgrades at once, of several workers that begin, go one after the other. "asl" in ASCII.
_UPGRADE_LOCK = 0x61736C


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """How a database stands.

    Attributes:
        revision: Of its tables; None: there are none.
        needed: Of the tables that this engine works with.
        state: `newer`: its revision is one that this engine does not know.
    """

    revision: str | None
    needed: str
    state: Literal["absent", "outdated", "current", "newer"]


class SchemaMismatch(Exception):
    """The database's tables are not those that this engine works with; the text says what to do."""

    def __init__(self, status: SchemaStatus) -> None:
        if status.state == "newer":
            advice = "upgrade this engine: the database was upgraded by a newer one"
        else:
            advice = "run `asl db upgrade --db URL`"
        found = "no tables of ours" if status.revision is None else f"tables of revision {status.revision}"
        super().__init__(f"the database has {found}, this engine needs revision {status.needed}: {advice}")
        self.status = status


def status(url: str) -> SchemaStatus:
    """The revision of a database. Raises StoreUnavailable."""
    try:
        with _connect(url, autocommit=True) as connection:
            return _status(connection)
    except psycopg.OperationalError as error:
        raise unavailable(error) from error


def _connect(url: str, *, autocommit: bool) -> Connection:
    # Nothing is prepared, so that it does not matter whether a pooler stands between.
    return psycopg.connect(url, autocommit=autocommit, connect_timeout=CONNECT_TIMEOUT_SECONDS, prepare_threshold=None)


def require_current(pool: Pool) -> None:
    """Refuses a database whose tables this engine does not work with.

    Raises:
        SchemaMismatch: With the command that upgrades it.
        StoreUnavailable: It cannot be asked.
    """
    with pool.connection() as connection:
        found = _status(connection)
    if found.state != "current":
        raise SchemaMismatch(found)


def _status(connection: Connection) -> SchemaStatus:
    row = connection.execute("select to_regclass('asl.alembic_version')").fetchone()
    if row is None or row[0] is None:
        return SchemaStatus(None, SCHEMA_REVISION, "absent")
    row = connection.execute("select version_num from asl.alembic_version").fetchone()
    if row is None:
        return SchemaStatus(None, SCHEMA_REVISION, "absent")
    if row[0] == SCHEMA_REVISION:
        return SchemaStatus(row[0], SCHEMA_REVISION, "current")
    return SchemaStatus(row[0], SCHEMA_REVISION, "outdated" if row[0] < SCHEMA_REVISION else "newer")


def upgrade(url: str) -> SchemaStatus:
    """Brings a database to the revision that this engine needs; the tables of one that has it stay as they are.

    All of it is one transaction, under a lock that a second upgrade waits for. The partitions of the days to come are
    made afterwards.

    Returns:
        How it stood before.

    Raises:
        SchemaMismatch: It is newer.
        StoreUnavailable: It cannot be reached, or somebody holds a lock that a migration needs.
    """
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    config = Config()
    config.set_main_option("script_location", str(_migrations()).replace("%", "%%"))
    # psycopg reads the URL, as everywhere: SQLAlchemy does not know all of its forms.
    engine = create_engine("postgresql+psycopg://", creator=lambda: _connect(url, autocommit=False), poolclass=NullPool)
    try:
        before = status(url)
        if before.state == "newer":
            raise SchemaMismatch(before)
        with engine.begin() as connection:
            connection.exec_driver_sql(f"set local lock_timeout = {_LOCK_TIMEOUT_MS}")
            connection.exec_driver_sql(f"select pg_advisory_xact_lock({_UPGRADE_LOCK})")
            connection.exec_driver_sql("create schema if not exists asl")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        with _careful(url) as made:
            partitions.make_days(made)
    except Exception as error:
        cause = getattr(error, "orig", None)
        if isinstance(cause, psycopg.OperationalError):
            raise unavailable(cause) from error
        raise
    finally:
        engine.dispose()
    return before


def outlook(url: str) -> Outlook:
    """How the partitions of days stand in a database that is current. Raises StoreUnavailable."""
    with _careful(url) as connection:
        return partitions.outlook(connection)


def _careful(url: str) -> closing[Connection]:
    """A connection that works whether a pooler stands between or not."""
    return closing(connect(url, name="asl upgrade", pinned=False, pooler=True))


def upgrade_if_needed(url: str) -> None:
    """Upgrades a database that has no tables or older ones; alembic is not even imported otherwise.

    Raises:
        StoreUnavailable: As `upgrade`.
    """
    if status(url).state in ("absent", "outdated"):
        upgrade(url)


def _migrations() -> Path:
    here = Path(__file__).resolve()
    installed = here.parent / "migrations"
    folder = installed if installed.is_dir() else here.parents[3] / "migrations"
    assert (folder / "env.py").is_file(), f"the migrations are not where they should be: {folder}"
    return folder
