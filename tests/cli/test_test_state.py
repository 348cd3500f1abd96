"""`asl test-state`: one state, what became of it on stdout, and the exit codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.command_line import asl

if TYPE_CHECKING:
    from pathlib import Path

MACHINE = """{
  "StartAt": "Charge",
  "States": {
    "Charge": {
      "Type": "Task",
      "Resource": "arn:aws:lambda:us-east-1:123456789012:function:charge",
      "ResultPath": "$.receipt",
      "Retry": [{"ErrorEquals": ["Busy"], "IntervalSeconds": 2, "MaxAttempts": 2}],
      "Catch": [{"ErrorEquals": ["Declined"], "Next": "Refuse"}],
      "Next": "Rest"
    },
    "Rest": {"Type": "Wait", "Seconds": 250, "End": true},
    "Refuse": {"Type": "Fail", "Error": "${WHAT}"}
  }
}"""


@pytest.fixture
def machine(tmp_path: Path) -> str:
    path = tmp_path / "machine.asl.json"
    path.write_text(MACHINE)
    return str(path)


def test_a_mocked_task_shows_every_stage(machine: str) -> None:
    result = asl("test-state", machine, "--state", "Charge", "-i", '{"a": 1}', "--mock", '{"result": 7}')
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "status": "SUCCEEDED",
        "output": {"a": 1, "receipt": 7},
        "nextState": "Rest",
        "inspectionData": {
            "input": {"a": 1},
            "afterInputPath": {"a": 1},
            "afterParameters": {"a": 1},
            "result": 7,
            "afterResultSelector": 7,
            "afterResultPath": {"a": 1, "receipt": 7},
        },
    }


@pytest.mark.parametrize(
    ("error", "options", "code", "answer"),
    [
        ("Busy", [], 2, {"status": "RETRIABLE", "error": "Busy"}),
        (
            "Busy",
            ["--configuration", '{"retrierRetryCount": 2}'],
            2,
            {"status": "FAILED", "error": "Busy"},
        ),
        (
            "Declined",
            [],
            0,
            {
                "status": "CAUGHT_ERROR",
                "output": {"Error": "Declined", "Cause": None},
                "error": "Declined",
                "nextState": "Refuse",
            },
        ),
    ],
)
def test_the_exit_code_tells_how_it_ended(
    machine: str, error: str, options: list[str], code: int, answer: object
) -> None:
    mock = json.dumps({"errorOutput": {"error": error}})
    result = asl("test-state", machine, "--state", "Charge", "--mock", mock, "--inspection-level", "info", *options)
    assert (result.exit_code, json.loads(result.stdout)) == (code, answer)


def test_a_target_does_the_task(machine: str) -> None:
    result = asl("test-state", machine, "--state", "Charge", "-t", "charge=mock:3", "--inspection-level", "INFO")
    assert json.loads(result.stdout) == {"status": "SUCCEEDED", "output": {"receipt": 3}, "nextState": "Rest"}


def test_a_task_that_nothing_does_is_told_with_what_to_type(machine: str) -> None:
    result = asl("test-state", machine, "--state", "Charge")
    assert (result.exit_code, "-t Charge=mock:" in result.stderr.replace("'", "")) == (1, True)


def test_waiting_is_skipped(machine: str) -> None:
    assert asl("test-state", machine, "--state", "Rest").exit_code == 0


def test_placeholders_get_their_values(machine: str) -> None:
    result = asl("test-state", machine, "--state", "Refuse", "-s", "WHAT=Refused")
    assert json.loads(result.stdout)["error"] == "Refused"


def test_a_single_state_stands_alone_in_its_file(tmp_path: Path) -> None:
    path = tmp_path / "state.yaml"
    path.write_text("Type: Pass\nParameters:\n  v.$: $v\n  c.$: $$.State.Name\nEnd: true\n")
    result = asl("test-state", str(path), "-v", "v=[1]")
    answer = json.loads(result.stdout)
    assert answer["output"] == {"v": [1], "c": "StateName"}
    assert answer["inspectionData"]["variables"] == {"v": [1]}


def test_the_context_object_can_be_given(machine: str) -> None:
    options = ["--mock", '{"result": 1}', "--context", '{"Execution": {"Nme": "x"}}']
    result = asl("test-state", machine, "--state", "Charge", *options)
    assert (result.exit_code, "Field 'Nme' is not allowed" in result.stderr) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--state says which of 'Charge', 'Rest', 'Refuse'"),
        (["--state", "Chrge"], "State not found in definition"),
        (["--state", "Charge", "--mock", "[]"], "--mock: expected a JSON object"),
        (["--state", "Rest", "--mock", '{"result": 1}'], "State type 'Wait' is not supported when a mock is specified"),
    ],
)
def test_wrong_usage_is_told(machine: str, arguments: list[str], told: str) -> None:
    result = asl("test-state", machine, *arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert told in result.stderr


def test_a_definition_that_cannot_be_used_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text('{"Type": "Pas", "End": true}')
    result = asl("test-state", str(path))
    assert (result.exit_code, "1:10: error" in result.stderr) == (1, True)
