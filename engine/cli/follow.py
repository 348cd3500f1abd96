"""Following an execution until its end: its map runs as bars on a terminal, or as lines, and why nothing moves."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from engine.cli.map_progress import LOOK_SECONDS, Looks, MapRunsProgress, bar_cells, look_once_blocking
from engine.cli.streams import can_redraw, print_note
from engine.cli.stuck import reasons_stuck

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from engine.cli.client import Client
    from engine.library import MapRunCounts


def follow(client: Client, execution_arn: str) -> None:
    """Shows on stderr how far the map runs of an execution are, until it is over.

    Raises:
        StoreUnavailable: The database does not answer.
    """
    looks, reasons = Looks(), list[str]()
    with ExitStack() as exits:
        show = _bars(exits) if can_redraw(sys.stderr) else _lines()
        while True:
            record = client.store.execution(execution_arn)  # asked first: the last look shows the final counts
            look_once_blocking(client.engine, execution_arn, looks, show)
            if record.ending is not None:
                return
            before, reasons = reasons, reasons_stuck(record, client.store.workers(), client.store.handle().now())
            for reason in reasons:
                if reason not in before:
                    print_note(f"{record.execution.name} waits: {reason}")
            time.sleep(LOOK_SECONDS)


def _lines() -> Callable[[MapRunCounts], None]:
    progress = MapRunsProgress()

    def show(counts: MapRunCounts) -> None:
        run = progress.look(counts)
        if run.is_worth_a_line():
            print_note(f"{counts.state}: {run.text()}")

    return show


def _bars(exits: ExitStack) -> Callable[[MapRunCounts], None]:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.text import Text

    progress = MapRunsProgress()
    console = Console(stderr=True)
    cells = bar_cells(console.encoding)

    def rendered() -> RenderableType:
        runs = list(progress.runs.values())
        return Group(*(Text(f"{run.counts.state}  {run.bar(*cells)}  {run.text()}") for run in runs))

    live = exits.enter_context(Live(get_renderable=rendered, console=console, auto_refresh=False))

    def show(counts: MapRunCounts) -> None:
        progress.look(counts)
        live.refresh()

    return show
