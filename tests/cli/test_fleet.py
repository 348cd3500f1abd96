"""From deployment to the end of an execution that a worker in another process runs."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import psycopg
import pytest

from engine.interpreter.map_runs import chunks_key
from engine.store.postgres.store import PostgresStore
from engine.store.protocol import NEVER_DUE
from tests.cli.fleet import LAMBDA, TOKEN_RESOURCE, task

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.fleet import Fleet

DOUBLE = {"Type": "Pass", "QueryLanguage": "JSONata", "Output": "{% $states.input.n * 2 %}", "End": True}
FAIL = {"Type": "Fail", "Error": "Boom", "Cause": "it burst"}
HANG = task("hang")
ASK = {
    "Type": "Task",
    "Resource": TOKEN_RESOURCE,
    "Parameters": {"FunctionName": "ask", "Payload": {"token.$": "$$.Task.Token"}},
    "End": True,
}


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


# ── round trips ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_is_deployed_and_started_is_run_by_a_worker(fleet: Fleet) -> None:
    fleet.deploy("double", {"Double": DOUBLE})
    with fleet.worker():
        arn = fleet.start("double", "-i", '{"n": 21}', "--name", "one")
        assert fleet.asl("wait", arn) == "42\n"
        assert fleet.asl("wait", "double:one") == "42\n"
        assert fleet.asl("wait", "one") == "42\n"
        assert fleet.asl("start", "double", "-i", "-", "--wait", stdin='{"n": 1}') == "2\n"


def test_the_end_of_an_execution_is_the_exit_code_of_waiting_for_it(fleet: Fleet) -> None:
    fleet.deploy("fail", {"Fail": FAIL})
    late = {"Type": "Wait", "Seconds": 60, "End": True}
    path = fleet.folder / "late.json"
    path.write_text(json.dumps({"StartAt": "W", "TimeoutSeconds": 1, "States": {"W": late}}))
    fleet.asl("deploy", str(path), "--name", "late")
    with fleet.worker():
        said = fleet.says("start", "fail", "--wait", code=2)
        assert "FAILED: Boom\n" in said
        assert "it burst" in said
        assert "Fail (Fail)" in said
        assert "TIMED_OUT" in fleet.says("start", "late", "--wait", code=3)


def test_a_worker_that_begins_later_runs_what_was_started_before(fleet: Fleet) -> None:
    fleet.deploy("double", {"Double": DOUBLE})
    arn = fleet.start("double", "-i", '{"n": 4}')
    assert "It has not begun" in fleet.asl("get", arn)
    with fleet.worker():
        assert fleet.asl("wait", arn) == "8\n"


def test_a_new_revision_is_for_new_executions(fleet: Fleet) -> None:
    arn = fleet.deploy("m", {"A": {"Type": "Pass", "Result": 1, "End": True}})
    before = fleet.start("m")
    assert fleet.deploy("m", {"A": {"Type": "Pass", "Result": 2, "End": True}}) == arn
    after = fleet.start("m")
    with fleet.worker():
        assert (fleet.asl("wait", before), fleet.asl("wait", after)) == ("1\n", "2\n")


def test_the_same_definition_again_changes_nothing(fleet: Fleet) -> None:
    path = fleet.folder / "m.asl.json"
    fleet.deploy("m", {"A": FAIL})
    again = fleet.json("deploy", str(path), "--name", "m")
    assert again["isChanged"] is False
    assert again["stateMachineArn"].endswith(":stateMachine:m")
    path.write_text(path.read_text().replace("Boom", "Bang"))
    assert fleet.json("deploy", str(path), "--name", "m")["revisionId"] != again["revisionId"]


def test_a_name_starts_once(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": HANG})
    arn = fleet.start("m", "--name", "x", "-i", "1")
    assert fleet.start("m", "--name", "x", "-i", "1") == arn
    assert "Execution Already Exists" in fleet.says("start", "m", "--name", "x", "-i", "2")


def test_an_execution_is_run_by_workers_of_its_pool(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": task("hang")}, "--pool", "eu")
    ours, other = fleet.start("m"), fleet.start("m", "--pool", "us")
    with fleet.worker("-t", 'A=mock:"us"', "--pool", "us"):
        assert fleet.asl("wait", other) == '"us"\n'
        assert fleet.json("get", ours)["pool"] == "eu"
        assert "It has not begun" in fleet.asl("get", ours)
    with fleet.worker("-t", 'A=mock:"eu"', "--pool", "us", "--pool", "eu"):
        assert fleet.asl("wait", ours) == '"eu"\n'


# ── workers come and go ─────────────────────────────────────────────────────────────────────────────────────────────


def test_when_a_worker_is_killed_in_a_task_another_one_finishes_it(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": HANG})
    arn = fleet.start("m")
    with fleet.worker() as killed:
        started = killed.until("task started")
        assert (started["execution"], started["state"], started["attempt"]) == (arn, "A", 0)
        killed.kill()
        with fleet.worker("-t", 'hang=mock:"done"'):
            assert fleet.asl("wait", arn) == '"done"\n'
    scheduled = [event for event in fleet.json("history", arn)["events"] if event["type"] == "LambdaFunctionScheduled"]
    assert len(scheduled) == 1


def test_sigterm_waits_for_tasks_in_flight_and_begins_nothing_new(fleet: Fleet, fifo: Path) -> None:
    fleet.deploy("m", {"A": task("from_fifo", Next="B"), "B": task("from_fifo")})
    first = fleet.start("m", "-i", json.dumps({"fifo": str(fifo)}))
    with fleet.worker() as worker:
        worker.until("task started")
        worker.signal(signal.SIGTERM)
        worker.until("worker drains")
        second = fleet.start("m", "-i", json.dumps({"fifo": str(fifo)}))
        fifo.write_text("written")
        assert worker.ended() == 0
        assert [event["event"] for event in worker.events()].count("task started") == 1
        assert [event["event"] for event in worker.events()].count("task succeeded") == 1
    assert [wait["state"] for wait in fleet.json("get", first)["waitsFor"]] == ["B"]
    assert "It has not begun" in fleet.asl("get", second)
    with fleet.worker("-t", 'from_fifo=mock:"later"'):
        assert fleet.asl("wait", first) == '"later"\n'


@pytest.mark.parametrize("words", [(), ("--processes", "2")], ids=["one", "two"])
def test_the_end_of_stdin_drains_as_sigterm_does(fleet: Fleet, words: tuple[str, ...]) -> None:
    with fleet.worker("--until-eof", *words) as worker:
        assert worker.popen.stdin is not None
        worker.popen.stdin.close()
        assert worker.ended() == 0


def test_a_second_sigterm_gives_up_and_others_go_on_at_once(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": HANG})
    arn = fleet.start("m")
    with fleet.worker("-t", "other=mock:1") as worker:
        worker.until("task started")
        worker.signal(signal.SIGTERM)
        worker.until("worker drains")
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 4
    with fleet.worker("-t", "hang=mock:1"):
        assert fleet.asl("wait", arn) == "1\n"


def test_tasks_in_flight_are_waited_for_no_longer_than_was_said(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": HANG})
    fleet.start("m")
    with fleet.worker("--drain-seconds", "0.2") as worker:
        worker.until("task started")
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 4


def test_of_several_processes_one_that_dies_is_replaced_and_all_are_stopped(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": task("hang")})
    with fleet.worker("--processes", "2", "-t", 'hang=mock:"done"') as worker:
        worker.until("worker started")
        pids = [event["pid"] for event in worker.events() if event["event"] == "worker started"]
        assert len(set(pids)) == 2
        os.kill(pids[0], signal.SIGKILL)
        assert worker.until("worker process died")["exit_code"] == -signal.SIGKILL
        pids[0] = worker.until("worker started")["pid"]
        assert fleet.asl("start", "m", "--wait") == '"done"\n'
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0
    assert {event["pid"] for event in worker.events() if event["event"] == "worker stopped"} == set(pids)


def test_processes_whose_parent_is_killed_drain(fleet: Fleet) -> None:
    with fleet.worker("--processes", "2") as worker:
        worker.until("worker started")
        worker.popen.kill()
        worker.until("worker stopped")
        worker.until("worker stopped")


def test_several_processes_that_cannot_work_end_at_once(fleet: Fleet) -> None:
    with fleet.process("worker", "--processes", "2", "--handlers", "no_such_module") as worker:
        worker.line_with("no_such_module")
        assert worker.ended() == 1


def test_a_worker_logs_what_it_does_as_json_with_execution_state_and_attempt(fleet: Fleet) -> None:
    retry = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    fleet.deploy("m", {"A": task("from_fifo", Retry=retry)})
    with fleet.worker() as worker:
        arn = fleet.start("m", "-i", '{"fifo": "/no/such/file"}')
        fleet.says("wait", arn, code=2)
        worker.until("execution ended")
        told = [event for event in worker.events() if event.get("execution") == arn]
    assert [event["event"] for event in told] == [
        "execution started", "task started", "task failed", "task started", "task failed", "execution ended",
    ]  # fmt: skip
    assert [event["attempt"] for event in told[1:5]] == [0, 0, 1, 1]
    assert told[2]["state"] == "A"
    assert told[2]["error"] == "FileNotFoundError"
    assert told[-1]["status"] == "FAILED"
    assert all({"timestamp", "level"} <= event.keys() for event in told)


def test_a_task_without_a_handler_waits_for_a_worker_that_has_one(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": task("charge")})
    arn = fleet.start("m")
    with fleet.worker():
        for line in _lines_of(fleet, arn):
            if "no handler for" in line:
                break
    assert f"no handler for {LAMBDA}charge in pool default" in fleet.asl("get", arn)
    assert fleet.json("get", arn)["stuck"] == [f"no handler for {LAMBDA}charge in pool default"]
    assert "no handler for" in fleet.asl("ls")
    with fleet.worker("-t", "charge=mock:1"):
        assert fleet.asl("wait", arn) == "1\n"
    assert "stuck" not in fleet.json("get", arn)


def _lines_of(fleet: Fleet, arn: str):
    """What `asl get` shows, again and again."""
    while True:
        yield from fleet.asl("get", arn).splitlines()


# ── acting on what another process runs ─────────────────────────────────────────────────────────────────────────────


def test_stop_ends_what_a_worker_runs(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": HANG})
    arn = fleet.start("m")
    with fleet.worker() as worker:
        worker.until("task started")
        fleet.asl("stop", arn, "--error", "Enough", "--cause", "no more")
        assert "ABORTED: Enough" in fleet.says("wait", arn, code=4)
        worker.until("task cancelled")
    assert "over already: ABORTED" in fleet.says("stop", arn, code=0)


def test_redrive_goes_on_where_it_failed(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": {"Type": "Pass", "Result": 1, "Next": "B"}, "B": task("charge")})
    arn = fleet.start("m")
    with fleet.worker("-t", "charge=fail:Busy"):
        assert "FAILED: Busy" in fleet.says("wait", arn, code=2)
    with fleet.worker("-t", 'charge=mock:"paid"'):
        assert fleet.asl("redrive", arn, "--wait") == '"paid"\n'
        assert fleet.json("get", arn)["redriveCount"] == 1
        assert "cannot be redriven" in fleet.says("redrive", arn)


@pytest.fixture
def asking(fleet: Fleet) -> str:
    """An execution that waits for its task token; no worker runs."""
    fleet.deploy("m", {"A": ASK})
    arn = fleet.start("m")
    with fleet.worker() as worker:
        worker.until("task succeeded")  # the handler, which was given the token
        worker.signal(signal.SIGTERM)
        assert worker.ended() == 0
    return arn


def _token(fleet: Fleet, arn: str) -> str:
    (wait,) = fleet.json("get", arn)["waitsFor"]
    return str(wait["taskToken"])


def test_a_token_ends_its_task_with_a_result(fleet: Fleet, asking: str) -> None:
    token = _token(fleet, asking)
    assert token in fleet.asl("get", asking)
    fleet.asl("task", "heartbeat", token)
    fleet.asl("task", "succeed", token, "-o", '{"yes": true}')
    assert "Task Timed Out" in fleet.says("task", "succeed", token)
    with fleet.worker() as worker:
        assert fleet.asl("wait", asking) == '{"yes":true}\n'
        assert "task started" not in [event["event"] for event in worker.events()]


def test_a_token_fails_its_task(fleet: Fleet, asking: str) -> None:
    fleet.asl("task", "fail", _token(fleet, asking), "--error", "No", "--cause", "because")
    with fleet.worker():
        assert "FAILED: No" in fleet.says("wait", asking, code=2)


def test_a_token_that_nobody_minted_is_refused(fleet: Fleet) -> None:
    for words in (["succeed"], ["fail"], ["heartbeat"]):
        assert "Invalid Token" in fleet.says("task", *words, "AAAA")


def test_an_execution_in_quarantine_is_left_alone_until_it_is_resumed(fleet: Fleet, url: str) -> None:
    fleet.deploy("m", {"A": {"Type": "Pass", "Result": 1, "End": True}})
    arn = fleet.start("m")
    assert "not in quarantine" in fleet.says("resume", arn, code=0)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("update asl.open_execution set quarantine = 'Traceback: two and two are five'")
    assert "in quarantine until asl resume: Traceback: two and two are five" in fleet.asl("get", arn)
    assert "quarantined" in fleet.asl("ls")
    assert "two and two are five" in fleet.says("wait", arn, code=70)
    with fleet.worker():
        fleet.asl("resume", arn)
        assert fleet.asl("wait", arn) == "1\n"
    assert "is over: SUCCEEDED" in fleet.says("resume", arn)


@pytest.mark.parametrize("kind", ["RUN", "CHUNK"])
def test_what_holds_up_the_parent_of_a_map_run_is_told_and_can_be_resumed(fleet: Fleet, url: str, kind: str) -> None:
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "EXPRESS"}, "StartAt": "Hang",
                 "States": {"Hang": HANG}}  # fmt: skip
    fleet.deploy("m", {"Each": {"Type": "Map", "ItemProcessor": processor, "End": True}})
    with fleet.worker() as worker:
        arn = fleet.start("m", "-i", "[1]")
        worker.until("task started")
    store = PostgresStore(url)
    try:
        (held,) = store.latest_executions(arn)
        if kind == "CHUNK":
            (held,) = store.latest_executions(chunks_key(held.execution.arn))
    finally:
        store.close()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(  # as who has it puts it there
            "update asl.open_execution set quarantine = 'five is four', owner = null, wake_at = %s where id = %s",
            (NEVER_DUE, held.execution_id),
        )
    told = f"{held.execution.arn}: in quarantine until asl resume: five is four"
    assert told in fleet.json("get", arn)["stuck"]
    with fleet.worker("-t", "hang=mock:1"):
        with fleet.process("wait", arn) as waiting:
            waiting.line_with(told)
        fleet.asl("resume", held.execution.arn)
        assert fleet.asl("wait", arn) == "[1]\n"
        assert fleet.json("get", arn).get("stuck") is None


def test_ctrl_c_ends_the_waiting_and_not_the_execution(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": HANG})
    with fleet.process("start", "m", "--name", "one", "--wait") as waiting:
        waiting.line_with("execution:m:one")
        waiting.line_with("one waits: no worker serves pool default")
        waiting.signal(signal.SIGINT)
        assert waiting.ended() == 4
        assert "Traceback" not in "".join(waiting.lines)
    assert fleet.json("get", "m:one")["status"] == "RUNNING"
