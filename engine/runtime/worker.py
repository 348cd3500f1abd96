"""One engine at work: its loop, its services, and what may be asked of it. Everything runs in one task group."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import anyio
from anyio import from_thread
from anyio.lowlevel import checkpoint, current_token

from engine.errors import ExecutionAlreadyExists, ExecutionNotRedrivable
from engine.integrations.invocation import check_text
from engine.integrations.workplace import OwnWorkplace
from engine.interpreter.advance import not_redrivable
from engine.interpreter.messages import RedriveRequested, StartRequested, StopRequested
from engine.interpreter.snapshot import Snapshot
from engine.runtime.committer import DirectCommitter
from engine.runtime.executions import Executions, LiveExecution, waiting_event
from engine.runtime.tasks import Tasks
from engine.runtime.timers import Timers

if TYPE_CHECKING:
    from types import TracebackType

    from anyio.abc import TaskGroup

    from engine.integrations.registry import Handlers
    from engine.interpreter.plan import Plan
    from engine.interpreter.snapshot import Execution
    from engine.query.evaluation import Chance
    from engine.runtime.clock import Clock
    from engine.runtime.executions import Observer
    from engine.store.protocol import ExecutionRecord, ExecutionStore

TURN_SECONDS = 0.005
"""How long executions are folded before handlers and callers have a turn. More: their answers wait; fewer: overhead."""

# Everybody who was woken has run once after one round of the event loop; these are for whom they wake in turn.
_ROUNDS_BEFORE_A_JUMP = 3

_REDRIVABLE_MS = 14 * 24 * 3_600 * 1_000
_MS_PER_SECOND = 1_000

CLOSED = "The engine was closed before the execution ended"
"""Cause of the executions that are ABORTED because their engine, which is all they live in, is closed."""


class Worker:
    """Runs executions over a store of one process, until it is left; what is open then is ABORTED.

    To be entered and left in one task.
    """

    def __init__(
        self,
        *,
        store: ExecutionStore,
        handlers: Handlers,
        clock: Clock,
        chance: Chance,
        observer: Observer | None = None,
        in_flight_max: int | None = None,
        threads_max: int,
        commands_max: int,
        processes_max: int | None = None,
    ) -> None:
        self.clock = clock
        self.is_open = False
        self.tasks: Tasks
        self.workplace: OwnWorkplace | None = None
        self._store = store
        self._handlers = handlers
        self._in_flight_max = in_flight_max
        self._threads_max = threads_max
        self._commands_max = commands_max
        self._processes_max = processes_max
        self._timers: Timers[LiveExecution] = Timers()
        self._committer = DirectCommitter(store)
        self._group: TaskGroup
        self._alarm: anyio.Event | None = None
        self._waiters = 0
        self.executions = Executions(
            clock=clock,
            chance=chance,
            committer=self._committer,
            timers=self._timers,
            wake=self._wake,
            on_ending=self._on_ending,
            observer=observer,
        )

    async def __aenter__(self) -> Self:
        if self.is_open:
            raise RuntimeError("the engine is open already")
        self._token, self._thread = current_token(), threading.get_ident()
        self.clock.attach(self._on_clock_released)
        self.is_open = True
        self.workplace = OwnWorkplace(
            threads_max=self._threads_max, processes_max=self._processes_max, commands_max=self._commands_max
        )
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        self.tasks = self.executions.tasks = Tasks(
            executions=self.executions,
            store=self._store,
            handlers=self._handlers,
            workplace=self.workplace,
            clock=self.clock,
            group=self._group,
            in_flight_max=self._in_flight_max,
        )
        self.clock.hold()  # nobody waits for anything yet
        self._group.start_soon(self._loop)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.is_open = False
        try:
            self._abort_all()
        finally:
            await self._leave(kind, error, trace)

    async def _leave(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._group.cancel_scope.cancel()
        try:
            # The error of the body is the caller's own; handed over, the task group would wrap it in a group.
            is_cancelled = isinstance(error, anyio.get_cancelled_exc_class())
            await self._group.__aexit__(kind if is_cancelled else None, error if is_cancelled else None, trace)
        finally:
            assert self.workplace is not None
            with anyio.CancelScope(shield=True):
                await self.workplace.close()
            self.clock.detach()
            self.clock.release()

    def _abort_all(self) -> None:
        for execution in list(self.executions.live.values()):
            self.executions.mail(execution, StopRequested(None, CLOSED))
        while self.executions.has_ready:
            self.executions.fold(TURN_SECONDS)

    # ── the loop ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _loop(self) -> None:
        while True:
            if self.executions.has_ready:
                self.executions.fold(TURN_SECONDS)
                await checkpoint()
            elif not self.executions.mail_due(self.clock.now()):
                await self._rest()

    async def _rest(self) -> None:
        """Nothing can be done now: waits for mail or for the next timer, or lets the clock jump to it."""
        alarm = self._alarm = anyio.Event()
        due = self._timers.next_due()
        if due is None:
            await alarm.wait()
            return
        if self.clock.can_jump and self._committer.pending == 0:
            for _ in range(_ROUNDS_BEFORE_A_JUMP):
                await checkpoint()
            if alarm.is_set() or self.clock.jump(due):
                return
        with anyio.move_on_after((due - self.clock.now()) / _MS_PER_SECOND):
            await alarm.wait()

    def _wake(self) -> None:
        if self._alarm is not None:
            self._alarm.set()
            self._alarm = None

    def _on_clock_released(self) -> None:
        """Time may jump now: has the loop look again, in whatever thread the clock was let go."""
        if threading.get_ident() == self._thread:
            self._wake()
        else:
            with suppress(anyio.RunFinishedError):
                from_thread.run_sync(self._wake, token=self._token)

    # ── what may be asked ───────────────────────────────────────────────────────────────────────────────────────────

    def start(self, plan: Plan, execution: Execution, input_text: str | None = None) -> LiveExecution:
        """Starts an execution, or finds the one that has its name and its input (execution.md 7).

        Args:
            input_text: The input as it was given, when that was text.

        Raises:
            ExecutionAlreadyExists: The name is taken.
        """
        start = self._store.start(execution)
        if not start.is_new:
            known = self.find(start.execution.arn)
            if known.plan is not plan:  # definitions that were never given names all share one
                raise ExecutionAlreadyExists(known.arn)
            return known
        live = LiveExecution(plan, Snapshot(execution=execution))
        self.executions.add(live)
        self.executions.mail(live, StartRequested(input_text))
        return live

    def find(self, execution_arn: str) -> LiveExecution:
        """An execution, live or ended. Raises ExecutionDoesNotExist."""
        live = self.executions.known.get(execution_arn)
        if live is None:
            record = self._store.execution(execution_arn)
            live = LiveExecution(None, Snapshot(execution=record.execution, ending=record.ending))
            self.executions.known[execution_arn] = live
        return live

    def stop(self, live: LiveExecution, error: str | None, cause: str | None) -> None:
        """Stops an execution; one that is over stays as it is (execution.md 8). Raises ValueError."""
        check_text("error", error)
        check_text("cause", cause)
        if not live.is_over:
            self.executions.mail(live, StopRequested(error, cause))

    def redrive(self, live: LiveExecution, plan: Plan) -> None:
        """Goes on with an execution that did not succeed, where it failed (execution.md 9).

        Raises:
            ExecutionDoesNotExist: It is no longer kept.
            ExecutionNotRedrivable: With AWS's reason.
        """
        reason = not_redrivable_now(self._store.execution(live.arn), self.clock.now())
        if reason is not None:
            raise ExecutionNotRedrivable(reason)
        reopened = self._store.reopen(live.arn)
        live.plan, live.snapshot, live.seq = plan, reopened.snapshot, reopened.seq
        live.ending = live.fault = live.failed_input = live.ended = None
        live.is_busy = False
        self.executions.add(live)
        self.executions.mail(live, RedriveRequested())

    async def wait(self, live: LiveExecution) -> None:
        """Waits until the execution is over. While anybody waits, a virtual clock may jump."""
        # Again when somebody who was woken first has redriven it.
        while not live.is_over or live.arn in self.executions.live:
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

    def _on_ending(self, live: LiveExecution) -> None:
        # At once, not when they come to run: until they have, time must not jump for those who wait for others.
        self._lose_waiters(live.waiters)
        live.waiters = 0

    def _lose_waiters(self, count: int) -> None:
        self._waiters -= count
        if count and self._waiters == 0:
            self.clock.hold()


def not_redrivable_now(record: ExecutionRecord, now: int) -> str | None:
    """Why the execution cannot be redriven, in AWS's words (execution.md 9.1); None: it can."""
    ended = Snapshot(execution=record.execution, ending=record.ending, last_event_id=record.last_event_id)
    reason = not_redrivable(ended)
    if reason is None and record.stop_date is not None and now - record.stop_date > _REDRIVABLE_MS:
        return "Execution redrivable period exceeded"
    return reason
