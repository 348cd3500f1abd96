"""`asl get`: shows how one execution stands, what it waits for, and why it does not move."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from engine.cli.database import database_options, opened
from engine.cli.durations import duration
from engine.cli.exits import ExitCode
from engine.cli.lookup import find_execution
from engine.cli.map_progress import RUNS_SHOWN, MapRunProgress
from engine.cli.streams import json_text, print_json, print_result
from engine.cli.stuck import reasons_below, reasons_stuck
from engine.cli.workers import state_of
from engine.timestamps import iso_timestamp

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.cli.database import Database
    from engine.cli.waiting import Wait
    from engine.jsonvalue import Json
    from engine.library import MapRunCounts
    from engine.store.postgres.ownership import WorkerRecord
    from engine.store.postgres.store import PostgresStore
    from engine.store.records import ExecutionRecord

_WAITS_SHOWN = 20
"""Things waited for that a person sees; `--json` has all of them."""

_VALUE_SHOWN = 2_000
"""Characters of an input or output; `--json` has all of them."""


@click.command("get")
@click.argument("execution")
@click.option("-f", "--follow", is_flag=True, help="Before, show how far its Distributed Maps are, until it is over.")
@click.option("--json", "as_json", is_flag=True, help="As DescribeExecution answers, and what only we have.")
@database_options
def command(execution: str, follow: bool, as_json: bool, database: Database) -> int:
    """Show how an execution stands, and why it does not move.

    EXECUTION is an ARN, MACHINE:NAME, or a name that only one execution has.
    """
    if follow:
        from engine.cli.client import client
        from engine.cli.follow import follow as follow_execution

        with client(database) as both:
            execution = find_execution(both.store, execution).execution.arn
            follow_execution(both, execution)
    with opened(database) as store:
        record = find_execution(store, execution)
        open_waits = _waits(store, record)
        workers = [] if record.ending is not None else store.workers()
        now = store.handle().now()
        owner = None if record.ending is not None else store.owner(record.execution_id)
        stuck = [*reasons_stuck(record, workers, now), *reasons_below(store, record)]
        map_runs = _map_runs(store, record)
    counts = _counts(database, map_runs)
    worker = next((worker for worker in workers if worker.id == owner), None)
    if as_json:
        print_json(_as_json(record, open_waits, stuck, worker, counts))
    else:
        _print(record, open_waits, stuck, worker, counts, now)
    return ExitCode.SUCCEEDED


def _map_runs(store: PostgresStore, record: ExecutionRecord) -> list[str]:
    """Those that the execution began, the first one first; of a map run itself."""
    about = record.execution.map
    if about is not None and about.kind == "RUN":
        return [record.execution.arn]
    runs = store.latest_executions(record.execution.arn, most=RUNS_SHOWN)
    return [run.execution.arn for run in reversed(runs)]


def _counts(database: Database, map_runs: Sequence[str]) -> list[MapRunCounts]:
    if not map_runs:
        return []
    from engine.cli.client import client

    with client(database) as both:
        return [both.engine.map_run_counts(map_run_arn) for map_run_arn in map_runs]


def _waits(store: PostgresStore, record: ExecutionRecord) -> list[Wait]:
    """What it waits for; nothing when it is over."""
    if record.ending is not None or record.unreadable is not None:
        return []
    snapshot = store.snapshot(record.execution.arn)
    if snapshot is None or snapshot.ending is not None:  # it has ended meanwhile
        return []
    from engine.cli.revisions import program_of
    from engine.cli.waiting import waits

    return list(waits(snapshot, program_of(store, record)))


def _as_json(
    record: ExecutionRecord,
    open_waits: Sequence[Wait],
    stuck: Sequence[str],
    worker: WorkerRecord | None,
    counts: Sequence[MapRunCounts],
) -> Json:
    """DescribeExecution's answer with times as the AWS command line prints them, and what only we have."""
    execution, ending = record.execution, record.ending
    shown: dict[str, Json] = {
        "executionArn": execution.arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": record.status,
        "startDate": iso_timestamp(execution.start_time),
        "stopDate": None if record.stop_date is None else iso_timestamp(record.stop_date),
        "input": json_text(execution.input, pretty=False),
        "output": json_text(ending.output, pretty=False) if record.status == "SUCCEEDED" and ending else None,
        "error": None if ending is None else ending.error,
        "cause": None if ending is None else ending.cause,
        "redriveCount": record.redrives.count,
        "redriveDate": None if record.redrives.time is None else iso_timestamp(record.redrives.time),
        "pool": record.pool,
    }
    if counts:
        shown["mapRuns"] = [_counts_as_json(run) for run in counts]
    if worker is not None:
        shown["worker"] = {"id": str(worker.id), "host": worker.host, "pid": worker.pid}
    if ending is None:
        shown["waitsFor"] = [_wait_as_json(wait) for wait in open_waits]
        shown["stuck"] = list(stuck)
    return {key: value for key, value in shown.items() if value is not None}


def _counts_as_json(run: MapRunCounts) -> Json:
    return {
        "mapRunArn": run.map_run_arn,
        "state": run.state,
        "status": run.status,
        "itemCounts": {
            "pending": run.pending,
            "running": run.running,
            "succeeded": run.succeeded,
            "failed": run.failed,
            "timedOut": run.timed_out,
            "aborted": run.aborted,
            "total": run.total,
        },
    }


def _wait_as_json(wait: Wait) -> Json:
    shown: dict[str, Json] = {
        "state": wait.state,
        "type": wait.type,
        "what": wait.what,
        "mapIndex": wait.item,
        "resource": wait.resource,
        "attempt": wait.attempt,
        "taskToken": wait.task_token,
        "until": None if wait.until is None else iso_timestamp(wait.until),
        "total": wait.total,
        "done": wait.done,
    }
    return {key: value for key, value in shown.items() if value is not None}


# ── for a person ────────────────────────────────────────────────────────────────────────────────────────────────────


def _print(
    record: ExecutionRecord,
    open_waits: Sequence[Wait],
    stuck: Sequence[str],
    worker: WorkerRecord | None,
    counts: Sequence[MapRunCounts],
    now: int,
) -> None:
    from engine.cli.tables import print_fields, status_text

    execution, ending = record.execution, record.ending
    took = duration(max(0, (record.stop_date or now) - execution.start_time))
    is_map_run = execution.map is not None and execution.map.kind == "RUN"  # its input and output are ours
    output = "" if ending is None or ending.status != "SUCCEEDED" or is_map_run else _shown(ending.output)
    fields = {
        "execution": execution.arn,
        "status": f"{status_text(record.status)} {'for' if ending is None else 'after'} {took}",
        "started": iso_timestamp(execution.start_time),
        "stopped": "" if record.stop_date is None else iso_timestamp(record.stop_date),
        "pool": record.pool,
        "worker": "" if worker is None else f"{worker.host}, pid {worker.pid}, {state_of(worker, now)}",
        "redriven": f"{record.redrives.count} times" if record.redrives.count else "",
        "input": "" if is_map_run else _shown(execution.input),
        "map runs": "\n".join(_counts_text(run) for run in counts),
        "output": output,
        "error": (ending.error or "") if ending is not None else "",
        "cause": (ending.cause or "") if ending is not None else "",
        "stuck": click.style("\n".join(stuck), fg="red") if stuck else "",
        "waits for": "\n".join(_wait_lines(open_waits)),
    }
    print_fields({name: text for name, text in fields.items() if text})
    if ending is None and not record.last_event_id and record.unreadable is None:
        print_result("It has not begun.")


def _counts_text(run: MapRunCounts) -> str:
    return f"{run.state}: {MapRunProgress(run, 0).text()}\n  {run.map_run_arn}"


def _wait_lines(open_waits: Sequence[Wait]) -> list[str]:
    lines = [_wait_text(wait) for wait in open_waits[:_WAITS_SHOWN]]
    more = len(open_waits) - len(lines)
    return [*lines, f"and {more} more (--json shows all)"] if more else lines


def _wait_text(wait: Wait) -> str:
    text = f"{wait.state} ({wait.type})" if wait.item is None else f"{wait.state}[{wait.item}] ({wait.type})"
    until = "" if wait.until is None else f" until {iso_timestamp(wait.until)}"
    if wait.what == "TASK":
        attempt = f", attempt {wait.attempt + 1}" if wait.attempt else ""
        token = "" if wait.task_token is None else f"\n  task token {wait.task_token}"
        return f"{text}: {wait.resource}{attempt}{until}{token}"
    if wait.what == "BRANCHES":
        return f"{text}: {wait.done}/{wait.total} done"
    return f"{text}: {'retries after a delay' if wait.what == 'RETRY' else 'waits'}{until}"


def _shown(value: Json) -> str:
    text = json_text(value, pretty=False)
    return text if len(text) <= _VALUE_SHOWN else f"{text[:_VALUE_SHOWN]}… ({len(text)} characters; --json shows all)"
