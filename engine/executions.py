"""What an engine does with state machines and executions: it deploys, starts, runs and finds them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engine import arns
from engine.arguments import Definition, check_pool, is_name, machine_name, text_of
from engine.errors import InvalidName
from engine.handles import ExecutionHandle
from engine.integrations.invocation import unshared
from engine.machines import StateMachineHandle
from engine.operations.executions import begin
from engine.operations.resources import Target, machine_arn_of, target
from engine.operations.sync_executions import run_sync
from engine.outcome import SyncExecution
from engine.parts import Part
from engine.starts import Deployed
from engine.store.protocol import DEFAULT_POOL

if TYPE_CHECKING:
    from engine.arguments import CallersConnection
    from engine.interpreter.snapshot import Execution
    from engine.jsonvalue import Json
    from engine.machines import Machines
    from engine.operations.service import Service
    from engine.runtime.backend import Tracked
    from engine.runtime.clock import Clock
    from engine.store.postgres.starts import Steps
    from engine.store.protocol import ExecutionId, MachineType
    from engine.store.records import StateMachineRecord

DEFAULT_NAME = "StateMachine"

NO_INPUT: Json = {}
"""What StartExecution takes when no input is given (execution.md 6.1)."""


class Executions(Part):
    """A part of `Engine`."""

    clock: Clock
    _machines: Machines
    _service: Service
    _is_on_store: bool

    # ── state machines ──────────────────────────────────────────────────────────────────────────────────────────────

    async def create_state_machine(
        self,
        definition: Definition,
        name: str,
        *,
        type: MachineType = "STANDARD",
    ) -> StateMachineHandle:
        """Keeps a state machine; the same one again gives the same handle.

        Raises:
            InvalidDefinition: With diagnostics.
            InvalidName: AWS would not take the name.
            StateMachineAlreadyExists: The name has another definition or type.
        """
        machine, record = self._prepared(definition, name, type, DEFAULT_POOL)
        return self._machines.kept(machine, await self._own.create_state_machine(record))

    async def deploy(
        self,
        definition: Definition,
        name: str,
        *,
        type: MachineType = "STANDARD",
        pool: str = DEFAULT_POOL,
    ) -> StateMachineHandle:
        """Creates a state machine, or gives it a new revision: executions that run keep theirs.

        Args:
            pool: Whose workers run its executions, unless their start says otherwise.

        Raises:
            InvalidDefinition, InvalidName: As `create_state_machine`.
            StateMachineAlreadyExists: The name has another type.
        """
        machine, record = self._prepared(definition, name, type, pool)
        return self._machines.kept(machine, await self._own.deploy(record))

    def _prepared(
        self, definition: Definition, name: str, type_: MachineType, pool: str
    ) -> tuple[StateMachineHandle, StateMachineRecord]:
        if not arns.is_valid_name(name):
            raise InvalidName(name)
        check_pool(pool)
        return self._machines.prepared(definition, self._service.machine_arn(name), type_, pool, now=self.clock.now())

    # ── executions ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def start_execution(
        self,
        machine: StateMachineHandle | Definition,
        input: Json | bytes = NO_INPUT,
        *,
        name: str | None = None,
        pool: str | None = None,
        connection: CallersConnection | None = None,
    ) -> ExecutionHandle:
        """Starts an execution of a state machine, or of a definition as it is (execution.md 7).

        A definition is deployed first where others use the store as well: under the name of its file, or, where it has
        none, one that its text gives (`engine.arguments.machine_name`).

        With a `connection` the start is a part of the transaction that the connection is in, and the execution exists
        if and only if the caller commits. Workers then find it by themselves. It is one statement, before which a
        version, or an alias and its version, are read. Two open transactions that start the same name wait for each
        other: the second goes on when the first has ended. The engine need not be entered for this, unless `machine` is
        a definition as it is.

        Args:
            machine: A handle; the name or ARN of a state machine; the ARN of a version or an alias; one of these with
                `#` and a test case of the mock configuration; or a definition, which runs as STANDARD.
            input: Any JSON value; `{}` when not given. Bytes are JSON text, which the history then shows as it is.
            name: Of the execution; an id when not given. While it runs, the same name and input give the same one.
            pool: Whose workers run it; the state machine's when not given.
            connection: The caller's own, to the database of this engine: of psycopg (Connection, AsyncConnection) or
                SQLAlchemy (Connection, Session, AsyncConnection, AsyncSession).

        Raises:
            InvalidDefinition, InvalidArn, InvalidName, InvalidExecutionInput, ExecutionAlreadyExists,
            StateMachineDoesNotExist, StateMachineDeleting: As AWS does. With a connection none of them breaks the
                transaction.
            MissingHandler: In memory: a Task state has no handler.
            SchemaMismatch: The connection's database has no tables of ours.
            TypeError, ValueError: A connection that we cannot use; or the executions are in memory.
        """
        if connection is not None:
            return await self._start_within(machine, input, name, pool, connection)
        if isinstance(machine, StateMachineHandle):
            return self._handle(await self._start(machine, input, name, pool))
        if is_name(machine):
            return self._handle(await self._start_deployed(machine, input, name, pool))
        return self._handle(await self._start(await self._machine(machine), input, name, pool))

    async def _machine(self, named: Definition) -> StateMachineHandle:
        """What `start_execution` runs for a definition as it is. Raises as that does."""
        text, syntax = text_of(named)
        if not self._is_on_store:
            return self._machines.compiled(text, syntax, self._service.machine_arn(DEFAULT_NAME), "STANDARD")
        arn = self._service.machine_arn(machine_name(named if isinstance(named, Path) else None, text))
        machine = self._machines.compiled(text, syntax, arn, "STANDARD")
        # A revision that this engine has deployed is there for good, whatever was deployed since.
        return machine if self._machines.is_kept(machine) else await self.deploy(named, machine.name)

    async def run(
        self,
        machine: StateMachineHandle | Definition,
        input: Json | bytes = NO_INPUT,
        *,
        name: str | None = None,
        pool: str | None = None,
    ) -> Json:
        """Starts an execution and waits for its output. Raises what `start_execution` and `result` raise.

        Cancelled, it waits no more, but the execution goes on; `start_execution` gives a handle that can be stopped.
        """
        return await (await self.start_execution(machine, input, name=name, pool=pool)).result()

    async def start_sync_execution(
        self,
        machine: StateMachineHandle | str,
        input: Json | bytes = NO_INPUT,
        *,
        name: str | None = None,
    ) -> SyncExecution:
        """Runs an execution of an Express state machine to its end, at most once and for five minutes at most.

        One that fails is an answer too. It runs in this process, and nothing of it is written. Where this engine is a
        client, or has no handler for one of its Tasks, a worker runs it, and its start and end are written.

        Args:
            machine: A handle, or the name or ARN of a state machine, or the ARN of a version or an alias.
            input: Any JSON value; `{}` when not given. Bytes are JSON text.
            name: Of the execution; names of Express executions may come twice.

        Raises:
            StateMachineTypeNotSupported: It is a STANDARD one.
            StateMachineDoesNotExist, StateMachineDeleting, InvalidArn, InvalidName, InvalidExecutionInput: As AWS does.
            ExecutionQuarantined: The engine itself failed on it.
            ValueError: `machine` is a definition.
        """
        assert self._own is not None, "the process that made it"
        if isinstance(machine, StateMachineHandle):
            machine = machine.arn
        elif not is_name(machine):
            raise ValueError("machine: expected the name or ARN of a state machine, or its handle; deploy it first")
        outcome = await run_sync(self._service, self._service.machine_arn(machine), input, name=name)
        execution, ending = outcome.execution, outcome.ending
        return SyncExecution(
            execution_arn=execution.arn,
            state_machine_arn=execution.state_machine_arn,
            name=execution.name,
            status=outcome.status,
            start_date=outcome.start_date,
            stop_date=outcome.stop_date,
            input=unshared(execution.input),
            output=unshared(ending.output),
            error=ending.error,
            cause=ending.cause,
            billed_duration_ms=outcome.billed_ms,
        )

    async def execution(self, execution_arn: str) -> ExecutionHandle:
        """The handle of an execution, whoever started it. Raises ExecutionDoesNotExist."""
        return self._handle(await self._own.find(execution_arn))

    async def _start(
        self,
        machine: StateMachineHandle,
        given: Json | bytes,
        name: str | None,
        pool: str | None,
        found: Target | None = None,
    ) -> Tracked:
        """Starts an execution of a handle, or of the revision that a version or an alias led to, as `found` says."""
        test_case = None if found is None else found.test_case
        if test_case is not None or not machine.is_checked:
            self._own.check(machine.program, self._service.region, self._service.account_id, test_case)
            machine.is_checked = test_case is None
        begun = await begin(
            self.service,
            machine if found is None else found.machine,
            machine.plan,
            given,
            name,
            pool=None if pool is None else check_pool(pool),
            version_arn=None if found is None else found.version_arn,
            alias_arn=None if found is None else found.alias_arn,
            test_case=test_case,
        )
        return begun.tracked

    async def _start_deployed(self, named: str, given: Json | bytes, name: str | None, pool: str | None) -> Tracked:
        found = await target(self.service, self._service.machine_arn(named))
        if found.version_arn is None and found.test_case is None:
            return await self._start(self._machines.found(found.machine), given, name, pool)
        text, syntax = text_of(found.machine.definition)
        machine = self._machines.compiled(text, syntax, found.machine.arn, found.machine.type)
        return await self._start(machine, given, name, pool, found)

    async def _start_within(
        self,
        machine: StateMachineHandle | Definition,
        given: Json | bytes,
        name: str | None,
        pool: str | None,
        connection: CallersConnection,
    ) -> ExecutionHandle:
        from engine.store.postgres.callers_connection import resolved, run_anyhow

        connection = resolved(connection)  # a session of this very task
        if not isinstance(machine, StateMachineHandle) and not is_name(machine):
            machine = await self._machine(machine)
        return self._seen(*await run_anyhow(self._starting_within(machine, given, name=name, pool=pool), connection))

    def _starting_within(
        self, machine: StateMachineHandle | Definition, given: Json | bytes, *, name: str | None, pool: str | None
    ) -> Steps[tuple[ExecutionId, Execution]]:
        """What is to be asked over the caller's connection, of a deployed state machine; `_seen` takes the rest.

        Raises:
            ValueError, InvalidName, InvalidExecutionInput, ExecutionAlreadyExists, StateMachineDoesNotExist: As
                `start_execution`.
        """
        assert self._own is not None, "the process that made it"
        if not self._is_on_store:
            raise ValueError("connection: the executions of this engine are in memory; give it a URL: Engine(url)")
        if isinstance(machine, StateMachineHandle):
            deployed = Deployed(machine.arn, machine.type, machine.revision_id, machine.pool)
        else:
            arn = machine_arn_of(self._service.machine_arn(str(machine)))
            deployed = Deployed(arn.machine, version=arn.version, alias=arn.alias)
        return self._service.starts.within(deployed, given, name, pool)

    def _seen(self, execution_id: ExecutionId, execution: Execution) -> ExecutionHandle:
        """The handle of an execution that was started in the caller's transaction."""
        from engine.runtime.results import RemoteExecution

        return self._handle(RemoteExecution(execution_id, execution.arn, execution.name))

    def _handle(self, tracked: Tracked) -> ExecutionHandle:
        return ExecutionHandle(tracked, lambda: self._own, self._machines.plan_of)
