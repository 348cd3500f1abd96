"""The table on a terminal: a pseudo-terminal stands in for it."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cli.command_line import PROCESS, TASK, environment, write_definition

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

STATES = {
    "Charge": {
        "Type": "Task",
        "Resource": TASK["Resource"],
        "ResultPath": "$.c",
        "Retry": [{"ErrorEquals": ["Boom"], "IntervalSeconds": 60}],
        "Next": "Each",
    },
    "Each": {
        "Type": "Map",
        "ItemsPath": "$.items",
        "ItemProcessor": {"StartAt": "Pack", "States": {"Pack": {"Type": "Wait", "Seconds": 60, "End": True}}},
        "End": True,
    },
}


def on_terminal(*words: str, rows: int = 40, stdout_too: bool = True, **variables: str) -> tuple[int, str, str]:
    """Runs it with stderr (and stdout) on a terminal: exit code, what the terminal got, what stdout got otherwise."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 100, 0, 0))
    process = subprocess.Popen(
        [*PROCESS, *words],
        stdin=subprocess.DEVNULL,
        stdout=theirs if stdout_too else subprocess.PIPE,
        stderr=theirs,
        env=environment(**{"TERM": "xterm-256color", **variables}),
    )
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 65_536):
            seen += chunk
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(ours)
    rest = process.stdout.read() if process.stdout else b""
    if process.stdout:
        process.stdout.close()
    return process.wait(), seen.decode(), rest.decode()


@pytest.fixture
def machine(tmp_path: Path) -> str:
    return write_definition(tmp_path / "m.json", STATES)


INPUT = json.dumps({"items": [1, 2, 3]})


def test_each_state_has_a_row_and_iterations_are_counted(machine: str) -> None:
    code, seen, _ = on_terminal("run", machine, "-i", INPUT, "-t", "Charge=mock:1")
    text = ESCAPES.sub("", seen)
    assert code == 0
    assert re.search(r"✓ +Charge +Task", text)
    assert re.search(r"✓ +Each +Map +3/3 +1 min", text)
    assert re.search(r"✓ +Pack +Wait +3/3", text)
    assert "SUCCEEDED after 1 min" in text


def test_the_output_is_indented_on_a_terminal_and_alone_on_stdout(machine: str) -> None:
    words = ["run", machine, "-i", INPUT, "-t", "Charge=mock:1"]
    assert "[\r\n  1,\r\n  2,\r\n  3\r\n]\r\n" in on_terminal(*words)[1]
    assert on_terminal(*words, stdout_too=False)[2] == "[1,2,3]\n"


def test_a_failure_is_marked_with_its_error_and_its_attempts(machine: str) -> None:
    code, seen, _ = on_terminal("run", machine, "-i", INPUT, "-t", "Charge=fail:Boom")
    text = ESCAPES.sub("", seen)
    assert code == 2
    assert re.search(r"✗ +Charge +Task +attempt 4, Boom", text)


def test_the_cursor_is_given_back(machine: str) -> None:
    _, seen, _ = on_terminal("run", machine, "-i", INPUT, "-t", "Charge=mock:1")
    assert seen.rindex("\x1b[?25h") > seen.rindex("\x1b[?25l")


def test_no_color_is_honoured(machine: str) -> None:
    _, seen, _ = on_terminal("run", machine, "-i", INPUT, "-t", "Charge=mock:1", NO_COLOR="1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]m", seen)


def test_a_dumb_terminal_gets_lines(machine: str) -> None:
    _, seen, _ = on_terminal("run", machine, "-i", INPUT, "-t", "Charge=mock:1", TERM="dumb")
    assert "Each: 3/3 items done" in seen
    assert "\x1b" not in seen


def test_trace_gets_lines_on_a_terminal_too(machine: str) -> None:
    _, seen, _ = on_terminal("run", machine, "-i", INPUT, "-t", "Charge=mock:1", "--trace")
    assert "input 2" in seen


def test_quiet_shows_nothing_but_the_output(machine: str) -> None:
    _, seen, _ = on_terminal("run", machine, "-i", INPUT, "-t", "Charge=mock:1", "--quiet", "--output", "json")
    assert seen == "[1,2,3]\r\n"


def test_many_states_end_in_a_full_table_on_a_low_terminal(tmp_path: Path) -> None:
    names = [f"S{number:02}" for number in range(30)]
    states = {name: {"Type": "Pass", "Next": following} for name, following in pairwise(names)}
    machine = write_definition(tmp_path / "m.json", {**states, names[-1]: {"Type": "Succeed"}})
    _, seen, _ = on_terminal("run", machine, rows=10)
    assert all(name in seen for name in names)


def test_many_executions_have_a_bar(machine: str, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(f"{INPUT}\n{INPUT}\n")
    code, seen, _ = on_terminal("run", machine, "-i", f"@{tmp_path / 'in.jsonl'}", "-t", "Charge=mock:1")
    assert code == 0
    assert "2/2" in ESCAPES.sub("", seen)
