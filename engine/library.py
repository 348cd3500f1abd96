"""The engine as a library: `Engine` for many executions, `run` for one. It never owns the caller's event loop.

What a program sees is here; the work is done in `engine.runtime`.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from engine import arns
from engine.arguments import (
    Definition,
    check_at_once,
    chronicler_of,
    clock_of,
    is_name,
    machine_name,
    opener_of,
    retention_ms_of,
    text_of,
)
from engine.arguments import Limits as Limits
from engine.errors import InvalidName
from engine.handles import ActivityDescription as ActivityDescription
from engine.handles import ActivityTask as ActivityTask
from engine.handles import ExecutionHandle as ExecutionHandle
from engine.handles import activity_description
from engine.integrations.invocation import unshared
from engine.integrations.registry import Handlers
from engine.integrations.threads import THREADS_MAX as THREADS_MAX
from engine.integrations.workplace import COMMANDS_MAX as COMMANDS_MAX
from engine.machines import Machines
from engine.machines import StateMachineHandle as StateMachineHandle
from engine.operations import activities
from engine.operations.executions import begin
from engine.operations.resources import Target, target
from engine.operations.service import Service
from engine.operations.sync_executions import run_sync
from engine.outcome import SyncExecution
from engine.releases import Releases
from engine.runtime.lease import LEASE_SECONDS
from engine.runtime.memory_backend import MemoryBackend
from engine.settings import Settings
from engine.starts import Deployed, Starts
from engine.state_outcome import StateOutcome as StateOutcome
from engine.state_outcome import tested
from engine.store.library import LIST_MAX, StateMachineRecord
from engine.store.protocol import DEFAULT_POOL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta
    from types import TracebackType

    from engine.arguments import CallersConnection, ClockLike, StoreLike
    from engine.events.chronicle import EventsLike
    from engine.integrations.registry import HandlersLike
    from engine.interpreter.snapshot import Execution
    from engine.jsonvalue import Json
    from engine.operations.test_state import InspectionLevel
    from engine.query.evaluation import Chance
    from engine.runtime.backend import Backend, Tracked
    from engine.runtime.clock import Clock
    from engine.runtime.executions import Observer, Tracer
    from engine.runtime.metrics import Metrics
    from engine.store.library import Garbage
    from engine.store.postgres.starts import Steps
    from engine.store.protocol import ExecutionId, MachineType

POLL_SECONDS = 60
"""How long GetActivityTask waits (execution.md 12)."""

DEFAULT_NAME = "StateMachine"

NO_INPUT: Json = {}
"""What StartExecution takes when no input is given (execution.md 6.1)."""


class UsedAfterFork(RuntimeError):
    """An engine that was made by the parent process is used in the child."""

    def __init__(self) -> None:
        super().__init__(
            "this engine belongs to the process that forked this one, as do its event loop, threads and connections. "
            "Make an Engine in the child (gunicorn: in post_fork; Celery: in worker_process_init; multiprocessing: in "
            "the function that runs there)"
        )


class Engine(Releases):
    """Runs executions, as many at once as there are; an asynchronous context manager.

        Engine(url, handlers=handlers)       a client of the executions in a database, and a worker that runs them
        Engine(url)                          a client: workers elsewhere run them
        Engine(handlers), Engine()           the same on a PostgreSQL server of its own, in the user's data directory
        Engine.in_memory(handlers)           everything in this process, and gone with it

    Leaving one in memory ends the open executions as ABORTED. Leaving a worker ends none: others go on with them, and
    what was in flight here runs there again (`drain` first, to wait for it). Either way asynchronous handlers are
    cancelled, processes and commands are killed, and threads that still run a handler are left alone.

    Attributes:
        clock: Where its time comes from.
    """

    clock: Clock
    _backend: Backend[Any]

    def __init__(
        self,
        url_or_handlers: StoreLike | HandlersLike = None,
        /,
        *,
        url: StoreLike | None = None,
        data_dir: Path | str | None = None,
        pooler: bool | None = None,
        handlers: HandlersLike = None,
        pools: Sequence[str] = (DEFAULT_POOL,),
        claims: Literal["pools", "own"] = "pools",
        lease_seconds: float = LEASE_SECONDS,
        limits: Limits | None = None,
        region: str | None = None,
        account_id: str | None = None,
        max_concurrency: int | None = None,
        threads_max: int = THREADS_MAX,
        commands_max: int = COMMANDS_MAX,
        processes_max: int | None = None,
        observer: Observer | None = None,
        tracer: Tracer | None = None,
        events: EventsLike = None,
        logs: str | None = None,
        seed: int | None = None,
        retention: timedelta | None = None,
        waits_for_store: bool = False,
        watchdog: bool = False,
        notice: Callable[..., None] | None = None,
    ) -> None:
        """Nothing is opened before the engine is entered.

        Args:
            url_or_handlers: A text is `url`, everything else `handlers`.
            url: Of the database that holds the executions; else from ASL_DATABASE_URL; else the engine's own server.
            data_dir: Where the engine's own server keeps its data; that of the user when not given.
            pooler: Whether `url` is that of a pooler in transaction mode, as PgBouncer's; else as ASL_POOLER says.
            handlers: Who does which Task; see `Handlers`. None: this is a client, and runs nothing.
            pools: Whose executions a worker claims.
            claims: `own`: this worker carries only what it started itself.
            lease_seconds: Without a sign of life for so long, others take over what a worker has; equal for all
                workers.
            limits: AWS's, when not given.
            region: In ARNs; else from the environment.
            account_id: In ARNs; else from the environment.
            max_concurrency: Handlers that run at once; the rest of the Tasks wait their turn, and a worker claims
                nothing more. 256 when not given.
            threads_max: Handlers that run in threads at once.
            commands_max: `cmd:` handlers that run at once.
            processes_max: Child processes of `process=True`; as many as there are processors when not given.
            observer: Called with (execution ARN, transition) whenever something happened here; must not wait. When it
                raises, the execution is stopped, and whoever waits for it here gets the observer's error.
            tracer: Called with (plan, snapshot before, transition) of what was written here, to make spans of it: see
                `engine.observability.tracing.Spans`. Must neither wait nor raise.
            events: Told of each change of status of a Standard execution, in the shape of EventBridge and at least
                once: `http://...`, `https://...`, `eventbridge:BUS`, `notify:CHANNEL`, a function of the event (a
                dict; called in a thread), or several of them. The same for all workers of a database.
            logs: Where the records go that logging configurations of state machines ask for: `file:PATH`,
                `cloudwatch`, `log` (structlog).
            seed: Only of `in_memory`, where it makes what is drawn (jitter, tokens, random functions) the same in every
                run: ids and tokens in a database must not come twice.
            retention: Of a worker: executions that finished so long ago, a day at least, go; one worker of a fleet does
                it for all. None: they are kept for ever.
            waits_for_store: Entering it while the database cannot be reached waits, instead of StoreUnavailable.
            watchdog: Of a worker: ends the process, with exit code 75, when the event loop stands still for two thirds
                of the lease; where it stands is logged.
            notice: Told what an operator of a worker wants to know (a lost lease, a database that is away), as
                `notice("database away", error="...")`; from any thread, and must not wait.

        Raises:
            InvalidHandler, ValueError: An argument means nothing.
        """
        from engine.runtime.durable_backend import DurableBackend
        from engine.runtime.fleet_worker import CONCURRENCY, FleetOptions

        check_at_once(max_concurrency, threads_max, commands_max, processes_max)
        if isinstance(url_or_handlers, str):
            url = url_or_handlers
        elif url_or_handlers is not None:
            handlers = url_or_handlers
        if seed is not None:
            raise ValueError("seed: ids and tokens in a database must not come twice; Engine.in_memory takes a seed")
        for pool in pools:
            _check_pool(pool)
        chance = _chance_of(None)
        backend = DurableBackend(
            opener_of(url, data_dir, pooler=pooler),
            handlers=None if handlers is None else Handlers(handlers),
            chance=chance,
            observer=observer,
            options=FleetOptions(
                pools=tuple(pools),
                claims=claims,
                lease_seconds=lease_seconds,
                concurrency=CONCURRENCY if max_concurrency is None else max_concurrency,
                threads_max=threads_max,
                commands_max=commands_max,
                processes_max=processes_max,
                retention_ms=retention_ms_of(retention),
                waits_for_store=waits_for_store,
                watchdog=watchdog,
                notice=notice,
                tracer=tracer,
                chronicler=chronicler_of(events, logs, notice),
            ),
        )
        self._begin(backend, chance, limits, region, account_id, is_on_store=True)

    @classmethod
    def in_memory(
        cls,
        handlers: HandlersLike = None,
        /,
        *,
        clock: ClockLike = "real",
        limits: Limits | None = None,
        region: str | None = None,
        account_id: str | None = None,
        max_concurrency: int | None = None,
        threads_max: int = THREADS_MAX,
        commands_max: int = COMMANDS_MAX,
        processes_max: int | None = None,
        observer: Observer | None = None,
        tracer: Tracer | None = None,
        events: EventsLike = None,
        logs: str | None = None,
        notice: Callable[..., None] | None = None,
        seed: int | None = None,
    ) -> Self:
        """An engine whose executions live in this process alone: for tests, and for work that may be lost.

        Args:
            handlers: Who does which Task; see `Handlers`.
            clock: `real`, or `virtual`: waiting is skipped.
            max_concurrency: Handlers that run at once; no limit when not given.
            limits, region, account_id, threads_max, commands_max, processes_max, observer, tracer, events, logs: See
                `Engine`.
            notice, seed: Likewise.

        Raises:
            InvalidHandler, ValueError: An argument means nothing.
        """
        check_at_once(max_concurrency, threads_max, commands_max, processes_max)
        chance = _chance_of(seed)
        backend = MemoryBackend(
            handlers=Handlers(handlers),
            clock=clock_of(clock),
            chance=chance,
            observer=observer,
            tracer=tracer,
            chronicler=chronicler_of(events, logs, notice),
            in_flight_max=max_concurrency,
            threads_max=threads_max,
            commands_max=commands_max,
            processes_max=processes_max,
        )
        one = cls.__new__(cls)
        one._begin(backend, chance, limits, region, account_id, is_on_store=False)  # noqa: SLF001  of this class
        return one

    def _begin(
        self,
        backend: Backend[Any],
        chance: Chance,
        limits: Limits | None,
        region: str | None,
        account_id: str | None,
        *,
        is_on_store: bool,
    ) -> None:
        """What both ways to make an engine end with."""
        settings = Settings.from_environment()
        limits = limits or Limits()
        self._chance = chance
        self._machines = Machines(chance)
        self._service = Service(
            backend,
            region=region or settings.region,
            account_id=account_id or settings.account_id,
            limits=limits,
            chance=chance,
            starts=Starts(limits=limits, chance=chance),
            machines=self._machines,
        )
        self._pid = os.getpid()
        self._is_on_store = is_on_store
        self._backend = backend
        self.clock = backend.clock

    async def __aenter__(self) -> Self:
        await self._own.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._own.__aexit__(kind, error, trace)

    @property
    def _own(self) -> Backend[Any]:
        """The backend, for the process that made it."""
        if os.getpid() != self._pid:
            raise UsedAfterFork
        return self._backend

    @property
    def service(self) -> Service:
        """What `engine.operations` work with: the actions of the Step Functions API, on this engine's executions."""
        assert self._own is not None, "the process that made it"
        return self._service

    @property
    def skipped_seconds(self) -> float:
        """Waiting that a virtual clock jumped over."""
        return self.clock.skipped / 1_000

    @property
    def abandoned(self) -> int:
        """Handlers in threads that were given up while they ran. They cannot be killed, so they may still act."""
        return self._backend.abandoned

    def metrics(self) -> Metrics:
        """What this engine has done and has in hand: plain numbers, free of charge; from any thread.

        `engine.observability.prometheus.EngineCollector` gives them to Prometheus.
        """
        return self._backend.metrics()

    def not_ready(self) -> Sequence[str]:
        """Why this engine cannot take work now: a text for each reason; empty: it can. From any thread."""
        return self._backend.not_ready()

    async def drain(self, seconds: float) -> bool:
        """Gets ready to be left: claims and starts no more Tasks, gives up what is idle, waits for the Tasks in flight.

        Cancelling this call is losing patience. In memory there is nobody to leave anything to, and nothing is waited
        for.

        Args:
            seconds: How long to wait at most.

        Returns:
            Whether no Task is in flight any more.
        """
        return await self._own.drain(seconds)

    async def gc(self, *, older_than: timedelta | None = None, dry_run: bool = False) -> Garbage:
        """Removes what nobody needs any more, once; `retention` has a worker do it by itself.

        Args:
            older_than: Executions that finished so long ago go, a day at least; on a store they may stay until the
                whole day (UTC) that they started in is as old. None: no execution goes.
            dry_run: Nothing goes; tells what would.

        Raises:
            ValueError: `older_than` is less than a day.
            StoreUnavailable: Perhaps some of it went.
        """
        return await self._own.gc(older_than=retention_ms_of(older_than), dry_run=dry_run)

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
        _check_pool(pool)
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

        With a `connection` the start is a part of the transaction that the connection is in: one statement, and the
        execution exists if and only if the caller commits. Workers then find it by themselves. Two open transactions
        that start the same name wait for each other: the second goes on when the first has ended. The engine need not
        be entered for this, unless `machine` is a definition as it is.

        Args:
            machine: A handle; the name or ARN of a state machine; the ARN of a version or an alias; or a definition,
                which runs as STANDARD.
            input: Any JSON value; `{}` when not given. Bytes are JSON text, which the history then shows as it is.
            name: Of the execution; an id when not given. While it runs, the same name and input give the same one.
            pool: Whose workers run it; the state machine's when not given.
            connection: The caller's own, to the database of this engine: of psycopg (Connection, AsyncConnection) or
                SQLAlchemy (Connection, Session, AsyncConnection, AsyncSession).

        Raises:
            InvalidDefinition, InvalidName, InvalidExecutionInput, ExecutionAlreadyExists, StateMachineDoesNotExist: As
                AWS does. With a connection none of them breaks the transaction.
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
        if not machine.is_checked:
            self._own.check(machine.program, self._service.region, self._service.account_id)
            machine.is_checked = True
        tracked, _ = await begin(
            self.service,
            machine if found is None else found.machine,
            machine.plan,
            given,
            name,
            pool=None if pool is None else _check_pool(pool),
            version_arn=None if found is None else found.version_arn,
            alias_arn=None if found is None else found.alias_arn,
        )
        return tracked

    async def _start_deployed(self, named: str, given: Json | bytes, name: str | None, pool: str | None) -> Tracked:
        found = await target(self.service, self._service.machine_arn(named))
        if found.version_arn is None:
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
            deployed = Deployed(self._service.machine_arn(str(machine)))
        return self._service.starts.within(deployed, given, name, pool)

    def _seen(self, execution_id: ExecutionId, execution: Execution) -> ExecutionHandle:
        """The handle of an execution that was started in the caller's transaction."""
        from engine.runtime.durable_backend import RemoteExecution

        return self._handle(RemoteExecution(execution_id, execution.arn, execution.name))

    def _handle(self, tracked: Tracked) -> ExecutionHandle:
        return ExecutionHandle(tracked, lambda: self._own, self._machines.plan_of)

    # ── Tasks that are answered from outside ────────────────────────────────────────────────────────────────────────

    async def send_task_success(self, task_token: str, output: Json) -> None:
        """Ends the Task of a token (execution.md 13).

        Raises:
            InvalidToken: Nobody minted it here.
            TaskTimedOut: Its Task is over.
            InvalidOutput: `output` is not JSON.
            StoreUnavailable: Whether the answer counted is not known. Asked again, TaskTimedOut may mean that it did.
        """
        await self._own.send_task_success(task_token, output)

    async def send_task_failure(self, task_token: str, error: str | None = None, cause: str | None = None) -> None:
        """Fails the Task of a token. Raises InvalidToken, TaskTimedOut, StoreUnavailable, ValueError."""
        await self._own.send_task_failure(task_token, error, cause)

    async def send_task_heartbeat(self, task_token: str) -> None:
        """Starts HeartbeatSeconds of the Task of a token anew. Raises InvalidToken, TaskTimedOut."""
        await self._own.send_task_heartbeat(task_token)

    # ── activities ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def create_activity(self, name: str) -> str:
        """The ARN of an activity: a Task of it that has no handler waits for `get_activity_task`.

        The same name again gives the same activity.

        Raises:
            InvalidName: AWS would not take it.
        """
        arn: str = (await activities.create_activity(self.service, name=name))["activity_arn"]
        return arn

    async def describe_activity(self, activity_arn: str) -> ActivityDescription:
        """An activity. Raises InvalidArn, ActivityDoesNotExist."""
        return activity_description(await activities.describe_activity(self.service, activity_arn=activity_arn))

    async def list_activities(self) -> list[ActivityDescription]:
        """The activities of this region and account, by name."""
        found: list[ActivityDescription] = []
        token: str | None = None
        while True:
            page = await activities.list_activities(self.service, max_results=LIST_MAX, next_token=token)
            found += map(activity_description, page["activities"])
            token = page.get("next_token")
            if token is None:
                return found

    async def delete_activity(self, activity_arn: str) -> None:
        """Removes an activity; one that is not there is no fault. Tasks that wait for a worker of it wait on.

        Raises:
            InvalidArn: Not the ARN of an activity.
        """
        await activities.delete_activity(self.service, activity_arn=activity_arn)

    async def get_activity_task(
        self, activity_arn: str, worker_name: str | None = None, *, wait_seconds: float = POLL_SECONDS
    ) -> ActivityTask | None:
        """The Task that waits longest for a worker of this activity; None when none comes within `wait_seconds`.

        Each Task is given once. The one that was given to a call that never came home is lost until its time-out.

        Raises:
            ActivityDoesNotExist: No such activity.
            ValueError: `worker_name` is no text.
        """
        found = await self._own.get_activity_task(activity_arn, worker_name, wait_seconds=wait_seconds)
        return None if found is None else ActivityTask(found.task_token, unshared(found.input))

    # ── trying a state ──────────────────────────────────────────────────────────────────────────────────────────────

    async def test_state(
        self,
        definition: Definition,
        input: Json | bytes = NO_INPUT,
        *,
        state: str | None = None,
        mock: Mapping[str, Any] | None = None,
        inspection_level: InspectionLevel = "DEBUG",
        variables: Mapping[str, Json] | None = None,
        context: Mapping[str, Json] | None = None,
        state_configuration: Mapping[str, Any] | None = None,
    ) -> StateOutcome:
        """Runs one state once, as AWS's TestState does (api.md 9): nothing is kept, and no retry is waited for.

        Args:
            definition: With `state` a state machine; without, the state alone: `{"Type": "Pass", "End": True}`.
            input: Of the state. Bytes are JSON text.
            state: Name of a state, wherever in the state machine.
            mock: In place of the work of a Task, Map or Parallel: `{"result": value}` or `{"errorOutput": {"error":
                "Busy", "cause": "..."}}`. `fieldValidationMode` (STRICT, PRESENT, NONE) says how closely the result of
                a call to AWS must have the API's shape. Without a mock a handler of this engine does the Task.
            inspection_level: At INFO there is no inspection data.
            variables: Workflow variables that are set when the state is entered.
            context: The Context Object; only with a mock.
            state_configuration: AWS's members: `retrierRetryCount`, `errorCausedByState`, `mapIterationFailureCount`,
                `mapItemReaderData`.

        Raises:
            InvalidDefinition: With diagnostics; a Map or Parallel needs a mock.
            InvalidExecutionInput: The input is no JSON.
            ValidationException: Something does not fit together; AWS's text.
            MissingHandler, UnsupportedTask: Without a mock: the Task cannot be done here.
        """
        assert self._own is not None, "the process that made it"
        return await tested(
            self._service,
            definition,
            input,
            state=state,
            mock=mock,
            inspection_level=inspection_level,
            variables=variables,
            context=context,
            state_configuration=state_configuration,
        )


async def run(
    definition: Definition,
    input: Json | bytes = NO_INPUT,
    *,
    handlers: HandlersLike = None,
    name: str | None = None,
    type: MachineType = "STANDARD",
    clock: ClockLike = "real",
    limits: Limits | None = None,
    observer: Observer | None = None,
    seed: int | None = None,
) -> Json:
    """Runs a definition once, in memory, and gives its output.

    Args:
        definition: JSON or YAML text, the value it stands for, or a file that holds it.
        input: Any JSON value, or its text as bytes; `{}` when not given.
        handlers: Who does which Task; see `Handlers`.
        name: Of the execution; a UUID when not given.
        type: `EXPRESS` has its own rules.
        clock, limits, observer, seed: See `Engine.in_memory`.

    Raises:
        ExecutionFailed: It did not succeed; error, cause and history are in it.
        InvalidDefinition: With diagnostics.
        MissingHandler: A Task state has no handler.
        InvalidHandler, InvalidName, InvalidExecutionInput: An argument is wrong.
    """
    async with Engine.in_memory(handlers, clock=clock, limits=limits, observer=observer, seed=seed) as engine:
        machine = await engine.create_state_machine(definition, DEFAULT_NAME, type=type)
        return await engine.run(machine, input, name=name)


def _check_pool(pool: str) -> str:
    if not arns.is_valid_name(pool):
        raise ValueError(f"pool: expected a name as of a state machine, got {pool!r}")
    return pool


def _chance_of(seed: int | None) -> Chance:
    return random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311  asked for
