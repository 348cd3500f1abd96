"""Rows under headings, for a terminal and for a file."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.cells import cell_len

from engine.cli.tables import print_fields, print_table

if TYPE_CHECKING:
    import pytest

COLUMNS = ("NAME", "STATUS", "NOTE")
ROWS = [("an-execution-with-a-long-name", "RUNNING", "x" * 60), ("注文", "FAILED", "")]


def test_in_a_file_nothing_is_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, ROWS, cut=("NAME", "NOTE"))
    out = capsys.readouterr().out
    assert all(cell in out for row in ROWS for cell in row)
    assert "\x1b" not in out
    assert all(line == line.rstrip() for line in out.splitlines())


def test_in_a_terminal_only_what_may_be_cut_gives_way(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.cli.tables.can_redraw", lambda stream: stream is sys.stdout)
    monkeypatch.setenv("COLUMNS", "60")
    print_table(COLUMNS, ROWS, cut=("NAME", "NOTE"))
    out = capsys.readouterr().out
    assert "RUNNING" in out
    assert "FAILED" in out
    assert "x" * 60 not in out
    assert "…" in out
    assert all(cell_len(line) <= 60 for line in out.splitlines())


def test_later_lines_of_a_field_stand_under_its_first(capsys: pytest.CaptureFixture[str]) -> None:
    print_fields({"a": "1", "long": "one\ntwo"})
    assert capsys.readouterr().out == "a     1\nlong  one\n      two\n"
