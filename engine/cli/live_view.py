"""The states of an execution as a table on the terminal, redrawn while it runs."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from engine.cli.durations import duration
from engine.cli.map_progress import MapRunsProgress, bar_cells
from engine.cli.progress import ExecutionProgress

if TYPE_CHECKING:
    from rich.console import RenderableType

    from engine.asl.program import StateMachine
    from engine.cli.progress import StateProgress
    from engine.interpreter.snapshot import Transition
    from engine.library import MapRunCounts

_REDRAWN_PER_SECOND = 10
_LINES_AROUND = 2
"""Lines of the terminal that are left to the prompt and to what else is told."""

_ICONS = {"done": "✓", "caught": "↷", "failed": "✗", "aborted": "■"}
_ICONS_ASCII = {"done": "+", "caught": ">", "failed": "x", "aborted": "#"}
_STYLES = {"done": "green", "caught": "yellow", "failed": "bold red", "aborted": "dim", "running": "cyan"}


class LiveView:
    """A row for each state that was entered. To be used as a context manager around the run."""

    def __init__(self, program: StateMachine) -> None:
        self._progress = ExecutionProgress(program)
        self._map_runs = MapRunsProgress()
        self._lock = Lock()  # rich redraws from a thread of its own
        self._console = Console(stderr=True)
        fancy = self._console.encoding.startswith("utf")
        self._icons = _ICONS if fancy else _ICONS_ASCII
        self._cells = bar_cells(self._console.encoding)
        self._more = "…" if fancy else "..."
        self._spinner = Spinner("dots" if fancy else "line", style=_STYLES["running"])
        self._observed_at = time.monotonic()
        self._all_rows = False
        self._live = Live(
            get_renderable=self._table,
            console=self._console,
            refresh_per_second=_REDRAWN_PER_SECOND,
            vertical_overflow="visible",
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def observe(self, _execution_arn: str, transition: Transition, /) -> None:
        """Takes in what a transition did; it is shown when the table is redrawn next."""
        with self._lock:
            self._progress.observe(transition)
            self._observed_at = time.monotonic()

    def map_run(self, counts: MapRunCounts, /) -> None:
        """Takes in how far a map run is; its Map's row has a bar."""
        with self._lock:
            self._map_runs.look(counts)

    def close(self) -> None:
        """Draws the table for the last time, with all its rows, and gives the terminal back."""
        self._all_rows = True
        self._live.stop()

    # ── drawing ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _table(self) -> RenderableType:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=1)
        table.add_column(overflow="fold")
        table.add_column(style="dim")
        table.add_column(overflow="fold")
        table.add_column(justify="right", style="dim")
        with self._lock:
            rows = [state for state in self._progress.states.values() if state.visits]
            shown = rows if self._all_rows else self._fitting(rows)
            for state in shown:
                table.add_row(*self._row(state))
        if len(shown) < len(rows):
            table.add_row("", Text(f"{self._more} {len(rows) - len(shown)} more", style="dim"), "", "", "")
        return table

    def _fitting(self, rows: list[StateProgress]) -> list[StateProgress]:
        """As many rows as the terminal has lines: those that run, then those that were entered last."""
        room = self._console.size.height - _LINES_AROUND
        if len(rows) <= room:
            return rows
        chosen = sorted(rows, key=lambda state: (state.open > 0, state.entered_at), reverse=True)[: max(1, room - 1)]
        names = {state.name for state in chosen}
        return [state for state in rows if state.name in names]

    def _row(self, state: StateProgress) -> tuple[RenderableType, Text, str, Text, str]:
        status = _status(state)
        icon = self._spinner if status == "running" else Text(self._icons[status], style=_STYLES[status])
        name = Text("  " * state.depth + state.name, style="bold" if status == "running" else "")
        said = Text(
            "  ".join([*self._bar(state), *filter(None, [", ".join(_details(state))])]),
            style=_STYLES[status] if status != "done" else "dim",
        )
        return icon, name, state.type, said, self._time(state)

    def _bar(self, state: StateProgress) -> list[str]:
        """Of a Distributed Map: how far its latest map run is."""
        run = self._map_runs.of_state(state.name)
        return [] if run is None else [run.bar(*self._cells), run.text()]

    def _time(self, state: StateProgress) -> str:
        if state.maps:
            return ""  # the sum over iterations that ran side by side would be taken for a time that passed
        milliseconds = state.milliseconds
        if state.open:
            since_observed = time.monotonic() - self._observed_at
            milliseconds += self._progress.now - state.entered_at + round(since_observed * 1_000)
        return duration(milliseconds) if milliseconds or state.open else ""


def _status(state: StateProgress) -> str:
    if state.open:
        return "running"
    if state.failed:
        return "failed"
    if state.aborted and not state.done:
        return "aborted"
    return "caught" if state.caught else "done"


def _details(state: StateProgress) -> list[str]:
    """What is worth saying beside the name, in a few words."""
    said = []
    if state.type == "Map" and state.items:
        said.append(f"{state.items_done}/{state.items}")
    elif state.visits > 1:
        said.append(f"{state.done}/{state.visits}" if state.maps else f"visited {state.visits} times")
    if state.attempts > 1 and state.visits == 1:
        said.append(f"attempt {state.attempts}")
    if state.retrying:
        said.append(f"retrying after {state.error}")
    elif state.failed and state.error is not None:
        said.append(state.error if state.failed == 1 else f"{state.failed} failed, the last with {state.error}")
    elif state.caught:
        said.append(f"caught {state.error}")
    return said
