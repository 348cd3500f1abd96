"""`asl serve`: the API, a worker and probes in one process."""

from __future__ import annotations

import os
from contextlib import nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from engine.cli.api_options import ApiOptions, api_options
from engine.cli.database import database_options
from engine.cli.events import event_options
from engine.cli.worker import work
from engine.cli.worker_options import (
    ABANDONED_MAX,
    CONCURRENCY,
    HANDLERS,
    HEALTH,
    LEASE_SECONDS,
    OTEL,
    POOLS,
    RETENTION,
    TARGETS,
    UNTIL_EOF,
    drain_option,
    health_address,
)

if TYPE_CHECKING:
    from engine.cli.database import Database
    from engine.cli.events import Telling

_DRAIN_SECONDS = 10
"""Short, as it is mostly a developer who waits; what is cut off goes on when it is started again."""


@click.command("serve")
@api_options
@HANDLERS
@TARGETS
@POOLS
@CONCURRENCY
@drain_option(_DRAIN_SECONDS, "requests and Tasks in flight")
@RETENTION
@UNTIL_EOF
@LEASE_SECONDS
@HEALTH
@ABANDONED_MAX
@OTEL
@event_options
@database_options
def command(
    api: ApiOptions,
    modules: tuple[str, ...],
    targets: tuple[str, ...],
    pools: tuple[str, ...],
    concurrency: int,
    drain_seconds: float,
    retention: int | None,
    until_eof: bool,
    lease_seconds: float,
    health: str | None,
    abandoned_max: int,
    otel: bool,
    telling: Telling,
    database: Database,
) -> int:
    """Answer as AWS Step Functions does, and run executions.

    boto3, the AWS CLI and Terraform use it when their endpoint is set to it, as `asl env` prints it. It answers this
    machine alone unless --host says otherwise. For a fleet, `asl server` and `asl worker` do the two halves.

    PATTERN=TARGET says what does a Task; see `asl worker --help`.

    SIGTERM or Ctrl-C drains; a second one gives up what is in flight.
    """
    from engine.cli.targets import read_handlers
    from engine.cli.worker_log import configure_log, logged
    from engine.cli.worker_service import Service
    from engine.cli.worker_spans import sending_spans

    configure_log()
    health = health_address(health)
    handlers = logged(read_handlers(modules, targets))
    face = api.face()
    pools = tuple(dict.fromkeys(pools))
    service = Service(
        drain_seconds=drain_seconds,
        lease_seconds=lease_seconds,
        retention=None if retention is None else timedelta(milliseconds=retention),
        hanging_max=abandoned_max,
        until_eof=until_eof,
        health=health,
        about={"pools": list(pools), "concurrency": concurrency, "url": face.url, "pid": os.getpid()},
        kind="server",
        api=face,
    )
    with sending_spans() if otel else nullcontext() as spans:
        return work(handlers, pools, concurrency, service, database, spans, telling)
