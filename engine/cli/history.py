"""`asl history`: shows the events of one execution, those that are there or all until its end."""

from __future__ import annotations

import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from engine.cli.database import database_options, opened
from engine.cli.exits import ExitCode
from engine.cli.lookup import find_execution
from engine.cli.streams import can_redraw, json_text, print_json, silence, wants_color, width_of
from engine.timestamps import iso_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.cli.database import Database
    from engine.store.postgres.store import PostgresStore

_MS_PER_SECOND = 1_000

_PAGE = 1_000
"""Events read at once."""

_POLL_SECONDS = 0.2

_DETAILS_FIRST = ("name", "error", "cause", "index", "length", "resource")
"""Members of an event's details that a person wants to see before the others, in this order."""

_DETAILS_NEVER = ("inputDetails", "outputDetails", "assignedVariablesDetails", "roleArn")


@click.command("history")
@click.argument("execution")
@click.option("-f", "--follow", is_flag=True, help="Go on until the execution is over.")
@click.option("--json", "as_json", is_flag=True, help="As GetExecutionHistory answers; with --follow a line per event.")
@database_options
def command(execution: str, follow: bool, as_json: bool, database: Database) -> int:
    """Show what happened in an execution.

    EXECUTION is an ARN, MACHINE:NAME, or a name that only one execution has.
    """
    with ExitStack() as exits:
        store = exits.enter_context(opened(database))
        arn = find_execution(store, execution).execution.arn
        events = _followed(store, arn) if follow else _events(store, arn, 0)
        if as_json and not follow:
            print_json({"events": [_as_json(event) for event in events]})
            return ExitCode.SUCCEEDED
        try:
            for event in events:
                text = json_text(_as_json(event), pretty=False) if as_json else _line(event)
                click.echo(text, color=wants_color(sys.stdout))
        except BrokenPipeError:  # a reader that has gone away ends this, which may go on for days
            silence(sys.stdout)
    return ExitCode.SUCCEEDED


def _events(store: PostgresStore, arn: str, known: int) -> Iterator[dict[str, Any]]:
    """The events after the one with this id, in AWS's shape, page by page."""
    from engine.interpreter.history import as_aws

    while True:
        segments = store.history(arn, from_event_id=known + 1, events_max=_PAGE)
        fresh = list(as_aws(segments, first=known + 1))
        yield from fresh
        if not fresh:
            return
        known = fresh[-1]["id"]


def _followed(store: PostgresStore, arn: str) -> Iterator[dict[str, Any]]:
    """All events until the execution is over. Raises StoreUnavailable after PATIENCE_SECONDS."""
    from engine.runtime.patience import PATIENCE_SECONDS
    from engine.store.protocol import StoreUnavailable

    known = 0
    answered_at = time.monotonic()
    while True:
        try:
            is_over = store.execution(arn).ending is not None  # asked first: what is written with the end is then read
            for event in _events(store, arn, known):
                known = event["id"]
                yield event
        except StoreUnavailable:
            if time.monotonic() - answered_at > PATIENCE_SECONDS:
                raise
        else:
            if is_over:
                return
            answered_at = time.monotonic()
        time.sleep(_POLL_SECONDS)


def _as_json(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "timestamp": _timestamp(event)}


def _timestamp(event: dict[str, Any]) -> str:
    return iso_timestamp(round(event["timestamp"].timestamp() * _MS_PER_SECOND))


def _line(event: dict[str, Any]) -> str:
    """`  12 2024-05-01T12:00:00.000Z TaskFailed error Busy`; in a terminal no longer than its lines."""
    details: dict[str, Any] = next((value for key, value in event.items() if key.endswith("EventDetails")), {})
    told = sorted(
        (key for key in details if key not in _DETAILS_NEVER),
        key=lambda key: _DETAILS_FIRST.index(key) if key in _DETAILS_FIRST else len(_DETAILS_FIRST),
    )
    head = f"{event['id']:>5} {_timestamp(event)} {event['type']}"
    rest = " ".join(_detail(key, details[key]) for key in told)
    if can_redraw(sys.stdout):
        room = max(0, width_of(sys.stdout) - len(head) - 2)
        rest = rest if len(rest) <= room else f"{rest[: max(0, room - 1)]}…"
    color = (
        "red" if event["type"].endswith(("Failed", "TimedOut")) else "green" if "Succeeded" in event["type"] else None
    )
    return f"{click.style(head, fg=color)} {rest}".rstrip()


def _detail(key: str, value: Any) -> str:
    text = value if isinstance(value, str) else json_text(value, pretty=False)
    text = text.replace("\n", "\\n")
    return text if key == "name" else f"{key} {text}"
