"""Handlers that log what they do."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from structlog.testing import capture_logs

import engine
from engine.cli.worker_log import ExecutionLog, logged
from engine.integrations.registry import Handlers
from tests.cli.command_line import environment
from tests.cli.fleet import task

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
