"""`asl serve`: the API, a worker and probes in one process."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import click

from engine.cli.api_options import ApiOptions, api_options
from engine.cli.database import database_options
from engine.cli.events import event_options
from engine.cli.lambda_options import LAMBDA_PORT, beside
from engine.cli.worker import work
from engine.cli.worker_options import WorkerOptions, health_address, worker_options

if TYPE_CHECKING:
    from engine.cli.database import Database
    from engine.cli.events import Telling

_DRAIN_SECONDS = 10
"""Short, as it is mostly a developer who waits; what is cut off goes on when it is started again."""


@click.command("serve")
@api_options
@click.option(
    "--lambda-port",
    type=click.IntRange(0, 65_535),
    metavar="N",
    help=f"Answer as Lambda there too, not at the other port alone; {LAMBDA_PORT} by default unless it is taken.",
)
@click.option("--no-lambda", is_flag=True, help="Have no Lambda emulator.")
@worker_options(_DRAIN_SECONDS, "requests and Tasks in flight")
@event_options
@database_options
def command(
    api: ApiOptions,
    lambda_port: int | None,
    no_lambda: bool,
    worker: WorkerOptions,
    telling: Telling,
    database: Database,
) -> int:
    """Answer as AWS Step Functions and AWS Lambda do, and run both.

    boto3, the AWS CLI and Terraform use it when their endpoint is set to it, as `asl env` prints it. It answers this
    machine alone unless --host says otherwise. For a fleet, `asl server` and `asl worker` do the two halves.

    PATTERN=TARGET says what does a Task; see `asl worker --help`. A Task that calls a function which was created here,
    and for which there is no rule, is done by it.

    SIGTERM or Ctrl-C drains; a second one gives up what is in flight.
    """
    from engine.cli.worker_log import configure_log, logged
    from engine.cli.worker_spans import sending_spans

    configure_log(worker.log_level)
    health = health_address(worker.health)
    handlers = worker.handlers()
    face = api.face()
    functions = None
    if not no_lambda:
        with face.closed_on_errors():
            functions = face.functions = beside(api, face, lambda_port)
        handlers.fall_back_on(functions.invoker)
    service = worker.service(health, face)
    with sending_spans() if worker.otel else nullcontext() as spans:
        return work(logged(handlers), worker, service, database, spans, telling, functions)
