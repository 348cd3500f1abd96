"""The same names as `engine`, for programs without an event loop: Flask, Django, scripts, notebooks.

    from engine import blocking

    output = blocking.run(definition, {"id": 1}, handlers={"Charge": charge})

    with blocking.Engine.in_memory(handlers) as engine:
        execution = engine.start_execution(definition, {"id": 1})
        print(execution.result())

Each Engine runs an event loop in a thread of its own; it may be used from any thread, also from one that runs a loop.
Handlers are as in `engine`: asynchronous ones run in that loop, others in threads.
"""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from anyio.from_thread import start_blocking_portal

from engine import library
from engine.arguments import is_name
from engine.runtime.lease import LEASE_SECONDS
from engine.store.protocol import DEFAULT_POOL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import timedelta
    from pathlib import Path
    from types import TracebackType

    from anyio.from_thread import BlockingPortal

    from engine.arguments import CallersConnection, ClockLike, Definition, Limits, StoreLike
    from engine.events.chronicle import EventsLike
    from engine.integrations.registry import HandlersLike
    from engine.jsonvalue import Json
    from engine.library import ActivityDescription, ActivityTask, StateMachineHandle, StateOutcome
    from engine.operations.test_state import InspectionLevel
    from engine.outcome import ExecutionDescription, SyncExecution
    from engine.releases import StateMachineAlias, StateMachineVersion
    from engine.runtime.clock import Clock
    from engine.runtime.executions import Observer, Tracer
    from engine.runtime.metrics import Metrics
    from engine.store.library import Garbage
    from engine.store.protocol import ExecutionStatus, MachineType

T = TypeVar("T")


class ExecutionHandle:
    """See `engine.ExecutionHandle`."""

    __slots__ = ("_engine", "_handle")

    def __init__(self, engine: Engine, handle: library.ExecutionHandle) -> None:
        self._engine = engine
        self._handle = handle

    def __repr__(self) -> str:
        return repr(self._handle)

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self._handle.arn

    @property
    def name(self) -> str:
        """Its name."""
        return self._handle.name

    @property
    def status(self) -> ExecutionStatus:
        """AWS's word for how it stands."""
        return self._handle.status

    def result(self) -> Json:
        """See `engine.ExecutionHandle.result`."""
        return self._engine._wait(self._handle.result)  # noqa: SLF001  of the same module

    def describe(self) -> ExecutionDescription:
        """See `engine.ExecutionHandle.describe`."""
        return self._engine._wait(self._handle.describe)  # noqa: SLF001  of the same module

    def history(self) -> list[dict[str, Any]]:
        """See `engine.ExecutionHandle.history`."""
        return self._engine._wait(self._handle.history)  # noqa: SLF001  of the same module

    def stop(self, error: str | None = None, cause: str | None = None) -> None:
        """See `engine.ExecutionHandle.stop`."""
        self._engine._wait(self._handle.stop, error, cause)  # noqa: SLF001  of the same module

    def redrive(self) -> None:
        """See `engine.ExecutionHandle.redrive`."""
        self._engine._wait(self._handle.redrive)  # noqa: SLF001  of the same module

    def resume(self) -> None:
        """See `engine.ExecutionHandle.resume`."""
        self._engine._wait(self._handle.resume)  # noqa: SLF001  of the same module


class Engine:
    """See `engine.Engine`; a context manager."""

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
        threads_max: int = library.THREADS_MAX,
        commands_max: int = library.COMMANDS_MAX,
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
        self._begin(
            library.Engine(
                url_or_handlers,
                url=url,
                data_dir=data_dir,
                pooler=pooler,
                handlers=handlers,
                pools=pools,
                claims=claims,
                lease_seconds=lease_seconds,
                limits=limits,
                region=region,
                account_id=account_id,
                max_concurrency=max_concurrency,
                threads_max=threads_max,
                commands_max=commands_max,
                processes_max=processes_max,
                observer=observer,
                tracer=tracer,
                events=events,
                logs=logs,
                seed=seed,
                retention=retention,
                waits_for_store=waits_for_store,
                watchdog=watchdog,
                notice=notice,
            )
        )

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
        threads_max: int = library.THREADS_MAX,
        commands_max: int = library.COMMANDS_MAX,
        processes_max: int | None = None,
        observer: Observer | None = None,
        tracer: Tracer | None = None,
        events: EventsLike = None,
        logs: str | None = None,
        notice: Callable[..., None] | None = None,
        seed: int | None = None,
    ) -> Self:
        """See `engine.Engine.in_memory`."""
        one = cls.__new__(cls)
        one._begin(  # noqa: SLF001  of this class
            library.Engine.in_memory(
                handlers,
                clock=clock,
                limits=limits,
                region=region,
                account_id=account_id,
                max_concurrency=max_concurrency,
                threads_max=threads_max,
                commands_max=commands_max,
                processes_max=processes_max,
                observer=observer,
                tracer=tracer,
                events=events,
                logs=logs,
                notice=notice,
                seed=seed,
            )
        )
        return one

    def _begin(self, engine: library.Engine) -> None:
        self._engine = engine
        self._exits = ExitStack()
        self._portal: BlockingPortal | None = None

    def __enter__(self) -> Self:
        if self._portal is not None:
            raise RuntimeError("the engine is open already")
        with ExitStack() as exits:
            portal = exits.enter_context(start_blocking_portal())
            exits.enter_context(portal.wrap_async_context_manager(self._engine))
            self._exits = exits.pop_all()
        self._portal = portal
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The caller's error is not handed over: the portal would cancel what still has to be left in order.
        try:
            self._exits.close()
        finally:
            self._portal = None

    def _wait(self, function: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        if self._portal is None:
            raise RuntimeError("the engine is not open: it works inside `with blocking.Engine(...) as name:`")
        future = self._portal.start_task_soon(partial(function, *args, **kwargs))
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C reaches this thread, not the loop's
            raise

    @property
    def clock(self) -> Clock:
        """Where its time comes from."""
        return self._engine.clock

    @property
    def skipped_seconds(self) -> float:
        """Waiting that a virtual clock jumped over."""
        return self._engine.skipped_seconds

    @property
    def abandoned(self) -> int:
        """Handlers in threads that were given up while they ran. They cannot be killed, so they may still act."""
        return self._engine.abandoned

    def metrics(self) -> Metrics:
        """See `engine.Engine.metrics`."""
        return self._engine.metrics()

    def not_ready(self) -> Sequence[str]:
        """See `engine.Engine.not_ready`."""
        return self._engine.not_ready()

    def drain(self, seconds: float) -> bool:
        """See `engine.Engine.drain`."""
        return self._wait(self._engine.drain, seconds)

    def gc(self, *, older_than: timedelta | None = None, dry_run: bool = False) -> Garbage:
        """See `engine.Engine.gc`."""
        return self._wait(self._engine.gc, older_than=older_than, dry_run=dry_run)

    def create_state_machine(
        self, definition: Definition, name: str, *, type: MachineType = "STANDARD"
    ) -> StateMachineHandle:
        """See `engine.Engine.create_state_machine`."""
        return self._wait(self._engine.create_state_machine, definition, name, type=type)

    def deploy(
        self, definition: Definition, name: str, *, type: MachineType = "STANDARD", pool: str = DEFAULT_POOL
    ) -> StateMachineHandle:
        """See `engine.Engine.deploy`."""
        return self._wait(self._engine.deploy, definition, name, type=type, pool=pool)

    def start_execution(
        self,
        machine: StateMachineHandle | Definition,
        input: Json | bytes = library.NO_INPUT,
        *,
        name: str | None = None,
        pool: str | None = None,
        connection: CallersConnection | None = None,
    ) -> ExecutionHandle:
        """See `engine.Engine.start_execution`; a `connection` is used in the caller's thread."""
        if connection is not None:
            return self._start_within(machine, input, name, pool, connection)
        handle = self._wait(self._engine.start_execution, machine, input, name=name, pool=pool)
        return ExecutionHandle(self, handle)

    def _start_within(
        self,
        machine: StateMachineHandle | Definition,
        given: Json | bytes,
        name: str | None,
        pool: str | None,
        connection: CallersConnection,
    ) -> ExecutionHandle:
        from engine.store.postgres.callers_connection import is_asynchronous, resolved, run_within

        connection = resolved(connection)  # a session of this very thread
        if is_asynchronous(connection):
            raise TypeError("connection: this one is awaited; use it with engine.Engine, in its own event loop")
        if not isinstance(machine, library.StateMachineHandle) and not is_name(machine):
            machine = self._wait(self._engine._machine, machine)  # noqa: SLF001  its other face
        steps = self._engine._starting_within(machine, given, name=name, pool=pool)  # noqa: SLF001  its other face
        handle = self._engine._seen(*run_within(steps, connection))  # noqa: SLF001  its other face
        return ExecutionHandle(self, handle)

    def run(
        self,
        machine: StateMachineHandle | Definition,
        input: Json | bytes = library.NO_INPUT,
        *,
        name: str | None = None,
    ) -> Json:
        """See `engine.Engine.run`."""
        return self._wait(self._engine.run, machine, input, name=name)

    def start_sync_execution(
        self,
        machine: StateMachineHandle | str,
        input: Json | bytes = library.NO_INPUT,
        *,
        name: str | None = None,
    ) -> SyncExecution:
        """See `engine.Engine.start_sync_execution`."""
        return self._wait(self._engine.start_sync_execution, machine, input, name=name)

    def execution(self, execution_arn: str) -> ExecutionHandle:
        """See `engine.Engine.execution`."""
        return ExecutionHandle(self, self._wait(self._engine.execution, execution_arn))

    def send_task_success(self, task_token: str, output: Json) -> None:
        """See `engine.Engine.send_task_success`."""
        self._wait(self._engine.send_task_success, task_token, output)

    def send_task_failure(self, task_token: str, error: str | None = None, cause: str | None = None) -> None:
        """See `engine.Engine.send_task_failure`."""
        self._wait(self._engine.send_task_failure, task_token, error, cause)

    def send_task_heartbeat(self, task_token: str) -> None:
        """See `engine.Engine.send_task_heartbeat`."""
        self._wait(self._engine.send_task_heartbeat, task_token)

    def publish_version(
        self, machine: StateMachineHandle | str, *, description: str | None = None
    ) -> StateMachineVersion:
        """See `engine.Engine.publish_version`."""
        return self._wait(self._engine.publish_version, machine, description=description)

    def list_versions(self, machine: StateMachineHandle | str) -> list[StateMachineVersion]:
        """See `engine.Engine.list_versions`."""
        return self._wait(self._engine.list_versions, machine)

    def delete_version(self, version_arn: str) -> None:
        """See `engine.Engine.delete_version`."""
        self._wait(self._engine.delete_version, version_arn)

    def create_alias(self, name: str, routing: Mapping[str, int], *, description: str | None = None) -> str:
        """See `engine.Engine.create_alias`."""
        return self._wait(self._engine.create_alias, name, routing, description=description)

    def update_alias(
        self, alias_arn: str, routing: Mapping[str, int] | None = None, *, description: str | None = None
    ) -> None:
        """See `engine.Engine.update_alias`."""
        self._wait(self._engine.update_alias, alias_arn, routing, description=description)

    def describe_alias(self, alias_arn: str) -> StateMachineAlias:
        """See `engine.Engine.describe_alias`."""
        return self._wait(self._engine.describe_alias, alias_arn)

    def list_aliases(self, machine: StateMachineHandle | str) -> list[StateMachineAlias]:
        """See `engine.Engine.list_aliases`."""
        return self._wait(self._engine.list_aliases, machine)

    def delete_alias(self, alias_arn: str) -> None:
        """See `engine.Engine.delete_alias`."""
        self._wait(self._engine.delete_alias, alias_arn)

    def delete_state_machine(self, machine: StateMachineHandle | str) -> None:
        """See `engine.Engine.delete_state_machine`."""
        self._wait(self._engine.delete_state_machine, machine)

    def create_activity(self, name: str) -> str:
        """See `engine.Engine.create_activity`."""
        return self._wait(self._engine.create_activity, name)

    def describe_activity(self, activity_arn: str) -> ActivityDescription:
        """See `engine.Engine.describe_activity`."""
        return self._wait(self._engine.describe_activity, activity_arn)

    def list_activities(self) -> list[ActivityDescription]:
        """See `engine.Engine.list_activities`."""
        return self._wait(self._engine.list_activities)

    def delete_activity(self, activity_arn: str) -> None:
        """See `engine.Engine.delete_activity`."""
        self._wait(self._engine.delete_activity, activity_arn)

    def get_activity_task(
        self, activity_arn: str, worker_name: str | None = None, *, wait_seconds: float = library.POLL_SECONDS
    ) -> ActivityTask | None:
        """See `engine.Engine.get_activity_task`."""
        return self._wait(self._engine.get_activity_task, activity_arn, worker_name, wait_seconds=wait_seconds)

    def test_state(
        self,
        definition: Definition,
        input: Json | bytes = library.NO_INPUT,
        *,
        state: str | None = None,
        mock: Mapping[str, Any] | None = None,
        inspection_level: InspectionLevel = "DEBUG",
        variables: Mapping[str, Json] | None = None,
        context: Mapping[str, Json] | None = None,
        state_configuration: Mapping[str, Any] | None = None,
    ) -> StateOutcome:
        """See `engine.Engine.test_state`."""
        return self._wait(
            self._engine.test_state,
            definition,
            input,
            state=state,
            mock=mock,
            inspection_level=inspection_level,
            variables=variables,
            context=context,
            state_configuration=state_configuration,
        )


def run(
    definition: Definition,
    input: Json | bytes = library.NO_INPUT,
    *,
    handlers: HandlersLike = None,
    name: str | None = None,
    type: MachineType = "STANDARD",
    clock: ClockLike = "real",
    limits: Limits | None = None,
    observer: Observer | None = None,
    seed: int | None = None,
) -> Json:
    """See `engine.run`."""
    with Engine.in_memory(handlers, clock=clock, limits=limits, observer=observer, seed=seed) as engine:
        machine = engine.create_state_machine(definition, library.DEFAULT_NAME, type=type)
        return engine.run(machine, input, name=name)
