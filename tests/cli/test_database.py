"""Which database a command works on, what is told when it cannot, and how it is looked after."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from engine.store.postgres.embedded import EmbeddedPostgres
from engine.store.postgres.store import PostgresStore
from engine.store.protocol import ExecutionId
from engine.uuids import uuid7
from tests.cli.command_line import asl
from tests.cli.fleet import Fleet
from tests.store.definitions_suite import machine
from tests.store.postgres.poolers import running_swapper
from tests.store.runs import MACHINE, SUCCEEDED, Run, born
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.store.postgres.cluster import Cluster


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[str]:
    """The URL of a database without tables."""
    with psycopg.connect(cluster.url(), autocommit=True) as admin:
        admin.execute("create database asl_empty")
        yield cluster.url("asl_empty")
        admin.execute("drop database asl_empty with (force)")


def said(*words: str) -> str:
    """What a command that cannot work says."""
    result = asl(*words)
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    return result.stderr


# ── which one ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_url_may_come_from_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASL_DATABASE_URL", url)
    assert json.loads(asl("ls", "--json").stdout) == {"executions": []}


def test_the_option_goes_before_the_environment(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASL_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    assert asl("ls", "--db", url).exit_code == 0


def test_the_users_own_database_is_never_read(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data_dir: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    monkeypatch.setenv("XDG_DATA_HOME", str(data_dir.parent))
    assert asl("db", "status").exit_code == 2  # the server of this user, just made


def test_a_pooler_is_named_by_an_option_or_the_environment(url: str, cluster: Cluster, monkeypatch: pytest.MonkeyPatch):
    with running_swapper(cluster, str(conninfo_to_dict(url)["dbname"])) as pooled:
        assert json.loads(asl("ls", "--json", "--db", pooled, "--pooler").stdout) == {"executions": []}
        monkeypatch.setenv("ASL_DATABASE_URL", pooled)
        monkeypatch.setenv("ASL_POOLER", "1")
        assert json.loads(asl("ls", "--json").stdout) == {"executions": []}


def test_a_pooler_needs_its_url(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--pooler is for the URL of a pooler" in asl("ls", "--data-dir", str(data_dir), "--pooler").stderr
    monkeypatch.setenv("ASL_POOLER", "yes")
    assert "ASL_POOLER: expected 1 or 0, got 'yes'" in asl("ls", "--db", "postgresql://x/y").stderr


def test_two_places_at_once_are_refused(url: str) -> None:
    assert "exclude one another" in said("ls", "--db", url, "--data-dir", "x")


@pytest.mark.parametrize("given", ["localhost", "mysql://x/y", "dbname=asl"])
def test_what_is_no_url_is_refused(given: str) -> None:
    assert "--db: expected postgresql://" in said("ls", "--db", given)


def test_a_url_with_nonsense_in_it_is_refused() -> None:
    assert "the database cannot be used" in said("ls", "--db", "postgresql://localhost/x?nonsense=1")


# ── when it cannot be used ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "words",
    [["ls"], ["get", "x"], ["wait", "x"], ["start", "x"], ["stop", "x"], ["task", "fail", "x"]],
    ids=" ".join,
)
def test_a_database_that_cannot_be_reached_is_told_in_a_few_lines(words: list[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    text = said(*words, "--db", f"postgresql://user:secret@127.0.0.1:{port}/asl")
    assert "the database cannot be reached" in text
    assert str(port) in text
    assert "secret" not in text
    assert "Traceback" not in text


def test_a_database_without_our_tables_is_refused_with_the_command_that_makes_them(empty: str) -> None:
    assert "asl db upgrade" in said("ls", "--db", empty)
    assert "asl db upgrade" in said("worker", "--db", empty)


# ── asl db ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_upgrade_makes_the_tables_and_a_second_one_finds_them(empty: str) -> None:
    status = asl("db", "status", "--json", "--db", empty)
    assert status.exit_code == 2
    assert json.loads(status.stdout)["state"] == "absent"
    assert "before: none" in asl("db", "upgrade", "--db", empty).stderr
    assert "already" in asl("db", "upgrade", "--db", empty).stderr
    status = asl("db", "status", "--json", "--db", empty)
    assert status.exit_code == 0
    assert json.loads(status.stdout)["state"] == "current"
    assert asl("ls", "--db", empty).exit_code == 0


def test_a_newer_database_is_left_alone(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("update asl.alembic_version set version_num = '9999'")
    assert "a newer asl" in asl("db", "status", "--db", url).stdout
    assert "newer" in said("db", "upgrade", "--db", url)
    assert "newer" in said("ls", "--db", url)


def test_a_server_of_our_own_is_made_upgraded_and_stopped(data_dir: Path, tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, "--data-dir", str(data_dir))
    assert "no tables" in fleet.asl("db", "status", code=2)
    assert fleet.json("ls") == {"executions": []}
    assert "nothing is to be done" in fleet.asl("db", "status")
    assert "was not running" in fleet.says("db", "stop", code=0)


def test_a_server_in_use_is_stopped_by_force_only(data_dir: Path) -> None:
    with EmbeddedPostgres(data_dir):
        assert "1 user" in said("db", "stop", "--data-dir", str(data_dir))
        assert "is stopped" in asl("db", "stop", "--force", "--data-dir", str(data_dir)).stderr


def test_the_server_of_a_url_is_not_ours_to_stop(url: str) -> None:
    assert "--data-dir" in said("db", "stop", "--db", url)


# ── retention ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def finished(url: str) -> Iterator[PostgresStore]:
    """A store with an execution that finished long ago, one that finished now, and an open one."""
    store = PostgresStore(url)
    worker = store.handle()
    worker.enlist(pools=["default"], host="here", pid=1)
    for now in (1_000, worker.now()):
        born(worker).write(worker, ending=SUCCEEDED, now=now)
    born(worker)
    worker.resign()
    yield store
    store.close()


def test_gc_says_what_would_go_and_what_went(finished: PostgresStore, url: str) -> None:
    assert asl("db", "gc", "--db", url).stdout == "gone: nothing\n"
    given = ["db", "gc", "--older-than", "30d", "--db", url]
    assert asl(*given, "--dry-run").stdout == "to go: executions 1\n"
    counts = {"executions": 1, "names": 0, "taskTokens": 0, "mail": 0, "workers": 0, "left": []}
    assert json.loads(asl(*given, "--json").stdout) == counts
    assert asl(*given).stdout == "gone: nothing\n"
    assert len(finished.executions(MACHINE)) == 2


def test_gc_says_what_it_had_to_leave(finished: PostgresStore, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create role asl_gc_test login")
        try:
            connection.execute("grant usage on schema asl to asl_gc_test")
            connection.execute("grant select, insert, update, delete on all tables in schema asl to asl_gc_test")
            last = connection.execute(
                "select max(relname) from pg_class where relname ~ '^(execution)_[0-9]{8}$'"
            ).fetchall()[0][0][-8:]
            for table in ("execution", "closed_execution", "history_segment"):
                connection.execute(f"drop table asl.{table}_{last}".encode())
            result = asl("db", "gc", "--db", url.replace("postgres@", "asl_gc_test@"))
        finally:
            connection.execute("drop owned by asl_gc_test")
            connection.execute("drop role asl_gc_test")
    assert (result.exit_code, result.stdout) == (0, "gone: nothing\n")
    assert "left: the partitions of days to come: permission denied" in result.stderr


@pytest.mark.parametrize("span", ["23h", "0d"])
@pytest.mark.parametrize("words", [["db", "gc", "--older-than"], ["worker", "--retention"]], ids=" ".join)
def test_executions_are_kept_for_a_day_at_least(url: str, words: list[str], span: str) -> None:
    assert "expected a day at least" in said(*words, span, "--db", url)
    assert "expected a length of time such as 36h, 30d, 12w" in said(*words, "a month", "--db", url)


def test_a_worker_removes_by_itself_what_is_older_than_its_retention(finished: PostgresStore, fleet: Fleet) -> None:
    with fleet.worker("--retention", "30d"):
        wait_until(lambda: len(finished.executions(MACHINE)) == 2)


def test_status_tells_that_days_are_missing(url: str) -> None:
    assert asl("db", "status", "--db", url).stderr == ""
    with psycopg.connect(url, autocommit=True) as connection:
        for (partition,) in connection.execute(
            "select oid::regclass::text from pg_class where relkind = 'r' and relname ~ "
            "'^(execution|closed_execution|history_segment)_[0-9]{8}$'"
        ).fetchall():
            connection.execute(f"drop table {partition}".encode())
    with closing(PostgresStore(url)) as store:
        worker = store.handle()
        worker.enlist(pools=["default"], host="here", pid=1)
        Run(ExecutionId(uuid7(worker.now(), 1))).write(worker)
    status = asl("db", "status", "--db", url)
    assert status.exit_code == 0
    assert "run one of them once a week" in status.stderr
    assert "Executions of today are in the DEFAULT partition" in status.stderr
    days = json.loads(asl("db", "status", "--json", "--db", url).stdout)["days"]
    assert days == {"until": None, "short": True, "stray": True}
    assert asl("db", "upgrade", "--db", url).exit_code == 0
    days = json.loads(asl("db", "status", "--json", "--db", url).stdout)["days"]
    assert (days["short"], days["stray"]) == (False, True)


# ── beside a newer version ──────────────────────────────────────────────────────────────────────────────────────────


def test_what_a_newer_asl_wrote_is_said_to_be_so(url: str) -> None:
    with closing(PostgresStore(url)) as store, psycopg.connect(url, autocommit=True) as connection:
        worker = store.handle()
        worker.enlist(pools=["default"], host="here", pid=1)
        store.create_state_machine(machine())
        running, over = born(worker), born(worker)
        over.write(worker, ending=SUCCEEDED)
        connection.execute("update asl.open_execution set format = 99, snapshot = 'later'")
        connection.execute("update asl.closed_execution set format = 99, ending = 'later'")
    shown = asl("get", running.arn, "--db", url)
    assert shown.exit_code == 0
    assert "a newer asl wrote it, in format 99" in shown.stdout
    assert json.loads(asl("get", running.arn, "--json", "--db", url).stdout)["status"] == "RUNNING"
    assert "of format 99, which a newer asl wrote; this one reads format 1: upgrade asl" in said(
        "get", over.arn, "--db", url
    )
    listed = json.loads(asl("ls", "--json", "--db", url).stdout)["executions"]
    assert sorted(item["status"] for item in listed) == ["RUNNING", "SUCCEEDED"]
    assert "written by a newer asl" in asl("ls", "--db", url).stdout
