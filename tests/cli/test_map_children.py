"""What became of the children of a map run, as a person asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.command_line import asl, write_definition
from tests.cli.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def each(kind: str, **fields: Any) -> dict[str, Any]:
    """Items above 16 fail."""
    choice = {"Variable": "$", "NumericGreaterThan": 16, "Next": "Bad"}
    states = {
        "Odd?": {"Type": "Choice", "Choices": [choice], "Default": "Good"},
        "Good": {"Type": "Succeed"},
        "Bad": {"Type": "Fail", "Error": "Odd", "Cause": "too much"},
    }
    config = {"Mode": "DISTRIBUTED", "ExecutionType": kind}
    processor = {"ProcessorConfig": config, "StartAt": "Odd?", "States": states}
    return {"Each": {"Type": "Map", "ItemProcessor": processor, "End": True, **fields}}


@pytest.mark.parametrize("kind", ["EXPRESS", "STANDARD"])
def test_a_run_that_fails_names_one_of_the_items_by_which_it_did(tmp_path: Path, kind: str) -> None:
    result = asl("run", write_definition(tmp_path / "m.json", each(kind)), "-i", "[1, 20]")
    assert result.exit_code == 2
    assert "FAILED: States.ExceedToleratedFailureThreshold" in result.stderr
    assert "  one item   Odd: too much\n  its input  20\n" in result.stderr


def test_a_map_that_reads_its_items_does_not_say_that_it_has_none(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("ASL_MAP_FILES", str(tmp_path))
    (tmp_path / "a.jsonl").write_text("1\n2\n")
    reader = {
        "Resource": "arn:aws:states:::s3:getObject",
        "ReaderConfig": {"InputType": "JSONL"},
        "Parameters": {"Bucket": tmp_path.as_uri(), "Key": "a.jsonl"},
    }
    result = asl("run", write_definition(tmp_path / "m.json", each("EXPRESS", ItemReader=reader)))
    assert result.exit_code == 0, result.output
    assert "Each: started\n" in result.stderr
    assert "Each: 2/2 items, 2 succeeded\n" in result.stderr


@pytest.fixture(scope="module")
def mapped(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Executions `EXPRESS` and `STANDARD` of a map over three items, of which one failed, and `failed`. To look at."""
    fleet = Fleet(tmp_path_factory.mktemp("mapped"), "--db", new_database())
    for kind in ("EXPRESS", "STANDARD"):
        fleet.deploy(kind, each(kind, ToleratedFailureCount=1))
        fleet.start(kind, "-i", "[1, 20, 3]", "--name", kind)
    fleet.deploy("fail", each("EXPRESS"))
    fleet.start("fail", "-i", "[20]", "--name", "failed")
    with fleet.worker():
        fleet.asl("wait", "EXPRESS")
        fleet.asl("wait", "STANDARD")
        fleet.asl("wait", "failed", code=2)
    return fleet


def map_run(fleet: Fleet, execution: str) -> Any:
    (run,) = fleet.json("get", execution)["mapRuns"]
    return run


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["EXPRESS", "STANDARD"])
def test_an_execution_is_shown_with_its_map_runs(mapped: Fleet, kind: str) -> None:
    run = map_run(mapped, kind)
    assert (run["state"], run["status"], run["itemCounts"]["failed"]) == ("Each", "SUCCEEDED", 1)
    assert f"Each: 3/3 items, 2 succeeded, 1 failed {run['mapRunArn']}" in " ".join(mapped.asl("get", kind).split())
    assert map_run(mapped, "failed")["status"] == "FAILED"
    shown = mapped.asl("get", run["mapRunArn"])
    assert "3/3 items" in shown
    assert "\ninput" not in shown


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["EXPRESS", "STANDARD"])
def test_the_children_of_a_map_run_are_listed(mapped: Fleet, kind: str) -> None:
    arn = map_run(mapped, kind)["mapRunArn"]
    children = mapped.json("ls", "--map-run", arn)["executions"]
    assert sorted(child["status"] for child in children) == ["FAILED", "SUCCEEDED", "SUCCEEDED"]
    (failed,) = mapped.json("ls", "--map-run", arn, "--status", "FAILED")["executions"]
    assert failed["mapRunArn"] == arn
    lines = mapped.asl("ls", "--map-run", arn, "--status", "FAILED").splitlines()
    assert lines[1].split()[:2] == [failed["name"], "FAILED"]
    assert lines[1].split()[-2:] == ["Odd", "20"]
    assert "more than 2" in mapped.says("ls", "--map-run", arn, "--limit", "2", code=0)
    assert "No child executions" in mapped.says("ls", "--map-run", arn, "--status", "ABORTED", code=0)


def test_what_does_not_go_with_a_map_run_is_refused() -> None:
    result = asl("ls", "--map-run", "arn", "--prefix", "x")
    assert result.exit_code == 1
    assert "--map-run goes with" in result.stderr
