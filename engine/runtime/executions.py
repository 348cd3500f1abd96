"""Live executions: each one an actor with a mailbox, whose mail is folded through `advance` one event at a time.

Nothing here waits. Mail makes an execution ready; `fold` lets each ready one fold one event and hands the checkpoint to
the committer; once it is written the snapshot moves on and the commands are carried out (the rule of effects).
"""

from __future__ import annotations

from collections import deque
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

from engine.integrations.invocation import message_of
from engine.interpreter.advance import advance
from engine.interpreter.messages import (
    CancelTask,
    Continue,
    MailContinue,
    ScheduleTask,
    StartTimer,
    StopRequested,
    TaskDone,
    TaskError,
    TimerDue,
)
from engine.store.protocol import Checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    import anyio

    from engine.interpreter.messages import Command, Event, Ticket
    from engine.interpreter.plan import Plan
    from engine.interpreter.snapshot import Ending, Snapshot, Transition
    from engine.jsonvalue import Json
    from engine.query.evaluation import Chance
    from engine.runtime.clock import Clock
    from engine.runtime.committer import Committer
    from engine.runtime.tasks import OpenTask
    from engine.runtime.timers import Key, Timer, Timers

_MS_PER_SECOND = 1_000


class ExecutionQuarantined(Exception):
    """The engine itself failed on this execution, and on it alone; it was left as it was. `__cause__` tells why."""


class LiveExecution:
    """An execution in memory. One that has ended stays as long as somebody holds it, to tell how.

    Attributes:
        snapshot: Where it stands; of one that ended only what it never changes.
        seq: Of its last checkpoint.
        ending: Set once it is over.
        failed_input: The input of the state whose error ended it.
        fault: Why it cannot go on or was stopped, where the definition is not to blame.
        tasks: Tasks in flight.
        timers: Timers that are set.
        ended: Set when `ending` or `fault` is; made when somebody waits for it.
    """

    __slots__ = (
        "__weakref__", "ended", "ending", "failed_input", "fault", "is_busy", "mailbox", "plan", "seq", "snapshot",
        "tasks", "timers", "waiters",
    )  # fmt: skip

    def __init__(self, plan: Plan | None, snapshot: Snapshot, seq: int = 0) -> None:
        self.plan = plan
        self.snapshot = snapshot
        self.seq = seq
        self.mailbox: deque[Event] = deque()
        self.is_busy = False
        self.tasks: dict[Ticket, OpenTask] = {}
        self.timers: dict[Key, Timer[LiveExecution]] = {}
        self.ending: Ending | None = snapshot.ending
        self.failed_input: Json = None
        self.fault: BaseException | None = None
        self.ended: anyio.Event | None = None
        self.waiters = 0

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self.snapshot.execution.arn

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or cannot go on."""
        return self.ending is not None or self.fault is not None


class TaskStarter(Protocol):
    """What carries out the commands that concern Tasks."""

    def schedule(self, execution: LiveExecution, command: ScheduleTask) -> None:
        """Starts a Task; its answer comes as mail."""
        ...

    def cancel(self, task: OpenTask) -> None:
        """Stops a Task, as far as it can be stopped."""
        ...


class Observer(Protocol):
    """Called after each commit, before the commands are carried out; it must not wait.

    One that raises stops the execution it was told of: whoever waits for that gets the observer's own error.
    """

    def __call__(self, execution_arn: str, transition: Transition, /) -> object:
        """`transition` is shared: not to be changed."""
        ...


class Executions:
    """All live executions of one engine.

    Attributes:
        live: Those that are not over, by ARN.
        known: Those, the quarantined ones, and the ended ones that somebody holds.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        chance: Chance,
        committer: Committer,
        timers: Timers[LiveExecution],
        wake: Callable[[], None],
        on_ending: Callable[[LiveExecution], None],
        observer: Observer | None,
    ) -> None:
        """`wake` is called when there is something to fold, `on_ending` when an execution is over."""
        self.live: dict[str, LiveExecution] = {}
        self.known: WeakValueDictionary[str, LiveExecution] = WeakValueDictionary()
        self.tasks: TaskStarter
        self._quarantined: list[LiveExecution] = []  # in the store they still run; who asks must be told why not
        self._clock = clock
        self._chance = chance
        self._committer = committer
        self._timers = timers
        self._wake = wake
        self._on_ending = on_ending
        self._observer = observer
        self._ready: deque[LiveExecution] = deque()

    @property
    def has_ready(self) -> bool:
        """Whether there is something to fold."""
        return bool(self._ready)

    def add(self, execution: LiveExecution) -> None:
        """Takes an execution that was started, or opened again."""
        self.live[execution.arn] = execution
        self.known[execution.arn] = execution

    def mail(self, execution: LiveExecution, event: Event) -> None:
        """Puts an event into the execution's mailbox."""
        execution.mailbox.append(event)
        if not execution.is_busy:
            execution.is_busy = True
            self._ready.append(execution)
            self._wake()

    def mail_due(self, now: int) -> bool:
        """Mails TimerDue for all timers that are due; whether there were any."""
        due = self._timers.take_due(now)
        for execution, key in due:
            del execution.timers[key]
            self.mail(execution, TimerDue(*key))
        return bool(due)

    def retract_due(self, execution: LiveExecution, task_id: Ticket) -> None:
        """Takes a Task's TimerDue back that is not folded yet: an answer that was accepted counts. Mail must follow."""
        if execution.mailbox:
            kept = [
                event for event in execution.mailbox if not (isinstance(event, TimerDue) and event.timer_id == task_id)
            ]
            execution.mailbox = deque(kept)

    def fold(self, seconds: float) -> None:
        """Folds, one event of each execution in turn, until nobody is ready or the time is up."""
        until = perf_counter() + seconds
        while self._ready:
            self._fold_next(self._ready.popleft())
            if perf_counter() > until:
                return

    def heartbeat(self, execution: LiveExecution, task: OpenTask) -> None:
        """Starts a Task's HeartbeatSeconds anew."""
        timer = execution.timers.get((task.task_id, True))
        if timer is not None:
            assert task.heartbeat_seconds is not None
            self._timers.postpone(timer, self._clock.now() + task.heartbeat_seconds * _MS_PER_SECOND)

    def halt(self, execution: LiveExecution, fault: BaseException, error: str) -> None:
        """Ends an execution that cannot go on here as ABORTED; whoever waits for it gets `fault`."""
        if not execution.is_over:
            execution.fault = fault
            self.mail(execution, StopRequested(error, message_of(fault)))

    def quarantine(self, execution: LiveExecution, error: Exception) -> None:
        """Leaves an execution alone that the engine itself failed on, as it last was."""
        import structlog

        execution.fault = ExecutionQuarantined(f"{execution.arn}: the engine failed: {error!r}")
        execution.fault.__cause__ = error
        structlog.get_logger().error("execution quarantined", execution=execution.arn, exc_info=error)
        self._quarantined.append(execution)
        self._retire(execution)

    # ── one event ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _fold_next(self, execution: LiveExecution) -> None:
        if not execution.mailbox:
            return  # it was quarantined since
        try:
            self._fold_event(execution, execution.mailbox.popleft())
        except Exception as error:  # noqa: BLE001  we are wrong; the others must not pay for it
            self.quarantine(execution, error)

    def _fold_event(self, execution: LiveExecution, event: Event) -> None:
        assert execution.plan is not None
        transition = advance(execution.plan, execution.snapshot, event, now=self._clock.now(), chance=self._chance)
        answered = execution.tasks.get(event.task_id) if isinstance(event, TaskDone | TaskError) else None
        if not (transition.history or transition.changed or transition.commands):
            self._settle(execution, answered)  # a late answer, dropped by `advance`
            self._next(execution)
            return
        execution.seq += 1
        checkpoint = self._checkpoint(execution, transition, answered)
        self._committer.submit(checkpoint, partial(self._committed, execution, transition, answered))

    def _checkpoint(self, execution: LiveExecution, transition: Transition, answered: OpenTask | None) -> Checkpoint:
        opened: list[tuple[str, Ticket]] = []
        closed: list[str] = []
        for command in transition.commands:
            if isinstance(command, ScheduleTask) and command.task_token is not None:
                opened.append((command.task_token, command.task_id))
            elif isinstance(command, CancelTask):
                task = execution.tasks.get(command.task_id)
                if task is not None and task.task_token is not None:
                    closed.append(task.task_token)
        if answered is not None and answered.task_token is not None:
            closed.append(answered.task_token)
        return Checkpoint(
            execution_arn=execution.snapshot.execution.arn,
            seq=execution.seq,
            snapshot=execution.snapshot,
            transition=transition,
            tokens_opened=opened,
            tokens_closed=closed,
        )

    def _committed(self, execution: LiveExecution, transition: Transition, answered: OpenTask | None) -> None:
        execution.snapshot.apply(transition)
        if self._observer is not None:
            self._tell(self._observer, execution, transition)
        self._settle(execution, answered)
        for command in () if execution.fault is not None else transition.commands:
            self._carry_out(execution, command)
        if transition.ending is not None:
            self._end(execution, transition.ending)
        else:
            self._next(execution)
        self._wake()  # timers were started, and a committer that answers late keeps time from jumping no longer

    def _tell(self, observer: Observer, execution: LiveExecution, transition: Transition) -> None:
        try:
            observer(execution.arn, transition)
        except Exception as error:  # noqa: BLE001  user code; it must not end the engine under the other executions
            self.halt(execution, error, "Engine.ObserverFailed")

    def _next(self, execution: LiveExecution) -> None:
        if execution.mailbox:
            self._ready.append(execution)
            self._wake()
        else:
            execution.is_busy = False

    def _carry_out(self, execution: LiveExecution, command: Command) -> None:
        match command:
            case ScheduleTask():
                self.tasks.schedule(execution, command)
            case StartTimer(timer_id, due, heartbeat):
                key = (timer_id, heartbeat)
                execution.timers[key] = self._timers.start(execution, key, due)
            case CancelTask(task_id):
                task = execution.tasks.get(task_id)
                if task is not None:
                    self.tasks.cancel(task)
                    self._settle(execution, task)
            case MailContinue():
                execution.mailbox.append(Continue())

    def _settle(self, execution: LiveExecution, task: OpenTask | None) -> None:
        """Forgets a Task that nobody waits for any more, and its timers."""
        if task is None or execution.tasks.pop(task.task_id, None) is None:
            return
        task.is_over = True
        for heartbeat in (False, True):
            timer = execution.timers.pop((task.task_id, heartbeat), None)
            if timer is not None:
                self._timers.cancel(timer)

    def _end(self, execution: LiveExecution, ending: Ending) -> None:
        execution.ending = ending
        if ending.frame is not None:
            failed = execution.snapshot.frames.get(ending.frame)
            execution.failed_input = None if failed is None else failed.input
        self._retire(execution)

    def _retire(self, execution: LiveExecution) -> None:
        for task in list(execution.tasks.values()):
            self.tasks.cancel(task)
            self._settle(execution, task)
        for timer in execution.timers.values():
            self._timers.cancel(timer)
        execution.timers.clear()
        execution.mailbox.clear()
        execution.is_busy = True  # so that late mail makes nobody ready; a redrive sets it back
        execution.snapshot.frames = {}
        self.live.pop(execution.arn, None)
        if execution.ended is not None:
            execution.ended.set()
        self._on_ending(execution)


def waiting_event(execution: LiveExecution, make: Callable[[], Any]) -> Any:
    """The event that is set when the execution is over; made by the first who waits."""
    if execution.ended is None:
        execution.ended = make()
    return execution.ended
