"""A throwaway PostgreSQL server in its default, fully durable settings, and what is read off it.

Nothing is set but what makes it private: the loopback address, a free port, its own socket folder, and 300 connections,
which a peer needs. fsync, synchronous_commit, shared_buffers and so on are PostgreSQL's defaults.
"""

from __future__ import annotations

import os
import resource
import shutil
import socket
import statistics
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from engine.store.postgres.embedded_binaries import candidates, choose_binaries
from engine.store.postgres.embedded_user import LOCALE, server_user
from engine.store.postgres.upgrade import upgrade

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Connection = psycopg.Connection[tuple[Any, ...]]

_PROBE_ROW = "x" * 300
_STATISTICS_SECONDS = 1.2
"""A backend reports its statistics at most once a second."""


class Server:
    """A running server. `version`: of PostgreSQL, as text."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        with psycopg.connect(self.url("postgres")) as connection:
            self.version = str(connection.execute("show server_version").fetchall()[0][0])

    def url(self, database: str) -> str:
        """The URL of a database in it."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def fresh(self, database: str = "asl") -> str:
        """A new database with the engine's tables, in place of one of the same name; its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as admin:
            admin.execute(f"drop database if exists {database} with (force)".encode())
            admin.execute(f"create database {database}".encode())
        upgrade(self.url(database))
        return self.url(database)


@contextmanager
def throwaway_server(binaries: Path | None = None) -> Iterator[Server]:
    """A server for as long as it is used, on the disk of the temporary folder (TMPDIR).

    Args:
        binaries: A folder with PostgreSQL's programs; the wheel's or the newest installed ones when not given.
    """
    folder = Path(tempfile.mkdtemp(prefix="asl-bench-"))
    try:
        user = server_user(folder / "none")
        user.give(folder)
        run = partial(user.run, cwd=folder)
        places = candidates() if binaries is None else (binaries,)
        programs = choose_binaries(places, major=None, user=user, copies=folder)
        _checked(
            run, programs / "initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale", LOCALE
        )
        port = _free_port()
        settings = (
            f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c max_connections=300"
        )
        control = (programs / "pg_ctl", "-D", "data", "-w")
        _checked(run, *control, "-l", "server.log", "-t", "60", "-o", settings, "start")
        try:
            yield Server(folder, port)
        finally:
            run(*control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _checked(run: Callable[..., Any], *command: str | Path) -> None:
    done = run(*command)
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed: {done.stderr.strip() or done.stdout.strip()}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


# ── what is read off it ─────────────────────────────────────────────────────────────────────────────────────────────


def server_cpu_seconds(admin: Connection) -> float | None:
    """CPU that all of the server's processes used so far, those that ended included; None: not to be read from here."""
    try:
        folder = admin.execute("show data_directory").fetchall()[0][0]
        postmaster = int((Path(folder) / "postmaster.pid").read_text().split("\n", 1)[0])
        ticks = sum(_stat(postmaster)[11:15])
    except OSError:
        return None
    for process in os.listdir("/proc"):
        if process.isdigit():
            try:
                fields = _stat(int(process))
            except OSError:
                continue  # it has ended
            if fields[1] == postmaster:
                ticks += fields[11] + fields[12]
    return ticks / os.sysconf("SC_CLK_TCK")


def cpu_seconds(process: int) -> float:
    """CPU that a process of this machine used so far."""
    user, system = _stat(process)[11:13]
    return (user + system) / os.sysconf("SC_CLK_TCK")


def _stat(process: int) -> list[int]:
    fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return [0 if not field.lstrip("-").isdigit() else int(field) for field in fields]


def client_cpu_seconds() -> float:
    """CPU of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def table_bytes(admin: Connection) -> int:
    """Bytes on disk of all our tables, their indexes and TOAST included."""
    sizes = (
        "select coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint from pg_class c where c.relkind in ('r', 'm')"
    )
    found: int = admin.execute(f"{sizes} and c.relnamespace = 'asl'::regnamespace".encode()).fetchall()[0][0]
    return found


def relation_bytes(admin: Connection, table: str) -> int:
    """Bytes on disk of a table and of its partitions, if it has any, with indexes and TOAST."""
    sizes = "select coalesce(sum(pg_total_relation_size(relid)), pg_total_relation_size(%s))::bigint"
    found: int = admin.execute(f"{sizes} from pg_partition_tree(%s)".encode(), (table, table)).fetchall()[0][0]
    return found


class Meter:
    """Costs between `__enter__` and `__exit__`, of the server as a whole and of this process.

    Attributes:
        wall: Seconds.
        client_cpu, server_cpu: Seconds of CPU; the server's is None where it cannot be read.
        wal, disk: Bytes written ahead, and by which our tables grew.
        transactions: Committed ones in this database, whoever made them.
    """

    def __init__(self, admin: Connection) -> None:
        self._admin = admin
        self.wall = self.client_cpu = 0.0
        self.server_cpu: float | None = None
        self.wal = self.disk = self.transactions = 0

    def __enter__(self) -> Meter:
        self._disk, self._transactions = table_bytes(self._admin), self._committed()
        self._lsn = self._admin.execute("select pg_current_wal_insert_lsn()").fetchall()[0][0]
        self._server, self._client, self._start = (
            server_cpu_seconds(self._admin),
            client_cpu_seconds(),
            time.perf_counter(),
        )
        return self

    def __exit__(self, *_: object) -> None:
        self.wall = time.perf_counter() - self._start
        self.client_cpu = client_cpu_seconds() - self._client
        server = server_cpu_seconds(self._admin)
        self.server_cpu = None if server is None or self._server is None else server - self._server
        written = "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)::bigint"
        self.wal = self._admin.execute(written, (self._lsn,)).fetchall()[0][0]
        self.disk = table_bytes(self._admin) - self._disk
        time.sleep(_STATISTICS_SECONDS)
        self.transactions = self._committed() - self._transactions

    def _committed(self) -> int:
        counted = "select xact_commit from pg_stat_database where datname = current_database()"
        found: int = self._admin.execute(counted).fetchall()[0][0]
        return found

    def per(self, count: int, what: str = "wf") -> dict[str, Any]:
        """The costs as keys, each for one of `count`."""
        return {
            "n": count,
            "wall_s": round(self.wall, 3),
            f"{what}_per_s": round(count / self.wall, 1),
            f"client_cpu_us_per_{what}": round(1e6 * self.client_cpu / count, 1),
            f"pg_cpu_us_per_{what}": None if self.server_cpu is None else round(1e6 * self.server_cpu / count, 1),
            f"wal_bytes_per_{what}": round(self.wal / count, 1),
            f"disk_bytes_per_{what}": round(self.disk / count, 1),
            f"xacts_per_{what}": round(self.transactions / count, 3),
        }


def commit_latency_ms(url: str, seconds: float = 1.0) -> dict[str, float]:
    """The floor: how long one connection's insert of one row of 300 bytes takes, durably, and its round trip alone."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("create table if not exists public.floor (id bigserial primary key, data text)")
        commits = _timed(
            lambda: connection.execute("insert into public.floor (data) values (%s)", (_PROBE_ROW,)), seconds
        )
        trips = _timed(lambda: connection.execute("select 1").fetchall(), seconds / 5)
        connection.execute("drop table public.floor")
    return {
        "p50_ms": round(statistics.median(commits), 3),
        "p99_ms": round(commits[int(len(commits) * 0.99)], 3),
        "round_trip_p50_ms": round(statistics.median(trips), 3),
    }


def _timed(call: Callable[[], object], seconds: float) -> list[float]:
    for _ in range(6):  # the driver prepares a statement that comes again
        call()
    took = []
    until = time.perf_counter() + seconds
    while (start := time.perf_counter()) < until:
        call()
        took.append(1e3 * (time.perf_counter() - start))
    return sorted(took)


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50_ms and p99_ms of durations in seconds."""
    ordered = sorted(seconds)
    return {
        "p50_ms": round(1e3 * ordered[len(ordered) // 2], 3),
        "p99_ms": round(1e3 * ordered[int(len(ordered) * 0.99)], 3),
    }
