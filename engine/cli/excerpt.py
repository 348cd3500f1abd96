"""A line of somebody's text with carets under the place that is meant.

Columns count characters; carets count cells of a terminal.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTH = 100
"""Cells of a line that are shown when no terminal says how many it has."""

_WIDTH_MIN = 20
_TAB = 4
_CUT = "…"


class Excerpt(NamedTuple):
    """One line to show, and the line to show below it. `number` counts from 1."""

    number: int
    text: str
    carets: str


def lines_of(source: str) -> list[str]:
    """The lines as positions count them: only a line feed ends one."""
    return [line.removesuffix("\r") for line in source.split("\n")]


def line_and_column(source: str, offset: int) -> tuple[int, int]:
    """Of the character at `offset`, both from 1."""
    before = source[:offset]
    return before.count("\n") + 1, offset - before.rfind("\n")


def excerpt(
    lines: Sequence[str],
    line: int,
    column: int,
    *,
    end_line: int | None = None,
    end_column: int | None = None,
    width: int = WIDTH,
) -> Excerpt:
    """Cuts out the line where something begins.

    Args:
        lines: Of the whole text.
        line: Where it begins, from 1; one past the last line is the end of the text.
        column: From 1.
        end_line: Where it ends. When that is another line, the carets go to the end of the first.
        end_column: One past its last character.
        width: Cells to use at most; a longer line is cut on both sides of the place.
    """
    source = lines[line - 1] if line <= len(lines) else ""
    start = min(column - 1, len(source))
    goes_on = end_line is not None and end_line > line
    end = len(source.rstrip()) if goes_on else (end_column or column + 1) - 1
    end = max(start + 1, min(end, len(source)))
    shown, cells = _drawn(source)
    first, last = cells[min(start, len(source))], cells[min(end, len(source))]
    return _windowed(Excerpt(line, shown, " " * first + "^" * max(1, last - first)), first, max(width, _WIDTH_MIN))


def _drawn(source: str) -> tuple[str, list[int]]:
    """The line as it is shown, and the cell at which each of its characters begins (and the one after the last)."""
    shown: list[str] = []
    cells = [0]
    for char in source:
        drawn, taken = _cell(char, cells[-1])
        shown.append(drawn)
        cells.append(cells[-1] + taken)
    return "".join(shown), cells


def _cell(char: str, at: int) -> tuple[str, int]:
    """A character as it is shown at a cell, and how many cells it takes."""
    if " " <= char <= "~":
        return char, 1
    if char == "\t":
        taken = _TAB - at % _TAB
        return " " * taken, taken
    category = unicodedata.category(char)
    if category in ("Mn", "Me"):
        return char, 0
    if category == "Cf":
        return "", 0  # direction marks would turn the line round, joiners make one sign of several: carets would be off
    if category in ("Cc", "Cs", "Zl", "Zp"):
        return "\N{REPLACEMENT CHARACTER}", 1
    return char, 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _windowed(whole: Excerpt, first: int, width: int) -> Excerpt:
    """Cuts a long line so that the place stays in sight, a third from the left."""
    cells = [_cell(char, 0)[1] for char in whole.text]
    total = max(sum(cells), first + 1)  # the place may be the end of the line
    if total <= width:
        return whole
    left = max(0, min(first - width // 3, total - width))
    right = left + width
    # A sign for what is cut off takes a cell of the window.
    begin, end = left + (left > 0), right - (right < total)
    text, at = "", 0
    for char, taken in zip(whole.text, cells, strict=True):
        if begin <= at and at + taken <= end:
            text += char
        else:
            text += " " * (min(at + taken, end) - max(at, begin))  # half of a wide character
        at += taken
    cut_left, cut_right = _CUT * (left > 0), _CUT * (right < total)
    return Excerpt(whole.number, f"{cut_left}{text}{cut_right}", whole.carets[left:right])
