"""One execution: shown while it runs, its output on stdout, a failure told on stderr."""

from __future__ import annotations

import asyncio
import sys
from contextlib import aclosing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import anyio
import click

from engine.cli.durations import duration
from engine.cli.exits import EXIT_OF_STATUS, ExitCode
from engine.cli.failure import failure_text
from engine.cli.interrupts import INTERRUPTED, interruptible
from engine.cli.map_progress import LOOK_SECONDS, Looks, look_once
from engine.cli.progress import has_distributed_map
from engine.cli.refusals import REFUSALS, refusals_told
from engine.cli.streams import can_redraw, json_text, print_json, print_note, stdout_kept_clean
from engine.errors import ApiError
from engine.interpreter.map_runs import EXCEEDED
from engine.outcome import ExecutionFailed
from engine.runtime.executions import ExecutionQuarantined
from engine.store.protocol import StoreUnavailable
from engine.timestamps import iso_timestamp

if TYPE_CHECKING:
    from engine.cli.run_options import Job
    from engine.interpreter.snapshot import Transition
    from engine.jsonvalue import Json
    from engine.library import Engine, ExecutionHandle, MapRunCounts
    from engine.outcome import ExecutionDescription

_MS_PER_SECOND = 1_000


class View(Protocol):
    """Shows what happens; a context manager around the run."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def observe(self, execution_arn: str, transition: Transition, /) -> None:
        """Takes in what a transition did."""

    def map_run(self, counts: MapRunCounts, /) -> None:
        """Takes in how far a map run of the execution is."""

    def close(self) -> None:
        """Gives the terminal back; called from a signal handler too."""


class OneOnly:
    """Passes on to a view what happens to one execution, the first that anything happens to.

    The executions that it begins, those of a Distributed Map and nested ones, have histories of their own.
    """

    def __init__(self, view: View) -> None:
        self._view = view
        self._arn: str | None = None

    def observe(self, execution_arn: str, transition: Transition, /) -> None:
        """See `View`."""
        self._arn = self._arn or execution_arn
        if execution_arn == self._arn:
            self._view.observe(execution_arn, transition)


class NoView:
    """For `--quiet`."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing was opened."""

    def observe(self, _execution_arn: str, _transition: Transition, /) -> None:
        """Nothing is shown."""

    def map_run(self, _counts: MapRunCounts, /) -> None:
        """Nothing is shown."""

    def close(self) -> None:
        """Nothing was opened."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it ended.

    Attributes:
        failed: None when it succeeded.
        milliseconds: How long it took, on its own clock.
        skipped_seconds: Waiting that was jumped over.
        failed_child: Where a Distributed Map failed because too many children did: one of them.
        abandoned: Handlers that were given up while they ran.
        history: AWS's events.
    """

    output: Json
    failed: ExecutionFailed | None
    milliseconds: int
    skipped_seconds: float
    failed_child: ExecutionDescription | None
    abandoned: int
    history: list[dict[str, Any]]


def run_one(job: Job, value: Json) -> int:
    """Runs it and tells the end.

    Raises:
        click.ClickException: It cannot be started, or a Task cannot be done here.
    """
    options = job.options
    with stdout_kept_clean(), _view(job) as view, refusals_told():
        outcome = anyio.run(_run, job, value, view)
    if options.history is not None:
        _write_history(Path(options.history), outcome.history)
    if not options.quiet:
        _tell_end(outcome)
    if outcome.failed is None:
        print_json(outcome.output, pretty=options.pretty)
        return ExitCode.SUCCEEDED
    reproduce = job.reproduce(value)
    print_note(
        failure_text(outcome.failed, job.program, reproduce, failed_child=outcome.failed_child, trace=options.trace)
    )
    return EXIT_OF_STATUS[outcome.failed.status]


def _view(job: Job) -> View:
    if job.options.quiet:
        return NoView()
    if job.options.trace or not can_redraw(sys.stderr):
        from engine.cli.lines_view import LinesView

        return LinesView(job.program, trace=job.options.trace)
    from engine.cli.live_view import LiveView

    return LiveView(job.program)


async def _run(job: Job, value: Json, view: View) -> Outcome:
    interrupted = anyio.Event()

    def stop(signal_name: str) -> None:
        print_note(f"{signal_name}: aborting the execution; once more ends asl at once")
        interrupted.set()

    # Around the engine, too: leaving it may take as long as its handlers want.
    with interruptible(asyncio.get_running_loop(), stop, view.close):
        return await _outcome(job, value, view, interrupted)


async def _outcome(job: Job, value: Json, view: View, interrupted: anyio.Event) -> Outcome:
    async with job.engine(OneOnly(view).observe) as engine:
        machine = await job.machine(engine)
        handle = await engine.start_execution(job.started(machine), value, name=job.options.name)
        if job.url is not None and not job.options.quiet:
            print_note(handle.arn)  # what the other commands know it by, should this process be killed
        output = await _ended(engine, handle, interrupted, view if _has_map_runs(job) else None)
        failed = output if isinstance(output, ExecutionFailed) else None
        described = await handle.describe()
        assert described.stop_date is not None, "it has ended"
        return Outcome(
            output=None if isinstance(output, ExecutionFailed) else output,
            failed=failed,
            milliseconds=round((described.stop_date - described.start_date).total_seconds() * _MS_PER_SECOND),
            skipped_seconds=engine.skipped_seconds,
            failed_child=None if failed is None else await _failed_child(engine, failed),
            abandoned=engine.abandoned,
            history=await handle.history() if job.options.history is not None else [],
        )


async def _failed_child(engine: Engine, failed: ExecutionFailed) -> ExecutionDescription | None:
    if failed.error != EXCEEDED:
        return None
    with suppress(ApiError, StoreUnavailable):
        for map_run_arn in await engine.map_runs(failed.execution_arn):
            for status in ("FAILED", "TIMED_OUT"):
                async with aclosing(engine.map_run_children(map_run_arn, status=status)) as children:
                    async for child in children:
                        return child
    return None


def _has_map_runs(job: Job) -> bool:
    """Whether the counts of map runs are to be looked up."""
    return not job.options.quiet and has_distributed_map(job.program)


async def _ended(
    engine: Engine, handle: ExecutionHandle, interrupted: anyio.Event, view: View | None
) -> Json | ExecutionFailed:
    """Waits for the end; the first Ctrl-C asks for it. A view is shown how far the map runs are."""
    looks = Looks()

    async def show_map_runs(view: View) -> None:
        while True:
            await look_once(engine, handle.arn, looks, view.map_run)
            await anyio.sleep(LOOK_SECONDS)

    async def stop_when_interrupted() -> None:
        await interrupted.wait()
        await handle.stop(None, INTERRUPTED)

    result: Json | Exception = None
    async with anyio.create_task_group() as group:
        group.start_soon(stop_when_interrupted)
        if view is not None:
            group.start_soon(show_map_runs, view)
        try:
            result = await handle.result()
        except (ExecutionFailed, ExecutionQuarantined, *REFUSALS) as error:
            result = error  # raised below: out of the task group it would come as an ExceptionGroup
        group.cancel_scope.cancel()
    if view is not None:
        await look_once(engine, handle.arn, looks, view.map_run)  # the final counts
    if isinstance(result, Exception) and not isinstance(result, ExecutionFailed):
        raise result
    return result


def _tell_end(outcome: Outcome) -> None:
    if outcome.failed is None:
        print_note(f"{click.style('SUCCEEDED', fg='green', bold=True)} after {duration(outcome.milliseconds)}")
    if outcome.skipped_seconds:
        skipped = duration(round(outcome.skipped_seconds * _MS_PER_SECOND))
        print_note(f"{skipped} of waiting skipped (--real-time waits)")
    if outcome.abandoned:
        print_note(abandoned_text(outcome.abandoned))


def abandoned_text(count: int) -> str:
    """What is to be known about handlers in threads that nobody waits for any more."""
    if count == 1:
        return "1 handler was given up while it ran; it may have gone on acting"
    return f"{count} handlers were given up while they ran; they may have gone on acting"


def _write_history(path: Path, history: list[dict[str, Any]]) -> None:
    """The events as `aws stepfunctions get-execution-history` prints them, timestamps in UTC."""
    events: list[Json] = [
        {**event, "timestamp": iso_timestamp(round(event["timestamp"].timestamp() * _MS_PER_SECOND))}
        for event in history
    ]
    try:
        path.write_text(json_text({"events": events}, pretty=True) + "\n", encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"--history {path}: {error.strerror}") from error
