"""One execution: shown while it runs, its output on stdout, a failure told on stderr."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import click

from engine.cli.durations import duration
from engine.cli.exits import EXIT_OF_STATUS, ExitCode
from engine.cli.streams import print_json, print_note, stdout_kept_clean

if TYPE_CHECKING:
    from engine.cli.run_options import Job
    from engine.interpreter.snapshot import Transition
    from engine.jsonvalue import Json
    from engine.outcome import ExecutionFailed

_MS_PER_SECOND = 1_000


class View(Protocol):
    """Shows what happens; a context manager around the run."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def observe(self, execution_arn: str, transition: Transition, /) -> None:
        """Takes in what a transition did."""

    def close(self) -> None:
        """Gives the terminal back; called from a signal handler too."""


class NoView:
    """For `--quiet`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing was opened."""

    def observe(self, _execution_arn: str, _transition: Transition, /) -> None:
        """Nothing is shown."""

    def close(self) -> None:
        """Nothing was opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it ended.

    Attributes:
        failed: None when it succeeded.
        skipped: Milliseconds of waiting that were jumped over.
        abandoned: Handlers that were given up while they ran.
        history: When it was asked for.
    """

    output: Json
    failed: ExecutionFailed | None
    milliseconds: int
    skipped: int
    abandoned: int
    history: list[dict[str, Any]] | None


def run_one(job: Job, value: Json) -> int:
    """Runs it and tells the end.

    Raises:
        click.ClickException: It cannot be started, or a Task cannot be done here.
    """
    import anyio

    with stdout_kept_clean(), _view(job) as view, refusals_told():
        outcome = anyio.run(_run, job, value, view)
    if outcome.history is not None:
        _write_history(Path(job.options.history or ""), outcome.history)
    if not job.options.quiet:
        _tell_end(outcome)
    if outcome.failed is None:
        print_json(outcome.output, pretty=job.options.pretty)
        return ExitCode.SUCCEEDED
    from engine.cli.failure import failure_text

    print_note(failure_text(outcome.failed, job.program, job.reproduce(value), trace=job.options.trace))
    return EXIT_OF_STATUS[outcome.failed.status]


def _view(job: Job) -> View:
    if job.options.quiet:
        return NoView()
    if job.options.trace or not _is_capable(sys.stderr):
        from engine.cli.lines_view import LinesView

        return LinesView(job.program, trace=job.options.trace)
    from engine.cli.live_view import LiveView

    return LiveView(job.program)
