"""What this worker has in its hands: takes claims and their mail, and gives up what only waits.

Whether an execution may be given up, and what becomes of it when the world moved on under it, is decided here; nothing
here waits.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

import msgspec

from engine.integrations.invocation import wanted
from engine.interpreter.advance import LAST_INSTANT, pending_commands, time_limit, time_limit_due
from engine.interpreter.messages import (
    CancelTask,
    Continue,
    MailContinue,
    ScheduleTask,
    SendEvent,
    StartChild,
    StartTimer,
    StopRequested,
    TaskDone,
    TaskError,
    TaskStarted,
    TimerDue,
)
from engine.runtime.live import LiveExecution
from engine.runtime.room import RESTING_CHUNKS_BYTES_MAX
from engine.runtime.tasks import WORKER_LOST
from engine.store.protocol import HANDLER_RETRY_MS, NEVER_DUE, Mail, OwnershipLost, Release, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from engine.interpreter.messages import Command, Ticket
    from engine.interpreter.plan import Plan
    from engine.interpreter.snapshot import Redrives, Transition
    from engine.runtime.calls import Calls, Outcome
    from engine.runtime.clock import Clock
    from engine.runtime.committer import Committer
    from engine.runtime.executions import Executions
    from engine.runtime.open_task import OpenTask
    from engine.runtime.timers import Timers
    from engine.runtime.writer import Fate
    from engine.store.protocol import Claim, Claims, DurableStore, ExecutionId

PARK_MS = 2_000
"""What is due sooner stays in memory: giving it up and taking it back costs two statements and a decoded snapshot."""

DEATHS_MAX = 3
"""An execution that was alone with this many workers when they died is not given to a fourth."""

RESTING_MAX = 10_000
"""Express executions that wait in memory for a time, for five minutes at most. More are given up, as others are."""

_ASK_AGAIN_MS = 1_000
_MS_PER_SECOND = 1_000

_SYNC_LOST_CAUSE = "The worker that ran the execution was lost; a synchronous execution runs at most once."


class HeldTasks(Protocol):
    """What `Custody` wants of `Tasks`."""

    def open(self, execution: LiveExecution, command: ScheduleTask) -> OpenTask:
        """The execution waits for this Task from now on; nothing runs yet."""
        ...

    def interrupt(self, task: OpenTask) -> OpenTask | None:
        """Stops a Task's handler, if one runs; the execution waits for the Task as before, which is given."""
        ...

    def offer(self, task: OpenTask) -> None:
        """Offers a Task that is OFFERING to the workers of its activity."""
        ...

    def lose(self, task: OpenTask) -> bool:
        """A Task may have run elsewhere: whether it fails, as its handler wants it to."""
        ...


class Custody:
    """A `Keeper` over a store that has all executions.

    Attributes:
        is_draining: Everything is given up as soon as it is idle.
        missing: How many executions wait because of a Resource that has no handler here, by Resource; since the start.
        quarantined: How many executions were put into quarantine here.
    """

    def __init__(
        self,
        *,
        store: DurableStore,
        calls: Calls,
        committer: Committer,
        executions: Executions,
        timers: Timers[LiveExecution],
        clock: Clock,
        parks: bool,
        on_lost: Callable[[], None],
    ) -> None:
        """Nothing is in hand yet.

        Args:
            parks: Others may have what only waits; False: this process is all there is.
            on_lost: Called when this worker turns out to have been declared dead.
        """
        self.is_draining = False
        self.missing: dict[str, int] = {}
        self.quarantined = 0
        self.tasks: HeldTasks
        self._store = store
        self._calls = calls
        self._committer = committer
        self._executions = executions
        self._timers = timers
        self._clock = clock
        self._parks = parks
        self._on_lost = on_lost
        self._unreconciled: dict[ExecutionId, LiveExecution] = {}

    # ── taking ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def take(
        self, claim: Claim, plan: Plan | Exception, execution: LiveExecution | None = None
    ) -> LiveExecution | None:
        """Goes on with an execution that this worker owns now; None: it is not to go on here.

        Args:
            plan: Of its revision; or why there is none.
            execution: What those who wait for it hold; a new one when not given.
        """
        held = self._executions.live.get(claim.execution_id)
        if held is not None:
            is_written = held.is_writing and claim.seq > held.seq
            if held.is_releasing or is_written:
                held.reclaimed = claim  # that it was given up, or has ended and was redriven, is still to be told
            self.deliver(claim.mail)
            return held
        if execution is None:
            known = None if isinstance(plan, Exception) else plan
            execution = LiveExecution(claim.execution_id, known, claim.snapshot, claim.seq)
        execution.revision_id, execution.pool = claim.revision_id, claim.pool
        self._executions.add(execution)
        if claim.deaths >= DEATHS_MAX:
            self._executions.suspend(execution, f"{claim.deaths} workers died while they ran this execution alone")
            return None
        if isinstance(plan, Exception):
            self._executions.quarantine(execution, plan)
            return None
        try:
            commands = pending_commands(plan, claim.snapshot)
        except Exception as error:  # noqa: BLE001  we are wrong; the others must not pay for it
            self._executions.quarantine(execution, error)
            return None
        if claim.is_orphan and claim.snapshot.execution.sync:
            # At most once: it ends, and whoever waits for it is told why.
            self.deliver(claim.mail)
            self._executions.mail(execution, StopRequested(WORKER_LOST, _SYNC_LOST_CAUSE))
            return execution
        self._wait_again(execution, commands, claim.lost_tasks)
        for mail in claim.mail:
            self._executions.deliver(execution, mail)
        if len(execution.mailbox) > 1:
            _put_answers_first(execution)
        if self._clock.now() >= _latest(execution, execution.snapshot.redrives):
            self._executions.mail(execution, time_limit_due(execution.snapshot.redrives))
        if not execution.is_busy:
            self._executions.next(execution)
        return execution

    def _wait_again(self, execution: LiveExecution, commands: Iterable[Command], lost_tasks: int | None) -> None:
        interrupted: list[OpenTask] = []
        for command in commands:
            match command:
                case ScheduleTask():
                    task = self.tasks.open(execution, command)
                    if task.phase != "OUTSIDE":
                        interrupted.append(task)
                    if task.phase == "OFFERING":
                        self.tasks.offer(task)
                case StartTimer(timer_id, due, heartbeat):
                    self._executions.start_timer(execution, (timer_id, heartbeat), due)
                case MailContinue():
                    self._executions.mail(execution, Continue())
                case CancelTask():
                    raise AssertionError("nothing that is loaded asks for less than it waits for")
                case _:
                    self._executions.carry_out(execution, command)
        if lost_tasks is None:
            return
        lost = [task for task in interrupted if task.task_id[2] <= lost_tasks]
        execution.lost_tasks = max((task.task_id[2] for task in lost), default=0)
        for task in lost:
            task.request = msgspec.structs.replace(task.request, may_have_run=True)
            # Of one that has no handler here nobody can say whether it wants to be run again: a worker that has will.
            if task.handler is not None:
                self.tasks.lose(task)

    def still_lost(self, execution: LiveExecution, transition: Transition, over: Collection[Ticket]) -> int | None:
        """See `Keeper`.

        Until nothing is left of what was under way when the worker was lost: its Tasks, what was due, its mail. One
        checkpoint alone tells nothing: what kills workers may be one branch, while the others get on.
        """
        lost_tasks = execution.lost_tasks
        assert lost_tasks is not None
        if execution.children and transition.ending is None:
            return lost_tasks
        over = {*over, *(command.task_id for command in transition.commands if isinstance(command, CancelTask))}
        now = self._clock.now()
        if (
            execution.mailbox
            or any(
                task_id[2] <= lost_tasks and task.phase != "OUTSIDE" and task_id not in over
                for task_id, task in execution.tasks.items()
            )
            or any(
                timer.due <= now and task_id not in over and kind != "POLL"
                for (task_id, kind), timer in execution.timers.items()
            )
        ):
            return lost_tasks
        return None

    def deliver(self, mail: Sequence[Mail]) -> bool:
        """Puts mail into the mailboxes of those executions that are in hand.

        Returns:
            Whether there is any but what was folded and waits for a later checkpoint: the start of an Express
            execution stays in the store until its end, which is no reason to look for mail more often.
        """
        is_news = False
        for one in mail:
            execution = self._executions.live.get(one.execution_id)
            unwritten = None if execution is None else execution.unwritten
            is_news |= unwritten is None or one.id not in unwritten.mail
            if execution is not None:
                self._executions.deliver(execution, one)
        return is_news

    def fetch(self, execution_ids: Collection[ExecutionId]) -> None:
        """Asks for the mail of executions that are in hand, now and without telling whether it came."""
        for execution_id in execution_ids:
            execution = self._executions.live.get(execution_id)
            if execution is not None:
                execution.consumed.clear()
        self._calls.ask(partial(self._store.fetch_mail, execution_ids), self._fetched)

    def _fetched(self, outcome: Outcome[Sequence[Mail]]) -> None:
        try:
            mail = outcome()
        except StoreUnavailable:
            return  # it is asked for again and again
        self.deliver(mail)

    # ── the world moved on ──────────────────────────────────────────────────────────────────────────────────────────

    def reconcile(self, execution: LiveExecution) -> None:
        """See `Keeper`."""
        # One question at a time: the answer to an earlier one would be about the past.
        execution.consumed.clear()
        self._calls.ask(partial(self._store.reload, [execution.execution_id]), partial(self._reconciled, execution))

    def retry(self) -> None:
        """Asks again about executions for which the store was not available."""
        again, self._unreconciled = self._unreconciled, {}
        for execution in again.values():
            self.reconcile(execution)

    @property
    def has_unreconciled(self) -> bool:
        """Whether there is something to retry."""
        return bool(self._unreconciled)

    def _reconciled(self, execution: LiveExecution, outcome: Outcome[Claims]) -> None:
        if execution.is_gone:
            return
        try:
            claims = outcome().claimed
        except StoreUnavailable:
            self._unreconciled[execution.execution_id] = execution
            return
        except OwnershipLost:
            self._on_lost()
            return
        if not claims or claims[0].seq != execution.seq or execution.is_emptied:
            # Somebody else's by now, or this worker had it and lost it in between, or what it ran was stopped.
            self._executions.drop(execution)
            if claims:
                assert execution.plan is not None
                self.take(claims[0], execution.plan)
            return
        for mail in claims[0].mail:
            if mail.id not in execution.in_hand:
                execution.in_hand.add(mail.id)
                execution.mailbox.append(mail)
        # Else one that cannot be given up because of this mail would be asked for again and again.
        self._executions.deliver_early(execution, execution.tasks.values())
        _put_answers_first(execution)
        self._executions.next(execution)

    # ── giving up ───────────────────────────────────────────────────────────────────────────────────────────────────

    def rest(self, execution: LiveExecution, transition: Transition, over: Collection[Ticket]) -> int | None:
        """See `Keeper`."""
        if not self._parks or transition.ending is not None or execution.mailbox or execution.quarantine is not None:
            return None
        if execution.children or execution.asking or execution.reopening or self._may_rest(execution):
            return None
        wake_at = _latest(execution, transition.redrives)
        over = set(over)
        for command in transition.commands:
            match command:
                case StartTimer():
                    wake_at = min(wake_at, command.due)
                case CancelTask(task_id):
                    over.add(task_id)
                case StartChild() | SendEvent():
                    pass  # written with the transition
                case _:
                    return None
        if any(task.phase != "OUTSIDE" and task_id not in over for task_id, task in execution.tasks.items()):
            return None
        for (timer_id, _), timer in execution.timers.items():
            if timer_id not in over:
                wake_at = min(wake_at, timer.due)
        return None if self._is_soon(wake_at) else wake_at

    def released(self, execution: LiveExecution) -> None:
        """See `Keeper`."""
        reclaimed, plan = execution.reclaimed, execution.plan
        self._executions.drop(execution)
        if reclaimed is not None:
            assert plan is not None
            self.take(reclaimed, plan)

    def idle(self, execution: LiveExecution) -> None:
        """See `Keeper`."""
        if not _is_at_work(execution):
            self._executions.children.rest(execution)
            if not self._parks and execution.in_chunk is None:
                self._executions.rest(execution)  # whatever it waits for
        if not self._parks or execution.quarantine is not None or execution.asking or execution.reopening:
            return
        if execution.in_chunk is not None:
            self._idle_in_chunk(execution, execution.in_chunk)
            return
        latest = _latest(execution, execution.snapshot.redrives)
        wake_at, missing = latest, list(execution.missing)
        if execution.children and not missing and not self._may_be_given_up(execution):
            return
        if missing:
            wake_at = self._clock.now() + HANDLER_RETRY_MS
        elif self.is_draining and not execution.snapshot.execution.is_shown:
            wake_at = 0
        for task in execution.tasks.values():
            match task.phase:
                case "QUEUED" | "RUNNING" | "POLLING":
                    return
                case "HELD":
                    if not self.is_draining:
                        return  # until the lease is safe again
                    wake_at = 0
                case "MISSING":
                    missing.append(wanted(task.request))
                    wake_at = min(wake_at, self._clock.now() + HANDLER_RETRY_MS)
                case "OFFERING":
                    return  # until it is answered
                case "OUTSIDE":
                    pass
        wake_at = min([wake_at, *(timer.due for timer in execution.timers.values())])
        if not missing and self._is_soon(wake_at):
            if self._is_soon(latest):
                timed_out = time_limit_due(execution.snapshot.redrives)
                self._executions.start_timer(execution, (timed_out.timer_id, timed_out.heartbeat), latest)
            if any(task.job is not None for task in execution.tasks.values()):
                self._executions.rest(execution)  # it takes nobody's place
            return
        if not missing and self._may_rest(execution):
            self._executions.rest(execution)
            return
        if execution.unwritten is not None:
            self._executions.write(execution)  # else whoever takes it begins anew; it is idle again after that
            return
        for resource in missing:
            self.missing[resource] = self.missing.get(resource, 0) + 1
        if execution.children:
            execution.is_emptied = True
            self._executions.children.stop(execution)  # they must not go on once it is somebody else's
        execution.is_busy = execution.is_releasing = True
        release = Release(
            execution_id=execution.execution_id, seq=execution.seq, wake_at=wake_at, missing=sorted(set(missing))
        )
        self._committer.submit(release, partial(self._release_answered, execution))

    def _idle_in_chunk(self, child: LiveExecution, chunk: LiveExecution) -> None:
        """A child of a map run rests; where it can do no more here its whole chunk is given up."""
        chunk.missing += [wanted(task.request) for task in child.tasks.values() if task.phase == "MISSING"]
        if not chunk.is_busy and (chunk.missing or self.is_draining):
            self.idle(chunk)

    def _may_be_given_up(self, chunk: LiveExecution) -> bool:
        """Whether none of a chunk's children has a Task in flight, when this worker drains."""
        return self.is_draining and not any(map(_is_at_work, chunk.children.values()))

    def _may_rest(self, execution: LiveExecution) -> bool:
        """Whether it may wait in memory: giving it up and taking it back costs more than all else that is written.

        Of a map run and its chunks, too: they hear of each child. But a suspect that waits for another one, which is to
        be claimed alone, must not keep its worker from claiming that.
        """
        about = execution.snapshot.execution
        if about.role == "CHUNK" and self._executions.children.bytes > RESTING_CHUNKS_BYTES_MAX:
            return False
        return (
            (about.type == "EXPRESS" if about.is_shown else execution.lost_tasks is None)
            and not self.is_draining
            and len(self._executions.resting) < RESTING_MAX
        )

    def _is_soon(self, wake_at: int) -> bool:
        return not self.is_draining and wake_at - self._clock.now() < PARK_MS

    def _release_answered(self, execution: LiveExecution, fate: Fate, reason: str) -> None:
        if execution.is_gone or fate == "LOST":
            return
        assert fate != "UNWRITABLE", reason
        if fate == "WRITTEN":
            self.released(execution)
            return
        execution.is_releasing = False
        execution.reclaimed = None
        self.reconcile(execution)

    def quarantine(self, execution: LiveExecution) -> None:
        """See `Keeper`."""
        reason = execution.quarantine
        assert reason is not None
        if execution.birth is not None:
            self.quarantined += 1
            if execution.on_birth is not None:
                execution.on_birth("UNWRITABLE", reason)
            self._executions.retire(execution)
            return
        release = Release(
            execution_id=execution.execution_id, seq=execution.seq, wake_at=NEVER_DUE, quarantine=_storable(reason)
        )
        self._committer.submit(release, partial(self._quarantine_answered, execution))

    def _quarantine_answered(self, execution: LiveExecution, fate: Fate, reason: str) -> None:
        if execution.is_gone or fate == "LOST":
            return
        if fate == "KEPT":  # the answer was lost, and it turns out not to have been written
            self.quarantine(execution)
        else:
            self.quarantined += 1
            self._executions.retire(execution)

    def release_idle(self) -> None:
        """Gives up all that has nothing to do, when this worker drains."""
        for execution in list(self._executions.live.values()):
            if not execution.is_busy:
                self.idle(execution)

    def interrupt(self) -> None:
        """Stops all handlers, which others may run soon. The executions stay in hand, for the case that nobody does."""
        for execution in self._executions.at_work:
            for task in list(execution.tasks.values()):
                again = self.tasks.interrupt(task)
                if again is not None:
                    self.tasks.lose(again)

    def drop_all(self) -> None:
        """Lets go of everything: this worker was declared dead."""
        self._unreconciled.clear()
        for execution in list(self._executions.live.values()):
            if execution.on_birth is not None:
                execution.on_birth("LOST", "")
            self._executions.drop(execution)

    # ── heartbeats of task tokens ───────────────────────────────────────────────────────────────────────────────────

    def heartbeat_due(self, execution: LiveExecution, task: OpenTask) -> None:
        """See `Keeper`."""
        # Set at once, so that the execution is not taken for one that has no timer while the store is asked.
        self._executions.start_timer(execution, (task.task_id, True), self._clock.now() + _ASK_AGAIN_MS)
        self._calls.ask(
            partial(self._store.last_heartbeat, execution.execution_id, task.task_id),
            partial(self._heartbeat_answered, execution, task),
        )

    def _heartbeat_answered(self, execution: LiveExecution, task: OpenTask, outcome: Outcome[int | None]) -> None:
        key = (task.task_id, True)
        timer = execution.timers.get(key)
        if execution.is_gone or task.is_over or timer is None:
            return
        try:
            beat = outcome()
        except StoreUnavailable:
            return  # the timer asks again
        assert task.heartbeat_seconds is not None
        if beat is not None and beat + task.heartbeat_seconds * _MS_PER_SECOND > self._clock.now():
            self._timers.cancel(timer)
            self._executions.start_timer(execution, key, beat + task.heartbeat_seconds * _MS_PER_SECOND)
            if not execution.is_busy:
                self.idle(execution)
        else:
            self._timers.cancel(timer)
            del execution.timers[key]
            self._executions.mail(execution, TimerDue(*key))


def _latest(execution: LiveExecution, redrives: Redrives) -> int:
    """When an execution is due at the latest, whatever it waits for."""
    latest = time_limit(execution.snapshot.execution, redrives)
    return NEVER_DUE if latest == LAST_INSTANT else latest


def _is_at_work(execution: LiveExecution) -> bool:
    """Whether a Task of it is in flight."""
    return any(task.phase in ("QUEUED", "RUNNING") for task in execution.tasks.values())


def _put_answers_first(execution: LiveExecution) -> None:
    """An answer that was accepted counts, whatever came before it was folded: a stop, a time limit.

    So does who gave it: that an activity worker took the Task comes before his answer, as it came.
    """
    posts = sorted(
        execution.mailbox,
        key=lambda post: not (isinstance(post, Mail) and isinstance(post.event, TaskStarted | TaskDone | TaskError)),
    )
    execution.mailbox.clear()
    execution.mailbox.extend(posts)


def _storable(reason: str) -> str:
    """A text that any store takes."""
    return reason.encode("utf-8", "replace").decode().replace("\0", "\\0")
