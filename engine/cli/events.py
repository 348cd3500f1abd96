"""`--events` and `--logs`: whom a worker tells of its executions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from engine.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Telling:
    """What was asked for by the options, else by the environment; see `Engine`."""

    events: tuple[str, ...]
    logs: str | None

    @property
    def environment(self) -> Mapping[str, str]:
        """For a process that is to do the same: a URL may hold a secret, which everybody could read among its words."""
        given = {"ASL_EVENTS": " ".join(self.events), "ASL_LOGS": self.logs}
        return {name: value for name, value in given.items() if value}


def event_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options to a command, which gets them as `telling`."""

    @click.option(
        "--events",
        metavar="TARGET",
        multiple=True,
        help="Tell of each change of an execution's status: a URL, eventbridge:BUS or notify:CHANNEL; repeatable.",
    )
    @click.option(
        "--logs", metavar="TARGET", help="Where logging configurations write to: file:PATH, cloudwatch or log."
    )
    @wraps(function)
    def command(*args: Any, events: tuple[str, ...], logs: str | None, **kwargs: Any) -> Any:
        return function(*args, telling=_telling(events, logs), **kwargs)

    return command


def _telling(events: tuple[str, ...], logs: str | None) -> Telling:
    """Raises click.UsageError: a target means nothing."""
    settings = Settings.from_environment()
    telling = Telling(events or settings.events, logs or settings.logs)
    if telling.events or telling.logs is not None:
        from engine.events.chronicle import chronicle_of

        try:
            chronicle_of(telling.events, telling.logs, None)
        except ValueError as error:
            said_by = {"events": "--events" if events else "ASL_EVENTS", "logs": "--logs" if logs else "ASL_LOGS"}
            subject, _, problem = str(error).partition(":")
            raise click.UsageError(f"{said_by[subject]}:{problem}") from error
    return telling
