"""The engine as a library: `Engine` for many executions, `run` for one. It never owns the caller's event loop.

What a program sees is here; the work is done in `engine.runtime`.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any, Literal, Self

from engine.api.own_actions import OwnActions
from engine.arguments import Limits as Limits
from engine.arguments import check_at_once, check_pool, chronicler_of, clock_of, opener_of, retention_ms_of
from engine.executions import DEFAULT_NAME as DEFAULT_NAME
from engine.executions import NO_INPUT as NO_INPUT
from engine.executions import Executions
from engine.handles import ActivityDescription as ActivityDescription
from engine.handles import ActivityTask as ActivityTask
from engine.handles import ExecutionHandle as ExecutionHandle
from engine.integrations.mock_config import read_mock_config
from engine.integrations.registry import Handlers
from engine.integrations.threads import THREADS_MAX as THREADS_MAX
from engine.integrations.workplace import COMMANDS_MAX as COMMANDS_MAX
from engine.machines import Machines
from engine.machines import StateMachineHandle as StateMachineHandle
from engine.map_counts import WATCH_SECONDS as WATCH_SECONDS
from engine.map_counts import MapRunCounts as MapRunCounts
from engine.map_counts import MapRuns
from engine.operations.activities import POLL_SECONDS as POLL_SECONDS
from engine.operations.nested_executions import NestedExecutions
from engine.operations.service import Service
from engine.outside_tasks import OutsideTasks
from engine.releases import Releases
from engine.runtime.lease import LEASE_SECONDS
from engine.runtime.memory_backend import MemoryBackend
from engine.runtime.observers import Watchers
from engine.settings import Settings
from engine.starts import Starts
from engine.state_outcome import StateOutcome as StateOutcome
from engine.state_outcome import tested
from engine.store.protocol import DEFAULT_POOL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import timedelta
    from pathlib import Path
    from types import TracebackType

    from engine.arguments import ClockLike, Definition, StoreLike
    from engine.events.chronicle import Chronicle, EventsLike
    from engine.integrations.lambda_ import LambdaEmulator
    from engine.integrations.mock_config import MockConfigLike
    from engine.integrations.registry import HandlersLike
    from engine.jsonvalue import Json
    from engine.operations.test_state import InspectionLevel
    from engine.query.evaluation import Chance
    from engine.runtime.backend import Backend
    from engine.runtime.metrics import Metrics
    from engine.runtime.observers import Observer, Tracer
    from engine.store.protocol import MachineType
    from engine.store.records import Garbage


class UsedAfterFork(RuntimeError):
    """An engine that was made by the parent process is used in the child."""

    def __init__(self) -> None:
        super().__init__(
            "this engine belongs to the process that forked this one, as do its event loop, threads and connections. "
            "Make an Engine in the child (gunicorn: in post_fork; Celery: in worker_process_init; multiprocessing: in "
            "the function that runs there)"
        )


class Engine(Executions, MapRuns, Releases, OutsideTasks):
    """Runs executions, as many at once as there are; an asynchronous context manager.

        Engine(url, handlers=handlers)       a client of the executions in a database, and a worker that runs them
        Engine(url)                          a client: workers elsewhere run them
        Engine(handlers), Engine()           the same on a PostgreSQL server of its own, in the user's data directory
        Engine.in_memory(handlers)           everything in this process, and gone with it

    Leaving one in memory ends the open executions as ABORTED. Leaving a worker ends none: others go on with them, and
    what was in flight here runs there again (`drain` first, to wait for it). Either way asynchronous handlers are
    cancelled, processes and commands are killed, and threads that still run a handler are left alone. Nothing is opened
    before it is entered.

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
        lambda_emulator: Does the Tasks that call its functions and have no rule, and those of `emulator:`.
        mock_config: The test cases of state machines, in the form of Step Functions Local: the path of a file, or
            what one holds; else the file of SFN_MOCK_CONFIG. Those who start executions of test cases and those who
            run them need it.

    Attributes:
        clock: Where its time comes from.

    Raises:
        InvalidHandler, InvalidMockConfig, ValueError: An argument means nothing.
    """

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
        lambda_emulator: LambdaEmulator | None = None,
        mock_config: MockConfigLike | None = None,
    ) -> None:
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
            check_pool(pool)
        chance = _chance_of(None)
        rules = _handlers_of(handlers, lambda_emulator)
        chronicler = chronicler_of(events, logs, notice)
        backend = DurableBackend(
            opener_of(url, data_dir, pooler=pooler),
            handlers=rules,
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
                chronicler=chronicler,
                lambda_emulator=lambda_emulator,
            ),
        )
        by_name = claims == "own"
        self._begin(
            backend, rules, chronicler, mock_config, chance, limits, region, account_id,
            is_on_store=True, by_name=by_name,
        )  # fmt: skip

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
        lambda_emulator: LambdaEmulator | None = None,
        mock_config: MockConfigLike | None = None,
    ) -> Self:
        """An engine whose executions live in this process alone: for tests, and for work that may be lost.

        Args:
            handlers: Who does which Task; see `Handlers`.
            clock: `real`, or `virtual`: waiting is skipped.
            max_concurrency: Handlers that run at once; no limit when not given.
            limits, region, account_id, threads_max, commands_max, processes_max, observer, tracer, events, logs: See
                `Engine`.
            notice, seed, lambda_emulator, mock_config: Likewise.

        Raises:
            InvalidHandler, InvalidMockConfig, ValueError: An argument means nothing.
        """
        check_at_once(max_concurrency, threads_max, commands_max, processes_max)
        chance = _chance_of(seed)
        rules = _handlers_of(handlers, lambda_emulator) or Handlers()
        chronicler = chronicler_of(events, logs, notice)
        backend = MemoryBackend(
            handlers=rules,
            clock=clock_of(clock),
            chance=chance,
            watchers=Watchers(observer=observer, tracer=tracer, chronicler=chronicler),
            in_flight_max=max_concurrency,
            threads_max=threads_max,
            commands_max=commands_max,
            processes_max=processes_max,
            lambda_emulator=lambda_emulator,
        )
        one = cls.__new__(cls)
        one._begin(  # noqa: SLF001  of this class
            backend, rules, chronicler, mock_config, chance, limits, region, account_id,
            is_on_store=False, by_name=True,
        )  # fmt: skip
        return one

    def _begin(
        self,
        backend: Backend[Any],
        handlers: Handlers | None,
        chronicler: Chronicle | None,
        mock_config: MockConfigLike | None,
        chance: Chance,
        limits: Limits | None,
        region: str | None,
        account_id: str | None,
        *,
        is_on_store: bool,
        by_name: bool,
    ) -> None:
        """What both ways to make an engine end with.

        `by_name`: see `NestedExecutions`.
        """
        settings = Settings.from_environment()
        limits = limits or Limits()
        mock_config = settings.mock_config if mock_config is None else mock_config
        mocks = None if mock_config is None else read_mock_config(mock_config)
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
            mocks=mocks,
            has_log_group=None if chronicler is None else chronicler.has_log_group,
        )
        if handlers is not None:
            handlers.mocks = mocks
            handlers.build_in("states", NestedExecutions(self._service, by_name=by_name))
            handlers.build_in("aws-sdk:sfn", OwnActions(self._service))
            handlers.call_aws(is_allowed=False)
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

    # ── trying a state ──────────────────────────────────────────────────────────────────────────────────────────────

    async def test_state(
        self,
        definition: Definition,
        input: Json | bytes = NO_INPUT,
        *,
        state: str | None = None,
        mock: Mapping[str, Any] | None = None,
        inspection_level: InspectionLevel = "DEBUG",
        reveal_secrets: bool = False,
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
            inspection_level: At INFO there is no inspection data. TRACE shows the request and the response of an HTTP
                Task.
            reveal_secrets: Show what its connection adds to the request, too.
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
            reveal_secrets=reveal_secrets,
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


def _handlers_of(given: HandlersLike, emulator: LambdaEmulator | None) -> Handlers | None:
    """The rules; None: nobody gave any, and this engine runs nothing. Raises InvalidHandler."""
    if given is None and emulator is None:
        return None
    handlers = Handlers(given)
    if emulator is not None:
        handlers.fall_back_on(emulator)
    return handlers


def _chance_of(seed: int | None) -> Chance:
    return random.SystemRandom() if seed is None else random.Random(seed)  # noqa: S311  asked for
