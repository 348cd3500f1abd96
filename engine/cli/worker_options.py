"""The options of `asl worker` that other commands which work have as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from engine.cli.moments import Retention
from engine.cli.targets import target_option
from engine.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_CONCURRENCY = 256

_LEASE_SECONDS = 15

_ABANDONED_MAX = 100
"""A thread costs some 100 KB and may hold locks and connections: so many that hang are a worker that has had it."""

HANDLERS = click.option(
    "--handlers",
    "modules",
    metavar="MODULE",
    multiple=True,
    help="A module or .py file whose functions are named as the states or functions; repeatable.",
)
TARGETS = target_option("PATTERN=TARGET")
POOLS = click.option(
    "--pool", "pools", metavar="POOL", multiple=True, default=("default",), show_default=True, help="Repeatable."
)
CONCURRENCY = click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=_CONCURRENCY,
    show_default=True,
    metavar="N",
    help="Tasks in flight at once.",
)
RETENTION = click.option(
    "--retention",
    type=Retention(),
    metavar="SPAN",
    help="Remove executions that finished so long ago: 30d, 12w. They are kept for ever when not given.",
)
UNTIL_EOF = click.option(
    "--until-eof", is_flag=True, help="Drain as well when stdin ends: for a parent process that may die."
)
LEASE_SECONDS = click.option(
    "--lease-seconds",
    type=click.FloatRange(min=1),
    default=_LEASE_SECONDS,
    show_default=True,
    metavar="S",
    help="How long a worker may be silent until the others take over; the same for all.",
)
HEALTH = click.option(
    "--health",
    metavar="HOST:PORT",
    help="Answer /healthz, /readyz and /metrics there; else ASL_HEALTH; else nowhere.",
)
ABANDONED_MAX = click.option(
    "--abandoned-max",
    type=click.IntRange(min=0),
    default=_ABANDONED_MAX,
    show_default=True,
    metavar="N",
    help="Drain and exit with 75 when more handlers than this hang that were given up.",
)
OTEL = click.option("--otel", is_flag=True, help="Send OpenTelemetry spans, as the OTEL_* variables say (extra otel).")


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
