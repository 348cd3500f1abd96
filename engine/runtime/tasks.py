"""Tasks in flight: finds the handler, runs it under cancellation, and makes its outcome mail.

Every way a Task can end (its handler, SendTaskSuccess, an activity worker) enters the execution by `Executions.mail`.
Time limits of the state are timers of the execution; the limit of one invocation is the handler's own.
"""

from __future__ import annotations

import asyncio
import threading
from functools import lru_cache
from typing import TYPE_CHECKING

import anyio
from anyio import from_thread
from anyio.lowlevel import current_token

from engine.errors import InvalidOutput, StatesError, TaskTimedOut
from engine.integrations.invocation import check_error, function_of, json_value, shortened
from engine.integrations.request import Answer, Origin, Submitted, TaskRequest, UnsupportedTask, job_handler
from engine.interpreter.messages import NO_TICKET, TaskDone, TaskError, TaskStarted, TaskSubmitted
from engine.runtime import stubborn
from engine.runtime.activities import ActivityPolls
from engine.runtime.channels import LoneChannel, TaskChannel
from engine.runtime.jobs import Jobs
from engine.runtime.offers import Offers
from engine.runtime.open_task import OpenTask
from engine.runtime.task_requests import missing_handler, task_request
from engine.runtime.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from anyio.abc import TaskGroup

    from engine.integrations.registry import Handlers
    from engine.integrations.request import Exchange, Handler, Workplace
    from engine.interpreter.messages import Event, ScheduleTask
    from engine.interpreter.snapshot import Execution
    from engine.jsonvalue import Json
    from engine.runtime.calls import Calls
    from engine.runtime.clock import Clock
    from engine.runtime.executions import Executions
    from engine.runtime.live import LiveExecution
    from engine.runtime.open_task import Phase
    from engine.store.protocol import DurableStore, ExecutionId

WORKER_LOST = "Engine.WorkerLost"
_WORKER_LOST_CAUSE = "The worker that ran the Task was lost; its handler says that it must not run again by itself."

_RULES_CACHED = 4_096
"""Handlers remembered by what was asked for; function names may come from data, so there is a bound."""


class Tasks:
    """The Tasks of one worker.

    Attributes:
        clock: Where its time comes from.
        polls: Who waits here for Tasks of activities that have no handler but workers.
        in_flight: Handlers that run or wait for their turn.
        ended: Handlers that came to an end, by outcome: `succeeded`, `failed`, `cancelled`.
        left: Handlers that were cancelled, still run, and are left alone.
    """

    def __init__(
        self,
        *,
        executions: Executions,
        store: DurableStore,
        calls: Calls,
        handlers: Handlers,
        workplace: Workplace,
        clock: Clock,
        group: TaskGroup,
        hint: Callable[[ExecutionId], None],
        in_flight_max: int | None,
        may_start: Callable[[], bool],
        is_alone: bool,
    ) -> None:
        """Nothing runs yet.

        Args:
            hint: Called when an execution has mail in the store.
            in_flight_max: Of handlers no more run at once; the rest wait their turn (`Turns`).
            may_start: Whether a Task may be started now; those that may not are held.
            is_alone: No other worker could have a handler that this one has not: the execution is stopped.
        """
        self.polls = ActivityPolls()
        self.in_flight = self.left = 0
        self.ended = {"succeeded": 0, "failed": 0, "cancelled": 0}
        self._executions = executions
        self._store = store
        self._calls = calls
        self._workplace = workplace
        self.clock = clock
        self._group = group
        self._hint = hint
        self._turns = Turns(in_flight_max)
        self._may_start = may_start
        self._is_alone = is_alone
        self._handlers_at_work: dict[asyncio.Task[None], OpenTask] = {}
        self._handlers = handlers
        self._rule_for = lru_cache(_RULES_CACHED)(handlers.rule_for)
        self._token = current_token()
        self._thread = threading.get_ident()
        self._offers = Offers(
            executions=executions,
            store=store,
            calls=calls,
            polls=self.polls,
            on_missing=self._missing,
        )
        self._jobs = Jobs(
            executions=executions,
            workplace=workplace,
            clock=clock,
            ended=self.ended,
            on_broken=self._break,
        )

    @property
    def apart(self) -> int:
        """Handlers that run and take no place of others: see `Turns`."""
        return self._turns.apart

    @property
    def jobs_watched(self) -> int:
        """Jobs that are asked about here."""
        return self._jobs.watched

    # ── starting ────────────────────────────────────────────────────────────────────────────────────────────────────

    def schedule(self, execution: LiveExecution, command: ScheduleTask) -> None:
        """See `TaskStarter`."""
        task = self.open(execution, command)
        if task.phase == "HELD" and self._may_start():
            self._start(task)
        elif task.phase == "OFFERING":
            self.offer(task)
        elif task.phase == "MISSING":
            self._missing(task)

    def start_held(self, execution: LiveExecution) -> None:
        """See `TaskStarter`."""
        held = [task for task in execution.tasks.values() if task.phase == "HELD"]
        if held and self._may_start():
            for task in held:
                self._start(task)

    def open(self, execution: LiveExecution, command: ScheduleTask) -> OpenTask:
        """The execution waits for this Task from now on; nothing runs yet."""
        origin = Origin(execution.execution_id, command.task_id, execution.pool)
        request = task_request(execution.snapshot.execution, command, origin)
        handler = self._handler_for(request)
        job = command.job
        # A rule that does all of the Task itself stands in the place of one that has begun a job: it knows of none.
        is_polled = job is not None and job.child is None
        phase: Phase = "HELD"
        if command.submitted and not (is_polled and job_handler(handler, request.resource) is None):
            phase = "OUTSIDE"
        elif handler is None:
            phase = "OFFERING" if request.resource.kind == "activity" else "MISSING"
        task = OpenTask(execution, command.task_id, request, handler, phase)
        execution.tasks[task.task_id] = task
        if phase == "OUTSIDE" and job is not None:
            task.job = job
            self._jobs.watch(task, self.clock.now())
        return task

    def _handler_for(self, request: TaskRequest) -> Handler | None:
        """What does a Task, if anything here does: a rule, else the engine itself or a function of the emulator.

        In an execution of a test case what is mocked goes before all of them.
        """
        if request.test_case is not None:
            mocks = self._handlers.mocks
            if mocks is None or not mocks.knows(request.test_case):
                return None  # another worker has the mock configuration that has it
            mocked = mocks.find(request.test_case, request.state, request.attempt)
            if mocked is not None:
                return mocked
        function = function_of(request)
        rule = self._rule_for(
            request.state, request.resource, function, region=request.region, account=request.account_id
        )
        return rule or self._handlers.without_rule(request.resource, function)

    def _start(self, task: OpenTask) -> None:
        assert task.handler is not None
        if task.handler.fixed_answer is not None:
            task.phase = "RUNNING"
            self._answer(task, task.handler.fixed_answer, is_fixed=True)
            return
        self.clock.hold()
        self.in_flight += 1
        task.phase = "QUEUED"
        self._turns.join(task)
        self.start_waiting()

    def _missing(self, task: OpenTask) -> bool:
        """Stops the execution if nobody else can have a handler; whether it was."""
        if self._is_alone:
            self._executions.halt(task.execution, missing_handler(task.request), "Engine.MissingHandler")
        return self._is_alone

    def offer(self, task: OpenTask) -> None:
        """See `HeldTasks`."""
        self._offers.offer(task)

    def start_waiting(self) -> None:
        """Starts the Tasks whose turn has come."""
        while (task := self._turns.head()) is not None:
            if not task.is_over and not self._may_start():
                return
            self._turns.begin(task)
            if task.is_over:
                self._give_up_place(task)
                continue
            task.phase = "RUNNING"
            task.scope = anyio.CancelScope()
            self._spawn(task)

    def _give_up_place(self, task: OpenTask) -> None:
        self._turns.leave(task)
        self.clock.release()
        self.in_flight -= 1

    def _spawn(self, task: OpenTask) -> None:
        # A task of asyncio's own: one of a task group takes four times as long to make, a third of what a Task costs.
        running = asyncio.get_running_loop().create_task(self._run(task))
        self._handlers_at_work[running] = task
        running.add_done_callback(self._done)

    def _done(self, running: asyncio.Task[None]) -> None:
        del self._handlers_at_work[running]
        error = None if running.cancelled() else running.exception()
        if error is not None:
            self._break(error)

    def _break(self, error: BaseException) -> None:
        self._group.start_soon(_raise, error)  # an error of ours ends the engine; nobody else would hear of it

    async def close(self) -> None:
        """Cancels the handlers that run, and waits until they have ended; to be called once no more are started.

        Jobs that are being stopped are waited for, a while; so are handlers that do not end.
        """
        patience = asyncio.get_running_loop().time() + stubborn.PATIENCE_SECONDS
        while self._handlers_at_work and (left := patience - asyncio.get_running_loop().time()) > 0:
            for task in self._handlers_at_work.values():
                if task.scope is not None and not task.is_left:
                    task.scope.cancel()
            if all(task.is_left for task in self._handlers_at_work.values()):
                break
            await asyncio.wait(self._handlers_at_work, timeout=left)
        for running, task in self._handlers_at_work.items():
            if task.scope is not None:
                stubborn.let_hang(task.scope)
            stubborn.forget(running)
        await self._jobs.close()

    def hold_waiting(self) -> None:
        """The Tasks that wait for their turn are not to be started any more."""
        for task in self._turns.clear():
            task.phase = "HELD"
            self.clock.release()
            self.in_flight -= 1

    def cancel(self, task: OpenTask) -> None:
        """See `TaskStarter`."""
        task.is_over = True
        self.cut_off(task, None)

    def cut_off(self, task: OpenTask, otherwise: StatesError | None) -> None:
        """Cancels a Task's handler, if one runs; should it not end, the Task ends with `otherwise`."""
        if task.scope is not None and not task.scope.cancel_called:
            task.scope.cancel()
            asyncio.get_running_loop().call_later(stubborn.PATIENCE_SECONDS, self._leave, task, otherwise)

    def _leave(self, task: OpenTask, otherwise: StatesError | None) -> None:
        """Leaves a handler alone that was cancelled, unless it has ended."""
        if task.scope is None:
            return
        stubborn.let_hang(task.scope)
        task.is_left = True
        self.left += 1
        self._give_up_place(task)
        if otherwise is None:
            self.ended["cancelled"] += 1
        else:
            self._answer(task, otherwise, is_fixed=False)
        self.start_waiting()

    def stop(self, task: OpenTask) -> None:
        """See `TaskStarter`."""
        task.is_unwanted = True
        if task.is_submitting:
            task.is_over = True  # not cut off, else nobody would know what to stop
            return
        self.cancel(task)
        if task.job is None or task.job.child is None:
            self._jobs.stop(task)

    def forget(self, task: OpenTask) -> None:
        """See `TaskStarter`."""
        self._jobs.forget(task)

    def poll(self, task: OpenTask) -> None:
        """See `TaskStarter`."""
        self._jobs.poll(task)

    def mailed(self, execution_ids: Iterable[ExecutionId]) -> None:
        """See `TaskStarter`."""
        for execution_id in execution_ids:
            self._hint(execution_id)

    def interrupt(self, task: OpenTask) -> OpenTask | None:
        """Stops a Task's handler, if one runs. The execution waits as for a Task that was never started: the result."""
        if task.scope is None or task.is_over:
            return None
        self.cancel(task)
        again = OpenTask(task.execution, task.task_id, task.request, task.handler, "HELD")
        again.early = task.early
        task.execution.tasks[task.task_id] = again
        return again

    def lose(self, task: OpenTask) -> bool:
        """A Task that may have run elsewhere, or was interrupted here: whether it fails, as its handler wants it to."""
        if getattr(task.handler, "on_worker_loss", "rerun") != "fail":
            return False
        self._executions.mail(task.execution, TaskError(task.task_id, WORKER_LOST, _WORKER_LOST_CAUSE))
        return True

    # ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self, task: OpenTask) -> None:
        assert task.scope is not None
        assert task.handler is not None
        answer: Answer | Submitted | Exception | None = None
        jobs = job_handler(task.handler, task.request.resource)
        try:
            with task.scope:
                if task.is_over:
                    return  # cancelled before it began; run, it would act until it first waits
                if task.request.resource.kind == "activity":
                    self._mail(task, TaskStarted(task.task_id, task.handler.name))
                if jobs is None:
                    answer = await task.handler.run(task.request, TaskChannel(self, task), self._workplace)
                else:
                    task.is_submitting = True
                    answer = await jobs.submit(task.request, TaskChannel(self, task), self._workplace)
        except (StatesError, UnsupportedTask) as error:
            answer = error
        except Exception as error:  # noqa: BLE001  user code is caught where it is called, so this is our own fault
            if not task.is_over:
                self._executions.quarantine(task.execution, error)
        finally:
            task.scope = None
            task.is_submitting = False
            if task.is_left:
                self.left -= 1
            else:
                self._give_up_place(task)
                self.start_waiting()
        if task.is_left:
            return
        if isinstance(answer, Submitted):
            self._jobs.begun(task, answer)
        elif isinstance(answer, StatesError) and jobs is not None:
            self._refused(task, answer)
        elif answer is not None:
            self._answer(task, answer, is_fixed=False)
        else:
            self.ended["cancelled"] += 1

    def _answer(self, task: OpenTask, answer: Answer | Exception, *, is_fixed: bool) -> None:
        """Makes a handler's outcome mail (integrations.md 1.1)."""
        task_id, resource = task.task_id, task.request.resource
        self.ended["failed" if isinstance(answer, Exception) else "succeeded"] += 1
        if task.is_over:
            return
        if isinstance(answer, UnsupportedTask):
            self._executions.halt(task.execution, answer, "Engine.UnsupportedTask")
            return
        if resource.kind == "service" and resource.pattern == "WAIT_FOR_TASK_TOKEN":
            if is_fixed:
                self._mail(task, TaskSubmitted(task_id, {}))
            elif not isinstance(answer, Exception):
                task.phase = "OUTSIDE"
                self._mail(task, TaskSubmitted(task_id, answer.output))
                return
        elif resource.pattern in ("SYNC", "SYNC_2"):
            self._mail(task, TaskSubmitted(task_id, {}))
        elif resource.kind == "activity" and is_fixed:
            assert task.handler is not None
            self._mail(task, TaskStarted(task_id, task.handler.name))
        if isinstance(answer, StatesError):
            failed = shortened(answer)
            self._mail(task, TaskError(task_id, failed.error, failed.cause))
        else:
            assert not isinstance(answer, Exception)
            self._mail(task, TaskDone(task_id, answer.output, answer.output_bytes))

    def _refused(self, task: OpenTask, answer: StatesError) -> None:
        """A job was not begun."""
        self.ended["failed"] += 1
        failed = shortened(answer)
        self._mail(task, TaskError(task.task_id, failed.error, failed.cause, "SUBMIT"))

    async def do_alone(
        self, about: Execution, command: ScheduleTask, on_exchange: Callable[[Exchange], None]
    ) -> Answer:
        """See `Backend.do_task`."""
        request = task_request(about, command)
        handler = self._handler_for(request)
        if handler is None:
            raise missing_handler(request)
        if isinstance(handler.fixed_answer, Exception):
            raise handler.fixed_answer
        if handler.fixed_answer is not None:
            return handler.fixed_answer
        self.clock.hold()
        try:
            with anyio.CancelScope() as scope:
                return await handler.run(request, LoneChannel(self, scope, on_exchange), self._workplace)
        finally:
            self.clock.release()
        raise AssertionError("a handler that is cancelled by its own channel raises what the Task ends with")

    def _mail(self, task: OpenTask, event: Event) -> None:
        if not task.is_over:
            self._executions.mail(task.execution, event)

    # ── from outside ────────────────────────────────────────────────────────────────────────────────────────────────

    def send_task_success(self, task_token: str, output: Json) -> None:
        """SendTaskSuccess (execution.md 13); from any thread.

        Raises:
            InvalidToken, TaskTimedOut, InvalidOutput: As AWS does.
        """
        try:
            value, size = json_value(output)
        except ValueError as error:
            raise InvalidOutput(str(error)) from None
        self._take_token(task_token, TaskDone(NO_TICKET, value, size))

    def send_task_failure(self, task_token: str, error: str | None, cause: str | None) -> None:
        """SendTaskFailure; from any thread. Raises InvalidToken, TaskTimedOut, ValueError."""
        check_error(error, cause)
        self._take_token(task_token, TaskError(NO_TICKET, error, cause))

    def send_task_heartbeat(self, task_token: str) -> None:
        """SendTaskHeartbeat; from any thread. Raises InvalidToken, TaskTimedOut."""
        self._store.heartbeat_token(task_token)

    def _take_token(self, task_token: str, event: TaskDone | TaskError) -> None:
        execution_id = self._store.take_token(task_token, event)
        try:
            self.in_loop(self._hint, execution_id)
        except TaskTimedOut:
            return  # this worker is gone; the mail is there for the next one

    def heartbeat(self, task: OpenTask) -> None:
        """A heartbeat from a Task's own handler. Raises TaskTimedOut."""
        if task.is_over:
            raise TaskTimedOut
        self._executions.heartbeat(task.execution, task)

    def in_loop(self, function: Callable[..., None], *arguments: object) -> None:
        """Calls something of ours from whatever thread a handler runs in, and raises what it raises."""
        if threading.get_ident() == self._thread:
            function(*arguments)
            return
        try:
            from_thread.run_sync(function, *arguments, token=self._token)
        except anyio.RunFinishedError:
            raise TaskTimedOut from None


async def _raise(error: BaseException) -> None:
    raise error
