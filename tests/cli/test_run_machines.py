"""Other state machines and test cases on the command line of `asl run`."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.command_line import PASS, TASK, asl, write_definition

if TYPE_CHECKING:
    from pathlib import Path

START = {
    "Type": "Task",
    "Resource": "arn:aws:states:::states:startExecution.sync:2",
    "Parameters": {"StateMachineArn": "arn:aws:states:eu-west-1:999999999999:stateMachine:Ship", "Input.$": "$"},
    "OutputPath": "$.Output",
    "End": True,
}

MOCKS = {
    "StateMachines": {"orders": {"TestCases": {"Good": {"A": "Paid"}, "Bad": {"A": "Refused"}}}},
    "MockedResponses": {
        "Paid": {"0": {"Return": {"paid": True}}},
        "Refused": {"0": {"Throw": {"Error": "Refused", "Cause": "no money"}}},
    },
}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFN_MOCK_CONFIG", "")  # what a command puts there goes with the test


def mocks(folder: Path, **more: Any) -> str:
    file = folder / "MockConfigFile.json"
    file.write_text(json.dumps({**MOCKS, **more}))
    return str(file)


@pytest.mark.parametrize("name", ["Ship", "arn:aws:states:eu-west-1:999999999999:stateMachine:Ship"])
def test_a_state_machine_that_a_task_starts_is_given_by_name_or_arn(tmp_path: Path, name: str) -> None:
    parent = write_definition(tmp_path / "parent.asl.json", {"A": START})
    child = write_definition(tmp_path / "child.asl.json", {"B": {**PASS, "Result": "shipped"}})
    result = asl("run", parent, "--machine", f"{name}={child}")
    assert (result.exit_code, result.stdout) == (0, '"shipped"\n')


def test_a_state_machine_that_nobody_gave_is_told_by_its_arn(tmp_path: Path) -> None:
    result = asl("run", write_definition(tmp_path / "parent.asl.json", {"A": START}))
    assert result.exit_code == 2
    assert "StepFunctions.StateMachineDoesNotExist" in result.stderr
    assert ":stateMachine:Ship" in result.stderr


@pytest.mark.parametrize("given", ["Ship", "Ship=", "=f.json", "a b=f.json", "Ship=-"])
def test_what_is_no_name_and_file_is_refused(tmp_path: Path, given: str) -> None:
    result = asl("run", write_definition(tmp_path / "m.asl.json", {"A": PASS}), "--machine", given)
    assert result.exit_code == 1
    assert f"--machine {given}: expected NAME=FILE" in result.stderr


def test_a_wrong_definition_is_told_with_the_option(tmp_path: Path) -> None:
    bad = write_definition(tmp_path / "bad.json", {"A": {"Type": "Odd"}})
    result = asl("run", write_definition(tmp_path / "m.asl.json", {"A": PASS}), "--machine", f"Ship={bad}")
    assert result.exit_code == 1
    assert "/States/A" in result.stderr
    assert f"asl validate {bad}" in result.stderr


def test_a_test_case_gives_what_it_mocks(tmp_path: Path) -> None:
    orders = write_definition(tmp_path / "orders.asl.json", {"A": TASK})
    good = asl("run", orders, "--mock-config", mocks(tmp_path), "--test-case", "Good")
    assert (good.exit_code, good.stdout) == (0, '{"paid":true}\n')
    bad = asl("run", orders, "--mock-config", mocks(tmp_path), "--test-case", "Bad")
    assert bad.exit_code == 2
    assert "no money" in bad.stderr


def test_the_only_state_machine_with_such_a_test_case_is_meant_whatever_the_file_is_called(tmp_path: Path) -> None:
    other = write_definition(tmp_path / "other.asl.json", {"A": TASK})
    assert asl("run", other, "--mock-config", mocks(tmp_path), "--test-case", "Good").stdout == '{"paid":true}\n'


def test_every_line_of_many_inputs_is_of_the_test_case(tmp_path: Path) -> None:
    orders = write_definition(tmp_path / "orders.asl.json", {"A": TASK})
    words = ["run", orders, "--mock-config", mocks(tmp_path), "--test-case", "Good", "-i", "-", "--jsonl"]
    lines = asl(*words, stdin="1\n2\n").stdout.splitlines()
    assert [json.loads(line)["output"] for line in lines] == [{"paid": True}] * 2


def test_the_command_that_runs_it_again_names_machines_and_mocks(tmp_path: Path) -> None:
    orders = write_definition(tmp_path / "orders.asl.json", {"A": TASK})
    child = write_definition(tmp_path / "child.asl.json", {"B": PASS})
    file = mocks(tmp_path)
    result = asl("run", orders, "--machine", f"Ship={child}", "--mock-config", file, "--test-case", "Bad")
    again = next(shlex.split(line) for line in result.stderr.splitlines() if " run " in line)
    start = again.index("run")
    assert f"Ship={child}" in again[start:]
    assert asl(*again[start:]).exit_code == 2


def test_a_test_case_that_there_is_not_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    orders = write_definition(tmp_path / "orders.asl.json", {"A": TASK})
    result = asl("run", orders, "--mock-config", mocks(tmp_path), "--test-case", "Sad")
    assert result.exit_code == 1
    assert "no test case orders#Sad; it has orders#Bad, orders#Good" in result.stderr


def test_a_test_case_needs_a_mock_configuration(tmp_path: Path) -> None:
    result = asl("run", write_definition(tmp_path / "m.json", {"A": PASS}), "--test-case", "Good")
    assert result.exit_code == 1
    assert "--test-case needs --mock-config" in result.stderr


def test_a_bad_mock_configuration_is_told_with_its_place(tmp_path: Path) -> None:
    file = mocks(tmp_path, Mocks={})
    result = asl("run", write_definition(tmp_path / "m.json", {"A": PASS}), "--mock-config", file)
    assert result.exit_code == 1
    assert "Mocks: expected only StateMachines and MockedResponses" in result.stderr
    assert file in result.stderr
