"""Statements over a connection that is not ours: whatever it is made of, and without changing anything of it.

A psycopg connection gets a cursor of ours, so its own cursor and row factories do not matter; nothing is prepared. A
SQLAlchemy one gets `text()`. Nothing is committed, rolled back, set or notified.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import anyio
import psycopg
from psycopg.rows import tuple_row

from engine.store.postgres.starts import PARAMETERS, numbered, run
from engine.store.postgres.upgrade import SCHEMA_REVISION, SchemaMismatch, SchemaStatus

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.store.postgres.connection import Row
    from engine.store.postgres.starts import Query, Steps

T = TypeVar("T")

_EXPECTED = (
    "a psycopg Connection or AsyncConnection, or a SQLAlchemy Connection, Session, AsyncConnection or AsyncSession"
)

_SESSIONS = (("sqlalchemy.orm", "Session"), ("sqlalchemy.ext.asyncio", "AsyncSession"))
_SYNCHRONOUS = (("sqlalchemy", "Connection"), ("sqlalchemy.orm", "Session"))
_ASYNCHRONOUS = (("sqlalchemy.ext.asyncio", "AsyncConnection"), ("sqlalchemy.ext.asyncio", "AsyncSession"))
_SCOPED = (("sqlalchemy.orm", "scoped_session"), ("sqlalchemy.ext.asyncio", "async_scoped_session"))

# Undefined table, and invalid schema name.
_ABSENT_STATES = frozenset({"42P01", "3F000"})


def is_asynchronous(connection: object) -> bool:
    """Whether a caller's connection is one that is awaited.

    Raises:
        TypeError: It is none that we can use.
    """
    if isinstance(connection, psycopg.Connection) or _is_one_of(connection, _SYNCHRONOUS):
        return False
    if isinstance(connection, psycopg.AsyncConnection) or _is_one_of(connection, _ASYNCHRONOUS):
        return True
    raise TypeError(f"connection: expected {_EXPECTED}, got {type(connection).__module__}.{type(connection).__name__}")


def resolved(connection: Any) -> Any:
    """The session of this thread or task, where a SQLAlchemy `scoped_session` stands for it."""
    return connection() if _is_one_of(connection, _SCOPED) else connection


def _is_one_of(connection: object, kinds: Sequence[tuple[str, str]]) -> bool:
    # Of what nobody has imported nobody can have an object, and importing SQLAlchemy takes 300 ms.
    return any(
        isinstance(connection, getattr(sys.modules[module], name)) for module, name in kinds if module in sys.modules
    )


def run_within(steps: Steps[T], connection: Any) -> T:
    """What comes of the steps over a connection that is not awaited.

    Raises:
        SchemaMismatch: Its database has no tables of ours.
        Exception: Of the driver or of SQLAlchemy, as they are.
    """
    return run(steps, lambda query: _ask(connection, query))


async def run_anyhow(steps: Steps[T], connection: Any) -> T:
    """As `run_within`, over any connection.

    One that is not awaited is used in a thread, and waited for in any case: its owner must not go on meanwhile.
    """
    if is_asynchronous(connection):
        return await run_within_async(steps, connection)
    return await anyio.to_thread.run_sync(run_within, steps, connection)


def _ask(connection: Any, query: Query) -> list[Row]:
    try:
        if isinstance(connection, psycopg.Connection):
            sql, names = numbered(query.text)
            with psycopg.RawCursor(connection, row_factory=tuple_row) as cursor:
                return cursor.execute(sql, _plain(query, names), prepare=False).fetchall()
        core = connection.connection() if _is_one_of(connection, _SESSIONS) else connection
        return [tuple(row) for row in core.execute(_clause(query.text), _named(query))]
    except Exception as error:
        if _says_absent(error):
            raise SchemaMismatch(SchemaStatus(None, SCHEMA_REVISION, "absent")) from error
        raise


async def run_within_async(steps: Steps[T], connection: Any) -> T:
    """As `run_within`, over a connection that is awaited."""
    try:
        query = next(steps)
        while True:
            query = steps.send(await _ask_async(connection, query))
    except StopIteration as ended:
        return cast("T", ended.value)


async def _ask_async(connection: Any, query: Query) -> list[Row]:
    try:
        if isinstance(connection, psycopg.AsyncConnection):
            sql, names = numbered(query.text)
            async with psycopg.AsyncRawCursor(connection, row_factory=tuple_row) as cursor:
                await cursor.execute(sql, _plain(query, names), prepare=False)
                return await cursor.fetchall()
        core = await connection.connection() if _is_one_of(connection, _SESSIONS) else connection
        return [tuple(row) for row in await core.execute(_clause(query.text), _named(query))]
    except Exception as error:
        if _says_absent(error):
            raise SchemaMismatch(SchemaStatus(None, SCHEMA_REVISION, "absent")) from error
        raise


def _plain(query: Query, names: list[str]) -> list[object]:
    """The values, in Python's own types: how the caller's connection writes a UUID is his."""
    return [_text(query, name) for name in names]


def _text(query: Query, name: str) -> object:
    value = query.values[name]
    return str(value) if PARAMETERS[name] == "uuid" and value is not None else value


def _named(query: Query) -> dict[str, object]:
    return {name: _text(query, name) for name in PARAMETERS if f"{{{name}}}" in query.text}


@lru_cache
def _clause(text: str) -> Any:
    """The query for SQLAlchemy, whose drivers have other ways to write parameters; their types are said."""
    import sqlalchemy

    types: dict[str, Any] = {
        "uuid": sqlalchemy.Text(),
        "text": sqlalchemy.Text(),
        "bigint": sqlalchemy.BigInteger(),
        "integer": sqlalchemy.Integer(),
        "bytea": sqlalchemy.LargeBinary(),
    }
    names = [name for name in PARAMETERS if f"{{{name}}}" in text]
    clause = sqlalchemy.text(text.format(**{name: f"cast(:{name} as {PARAMETERS[name]})" for name in names}))
    return clause.bindparams(*(sqlalchemy.bindparam(name, type_=types[PARAMETERS[name]]) for name in names))


def _says_absent(error: Exception) -> bool:
    """Whether the driver's error is that the tables are not there."""
    driver = getattr(error, "orig", None) or error
    state = getattr(driver, "sqlstate", None) or getattr(driver, "pgcode", None)
    return state in _ABSENT_STATES
