"""`-s`: definitions with the placeholders of DefinitionSubstitutions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.command_line import asl

if TYPE_CHECKING:
    from pathlib import Path

PLACEHOLDERS = """{
  "StartAt": "Check",
  "States": {
    "Check": {"Type": "Task", "Resource": "${CheckFunctionArn}", "Next": "Wait"},
    "Wait": {"Type": "Wait", "Seconds": ${Delay.In-Seconds}, "End": true}
  }
}"""
ARN = "arn:aws:lambda:us-east-1:123456789012:function:check"


@pytest.fixture
def machine(tmp_path: Path) -> str:
    path = tmp_path / "m.asl.json"
    path.write_text(PLACEHOLDERS)
    return str(path)


def test_placeholders_get_their_values(machine: str) -> None:
    values = ["-s", f"CheckFunctionArn={ARN}", "-s", "Delay.In-Seconds=5"]
    assert asl("validate", machine, *values).exit_code == 0
    assert asl("graph", machine, *values).exit_code == 0
    result = asl("run", machine, *values, "-t", "check=mock:1")
    assert (result.exit_code, result.stdout) == (0, "1\n")
    assert "SUCCEEDED after 5 s" in result.stderr


def test_values_can_be_in_a_file_and_a_later_one_counts(machine: str, tmp_path: Path) -> None:
    (tmp_path / "values.json").write_text(
        json.dumps({"CheckFunctionArn": ARN, "Delay.In-Seconds": 5, "Another": False})
    )
    values = ["-s", f"@{tmp_path}/values.json", "-s", "Delay.In-Seconds=7"]
    assert "SUCCEEDED after 7 s" in asl("run", machine, *values, "-t", "*=mock:1").stderr


def test_a_value_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text("StartAt: A\nStates: {A: {Type: Pass, Result: '${one}', End: true}}\n")
    result = asl("run", str(tmp_path / "m.yaml"), "-s", "one=${two}=2", "-s", "two=3")
    assert result.stdout == '"${two}=2"\n'


def test_a_placeholder_without_a_value_is_pointed_out(machine: str) -> None:
    first = asl("validate", machine)
    assert first.exit_code == 1
    assert "= help: ${Delay.In-Seconds} is a placeholder: give it a value, -s Delay.In-Seconds=..." in first.stdout
    second = asl("validate", machine, "-s", "Delay.In-Seconds=5")
    assert second.exit_code == 1
    assert "= help: ${CheckFunctionArn} is a placeholder: give it a value, -s CheckFunctionArn=..." in second.stdout


def test_what_is_wrong_with_the_value_is_shown_with_the_value(machine: str) -> None:
    result = asl("validate", machine, "-s", "Delay.In-Seconds=soon", "-s", f"CheckFunctionArn={ARN}")
    assert '"Seconds": soon' in result.stdout


def test_the_command_to_reproduce_has_the_values(machine: str) -> None:
    values = ["-s", f"CheckFunctionArn={ARN}", "-s", "Delay.In-Seconds=5"]
    assert f"-s CheckFunctionArn={ARN} -s Delay.In-Seconds=5" in asl("run", machine, *values, "-t", "*=fail:No").stderr


@pytest.mark.parametrize("given", ["Name", "=value", "${Name}=value", "@missing.json", "@list.json", "@nested.json"])
def test_what_is_no_substitution_is_wrong_usage(
    given: str, machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "nested.json").write_text('{"a": {}}')
    result = asl("validate", machine, "-s", given)
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"-s {given}" in result.stderr
    assert "Traceback" not in result.stderr


def test_text_that_is_no_utf_8_is_told_with_substitutions_too(tmp_path: Path) -> None:
    (tmp_path / "m.json").write_bytes(b'{"StartAt": "\xff"}')
    assert "Invalid UTF-8" in asl("validate", str(tmp_path / "m.json"), "-s", "a=b").stdout
