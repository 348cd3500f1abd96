"""The options of commands that run executions, and those of them that other servers have as well."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import click

from engine.cli.gathered import gathered
from engine.cli.moments import Retention
from engine.cli.targets import ALLOW_AWS, HANDLERS_FILE, MOCK_CONFIG, read_handlers, target_option
from engine.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.cli.api_face import ApiFace
    from engine.cli.worker_service import Service
    from engine.integrations.registry import Handlers

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_CONCURRENCY = 256

_LEASE_SECONDS = 15

_ABANDONED_MAX = 100
"""A thread costs some 100 KB and may hold locks and connections: so many that hang are a worker that has had it."""

UNTIL_EOF = click.option(
    "--until-eof", is_flag=True, help="Drain as well when stdin ends: for a parent process that may die."
)
HEALTH = click.option(
    "--health",
    metavar="HOST:PORT",
    help="Answer /healthz, /readyz and /metrics there; else ASL_HEALTH; else nowhere.",
)


def drain_option(default: float, what: str) -> Decorator:
    """The option `--drain-seconds`; `what` is waited for."""
    return click.option(
        "--drain-seconds",
        type=click.FloatRange(min=0),
        default=default,
        show_default=True,
        metavar="S",
        help=f"How long to wait for {what} when told to stop.",
    )


def health_address(given: str | None) -> str | None:
    """The address to answer probes at. Raises click.UsageError."""
    option, address = ("--health", given) if given is not None else ("ASL_HEALTH", Settings.from_environment().health)
    if address is None:
        return None
    from engine.observability.health import parse_address

    try:
        parse_address(address)
    except ValueError as error:
        raise click.UsageError(f"{option}: {error}") from error
    return address


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerOptions:
    """What the command line says of a worker."""

    modules: tuple[str, ...]
    targets: tuple[str, ...]
    handlers_file: str | None
    allow_aws: bool
    pools: tuple[str, ...]
    concurrency: int
    drain_seconds: float
    retention: int | None
    until_eof: bool
    lease_seconds: float
    health: str | None
    abandoned_max: int
    otel: bool
    log_level: str

    def handlers(self) -> Handlers:
        """Raises click.ClickException: they mean nothing."""
        return read_handlers(self.modules, self.targets, self.handlers_file, allow_aws=self.allow_aws)

    def claimed_pools(self) -> tuple[str, ...]:
        """Each once."""
        return tuple(dict.fromkeys(self.pools))

    def service(self, health: str | None, api: ApiFace | None = None) -> Service:
        """How the process behaves: a worker's, or a server's that works as well.

        Args:
            health: See `health_address`.
            api: Answers requests.
        """
        from engine.cli.worker_service import Service

        about = {"pools": list(self.claimed_pools()), "concurrency": self.concurrency}
        return Service(
            drain_seconds=self.drain_seconds,
            lease_seconds=self.lease_seconds,
            retention=None if self.retention is None else timedelta(milliseconds=self.retention),
            hanging_max=self.abandoned_max,
            until_eof=self.until_eof,
            health=health,
            about={**about, **({} if api is None else {"url": api.url}), "pid": os.getpid()},
            kind="worker" if api is None else "server",
            api=api,
        )

    def words(self) -> list[str]:
        """The same for another process of this command, but for `health` and `until_eof`."""
        return [
            *(f"--handlers={module}" for module in self.modules),
            *(f"--target={target}" for target in self.targets),
            *(() if self.handlers_file is None else (f"--handlers-file={self.handlers_file}",)),
            *(("--allow-aws",) if self.allow_aws else ()),
            *(f"--pool={pool}" for pool in self.pools),
            f"--concurrency={self.concurrency}",
            f"--drain-seconds={self.drain_seconds}",
            f"--lease-seconds={self.lease_seconds}",
            f"--abandoned-max={self.abandoned_max}",
            *(() if self.retention is None else (f"--retention={self.retention // 1_000}s",)),
            *(("--otel",) if self.otel else ()),
            f"--log-level={self.log_level}",
        ]


def worker_options(drain_seconds: float, what: str) -> Decorator:
    """Adds the options of a worker; the function gets them as `worker`. For the arguments see `drain_option`."""
    return gathered(
        WorkerOptions,
        "worker",
        (
            click.option(
                "--handlers",
                "modules",
                metavar="MODULE",
                multiple=True,
                help="A module or .py file whose functions are named as the states or functions; repeatable.",
            ),
            target_option("PATTERN=TARGET"),
            HANDLERS_FILE,
            ALLOW_AWS,
            MOCK_CONFIG,
            click.option(
                "--pool",
                "pools",
                metavar="POOL",
                multiple=True,
                default=("default",),
                show_default=True,
                help="Repeatable.",
            ),
            click.option(
                "--concurrency",
                type=click.IntRange(min=1),
                default=_CONCURRENCY,
                show_default=True,
                metavar="N",
                help="Tasks in flight at once.",
            ),
            drain_option(drain_seconds, what),
            click.option(
                "--retention",
                type=Retention(),
                metavar="SPAN",
                help="Remove executions that finished so long ago: 30d, 12w. They are kept for ever when not given.",
            ),
            UNTIL_EOF,
            click.option(
                "--lease-seconds",
                type=click.FloatRange(min=1),
                default=_LEASE_SECONDS,
                show_default=True,
                metavar="S",
                help="How long a worker may be silent until the others take over; the same for all.",
            ),
            HEALTH,
            click.option(
                "--abandoned-max",
                type=click.IntRange(min=0),
                default=_ABANDONED_MAX,
                show_default=True,
                metavar="N",
                help="Drain and exit with 75 when more handlers than this hang that were given up.",
            ),
            click.option(
                "--otel", is_flag=True, help="Send OpenTelemetry spans, as the OTEL_* variables say (extra otel)."
            ),
            click.option(
                "--log-level",
                type=click.Choice(["info", "warning", "error"]),
                default="info",
                show_default=True,
                help="What the log tells; `info` has each execution and each Task.",
            ),
        ),
    )
