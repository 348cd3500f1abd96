"""Executions that live in this process alone, over a store of its own: no call to it waits, and time may be virtual."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

import anyio

from engine.errors import ExecutionAlreadyExists, ExecutionNotRedrivable, StateMachineDoesNotExist
from engine.integrations.invocation import check_error, check_text
from engine.integrations.required import check_handlers
from engine.integrations.workplace import OwnWorkplace
from engine.interpreter.messages import StopRequested
from engine.interpreter.snapshot import Snapshot
from engine.runtime.backend import Ended, not_redrivable_now
from engine.runtime.calls import DirectCalls
from engine.runtime.committer import DirectCommitter
from engine.runtime.executions import ExecutionQuarantined
from engine.runtime.live import LiveExecution, waiting_event
from engine.runtime.metrics import Metrics
from engine.runtime.task_groups import cancel_and_leave
from engine.runtime.worker import Worker
from engine.store.memory import MemoryStore
from engine.store.protocol import DEFAULT_POOL

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from anyio.abc import TaskGroup

    from engine.asl.program import StateMachine
    from engine.integrations.lambda_ import LambdaEmulator
    from engine.integrations.registry import Handlers
    from engine.integrations.request import Answer, Exchange
    from engine.interpreter.history import Segment
    from engine.interpreter.messages import Event, ScheduleTask
    from engine.interpreter.plan import Plan
    from engine.interpreter.snapshot import Ending, Execution
    from engine.jsonvalue import Json
    from engine.query.evaluation import Chance
    from engine.runtime.clock import Clock
    from engine.runtime.observers import Watchers
    from engine.store.protocol import Birth, Claim, ExecutionId, TakenTask
    from engine.store.records import ExecutionRecord, Garbage, StateMachineRecord

P = ParamSpec("P")
T = TypeVar("T")


class MemoryBackend:
    """A `Backend`. To be entered and left in one task; what is open then is ABORTED."""

    def __init__(
        self,
        *,
        handlers: Handlers,
        clock: Clock,
        chance: Chance,
        watchers: Watchers,
        in_flight_max: int | None,
        threads_max: int,
        commands_max: int,
        processes_max: int | None,
        lambda_emulator: LambdaEmulator | None = None,
    ) -> None:
        self.clock = clock
        self.is_open = False
        self.library = MemoryStore(now=clock.now)
        self.worker: Worker
        self._store = self.library.handle()
        self._handlers = handlers
        self._chance = chance
        self._watchers = watchers
        self._in_flight_max = in_flight_max
        self._threads_max = threads_max
        self._commands_max = commands_max
        self._processes_max = processes_max
        self._lambda_emulator = lambda_emulator
        self._workplace: OwnWorkplace | None = None
        self._group: TaskGroup
        self._waiters = 0

    @property
    def abandoned(self) -> int:
        """Handlers in threads that were given up while they ran."""
        return 0 if self._workplace is None else self._workplace.threads.abandoned

    def metrics(self) -> Metrics:
        """See `Backend`."""
        return self.worker.metrics(None) if self.is_open else Metrics()

    def not_ready(self) -> list[str]:
        """See `Backend`."""
        return [] if self.is_open else ["not entered"]

    async def __aenter__(self) -> Self:
        if self.is_open:
            raise RuntimeError("the engine is open already")
        self.clock.attach(lambda: self.worker.on_clock_released())
        self._workplace = OwnWorkplace(
            threads_max=self._threads_max,
            processes_max=self._processes_max,
            commands_max=self._commands_max,
            lambda_emulator=self._lambda_emulator,
            connections=self._handlers.connections,
        )
        if self._watchers.chronicler is not None:
            await anyio.to_thread.run_sync(self._watchers.chronicler.open, self.library)
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self._store.enlist(pools=[DEFAULT_POOL], host="", pid=0)
        self.worker = Worker(
            store=self._store,
            committer=DirectCommitter(self._store),
            calls=DirectCalls(),
            handlers=self._handlers,
            workplace=self._workplace,
            group=self._group,
            clock=self.clock,
            chance=self._chance,
            watchers=self._watchers,
            in_flight_max=self._in_flight_max,
            on_leaving=self._on_leaving,
            on_born=self._adopt,
            library=self.library,
            hint=self._hint,
            on_lost=self._cannot_be_lost,
            may_start=lambda: True,
            tick=None,
            is_alone=True,
        )
        self.worker.executions.doomed = self.library.doomed
        self.is_open = True
        self.clock.hold()  # nobody waits for anything yet
        self._group.start_soon(self.worker.run)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_open = False
        try:
            self.worker.abort_all()
        finally:
            await self._leave(kind, error, trace)

    async def _leave(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await cancel_and_leave(self._group, kind, error, trace)
        finally:
            assert self._workplace is not None
            with anyio.CancelScope(shield=True):
                await self.worker.tasks.close()
                await self._workplace.close()
                if self._watchers.chronicler is not None:
                    await anyio.to_thread.run_sync(self._watchers.chronicler.close)
            self.clock.detach()
            self.clock.release()

    @property
    def _at_work(self) -> Worker:
        if not self.is_open:
            raise RuntimeError("the engine is not open: it works inside `async with engine.Engine(...) as name:`")
        return self.worker

    def _hint(self, execution_id: ExecutionId) -> None:
        self.worker.custody.fetch([execution_id])

    def _adopt(self, parent: LiveExecution, execution_ids: Sequence[ExecutionId]) -> None:
        assert parent.plan is not None
        for execution_id in execution_ids:
            claim = self._store.claim_one(execution_id)
            if claim is not None:  # one that is redriven may be here already
                self.worker.custody.take(claim, parent.plan)

    def _cannot_be_lost(self) -> None:
        raise AssertionError("nobody else has this store")

    async def drain(self, seconds: float) -> bool:
        """See `Backend`. What is open when this process ends is gone, so nothing is to be waited for."""
        return True

    async def gc(self, *, older_than: int | None, dry_run: bool) -> Garbage:
        """See `Backend`."""
        return self.library.gc(older_than=older_than, dry_run=dry_run)

    async def ask(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Backend`: nothing waits here."""
        return function(*args, **kwargs)

    # ── state machines ──────────────────────────────────────────────────────────────────────────────────────────────

    async def create_state_machine(self, machine: StateMachineRecord) -> StateMachineRecord:
        """See `Backend`."""
        return self.library.create_state_machine(machine)

    async def deploy(self, machine: StateMachineRecord) -> StateMachineRecord:
        """See `Backend`."""
        return self.library.deploy(machine)

    async def state_machine(self, arn: str) -> StateMachineRecord:
        """See `Backend`."""
        return self.library.state_machine(arn)

    def forget_machine(self, arn: str) -> None:
        """See `Backend`: nothing is remembered here."""

    def check(self, program: StateMachine, region: str, account_id: str, test_case: str | None = None) -> None:
        """See `Backend`."""
        check_handlers(
            self._handlers,
            program,
            region=region,
            account=account_id,
            activities=self._activity_arns(),
            test_case=test_case,
        )

    def _activity_arns(self) -> set[str]:
        assert self._at_work is not None
        return set(self.library.activity_records)

    # ── executions ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, execution_id: ExecutionId, birth: Birth, plan: Plan) -> LiveExecution:
        """See `Backend`."""
        execution_id, is_new = self._store.start_named(execution_id, birth)
        if not is_new:
            known = self._find(birth.execution.arn)
            # Definitions that were never given names all share one.
            if known.plan is not plan and not self._is_kept(birth.execution.state_machine_arn):
                raise ExecutionAlreadyExists(known.arn)
            return known
        claim = self._claim(execution_id)
        live = LiveExecution(execution_id, plan, claim.snapshot)
        self._at_work.custody.take(claim, plan, live)
        return live

    def _is_kept(self, state_machine_arn: str) -> bool:
        try:
            self.library.state_machine(state_machine_arn)
        except StateMachineDoesNotExist:
            return False
        return True

    def _claim(self, execution_id: ExecutionId) -> Claim:
        claim = self._store.claim_one(execution_id)
        assert claim is not None, "nobody else claims here"
        return claim

    async def run_sync(self, execution_id: ExecutionId, birth: Birth, plan: Plan, program: StateMachine) -> Ended:
        """See `Backend`."""
        live = await self.start(execution_id, birth, plan)
        await self._wait(live)
        return Ended.of(live, self.library.execution(live.arn).stop_date)

    async def find(self, execution_arn: str) -> LiveExecution:
        """See `Backend`."""
        return self._find(execution_arn)

    def _find(self, execution_arn: str) -> LiveExecution:
        known = self.worker.executions.known
        live = known.get(execution_arn)
        if live is None:
            record = self.library.execution(execution_arn)
            snapshot = Snapshot(execution=record.execution, ending=record.ending)
            live = known[execution_arn] = LiveExecution(record.execution_id, None, snapshot)
            if record.quarantine is not None:
                live.fault = ExecutionQuarantined(f"{execution_arn}: {record.quarantine}")
        return live

    async def describe(self, execution_arn: str) -> ExecutionRecord:
        """See `Backend`."""
        return self.library.execution(execution_arn)

    async def history(self, execution_arn: str) -> Sequence[Segment]:
        """See `Backend`."""
        return self.library.history(execution_arn)

    async def stop(self, execution: LiveExecution, error: str | None, cause: str | None) -> None:
        """See `Backend`."""
        check_error(error, cause)
        await self.send(execution, StopRequested(error, cause))

    async def send(self, execution: LiveExecution, event: Event) -> None:
        """See `Backend`."""
        if not execution.is_over:
            self._at_work.executions.mail(execution, event)

    async def redrive(self, execution: LiveExecution, plan: Plan | None, client_token: str | None = None) -> int:
        """See `Backend`."""
        made = None if client_token is None else self.library.redriven(execution.arn, client_token)
        if made is not None:
            return made
        plan = execution.plan or plan
        if plan is None:
            raise ExecutionNotRedrivable("The definition of the execution is no longer kept")
        reason = not_redrivable_now(self.library.execution(execution.arn), self.clock.now())
        if reason is not None:
            raise ExecutionNotRedrivable(reason)
        execution_id, made = self.library.reopen(execution.arn, client_token)
        execution.plan = plan
        self._revive(execution, execution_id)
        return made

    async def result(self, execution: LiveExecution) -> tuple[Ending, Json]:
        """See `Backend`."""
        await self._wait(execution)
        if execution.fault is not None:
            raise execution.fault
        assert execution.ending is not None
        return execution.ending, execution.failed_input

    async def resume(self, execution: LiveExecution, plan: Plan | None) -> None:
        """See `Backend`."""
        execution.plan = execution.plan or plan
        is_quarantined = self.library.execution(execution.arn).quarantine is not None
        if is_quarantined and execution.plan is None:
            raise ExecutionNotRedrivable("The definition of the execution is no longer kept")
        execution_id = self.library.resume(execution.arn)
        if is_quarantined:
            self._revive(execution, execution_id)

    def _revive(self, live: LiveExecution, execution_id: ExecutionId) -> None:
        # Who waits for it holds this very object.
        live.ending = live.fault = live.quarantine = live.failed_input = live.ended = None
        live.is_busy = live.is_gone = live.is_writing = live.is_releasing = False
        live.in_hand.clear()
        live.consumed.clear()
        claim = self._claim(execution_id)
        live.snapshot, live.seq = claim.snapshot, claim.seq
        assert live.plan is not None
        self._at_work.custody.take(claim, live.plan, live)

    async def _wait(self, live: LiveExecution) -> None:
        """Waits until the execution is over. While anybody waits, a virtual clock may jump."""
        # Again when somebody who was woken first has redriven it.
        while not live.is_over or live.execution_id in self.worker.executions.live:
            event = waiting_event(live, anyio.Event)
            live.waiters += 1
            self._waiters += 1
            if self._waiters == 1:
                self.clock.release()
            try:
                await event.wait()
            finally:
                if not event.is_set():
                    live.waiters -= 1
                    self._lose_waiters(1)

    def _on_leaving(self, live: LiveExecution) -> None:
        # At once, not when they come to run: until they have, time must not jump for those who wait for others.
        self._lose_waiters(live.waiters)
        live.waiters = 0

    def _lose_waiters(self, count: int) -> None:
        self._waiters -= count
        if count and self._waiters == 0:
            self.clock.hold()

    async def do_task(
        self, execution: Execution, command: ScheduleTask, on_exchange: Callable[[Exchange], None]
    ) -> Answer:
        """See `Backend`."""
        return await self._at_work.tasks.do_alone(execution, command, on_exchange)

    # ── Tasks that are answered from outside ────────────────────────────────────────────────────────────────────────

    async def send_task_success(self, task_token: str, output: Json) -> None:
        """See `Backend`."""
        self._at_work.tasks.send_task_success(task_token, output)

    async def send_task_failure(self, task_token: str, error: str | None, cause: str | None) -> None:
        """See `Backend`."""
        self._at_work.tasks.send_task_failure(task_token, error, cause)

    async def send_task_heartbeat(self, task_token: str) -> None:
        """See `Backend`."""
        self._at_work.tasks.send_task_heartbeat(task_token)

    async def get_activity_task(
        self, activity_arn: str, worker_name: str | None, *, wait_seconds: float
    ) -> TakenTask | None:
        """See `Backend`."""
        check_text("worker_name", worker_name)

        async def take() -> TakenTask | None:
            taken = self._store.take_task(activity_arn, worker_name)
            if taken is not None:
                self._hint(taken.execution_id)
            return taken

        # Nobody offers anything without telling.
        polls = self._at_work.tasks.polls
        return await polls.poll(activity_arn, take, wait_seconds=wait_seconds, pause_seconds_max=lambda: math.inf)
