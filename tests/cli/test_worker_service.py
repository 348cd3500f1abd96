"""A worker as its operator sees it: probes, metrics, a database that goes away, and how it ends itself."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from engine.store.postgres.upgrade import upgrade
from tests.cli.command_line import asl
from tests.cli.fleet import LEASE_SECONDS, Fleet, task
from tests.store.postgres.cluster import running_cluster
from tests.waiting import DEADLINE_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.fleet import Process
    from tests.store.postgres.cluster import Cluster

HEALTH = ("--health", "127.0.0.1:0")


def probe(address: str, path: str) -> tuple[int, Any]:
    """Status, and the document if it is one."""
    connection = http.client.HTTPConnection(address, timeout=DEADLINE_SECONDS)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read().decode()
    connection.close()
    return response.status, json.loads(body) if body.startswith("{") else body


def sample(address: str, name: str) -> float | None:
    """The value of a sample by its name and labels as they are written."""
    for line in probe(address, "/metrics")[1].splitlines():
        if line.startswith(f"{name} "):
            return float(line.rpartition(" ")[2])
    return None


@contextmanager
def probed(fleet: Fleet, *words: str) -> Iterator[tuple[Process, str]]:
    """A worker with a health endpoint, as soon as that answers; and its address."""
    with fleet.process("worker", "--handlers", "shop.py", "--lease-seconds", LEASE_SECONDS, *HEALTH, *words) as process:
        yield process, process.until("answering probes")["address"]


def test_probes_and_metrics_say_how_a_worker_is(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": task("charge")})
    with probed(fleet, "-t", "charge=mock:1") as (worker, address):
        worker.until("worker started")
        assert probe(address, "/healthz") == (200, {"healthy": True, "reasons": [], "pid": worker.popen.pid})
        assert probe(address, "/readyz") == (200, {"ready": True, "reasons": [], "pid": worker.popen.pid})
        fleet.asl("start", "m", "--wait")
        wait_until(lambda: sample(address, 'asl_executions_ended_total{status="SUCCEEDED"}') == 1)
        assert sample(address, "asl_executions_started_total") == 1
        assert sample(address, 'asl_tasks_ended_total{outcome="succeeded"}') == 1
        assert sample(address, "asl_claim_lag_seconds_count") == 1
        assert sample(address, "asl_executions_parked") is not None
        assert sample(address, "asl_database_available") == 1
        assert sample(address, "asl_ready") == 1
        commits = sample(address, "asl_commit_seconds_count")
        assert commits is not None
        assert commits >= 1


def test_a_worker_that_drains_is_healthy_but_not_ready(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": task("hang")})
    fleet.start("m")
    with probed(fleet, "--drain-seconds", "60") as (worker, address):
        worker.until("task started")
        worker.signal(signal.SIGTERM)
        drains = worker.until("worker drains")
        assert (drains["tasks"], drains["executions"]) == (1, 1)
        status, said = probe(address, "/readyz")
        assert (status, said["reasons"]) == (503, ["draining: nothing new is begun"])
        assert probe(address, "/healthz")[0] == 200
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 4


def test_several_processes_answer_at_one_address(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": task("charge")})
    with probed(fleet, "--processes", "2", "-t", "charge=mock:1") as (worker, address):
        ready = wait_until(lambda: (said := probe(address, "/readyz"))[0] == 200 and said[1])
        assert set(ready["processes"]) == {"0", "1"}
        wait_until(lambda: not any(probe(address, "/readyz")[1]["processes"].values()))
        fleet.asl("start", "m", "--wait")
        ended = [f'asl_executions_ended_total{{process="{number}",status="SUCCEEDED"}}' for number in (0, 1)]
        wait_until(lambda: sum(sample(address, name) or 0 for name in ended) == 1)
        assert [sample(address, f'asl_ready{{process="{number}"}}') for number in (0, 1)] == [1, 1]
        pid = next(event["pid"] for event in worker.events() if event["event"] == "worker started")
        os.kill(pid, signal.SIGKILL)
        worker.until("worker process died")
        assert probe(address, "/healthz")[0] == 200
        assert worker.until("worker started")["pid"] != pid
        # The killed one left its socket behind, and its successor answers in its place.
        wait_until(lambda: not any(probe(address, "/readyz")[1]["processes"].values()))
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0


def test_an_address_that_cannot_be_used_is_told_at_once(fleet: Fleet) -> None:
    assert "expected HOST:PORT" in fleet.says("worker", "--health", "9100")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for words in ([], ["--processes", "2"]):
            with fleet.process("worker", "--health", f"127.0.0.1:{port}", *words) as process:
                assert process.ended() == 1
                assert f"--health 127.0.0.1:{port}" in process.lines[-1]


def test_the_environment_says_where_to_answer_as_well(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASL_HEALTH", "nowhere")
    assert "ASL_HEALTH: expected HOST:PORT" in fleet.says("worker")


# ── the database ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def own_cluster() -> Iterator[Cluster]:
    """A server that a test may stop and start."""
    with running_cluster() as running:
        if running is None:
            pytest.skip("no PostgreSQL binaries: install PostgreSQL, or set ASL_TEST_POSTGRES_BIN")
        upgrade(running.url())
        yield running


def test_who_follows_a_history_waits_for_the_database_as_well(own_cluster: Cluster, tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, "--db", own_cluster.url())
    fleet.deploy("m", {"A": task("charge")})
    arn = fleet.start("m")
    with fleet.process("history", arn, "--follow") as follower:
        with fleet.worker() as worker:
            worker.until("no handler")
        assert "ExecutionStarted" in follower.popen.stdout.readline()
        own_cluster.stop()
        own_cluster.start()
        with fleet.worker("-t", "charge=mock:1"):
            assert follower.ended() == 0
        assert follower.popen.stdout.read().splitlines()[-1].split()[2] == "ExecutionSucceeded"
    assert follower.lines == []


def test_a_worker_waits_for_its_database_and_survives_a_restart(own_cluster: Cluster, tmp_path: Path) -> None:
    fleet = Fleet(tmp_path, "--db", own_cluster.url())
    fleet.deploy("m", {"A": task("charge")})
    own_cluster.stop()
    with probed(fleet, "-t", "charge=mock:1") as (worker, address):
        waits = worker.until("waiting for the database")
        assert "No such file" in waits["error"]
        status, said = probe(address, "/readyz")
        assert status == 503
        assert said["reasons"][0].startswith("the database cannot be reached")
        assert probe(address, "/healthz")[0] == 200
        own_cluster.start()
        worker.until("worker started")
        wait_until(lambda: probe(address, "/readyz")[0] == 200)
        fleet.asl("start", "m", "--wait")

        own_cluster.stop()
        worker.until("database away")
        wait_until(lambda: sample(address, "asl_database_available") == 0)
        assert "the database cannot be reached" in probe(address, "/readyz")[1]["reasons"]
        time.sleep(5)  # a restart of so long: longer than the lease
        own_cluster.start()
        worker.until("database back")
        fleet.asl("start", "m", "--wait")
        assert sample(address, "asl_database_reconnects_total") == 1
        assert sample(address, "asl_lease_lost_total") == 0
        wait_until(lambda: probe(address, "/readyz")[0] == 200)
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0


def test_a_worker_that_waits_for_its_database_can_be_stopped(fleet: Fleet, tmp_path: Path) -> None:
    nowhere = Fleet(fleet.folder, "--db", f"postgresql://postgres@/x?host={tmp_path}")
    with nowhere.process("worker") as worker:
        worker.until("waiting for the database")
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0
        assert worker.events()[-1]["event"] == "worker stopped"


def test_a_database_that_refuses_the_worker_is_not_waited_for(fleet: Fleet, url: str, new_database: Any) -> None:
    assert asl("worker", "--db", url.replace("/asl_cli_", "/no_such_")).exit_code == 1
    other = new_database()
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute("update asl.alembic_version set version_num = '0000'")
    for words in ([], ["--processes", "2"]):
        with Fleet(fleet.folder, "--db", other).process("worker", *words) as worker:
            assert worker.ended() == 1
            assert "asl db upgrade" in "".join(worker.lines)


# ── other workers ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_worker_that_stood_still_as_a_whole_learns_what_it_lost_and_goes_on(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": task("hang")})
    arn = fleet.start("m")
    with probed(fleet) as (stopped, address):
        stopped.until("task started")
        stopped.signal(signal.SIGSTOP)
        with fleet.worker("-t", "hang=mock:1") as other:
            other.until("worker declared dead")
            assert other.until("execution taken over")["execution"] == arn
            assert fleet.asl("wait", arn) == "1\n"
        stopped.signal(signal.SIGCONT)
        assert stopped.until("lease lost")["executions"] == 1
        wait_until(lambda: probe(address, "/readyz")[0] == 200)
        assert sample(address, "asl_lease_lost_total") == 1
        assert stopped.popen.poll() is None


def test_a_resource_without_a_handler_is_named_once_in_the_log(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": task("charge")})
    fleet.start("m")
    fleet.start("m")
    with fleet.worker() as worker:
        told = worker.until("no handler")
        assert told["resource"].endswith(":function:charge")
        assert "--allow-aws" in told["remedy"]
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0
        assert [event["event"] for event in worker.events()].count("no handler") == 1


# ── not fit to go on ────────────────────────────────────────────────────────────────────────────────────────────────

BLOCKING = """
import threading, time

async def block(event):
    time.sleep(1_000)

def hang(event):
    threading.Event().wait()
"""


def test_a_process_whose_event_loop_is_blocked_ends_itself_and_is_replaced(fleet: Fleet) -> None:
    (fleet.folder / "blocking.py").write_text(BLOCKING)
    fleet.deploy("m", {"A": task("block")})
    words = ["worker", "--handlers", "blocking.py", "--lease-seconds", "4.5", *HEALTH]
    with fleet.process(*words) as worker:
        address = worker.until("answering probes")["address"]
        worker.until("worker started")
        fleet.start("m")
        _, said = wait_until(lambda: (found := probe(address, "/healthz"))[0] == 503 and found)
        assert "the event loop has stood still" in said["reasons"][0]
        told = worker.until("event loop stands still")
        assert "in block" in told["stack"]
        assert "time.sleep(1_000)" in told["stack"]
        assert worker.ended() == 75
    fleet.start("m")
    with fleet.process(*words, "--processes", "2") as workers:
        assert workers.until("worker process died")["exit_code"] == 75


def test_a_worker_in_which_too_many_threads_hang_drains_and_asks_for_another(fleet: Fleet) -> None:
    (fleet.folder / "blocking.py").write_text(BLOCKING)
    fleet.deploy("m", {"A": task("hang")})
    with fleet.process("worker", "--handlers", "blocking.py", "--abandoned-max", "1") as worker:
        for _ in range(2):
            arn = fleet.start("m")
            worker.until("task started")
            fleet.asl("stop", arn)
            worker.until("task cancelled")
        assert worker.until("too many handlers hang")["handlers"] == 2
        worker.until("worker drains")
        assert worker.ended() == 75


STUBBORN = """
import asyncio

async def hang(event):
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass
"""


def hang_in(fleet: Fleet, process: Process) -> None:
    """Has one thread of the process hang in a handler that was given up."""
    arn = fleet.start("m")
    process.until("task started")
    fleet.asl("stop", arn)
    process.until("task cancelled")


def test_a_worker_in_which_a_coroutine_hangs_drains_and_ends_all_the_same(fleet: Fleet) -> None:
    (fleet.folder / "stubborn.py").write_text(STUBBORN)
    fleet.deploy("m", {"A": task("hang")})
    with fleet.process("worker", "--handlers", "stubborn.py", "--abandoned-max", "0") as worker:
        arn = fleet.start("m")
        worker.until("task started")
        fleet.asl("stop", arn)
        worker.until("too many handlers hang")
        assert worker.ended() == 75


def test_a_server_in_which_too_many_threads_hang_drains_and_asks_for_another(fleet: Fleet) -> None:
    (fleet.folder / "blocking.py").write_text(BLOCKING)
    fleet.deploy("m", {"A": task("hang")})
    with fleet.process("serve", "--port", "0", "--handlers", "blocking.py", "--abandoned-max", "0") as server:
        hang_in(fleet, server)
        server.until("too many handlers hang")
        server.until("server drains")
        assert server.ended() == 75


def test_of_several_processes_the_one_in_which_threads_hang_is_replaced(fleet: Fleet) -> None:
    (fleet.folder / "blocking.py").write_text(BLOCKING)
    fleet.deploy("m", {"A": task("hang")})
    with fleet.process("worker", "--processes", "2", "--handlers", "blocking.py", "--abandoned-max", "0") as workers:
        for _ in range(2):
            workers.until("worker started")
        hang_in(fleet, workers)
        workers.until("too many handlers hang")
        assert workers.until("worker process died")["exit_code"] == 75
        workers.until("worker started")


# ── spans ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_spans_are_sent_to_a_collector(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    received: SimpleQueue[bytes] = SimpleQueue()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        fleet.deploy("m", {"A": {"Type": "Pass", "Next": "Charge"}, "Charge": task("charge")})
        with fleet.worker("--otel", "-t", "charge=mock:1") as worker:
            arn = fleet.start("m", "--wait", "--name", "one")
            worker.signal(signal.SIGTERM)
            assert worker.ended() == 0
        server.shutdown()
        thread.join()
    sent = b"".join(received.get_nowait() for _ in range(received.qsize()))
    assert b"Charge" in sent
    assert b"aws.step_functions.state.name" in sent
    assert b":execution:m:one" in sent
    assert arn == "1"


# ── who works ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_workers_are_listed_with_what_they_have(fleet: Fleet, url: str) -> None:
    assert fleet.json("workers") == {"workers": []}
    fleet.deploy("m", {"A": task("hang")})
    arn = fleet.start("m")
    assert "worker" not in fleet.json("get", arn)
    with fleet.worker("--pool", "default", "--pool", "mail") as worker:
        worker.until("task started")
        (shown,) = fleet.json("workers")["workers"]
        assert (shown["pid"], shown["host"]) == (worker.popen.pid, socket.gethostname())
        assert (shown["pools"], shown["state"], shown["executions"]) == (["default", "mail"], "alive", 1)
        assert fleet.json("get", arn)["worker"] == {key: shown[key] for key in ("id", "host", "pid")}
        assert f"{shown['host']}, pid {shown['pid']}, alive" in fleet.asl("get", arn)
        heading, line = fleet.asl("workers").splitlines()
        assert heading.split()[:4] == ["HOST", "PID", "POOLS", "STATE"]
        assert line.split()[-1] == "1"
        worker.kill()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("update asl.worker set renewed_at = renewed_at - 31000")
    assert fleet.json("workers")["workers"][0]["state"] == "silent"
    assert "no worker serves pool default" in fleet.asl("get", arn)
