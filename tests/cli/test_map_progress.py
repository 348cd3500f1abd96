"""How far Distributed Maps are: in words, while `asl run` runs them, and while `asl get --follow` watches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from engine.cli.map_progress import MapRunProgress, MapRunsProgress, bar_cells
from engine.library import MapRunCounts
from tests.cli.command_line import asl, write_definition
from tests.cli.test_live_view import on_terminal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.fleet import Fleet

EACH = {
    "Type": "Map",
    "ToleratedFailurePercentage": 50,
    "ItemProcessor": {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"},
        "StartAt": "Odd?",
        "States": {
            "Odd?": {
                "Type": "Choice",
                "Choices": [{"Variable": "$", "NumericGreaterThan": 16, "Next": "Bad"}],
                "Default": "Good",
            },
            "Good": {"Type": "Succeed"},
            "Bad": {"Type": "Fail", "Error": "Odd"},
        },
    },
    "End": True,
}
ITEMS = json.dumps(list(range(20)))


def counts(done: int, *, running: int = 0, failed: int = 0, total: int = 1_000, arn: str = "run") -> MapRunCounts:
    status = "SUCCEEDED" if done == total else "RUNNING"
    return MapRunCounts(
        arn, "Each", status, total, total - done - running, running, done - failed, failed, 0, 0, True, total
    )


def test_pace_and_remaining_time_are_told_from_what_was_done_of_late() -> None:
    run = MapRunProgress(counts(0), 100.0)
    assert run.text() == "0/1,000 items, 1,000 pending"
    run.look(counts(200, running=50, failed=3), 102.0)
    assert run.text() == ("200/1,000 items, 750 pending, 50 running, 197 succeeded, 3 failed, 100/s, 8 s left")
    for second in range(103, 140):  # it has become slower: what was before is forgotten
        run.look(counts(200 + second - 102), float(second))
    assert run.per_second == 1.0
    run.look(counts(1_000), 140.0)
    assert run.text() == "1,000/1,000 items, 1,000 succeeded"


def test_what_was_begun_before_somebody_looked_does_not_count_for_the_pace() -> None:
    run = MapRunProgress(counts(900), 0.0)
    run.look(counts(910), 1.0)
    assert "10/s, 9 s left" in run.text()


def test_a_redrive_has_less_done_than_before_and_no_pace_of_less_than_nothing() -> None:
    run = MapRunProgress(counts(1_000, failed=400), 0.0)
    run.look(counts(600), 1.0)
    assert run.per_second == 0
    run.look(counts(620), 2.0)
    assert "20/s, 19 s left" in run.text()


def test_a_line_is_worth_it_for_each_tenth_and_when_it_has_been_silent_long() -> None:
    run = MapRunProgress(counts(0), 0.0)
    told = []
    for done in range(1, 1_001):
        run.look(counts(done), done / 100)
        told += [done] * run.is_worth_a_line()
    assert told == list(range(100, 1_001, 100))
    slow = MapRunProgress(counts(0), 0.0)
    slow.look(counts(1), 29.0)
    assert not slow.is_worth_a_line()
    slow.look(counts(1), 30.0)
    assert slow.is_worth_a_line()


def test_while_items_are_read_it_says_how_many_there_may_be() -> None:
    read = counts(200, total=250)._replace(is_read=False, expected=1_000)
    run = MapRunProgress(read._replace(succeeded=0), 0.0)
    run.look(read, 2.0)
    assert run.text() == "200/~1,000 items, 50 pending, 200 succeeded, 100/s, 8 s left"
    assert run.bar("#", "-") == "####" + 16 * "-"


def test_where_nobody_knows_how_many_there_will_be_it_says_neither_a_time_nor_a_share() -> None:
    read = counts(200, total=250)._replace(is_read=False, expected=None)
    run = MapRunProgress(read._replace(succeeded=0), 0.0)
    run.look(read, 2.0)
    assert run.text() == "200/250+ items, 50 pending, 200 succeeded, 100/s"
    assert run.bar("#", "-") == 20 * "-"
    assert not run.is_worth_a_line()
    run.look(read._replace(succeeded=201), 31.0)
    assert run.is_worth_a_line()


def test_a_bar_is_as_full_as_the_run_is_far() -> None:
    run = MapRunProgress(counts(500), 0.0)
    assert run.bar(*bar_cells("ascii")) == "##########----------"
    assert MapRunProgress(counts(0, total=0), 0.0).bar(*bar_cells("utf-8")) == "░" * 20


def test_a_state_shows_its_latest_map_run() -> None:
    runs = MapRunsProgress()
    runs.look(counts(10, arn="first"))
    runs.look(counts(2, arn="second"))
    latest = runs.of_state("Each")
    assert latest is not None
    assert latest.counts.map_run_arn == "second"
    assert runs.of_state("Other") is None


def test_asl_run_tells_the_counts_in_lines(tmp_path: Path) -> None:
    result = asl("run", write_definition(tmp_path / "m.json", {"Each": EACH}), "-i", ITEMS)
    assert result.exit_code == 0, result.output
    assert "Each: 20/20 items, 17 succeeded, 3 failed\n" in result.stderr


def test_asl_run_has_a_bar_on_a_terminal(tmp_path: Path) -> None:
    code, seen, _ = on_terminal("run", write_definition(tmp_path / "m.json", {"Each": EACH}), "-i", ITEMS)
    assert code == 0, seen
    assert "█" * 20 in seen
    assert "20/20 items" in seen


def test_quiet_says_nothing_of_them(tmp_path: Path) -> None:
    result = asl("run", write_definition(tmp_path / "m.json", {"Each": EACH}), "-i", ITEMS, "--quiet")
    assert result.stderr == ""


@pytest.mark.timeout(60)
def test_get_follows_an_execution_with_its_map_runs_until_it_is_over(fleet: Fleet) -> None:
    fleet.deploy("m", {"Each": EACH})
    arn = fleet.start("m", "-i", "[1, 20]")
    with fleet.process("get", "--follow", arn) as following:
        following.line_with("waits: no worker serves pool default")
        with fleet.worker():
            following.line_with("Each: 2/2 items, 1 succeeded, 1 failed")
            assert following.ended() == 0
            assert following.popen.stdout is not None
            assert "SUCCEEDED after" in following.popen.stdout.read()
    code, seen, _ = on_terminal("get", "-f", arn, *fleet.place)
    assert code == 0, seen
    assert "█" * 20 + "  2/2 items, 1 succeeded, 1 failed" in seen
