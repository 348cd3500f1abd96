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

from contextlib import ExitStack, asynccontextmanager
from functools import partial
from inspect import signature
from threading import Lock
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar

from anyio import CancelScope, create_task_group, current_time, get_cancelled_exc_class
from anyio.from_thread import start_blocking_portal

from engine import library
from engine.arguments import is_name
from engine.runtime.calls import poster
from engine.store.protocol import DEFAULT_POOL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from types import TracebackType

    from anyio.abc import TaskGroup

    from engine.arguments import CallersConnection, ClockLike, Definition, Limits
    from engine.integrations.registry import HandlersLike
    from engine.jsonvalue import Json
    from engine.library import ActivityDescription, ActivityTask, MapRunCounts, StateMachineHandle, StateOutcome
    from engine.operations.test_state import InspectionLevel
    from engine.outcome import ExecutionDescription, SyncExecution
    from engine.releases import StateMachineAlias, StateMachineVersion
    from engine.runtime.clock import Clock
    from engine.runtime.metrics import Metrics
    from engine.runtime.observers import Observer
    from engine.store.protocol import ExecutionStatus, MachineType
    from engine.store.records import Garbage

T = TypeVar("T")

P = ParamSpec("P")
C = TypeVar("C")

_LEFT_SECONDS = 1.0
"""How long calls of other threads may take to end once the engine was left."""


class _Call(Generic[T]):
    """A call that the loop's thread makes for another one.

    Ctrl-C may come between any two steps of the caller. So there is something to cancel before anything begins, and the
    two threads share no lock that the interrupted one could keep, as that of a `concurrent.futures.Future`.
    """

    def __init__(self, function: Callable[[], Awaitable[T]]) -> None:
        self._function = function
        self._scope: CancelScope | None = None
        self._is_cancelled = False
        self._value: T
        self._error: BaseException | None = None
        self._post: Callable[..., None] = _never_begun
        self._over = Lock()
        self._over.acquire()

    # ── the caller's thread ─────────────────────────────────────────────────────────────────────────────────────────

    def begin(self, post: Callable[..., None], group: TaskGroup) -> None:
        """Has it made in a task of this group."""
        self._post = post
        post(group.start_soon, self._run)

    def result(self) -> T:
        """Waits for it; what it returns or raises."""
        self._over.acquire()
        if self._error is None:
            return self._value
        try:
            raise self._error
        finally:
            del self  # the error has this frame

    def cancel(self) -> None:
        """Has it end, whether it has begun or not."""
        self._post(self._cancel)

    # ── the loop ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        self._error = RuntimeError("the engine was left before the call was over")
        try:
            with CancelScope() as self._scope:
                if not self._is_cancelled:
                    self._value, self._error = await self._function(), None
        except get_cancelled_exc_class():
            raise
        except BaseException as error:  # it is the caller's
            self._error = error
            if not isinstance(error, Exception):
                raise
        finally:
            self._over.release()

    def _cancel(self) -> None:
        self._is_cancelled = True
        if self._scope is not None:
            self._scope.cancel()


def _never_begun(*_: object) -> None: ...


def _with_arguments_of(
    other: Callable[P, object],
) -> Callable[[Callable[..., T]], Callable[Concatenate[C, P], T]]:
    """For a method that takes what another function takes, as type checkers, editors and `help` are to see it."""

    def described(method: Callable[..., T]) -> Callable[Concatenate[C, P], T]:
        own, *_ = signature(method).parameters.values()
        taken = signature(other)
        # What `signature` and with it `help` look for first.
        vars(method)["__signature__"] = taken.replace(
            parameters=[own.replace(kind=own.POSITIONAL_ONLY), *taken.parameters.values()]
        )
        return method

    return described


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

    @_with_arguments_of(library.Engine)
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._begin(library.Engine(*args, **kwargs))

    @classmethod
    @_with_arguments_of(library.Engine.in_memory)
    def in_memory(cls, *args: Any, **kwargs: Any) -> Self:
        """See `engine.Engine.in_memory`."""
        one = cls.__new__(cls)
        one._begin(library.Engine.in_memory(*args, **kwargs))  # noqa: SLF001  of this class
        return one

    def _begin(self, engine: library.Engine) -> None:
        self._engine = engine
        self._exits = ExitStack()
        self._begin_call: Callable[[_Call[Any]], None] | None = None

    def __enter__(self) -> Self:
        if self._begin_call is not None:
            raise RuntimeError("the engine is open already")
        with ExitStack() as exits:
            portal = exits.enter_context(start_blocking_portal())
            begin_call = exits.enter_context(portal.wrap_async_context_manager(self._opened()))
            self._exits = exits.pop_all()
        self._begin_call = begin_call
        return self

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[Callable[[_Call[Any]], None]]:
        """The engine, and what begins a call in its loop from another thread."""
        # By hand: what the engine raises is not to come out in a group.
        calls = await create_task_group().__aenter__()
        try:
            async with self._engine:
                post = poster()
                yield lambda call: call.begin(post, calls)
        finally:
            calls.cancel_scope.deadline = current_time() + _LEFT_SECONDS
            await calls.__aexit__(None, None, None)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # The caller's error is not handed over: the portal would cancel what still has to be left in order.
        try:
            self._exits.close()
        finally:
            self._begin_call = None

    def _wait(self, function: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> T:
        begin = self._begin_call
        if begin is None:
            raise RuntimeError("the engine is not open: it works inside `with blocking.Engine(...) as name:`")
        call = _Call(partial(function, *args, **kwargs))
        try:
            begin(call)
            return call.result()
        except BaseException:
            call.cancel()  # Ctrl-C reaches this thread, not the loop's
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

    def map_runs(self, execution_arn: str) -> list[str]:
        """See `engine.Engine.map_runs`."""
        return self._wait(self._engine.map_runs, execution_arn)

    def map_run_counts(self, map_run_arn: str) -> MapRunCounts:
        """See `engine.Engine.map_run_counts`."""
        return self._wait(self._engine.map_run_counts, map_run_arn)

    def watch_map_run(
        self, map_run_arn: str, *, every_seconds: float = library.WATCH_SECONDS
    ) -> Iterator[MapRunCounts]:
        """See `engine.Engine.watch_map_run`; an iterator."""
        watched = self._engine.watch_map_run(map_run_arn, every_seconds=every_seconds)
        while (counts := self._wait(anext, watched, None)) is not None:
            yield counts

    def map_run_children(
        self, map_run_arn: str, *, status: ExecutionStatus | None = None
    ) -> Iterator[ExecutionDescription]:
        """See `engine.Engine.map_run_children`; an iterator."""
        children = self._engine.map_run_children(map_run_arn, status=status)
        while (child := self._wait(anext, children, None)) is not None:
            yield child

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
        reveal_secrets: bool = False,
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
            reveal_secrets=reveal_secrets,
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
