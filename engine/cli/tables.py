"""Rows under headings: as wide as the terminal is, else as text whose columns stand under each other."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from engine.cli.streams import can_redraw, print_result

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

STATUS_COLORS = {
    "RUNNING": "cyan",
    "SUCCEEDED": "green",
    "FAILED": "red",
    "TIMED_OUT": "red",
    "ABORTED": "yellow",
}

_BETWEEN = "  "

_CUT_MIN = 6
"""Cells that are left of a column, however narrow the terminal is."""


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, cut: Collection[str]) -> None:
    """Writes a table to stdout. Only in a terminal cells are cut short, if the table is too wide for it.

    Args:
        columns: Headings.
        cut: Those whose cells may be cut short.
        rows: One text for each column; a status has its colour.
    """
    if can_redraw(sys.stdout):
        _print_rich(columns, rows, cut)
        return
    widths = [max(len(row[index]) for row in (columns, *rows)) for index in range(len(columns))]
    for row in (columns, *rows):
        cells = (_styled(cell) + " " * (width - len(cell)) for cell, width in zip(row, widths, strict=True))
        print_result(_BETWEEN.join(cells).rstrip())


def status_text(status: str) -> str:
    """The status with its colour as ANSI codes."""
    return click.style(status, fg=STATUS_COLORS[status])


def print_fields(fields: Mapping[str, str]) -> None:
    """Writes a line for each field; the later lines of a text stand under its first one."""
    width = max(map(len, fields), default=0)
    for name, text in fields.items():
        lines = text.split("\n")
        print_result(f"{click.style(name.ljust(width), dim=True)}{_BETWEEN}{lines[0]}".rstrip())
        for line in lines[1:]:
            print_result(f"{' ' * width}{_BETWEEN}{line}".rstrip())


def _styled(cell: str) -> str:
    return status_text(cell) if cell in STATUS_COLORS else cell


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[str]], cut: Collection[str]) -> None:
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    natural = [max(cell_len(row[index]) for row in (columns, *rows)) for index in range(len(columns))]
    may_shrink = [index for index, column in enumerate(columns) if column in cut]
    widths = _fitted(natural, may_shrink, console.width - len(_BETWEEN) * len(columns))
    table = Table(box=None, pad_edge=False, padding=(0, len(_BETWEEN), 0, 0), header_style="bold")
    for column, width in zip(columns, widths, strict=True):
        table.add_column(column, no_wrap=True, overflow="ellipsis", width=width)
    for row in rows:
        table.add_row(*(Text(cell, style=STATUS_COLORS.get(cell, "")) for cell in row))
    console.print(table)


def _fitted(widths: Sequence[int], may_shrink: Sequence[int], room: int) -> list[int]:
    """The widths, of which the widest that may shrink give way until they fit, but none below a few cells."""
    fitted = list(widths)
    while sum(fitted) > room:
        widest = max(may_shrink, key=lambda index: fitted[index])
        if fitted[widest] <= _CUT_MIN:
            break
        fitted[widest] -= 1
    return fitted
