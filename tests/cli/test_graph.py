"""`asl graph` writes the picture that was asked for, where it was asked for."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.cli.command_line import PASS, asl, write_definition


@pytest.fixture
def machine(tmp_path: Path) -> str:
    return write_definition(tmp_path / "order.asl.json", {"A": {"Type": "Pass", "Next": "B"}, "B": PASS})


def test_mermaid_is_what_comes_without_options(machine: str) -> None:
    result = asl("graph", machine)
    assert result.exit_code == 0
    assert "flowchart" in result.stdout


def test_the_format_can_be_chosen(machine: str) -> None:
    assert asl("graph", machine, "--format", "dot").stdout.startswith("digraph")
    assert ET.fromstring(asl("graph", machine, "--format", "svg").stdout).tag == "{http://www.w3.org/2000/svg}svg"


@pytest.mark.parametrize(
    ("name", "begins"), [("a.svg", "<svg"), ("a.dot", "digraph"), ("a.GV", "digraph"), ("b.mmd", "")]
)
def test_the_format_follows_the_name_of_the_file(name: str, begins: str, machine: str, tmp_path: Path) -> None:
    result = asl("graph", machine, "-o", str(tmp_path / name))
    assert (result.exit_code, result.stdout) == (0, "")
    assert (tmp_path / name).read_text().startswith(begins)


def test_a_name_that_tells_no_format_is_wrong_usage(machine: str, tmp_path: Path) -> None:
    assert asl("graph", machine, "-o", str(tmp_path / "picture.png")).exit_code == 1
    assert asl("graph", machine, "-o", str(tmp_path / "picture.txt"), "--format", "svg").exit_code == 0


def test_the_heading_is_the_name_of_the_file_or_what_was_given(machine: str) -> None:
    assert "order" in asl("graph", machine, "--format", "svg").stdout
    assert "Night shift" in asl("graph", machine, "--format", "svg", "--title", "Night shift").stdout


def test_a_place_that_cannot_be_written_is_wrong_usage(machine: str, tmp_path: Path) -> None:
    result = asl("graph", machine, "-o", str(tmp_path / "missing" / "a.svg"))
    assert (result.exit_code, "No such file or directory" in result.stderr) == (1, True)


def test_an_invalid_definition_is_not_drawn(tmp_path: Path) -> None:
    result = asl("graph", write_definition(tmp_path / "a.json", {"A": {"Type": "Pass", "Next": "Nope"}}))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Missing 'Next' target: Nope" in result.stderr
