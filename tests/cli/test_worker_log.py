"""Handlers that log what they do."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

import engine
from engine import TaskFailed
from engine.cli.database import Database
from engine.cli.worker_log import ExecutionLog, log_database, logged
from engine.integrations.registry import Handlers
from engine.runtime import jobs
from tests.cli.command_line import environment
from tests.cli.fleet import task
from tests.definitions import machine, retry
from tests.runtime.job_service import RESOURCE, JobService, JobsOf, job_task
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


class Once:
    """A callable that fails the first time; it counts as lost with its worker."""

    on_worker_loss = "fail"

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, event: Any) -> str:
        self.calls += 1
        if self.calls == 1:
            raise engine.TaskFailed("Busy", "x" * 1_000)
        return "a secret"


async def logs_of(handler: Any, given: Any = None) -> tuple[Any, list[Any]]:
    retry = [{"ErrorEquals": ["Busy"], "IntervalSeconds": 1}]
    definition = {"StartAt": "A", "States": {"A": task("f", Retry=retry)}}
    with capture_logs() as logs:
        observer = ExecutionLog()
        handlers = logged(Handlers({"f": handler}))
        async with engine.Engine.in_memory(handlers, clock="virtual", observer=observer) as here:
            output = await here.run(definition, given)
    return output, logs


async def test_a_task_is_logged_with_execution_state_and_attempt() -> None:
    output, logs = await logs_of(Once())
    assert output == "a secret"
    assert [(log["event"], log.get("state"), log.get("attempt")) for log in logs] == [
        ("execution started", None, None),
        ("task started", "A", 0),
        ("task failed", "A", 0),
        ("task started", "A", 1),
        ("task succeeded", "A", 1),
        ("execution ended", None, None),
    ]
    assert len({log["execution"] for log in logs}) == 1
    assert all(log["milliseconds"] >= 0 for log in logs if log["event"] in ("task failed", "task succeeded"))


async def test_data_is_not_logged_and_a_long_cause_is_cut_short() -> None:
    _, logs = await logs_of(Once(), {"card": "4242"})
    assert "4242" not in str(logs)
    assert "a secret" not in str(logs)
    assert len(logs[2]["cause"]) == 500


async def test_a_fixed_answer_stays_one() -> None:
    output, logs = await logs_of("mock:7")
    assert output == 7
    assert [log["event"] for log in logs] == ["execution started", "execution ended"]


def test_what_else_a_handler_says_of_itself_is_kept() -> None:
    class Careful:
        name = "careful"
        fixed_answer = None
        on_worker_loss = "fail"

        async def run(self, *_: Any) -> Any: ...

    handlers = logged(Handlers({"f": Careful()}))
    assert handlers._exact["f"].on_worker_loss == "fail"
    assert handlers._exact["f"].name == "careful"


def test_what_libraries_log_is_json_too() -> None:
    code = (
        "from engine.cli.worker_log import configure_log; configure_log(); import logging;"
        "logging.getLogger('psycopg.pool').warning('discarding %s', 1); logging.getLogger('x').info('not shown')"
    )
    said = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    line = json.loads(said.stderr)
    assert (line["event"], line["level"], line["logger"]) == ("discarding 1", "warning", "psycopg.pool")


@pytest.mark.parametrize(("level", "told"), [("info", ["ended", "away"]), ("warning", ["away"]), ("error", [])])
def test_what_is_less_grave_than_asked_for_is_not_told(level: str, told: list[str]) -> None:
    code = (
        f"from engine.cli.worker_log import configure_log, structlog; configure_log({level!r});"
        "log = structlog.get_logger(); log.info('ended'); log.bind(state='A').warning('away')"
    )
    said = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert [json.loads(line)["event"] for line in said.stderr.splitlines()] == told


async def test_the_first_line_says_where_a_server_of_its_own_is(tmp_path: Path) -> None:
    """Making one takes seconds, and whoever waits should know for what."""
    own = Database(url=None, data_dir=tmp_path, is_given=True)
    given = Database(url="postgresql://localhost/x", data_dir=None, is_given=True)
    with capture_logs() as log:
        log_database(own)
        log_database(given)
    assert log == [{"event": "opening the database", "directory": str(tmp_path), "log_level": "info"}]


# ── jobs, and what the engine does itself ───────────────────────────────────────────────────────────────────────────


async def lines_of(
    handlers: Handlers, definition: Any, *, service: JobService | None = None
) -> list[tuple[str, str, str]]:
    with capture_logs() as logs:
        async with engine.Engine.in_memory(logged(handlers), clock="virtual") as here:
            await here.deploy(machine({"Type": "Pass"}), "child")
            execution = await here.start_execution(definition)
            if service is not None:
                await until(lambda: service.polls)
                service.end_all(TaskFailed("Busy"))
                await until(lambda: len(service.submits) == 2)
                service.end_all(1)
            await execution.result()
    return [(log["event"], log["state"], log["handler"]) for log in logs if log["event"].startswith("task")]


async def test_a_job_is_logged_when_it_was_begun_and_when_it_is_seen_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jobs, "POLL_SECONDS_MIN", 0.02)
    monkeypatch.setattr(jobs, "_FINE_MS", 10)
    service = JobService()
    definition = machine(job_task(Retry=retry(IntervalSeconds=1)))
    assert await lines_of(Handlers({RESOURCE: JobsOf(service)}), definition, service=service) == [
        ("task started", "A", "jobs"),
        ("task submitted", "A", "jobs"),
        ("task failed", "A", "jobs"),
        ("task started", "A", "jobs"),
        ("task submitted", "A", "jobs"),
        ("task succeeded", "A", "jobs"),
    ]


async def test_what_the_engine_does_itself_is_logged_too() -> None:
    started = {"Parameters": {"StateMachineArn": "arn:aws:states:us-east-1:000000000000:stateMachine:child"}}
    definition = machine(
        {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution", **started},
        {"Type": "Task", "Resource": "arn:aws:states:::states:startExecution.sync", **started},
        {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sfn:describeStateMachine", **started},
    )
    names = ("states:startExecution", "aws-sdk:sfn")
    assert await lines_of(Handlers(), definition) == [
        ("task started", "A", names[0]),
        ("task succeeded", "A", names[0]),
        ("task started", "B", names[0]),
        ("task submitted", "B", names[0]),
        ("task started", "C", names[1]),
        ("task succeeded", "C", names[1]),
    ]
