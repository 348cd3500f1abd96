"""Jobs that `.sync` Tasks wait for: asked about now and then, together where that can be, and stopped at last.

A job costs no Task in flight, no thread and no memory of a worker for longer than it takes to ask: between two
questions it is a timer of its execution, which is parked meanwhile when the next one is far enough away. How often is
asked is bounded in four ways: a job is asked about at intervals of a tenth of its age, from a second up to a minute;
those of one group that are due together share a call; one worker asks one service no more than CALLS_PER_SECOND_MAX
times a second, however many jobs it has; and it makes no more than POLLS_AT_ONCE_MAX calls at once.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

import anyio

from engine.errors import StatesError
from engine.integrations.invocation import shortened
from engine.integrations.request import Answer, RunningJob, job_handler
from engine.interpreter.messages import Job, TaskDone, TaskError, TaskSubmitted

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable, Sequence

    from engine.integrations.request import JobHandler, Later, Submitted, Workplace
    from engine.runtime.clock import Clock
    from engine.runtime.executions import Executions
    from engine.runtime.open_task import OpenTask

POLL_SECONDS_MIN = 1.0
POLL_SECONDS_MAX = 60.0
POLL_PART_OF_AGE = 0.1
"""A job that has taken ten minutes is asked about every minute, one that has taken half a minute every three seconds:
whoever waits for it waits a tenth longer at most, or a minute."""

POLLS_AT_ONCE_MAX = 8

CALLS_PER_SECOND_MAX = 20.0
"""To one service. More, and a few hundred jobs that are asked about one by one may use up what AWS allows an account,
which calls of Tasks need; less, and those jobs are heard of later than they need be: 500 take 25 s now."""

CALL_SECONDS_MAX = 60.0
"""A question that takes longer is given up, and asked again."""

STOPS_AT_ONCE_MAX = 8
STOP_ATTEMPTS = 3
STOP_SECONDS_MAX = 20.0

_COARSE_ABOVE_SECONDS = 10.0
_FINE_MS, _COARSE_MS = 1_000, 10_000
_MS_PER_SECOND = 1_000


def next_poll(now: int, age_seconds: float, wanted_seconds: float | None = None) -> int:
    """When to ask about a job again, ms since the epoch.

    The time is rounded up, to a second or to ten, so that jobs that began at different moments are due together.

    Args:
        now: Milliseconds since the epoch.
        age_seconds: Since the job was submitted.
        wanted_seconds: What its handler wants to wait at least.
    """
    seconds = min(POLL_SECONDS_MAX, max(POLL_SECONDS_MIN, age_seconds * POLL_PART_OF_AGE))
    if wanted_seconds is not None:
        seconds = wanted_seconds
    step = _COARSE_MS if seconds > _COARSE_ABOVE_SECONDS else _FINE_MS
    return -(-(now + int(seconds * _MS_PER_SECOND)) // step) * step


class Jobs:
    """The jobs of one worker's Tasks.

    Attributes:
        watched: Those in memory that it asks about.
    """

    def __init__(
        self,
        *,
        executions: Executions,
        workplace: Workplace,
        clock: Clock,
        ended: dict[str, int],
        on_broken: Callable[[BaseException], None],
    ) -> None:
        """Nothing is asked yet.

        Args:
            ended: Counts Tasks by outcome.
            on_broken: Called with an error of ours that nobody else would hear of.
        """
        self.watched = 0
        self._executions = executions
        self._workplace = workplace
        self._clock = clock
        self._ended = ended
        self._on_broken = on_broken
        self._due: dict[str, dict[tuple[JobHandler, Hashable], deque[OpenTask]]] = {}
        self._free_at: dict[str, float] = {}
        self._wake: asyncio.TimerHandle | None = None
        self._most: dict[tuple[JobHandler, Hashable], int] = {}
        self._polls: set[asyncio.Task[None]] = set()
        self._stops: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Semaphore(STOPS_AT_ONCE_MAX)

    # ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def begun(self, task: OpenTask, submitted: Submitted) -> None:
        """A Task's request was accepted."""
        child = None if submitted.child is None else submitted.child.hex
        task.job = Job(submitted.job, self._clock.now(), child)
        if task.is_over:
            if task.is_unwanted:  # else somebody else goes on with it, and finds this very job
                self.stop(task)
            return
        task.phase = "OUTSIDE"
        self._executions.mail(task.execution, TaskSubmitted(task.task_id, submitted.output, task.job))
        self._executions.deliver_early(task.execution, (task,))
        self.watch(task, self._next(task, None))

    def watch(self, task: OpenTask, due: int) -> None:
        """The job of a Task is asked about from `due` on, if anybody has to ask."""
        assert task.job is not None
        if task.job.child is None:
            self._executions.start_timer(task.execution, (task.task_id, "POLL"), due)
            if not task.holds_clock:
                task.holds_clock = True
                self.watched += 1
                self._clock.hold()  # what is outside goes at real speed

    def forget(self, task: OpenTask) -> None:
        """Nobody here waits for the Task any more."""
        if task.holds_clock:
            task.holds_clock = False
            self.watched -= 1
            self._clock.release()

    def poll(self, task: OpenTask) -> None:
        """It is time to ask about a job."""
        handler = job_handler(task.handler, task.request.resource)
        assert handler is not None, "nothing else is watched"
        assert task.job is not None
        task.phase = "POLLING"
        key, most = handler.poll_group(task.request, task.job.id)
        group = (handler, key)
        self._most[group] = most
        self._due.setdefault(task.request.resource.service, {}).setdefault(group, deque()).append(task)
        # Not at once: others that are due now are to share the call.
        self._poll_more()

    def _poll_more(self) -> None:
        if self._due and len(self._polls) < POLLS_AT_ONCE_MAX:
            self._spawn(self._polls, self._poll_due())

    async def _poll_due(self) -> None:
        while (service := self._free_service()) is not None:
            handler, together = self._take(service)
            if together:
                self._free_at[service] = asyncio.get_running_loop().time() + 1 / CALLS_PER_SECOND_MAX
                self._poll_more()  # while this one waits for its answer
                await self._ask(handler, together)

    def _free_service(self) -> str | None:
        """One that may be asked now; None: those that are to be asked have to wait, and will be woken for."""
        if not self._due:
            return None
        loop = asyncio.get_running_loop()
        service = min(self._due, key=lambda service: self._free_at.get(service, 0.0))
        at = self._free_at.get(service, 0.0)
        if at <= loop.time():
            return service
        if self._wake is not None:
            self._wake.cancel()
        self._wake = loop.call_at(at, self._poll_more)
        return None

    def _take(self, service: str) -> tuple[JobHandler, list[OpenTask]]:
        """The Tasks whose jobs the next call to a service asks about; those that are over are left out."""
        groups = self._due[service]
        group = next(iter(groups))
        waiting, most = groups.pop(group), self._most[group]
        together = [waiting.popleft() for _ in range(min(most, len(waiting)))]
        if waiting:
            groups[group] = waiting  # behind the others
        else:
            del self._most[group]
            if not groups:
                del self._due[service]
        return group[0], [task for task in together if not task.is_over]

    async def _ask(self, handler: JobHandler, tasks: Sequence[OpenTask]) -> None:
        now = self._clock.now()
        jobs = [
            RunningJob(task.request, task.job.id, (now - task.job.since) / _MS_PER_SECOND)
            for task in tasks
            if task.job is not None
        ]
        answers: Sequence[Answer | StatesError | Later | None]
        try:
            with anyio.move_on_after(CALL_SECONDS_MAX):
                answers = [None] * len(tasks)
                answers = await handler.poll(jobs, self._workplace)
            assert len(answers) == len(tasks), f"{handler.name}: {len(answers)} answers for {len(tasks)} jobs"
        except StatesError as error:
            answers = [error] * len(tasks)
        except Exception as error:  # noqa: BLE001  as in a Task that is run: handlers of users have no such face
            for task in tasks:
                if not task.is_over:
                    self._executions.quarantine(task.execution, error)
            return
        for task, answer in zip(tasks, answers, strict=True):
            if not task.is_over:
                self._answered(task, answer)

    def _answered(self, task: OpenTask, answer: Answer | StatesError | Later | None) -> None:
        task.phase = "OUTSIDE"
        if isinstance(answer, Answer):
            self._ended["succeeded"] += 1
            self._executions.mail(task.execution, TaskDone(task.task_id, answer.output, answer.output_bytes))
        elif isinstance(answer, StatesError):
            self._ended["failed"] += 1
            failed = shortened(answer)
            self._executions.mail(task.execution, TaskError(task.task_id, failed.error, failed.cause))
        else:
            self.watch(task, self._next(task, None if answer is None else answer.seconds))
            if not task.execution.is_busy:
                self._executions.keeper.idle(task.execution)

    def _next(self, task: OpenTask, wanted_seconds: float | None) -> int:
        assert task.job is not None
        now = self._clock.now()
        return next_poll(now, (now - task.job.since) / _MS_PER_SECOND, wanted_seconds)

    # ── stopping ────────────────────────────────────────────────────────────────────────────────────────────────────

    def stop(self, task: OpenTask) -> None:
        """Stops the job of a Task that nobody waits for any more, if it has one, or may have one that nobody knows."""
        handler = job_handler(task.handler, task.request.resource)
        if handler is not None and (task.job is not None or task.request.may_have_run):
            self._spawn(self._stops, self._stop(handler, task))

    async def _stop(self, handler: JobHandler, task: OpenTask) -> None:
        reason, request = "", task.request
        job = None if task.job is None else task.job.id
        async with self._stopping:
            for attempt in range(STOP_ATTEMPTS):
                if attempt:
                    await asyncio.sleep(2**attempt)
                try:
                    with anyio.fail_after(STOP_SECONDS_MAX):
                        if job is None:
                            job = await handler.find(request, self._workplace)
                        if job is not None:
                            await handler.stop(request, job, self._workplace)
                    return
                except Exception as error:  # noqa: BLE001  whatever it is, the job may go on; nobody waits for it
                    reason = repr(error)
        import structlog

        structlog.get_logger().warning(
            "a job could not be stopped",
            execution=request.execution_arn,
            state=request.state,
            job=job,
            reason=reason,
        )

    # ── running ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _spawn(self, running: set[asyncio.Task[None]], work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        running.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._polls.discard(task)
        self._stops.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._on_broken(error)

    async def close(self) -> None:
        """Asks no more; waits for jobs to be stopped, for STOP_SECONDS_MAX at most."""
        if self._wake is not None:
            self._wake.cancel()
        self._due.clear()
        for task in self._polls:
            task.cancel()
        if self._polls:
            await asyncio.wait(self._polls)
        if self._stops:
            await asyncio.wait(self._stops, timeout=STOP_SECONDS_MAX)
        for task in self._stops:
            task.cancel()
        if self._stops:
            await asyncio.wait(self._stops)
