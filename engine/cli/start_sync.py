"""`asl start --sync`: runs an Express execution to its end and tells it as `asl run` does."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from engine.cli.ending import SILENCE_SECONDS
from engine.cli.exits import EXIT_OF_STATUS
from engine.cli.failure import ending_text
from engine.cli.streams import print_json, print_note
from engine.cli.stuck import why_unserved
from engine.errors import ApiError
from engine.jsonvalue import text
from engine.store.protocol import StoreUnavailable
from engine.timestamps import iso_of

if TYPE_CHECKING:
    from engine.cli.client import Client
    from engine.jsonvalue import Json
    from engine.outcome import SyncExecution


def run_and_tell(client: Client, machine_arn: str, given: Json | bytes, *, name: str | None, as_json: bool) -> int:
    """Has a worker run it, and waits; the exit code.

    Args:
        client: Of the database.
        machine_arn: Of an Express state machine, or a version or an alias of one.
        given: The input.
        name: Of the execution.
        as_json: Print the answer of StartSyncExecution, however it ended.
    """
    silence = threading.Timer(SILENCE_SECONDS, _tell_why_it_waits, (client, machine_arn))
    silence.daemon = True
    silence.start()
    try:
        ran = client.engine.start_sync_execution(machine_arn, given, name=name)
    finally:
        silence.cancel()
    if as_json:
        print_json(_answer(ran))
    elif ran.status == "SUCCEEDED":
        print_json(ran.output)
    else:
        print_note(ending_text(ran.status, ran.error, ran.cause))
    return EXIT_OF_STATUS[ran.status]


def _answer(ran: SyncExecution) -> dict[str, Json]:
    ended: dict[str, Json] = {"output": text(ran.output)} if ran.status == "SUCCEEDED" else {}
    ended |= {key: value for key, value in (("error", ran.error), ("cause", ran.cause)) if value is not None}
    return {
        "executionArn": ran.execution_arn,
        "stateMachineArn": ran.state_machine_arn,
        "name": ran.name,
        "startDate": iso_of(ran.start_date),
        "stopDate": iso_of(ran.stop_date),
        "status": ran.status,
        "input": text(ran.input),
        **ended,
        "billingDetails": {"billedDurationInMilliseconds": ran.billed_duration_ms},
    }


def _tell_why_it_waits(client: Client, machine_arn: str) -> None:
    """Says what would be waited for in silence."""
    store = client.store
    parts = machine_arn.split(":")
    with suppress(StoreUnavailable, ApiError):  # the start itself tells
        pool = store.state_machine(":".join(parts[:7])).pool  # without a version or an alias
        for reason in why_unserved(pool, store.workers(), store.handle().now()):
            print_note(f"{parts[6]} waits: {reason}")
