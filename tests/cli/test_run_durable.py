"""`asl run` over a database: as in memory, but the execution outlives the process."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from engine import blocking
from tests.cli.command_line import asl
from tests.cli.fleet import Fleet, task
from tests.store.postgres.embedded_process import kill_postmaster
from tests.waiting import DEADLINE_SECONDS


@pytest.fixture
def machine(fleet: Fleet) -> str:
    path = fleet.folder / "order.asl.json"
    path.write_text(json.dumps({"StartAt": "A", "States": {"A": task("charge")}}))
    return str(path)


def test_the_output_is_printed_and_the_execution_is_kept(fleet: Fleet, machine: str) -> None:
    assert fleet.asl("run", machine, "-t", "charge=mock:5", "--name", "one") == "5\n"
    assert fleet.json("get", "order:one")["output"] == "5"
    assert "order:one" in fleet.says("run", machine, "-t", "charge=fail:Busy", "--name", "one", code=1)
    said = fleet.says("run", machine, "-t", "charge=fail:Busy", "--name", "two", code=2)
    assert "FAILED: Busy" in said
    assert "arn:aws:states:us-east-1:000000000000:execution:order:two\n" in said
    assert "--seed" not in said
    assert [item["status"] for item in fleet.json("ls")["executions"]] == ["FAILED", "SUCCEEDED"]


def test_the_definition_may_change_between_two_runs(fleet: Fleet, machine: str) -> None:
    fleet.asl("run", machine, "-t", "charge=mock:5")
    path = Path(machine)
    path.write_text(path.read_text().replace("charge", "refund"))
    assert fleet.asl("run", machine, "-t", "refund=mock:6") == "6\n"


def test_many_inputs_are_run(fleet: Fleet, machine: str) -> None:
    lines = fleet.asl("run", machine, "-t", "charge=mock:5", "-i", "-", "--jsonl", stdin="1\n2\n3\n").splitlines()
    assert [json.loads(line)["output"] for line in lines] == [5, 5, 5]
    assert len(fleet.json("ls")["executions"]) == 3


def test_the_environment_names_the_database_as_well(
    fleet: Fleet, machine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ASL_DATABASE_URL", fleet.place[1])
    assert asl("run", machine, "-t", "charge=mock:5").stdout == "5\n"
    assert len(fleet.json("ls")["executions"]) == 1


def test_what_others_started_is_left_to_the_workers(fleet: Fleet, machine: str) -> None:
    fleet.deploy("other", {"A": task("charge")})
    arn = fleet.start("other")
    # Long enough for whoever wants more work to have asked for it.
    wait = {"Type": "Wait", "Seconds": 1, "Next": "A"}
    Path(machine).write_text(json.dumps({"StartAt": "W", "States": {"W": wait, "A": task("charge")}}))
    assert fleet.asl("run", machine, "-t", 'charge=mock:"a mock"') == '"a mock"\n'
    assert "It has not begun" in fleet.asl("get", arn)


def test_a_task_without_a_handler_is_told_before_anything_runs(fleet: Fleet, machine: str) -> None:
    assert "No handler for 1 Task state" in fleet.says("run", machine)
    assert fleet.json("ls") == {"executions": []}


def test_a_task_of_an_activity_waits_for_whoever_polls(fleet: Fleet) -> None:
    with blocking.Engine(fleet.place[1]) as painter:
        paint = painter.create_activity("paint")
        path = fleet.folder / "room.asl.json"
        states = {"A": {"Type": "Task", "Resource": paint, "End": True}}
        path.write_text(json.dumps({"StartAt": "A", "States": states}))
        with fleet.process("run", str(path), "-i", "7", "--name", "one") as run:
            work = painter.get_activity_task(paint, wait_seconds=DEADLINE_SECONDS)
            assert work is not None
            painter.send_task_success(work.task_token, work.input)
            assert run.ended() == 0
    assert fleet.json("get", "room:one")["output"] == "7"


def test_what_is_for_memory_only_is_refused(fleet: Fleet, machine: str) -> None:
    assert "--seed is for executions in memory" in fleet.says("run", machine, "--seed", "1")
    assert "--skip-time is for executions in memory" in fleet.says("run", machine, "--skip-time")


def test_ctrl_c_aborts_it(fleet: Fleet, machine: str) -> None:
    with fleet.process("run", machine, "--handlers", "shop.py", "-t", "charge=shop:hang", "--name", "one") as run:
        run.line_with("A: started")
        run.signal(signal.SIGINT)
        assert run.ended() == 4
    assert fleet.json("get", "order:one")["status"] == "ABORTED"


def test_when_it_and_the_server_are_killed_a_worker_finishes_it(tmp_path: Path, data_dir: Path) -> None:
    fleet = Fleet(tmp_path, "--data-dir", str(data_dir))
    first, last = task("first", Next="B"), task("hang")
    path = tmp_path / "long.asl.json"
    path.write_text(json.dumps({"StartAt": "A", "States": {"A": first, "B": last}}))
    targets = ["-t", 'first=mock:{"a": 1}', "-t", "hang=shop:hang"]
    with fleet.process("run", str(path), *targets, "--name", "one") as run:
        run.line_with("B: started")
        os.kill(run.popen.pid, signal.SIGKILL)
        kill_postmaster(data_dir)
        run.ended()
    with fleet.worker("-t", 'first=mock:"again"', "-t", 'hang=mock:"finished"'):
        assert fleet.asl("wait", "one") == '"finished"\n'
    types = [event["type"] for event in fleet.json("history", "one")["events"]]
    assert types.count("LambdaFunctionSucceeded") == 2
    assert types[-1] == "ExecutionSucceeded"


def test_a_state_machine_that_a_task_starts_runs_in_the_same_process(fleet: Fleet) -> None:
    start = {
        "Type": "Task",
        "Resource": "arn:aws:states:::states:startExecution.sync:2",
        "Parameters": {"StateMachineArn": "arn:aws:states:eu-west-1:999999999999:stateMachine:Ship"},
        "OutputPath": "$.Output",
        "End": True,
    }
    parent, child = fleet.folder / "parent.asl.json", fleet.folder / "child.asl.json"
    parent.write_text(json.dumps({"StartAt": "A", "States": {"A": start}}))
    child.write_text(json.dumps({"StartAt": "B", "States": {"B": {"Type": "Pass", "Result": 5, "End": True}}}))
    assert fleet.asl("run", str(parent), "--machine", f"Ship={child}") == "5\n"
    assert [item["status"] for item in fleet.json("ls")["executions"]] == ["SUCCEEDED"] * 2


def each(kind: str) -> dict[str, Any]:
    """A Distributed Map in another one."""
    inner = {"Type": "Map", "ItemProcessor": processor("EXPRESS", Charge=task("charge")), "End": True}
    state = inner if kind == "EXPRESS" else {**inner, "ItemProcessor": processor(kind, Inner=inner)}
    return {"StartAt": "Each", "States": {"Each": state}}


def processor(kind: str, **states: Any) -> dict[str, Any]:
    config = {"Mode": "DISTRIBUTED", "ExecutionType": kind}
    return {"ProcessorConfig": config, "StartAt": next(iter(states)), "States": states}


@pytest.mark.parametrize(("kind", "given", "output"), [
    ("EXPRESS", list(range(300)), [5] * 300),
    ("STANDARD", [[1, 2], [], [3]], [[5, 5], [], [5]]),
])  # fmt: skip
def test_all_of_a_distributed_map_runs_in_the_process_that_was_asked(
    fleet: Fleet, machine: str, kind: str, given: list[Any], output: list[Any]
) -> None:
    Path(machine).write_text(json.dumps(each(kind)))
    with fleet.worker():  # which has no handler for its Tasks
        assert json.loads(fleet.asl("run", machine, "-t", "charge=mock:5", "-i", json.dumps(given))) == output
