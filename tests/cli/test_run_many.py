"""Inputs on lines: one execution for each, one line of output for each, in their order."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.command_line import PASS, TASK, asl, write_definition

# Waits as many seconds as its input says, so that the last of `3, 2, 1` ends first; fails where the input is 0.
STATES = {
    "Zero": {"Type": "Choice", "Choices": [{"Variable": "$.n", "NumericEquals": 0, "Next": "No"}], "Default": "Wait"},
    "Wait": {"Type": "Wait", "SecondsPath": "$.n", "End": True},
    "No": {"Type": "Fail", "Error": "Zero", "Cause": "expected more"},
}


@pytest.fixture
def machine(tmp_path: Path) -> str:
    return write_definition(tmp_path / "m.json", STATES)


def lines(*numbers: int) -> str:
    return "".join(f'{{"n": {number}}}\n' for number in numbers)


def printed(stdout: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines()]


def test_results_come_in_the_order_of_the_inputs(machine: str) -> None:
    result = asl("run", machine, "-i", "-", stdin=lines(3, 2, 1))
    assert result.exit_code == 0
    assert [each["output"]["n"] for each in printed(result.stdout)] == [3, 2, 1]
    assert {each["status"] for each in printed(result.stdout)} == {"SUCCEEDED"}
    assert len({each["name"] for each in printed(result.stdout)}) == 3


def test_a_failure_has_its_line_and_the_exit_code_is_the_worst(machine: str) -> None:
    result = asl("run", machine, "-i", "-", stdin=lines(1, 0, 2))
    assert result.exit_code == 2
    failed = printed(result.stdout)[1]
    assert failed == {"name": failed["name"], "status": "FAILED", "error": "Zero", "cause": "expected more"}
    assert "3 executions: " in result.stderr
    assert "2 succeeded" in result.stderr
    assert "1 failed" in result.stderr


def test_the_first_failure_is_told_with_the_command_that_repeats_it(machine: str) -> None:
    stderr = asl("run", machine, "-i", "-", stdin=lines(1, 0, 0)).stderr
    assert "The first that did not succeed has input 2:" in stderr
    assert stderr.count("FAILED: Zero") == 1
    assert f"asl run {machine} -i '{{\"n\":0}}'\n" in stderr


def test_few_at_once_give_the_same(machine: str) -> None:
    numbers = [5, 1, 4, 2, 3] * 4
    result = asl("run", machine, "-i", "-", "-j", "2", stdin=lines(*numbers))
    assert [each["output"]["n"] for each in printed(result.stdout)] == numbers


def test_blank_lines_do_not_count(machine: str) -> None:
    assert len(printed(asl("run", machine, "-i", "-", stdin="\n" + lines(1) + "\r\n" + lines(2) + "\n").stdout)) == 2


def test_one_document_over_several_lines_is_one_input(machine: str) -> None:
    assert asl("run", machine, "-i", "-", stdin='{\n"n": 1\n}\n').stdout == '{"n":1}\n'


def test_one_line_is_one_input_unless_lines_are_asked_for(machine: str) -> None:
    assert asl("run", machine, "-i", "-", stdin=lines(1)).stdout == '{"n":1}\n'
    assert printed(asl("run", machine, "-i", "-", "--jsonl", stdin=lines(1)).stdout)[0]["status"] == "SUCCEEDED"


def test_an_array_is_one_input(tmp_path: Path) -> None:
    machine = write_definition(tmp_path / "m.json", {"A": PASS})
    assert asl("run", machine, "-i", "-", stdin="[1,\n2]").stdout == "[1,2]\n"


def test_a_file_of_lines_is_told_by_its_name(machine: str, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(lines(1, 2))
    assert len(printed(asl("run", machine, "-i", f"@{tmp_path / 'in.jsonl'}").stdout)) == 2


def test_no_lines_are_no_executions(machine: str) -> None:
    result = asl("run", machine, "-i", "-", "--jsonl", stdin="")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "0 executions" in result.stderr


def test_a_line_that_is_no_json_is_shown_before_anything_runs(machine: str) -> None:
    result = asl("run", machine, "-i", "-", stdin=lines(1, 2) + '{"n": }\n')
    assert (result.exit_code, result.stdout) == (1, "")
    assert "<stdin>:3:7: not JSON" in result.stderr
    assert '3 | {"n": }\n  |       ^' in result.stderr


def test_quiet_tells_only_what_failed(machine: str) -> None:
    assert asl("run", machine, "-i", "-", "--quiet", stdin=lines(1, 2)).stderr == ""


@pytest.mark.parametrize("words", [["--name", "x"], ["--history", "h.json"], ["--trace"], ["--output", "pretty"]])
def test_what_is_for_one_execution_is_refused(words: list[str], machine: str) -> None:
    result = asl("run", machine, "-i", "-", *words, stdin=lines(1, 2))
    assert (result.exit_code, result.stdout) == (1, "")


def test_a_task_without_a_handler_stops_all(tmp_path: Path) -> None:
    machine = write_definition(tmp_path / "m.json", {"A": TASK})
    result = asl("run", machine, "-i", "-", stdin="1\n2\n")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "-t 'A=mock:{}'" in result.stderr


def test_an_input_that_aws_would_refuse_is_named(tmp_path: Path) -> None:
    machine = write_definition(tmp_path / "m.json", {"A": PASS})
    result = asl("run", machine, "-i", "-", "-j", "1", stdin=f'1\n"{"x" * 300_000}"\n3\n')
    assert result.exit_code == 1
    assert "input 2" in result.stderr
    assert [each["output"] for each in printed(result.stdout)] == [1]


def test_thousands_run(tmp_path: Path) -> None:
    machine = write_definition(tmp_path / "m.json", {"A": TASK})
    numbers = range(2_000)
    result = asl("run", machine, "-i", "-", "-t", "A=mock:1", stdin="".join(f"{number}\n" for number in numbers))
    assert (result.exit_code, len(result.stdout.splitlines())) == (0, 2_000)
