"""Tasks in flight: finds the handler, runs it under cancellation, and makes its outcome mail.

Every way a Task can end (its handler, SendTaskSuccess, an activity worker) enters the execution by `Executions.mail`.
Time limits of the state are timers of the execution; the limit of one invocation is the handler's own.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Literal, TypeAlias

import anyio
from anyio import from_thread
from anyio.lowlevel import current_token

from engine.asl.resource import parse_resource
from engine.errors import InvalidOutput, StatesError, TaskTimedOut
from engine.integrations.invocation import check_error, function_of, json_value, shortened, wanted
from engine.integrations.registry import MissingHandler, account_of
from engine.integrations.request import TaskRequest, UnsupportedTask
from engine.interpreter.messages import NO_TICKET, TaskDone, TaskError, TaskStarted, TaskSubmitted
from engine.runtime.activities import ActivityPolls
from engine.runtime.channels import LoneChannel, TaskChannel
from engine.store.protocol import Offer, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from anyio.abc import TaskGroup

    from engine.asl.resource import Resource
    from engine.integrations.registry import Handlers
    from engine.integrations.request import Answer, Handler, Workplace
    from engine.interpreter.messages import Event, ScheduleTask, Ticket
    from engine.interpreter.snapshot import Execution
    from engine.jsonvalue import Json
    from engine.runtime.calls import Calls, Outcome
    from engine.runtime.clock import Clock
    from engine.runtime.executions import Executions, LiveExecution
    from engine.store.protocol import DurableStore, ExecutionId

WORKER_LOST = "Engine.WorkerLost"
_WORKER_LOST_CAUSE = "The worker that ran the Task was lost; its handler says that it must not run again by itself."

_RULES_CACHED = 4_096
"""Handlers remembered by what was asked for; function names may come from data, so there is a bound."""


_OFFERED_AT_ONCE_MAX = 256

Phase: TypeAlias = Literal["HELD", "QUEUED", "RUNNING", "OFFERING", "OUTSIDE", "MISSING"]
"""Where a Task is. HELD: it may not be started now. QUEUED: it waits for its turn. OFFERING: it is being offered to the
workers of its activity. OUTSIDE: somebody else will end it: who has its token, or an activity worker. MISSING: this
worker has no handler for it."""


class OpenTask:
    """A Task that an execution waits for.

    Attributes:
        is_over: Nobody waits for it any more.
        scope: Cancels its handler; None while none runs.
    """

    __slots__ = (
        "execution", "handler", "heartbeat_seconds", "is_over", "phase", "request", "scope", "task_id", "task_token",
    )  # fmt: skip

    def __init__(
        self, execution: LiveExecution, task_id: Ticket, request: TaskRequest, handler: Handler | None, phase: Phase
    ) -> None:
        self.execution = execution
        self.task_id = task_id
        self.request = request
        self.handler = handler
        self.task_token = request.task_token
        self.heartbeat_seconds = request.heartbeat_seconds
        self.phase: Phase = phase
        self.is_over = False
        self.scope: anyio.CancelScope | None = None


class Tasks:
    """The Tasks of one worker.

    Attributes:
        clock: Where its time comes from.
        polls: Who waits here for Tasks of activities that have no handler but workers.
        in_flight: Handlers that run or wait for their turn.
        ended: Handlers that came to an end, by outcome: `succeeded`, `failed`, `cancelled`.
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
            in_flight_max: Of handlers no more run at once; the rest wait their turn.
            may_start: Whether a Task may be started now; those that may not are held.
            is_alone: No other worker could have a handler that this one has not: the execution is stopped.
        """
        self.polls = ActivityPolls()
        self.in_flight = 0
        self.ended = {"succeeded": 0, "failed": 0, "cancelled": 0}
        self._executions = executions
        self._store = store
        self._calls = calls
        self._unoffered: deque[OpenTask] = deque()
        self._is_offering = False
        self._workplace = workplace
        self.clock = clock
        self._group = group
        self._hint = hint
        self._in_flight_max = in_flight_max
        self._may_start = may_start
        self._is_alone = is_alone
        self._running = 0
        self._handlers_at_work: dict[asyncio.Task[None], OpenTask] = {}
        self._waiting: deque[OpenTask] = deque()
        self._find = lru_cache(_RULES_CACHED)(handlers.find)
        self._token = current_token()
        self._thread = threading.get_ident()

    # ── starting ────────────────────────────────────────────────────────────────────────────────────────────────────

    def schedule(self, execution: LiveExecution, command: ScheduleTask) -> None:
        """See `TaskStarter`."""
        task = self.open(execution, command)
        if task.phase == "HELD" and self._may_start():
            self._start(task)
        elif task.phase == "OFFERING":
            self.offer(task)
        elif task.phase == "MISSING" and self._is_alone:
            self._without_handler(task)

    def start_held(self, execution: LiveExecution) -> None:
        """See `TaskStarter`."""
        held = [task for task in execution.tasks.values() if task.phase == "HELD"]
        if held and self._may_start():
            for task in held:
                self._start(task)

    def open(self, execution: LiveExecution, command: ScheduleTask) -> OpenTask:
        """The execution waits for this Task from now on; nothing runs yet."""
        request = _request(execution.snapshot.execution, command)
        handler = self._find(
            request.state, request.resource, function_of(request), region=request.region, account=request.account_id
        )
        phase: Phase = "HELD"
        if command.submitted:
            phase = "OUTSIDE"
        elif handler is None:
            phase = "OFFERING" if request.resource.kind == "activity" else "MISSING"
        task = OpenTask(execution, command.task_id, request, handler, phase)
        execution.tasks[task.task_id] = task
        return task

    def _start(self, task: OpenTask) -> None:
        assert task.handler is not None
        if task.handler.fixed_answer is not None:
            task.phase = "RUNNING"
            self._answer(task, task.handler.fixed_answer, is_fixed=True)
            return
        self.clock.hold()
        self.in_flight += 1
        task.phase = "QUEUED"
        self._waiting.append(task)
        self.start_waiting()

    def _without_handler(self, task: OpenTask) -> None:
        self._executions.halt(task.execution, _missing_handler(task.request), "Engine.MissingHandler")

    def offer(self, task: OpenTask) -> None:
        """Offers a Task to the workers of its activity, if there is such an activity; those that come together at once.

        That is an effect of a checkpoint, carried out after it. Whoever owns the execution next offers the Task again,
        which changes nothing.
        """
        self._unoffered.append(task)
        if not self._is_offering:
            self._offer_next()

    def _offer_next(self) -> None:
        batch: list[OpenTask] = []
        while self._unoffered and len(batch) < _OFFERED_AT_ONCE_MAX:
            task = self._unoffered.popleft()
            if not task.is_over:
                batch.append(task)
        if batch:
            self._is_offering = True
            offers = [_offer(task) for task in batch]
            self._calls.ask(partial(self._store.offer_tasks, offers), partial(self._offered, batch))

    def _offered(self, batch: list[OpenTask], outcome: Outcome[Collection[str]]) -> None:
        self._is_offering = False
        try:
            existing = outcome()
        except StoreUnavailable:
            existing = ()  # the executions are given up, and offered again by whoever takes them
        for task in batch:
            if task.is_over:
                continue
            task.phase = "OUTSIDE" if task.request.resource.arn in existing else "MISSING"
            if task.phase == "MISSING" and self._is_alone:
                self._without_handler(task)
            elif not task.execution.is_busy:
                self._executions.keeper.idle(task.execution)
        self.polls.offered(existing)
        if self._unoffered:
            self._offer_next()

    def start_waiting(self) -> None:
        """Starts the Tasks whose turn has come."""
        while self._waiting and (self._in_flight_max is None or self._running < self._in_flight_max):
            if not self._waiting[0].is_over and not self._may_start():
                return
            task = self._waiting.popleft()
            if task.is_over:
                self.clock.release()
                self.in_flight -= 1
                continue
            self._running += 1
            task.phase = "RUNNING"
            task.scope = anyio.CancelScope()
            self._spawn(task)

    def _spawn(self, task: OpenTask) -> None:
        # A task of asyncio's own: one of a task group takes four times as long to make, a third of what a Task costs.
        running = asyncio.get_running_loop().create_task(self._run(task))
        self._handlers_at_work[running] = task
        running.add_done_callback(self._done)

    def _done(self, running: asyncio.Task[None]) -> None:
        del self._handlers_at_work[running]
        error = None if running.cancelled() else running.exception()
        if error is not None:
            self._group.start_soon(_raise, error)  # an error of ours ends the engine; nobody else would hear of it

    async def close(self) -> None:
        """Cancels the handlers that run, and waits until they have ended; to be called once no more are started."""
        while self._handlers_at_work:
            for task in self._handlers_at_work.values():
                if task.scope is not None:
                    task.scope.cancel()
            await asyncio.wait(self._handlers_at_work)

    def hold_waiting(self) -> None:
        """The Tasks that wait for their turn are not to be started any more."""
        while self._waiting:
            self._waiting.popleft().phase = "HELD"
            self.clock.release()
            self.in_flight -= 1

    def cancel(self, task: OpenTask) -> None:
        """See `TaskStarter`."""
        task.is_over = True
        if task.scope is not None:
            task.scope.cancel()

    def interrupt(self, task: OpenTask) -> OpenTask | None:
        """Stops a Task's handler, if one runs. The execution waits as for a Task that was never started: the result."""
        if task.scope is None or task.is_over:
            return None
        self.cancel(task)
        again = OpenTask(task.execution, task.task_id, task.request, task.handler, "HELD")
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
        answer: Answer | Exception | None = None
        try:
            with task.scope:
                if task.is_over:
                    return  # cancelled before it began; run, it would act until it first waits
                if task.request.resource.kind == "activity":
                    self._mail(task, TaskStarted(task.task_id, task.handler.name))
                answer = await task.handler.run(task.request, TaskChannel(self, task), self._workplace)
        except (StatesError, UnsupportedTask) as error:
            answer = error
        except Exception as error:  # noqa: BLE001  user code is caught where it is called, so this is our own fault
            if not task.is_over:
                self._executions.quarantine(task.execution, error)
        finally:
            task.scope = None
            self._running -= 1
            self.in_flight -= 1
            self.clock.release()
            self.start_waiting()
        if answer is not None:
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

    async def do_alone(self, about: Execution, command: ScheduleTask) -> Answer:
        """See `Backend.do_task`."""
        request = _request(about, command)
        function = function_of(request)
        handler = self._find(
            request.state, request.resource, function, region=request.region, account=request.account_id
        )
        if handler is None:
            raise _missing_handler(request)
        if isinstance(handler.fixed_answer, Exception):
            raise handler.fixed_answer
        if handler.fixed_answer is not None:
            return handler.fixed_answer
        self.clock.hold()
        try:
            with anyio.CancelScope() as scope:
                return await handler.run(request, LoneChannel(self, scope), self._workplace)
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


def _offer(task: OpenTask) -> Offer:
    request = task.request
    assert request.task_token is not None, "a Task of an activity has a token"
    return Offer(
        task_token=request.task_token,
        activity_arn=request.resource.arn,
        input=request.arguments,
        deadline=request.deadline,
    )


def _missing_handler(request: TaskRequest) -> MissingHandler:
    return MissingHandler([(request.state, wanted(request))])


def _request(about: Execution, command: ScheduleTask) -> TaskRequest:
    return TaskRequest(
        execution_arn=about.arn,
        execution_name=about.name,
        state=command.state,
        resource=_parsed(command.resource),
        arguments=command.arguments,
        attempt=command.attempt,
        entered=command.entered,
        redrive_count=command.redrive,
        region=about.region,
        account_id=account_of(about.state_machine_arn),
        task_token=command.task_token,
        deadline=command.deadline,
        heartbeat_seconds=command.heartbeat_seconds,
        role_arn=command.role_arn,
    )


@lru_cache(_RULES_CACHED)
def _parsed(arn: str) -> Resource:
    resource = parse_resource(arn)
    assert resource is not None, f"the parser let a Resource through that it cannot read: {arn}"
    return resource
