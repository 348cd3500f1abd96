"""Ctrl-C, in a process of its own: the first aborts the execution, the second ends everything."""

import json
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from tests.cli.command_line import TASK, asl_process, write_definition

WAIT = {"Type": "Wait", "Seconds": 3600, "End": True}

STUBBORN = """
import sys, time, anyio

async def a(event):
    while True:
        try:
            print("working", flush=True)
            await anyio.sleep(3600)
        except BaseException:
            print("not stopping", flush=True)

async def b(event):
    print("working", flush=True)
    time.sleep(3600)
"""


def read_until(process: subprocess.Popen[str], text: str) -> None:
    """Reads stderr up to a line that holds the text."""
    for line in process.stderr:
        if text in line:
            return
    raise AssertionError(f"stderr ended without {text!r}")


def is_running(pid: int) -> bool:
    """Whether the process is there and not just waiting for its parent to take notice of its end."""
    ps = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return ps.stdout.strip()[:1] not in ("", "Z")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_aborts_the_execution(number: signal.Signals, tmp_path: Path) -> None:
    machine = write_definition(tmp_path / "m.json", {"A": WAIT})
    with asl_process("run", machine, "--real-time", "--history", str(tmp_path / "h.json")) as process:
        read_until(process, "A: waiting")
        process.send_signal(number)
        stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (4, "")
    assert "ABORTED" in stderr
    assert "Interrupted by the user" in stderr
    assert "Traceback" not in stderr
    assert json.loads((tmp_path / "h.json").read_text())["events"][-1]["type"] == "ExecutionAborted"


@pytest.mark.parametrize("state", ["A", "B"], ids=["refuses to be cancelled", "blocks the event loop"])
def test_the_second_signal_ends_the_process_at_once(state: str, tmp_path: Path) -> None:
    (tmp_path / "stubborn.py").write_text(STUBBORN)
    machine = write_definition(tmp_path / "m.json", {state: TASK})
    with asl_process("run", machine, "--handlers", "stubborn.py", cwd=tmp_path) as process:
        read_until(process, "working")
        process.send_signal(signal.SIGINT)
        if state == "A":
            read_until(process, "once more ends asl at once")
            read_until(process, "not stopping")
        # Where the event loop is blocked nothing tells that the first has arrived, and two that wait count as one.
        while process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.05)
        stdout = process.stdout.read()
    assert (process.returncode, stdout) == (4, "")


def test_a_command_that_runs_is_killed(tmp_path: Path) -> None:
    (tmp_path / "hang.sh").write_text("echo $$ > pid; exec sleep 3600\n")
    machine = write_definition(tmp_path / "m.json", {"A": TASK})
    with asl_process("run", machine, "-t", "A=cmd:sh hang.sh", cwd=tmp_path) as process:
        read_until(process, "A: started")
        process.send_signal(signal.SIGINT)
        process.communicate()
    assert process.returncode == 4
    pid = tmp_path / "pid"
    assert not (pid.exists() and is_running(int(pid.read_text())))


def test_of_many_all_are_aborted_and_those_that_ended_are_printed(tmp_path: Path) -> None:
    states = {"Wait": {"Type": "Wait", "SecondsPath": "$", "End": True}}
    machine = write_definition(tmp_path / "m.json", states)
    (tmp_path / "in.jsonl").write_text("0\n3600\n0\n")
    words = ["run", machine, "-i", f"@{tmp_path / 'in.jsonl'}", "--real-time", "-j", "2"]
    with asl_process(*words) as process:
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    assert process.returncode == 4
    assert json.loads(first)["status"] == "SUCCEEDED"
    assert [json.loads(line)["status"] for line in stdout.splitlines()][:1] == ["ABORTED"]
    assert "aborted" in stderr
