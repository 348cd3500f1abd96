"""RedriveExecution (api.md 5.4)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from engine.errors import ExecutionNotRedrivable
from engine.operations.executions import why_machine_forbids_redrive
from engine.operations.resources import checked_arn
from engine.outcome import aware

if TYPE_CHECKING:
    from engine.interpreter.plan import Plan
    from engine.operations.service import Service
    from engine.store.records import ExecutionRecord


async def redrive_execution(service: Service, *, execution_arn: str, client_token: str | None = None) -> dict[str, Any]:
    """Goes on with an execution that did not succeed, where it failed (execution.md 9).

    A call with one of the last client tokens answers as the first one did, and changes nothing.

    Raises:
        InvalidArn: Also that of an Express execution.
        ExecutionDoesNotExist: No such one, or no longer.
        ExecutionNotRedrivable: With AWS's reason.
    """
    checked_arn(execution_arn, "execution")
    backend = service.backend
    tracked = await backend.find(execution_arn)
    record = await backend.describe(execution_arn)
    reason = await why_machine_forbids_redrive(service, record)
    if record.execution.map is not None:
        reason = "Execution is a child of a Map Run and is redriven by it"
    if reason is not None:
        raise ExecutionNotRedrivable(reason)
    redrive_date = await backend.redrive(tracked, await _plan_of(service, record), client_token)
    return {"redrive_date": aware(redrive_date)}


async def _plan_of(service: Service, record: ExecutionRecord) -> Plan | None:
    """What the execution runs; None: a definition that was run as it is, in memory, and that is not at hand."""
    plan = service.machines.plan_of(record)
    if plan is None:
        with suppress(KeyError):
            plan = service.machines.plan(await service.ask(service.library.revision, record.revision_id))
    return plan
