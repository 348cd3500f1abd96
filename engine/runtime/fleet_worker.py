"""One worker of a fleet: the loop over a store that others use as well, with its threads and its lease."""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Literal, Self

import anyio

from engine.asl.parser import load
from engine.integrations.registry import MissingHandler, account_of
from engine.integrations.required import check_handlers
from engine.integrations.threads import THREADS_MAX
from engine.integrations.workplace import COMMANDS_MAX, OwnWorkplace
from engine.interpreter.messages import StartRequested
from engine.interpreter.plan import compile_plan
from engine.interpreter.snapshot import Snapshot
from engine.runtime.calls import ThreadCalls
from engine.runtime.committer import GroupCommitter
from engine.runtime.deletions import Deletions
from engine.runtime.housekeeping import Housekeeping
from engine.runtime.lease import LEASE_SECONDS, Lease
from engine.runtime.live import LiveExecution
from engine.runtime.metrics import StoreMeter, together
from engine.runtime.observers import Watchers
from engine.runtime.offspring import Offspring
from engine.runtime.room import Room
from engine.runtime.starter import Starter
from engine.runtime.sync_executions import SyncExecutions
from engine.runtime.task_groups import cancel_and_leave
from engine.runtime.watchdog import STILL_PART, Watchdog
from engine.runtime.worker import Worker
from engine.runtime.writer import Writer
from engine.store.hints import Hint
from engine.store.protocol import DEFAULT_POOL, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from types import TracebackType

    from anyio.abc import TaskGroup

    from engine.asl.program import StateMachine
    from engine.integrations.lambda_ import LambdaEmulator
    from engine.integrations.registry import Handlers
    from engine.interpreter.plan import Plan
    from engine.interpreter.snapshot import Execution
    from engine.query.evaluation import Chance
    from engine.runtime.calls import Outcome
    from engine.runtime.chronicler import Chronicler
    from engine.runtime.clock import StoreClock
    from engine.runtime.metrics import Metrics
    from engine.runtime.observers import Observer, Tracer
    from engine.runtime.writer import Fate
    from engine.store.library import Library, Store
    from engine.store.protocol import Birth, ExecutionId, RevisionId

CONCURRENCY = 256

_PLANS_MAX = 512
_LAST_WRITES_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetOptions:
    """How a worker of a fleet behaves.

    Attributes:
        pools: Whose executions it claims.
        claims: `own`: it carries only what it started itself, and claims nothing of others.
        concurrency: Tasks in flight at once. While there are as many nothing is claimed, and starts are left to others.
        lease_seconds: How long without a sign of life until others take over what it has; the same for all workers.
        threads_max: Handlers that run in threads at once.
        processes_max: Child processes; as many as there are processors when None.
        waits_for_store: Entered while the store cannot be reached, it waits for it.
        watchdog: Ends the process when the event loop stands still for two thirds of the lease.
        notice: Told what an operator wants to know: a name, and what goes with it as keywords. From any thread.
        retention_ms: How long finished executions are kept, as `Store.sweep`; None: for ever.
    """

    pools: tuple[str, ...] = (DEFAULT_POOL,)
    claims: Literal["pools", "own"] = "pools"
    concurrency: int = CONCURRENCY
    lease_seconds: float = LEASE_SECONDS
    threads_max: int = THREADS_MAX
    commands_max: int = COMMANDS_MAX
    processes_max: int | None = None
    retention_ms: int | None = None
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    waits_for_store: bool = False
    watchdog: bool = False
    notice: Callable[..., None] | None = None
    tracer: Tracer | None = None
    chronicler: Chronicler | None = None
    lambda_emulator: LambdaEmulator | None = None

    def tell(self, event: str, **about: object) -> None:
        """Passes a notice on, if somebody wants it."""
        if self.notice is not None:
            self.notice(event, **about)


class Revisions:
    """Compiled definitions, by revision; the ones used last are kept."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._plans: dict[RevisionId, Plan] = {}

    def add(self, revision_id: RevisionId, plan: Plan) -> None:
        """A plan that was made already."""
        self._plans[revision_id] = plan

    def load(self, revision_ids: Collection[RevisionId]) -> Mapping[RevisionId, Plan | Exception]:
        """See `Plans`. Raises StoreUnavailable."""
        return {revision_id: self._load(revision_id) for revision_id in revision_ids}

    def _load(self, revision_id: RevisionId) -> Plan | Exception:
        plan = self._plans.pop(revision_id, None)
        if plan is None:
            try:
                machine = self._library.revision(revision_id)
                plan = compile_plan(load(machine.definition, type=machine.type, name=machine.name, syntax="YAML"))
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001  an older or newer engine took it; that execution alone must wait
                return error
        self._plans[revision_id] = plan
        while len(self._plans) > _PLANS_MAX:
            del self._plans[next(iter(self._plans))]
        return plan


class FleetWorker:
    """Runs executions of a store; an asynchronous context manager.

    Leaving it lets go at once: Tasks in flight are cancelled, and others take over. `drain` first, to wait for them.

    Attributes:
        worker: The loop. Set once it is entered.
        sync: Synchronous executions, beside it. Set once it is entered.
        housekeeping: Its services. Set once it is entered.
    """

    def __init__(
        self,
        store: Store,
        *,
        handlers: Handlers,
        clock: StoreClock,
        chance: Chance,
        observer: Observer | None,
        on_leaving: Callable[[LiveExecution], None],
        options: FleetOptions,
    ) -> None:
        self.revisions = Revisions(store)
        self.worker: Worker
        self.sync: SyncExecutions
        self.housekeeping: Housekeeping
        self._store = store
        self._meter = StoreMeter(options.tell)
        self._handle = self._meter.metered(store.handle())
        self._handlers = handlers
        self._clock = clock
        self._chance = chance
        self._watchers = Watchers(observer=observer, tracer=options.tracer, chronicler=options.chronicler)
        self._on_leaving = on_leaving
        self._options = options
        self._lease = Lease(options.lease_seconds)
        self._workplace: OwnWorkplace | None = None
        self._group: TaskGroup
        self._starter: Starter
        self._committer: GroupCommitter
        self._room: Room
        self._offspring: Offspring
        self._calls: ThreadCalls
        self._broken: BaseException | None = None
        self._slow_calls: ThreadCalls
        self._may_run_sync: dict[tuple[RevisionId, str | None], None] = {}
        self._is_draining = False
        self._is_leaving = False
        self._drained = anyio.Event()
        self._exits = ExitStack()

    @property
    def abandoned(self) -> int:
        """Handlers in threads that were given up while they ran."""
        return 0 if self._workplace is None else self._workplace.threads.abandoned

    def metrics(self) -> Metrics:
        """See `Backend.metrics`."""
        store = self._meter.read(self._lease, incarnations=self.housekeeping.incarnations)
        return together(self.worker.metrics(store), self.sync.worker.metrics(None))

    def not_ready(self) -> list[str]:
        """See `Backend.not_ready`."""
        reasons = []
        if self._is_draining:
            reasons.append("draining: nothing new is begun")
        if not self._meter.is_available:
            reasons.append("the database cannot be reached")
        if not self.housekeeping.is_enlisted:
            reasons.append("not enlisted among the workers yet")
        elif not self._lease.is_safe:
            reasons.append("the lease was not renewed in time: no Task may be started")
        return reasons

    # ── coming and going ────────────────────────────────────────────────────────────────────────────────────────────

    async def __aenter__(self) -> Self:
        self._workplace = OwnWorkplace(
            threads_max=self._options.threads_max,
            processes_max=self._options.processes_max,
            commands_max=self._options.commands_max,
            lambda_emulator=self._options.lambda_emulator,
            connections=self._handlers.connections,
        )
        if self._options.chronicler is not None:
            await anyio.to_thread.run_sync(self._options.chronicler.open, self._store)
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        try:
            self._assemble()
            if self._options.watchdog:
                self._exits.enter_context(Watchdog(self._options.lease_seconds * STILL_PART))
            await self._enlist()
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        self._group.start_soon(self.worker.run)
        self._group.start_soon(self.sync.worker.run)
        return self

    def _assemble(self) -> None:
        self._assemble_writing()
        self._calls = ThreadCalls("asl clerk", after=self._wake, on_broken=self._break)
        self._slow_calls = ThreadCalls("asl sweeper", after=self._wake, on_broken=self._break)
        self._assemble_workers()
        self._assemble_services()

    def _assemble_writing(self) -> None:
        writer = Writer(
            self._handle,
            lease=self._lease,
            clock=self._clock,
            chance=self._chance,
            pools=self._options.pools,
            host=self._options.host,
            pid=self._options.pid,
        )
        self._starter = Starter(
            self._handle,
            on_lost=lambda worker_id: self._lost() if worker_id == writer.worker_id else None,
            on_unsure=lambda: self.housekeeping.unsure(),
            on_broken=self._break,
            after=self._wake,
        )
        self._committer = GroupCommitter(
            writer, self._lease, self._starter, on_lost=self._lost, on_broken=self._break, after=self._wake
        )

    def _assemble_workers(self) -> None:
        assert self._workplace is not None
        make = partial(
            Worker,
            store=self._handle,
            calls=self._calls,
            handlers=self._handlers,
            workplace=self._workplace,
            group=self._group,
            clock=self._clock,
            chance=self._chance,
            watchers=self._watchers,
            library=self._store,
            in_flight_max=self._options.concurrency,
            hint=self.hint,
            on_born=self._born,
            on_lost=self._lost,
        )
        self.sync = SyncExecutions(make, on_ended=self._wake)
        self.worker = make(
            committer=self._committer,
            on_leaving=self._on_leaving,
            may_start=self._may_start,
            tick=self._tick,
            is_alone=self._options.claims == "own",
            defers=True,
            keeps_born=self._options.claims == "own",
        )

    def _assemble_services(self) -> None:
        self._room = Room(self.worker.executions, self.worker.tasks, self._options.concurrency)
        self._offspring = Offspring(
            store=self._handle,
            calls=self._calls,
            plans=self.revisions,
            custody=self.worker.custody,
            room=self._room,
            monotonic=self._lease.monotonic,
            on_lost=self._lost,
        )
        self.housekeeping = Housekeeping(
            store=self._handle,
            calls=self._calls,
            slow_calls=self._slow_calls,
            custody=self.worker.custody,
            executions=self.worker.executions,
            plans=self.revisions,
            committer=self._committer,
            clock=self._clock,
            lease=self._lease,
            sweep=self._sweep,
            sample=self._sample,
            free=self.free,
            free_chunks=self._room.free_chunks,
            dispatch=self._dispatch,
            claims=self._options.claims == "pools",
            notice=self._options.tell,
            pools=self._options.pools,
            hints=self._store.hints,
        )
        self._deletions = Deletions(self._store, self._calls, self.worker.executions, self._lease.monotonic)

    def _sample(self) -> None:
        self._meter.backlog = self._store.backlog(self._options.pools)

    async def _enlist(self) -> None:
        enlisted = anyio.Event()
        outcomes: list[Outcome[None]] = []

        def told(outcome: Outcome[None]) -> None:
            outcomes.append(outcome)
            enlisted.set()

        self.housekeeping.begin(told)
        await enlisted.wait()
        outcomes[0]()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.sync.worker.abort_all()
        finally:
            await self._leave(kind, error, trace)

    async def _leave(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await cancel_and_leave(self._group, kind, error, trace)
        finally:
            with anyio.CancelScope(shield=True):
                assert self._workplace is not None
                await self.worker.tasks.close()
                await self.sync.worker.tasks.close()
                await self._workplace.close()
                self._exits.close()
                await anyio.to_thread.run_sync(self._resign)
                if self._options.chronicler is not None:
                    await anyio.to_thread.run_sync(self._options.chronicler.close)

    def _resign(self) -> None:
        """After the last write; what is still owned others may have from now on."""
        self._is_leaving = True
        self._starter.close()
        self._committer.close()
        self._calls.close()
        self._slow_calls.close()
        self._starter.join(_LAST_WRITES_SECONDS)
        self._committer.join(_LAST_WRITES_SECONDS)
        self._calls.join(_LAST_WRITES_SECONDS)
        with suppress(StoreUnavailable):  # they find out when the lease is over
            self._handle.resign()
        self._slow_calls.join(_LAST_WRITES_SECONDS)

    async def drain(self, seconds: float) -> bool:
        """Stops claiming and starting Tasks, gives up what is idle, and waits for the Tasks in flight.

        What they give is written, and the executions go to other workers. Whoever loses patience cancels this call.

        Args:
            seconds: How long to wait at most.

        Returns:
            Whether no Task is in flight any more. Those that are will be lost when the worker is left.
        """
        self._is_draining = True
        self.housekeeping.is_draining = self.worker.custody.is_draining = True
        self.worker.tasks.hold_waiting()
        self.worker.custody.release_idle()
        self.worker.wake()
        with anyio.move_on_after(seconds):
            await self._drained.wait()
        return self._drained.is_set()

    # ── at work ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def free(self) -> int:
        """How many more executions this worker can take."""
        if self._is_draining or not self.housekeeping.is_enlisted or not self._lease.is_safe:
            return 0
        if self._options.claims == "own":
            return self._options.concurrency  # nobody else would have what it starts
        return self._room.free()

    async def start(self, execution_id: ExecutionId, birth: Birth, plan: Plan) -> tuple[Fate, str]:
        """Starts an execution that this worker owns from birth; what became of its first checkpoint, and why."""
        live = LiveExecution(execution_id, plan, Snapshot(execution=birth.execution), 0, birth)
        answered: asyncio.Future[tuple[Fate, str]] = asyncio.get_running_loop().create_future()

        def told(fate: Fate, reason: str) -> None:
            if not answered.done():  # else nobody waits any more
                answered.set_result((fate, reason))

        live.on_birth = told
        self.worker.executions.add(live)
        self.worker.executions.mail(live, StartRequested(birth.input_text))
        return await answered

    def may_run_sync(self, birth: Birth, program: StateMachine) -> bool:
        """Whether a synchronous execution may run in this process: it has a handler for every Task of it."""
        if self._is_draining or birth.pool not in self._options.pools:
            return False
        asked = (birth.revision_id, birth.execution.test_case)
        if asked in self._may_run_sync:
            return True
        if not self._has_handlers(birth.execution, program):
            return False  # asked again the next time: the Lambda emulator may have its function by then
        self._may_run_sync[asked] = None
        if len(self._may_run_sync) > _PLANS_MAX:
            del self._may_run_sync[next(iter(self._may_run_sync))]
        return True

    def _has_handlers(self, execution: Execution, program: StateMachine) -> bool:
        account = account_of(execution.state_machine_arn)
        try:
            check_handlers(
                self._handlers,
                program,
                region=execution.region,
                account=account,
                activities=(),
                test_case=execution.test_case,
            )
        except MissingHandler:
            return False
        return True

    def hint(self, execution_id: ExecutionId) -> None:
        """There may be something to do for this execution; in the event loop only."""
        self.housekeeping.hint(execution_id)
        self.worker.wake()

    def _born(self, parent: LiveExecution, execution_ids: Sequence[ExecutionId]) -> None:
        """They are claimed together with others, as whatever somebody else has started; unless they are ours alone."""
        if self._options.claims == "own":
            self._offspring.born(parent, execution_ids)
        else:
            self.housekeeping.heard(Hint("START", frozenset([parent.pool])))

    def _break(self, error: BaseException) -> None:
        self._broken = error
        self.worker.wake()

    def _sweep(self) -> None:
        """Called in a thread, so that nothing waits for it."""
        swept = self._store.sweep(retention=self._options.retention_ms, proceed=lambda: not self._is_leaving)
        if swept.left:
            self._options.tell("retention is behind", left=list(swept.left))

    def heard_at_once(self, hint: Hint) -> None:
        """What must not wait for the event loop, which may be busy; any thread."""
        if hint.kind == "CONNECTED":
            self._lease.is_present = True
        elif hint.kind == "DISCONNECTED":
            self._lease.is_present = False
            self._lease.doubt()
        if hint.kind in ("SILENT", "DISCONNECTED"):
            self._committer.renew()

    def heard(self, hint: Hint) -> None:
        """Another process has told something; in the event loop only."""
        self.housekeeping.heard(hint)
        self.worker.wake()

    def _tick(self) -> float:
        if self._broken is not None:
            raise self._broken  # the worker ends, for all to see; what it owns others take over
        live = len(self.worker.executions.live) + len(self.sync.worker.executions.live)
        if self._is_draining and not live and self._committer.pending == 0:
            self._drained.set()
        due = min(self.housekeeping.tick(), self._deletions.tick())
        return due if self._is_draining or not self.housekeeping.is_enlisted else min(due, self._offspring.tick())

    def _may_start(self) -> bool:
        return self.housekeeping.may_start()

    def _dispatch(self) -> None:
        self.worker.tasks.start_waiting()
        for execution in self.worker.executions.at_work:
            if not execution.is_busy:
                self.worker.tasks.start_held(execution)

    def _wake(self) -> None:
        self.worker.wake()

    def _lost(self) -> None:
        self._offspring.forget()
        self.housekeeping.lost()
        self.worker.wake()
