"""StartExecution, StopExecution, DescribeExecution, ListExecutions (api.md 5.2, 5.3)."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol
from uuid import UUID

import anyio

from engine.errors import StateMachineDoesNotExist, StateMachineTypeNotSupported, ValidationException
from engine.integrations.registry import MissingHandler
from engine.integrations.request import UnsupportedTask
from engine.operations.execution_records import described, summary
from engine.operations.map_children import child_of_map_run, children_of_map_run, is_pending_redrive
from engine.operations.paging import page
from engine.operations.resources import checked_arn, machine_arn_of, target
from engine.outcome import aware
from engine.runtime.backend import not_redrivable_now
from engine.runtime.executions import ExecutionQuarantined
from engine.store.protocol import Birth, ExecutionId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.interpreter.plan import Plan
    from engine.interpreter.snapshot import Parent
    from engine.jsonvalue import Json
    from engine.operations.paging import Page
    from engine.operations.resources import MachineArn
    from engine.operations.service import Service
    from engine.runtime.backend import Tracked
    from engine.store.protocol import ExecutionStatus, MachineType, RevisionId
    from engine.store.records import ExecutionRecord

NO_INPUT = "{}"
"""What StartExecution takes when no input is given (execution.md 6.1)."""

LOOKED_AT_MAX = 2_000
"""Executions that one call of ListExecutions looks at for those of a version, an alias or a redrive filter."""

_CHUNK = 100

STOP_SECONDS = 2.0
"""How long StopExecution waits for the end, to tell when it was: a worker ends it, and there may be none just now."""

IncludedData = Literal["ALL_DATA", "METADATA_ONLY"]


async def start_execution(
    service: Service,
    *,
    state_machine_arn: str,
    name: str | None = None,
    input: str = NO_INPUT,
    trace_header: str | None = None,
) -> dict[str, Any]:
    """Starts an execution of a state machine, a version of one, or what an alias leads to.

    Of a Standard one the same name and the same text of the input give the execution that runs (execution.md 7).

    Raises:
        InvalidArn, ValidationException, StateMachineDoesNotExist, StateMachineDeleting: See `target`.
        InvalidName, InvalidExecutionInput, ExecutionAlreadyExists: As AWS does.
    """
    found = await target(service, state_machine_arn)
    machine = found.machine
    begun = await begin(
        service,
        machine,
        service.machines.plan(machine),
        input.encode("utf-8", "surrogatepass"),
        name,
        version_arn=found.version_arn,
        alias_arn=found.alias_arn,
        trace_header=trace_header,
        test_case=found.test_case,
    )
    return {"execution_arn": begun.tracked.arn, "start_date": aware(begun.start_time)}


class Startable(Protocol):
    """A revision of a state machine, as far as a start needs it: `StateMachineRecord`, `StateMachineHandle`."""

    @property
    def arn(self) -> str:
        """Of the state machine."""
        ...

    @property
    def type(self) -> MachineType:
        """Of the state machine."""
        ...

    @property
    def revision_id(self) -> RevisionId:
        """Of the revision."""
        ...

    @property
    def pool(self) -> str:
        """Whose workers run its executions."""
        ...

    @property
    def role_arn(self) -> str | None:
        """None: nobody gave one."""
        ...


class Begun(NamedTuple):
    """A start that was made.

    Attributes:
        tracked: The execution: it may be one that ran already.
        start_time: Of it, ms since the epoch.
        is_new: Whether this start began it.
    """

    tracked: Tracked
    start_time: int
    is_new: bool


async def begin(
    service: Service,
    machine: Startable,
    plan: Plan,
    given: Json | bytes,
    name: str | None,
    *,
    pool: str | None = None,
    version_arn: str | None = None,
    alias_arn: str | None = None,
    trace_header: str | None = None,
    parent: Parent | None = None,
    test_case: str | None = None,
) -> Begun:
    """Starts an execution of a revision: what every start of this process comes to.

    Args:
        service: Whose.
        machine: The revision.
        plan: Of the revision.
        given: The input: any JSON value, or its text as bytes.
        name: Of the execution; its id when not given.
        pool: Whose workers run it; the state machine's when not given.
        version_arn, alias_arn, trace_header, parent, test_case: See `Starts.draft`.

    Raises:
        InvalidName, InvalidExecutionInput, ExecutionAlreadyExists: As AWS does.
    """
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
        parent=parent,
        test_case=test_case,
    )
    birth = Birth(
        execution=draft.execution,
        revision_id=machine.revision_id,
        pool=machine.pool if pool is None else pool,
        input_text=draft.input_text,
        is_named=name is not None and machine.type == "STANDARD",
    )
    tracked: Tracked = await service.backend.start(draft.execution_id, birth, plan)
    if tracked.execution_id == draft.execution_id:
        return Begun(tracked, draft.execution.start_time, is_new=True)
    return Begun(tracked, (await service.backend.describe(tracked.arn)).execution.start_time, is_new=False)


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
    arn = checked_arn(execution_arn, "execution", "express")
    if arn.resource.startswith("express:"):
        return await child_of_map_run(service, execution_arn, has_data=included_data == "ALL_DATA")
    record = await service.backend.describe(execution_arn)
    reason = not_redrivable_now(record, service.now()) or await why_machine_forbids_redrive(service, record)
    is_pending = await is_pending_redrive(service, record)
    return described(record, reason, has_data=included_data == "ALL_DATA", is_pending=is_pending)


async def why_machine_forbids_redrive(service: Service, record: ExecutionRecord) -> str | None:
    """As `not_redrivable_now`, as far as the state machine is concerned."""
    try:
        machine = await service.backend.state_machine(record.execution.state_machine_arn)
    except StateMachineDoesNotExist:
        return None
    return "State machine is in DELETING status" if machine.status == "DELETING" else None


async def list_executions(
    service: Service,
    *,
    state_machine_arn: str | None = None,
    map_run_arn: str | None = None,
    status_filter: ExecutionStatus | Literal["PENDING_REDRIVE"] | None = None,
    redrive_filter: Literal["REDRIVEN", "NOT_REDRIVEN"] | None = None,
    max_results: int | None = None,
    next_token: str | None = None,
) -> dict[str, Any]:
    """Executions of a state machine, a version or an alias, the latest first: see `Library.latest_executions`.

    A page of a version, an alias or a `redrive_filter` may have fewer items than there are: no more than LOOKED_AT_MAX
    executions of the state machine are looked at for it.

    Raises:
        ValidationException: Not exactly one ARN; PENDING_REDRIVE, which only children of a Map Run can be.
        InvalidArn, InvalidToken, StateMachineDoesNotExist, StateMachineTypeNotSupported: As AWS does.
        ResourceNotFound: No such Map Run.
    """
    if (state_machine_arn is None) == (map_run_arn is None):
        raise ValidationException(
            "Exactly one of stateMachineArn and mapRunArn must be specified",
            reason="MISSING_REQUIRED_PARAMETER" if map_run_arn is None else None,
        )
    if map_run_arn is not None:
        return await children_of_map_run(
            service,
            map_run_arn,
            status_filter=status_filter,
            redrive_filter=redrive_filter,
            max_results=max_results,
            next_token=next_token,
        )
    assert state_machine_arn is not None
    if status_filter == "PENDING_REDRIVE":
        raise ValidationException("The status filter PENDING_REDRIVE can only be specified with a mapRunArn")
    arn = machine_arn_of(state_machine_arn)
    asked = page(
        service,
        "ListExecutions",
        tuple[int, UUID],
        max_results=max_results,
        next_token=next_token,
        state_machine_arn=state_machine_arn,
        status_filter=status_filter,
        redrive_filter=redrive_filter,
    )
    await _check_listable(service, arn)

    def is_wanted(record: ExecutionRecord) -> bool:
        execution = record.execution
        if arn.is_qualified and arn.text not in (
            execution.state_machine_version_arn,
            execution.state_machine_alias_arn,
        ):
            return False
        return redrive_filter is None or (record.redrives.count > 0) == (redrive_filter == "REDRIVEN")

    latest = partial(service.library.latest_executions, arn.machine, status=status_filter)
    found: Sequence[ExecutionRecord]
    if arn.is_qualified or redrive_filter is not None:
        found, last = await _chosen(service, latest, is_wanted, asked)
    else:
        after = None if asked.after is None else (asked.after[0], ExecutionId(asked.after[1]))
        found, last = await service.ask(latest, after=after, most=asked.most + 1), None
    if last is not None:
        return {"executions": [summary(record) for record in found], "next_token": asked.token(last)}
    records, rest = asked.shown(found, _position)
    return {"executions": [summary(record) for record in records], **rest}


async def _check_listable(service: Service, arn: MachineArn) -> None:
    try:
        machine = await service.backend.state_machine(arn.machine)
        if machine.type == "EXPRESS":
            raise StateMachineTypeNotSupported
        if arn.version is not None:
            await service.ask(service.library.version, arn.machine, arn.version)
        elif arn.alias is not None:
            await service.ask(service.library.alias, arn.machine, arn.alias)
    except StateMachineDoesNotExist:
        raise StateMachineDoesNotExist(arn.text) from None


async def _chosen(
    service: Service,
    latest: partial[Sequence[ExecutionRecord]],
    is_wanted: Callable[[ExecutionRecord], bool],
    asked: Page[tuple[int, UUID]],
) -> tuple[list[ExecutionRecord], tuple[int, UUID] | None]:
    """What is wanted of the next LOOKED_AT_MAX executions, up to one more than a page; and the last one looked at.

    None in place of the last one: more than a page was found, or there are no more.
    """
    found: list[ExecutionRecord] = []
    after = asked.after
    chunk: Sequence[ExecutionRecord]
    for _ in range(LOOKED_AT_MAX // _CHUNK):
        chunk = await service.ask(latest, after=after, most=_CHUNK)
        found += filter(is_wanted, chunk)
        if len(found) > asked.most:
            return found[: asked.most + 1], None
        if len(chunk) < _CHUNK:
            return found, None
        after = _position(chunk[-1])
    return found, after


def _position(record: ExecutionRecord) -> tuple[int, UUID]:
    return record.last_change, record.execution_id
