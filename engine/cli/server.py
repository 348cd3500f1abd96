"""`asl server`: the API alone; workers run what is started through it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from engine.cli.api_options import ApiOptions, api_options
from engine.cli.database import connected, database_options
from engine.cli.targets import MOCK_CONFIG
from engine.cli.worker_options import HEALTH, UNTIL_EOF, drain_option, health_address

if TYPE_CHECKING:
    from engine.cli.database import Database

_DRAIN_SECONDS = 60
_STILL_SECONDS = 15.0
"""As long as workers by default count as alive: an event loop that stands still for so much of it is not healthy."""


@click.command("server")
@api_options
@MOCK_CONFIG
@drain_option(_DRAIN_SECONDS, "requests in flight")
@UNTIL_EOF
@HEALTH
@database_options
def command(api: ApiOptions, drain_seconds: float, until_eof: bool, health: str | None, database: Database) -> int:
    """Answer as AWS Step Functions does; workers run executions.

    Any number of servers and workers may share a database. It answers this machine alone unless --host says otherwise.

    SIGTERM or Ctrl-C drains: no more connections are taken, long polls end, and the requests in flight are waited for.
    A second one gives them up.
    """
    from engine.cli.event_loop import run
    from engine.cli.worker_log import configure_log, log_database, log_notice
    from engine.cli.worker_service import Service, serve

    configure_log()
    health = health_address(health)
    face = api.face()
    service = Service(
        drain_seconds=drain_seconds,
        lease_seconds=_STILL_SECONDS,
        hanging_max=0,
        until_eof=until_eof,
        health=health,
        about={"url": face.url, "pid": os.getpid()},
        kind="server",
        api=face,
    )
    log_database(database)
    with connected(database) as url:
        from engine.library import Engine

        engine = Engine(url, pooler=database.pooler, waits_for_store=True, notice=log_notice)
        return run(serve, engine, service)
