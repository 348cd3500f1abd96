"""StopExecution, DescribeExecution (api.md 5.2, 5.3)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import anyio

from engine.integrations.registry import MissingHandler
from engine.integrations.request import UnsupportedTask
from engine.jsonvalue import text
from engine.operations.resources import checked_arn
from engine.outcome import aware
from engine.runtime.backend import not_redrivable_now
from engine.runtime.executions import ExecutionQuarantined

if TYPE_CHECKING:
    from engine.operations.service import Service
    from engine.store.library import ExecutionRecord

STOP_SECONDS = 2.0
"""How long StopExecution waits for the end, to tell when it was: a worker ends it, and there may be none just now."""

IncludedData = Literal["ALL_DATA", "METADATA_ONLY"]


async def stop_execution(
    service: Service, *, execution_arn: str, error: str | None = None, cause: str | None = None
) -> dict[str, Any]:
    """Has an execution end as ABORTED; one that is over stays as it is and tells when that was (execution.md 8).

    Raises:
        InvalidArn: Also that of an Express execution.
        ExecutionDoesNotExist: No such one.
    """
    checked_arn(execution_arn, "execution")
    backend = service.backend
    tracked = await backend.find(execution_arn)
    asked = service.now()
    await backend.stop(tracked, error, cause)
    # One that is in quarantine takes the stop when somebody resumes it; the others were stopped before.
    with anyio.move_on_after(STOP_SECONDS), suppress(ExecutionQuarantined, MissingHandler, UnsupportedTask):
        await backend.result(tracked)
    stop_date = (await backend.describe(execution_arn)).stop_date
    return {"stop_date": aware(asked if stop_date is None else stop_date)}


async def describe_execution(
    service: Service, *, execution_arn: str, included_data: IncludedData = "ALL_DATA"
) -> dict[str, Any]:
    """How an execution stands (execution.md 6.1).

    Raises:
        InvalidArn: Also that of an Express execution.
        ExecutionDoesNotExist: No such one, or no longer.
    """
    checked_arn(execution_arn, "execution")
    record = await service.backend.describe(execution_arn)
    reason = not_redrivable_now(record, service.now())
    return described(record, reason, has_data=included_data == "ALL_DATA")


def described(record: ExecutionRecord, not_redrivable: str | None, *, has_data: bool = True) -> dict[str, Any]:
    """What DescribeExecution answers.

    Args:
        record: The execution.
        not_redrivable: Why it cannot be redriven; None: it can.
        has_data: Whether input and output are shown.
    """
    execution, ending = record.execution, record.ending
    answer = _summary(record)
    answer["input_details"] = {"included": has_data}
    if has_data:
        answer["input"] = text(execution.input) if execution.input_text is None else execution.input_text
    if execution.trace_header is not None:
        answer["trace_header"] = execution.trace_header
    if ending is not None and ending.status == "SUCCEEDED":
        answer["output_details"] = {"included": has_data}
        if has_data:
            answer["output"] = text(ending.output)
    if ending is not None and ending.status != "TIMED_OUT":  # of that AWS shows no error (recorded)
        answer |= {key: value for key, value in (("error", ending.error), ("cause", ending.cause)) if value is not None}
    if not_redrivable is None:
        return answer | {"redrive_status": "REDRIVABLE"}
    return answer | {"redrive_status": "NOT_REDRIVABLE", "redrive_status_reason": not_redrivable}


def _summary(record: ExecutionRecord) -> dict[str, Any]:
    """An item of ListExecutions' answer."""
    execution = record.execution
    answer: dict[str, Any] = {
        "execution_arn": execution.arn,
        "state_machine_arn": execution.state_machine_arn,
        "name": execution.name,
        "status": record.status,
        "start_date": aware(execution.start_time),
        "redrive_count": record.redrives.count,
    }
    if record.stop_date is not None:
        answer["stop_date"] = aware(record.stop_date)
    if record.redrives.time is not None:
        answer["redrive_date"] = aware(record.redrives.time)
    if execution.state_machine_version_arn is not None:
        answer["state_machine_version_arn"] = execution.state_machine_version_arn
    if execution.state_machine_alias_arn is not None:
        answer["state_machine_alias_arn"] = execution.state_machine_alias_arn
    return answer
