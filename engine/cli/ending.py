"""Waiting for an execution that somebody runs: output on stdout, a failure on stderr, the exit code of its end."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.cli.exits import EXIT_OF_STATUS, ExitCode
from engine.cli.failure import failure_text
from engine.cli.revisions import program_of
from engine.cli.streams import print_json, print_note
from engine.cli.stuck import reasons_below, reasons_stuck
from engine.errors import ApiError
from engine.outcome import ExecutionFailed
from engine.runtime.executions import ExecutionQuarantined
from engine.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from engine.cli.client import Client

SILENCE_SECONDS = 3.0
"""After that whoever waits is told why nothing moves, where somebody has to act. Before, a worker may be on its way."""


def wait_and_tell(client: Client, execution_arn: str) -> int:
    """Waits for the end of an execution and tells it as `asl run` does; the exit code."""
    handle = client.engine.execution(execution_arn)
    silence = threading.Timer(SILENCE_SECONDS, _tell_why_it_waits, (client, execution_arn))
    silence.daemon = True
    silence.start()
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
    finally:
        silence.cancel()
    print_json(output)
    return ExitCode.SUCCEEDED


def _tell_why_it_waits(client: Client, execution_arn: str) -> None:
    """Says what would be waited for in silence."""
    store = client.store
    with suppress(StoreUnavailable, ApiError):  # the wait itself tells
        record = store.execution(execution_arn)
        reasons = reasons_stuck(record, store.workers(), store.handle().now())
        for reason in (*reasons, *reasons_below(store, record)):
            print_note(f"{record.execution.name} waits: {reason}")
