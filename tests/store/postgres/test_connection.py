"""Sessions are what the statements were written for, whatever the database or the role says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from engine.store.postgres import connection as module
from engine.store.postgres.store import PostgresStore
from engine.store.protocol import StoreUnavailable
from tests.store.postgres.workers import enlisted
from tests.store.runs import SUCCEEDED, Run, born

if TYPE_CHECKING:
    from collections.abc import Iterator

Database = psycopg.Connection[Any]

SETTINGS = {
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "synchronous_commit": "off",
    "client_encoding": "latin1",
    "search_path": "nowhere",
}


@pytest.fixture
def contrary(url: str) -> Iterator[None]:
    with psycopg.connect(url, autocommit=True) as database:
        for key, value in SETTINGS.items():
            database.execute(f"alter database asl set {key} to '{value}'".encode())
    yield
    with psycopg.connect(url, autocommit=True, options="-c default_transaction_read_only=off") as database:
        database.execute("alter database asl reset all")


@pytest.mark.usefixtures("contrary")
def test_what_a_database_has_set_otherwise_does_not_matter(url: str):
    store = PostgresStore(url)
    try:
        worker = enlisted(store)
        run = Run(input={"ä": "жизнь"})
        run.write(worker)
        run.write(worker, ending=SUCCEEDED)
        assert store.execution(run.arn).execution.input == {"ä": "жизнь"}
        for session in (worker._worker.writing, worker._worker.claiming):
            assert session.execute("select current_setting('transaction_isolation')") == [("read committed",)]
            assert session.execute("select current_setting('synchronous_commit')") == [("on",)]
    finally:
        store.close()


def test_more_durable_than_asked_for_stays_so(store: PostgresStore, database: Database):
    database.execute("alter database asl set synchronous_commit to 'remote_apply'")
    try:
        worker = enlisted(store)
        born(worker)
        answered = worker._worker.writing.execute("select current_setting('synchronous_commit')")
        assert answered == [("remote_apply",)]
    finally:
        database.execute("alter database asl reset synchronous_commit")


def test_who_is_late_does_not_open_the_session_of_an_earlier_incarnation_again(store: PostgresStore):
    worker = enlisted(store)
    claiming = worker._worker.claiming
    claiming.execute("select 1")
    worker.enlist(pools=["default"], host="h", pid=1)
    with pytest.raises(StoreUnavailable):
        claiming.run("select 1")
    assert not claiming.is_connected
    assert worker._worker.claiming.execute("select 1") == [(1,)]


def test_a_server_that_goes_away_while_a_pool_is_opened_is_unavailable(url: str, monkeypatch: pytest.MonkeyPatch):
    def broken(_: object) -> bool:
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    monkeypatch.setattr(module, "is_direct", broken)
    with pytest.raises(StoreUnavailable, match="closed the connection"):
        module.Pool(url, "asl").execute("select 1")
