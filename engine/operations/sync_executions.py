"""StartSyncExecution (api.md 5.2, execution.md 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from engine.errors import StateMachineTypeNotSupported
from engine.jsonvalue import text
from engine.operations.resources import target
from engine.outcome import aware
from engine.store.protocol import Birth

if TYPE_CHECKING:
    from datetime import datetime

    from engine.interpreter.snapshot import Ending, Execution
    from engine.jsonvalue import Json
    from engine.operations.service import Service

BILLED_STEP_MS = 100
BILLED_MEMORY_MB = 64
"""What AWS bills at least. Nobody measures here what an execution takes of its process's memory."""

IncludedData = Literal["ALL_DATA", "METADATA_ONLY"]


class SyncOutcome(NamedTuple):
    """How a synchronous execution went.

    Attributes:
        status: As AWS shows it, which knows no ABORTED here: that is FAILED.
        billed_ms: The time that it took, in whole tenths of a second.
    """

    execution: Execution
    ending: Ending
    status: Literal["SUCCEEDED", "FAILED", "TIMED_OUT"]
    start_date: datetime
    stop_date: datetime
    billed_ms: int


async def run_sync(
    service: Service,
    state_machine_arn: str,
    given: Json | bytes,
    *,
    name: str | None = None,
    trace_header: str | None = None,
) -> SyncOutcome:
    """Runs an Express execution of a state machine, version or alias to its end.

    Args:
        given: The input: any JSON value, or its text as bytes.

    Raises:
        InvalidArn, ValidationException, StateMachineDoesNotExist, StateMachineDeleting: See `target`.
        StateMachineTypeNotSupported: It is a STANDARD one.
        InvalidName, InvalidExecutionInput: See there.
        ExecutionQuarantined: The engine itself failed on it.
    """
    machine, version_arn, alias_arn, test_case = await target(service, state_machine_arn)
    if machine.type != "EXPRESS":
        raise StateMachineTypeNotSupported
    revision = service.machines.revision(machine)
    draft = service.starts.draft(
        machine.arn,
        machine.type,
        given,
        name,
        now=service.now(),
        role_arn=machine.role_arn,
        version_arn=version_arn,
        alias_arn=alias_arn,
        trace_header=trace_header,
        is_sync=True,
        test_case=test_case,
    )
    birth = Birth(
        execution=draft.execution,
        revision_id=machine.revision_id,
        pool=machine.pool,
        input_text=draft.input_text,
    )
    ending, stop_date = await service.backend.run_sync(draft.execution_id, birth, revision.plan, revision.program)
    begun = draft.execution.start_time
    return SyncOutcome(
        execution=draft.execution,
        ending=ending,
        status="FAILED" if ending.status == "ABORTED" else ending.status,
        start_date=aware(begun),
        stop_date=aware(stop_date),
        billed_ms=max(1, -((begun - stop_date) // BILLED_STEP_MS)) * BILLED_STEP_MS,
    )


async def start_sync_execution(
    service: Service,
    *,
    state_machine_arn: str,
    name: str | None = None,
    input: str = "{}",
    trace_header: str | None = None,
    included_data: IncludedData = "ALL_DATA",
) -> dict[str, Any]:
    """Runs an Express execution and answers how it went; one that failed is an answer as well. Raises as `run_sync`."""
    outcome = await run_sync(
        service, state_machine_arn, input.encode("utf-8", "surrogatepass"), name=name, trace_header=trace_header
    )
    execution, ending = outcome.execution, outcome.ending
    has_data = included_data == "ALL_DATA"
    answer: dict[str, Any] = {
        "execution_arn": execution.arn,
        "state_machine_arn": execution.state_machine_arn,
        "name": execution.name,
        "start_date": outcome.start_date,
        "stop_date": outcome.stop_date,
        "status": outcome.status,
        "input_details": {"included": has_data},
        "output_details": {"included": has_data},
        "billing_details": {
            "billedDurationInMilliseconds": outcome.billed_ms,
            "billedMemoryUsedInMB": BILLED_MEMORY_MB,
        },
    }
    if has_data:
        answer["input"] = text(execution.input) if execution.input_text is None else execution.input_text
        if ending.status == "SUCCEEDED":
            answer["output"] = text(ending.output)
    told = {"error": ending.error, "cause": ending.cause, "trace_header": execution.trace_header}
    return answer | {member: value for member, value in told.items() if value is not None}
