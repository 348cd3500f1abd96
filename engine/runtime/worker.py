"""The loop that runs executions: folds what is ready, mails what is due, and rests until there is something to do.

Whether the store is one process's own or everybody's makes no difference here; see `memory_backend` and `fleet_worker`.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import anyio
from anyio import from_thread
from anyio.lowlevel import checkpoint, current_token

from engine.interpreter.messages import StopRequested
from engine.runtime.clock import real_seconds
from engine.runtime.custody import Custody
from engine.runtime.executions import Executions
from engine.runtime.map_files import MapFiles
from engine.runtime.metrics import Metrics
from engine.runtime.reopening import Reopening
from engine.runtime.tasks import Tasks
from engine.runtime.timers import Timers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.abc import TaskGroup

    from engine.integrations.registry import Handlers
    from engine.integrations.workplace import OwnWorkplace
    from engine.query.evaluation import Chance
    from engine.runtime.calls import Calls
    from engine.runtime.clock import Clock
    from engine.runtime.committer import Committer
    from engine.runtime.live import LiveExecution
    from engine.runtime.metrics import StoreMetrics
    from engine.runtime.observers import Watchers
    from engine.store.library import Library
    from engine.store.protocol import DurableStore, ExecutionId

TURN_SECONDS = 0.005
"""How long executions are folded before handlers and callers have a turn. More: their answers wait; fewer: overhead."""

CLOSED = "The engine was closed before the execution ended"
"""Cause of the executions that are ABORTED because their engine, which is all they live in, is closed."""

# Everybody who was woken has run once after one round of the event loop; these are for whom they wake in turn.
_ROUNDS_BEFORE_A_JUMP = 3

_MS_PER_SECOND = 1_000


class Worker:
    """Runs executions. To be made in the event loop that runs it; nothing runs before `run`.

    Args:
        group: Where handlers run.
        in_flight_max: Handlers that run at once; the rest of the Tasks wait their turn.
        on_leaving: Called when an execution is over, or not here any more.
        on_born: See `Executions`.
        library: Of the store, for whoever calls it in a thread.
        hint: Called when an execution has mail in the store.
        on_lost: Called when this worker turns out to have been declared dead.
        may_start: Whether Tasks may be started now.
        tick: Does what else is due, and tells when it wants to be called again, in `real_seconds`.
        is_alone: No other worker has this store.
        defers, keeps_born: See `Executions`.

    Attributes:
        executions: Those in memory.
        custody: How they come and go.
        tasks: Their Tasks in flight.
    """

    def __init__(
        self,
        *,
        store: DurableStore,
        committer: Committer,
        calls: Calls,
        handlers: Handlers,
        workplace: OwnWorkplace,
        group: TaskGroup,
        clock: Clock,
        chance: Chance,
        watchers: Watchers,
        in_flight_max: int | None,
        on_leaving: Callable[[LiveExecution], None],
        on_born: Callable[[LiveExecution, Sequence[ExecutionId]], None],
        library: Library,
        hint: Callable[[ExecutionId], None],
        on_lost: Callable[[], None],
        may_start: Callable[[], bool],
        tick: Callable[[], float] | None,
        is_alone: bool,
        defers: bool = False,
        keeps_born: bool = False,
    ) -> None:
        self.timers: Timers[LiveExecution] = Timers()
        self._clock = clock
        self._chronicler = watchers.chronicler
        self._committer = committer
        self._workplace = workplace
        self._tick = tick
        self._alarm: asyncio.Future[None] | None = None
        self._token, self._thread = current_token(), threading.get_ident()
        self.executions = Executions(
            clock=clock,
            chance=chance,
            committer=committer,
            timers=self.timers,
            wake=self.wake,
            on_leaving=on_leaving,
            on_born=on_born,
            watchers=watchers,
            defers=defers,
            keeps_born=keeps_born,
        )
        self.custody = self.executions.keeper = Custody(
            store=store,
            calls=calls,
            committer=committer,
            executions=self.executions,
            timers=self.timers,
            clock=clock,
            parks=not is_alone,
            on_lost=on_lost,
        )
        self.executions.map_data = MapFiles(
            library,
            handlers=handlers,
            group=group,
            clock=clock,
            mail=self.executions.mail,
            on_fault=self.executions.quarantine,
        )
        self.executions.reopening = Reopening(
            library,
            group=group,
            clock=clock,
            mail=self.executions.mail,
            on_open=on_born,
            on_rest=self.custody.idle,
        )
        self.tasks = self.executions.tasks = self.custody.tasks = Tasks(
            executions=self.executions,
            store=store,
            calls=calls,
            handlers=handlers,
            workplace=workplace,
            clock=clock,
            group=group,
            hint=hint,
            in_flight_max=in_flight_max,
            may_start=may_start,
            is_alone=is_alone,
        )

    def metrics(self, store: StoreMetrics | None) -> Metrics:
        """See `Backend.metrics`; `store` is put in."""
        threads = self._workplace.threads
        return Metrics(
            started=self.executions.started,
            ended=dict(self.executions.ended),
            live=len(self.executions.live),
            transitions=self.executions.transitions,
            in_flight=self.tasks.in_flight,
            jobs_watched=self.tasks.jobs_watched,
            tasks_ended=dict(self.tasks.ended),
            abandoned=threads.abandoned,
            hanging=threads.hanging + self.tasks.left,
            quarantined=self.custody.quarantined,
            missing=dict(self.custody.missing),
            told={} if self._chronicler is None else self._chronicler.counts(),
            store=store,
        )

    async def run(self) -> None:
        """Runs for ever."""
        until = None
        while True:
            if self._tick is not None:
                until = self._tick()
            if self.executions.has_ready:
                self.executions.fold(TURN_SECONDS)
                await checkpoint()
            elif not self.executions.mail_due(self._clock.now()):
                await self._rest(until)

    async def _rest(self, until: float | None) -> None:
        """Nothing can be done now: waits for mail or for the next timer, or lets the clock jump to it."""
        # A future and a timer of asyncio's own: an event and a cancel scope take four times as long, for each group.
        loop = asyncio.get_running_loop()
        alarm = self._alarm = loop.create_future()
        due = self.timers.next_due()
        if due is None and until is None:
            await alarm
            return
        if due is not None and self._clock.can_jump and self._committer.pending == 0:
            for _ in range(_ROUNDS_BEFORE_A_JUMP):
                await checkpoint()
            if alarm.done() or self._clock.jump(due):
                return
        seconds = [] if due is None else [(due - self._clock.now()) / _MS_PER_SECOND]
        if until is not None:
            seconds.append(until - real_seconds())
        timer = loop.call_later(max(0.0, min(seconds)), self.wake)
        try:
            await alarm
        finally:
            timer.cancel()

    def abort_all(self) -> None:
        """Ends all executions as ABORTED, because this process, which is all they live in, lets go of them."""
        for execution in list(self.executions.live.values()):
            self.executions.mail(execution, StopRequested(None, CLOSED))
        while self.executions.has_ready:
            self.executions.fold(TURN_SECONDS)

    def wake(self) -> None:
        """There is something to do; in the event loop only."""
        if self._alarm is not None:
            if not self._alarm.done():  # else the loop that runs executions was cancelled
                self._alarm.set_result(None)
            self._alarm = None

    def on_clock_released(self) -> None:
        """Time may jump now: has the loop look again, in whatever thread the clock was let go."""
        if threading.get_ident() == self._thread:
            self.wake()
        else:
            with suppress(anyio.RunFinishedError):
                from_thread.run_sync(self.wake, token=self._token)
