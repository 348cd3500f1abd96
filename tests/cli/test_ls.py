"""Lists of executions: which ones, in which order, for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.fleet import Fleet, task

if TYPE_CHECKING:
    from collections.abc import Callable

FAIL = {"Type": "Fail", "Error": "Boom"}
PASS = {"Type": "Pass", "End": True}


def names(fleet: Fleet, *words: str) -> list[str]:
    return [item["name"] for item in fleet.json("ls", *words)["executions"]]


@pytest.fixture(scope="module")
def listed(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """Two state machines: one execution succeeded, one failed, two have not begun. For tests that only look."""
    fleet = Fleet(tmp_path_factory.mktemp("listed"), "--db", new_database())
    fleet.deploy("pay", {"A": PASS})
    fleet.deploy("fail", {"A": FAIL})
    fleet.start("pay", "--name", "order-1")
    fleet.start("fail", "--name", "order-2")
    with fleet.worker():
        fleet.asl("wait", "order-1")
        fleet.asl("wait", "order-2", code=2)
    fleet.start("pay", "--name", "order-3")
    fleet.start("fail", "--name", "refund-4")
    return fleet


def test_the_newest_come_first(listed: Fleet) -> None:
    assert names(listed) == ["refund-4", "order-3", "order-2", "order-1"]


def test_filters_can_be_combined(listed: Fleet) -> None:
    assert names(listed, "--machine", "pay") == ["order-3", "order-1"]
    assert names(listed, "--status", "RUNNING") == ["refund-4", "order-3"]
    assert names(listed, "--status", "failed") == ["order-2"]
    assert names(listed, "--prefix", "order-") == ["order-3", "order-2", "order-1"]
    assert names(listed, "--prefix", "order-", "--machine", "pay", "--status", "SUCCEEDED") == ["order-1"]
    assert names(listed, "--since", "1h") == ["refund-4", "order-3", "order-2", "order-1"]
    assert names(listed, "--until", "1h") == []
    started = {item["name"]: item["startDate"] for item in listed.json("ls")["executions"]}
    assert names(listed, "--since", started["order-3"]) == ["refund-4", "order-3"]
    assert names(listed, "--until", started["order-3"]) == ["order-2", "order-1"]


def test_more_than_the_limit_is_said(listed: Fleet) -> None:
    assert "more than 3" in listed.says("ls", "--limit", "3", code=0)
    assert "more than" not in listed.says("ls", "--limit", "4", code=0)
    assert names(listed, "--limit", "1") == ["refund-4"]


def test_json_is_what_list_executions_answers(listed: Fleet) -> None:
    item = listed.json("ls", "--prefix", "order-2")["executions"][0]
    assert item.keys() == {
        "executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate", "redriveCount",
    }  # fmt: skip
    assert item["executionArn"].endswith(":execution:fail:order-2")
    assert item["stateMachineArn"].endswith(":stateMachine:fail")
    assert (item["status"], item["redriveCount"]) == ("FAILED", 0)
    assert "stopDate" not in listed.json("ls", "--prefix", "order-3")["executions"][0]


def test_a_person_sees_columns_that_stand_under_each_other(listed: Fleet) -> None:
    head, *rows = listed.asl("ls").splitlines()
    assert head.split() == ["MACHINE", "NAME", "STATUS", "STARTED", "TOOK", "NOTE"]
    assert len({row.index("order-") for row in rows if "order-" in row} | {head.index("NAME")}) == 1
    assert "Boom" in rows[2]


def test_a_list_of_nothing_says_so(fleet: Fleet) -> None:
    assert fleet.says("ls", code=0) == "No executions.\n"
    assert fleet.json("ls") == {"executions": []}


def test_no_such_state_machine(fleet: Fleet) -> None:
    assert "State Machine Does Not Exist" in fleet.says("ls", "--machine", "nobody")


def test_a_time_that_is_none_is_refused(fleet: Fleet) -> None:
    assert "expected a time such as" in fleet.says("ls", "--since", "yesterday")


# ── which execution is meant ────────────────────────────────────────────────────────────────────────────────────────


def test_an_execution_is_found_by_its_arn_and_by_its_names(listed: Fleet) -> None:
    arn = listed.json("get", "pay:order-1")["executionArn"]
    assert listed.json("get", arn)["name"] == "order-1"
    assert listed.json("get", "order-1")["executionArn"] == arn


def test_an_execution_without_a_name_of_its_own_is_found_by_its_id(fleet: Fleet) -> None:
    fleet.deploy("pay", {"A": PASS})
    arn = fleet.start("pay")
    assert fleet.json("get", arn.rpartition(":")[2])["executionArn"] == arn


def test_a_name_that_several_executions_have_says_too_little(fleet: Fleet) -> None:
    for machine in ("pay", "fail"):
        fleet.deploy(machine, {"A": PASS})
        fleet.start(machine, "--name", "order-1")
    said = fleet.says("get", "order-1")
    assert "several executions" in said
    assert ":execution:pay:order-1\n" in said
    assert ":execution:fail:order-1\n" in said


@pytest.mark.parametrize("command", ["get", "history", "wait", "stop", "redrive", "resume"])
def test_an_execution_that_is_not_there_is_said_to_be_missing(fleet: Fleet, command: str) -> None:
    fleet.deploy("pay", {"A": PASS})
    assert "no execution is called 'x'" in fleet.says(command, "x")
    assert "Execution Does Not Exist" in fleet.says(command, "pay:x")
    assert "Execution Does Not Exist" in fleet.says(command, "arn:aws:states:us-east-1:000000000000:execution:pay:x")


# ── one execution ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_get_tells_how_an_execution_ended(listed: Fleet) -> None:
    text = listed.asl("get", "order-2")
    assert "FAILED after" in text
    assert "Boom" in text
    told = listed.json("get", "order-2")
    assert (told["status"], told["error"], told["input"], told["pool"]) == ("FAILED", "Boom", "{}", "default")
    assert "waitsFor" not in told
    assert listed.json("get", "order-1")["output"] == "{}"


def test_get_tells_what_an_open_execution_waits_for(fleet: Fleet) -> None:
    inner = {"StartAt": "Pack", "States": {"Pack": task("hang", TimeoutSeconds=600)}}
    pause = {"StartAt": "Pause", "States": {"Pause": {"Type": "Wait", "Seconds": 3600, "End": True}}}
    pack = {"StartAt": "All", "States": {"All": {"Type": "Map", "ItemProcessor": inner, "End": True}}}
    fleet.deploy("m", {"Both": {"Type": "Parallel", "Branches": [pack, pause], "End": True}})
    arn = fleet.start("m", "-i", "[1, 2, 3]")
    with fleet.worker() as worker:
        for _ in range(3):
            worker.until("task started")
        waits = fleet.json("get", arn)["waitsFor"]
        text = fleet.asl("get", arn)
    assert [(wait["state"], wait["what"], wait.get("mapIndex")) for wait in waits] == [
        ("Both", "BRANCHES", None), ("All", "BRANCHES", None), ("Pause", "TIMER", None),
        ("Pack", "TASK", 0), ("Pack", "TASK", 1), ("Pack", "TASK", 2),
    ]  # fmt: skip
    assert (waits[1]["total"], waits[1]["done"]) == (3, 0)
    assert waits[3]["resource"].endswith(":function:hang")
    assert waits[3]["attempt"] == 0
    assert waits[3]["until"] < waits[2]["until"]
    assert "Pack[2] (Task)" in text
    assert "Pause (Wait): waits until" in text


def test_get_tells_that_nobody_runs_the_executions_of_a_pool(fleet: Fleet) -> None:
    fleet.deploy("pay", {"A": PASS}, "--pool", "eu")
    arn = fleet.start("pay")
    assert fleet.json("get", arn)["stuck"] == ["no worker serves pool eu"]
    with fleet.worker("--pool", "us"):
        assert fleet.json("get", arn)["stuck"] == ["no worker serves pool eu"]
    with fleet.worker("--pool", "eu"):
        fleet.asl("wait", arn)
    assert "stuck" not in fleet.json("get", arn)


# ── history ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_history_is_what_get_execution_history_answers(listed: Fleet) -> None:
    events = listed.json("history", "order-2")["events"]
    assert [event["type"] for event in events] == ["ExecutionStarted", "FailStateEntered", "ExecutionFailed"]
    assert [event["id"] for event in events] == [1, 2, 3]
    assert events[2]["executionFailedEventDetails"]["error"] == "Boom"
    assert events[0]["timestamp"].endswith("Z")


def test_history_for_a_person_is_a_line_for_each_event(listed: Fleet) -> None:
    lines = listed.asl("history", "order-2").splitlines()
    assert [line.split()[2] for line in lines] == ["ExecutionStarted", "FailStateEntered", "ExecutionFailed"]
    assert lines[1].endswith("A input {}")
    assert lines[2].endswith("error Boom")


def test_history_follows_until_the_end(fleet: Fleet) -> None:
    fleet.deploy("pay", {"A": PASS})
    arn = fleet.start("pay")
    with fleet.process("history", arn, "--follow", "--json") as follower, fleet.worker():
        assert follower.ended() == 0
        events = [json.loads(line) for line in follower.popen.stdout]
    assert [event["type"] for event in events] == [
        "ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded",
    ]  # fmt: skip


def test_a_reader_that_goes_away_ends_the_following(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": task("hang")})
    arn = fleet.start("m")
    with fleet.process("history", arn, "--follow") as follower:
        follower.popen.stdout.close()
        with fleet.worker() as worker:
            worker.until("task started")  # its beginning is in the history, which nobody reads
            assert follower.ended() == 0
    assert follower.lines == []
