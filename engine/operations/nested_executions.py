"""`states:startExecution` as a Task: executions that other executions start (integrations.md 5.1).

The engine itself does these Tasks, unless a rule says otherwise. A child knows the Task that started it (`Parent`): so
a Task that runs again after a crash finds the child that it has started already, and where it waits the child tells its
end by mail in the very checkpoint that ends it (`engine.runtime.children`).
"""

from __future__ import annotations

from email.utils import formatdate
from typing import TYPE_CHECKING
from uuid import UUID

from engine.arns import execution_arn, parse_arn
from engine.errors import (
    ApiError,
    ExecutionAlreadyExists,
    StateMachineDoesNotExist,
    StateMachineTypeNotSupported,
    StatesError,
)
from engine.integrations.invocation import new_request_id
from engine.integrations.request import Answer, Later, Submitted, UnsupportedTask
from engine.interpreter.messages import TaskError
from engine.interpreter.snapshot import Parent
from engine.jsonvalue import encode, text
from engine.operations.executions import Begun, begin
from engine.operations.resources import not_authorized, target
from engine.runtime.backend import not_redrivable_now
from engine.runtime.children import child_answer, child_description, stop_cause
from engine.store.protocol import ExecutionId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal

    from engine.integrations.request import Channel, RunningJob, TaskRequest, Workplace
    from engine.interpreter.snapshot import Ending
    from engine.jsonvalue import Json
    from engine.operations.resources import Target
    from engine.operations.service import Service
    from engine.store.records import ExecutionRecord

_POLLED_TOGETHER_MAX = 100
_NO_TASK = (0, 0, 0)


class NestedExecutions:
    """A `JobHandler`.

    Args:
        service: Whose executions these are.
        by_name: A state machine of another account or region, or one that is given by its name, is the one of that name
            here: for a process that runs definitions which were made for elsewhere.
    """

    name = "states:startExecution"
    fixed_answer = None
    waits_apart = True

    def __init__(self, service: Service, *, by_name: bool) -> None:
        self._service = service
        self._by_name = by_name

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        """Starts an execution and does not wait for it; see `Handler`."""
        if request.resource.pattern in ("SYNC", "SYNC_2"):
            raise UnsupportedTask(f"state {request.state!r}: nobody would wait for the execution that it starts")
        begun = await self._begun(request, None)
        response = _response(begun)
        return Answer(response, len(encode(response)))

    async def submit(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Submitted:
        """See `JobHandler`."""
        begun = await self._begun(request, "JSON" if request.resource.pattern == "SYNC_2" else "TEXT")
        tracked = begun.tracked
        job: Json = {"arn": tracked.arn, "id": tracked.execution_id.hex}
        # One that somebody else has started, by the same name and with the same input, tells this Task nothing.
        is_own = begun.is_new or await self._is_own(request, tracked.arn)
        return Submitted(_response(begun), job, tracked.execution_id if is_own else None)

    async def _begun(self, request: TaskRequest, wants: Literal["TEXT", "JSON"] | None) -> Begun:
        arguments = request.arguments if isinstance(request.arguments, dict) else {}
        named, given, name = arguments.get("StateMachineArn"), arguments.get("Input"), arguments.get("Name")
        trace_header = arguments.get("TraceHeader")
        if not isinstance(named, str) or not isinstance(name, str | None) or not isinstance(trace_header, str | None):
            raise _unusable(request, arguments)
        try:
            return await self._begin(request, named, {} if given is None else given, name, trace_header, wants)
        except ApiError as error:
            raise _refused(error) from error

    async def _begin(
        self,
        request: TaskRequest,
        named: str,
        given: Json,
        name: str | None,
        trace_header: str | None,
        wants: Literal["TEXT", "JSON"] | None,
    ) -> Begun:
        service = self._service
        arn = parse_arn(named)
        if not self._by_name and arn is not None and arn.account != request.account_id:
            about = not_authorized(request.account_id, "StartExecution", named)
            raise StatesError("StepFunctions.AccessDeniedException", about)
        found = await self._target(named)
        if wants is not None and found.machine.type == "EXPRESS":
            raise StateMachineTypeNotSupported
        origin = request.origin
        # Its name is the same when this very attempt runs again.
        name = request.idempotency_key if name is None else name
        parent = None
        if origin is not None:
            parent = Parent(origin.execution_id.hex, origin.task_id, wants)
        try:
            return await begin(
                service,
                found.machine,
                service.machines.plan(found.machine),
                given.encode("utf-8", "surrogatepass") if isinstance(given, str) else given,
                name,
                pool=None if origin is None else origin.pool,
                version_arn=found.version_arn,
                alias_arn=found.alias_arn,
                trace_header=trace_header,
                parent=parent,
                test_case=found.test_case,
            )
        except ExecutionAlreadyExists:
            taken = _arn_of(found, name)
            if not await self._is_own(request, taken):
                raise
            tracked = await service.backend.find(taken)
            record = await service.backend.describe(taken)
            return Begun(tracked, record.execution.start_time, is_new=False)

    async def _target(self, named: str) -> Target:
        if not self._by_name:
            return await target(self._service, named)
        try:
            return await target(self._service, self._service.machine_arn(named))
        except StateMachineDoesNotExist:
            arn = parse_arn(named)
            name = "" if arn is None else arn.resource.removeprefix("stateMachine:")
            here = self._service.machine_arn(name)
            if not name or here == named:
                raise
        try:
            return await target(self._service, here)
        except StateMachineDoesNotExist:
            raise StateMachineDoesNotExist(named) from None

    async def _is_own(self, request: TaskRequest, arn: str) -> bool:
        """Whether it was this very Task that started an execution."""
        parent = (await self._service.backend.describe(arn)).execution.parent
        origin = request.origin
        if parent is None or origin is None:
            return False
        return (parent.execution_id, parent.task_id) == (origin.execution_id.hex, origin.task_id)

    async def find(self, request: TaskRequest, workplace: Workplace) -> Json | None:
        """See `JobHandler`: it has the name that its start gave it."""
        arguments = request.arguments if isinstance(request.arguments, dict) else {}
        name = arguments.get("Name")
        try:
            found = await self._target(str(arguments.get("StateMachineArn")))
            arn = _arn_of(found, request.idempotency_key if name is None else str(name))
            is_own = await self._is_own(request, arn)
        except ApiError:
            return None
        return {"arn": arn} if is_own else None

    # ── executions of others ────────────────────────────────────────────────────────────────────────────────────────

    def poll_group(self, request: TaskRequest, job: Json) -> tuple[str, int]:
        """See `JobHandler`."""
        return "executions", _POLLED_TOGETHER_MAX

    async def poll(self, jobs: Sequence[RunningJob], workplace: Workplace) -> list[Answer | StatesError | Later]:
        """See `JobHandler`."""
        service = self._service
        ids = [ExecutionId(UUID(hex=_of(job.job, "id"))) for job in jobs]
        endings = await service.ask(service.library.endings, ids)
        return [await self._answer(job, endings.get(one, "")) for job, one in zip(jobs, ids, strict=True)]

    async def _answer(self, job: RunningJob, ending: Ending | str | None) -> Answer | StatesError | Later:
        if isinstance(ending, str):  # it runs, or waits for somebody to resume it
            return Later()
        try:
            record = await self._service.backend.describe(_of(job.job, "arn"))
        except ApiError as error:
            return _refused(error)
        if record.ending is None:
            return Later()
        about = description(record, self._service.now(), as_text=job.request.resource.pattern == "SYNC")
        answer = child_answer(_NO_TASK, record.ending, about)
        if isinstance(answer, TaskError):
            return StatesError(answer.error, answer.cause)
        return Answer(answer.output, answer.output_bytes)

    async def stop(self, request: TaskRequest, job: Json, workplace: Workplace) -> None:
        """See `JobHandler`."""
        backend = self._service.backend
        await backend.stop(await backend.find(_of(job, "arn")), None, stop_cause(request.execution_arn))


def description(record: ExecutionRecord, now: int, *, as_text: bool) -> dict[str, Json]:
    """As `child_description`, of an execution that is over."""
    assert record.ending is not None
    assert record.stop_date is not None
    return child_description(
        record.execution,
        record.ending,
        stop_date=record.stop_date,
        redrives=record.redrives,
        not_redrivable=not_redrivable_now(record, now),
        as_text=as_text,
    )


def _arn_of(found: Target, name: str) -> str:
    """Of a Standard execution."""
    machine = parse_arn(found.machine.arn)
    assert machine is not None, "it was found by it"
    return execution_arn(machine.region, machine.account, found.machine.name, name)


def _of(job: Json, member: str) -> str:
    assert isinstance(job, dict)
    return str(job[member])


def _response(begun: Begun) -> Json:
    """StartExecution's answer, with what the SDK tells of the call."""
    request_id = new_request_id()
    body = encode({"executionArn": begun.tracked.arn, "startDate": begun.start_time / 1_000})
    headers: dict[str, Json] = {
        "connection": "keep-alive",
        "Content-Length": str(len(body)),
        "Content-Type": "application/x-amz-json-1.0",
        "Date": formatdate(usegmt=True),
        "x-amzn-RequestId": request_id,
    }
    every: dict[str, Json] = {name: [header] for name, header in headers.items()}
    return {
        "ExecutionArn": begun.tracked.arn,
        "SdkHttpMetadata": {"AllHttpHeaders": every, "HttpHeaders": headers, "HttpStatusCode": 200},
        "SdkResponseMetadata": {"RequestId": request_id},
        "StartDate": begun.start_time,
    }


def _refused(error: ApiError) -> StatesError:
    """What Step Functions makes of its own error: `StepFunctions.StateMachineDoesNotExistException` (recorded)."""
    code = type(error).__name__
    about = (
        f"Service: AWSStepFunctions; Status Code: 400; Error Code: {code}; Request ID: {new_request_id()}; Proxy: null"
    )
    return StatesError(f"StepFunctions.{code.removesuffix('Exception')}Exception", f"{error.message} ({about})")


def _unusable(request: TaskRequest, arguments: dict[str, Json]) -> StatesError:
    """Arguments that AWS does not even try to start with (integrations.md 1.3)."""
    found = [
        f"The value for the field '{field}' must be a STRING"
        for field in ("StateMachineArn", "Name", "TraceHeader")
        if not isinstance(arguments.get(field), str | None)
    ]
    if "StateMachineArn" not in arguments:
        found.append("The field 'StateMachineArn' is required but was missing")
    return StatesError(
        "States.Runtime",
        f"An error occurred while executing the state '{request.state}' (entered at the event id #{request.entered}). "
        f"The Parameters '{text(arguments)}' could not be used to start the Task: [{', '.join(found)}]",
    )
