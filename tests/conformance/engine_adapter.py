"""The library's own Engine behind AWS's operations: as many of them as the library has, and no more."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.from_thread import start_blocking_portal

from engine import ApiError, Engine, ExecutionFailed, InvalidDefinition
from engine.asl.diagnostics import invalid_definition_message
from engine.errors import StateMachineDoesNotExist
from engine.jsonvalue import text
from tests.conformance.cases import ACCOUNT
from tests.conformance.replay import CallFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from anyio.from_thread import BlockingPortal

    from engine import ExecutionHandle, StateMachineHandle
    from engine.outcome import ExecutionDescription
    from tests.conformance.cases import Case

OPERATIONS: Final[Mapping[str, frozenset[str]]] = {
    "CreateStateMachine": frozenset({"name", "definition", "roleArn", "type"}),
    "StartExecution": frozenset({"stateMachineArn", "input", "name"}),
    "DescribeExecution": frozenset({"executionArn"}),
    "GetExecutionHistory": frozenset({"executionArn"}),
}
"""What can be asked, with the parameters that are understood."""

_REGION = "us-east-1"
_PATIENCE_SECONDS = 5.0


def needs_more(case: Case) -> str | None:
    """Why the library alone cannot answer a case; None when it can."""
    if case.data["requires"] or case.data.get("functions") or case.data["uses"]["integrations"]:
        return "services"
    for step in case.steps:
        params = OPERATIONS.get(step["op"])
        if params is None or not params.issuperset(step["params"]):
            return "API"
        if any(expectation.get("of") == "error_text" for expectation in step.get("expect", ())):
            return "API"
    return "Distributed Map" if case.runs_distributed_map() else None


@contextmanager
def engine_adapter() -> Iterator[EngineAdapter]:
    """An Engine of its own on the virtual clock, and an event loop for it."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(
            Engine.in_memory(clock="virtual", region=_REGION, account_id=ACCOUNT, seed=0)
        ) as engine,
    ):
        yield EngineAdapter(portal, engine)


class EngineAdapter:
    """See `tests.conformance.replay.Adapter`."""

    def __init__(self, portal: BlockingPortal, engine: Engine) -> None:
        self._portal = portal
        self._engine = engine
        self._machines: dict[str, StateMachineHandle] = {}
        self._open: list[ExecutionHandle] = []

    def call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Answers one operation."""
        assert service == "stepfunctions" and operation in OPERATIONS  # noqa: PT018  one fact
        try:
            return self._portal.call(self._answer, operation, params)
        except InvalidDefinition as error:
            raise CallFailed("InvalidDefinition", invalid_definition_message(error.diagnostics)) from None
        except ApiError as error:
            raise CallFailed(type(error).__name__, str(error)) from None

    def let_pass(self, seconds: float) -> None:
        """Jumps to the end of the executions that are open, however long they would wait."""
        del seconds
        self._portal.call(self._settle)

    async def _settle(self) -> None:
        with anyio.fail_after(_PATIENCE_SECONDS):
            for execution in self._open:
                with suppress(ExecutionFailed):
                    await execution.result()
        self._open.clear()

    async def _answer(self, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        match operation:
            case "CreateStateMachine":
                machine = await self._engine.create_state_machine(
                    params["definition"], params["name"], type=params.get("type", "STANDARD")
                )
                self._machines[machine.arn] = machine
                return {"stateMachineArn": machine.arn, "creationDate": self._engine.clock.now()}
            case "StartExecution":
                execution = await self._start(params)
                self._open.append(execution)
                started = await execution.describe()
                return {"executionArn": execution.arn, "startDate": started.start_date}
            case "DescribeExecution":
                described = await (await self._engine.execution(params["executionArn"])).describe()
                return _as_aws(described)
            case _:
                execution = await self._engine.execution(params["executionArn"])
                return {"events": await execution.history()}

    async def _start(self, params: Mapping[str, Any]) -> ExecutionHandle:
        machine = self._machines.get(params["stateMachineArn"])
        if machine is None:
            raise StateMachineDoesNotExist(params["stateMachineArn"])
        given = params.get("input", "{}").encode()
        return await self._engine.start_execution(machine, given, name=params.get("name"))


def _as_aws(described: ExecutionDescription) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "executionArn": described.execution_arn,
        "stateMachineArn": described.state_machine_arn,
        "name": described.name,
        "status": described.status,
        "startDate": described.start_date,
        "stopDate": described.stop_date,
        "input": text(described.input),
        "inputDetails": {"included": True},
        "error": described.error,
        "cause": described.cause,
        "redriveCount": described.redrive_count,
        "redriveStatus": "NOT_REDRIVABLE" if described.redrive_status_reason else "REDRIVABLE",
        "redriveStatusReason": described.redrive_status_reason,
        "redriveDate": described.redrive_date,
    }
    answer = {key: value for key, value in answer.items() if value is not None}
    if described.status == "SUCCEEDED":
        answer |= {"output": text(described.output), "outputDetails": {"included": True}}
    return answer
