"""Plans of the hot path, made on empty tables and kept: they must be right for a million rows."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from engine.store.postgres import claims, group, mail, writer
from engine.store.postgres.connection import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.store.postgres.connection import Connection

SCANS = ("Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Index Scan")


@pytest.fixture(params=[-1, 0], ids=["new tables", "tables vacuumed while they were empty"])
def pinned(url: str, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A session as a worker's, whose plans are made now, of empty tables."""
    with psycopg.connect(url, autocommit=True) as admin:
        # Autovacuum may have looked into those of the tests before.
        ours = "in (select oid from pg_class where relnamespace = 'asl'::regnamespace)"
        admin.execute(f"delete from pg_statistic where starelid {ours}".encode())
        state = f"relpages = 0, reltuples = {request.param}, relallvisible = 0"
        admin.execute(f"update pg_class set {state} where oid {ours}".encode())
    connection = connect(url, name="plans", pinned=True)
    yield connection
    connection.close()


def scans(connection: Connection, sql: str) -> list[tuple[str, str | None, bool]]:
    """How a statement reads tables: table or index, and whether it looks up what it wants there."""
    parameters = ", ".join(["null"] * max(map(int, re.findall(r"\$(\d+)", sql))))
    connection.execute(f"prepare planned as {sql}".encode())
    [(explained,)] = connection.execute(f"explain (format json) execute planned ({parameters})".encode()).fetchall()
    connection.execute("deallocate planned")
    found: list[tuple[str, str | None, bool]] = []

    def visit(node: dict[str, Any]) -> None:
        if node["Node Type"] in SCANS:
            found.append((node.get("Relation Name", ""), node.get("Index Name"), "Index Cond" in node))
        for child in node.get("Plans", ()):
            visit(child)

    visit(explained[0]["Plan"])
    return found


def reads_all_of(connection: Connection, sql: str) -> set[str | None]:
    """The tables and indexes of which a statement reads everything."""
    return {index or table for table, index, is_looked_up in scans(connection, sql) if not is_looked_up}


def indexes(connection: Connection, sql: str) -> list[str]:
    """Those of the open executions by which a statement finds rows."""
    return sorted(index for _, index, _ in scans(connection, sql) if index and index.startswith("open_execution"))


@pytest.mark.parametrize("sql", [claims._LOAD, claims._SET_ASIDE, writer._NOT_OURS])
def test_what_is_known_by_its_id_is_found_by_its_id(pinned: Connection, sql: str):
    assert indexes(pinned, sql) == ["open_execution_pkey"]
    assert not reads_all_of(pinned, sql)


@pytest.mark.parametrize("sql", [claims._LOAD_FRAMES, writer._ALREADY_BORN, writer._TOKENS_GONE, mail._READ])
def test_what_is_asked_for_by_keys_is_looked_up(pinned: Connection, sql: str):
    assert not reads_all_of(pinned, sql)


def test_a_claim_reads_neither_all_that_is_parked_nor_all_that_is_owned(pinned: Connection):
    workers = {"worker", "worker_pkey"}  # there are few
    # Who has mail is read there; the rest by what is due, by owners that are dead, and by ids.
    assert reads_all_of(pinned, claims._CLAIM) <= {"mail_pkey", *workers}
    assert indexes(pinned, claims._CLAIM) == [
        "open_execution_chunk_due", "open_execution_due", "open_execution_owned",
        "open_execution_pkey", "open_execution_pkey",
    ]  # fmt: skip
    assert reads_all_of(pinned, claims._CLAIM_SUSPECTS) <= workers
    assert reads_all_of(pinned, claims._CLAIM_ONE) <= workers
    assert "open_execution_due" not in indexes(pinned, claims._CLAIM_ONE)


def test_a_group_looks_up_what_it_changes(pinned: Connection):
    parts = tuple((part, text.count("?")) for part, text in group._PARTS.items())
    sql = group._sql(parts, is_rehearsal=False)
    assert not reads_all_of(pinned, sql)
    assert set(indexes(pinned, sql)) == {"open_execution_pkey"}
