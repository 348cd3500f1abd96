"""JSON from the command line, from files and from stdin; and where it is wrong."""

from pathlib import Path

import pytest

from tests.cli.command_line import asl


def test_a_file_is_read_with_an_at_sign(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('\ufeff{"x": "é"}', encoding="utf-8")
    assert asl("eval", "$.x", "-i", f"@{tmp_path / 'a.json'}").stdout == '"é"\n'


def test_yaml_is_told_by_the_name_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("x: [1, Yes, 2024-01-01]\n")
    assert asl("eval", "$.x", "-i", f"@{tmp_path / 'a.yaml'}").stdout == '[1,"Yes","2024-01-01"]\n'


def test_stdin_is_a_dash() -> None:
    assert asl("eval", "$", "-i", "-", stdin=" [1]\n").stdout == "[1]\n"


def test_numbers_keep_all_their_digits() -> None:
    assert asl("eval", "$", "-i", "123456789012345678901234567890").stdout == "123456789012345678901234567890\n"


@pytest.mark.parametrize(
    ("text", "place", "carets"),
    [
        ('{"a": 1 "b": 2}', "-i:1:9:", "  |         ^"),
        ('{\n"a":\n}', "-i:3:1:", "  | ^"),
        ("{a: 1}", "-i:1:2:", "  |  ^"),
    ],
)
def test_a_fault_is_shown_with_its_place(text: str, place: str, carets: str) -> None:
    result = asl("eval", "$", "-i", text)
    assert result.exit_code == 1
    assert place in result.stderr
    assert f"\n{carets}\n" in result.stderr


def test_a_fault_in_a_file_is_shown_with_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("x: [1\ny: 2\n")
    assert f"{path}:2:" in asl("eval", "$", "-i", f"@{path}").stderr


def test_a_forgotten_at_sign_is_pointed_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "input.json").write_text("{}")
    assert "write -i @input.json" in asl("eval", "$", "-i", "input.json").stderr
    (tmp_path / "my input.json").write_text("{}")
    assert "write -i '@my input.json'" in asl("eval", "$", "-i", "my input.json").stderr


@pytest.mark.parametrize(
    "given",
    [
        "",
        "-",
        "@missing.json",
        "@.",
        "{",
        "[1,]",
        '"\\ud800"',
        "1e999",
        "NaN",
        "x" * 5_000,
        "@" + "x" * 5_000,
        "[" * 10_000,
    ],
)
def test_what_is_no_json_is_wrong_usage(given: str) -> None:
    result = asl("eval", "$", "-i", given, stdin="")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Traceback" not in result.stderr


def test_bytes_that_are_no_utf_8_are_named() -> None:
    assert "not UTF-8" in asl("eval", "$", "-i", "-", stdin=b"\xff{}").stderr
