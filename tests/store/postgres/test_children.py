"""Children and jobs on a real server: who waits for them is parked, and a worker that is killed loses none of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

import engine
from engine import blocking
from tests.definitions import machine, wait
from tests.runtime.job_service import job_task
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from engine.store.postgres.store import PostgresStore

pytestmark = pytest.mark.timeout(60)

PREFIX = "arn:aws:states:us-east-1:123456789012:"
CHILD = f"{PREFIX}stateMachine:Child"
ECHO = {"Type": "Pass"}


def starting(suffix: str, **fields: Any) -> dict[str, Any]:
    parameters = {"StateMachineArn": CHILD, "Input.$": "$"}
    return {
        "Type": "Task",
        "Resource": f"arn:aws:states:::states:startExecution{suffix}",
        "Parameters": parameters,
        **fields,
    }


def on(url: str, handlers: Any = None) -> blocking.Engine:
    return blocking.Engine(url, handlers=handlers, account_id="123456789012", region="us-east-1")


def count(url: str, where: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(f"select count(*) from asl.open_execution where {where}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_a_child_wakes_its_parked_parent_whoever_runs_it(url: str) -> None:
    tokens: list[str] = []
    taking = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
        "Parameters": {"FunctionName": "take", "Payload": {"token.$": "$$.Task.Token"}},
    }
    with on(url) as client:
        client.deploy(machine(taking), "Child")
        client.deploy(machine(starting(".sync:2")), "Parent")
        with on(url, {"take": lambda event: tokens.append(event["token"])}):
            parent = client.start_execution("Parent", {"n": 1})
            wait_until(lambda: tokens)
            wait_until(lambda: count(url, "owner is null") == 2)
        client.send_task_success(tokens[0], {"done": True})
        with on(url, {"take": "mock:1"}):
            output = parent.result()
    assert (output["Status"], output["Input"], output["Output"]) == ("SUCCEEDED", {"n": 1}, {"done": True})


def test_a_parent_that_is_stopped_while_nobody_has_it_stops_its_parked_child(url: str, store: PostgresStore) -> None:
    with on(url) as client:
        client.deploy(machine(wait(3_600)), "Child")
        client.deploy(machine(starting(".sync")), "Parent")
        with on(url, {}):
            parent = client.start_execution("Parent")
            wait_until(lambda: count(url, "owner is null") == 2)
        parent.stop("Enough", "of it")
        with on(url, {}):
            with pytest.raises(engine.ExecutionFailed, match="Enough"):
                parent.result()
            wait_until(lambda: count(url, "true") == 0)
    (child,) = store.executions(CHILD)
    assert child.ending is not None
    assert child.status == "ABORTED"
    assert parent.arn in (child.ending.cause or "")
    with psycopg.connect(url) as connection:
        assert connection.execute("select count(*) from asl.mail").fetchone() == (0,)


WORKER = """
import json, sys, time
from pathlib import Path
from engine import blocking
from engine.integrations.request import Answer, Later, Submitted

folder = Path(sys.argv[2])

class Jobs:
    name, fixed_answer = "jobs", None
    async def run(self, request, channel, workplace):
        raise AssertionError
    async def submit(self, request, channel, workplace):
        with open(folder / request.idempotency_key, "a") as file:
            file.write("submitted\\n")
        return Submitted({}, request.idempotency_key)
    async def find(self, request, workplace):
        return None
    def poll_group(self, request, job):
        return "jobs", 100
    async def poll(self, jobs, workplace):
        is_over = (folder / "over").exists()
        return [Answer(job.job, 40) if is_over else Later(0.2) for job in jobs]
    async def stop(self, request, job, workplace):
        (folder / "stopped").touch()

handlers = {"arn:aws:states:::batch:submitJob.sync": Jobs()}
with blocking.Engine(sys.argv[1], handlers=handlers, lease_seconds=3, account_id="123456789012", region="us-east-1"):
    sys.stdin.read()
"""


def worker(url: str, folder: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-c", textwrap.dedent(WORKER), url, str(folder)]
    return subprocess.Popen(words, stdin=subprocess.PIPE)


def test_workers_that_are_killed_while_jobs_run_lose_none_and_submit_none_twice(url: str, tmp_path: Path) -> None:
    with on(url) as client:
        client.deploy(machine(job_task(), ECHO), "Child")
        client.deploy(machine(starting(".sync:2")), "Parent")
        first = worker(url, tmp_path)
        second = None
        try:
            parents = [client.start_execution("Parent", number) for number in range(10)]
            wait_until(lambda: len(list(tmp_path.iterdir())) == 10)
            wait_until(lambda: count(url, "seq >= 2") == 20)  # what was submitted is written
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
            second = worker(url, tmp_path)
            (tmp_path / "over").touch()
            outputs = [parent.result() for parent in parents]
        finally:
            for one in (first, second):
                if one is not None:
                    one.kill()
                    one.communicate()
    jobs = {path.name: path.read_text() for path in tmp_path.iterdir() if path.name != "over"}
    assert set(jobs.values()) == {"submitted\n"}, "none is submitted twice, none stopped"
    assert sorted(output["Output"] for output in outputs) == sorted(jobs)
