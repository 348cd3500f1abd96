"""One execution for each line of input, many at once; one line of output for each, in the same order."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

import anyio
import click

from engine.cli.durations import duration
from engine.cli.exits import EXIT_OF_STATUS, ExitCode
from engine.cli.failure import failure_text
from engine.cli.interrupts import INTERRUPTED, interruptible
from engine.cli.refusals import REFUSALS, refusals_told
from engine.cli.run_one import abandoned_text
from engine.cli.streams import can_redraw, json_text, print_note, print_result, stdout_kept_clean
from engine.errors import ApiError
from engine.outcome import ExecutionFailed
from engine.runtime.executions import ExecutionQuarantined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from engine.cli.run_options import Job
    from engine.jsonvalue import Json
    from engine.library import Engine, ExecutionHandle, StateMachineHandle

_MS_PER_SECOND = 1_000


def run_many(job: Job, inputs: Sequence[Json]) -> int:
    """Runs all of them and tells how many ended how. The exit code is the worst of theirs.

    Raises:
        click.ClickException: None can be started, or a Task cannot be done here; the others are stopped.
    """
    begun = time.monotonic()
    with (
        stdout_kept_clean() as results,
        refusals_told(),
        _progress_bar(len(inputs), quiet=job.options.quiet) as advance,
    ):
        batch = _Batch(job, inputs, results, advance)
        anyio.run(batch.run)
    taken = round((time.monotonic() - begun) * _MS_PER_SECOND)
    if not job.options.quiet:
        print_note(_summary(batch, len(inputs), taken))
        if batch.abandoned:
            print_note(abandoned_text(batch.abandoned))
    if batch.first_failure is not None:
        number, failed = batch.first_failure
        reproduce = job.reproduce(inputs[number], of_many=True)
        print_note(f"The first that did not succeed has input {number + 1}:")
        print_note(failure_text(failed, job.program, reproduce, trace=False))
    codes = [EXIT_OF_STATUS[status] for status in batch.statuses]
    return max([*codes, ExitCode.ABORTED] if batch.interrupted else codes, default=ExitCode.SUCCEEDED)


class _Batch:
    """The executions of one command.

    Attributes:
        statuses: How many ended how.
        first_failure: Of those that did not succeed, the one whose input came first: (index, how it failed).
        abandoned: Handlers that were given up while they ran.
        interrupted: Whether the user stopped it, so that some may not have been started.
    """

    def __init__(self, job: Job, inputs: Sequence[Json], results: IO[str], advance: Callable[[], None]) -> None:
        self.statuses: Counter[str] = Counter()
        self.first_failure: tuple[int, ExecutionFailed] | None = None
        self.interrupted = False
        self.skipped_seconds = 0.0
        self.abandoned = 0
        self._job = job
        self._results = results
        self._advance = advance
        self._left = iter(enumerate(inputs))
        self._open: set[ExecutionHandle] = set()
        self._lines: dict[int, Json] = {}
        self._printed = 0
        self._refusal: Exception | None = None
        self._stop = anyio.Event()

    async def run(self) -> None:
        """Runs them, at most `--concurrency` at once."""
        with interruptible(asyncio.get_running_loop(), self._interrupt, lambda: None):
            async with self._job.engine() as engine:
                machine = await self._job.machine(engine)
                async with anyio.create_task_group() as group:
                    group.start_soon(self._stop_when_told)
                    async with anyio.create_task_group() as workers:
                        for _ in range(self._job.options.concurrency):
                            workers.start_soon(self._work, engine, machine)
                    group.cancel_scope.cancel()
                self.skipped_seconds = engine.skipped_seconds
                self.abandoned = engine.abandoned
        if self._refusal is not None:
            raise self._refusal

    async def _work(self, engine: Engine, machine: StateMachineHandle) -> None:
        for index, value in self._left:
            if self._stop.is_set():
                return
            try:
                self._print(index, await self._one(engine, machine, index, value))
            except (
                click.ClickException,
                ExecutionQuarantined,
                *REFUSALS,
            ) as error:  # raised when the others have been stopped
                self._refusal = self._refusal or error
                self._stop.set()
                return
            self._advance()

    async def _one(self, engine: Engine, machine: StateMachineHandle, index: int, value: Json) -> Json:
        try:
            handle = await engine.start_execution(self._job.started(machine), value)
        except ApiError as error:
            raise click.ClickException(f"input {index + 1}: {error.message}") from error
        self._open.add(handle)
        if self._stop.is_set():
            await handle.stop(None, INTERRUPTED)
        try:
            output = await handle.result()
        except ExecutionFailed as failed:
            if self.first_failure is None or index < self.first_failure[0]:
                self.first_failure = index, failed
            self.statuses[failed.status] += 1
            return {"name": handle.name, "status": failed.status, "error": failed.error, "cause": failed.cause}
        finally:
            self._open.discard(handle)
        self.statuses["SUCCEEDED"] += 1
        return {"name": handle.name, "status": "SUCCEEDED", "output": output}

    def _print(self, index: int, line: Json) -> None:
        """Prints what is complete up to the first input that still runs."""
        self._lines[index] = line
        while self._printed in self._lines:
            print_result(json_text(self._lines.pop(self._printed), pretty=False), self._results)
            self._printed += 1

    def _interrupt(self, signal_name: str) -> None:
        print_note(f"{signal_name}: aborting {len(self._open)} executions; once more ends asl at once")
        self.interrupted = True
        self._stop.set()

    async def _stop_when_told(self) -> None:
        await self._stop.wait()
        for handle in list(self._open):
            await handle.stop(None, INTERRUPTED)


@contextmanager
def _progress_bar(total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """A bar on the terminal; nothing where there is none."""
    if quiet or not can_redraw(sys.stderr):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("executions"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total)
        yield lambda: progress.advance(task)


def _summary(batch: _Batch, total: int, milliseconds: int) -> str:
    ended = [f"{count} {status.lower()}" for status, count in batch.statuses.items()]
    not_started = total - batch.statuses.total()
    ended += [f"{not_started} not started"] if not_started else []
    parts = [f"{total} executions: {', '.join(ended) or 'none'} in {duration(milliseconds)}"]
    if batch.skipped_seconds:
        skipped = duration(round(batch.skipped_seconds * _MS_PER_SECOND))
        parts.append(f"{skipped} of waiting skipped (--real-time waits)")
    return "; ".join(parts)
