"""The store through a pooler in transaction mode, where nothing that a session knows outlives a transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from engine.store.postgres.connection import LOCK_TIMEOUT_MS, STATEMENT_TIMEOUT_MS, Pool, PoolerUnnamed, connect
from engine.store.postgres.ownership import session_name
from engine.store.postgres.store import PostgresStore
from engine.store.postgres.upgrade import status, upgrade
from engine.store.protocol import Group, Release
from tests.store.activity_suite import ActivitySuite
from tests.store.durable_suite import DurableSuite
from tests.store.postgres.poolers import find_pgbouncer, running_pgbouncer, running_swapper
from tests.store.postgres.waiting import InThread, until_sessions_wait
from tests.store.postgres.workers import enlisted, hold, table_statistics
from tests.store.runs import born, parked
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.store.postgres.cluster import Cluster


@pytest.fixture(scope="module")
def swapper(cluster: Cluster, url_with_tables: str) -> Iterator[str]:
    with running_swapper(cluster) as url:
        yield url


@pytest.fixture(scope="module")
def pgbouncer(cluster: Cluster, url_with_tables: str) -> Iterator[str]:
    executable = find_pgbouncer()
    if executable is None:
        pytest.skip("no PgBouncer: install it, or set ASL_TEST_PGBOUNCER")
    with running_pgbouncer(cluster, executable) as url:
        yield url


@pytest.fixture
def store(swapper: str, url: str) -> Iterator[PostgresStore]:
    """Through our own pooler, which is always there."""
    opened = PostgresStore(swapper, pooler=True)
    yield opened
    opened.close()


class TestPostgresStoreThroughAPooler(DurableSuite):
    pass


class TestActivitiesThroughAPooler(ActivitySuite):
    pass


class TestPostgresStoreThroughPgBouncer(DurableSuite):
    @pytest.fixture
    def store(self, pgbouncer: str, url: str) -> Iterator[PostgresStore]:
        opened = PostgresStore(pgbouncer, pooler=True)
        yield opened
        opened.close()


def test_without_the_option_the_error_names_it(swapper: str, url: str):
    pool = Pool(swapper, "test")
    try:
        with pytest.raises(PoolerUnnamed, match="--pooler"):
            prepare(pool)
    finally:
        pool.close()


def prepare(pool: Pool) -> None:
    with pool.connection() as connection:
        for _ in range(3):
            connection.execute("select 1 where $1::int = 1", (1,), prepare=True)


def test_pgbouncer_is_noticed_before_anything_is_done(pgbouncer: str, url: str):
    with pytest.raises(PoolerUnnamed, match="--pooler"):
        PostgresStore(pgbouncer)


def test_each_statement_has_its_limits(swapper: str, url: str):
    with connect(swapper, name="somebody", pinned=True, pooler=True) as connection:
        for _ in range(4):
            sql = (
                "select current_setting('enable_seqscan'), current_setting('lock_timeout'), "
                "current_setting('application_name'), $1::int"
            )
            assert connection.execute(sql, (7,)).fetchall() == [("off", f"{LOCK_TIMEOUT_MS // 1_000}s", "somebody", 7)]


def test_nothing_of_ours_stays_in_a_session_of_the_pooler(swapper: str, url: str):
    with connect(swapper, name="ours", pinned=True, pooler=True) as connection:
        connection.execute("select 1")
        with connection.transaction():
            shown = connection.execute("select current_setting('enable_seqscan'), current_setting('statement_timeout')")
            assert shown.fetchall() == [("on", "0")]
    with connect(swapper, name="ours", pinned=False, pooler=True) as connection:
        shown = connection.execute("select current_setting('enable_seqscan'), current_setting('statement_timeout')")
        assert shown.fetchall() == [("on", f"{STATEMENT_TIMEOUT_MS // 1_000}s")]


def test_the_tables_are_upgraded_through_a_pooler(swapper: str, url: str):
    assert upgrade(swapper).state == "current"
    assert status(swapper).state == "current"


def test_a_stuck_group_is_found_by_its_worker(store: PostgresStore, url: str, database: psycopg.Connection[Any]):
    worker = enlisted(store)
    run = born(worker)
    with hold(url, run) as holder:
        committing = InThread(lambda: worker.commit(Group(checkpoints=[run.next()])))
        until_sessions_wait(database, 1)
        sql = "select application_name from pg_stat_activity where wait_event_type = 'Lock'"
        assert database.execute(sql).fetchall() == [(session_name(worker._worker.ownership.worker_id),)]
        holder.rollback()
        committing.result()


def test_plans_fit_when_a_hundred_thousand_parked_rows_arrive(
    store: PostgresStore, url: str, database: psycopg.Connection[Any]
):
    worker = enlisted(store)
    run, resting, due = born(worker), born(worker), parked(worker, 0)
    database.execute(
        "insert into asl.open_execution (id, wake_at, format, pool, seq, snapshot) "
        "select gen_random_uuid(), 1::bigint << 61, 1, 'default', 1, '' from generate_series(1, 100000)"
    )
    with psycopg.connect(url, autocommit=True) as reporting:  # a session reports what it did when it ends
        reporting.execute("analyze asl.open_execution")
    before = table_statistics(database, "seq_scan", "idx_scan")
    for _ in range(5):
        run.write(worker)
    worker.claim(most=9)
    worker.claim_one(due.id)
    worker.reload([run.id])
    worker.owned()
    worker.commit(Group(releases=[Release(execution_id=resting.id, seq=1, wake_at=1 << 61)]))
    store.close()
    wait_until(lambda: table_statistics(database, "idx_scan")[0] > before[1] + 8)
    assert table_statistics(database, "seq_scan")[0] == before[0]
