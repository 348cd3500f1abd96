"""Workers on a real server, and what a test does to their rows from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from engine.store.postgres.store import Handle, PostgresStore
    from tests.store.runs import Run

Database = psycopg.Connection[Any]


def enlisted(store: PostgresStore) -> Handle:
    handle = store.handle()
    handle.enlist(pools=["default"], host="here", pid=1)
    return handle


def hold(url: str, run: Run) -> Database:
    """A session that holds the execution's row, so that a group waits in its middle, with the fence's lock."""
    holder: Database = psycopg.connect(url)
    holder.execute("select 1 from asl.open_execution where id = %s for update", (run.id,))
    return holder


def table_statistics(database: Database, *columns: str) -> list[int]:
    sql = (
        f"select {', '.join(columns)} from pg_stat_user_tables where schemaname = 'asl' and relname = 'open_execution'"
    )
    return [int(value) for value in database.execute(sql.encode()).fetchall()[0]]
