"""`asl ls`: lists executions."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from engine.cli.database import database_options, opened
from engine.cli.durations import duration
from engine.cli.exits import EXIT_OF_STATUS, ExitCode
from engine.cli.moments import Moment
from engine.cli.streams import json_text, print_json, print_note
from engine.timestamps import iso_timestamp

if TYPE_CHECKING:
    from datetime import datetime

    from engine.cli.database import Database
    from engine.jsonvalue import Json
    from engine.outcome import ExecutionDescription
    from engine.store.protocol import ExecutionStatus
    from engine.store.records import ExecutionRecord

_LIMIT = 50
_NS_PER_MS = 1_000_000
_MS_PER_SECOND = 1_000

_INPUT_SHOWN = 200
"""Characters of a child's input; `asl get` shows more."""


@click.command("ls")
@click.option("--machine", metavar="MACHINE", help="Of this state machine, a name or an ARN; of all when not given.")
@click.option(
    "--status",
    type=click.Choice(["RUNNING", *(status for status in EXIT_OF_STATUS)], case_sensitive=False),
    metavar="STATUS",
    help="RUNNING, SUCCEEDED, FAILED, TIMED_OUT or ABORTED.",
)
@click.option("--map-run", metavar="ARN", help="The child executions of this map run; `asl get` shows its ARN.")
@click.option("--since", type=Moment(), help="Started then or later: a timestamp, a day, or 30s, 15min, 2h, 7d ago.")
@click.option("--until", type=Moment(), help="Started before; likewise.")
@click.option("--prefix", metavar="TEXT", help="Only those that were given a name which begins so.")
@click.option(
    "--limit",
    type=click.IntRange(min=1, max=1_000),
    default=_LIMIT,
    show_default=True,
    metavar="N",
    help="No more than this many, the newest.",
)
@click.option("--json", "as_json", is_flag=True, help="As ListExecutions answers.")
@database_options
def command(
    machine: str | None,
    map_run: str | None,
    status: ExecutionStatus | None,
    since: int | None,
    until: int | None,
    prefix: str | None,
    limit: int,
    as_json: bool,
    database: Database,
) -> int:
    """List executions.

    The newest come first.
    """
    if map_run is not None:
        if machine or since or until or prefix:
            raise click.UsageError("--map-run goes with --status, --limit and --json alone")
        return _list_children(database, map_run, status, limit, as_json=as_json)
    filters: dict[str, Any] = {
        "status": status,
        "started_from": since,
        "started_before": until,
        "name_prefix": prefix,
        "most": limit + 1,
    }
    with opened(database) as store:
        arn = None
        if machine is not None:
            from engine.cli.lookup import machine_arn

            arn = store.state_machine(machine_arn(machine)).arn
        records = store.executions(arn, **filters)
    shown = records[:limit]
    if as_json:
        print_json({"executions": [_as_json(record) for record in shown]})
    else:
        _print(shown)
    if len(records) > limit:
        print_note(f"There are more than {limit}: --limit shows more, --status, --since, --until and --prefix fewer.")
    return ExitCode.SUCCEEDED


def _list_children(
    database: Database, map_run_arn: str, status: ExecutionStatus | None, limit: int, *, as_json: bool
) -> int:
    from engine.cli.client import client

    with client(database) as both:
        children = list(islice(both.engine.map_run_children(map_run_arn, status=status), limit + 1))
    if as_json:
        print_json({"executions": [_child_as_json(child, map_run_arn) for child in children[:limit]]})
    else:
        _print_children(children[:limit])
    if len(children) > limit:
        print_note(f"There are more than {limit}: --limit shows more, --status fewer.")
    return ExitCode.SUCCEEDED


def _child_as_json(child: ExecutionDescription, map_run_arn: str) -> Json:
    item: dict[str, Json] = {
        "executionArn": child.execution_arn,
        "stateMachineArn": child.state_machine_arn,
        "name": child.name,
        "status": child.status,
        "startDate": iso_timestamp(_ms(child.start_date)),
    }
    if child.stop_date is not None:
        item["stopDate"] = iso_timestamp(_ms(child.stop_date))
    return {**item, "mapRunArn": map_run_arn, "redriveCount": child.redrive_count}


def _print_children(children: list[ExecutionDescription]) -> None:
    from engine.cli.tables import print_table

    if not children:
        print_note("No child executions.")
        return
    now = time.time_ns() // _NS_PER_MS
    print_table(
        ("NAME", "STATUS", "TOOK", "NOTE", "INPUT"),
        [
            (
                child.name,
                child.status,
                duration(max(0, (now if child.stop_date is None else _ms(child.stop_date)) - _ms(child.start_date))),
                child.error or "",
                json_text(child.input, pretty=False)[:_INPUT_SHOWN],
            )
            for child in children
        ],
        cut=("NOTE", "INPUT"),
    )


def _ms(date: datetime) -> int:
    return round(date.timestamp() * _MS_PER_SECOND)


def _as_json(record: ExecutionRecord) -> Json:
    """An item of ListExecutions' answer; times as the AWS command line prints them, in UTC."""
    execution = record.execution
    item: dict[str, Json] = {
        "executionArn": execution.arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": record.status,
        "startDate": iso_timestamp(execution.start_time),
    }
    if record.stop_date is not None:
        item["stopDate"] = iso_timestamp(record.stop_date)
    item["redriveCount"] = record.redrives.count
    if record.redrives.time is not None:
        item["redriveDate"] = iso_timestamp(record.redrives.time)
    return item


def _print(records: list[ExecutionRecord]) -> None:
    from engine.cli.tables import print_table

    if not records:
        print_note("No executions.")
        return
    now = time.time_ns() // _NS_PER_MS
    print_table(
        ("MACHINE", "NAME", "STATUS", "STARTED", "TOOK", "NOTE"),
        [
            (
                record.execution.state_machine_name,
                record.execution.name,
                record.status,
                iso_timestamp(record.execution.start_time),
                duration(max(0, (record.stop_date or now) - record.execution.start_time)),
                _note(record),
            )
            for record in records
        ],
        cut=("MACHINE", "NAME", "NOTE"),
    )


def _note(record: ExecutionRecord) -> str:
    """Why it does not move or how it failed, in a few words."""
    if record.unreadable is not None:
        return f"written by a newer asl, in format {record.unreadable}"
    if record.quarantine is not None:
        return "quarantined"
    if record.missing:
        return f"no handler for {record.missing[0]} in pool {record.pool}"
    return (record.ending.error or "") if record.ending is not None else ""
