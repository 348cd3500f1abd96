"""Executions as DescribeExecution and ListExecutions show them (execution.md 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.jsonvalue import text
from engine.outcome import aware

if TYPE_CHECKING:
    from engine.store.records import ExecutionRecord


PENDING_REDRIVE = "PENDING_REDRIVE"
"""The status of a child of a Map Run that did not succeed, and that is to be redriven."""


def described(
    record: ExecutionRecord, not_redrivable: str | None, *, has_data: bool = True, is_pending: bool = False
) -> dict[str, Any]:
    """What DescribeExecution answers.

    Args:
        record: The execution.
        not_redrivable: Why it cannot be redriven; None: it can.
        has_data: Whether input and output are shown.
        is_pending: Whether it is PENDING_REDRIVE.
    """
    execution, ending = record.execution, None if is_pending else record.ending
    answer = summary(record, is_pending=is_pending)
    if is_pending:
        not_redrivable = f"Execution is {PENDING_REDRIVE} and cannot be redriven"
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
    if execution.map is not None and not_redrivable is None:
        return answer | {"map_run_arn": execution.map.map_run_arn, "redrive_status": "REDRIVABLE_BY_MAP_RUN"}
    if execution.map is not None:
        answer["map_run_arn"] = execution.map.map_run_arn
    if not_redrivable is None:
        return answer | {"redrive_status": "REDRIVABLE"}
    return answer | {"redrive_status": "NOT_REDRIVABLE", "redrive_status_reason": not_redrivable}


def summary(record: ExecutionRecord, *, is_pending: bool = False) -> dict[str, Any]:
    """An item of ListExecutions' answer. `is_pending`: see `described`."""
    execution = record.execution
    answer: dict[str, Any] = {
        "execution_arn": execution.arn,
        "state_machine_arn": execution.state_machine_arn,
        "name": execution.name,
        "status": PENDING_REDRIVE if is_pending else record.status,
        "start_date": aware(execution.start_time),
        "redrive_count": record.redrives.count,
    }
    if record.stop_date is not None and not is_pending:
        answer["stop_date"] = aware(record.stop_date)
    if record.redrives.time is not None:
        answer["redrive_date"] = aware(record.redrives.time)
    if execution.state_machine_version_arn is not None:
        answer["state_machine_version_arn"] = execution.state_machine_version_arn
    if execution.state_machine_alias_arn is not None:
        answer["state_machine_alias_arn"] = execution.state_machine_alias_arn
    return answer
