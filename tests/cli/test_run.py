"""One execution: output, exit code, failure, history, limits, time."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import PASS, TASK, asl, asl_process, write_definition

WAIT = {"Type": "Wait", "Seconds": 3600, "End": True}
FAIL = {"Type": "Fail", "Error": "Boom", "Cause": "it burst"}


def machine(folder: Path, *states: dict[str, Any], **fields: Any) -> str:
    """A definition whose states are called A, B, C, ..."""
    return write_definition(folder / "m.asl.json", dict(zip("ABCDE", states, strict=False)), **fields)


# ── output ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_stdout_holds_the_output_alone(tmp_path: Path) -> None:
    result = asl("run", machine(tmp_path, PASS), "-i", '{"x": ["é", 1.50]}')
    assert (result.exit_code, result.stdout) == (0, '{"x":["é",1.5]}\n')
    assert "SUCCEEDED" in result.stderr


def test_the_input_is_an_empty_object_when_none_is_given(tmp_path: Path) -> None:
    assert asl("run", machine(tmp_path, PASS)).stdout == "{}\n"


@pytest.mark.parametrize("value", ["null", "[]", '"x"', "0", "false"])
def test_the_input_may_be_any_json(value: str, tmp_path: Path) -> None:
    assert asl("run", machine(tmp_path, PASS), "-i", value).stdout == f"{value}\n"


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
def test_of_a_distributed_map_the_children_are_not_shown(tmp_path: Path, kind: str) -> None:
    config = {"Mode": "DISTRIBUTED", "ExecutionType": kind}
    processor = {"ProcessorConfig": config, "StartAt": "Inner", "States": {"Inner": PASS}}
    result = asl("run", machine(tmp_path, {"Type": "Map", "ItemProcessor": processor, "End": True}), "-i", "[1, 2]")
    assert (result.exit_code, result.stdout) == (0, "[1,2]\n")
    assert "Inner" not in result.stderr
    assert "A: started, 2 items" in result.stderr


def test_the_output_can_be_indented(tmp_path: Path) -> None:
    assert asl("run", machine(tmp_path, PASS), "-i", "[1]", "--output", "pretty").stdout == "[\n  1\n]\n"


def test_quiet_says_nothing_but_the_output(tmp_path: Path) -> None:
    result = asl("run", machine(tmp_path, WAIT), "--quiet")
    assert (result.stdout, result.stderr) == ("{}\n", "")


def test_the_definition_may_come_from_stdin() -> None:
    assert asl("run", "-", "-i", "1", stdin="StartAt: A\nStates:\n  A:\n    Type: Succeed\n").stdout == "1\n"


def test_yaml_that_looks_like_json_is_yaml_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text("{StartAt: A, States: {A: {Type: Succeed}}}")
    assert asl("run", str(path)).stdout == "{}\n"


def test_what_handlers_print_goes_to_stderr(tmp_path: Path) -> None:
    (tmp_path / "noisy.py").write_text(
        "import subprocess\n"
        "def a(event):\n"
        "    print('from python')\n"
        "    subprocess.run(['echo', 'from a child'])\n"
        "    return 1\n"
    )
    with asl_process("run", machine(tmp_path, TASK), "--handlers", "noisy.py", cwd=tmp_path) as process:
        stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (0, "1\n")
    assert "from python\n" in stderr
    assert "from a child\n" in stderr


# ── exit codes ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failed_execution_exits_with_2(tmp_path: Path) -> None:
    result = asl("run", machine(tmp_path, FAIL))
    assert (result.exit_code, result.stdout) == (2, "")


def test_a_timed_out_execution_exits_with_3(tmp_path: Path) -> None:
    result = asl("run", machine(tmp_path, WAIT, TimeoutSeconds=60))
    assert (result.exit_code, result.stdout) == (3, "")
    assert "TIMED_OUT" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["-i", "{"],
        ["-i", "-", "--jsonl", "--name", "x"],
        ["--jsonl"],
        ["--limits", "some"],
        ["--limits", "payload_bytes=0"],
        ["--limits", "memory=5"],
        ["--type", "FAST"],
        ["--name", "a b"],
        ["--history", "-"],
        ["--history", "no/such/folder/h.json"],
        ["--trace", "--quiet"],
        ["--concurrency", "0"],
        ["--seed", "x"],
    ],
)
def test_wrong_usage_exits_with_1_and_runs_nothing(words: list[str], tmp_path: Path) -> None:
    result = asl("run", machine(tmp_path, PASS), *words, stdin="1\n2\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr
    assert "Traceback" not in result.stderr


def test_definition_and_input_cannot_both_be_stdin() -> None:
    assert asl("run", "-", "-i", "-", stdin="{}").exit_code == 1


def test_an_invalid_definition_is_shown_and_not_run(tmp_path: Path) -> None:
    result = asl("run", machine(tmp_path, {"Type": "Pass", "Next": "Nope"}))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "error[MISSING_TRANSITION_TARGET]" in result.stderr
    assert "^^^^^^" in result.stderr


# ── failure ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_failure_tells_error_cause_state_and_its_input(tmp_path: Path) -> None:
    states = ({"Type": "Pass", "Result": {"n": 1}, "Next": "B"}, {**TASK, "Retry": [{"ErrorEquals": ["Other"]}]})
    stderr = asl("run", machine(tmp_path, *states), "-t", "B=fail:Boom:it burst").stderr
    assert "FAILED: Boom\n" in stderr
    assert "  cause      it burst\n" in stderr
    assert "  state      B (Task)\n" in stderr
    assert '  its input  {"n":1}\n' in stderr
    assert "  its Retry  Other at most 3 times\n" in stderr


def test_a_failure_inside_a_map_names_the_state_inside(tmp_path: Path) -> None:
    inner = {"StartAt": "Inner", "States": {"Inner": TASK}}
    states = {"Type": "Map", "ItemProcessor": inner, "End": True}
    stderr = asl("run", machine(tmp_path, states), "-i", "[5]", "-t", "Inner=fail:Boom").stderr
    assert "  state      Inner (Task)\n" in stderr
    assert "  its input  5\n" in stderr


def test_a_cause_that_is_json_is_laid_out(tmp_path: Path) -> None:
    (tmp_path / "raising.py").write_text("def a(event):\n    raise LookupError('no stock')\n")
    with asl_process("run", machine(tmp_path, TASK), "--handlers", "raising.py", cwd=tmp_path) as process:
        stderr = process.communicate()[1]
    assert process.returncode == 2
    assert "LookupError: no stock\n" in stderr
    assert '               "errorMessage": "no stock",\n' in stderr
    assert 'raising.py", line 2, in a\n' in stderr


def test_a_long_input_is_shortened_unless_everything_is_told(tmp_path: Path) -> None:
    words = ["run", machine(tmp_path, FAIL), "-i", json.dumps("x" * 1_000)]
    assert "… (1002 characters; --trace shows all)" in asl(*words).stderr
    assert "characters; --trace" not in asl(*words, "--trace").stderr


def test_the_command_to_reproduce_gives_the_same_failure(tmp_path: Path) -> None:
    states = (
        {"Type": "Pass", "Parameters": {"n.$": "States.MathRandom(1, 1000000)", "say.$": "$.say"}, "Next": "B"},
        {"Type": "Fail", "Error": "Boom", "CausePath": "States.Format('{} {}', $.n, $.say)"},
    )
    (tmp_path / "in.json").write_text(json.dumps({"say": "it's $HOME"}))
    first = asl("run", machine(tmp_path, *states), "-i", "-", stdin=(tmp_path / "in.json").read_text())
    command = next(line for line in first.stderr.splitlines() if line.startswith("  reproduce"))
    program, *words = shlex.split(command.removeprefix("  reproduce"))
    again = asl(*words)
    assert program == "asl"
    assert cause(again.stderr) == cause(first.stderr)
    assert "it's $HOME" in cause(again.stderr)


def cause(stderr: str) -> str:
    return next(line for line in stderr.splitlines() if line.startswith("  cause"))


def test_the_command_to_reproduce_repeats_what_matters(tmp_path: Path) -> None:
    words = ["-t", "A=fail:Boom", "--type", "EXPRESS", "--limits", "off", "--name", "n1", "--real-time", "--seed", "5"]
    stderr = asl("run", machine(tmp_path, TASK), *words).stderr
    command = next(line for line in stderr.splitlines() if line.startswith("  reproduce"))
    assert sorted(shlex.split(command)[4:]) == sorted(words)


# ── time ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_waiting_is_skipped_and_it_is_said_how_much(tmp_path: Path) -> None:
    result = asl("run", machine(tmp_path, WAIT))
    assert result.exit_code == 0
    assert "SUCCEEDED after 1 h\n" in result.stderr
    assert "1 h of waiting skipped (--real-time waits)\n" in result.stderr


def test_real_time_waits(tmp_path: Path) -> None:
    result = asl("run", machine(tmp_path, {**WAIT, "Seconds": 1}), "--real-time")
    assert result.exit_code == 0
    assert "skipped" not in result.stderr
    assert "SUCCEEDED after 1" in result.stderr


# ── options of the execution ────────────────────────────────────────────────────────────────────────────────────────


def test_the_execution_has_the_name_that_was_given(tmp_path: Path) -> None:
    state = {"Type": "Pass", "Parameters": {"name.$": "$$.Execution.Name", "of.$": "$$.StateMachine.Name"}, "End": True}
    assert asl("run", machine(tmp_path, state), "--name", "first").stdout == '{"name":"first","of":"m"}\n'


def test_an_express_execution_has_an_express_arn(tmp_path: Path) -> None:
    state = {"Type": "Pass", "Parameters": {"id.$": "$$.Execution.Id"}, "End": True}
    assert ":express:m:" in asl("run", machine(tmp_path, state), "--type", "EXPRESS").stdout


def test_limits_are_awss_unless_they_are_lifted(tmp_path: Path) -> None:
    given = tmp_path / "big.json"
    given.write_text(json.dumps("x" * 300_000))
    words = ["run", machine(tmp_path, PASS), "-i", f"@{given}", "--quiet"]
    assert asl(*words).exit_code == 1
    assert asl(*words, "--limits", "off").exit_code == 0
    assert asl(*words, "--limits", "payload_bytes=400000,history_events=aws").exit_code == 0
    assert asl(*words, "--limits", "history-events=off").exit_code == 1


def test_the_history_is_written_as_aws_shows_it(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    assert asl("run", machine(tmp_path, WAIT), "-i", '{"n": 1}', "--history", str(path)).exit_code == 0
    events = json.loads(path.read_text())["events"]
    assert [event["type"] for event in events] == [
        "ExecutionStarted", "WaitStateEntered", "WaitStateExited", "ExecutionSucceeded",
    ]  # fmt: skip
    assert [event["id"] for event in events] == [1, 2, 3, 4]
    assert json.loads(events[0]["executionStartedEventDetails"]["input"]) == {"n": 1}
    entered, exited = (event["timestamp"] for event in events[1:3])
    assert entered[:10] <= exited[:10]
    assert entered[-10:] == exited[-10:]
    assert entered.endswith("Z")


def test_the_history_of_a_failure_is_written_too(tmp_path: Path) -> None:
    path = tmp_path / "history.json"
    assert asl("run", machine(tmp_path, FAIL), "--history", str(path)).exit_code == 2
    assert json.loads(path.read_text())["events"][-1]["type"] == "ExecutionFailed"


# ── what is told meanwhile ──────────────────────────────────────────────────────────────────────────────────────────


def told(stderr: str) -> list[str]:
    """The lines about states, without their times."""
    return [line.partition(" ")[2] for line in stderr.splitlines() if line[:2] == "20"]


def test_each_state_has_its_lines(tmp_path: Path) -> None:
    retry = [{"ErrorEquals": ["Boom"], "IntervalSeconds": 5, "MaxAttempts": 1}]
    catch = [{"ErrorEquals": ["Boom"], "Next": "C"}]
    states = ({"Type": "Pass", "Next": "B"}, {**TASK, "Retry": retry, "Catch": catch}, WAIT)
    assert told(asl("run", machine(tmp_path, *states), "-t", "B=fail:Boom:x").stderr) == [
        "A: done",
        "B: started",
        "B: failed: Boom: x",
        "B: attempt 2 after 5 s",
        "B: failed after 5 s: Boom: x",
        "B: caught Boom after 5 s",
        "C: waiting",
        "C: done after 1 h",
    ]


def test_a_map_is_summed_up(tmp_path: Path) -> None:
    inner = {"StartAt": "I", "States": {"I": {"Type": "Wait", "SecondsPath": "$", "End": True}}}
    state = {"Type": "Map", "ItemProcessor": inner, "End": True}
    lines = told(asl("run", machine(tmp_path, state), "-i", json.dumps(list(range(1, 41)))).stderr)
    assert lines[0] == "A: started, 40 items"
    assert lines[1:-1] == [f"A: {done}/40 items done" for done in range(4, 41, 4)]
    assert lines[-1] == "A: done after 40 s"


def test_a_loop_is_not_told_for_ever(tmp_path: Path) -> None:
    states = (
        {"Type": "Pass", "Parameters": {"n.$": "States.MathAdd($.n, -1)"}, "Next": "B"},
        {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericGreaterThan": 0, "Next": "A"}], "Default": "C"},
        {"Type": "Succeed"},
    )
    lines = told(asl("run", machine(tmp_path, *states), "-i", '{"n": 500}').stderr)
    assert lines.count("A: done") == 10
    assert len([line for line in lines if "not told" in line]) == 2
    assert lines[-1] == "C: done"


def test_trace_tells_every_input_and_output(tmp_path: Path) -> None:
    inner = {"StartAt": "I", "States": {"I": {"Type": "Pass", "Assign": {"v": 1}, "Result": 8, "End": True}}}
    stderr = asl(
        "run", machine(tmp_path, {"Type": "Map", "ItemProcessor": inner, "End": True}), "-i", "[7]", "--trace"
    ).stderr
    assert told(stderr) == [
        "A: entered (Map)", "A: started, 1 items", "I (A[0]): entered (Pass)", "I (A[0]): done", "A: done",
    ]  # fmt: skip
    payloads = [line.strip() for line in stderr.splitlines() if line.startswith("    ")]
    assert payloads == ["input [7]", "input 7", "output 8", "assigned $v = 1", "output [8]"]


def test_a_fault_of_the_engine_is_not_told_as_the_state_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise AssertionError("two and two are five")

    monkeypatch.setattr("engine.runtime.executions.advance_together", fail)
    result = asl("run", machine(tmp_path, PASS))
    assert (result.exit_code, result.stdout) == (70, "")
    assert "two and two are five" in result.stderr
    assert "FAILED" not in result.stderr
