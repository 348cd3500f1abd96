"""`asl worker`: runs executions of a database until it is told to stop."""

from __future__ import annotations

import os
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING

import click

from engine.cli.database import connected, database_options
from engine.cli.events import event_options
from engine.cli.worker_options import WorkerOptions, health_address, worker_options

if TYPE_CHECKING:
    from engine.cli.database import Database
    from engine.cli.events import Telling
    from engine.cli.lambda_face import LambdaFace
    from engine.cli.worker_service import Service
    from engine.integrations.registry import Handlers
    from engine.observability.tracing import Spans

_DRAIN_SECONDS = 910
"""A little more than the 15 minutes that a Lambda function may take."""


@click.command("worker")
@worker_options(_DRAIN_SECONDS, "Tasks in flight")
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    metavar="N",
    help="As many workers, each a process of its own; one that dies is replaced.",
)
@event_options
@database_options
def command(worker: WorkerOptions, processes: int, telling: Telling, database: Database) -> int:
    """Run executions until told to stop.

    Any number of workers may share a database; each execution is run by one of them at a time. When a worker dies,
    another one goes on with its executions; Tasks that were in flight then run again.

    \b
    PATTERN is a state's name, a function's name or ARN, a Resource, or a glob such as *.
    TARGET is one of
      module:function       a Python function of (event, context) or (event)
      cmd:./script --flag   a command: JSON on stdin, JSON on stdout
      http://host/path      an HTTP endpoint: JSON by POST, JSON as answer
      lambda:               the Lambda function on AWS; lambda:NAME?region=R&profile=P
      emulator:             the same in the Lambda emulator
      aws:                  what the Task calls on AWS; aws:?endpoint=URL&region=R
      dask:module:function  a Python function, on the Dask cluster of ASL_DASK_SCHEDULER
      mock:{"ok": true}     a fixed result
      fail:Error:cause      a fixed failure

    An execution is not failed because this worker has no handler for a Task: it waits for a worker that has one.

    SIGTERM or Ctrl-C drains: nothing new is begun, and Tasks in flight are waited for. A second one gives them up, and
    other workers run them again; the exit code then is 4. The log goes to stderr, a line of JSON for each thing that
    happened.

    A database that cannot be reached is waited for. Exit code 75 asks for a new process: the event loop stood still for
    two thirds of the lease (a handler blocks it), or too many handlers hang.
    """  # noqa: D301  the escape is click's mark of a paragraph to leave as it is
    from engine.cli.worker_log import configure_log, logged

    configure_log(worker.log_level)
    health = health_address(worker.health)
    if processes > 1:
        return _supervise(worker, processes, health, database, telling)
    from engine.cli.worker_spans import sending_spans

    service = worker.service(health)
    handlers = logged(worker.handlers())
    with sending_spans() if worker.otel else nullcontext() as spans:
        return work(handlers, worker, service, database, spans, telling)


def _supervise(worker: WorkerOptions, processes: int, health: str | None, database: Database, telling: Telling) -> int:
    from engine.cli.worker_processes import supervise

    words = worker.words()
    # A URL may hold a password, which everybody could read among the words of a command.
    environment = {**os.environ, **({} if database.url is None else {"ASL_DATABASE_URL": database.url})}
    environment |= telling.environment
    environment.pop("ASL_HEALTH", None)  # the address is taken: each process gets its own
    words += [f"--data-dir={database.directory}"] if database.url is None else []
    words += ["--pooler"] if database.pooler else []
    own: list[list[str]] = [[] for _ in range(processes)]
    with connected(database) as url, ExitStack() as exits:
        from engine.cli.database import hints_of

        hints = exits.enter_context(hints_of(database, url))
        if health is not None:
            from engine.cli.worker_health import answering

            own = [[f"--health={address}"] for address in exits.enter_context(answering(health, processes))]
        return supervise(
            [words + more for more in own], environment, until_eof=worker.until_eof, missed=lambda: hints.tell("SILENT")
        )


def work(
    handlers: Handlers,
    worker: WorkerOptions,
    service: Service,
    database: Database,
    spans: Spans | None,
    telling: Telling,
    functions: LambdaFace | None = None,
) -> int:
    """A worker process's life; its exit code. Raises click.ClickException: it cannot live."""
    from engine.cli.file_limit import raise_file_limit
    from engine.cli.worker_log import log_database

    raise_file_limit()
    log_database(database)
    with connected(database) as url:
        if functions is not None:
            functions.keep_in(url, pooler=database.pooler)
        from engine.cli.event_loop import run
        from engine.cli.worker_log import ExecutionLog, log_notice
        from engine.cli.worker_service import serve
        from engine.library import Engine

        engine = Engine(
            url,
            pooler=database.pooler,
            handlers=handlers if spans is None else spans.around(handlers),
            pools=worker.claimed_pools(),
            max_concurrency=worker.concurrency,
            lease_seconds=service.lease_seconds,
            retention=service.retention,
            observer=ExecutionLog(),
            tracer=spans,
            events=telling.events or None,
            logs=telling.logs,
            waits_for_store=True,
            notice=log_notice,
            lambda_emulator=None if functions is None else functions.invoker,
        )
        return run(serve, engine, service)
