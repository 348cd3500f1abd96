"""`asl worker --events ... --logs ...` tells of its executions."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest

from engine.cli.exits import ExitCode
from tests.cli.command_line import asl
from tests.cli.fleet import Fleet, task
from tests.events.engines import posted
from tests.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.timeout(120)


def test_a_worker_of_two_processes_posts_each_change(fleet: Fleet) -> None:
    with posted() as server:
        fleet.deploy("Orders", {"Ask": task("ask")})
        words = ("--events", f"{server.url}?token=s3cret", "--processes", "2")
        with fleet.worker(*words) as worker:
            fleet.asl("start", "Orders", "--name", "first", "--wait")
            wait_until(lambda: len(server.events) >= 2)
            worker.signal(signal.SIGTERM)
            assert worker.ended() == 0
    assert server.told() == [("first", "RUNNING"), ("first", "SUCCEEDED")]
    assert "s3cret" not in "".join(worker.lines)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--events", "ftp://example.com"), "--events: expected an http or https URL"),
        (("--logs", "syslog"), "--logs: expected file:PATH, cloudwatch or log, got 'syslog'"),
    ],
)
def test_a_target_that_means_nothing_is_a_usage_error(words: tuple[str, str], problem: str, tmp_path: Path) -> None:
    result = asl("worker", *words, "--data-dir", str(tmp_path))
    assert (result.exit_code, problem in result.stderr) == (ExitCode.USAGE, True)


def test_the_environment_may_say_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASL_EVENTS", "http://example.com gopher:x")
    result = asl("worker", "--data-dir", str(tmp_path))
    assert result.exit_code == ExitCode.USAGE
    assert "ASL_EVENTS: expected" in result.stderr
    assert "gopher:x" in result.stderr
