"""`asl worker`: runs executions of a database until it is told to stop."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from engine.cli.database import connected, database_options
from engine.cli.exits import ExitCode

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from engine.cli.database import Database
    from engine.library import Engine

_CONCURRENCY = 256
_DRAIN_SECONDS = 910
"""A little more than the 15 minutes that a Lambda function may take."""

_LEASE_SECONDS = 15


@click.command("worker")
@click.option(
    "--handlers",
    "modules",
    metavar="MODULE",
    multiple=True,
    help="A module or .py file whose functions are named as the states or functions; repeatable.",
)
@click.option("-t", "--target", "targets", metavar="PATTERN=TARGET", multiple=True, help="What does a Task; see above.")
@click.option(
    "--pool", "pools", metavar="POOL", multiple=True, default=("default",), show_default=True, help="Repeatable."
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=_CONCURRENCY,
    show_default=True,
    metavar="N",
    help="Tasks in flight at once.",
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="As many workers, each a process of its own; one that dies is replaced.",
)
@click.option(
    "--drain-seconds",
    type=click.FloatRange(min=0),
    default=_DRAIN_SECONDS,
    show_default=True,
    metavar="S",
    help="How long to wait for Tasks in flight when told to stop.",
)
@click.option("--until-eof", is_flag=True, help="Drain as well when stdin ends: for a parent process that may die.")
@click.option(
    "--lease-seconds",
    type=click.FloatRange(min=1),
    default=_LEASE_SECONDS,
    show_default=True,
    metavar="S",
    help="How long a worker may be silent until the others take over; the same for all.",
)
@database_options
def command(
    modules: tuple[str, ...],
    targets: tuple[str, ...],
    pools: tuple[str, ...],
    concurrency: int,
    processes: int,
    drain_seconds: float,
    until_eof: bool,
    lease_seconds: float,
    database: Database,
) -> int:
    """Run executions until told to stop.

    Any number of workers may share a database; each execution is run by one of them at a time. When a worker dies,
    another one goes on with its executions; Tasks that were in flight then run again.

    \b
    PATTERN is a state's name, a function's name or ARN, a Resource, or a glob such as *.
    TARGET is one of
      module:function       a Python function of (event, context) or (event)
      cmd:./script --flag   a command: JSON on stdin, JSON on stdout
      dask:module:function  a Python function, on the Dask cluster of ASL_DASK_SCHEDULER
      mock:{"ok": true}     a fixed result
      fail:Error:cause      a fixed failure

    An execution is not failed because this worker has no handler for a Task: it waits for a worker that has one.

    SIGTERM or Ctrl-C drains: nothing new is begun, and Tasks in flight are waited for. A second one gives them up, and
    other workers run them again; the exit code then is 4. The log goes to stderr, a line of JSON for each thing that
    happened.
    """  # noqa: D301  the escape is click's mark of a paragraph to leave as it is
    from engine.cli.targets import read_handlers
    from engine.cli.worker_log import configure_log, logged

    configure_log()
    if processes > 1:
        from engine.cli.worker_processes import supervise

        words = [f"--handlers={module}" for module in modules]
        words += [f"--target={target}" for target in targets]
        words += [f"--pool={pool}" for pool in pools]
        words += [
            f"--concurrency={concurrency}",
            f"--drain-seconds={drain_seconds}",
            f"--lease-seconds={lease_seconds}",
        ]
        # A URL may hold a password, which everybody could read among the words of a command.
        environment = {**os.environ, **({} if database.url is None else {"ASL_DATABASE_URL": database.url})}
        words += [f"--data-dir={database.directory}"] if database.url is None else []
        words += ["--pooler"] if database.pooler else []
        with connected(database):
            return supervise(words, processes, environment)
    handlers = read_handlers(modules, targets)
    with connected(database) as url:
        import anyio

        from engine.cli.worker_log import ExecutionLog
        from engine.library import Engine

        engine = Engine(
            url,
            pooler=database.pooler,
            handlers=logged(handlers),
            pools=tuple(dict.fromkeys(pools)),
            max_concurrency=concurrency,
            lease_seconds=lease_seconds,
            observer=ExecutionLog(),
        )
        about = {"pools": list(pools), "concurrency": concurrency, "pid": os.getpid()}
        return anyio.run(_work, engine, drain_seconds, until_eof, about)


async def _work(engine: Engine, drain_seconds: float, until_eof: bool, about: dict[str, Any]) -> int:
    import asyncio

    import anyio
    import structlog

    from engine.cli.interrupts import interruptible

    log = structlog.get_logger()
    told, told_again = anyio.Event(), anyio.Event()

    def stop(signal_name: str) -> None:
        log.info("signal received", signal=signal_name)
        (told_again if told.is_set() else told).set()

    loop = asyncio.get_running_loop()
    if until_eof:
        threading.Thread(target=_at_eof, args=(loop, stop), name="asl stdin", daemon=True).start()
    has_drained = False
    with interruptible(loop, stop, lambda: None, asked_max=2):
        async with engine, anyio.create_task_group() as group:

            async def give_up() -> None:
                await told_again.wait()
                group.cancel_scope.cancel()

            log.info("worker started", **about)
            await told.wait()
            log.info("worker drains", seconds=drain_seconds)
            group.start_soon(give_up)
            has_drained = await engine.drain(drain_seconds)
            group.cancel_scope.cancel()
    log.info("worker stopped", has_drained=has_drained, **about)
    return ExitCode.SUCCEEDED if has_drained else ExitCode.ABORTED


def _at_eof(loop: AbstractEventLoop, stop: Callable[[str], None]) -> None:
    """Reads stdin to its end, then calls `stop` in the loop."""
    # Not by the stream: whoever waits in it holds a lock without which the interpreter cannot end.
    while os.read(sys.stdin.fileno(), 4_096):
        pass
    with suppress(RuntimeError):  # the loop is closed: it is stopping anyway
        loop.call_soon_threadsafe(stop, "EOF")
