"""Days are made ahead, and missing ones hurt nobody."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest

from engine.store.postgres.connection import connect
from engine.store.postgres.partitions import DAY_MS, DAYS_AHEAD, PARTITIONED, Day, days, make_days, stray_rows, today
from engine.store.postgres.store import PostgresStore
from engine.store.postgres.upgrade import upgrade
from engine.store.protocol import ExecutionId
from engine.uuids import uuid7
from tests.store.postgres.workers import enlisted
from tests.store.runs import SUCCEEDED, Run, at_once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.store.postgres.connection import Connection


@pytest.fixture
def admin(url: str) -> Iterator[Connection]:
    with closing(connect(url, name="test", pinned=False)) as connection:
        yield connection
        make_days(connection)  # other tests expect them


def drop(admin: Connection, day: Day) -> None:
    for table in PARTITIONED:
        admin.execute(f"drop table {day.partition(table)}")


def run_of(day: Day, bits: int = 1) -> Run:
    return Run(ExecutionId(uuid7(day.number * DAY_MS + 1, bits)))


def rows(admin: Connection, table: str) -> int:
    found: int = admin.execute(f"select count(*) from {table}").fetchall()[0][0]
    return found


def test_a_day_has_the_ids_that_were_made_in_it():
    day = Day(20_000)
    assert (day.label, str(day.date)) == ("20241004", "2024-10-04")
    assert day.first <= uuid7(20_000 * DAY_MS, 0) < uuid7(20_001 * DAY_MS - 1, (1 << 74) - 1) < day.end
    assert uuid7(20_000 * DAY_MS - 1, (1 << 74) - 1) < day.first
    assert day.end <= uuid7(20_001 * DAY_MS, 0)


def test_an_upgrade_makes_a_week_and_makes_again_what_is_missing(admin: Connection, url: str):
    first = today(admin)
    ahead = [Day(number) for number in range(first.number, first.number + DAYS_AHEAD + 1)]
    assert days(admin)[-len(ahead) :] == ahead
    drop(admin, ahead[3])
    upgrade(url)
    assert days(admin)[-len(ahead) :] == ahead


def test_what_starts_now_is_in_the_partition_of_today(admin: Connection, store: PostgresStore):
    worker, run = enlisted(store), run_of(today(admin))
    run.write(worker)
    run.write(worker, ending=SUCCEEDED)
    assert [rows(admin, today(admin).partition(table)) for table in PARTITIONED] == [1, 1, 2]
    assert not stray_rows(admin, today(admin))


def test_without_a_partition_executions_run_as_ever(admin: Connection, store: PostgresStore):
    worker, day = enlisted(store), today(admin)
    drop(admin, day)
    run, later = run_of(day), run_of(day, 2)
    run.write(worker)
    assert stray_rows(admin, day)
    assert make_days(admin) == []  # half of the execution would be elsewhere
    run.write(worker, ending=SUCCEEDED)
    later.write(worker)
    assert store.execution(run.arn).status == "SUCCEEDED"
    assert len(store.history(run.arn)) == 2
    assert worker.written([run.id, later.id]) == {run.id: 2, later.id: 1}
    admin.execute("truncate asl.execution_default, asl.closed_execution_default, asl.history_segment_default")


def test_days_that_several_make_at_once_are_made_once(admin: Connection, url: str):
    first = today(admin)
    for number in range(first.number + 2, first.number + 5):
        drop(admin, Day(number))

    def make() -> None:
        with closing(connect(url, name="test", pinned=False)) as connection:
            make_days(connection)

    at_once(make, 4)
    make()
    assert days(admin)[-1] == Day(first.number + DAYS_AHEAD)
    assert len(days(admin)) == DAYS_AHEAD + 1


def test_days_are_made_another_time_while_somebody_reads_everything(admin: Connection, url: str, store: PostgresStore):
    worker, day = enlisted(store), Day(today(admin).number + DAYS_AHEAD)
    drop(admin, day)
    with psycopg.connect(url) as reader:
        reader.execute("select count(*) from asl.execution")
        assert make_days(admin) == []
        run_of(today(admin)).write(worker)
    assert make_days(admin) == [day]


def test_a_worker_that_may_not_make_tables_says_so_and_runs(admin: Connection, store: PostgresStore, url: str):
    drop(admin, Day(today(admin).number + DAYS_AHEAD))
    name = "asl_worker_only"
    admin.execute(f"create role {name} login")
    try:
        admin.execute(f"grant usage on schema asl to {name}")
        admin.execute(f"grant select, insert, update, delete on all tables in schema asl to {name}")
        with closing(PostgresStore(url.replace("postgres@", f"{name}@"))) as limited:
            (left,) = limited.sweep(retention=None, proceed=lambda: True).left
            assert "partitions of days to come: permission denied" in left
            enlisted(limited)
    finally:
        admin.execute(f"drop owned by {name}")
        admin.execute(f"drop role {name}")
