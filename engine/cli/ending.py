"""Waiting for an execution that somebody runs: output on stdout, a failure on stderr, the exit code of its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.cli.exits import EXIT_OF_STATUS, ExitCode
from engine.cli.failure import failure_text
from engine.cli.revisions import program_of
from engine.cli.streams import print_json, print_note
from engine.cli.stuck import reasons_stuck
from engine.outcome import ExecutionFailed
from engine.runtime.executions import ExecutionQuarantined

if TYPE_CHECKING:
    from engine.cli.client import Client


def wait_and_tell(client: Client, execution_arn: str) -> int:
    """Waits for the end of an execution and tells it as `asl run` does; the exit code."""
    handle = client.engine.execution(execution_arn)
    _tell_why_it_waits(client, execution_arn)
    try:
        output = handle.result()
    except ExecutionFailed as failed:
        record = client.store.execution(execution_arn)
        print_note(failure_text(failed, program_of(client.store, record)))
        return EXIT_OF_STATUS[failed.status]
    except ExecutionQuarantined:
        record = client.store.execution(execution_arn)
        print_note(f"{execution_arn} is in quarantine, until asl resume: {record.quarantine or 'the engine failed'}")
        return ExitCode.INTERNAL
    print_json(output)
    return ExitCode.SUCCEEDED


def _tell_why_it_waits(client: Client, execution_arn: str) -> None:
    """Says at once what would be waited for in silence."""
    record, store = client.store.execution(execution_arn), client.store
    if record.ending is None:
        for reason in reasons_stuck(record, store.workers(), store.handle().now()):
            print_note(f"{record.execution.name} waits: {reason}")
