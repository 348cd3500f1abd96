"""Live executions: each one an actor with a mailbox, whose mail is folded through `advance`.

Nothing here waits. Mail makes an execution ready; `fold` lets each ready one fold what waits for it and hands the
checkpoint to the committer; once it is written the snapshot moves on and the commands are carried out (the rule of
effects). Until then the fold is speculative: when the checkpoint is not written nothing has happened, and the events
are still there.
"""

from __future__ import annotations

import traceback
from collections import deque
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias
from weakref import WeakValueDictionary

import msgspec

from engine.integrations.invocation import message_of
from engine.interpreter.advance import advance_together
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
from engine.interpreter.snapshot import Snapshot
from engine.runtime.unwritten import Unwritten, may_wait
from engine.store.protocol import Checkpoint, Mail

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    import anyio

    from engine.interpreter.messages import Command, Event, Ticket
    from engine.interpreter.plan import Plan
    from engine.interpreter.snapshot import Ending, Transition
    from engine.jsonvalue import Json
    from engine.query.evaluation import Chance
    from engine.runtime.chronicler import Chronicler
    from engine.runtime.clock import Clock
    from engine.runtime.committer import Committer
    from engine.runtime.tasks import OpenTask
    from engine.runtime.timers import Key, Timer, Timers
    from engine.runtime.writer import Fate
    from engine.store.protocol import Birth, Claim, ExecutionId, ExecutionStatus, MailId, RevisionId

_MS_PER_SECOND = 1_000

TOGETHER_MAX = 256
"""Posts that are folded into one checkpoint."""

_CONFLICTS_MAX = 50
"""In a row, of one execution. Each has a cause that loading it again takes away; more must be an error of ours."""

DELETED = "The state machine was deleted"
"""Cause of the executions that are ABORTED because of it. What AWS says is not known."""

_TRACE_CHARACTERS_MAX = 4_000

Post: TypeAlias = "Event | Mail"
"""What a mailbox holds: mail of the store, which a checkpoint consumes, or an event of this process."""


class ExecutionQuarantined(Exception):
    """The engine itself failed on this execution, and on it alone; it was left as it was. `__cause__` tells why."""


class LiveExecution:
    """An execution in memory. One that has ended stays as long as somebody holds it, to tell how.

    Attributes:
        snapshot: Where it stands; of one that ended only what it never changes.
        seq: Of its last checkpoint that is written.
        birth: Set until its first checkpoint is written, when it is born with that.
        is_busy: It is ready, or a checkpoint or release of it is being written: mail waits.
        is_writing: A checkpoint of it is being written.
        is_releasing: It is being given up, with a checkpoint or without.
        conflicts: Times that the checkpoint which is wanted now was refused.
        lost_tasks: As `Claim.lost_tasks`, of an orphan; 0 when none of its Tasks may have run.
        in_hand: Mail of the store that is in the mailbox or being folded.
        consumed: Mail of the store that was consumed since mail was last asked for: the answer may bring it again.
        revision_id: What it runs; None when nothing of that is at hand, and then it does not run here.
        reclaimed: A claim of this very execution that came before its release was answered.
        ending: Set once it is over.
        stopped_at: When that was, ms since the epoch.
        failed_input: The input of the state whose error ended it.
        fault: Why it cannot go on or was stopped, where the definition is not to blame.
        quarantine: Set when it is to be left as it is: why.
        is_gone: It is not this worker's any more; whatever is still answered is of no interest.
        tasks: Tasks that it waits for.
        timers: Timers that are set.
        ended: Set when `ending` or `fault` is; made when somebody waits for it.
        on_birth: Called once with what became of its first checkpoint.
        unwritten: Of an Express execution: what it did since its last checkpoint.
    """

    __slots__ = (
        "__weakref__", "birth", "conflicts", "consumed", "ended", "ending", "execution_id", "failed_input", "fault",
        "in_hand", "is_busy", "is_gone", "is_releasing", "is_writing", "lost_tasks", "mailbox", "on_birth", "plan",
        "quarantine", "reclaimed", "revision_id", "seq", "snapshot", "stopped_at", "tasks", "timers", "unwritten",
        "waiters",
    )  # fmt: skip

    def __init__(
        self,
        execution_id: ExecutionId,
        plan: Plan | None,
        snapshot: Snapshot,
        seq: int = 0,
        birth: Birth | None = None,
    ) -> None:
        self.execution_id = execution_id
        self.plan = plan
        self.snapshot = snapshot
        self.seq = seq
        self.birth = birth
        self.mailbox: deque[Post] = deque()
        self.is_busy = False
        self.is_writing = False
        self.is_releasing = False
        self.conflicts = 0
        self.lost_tasks: int | None = None
        self.in_hand: set[MailId] = set()
        self.consumed: set[MailId] = set()
        self.reclaimed: Claim | None = None
        self.revision_id: RevisionId | None = None if birth is None else birth.revision_id
        self.tasks: dict[Ticket, OpenTask] = {}
        self.timers: dict[Key, Timer[LiveExecution]] = {}
        self.ending: Ending | None = snapshot.ending
        self.stopped_at = snapshot.last_time
        self.failed_input: Json = None
        self.fault: BaseException | None = None
        self.quarantine: str | None = None
        self.is_gone = False
        self.ended: anyio.Event | None = None
        self.on_birth: Callable[[Fate, str], None] | None = None
        self.unwritten: Unwritten | None = None
        self.waiters = 0

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self.snapshot.execution.arn

    @property
    def name(self) -> str:
        """Its name."""
        return self.snapshot.execution.name

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or cannot go on."""
        return self.ending is not None or self.fault is not None


class Folded:
    """What was folded into one checkpoint.

    Attributes:
        posts: In this order.
        transition: What they did.
        mail: What of it came from the store.
        over: Tasks that it answers.
        answered: Those of them that this worker knows.
        tokens: Of those that were not answered by their token.
        taken: Those that were answered by mail: nobody has a token of theirs any more.
    """

    __slots__ = ("answered", "mail", "over", "posts", "taken", "tokens", "transition")

    def __init__(self, execution: LiveExecution, posts: list[Post], transition: Transition) -> None:
        self.posts = posts
        self.transition = transition
        self.mail: list[MailId] = []
        self.over: list[Ticket] = []
        self.answered: list[OpenTask] = []
        self.tokens: list[str] = []
        self.taken: list[Ticket] = []
        for post in posts:
            is_mail = isinstance(post, Mail)
            event = post.event if isinstance(post, Mail) else post
            if isinstance(post, Mail):
                self.mail.append(post.id)
            if isinstance(event, TaskDone | TaskError):
                self.over.append(event.task_id)
                if is_mail:
                    self.taken.append(event.task_id)
                task = execution.tasks.get(event.task_id)
                if task is not None:
                    self.answered.append(task)
                    if task.task_token is not None and not is_mail:  # mail of an answer took the token with it
                        self.tokens.append(task.task_token)


class TaskStarter(Protocol):
    """What carries out the commands that concern Tasks."""

    def schedule(self, execution: LiveExecution, command: ScheduleTask) -> None:
        """Starts a Task; its answer comes as mail."""
        ...

    def start_held(self, execution: LiveExecution) -> None:
        """Starts those Tasks that could not be started when they were scheduled, if they can be now."""
        ...

    def cancel(self, task: OpenTask) -> None:
        """Stops a Task, as far as it can be stopped."""
        ...


class Keeper(Protocol):
    """Who knows how an execution came here, and gives it back."""

    def rest(self, execution: LiveExecution, transition: Transition, over: Collection[Ticket]) -> int | None:
        """Whether the execution, once this is written, only waits: until when, to be released with the checkpoint.

        Args:
            over: Tasks that were answered in the transition.
        """
        ...

    def still_lost(self, execution: LiveExecution, transition: Transition, over: Collection[Ticket]) -> int | None:
        """Its `lost_tasks` once this is written; `over` as above."""
        ...

    def idle(self, execution: LiveExecution) -> None:
        """It has nothing to fold."""
        ...

    def released(self, execution: LiveExecution) -> None:
        """It was given up with its checkpoint."""
        ...

    def reconcile(self, execution: LiveExecution) -> None:
        """Its checkpoint could not be written because the world moved on; the event is back in the mailbox."""
        ...

    def heartbeat_due(self, execution: LiveExecution, task: OpenTask) -> None:
        """The time of a heartbeat of a task token has come; the store knows whether it did."""
        ...

    def quarantine(self, execution: LiveExecution) -> None:
        """It cannot go on: to be left as it is, with the reason for people to see."""
        ...


class Observer(Protocol):
    """Called after each commit, before the commands are carried out; it must not wait.

    One that raises stops the execution it was told of: whoever waits for that gets the observer's own error.
    """

    def __call__(self, execution_arn: str, transition: Transition, /) -> object:
        """`transition` is shared: not to be changed."""
        ...


class Tracer(Protocol):
    """Called after each commit with where the execution stood before; must neither wait nor raise."""

    def __call__(self, plan: Plan, before: Snapshot, transition: Transition, /) -> object:
        """All of it is shared: not to be changed, nor kept, as `before` moves on."""
        ...


class Executions:
    """All live executions of one engine.

    Attributes:
        live: Those that are not over, by id.
        known: Those and the ended ones that somebody holds, by ARN.
        arrivals: While somebody wants to know: those that have come to life since.
        resting: Those that only wait for a time, and stay in memory meanwhile (Express).
        transitions: How many were written.
        started: Executions whose first transition was.
        ended: Executions that ended, by status.
        doomed: Since when which state machines, by ARN, are being deleted: their executions end at their next event.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        chance: Chance,
        committer: Committer,
        timers: Timers[LiveExecution],
        wake: Callable[[], None],
        on_leaving: Callable[[LiveExecution], None],
        observer: Observer | None,
        tracer: Tracer | None = None,
        defers: bool = False,
        chronicler: Chronicler | None = None,
    ) -> None:
        """Nothing is live yet.

        Args:
            wake: Called when there is something to fold.
            on_leaving: Called when an execution is over or not here.
            defers: Whether Express executions run in memory, without a checkpoint for each step.
        """
        self.live: dict[ExecutionId, LiveExecution] = {}
        self.known: WeakValueDictionary[str, LiveExecution] = WeakValueDictionary()
        self.transitions = self.started = 0
        self.ended: dict[ExecutionStatus, int] = {}
        self.doomed: Mapping[str, int] = {}
        self.arrivals: set[ExecutionId] | None = None
        self.resting: set[ExecutionId] = set()
        self.tasks: TaskStarter
        self.keeper: Keeper
        self._clock = clock
        self._chance = chance
        self._committer = committer
        self._timers = timers
        self._wake = wake
        self._on_leaving = on_leaving
        self._observer = observer
        self._tracer = tracer
        self._defers = defers
        self._chronicler = chronicler
        self._ready: deque[LiveExecution] = deque()

    @property
    def has_ready(self) -> bool:
        """Whether there is something to fold."""
        return bool(self._ready)

    def add(self, execution: LiveExecution) -> None:
        """Takes an execution that was started, or claimed."""
        self.live[execution.execution_id] = execution
        if self.arrivals is not None:
            self.arrivals.add(execution.execution_id)
        self.known[execution.arn] = execution

    def mail(self, execution: LiveExecution, event: Event) -> None:
        """Puts an event of this process into the execution's mailbox."""
        execution.mailbox.append(event)
        self._make_ready(execution)

    def deliver(self, execution: LiveExecution, mail: Mail) -> None:
        """Puts mail of the store into the mailbox, unless it is there or was."""
        if mail.id not in execution.in_hand and mail.id not in execution.consumed:
            execution.in_hand.add(mail.id)
            execution.mailbox.append(mail)
            self._make_ready(execution)

    def _make_ready(self, execution: LiveExecution) -> None:
        if not execution.is_busy:
            execution.is_busy = True
            self._ready.append(execution)
            self._wake()

    def mail_due(self, now: int) -> bool:
        """Mails TimerDue for all timers that are due; whether there were any."""
        due = self._timers.take_due(now)
        for execution, key in due:
            del execution.timers[key]
            task_id, is_heartbeat = key
            task = execution.tasks.get(task_id) if is_heartbeat else None
            if task is not None and task.task_token is not None:
                self.keeper.heartbeat_due(execution, task)
            else:
                self.mail(execution, TimerDue(*key))
        return bool(due)

    def fold(self, seconds: float) -> None:
        """Folds, what waits for each execution in turn, until nobody is ready or the time is up."""
        until = perf_counter() + seconds
        while self._ready:
            self._fold_next(self._ready.popleft())
            if perf_counter() > until:
                return

    def fold_one(self) -> None:
        """Folds what waits for the execution that is ready longest."""
        self._fold_next(self._ready.popleft())

    def heartbeat(self, execution: LiveExecution, task: OpenTask) -> None:
        """Starts a Task's HeartbeatSeconds anew."""
        timer = execution.timers.get((task.task_id, True))
        if timer is not None:
            assert task.heartbeat_seconds is not None
            self._timers.postpone(timer, self._clock.now() + task.heartbeat_seconds * _MS_PER_SECOND)

    def start_timer(self, execution: LiveExecution, key: Key, due: int) -> None:
        """Sets a timer, in place of the one with this key."""
        before = execution.timers.get(key)
        if before is not None:
            self._timers.cancel(before)
        execution.timers[key] = self._timers.start(execution, key, due)

    def halt(self, execution: LiveExecution, fault: BaseException, error: str) -> None:
        """Ends an execution that cannot go on here as ABORTED; whoever waits for it gets `fault`."""
        if not execution.is_over:
            execution.fault = fault
            self.mail(execution, StopRequested(error, message_of(fault)))

    def quarantine(self, execution: LiveExecution, error: Exception) -> None:
        """Leaves an execution alone that the engine itself failed on, as it last was."""
        import structlog

        structlog.get_logger().error("execution quarantined", execution=execution.arn, exc_info=error)
        trace = "".join(traceback.format_exception(error))
        self._quarantine(execution, f"the engine failed: {error!r}\n{trace[-_TRACE_CHARACTERS_MAX:]}", error)

    def suspend(self, execution: LiveExecution, reason: str) -> None:
        """Leaves an execution alone that is not to go on, whoever is to blame."""
        import structlog

        structlog.get_logger().error("execution quarantined", execution=execution.arn, reason=reason)
        self._quarantine(execution, reason, None)

    def _quarantine(self, execution: LiveExecution, reason: str, cause: Exception | None) -> None:
        if execution.is_gone:
            return
        execution.fault = ExecutionQuarantined(f"{execution.arn}: {reason}")
        execution.fault.__cause__ = cause
        execution.quarantine = reason
        execution.is_busy = True
        execution.mailbox.clear()
        for task in list(execution.tasks.values()):
            self.tasks.cancel(task)
            self._settle(execution, (task,))
        if not execution.is_writing:
            self.keeper.quarantine(execution)

    # ── one event ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _fold_next(self, execution: LiveExecution) -> None:
        if execution.is_gone or not execution.mailbox:
            return  # it was quarantined or dropped since
        self.resting.discard(execution.execution_id)
        try:
            self._fold_posts(execution, _take_together(execution))
        except Exception as error:  # noqa: BLE001  we are wrong; the others must not pay for it
            self.quarantine(execution, error)

    def _events(self, execution: LiveExecution, posts: list[Post]) -> list[Event]:
        """What the posts bring; in place of it the end, when the state machine was deleted after the start.

        One that has only just begun shows its beginning first.
        """
        about = execution.snapshot.execution
        since = self.doomed.get(about.state_machine_arn) if self.doomed else None
        if since is not None and about.start_time <= since and execution.snapshot.last_event_id > 0:
            return [StopRequested(None, DELETED)]
        return [post.event if isinstance(post, Mail) else post for post in posts]

    def _fold_posts(self, execution: LiveExecution, posts: list[Post]) -> None:
        """Folds what waits together, and has it written as one checkpoint: a Map's answers come many at once."""
        events = self._events(execution, posts)
        assert execution.plan is not None
        try:
            transition, count = advance_together(
                execution.plan, execution.snapshot, events, now=self._clock.now(), chance=self._chance
            )
        except Exception:
            if len(posts) == 1:
                raise
            # One after the other: those before the one that cannot be folded are not lost with it.
            execution.mailbox.extendleft(reversed(posts))
            self._fold_posts(execution, [execution.mailbox.popleft()])
            return
        if count < len(events):
            execution.mailbox.extendleft(reversed(posts[count:]))
            del posts[count:]
        folded = Folded(execution, posts, transition)
        if not (transition.history or transition.changed or transition.commands or folded.mail):
            self._settle(execution, folded.answered)  # late answers, dropped by `advance`
            self.next(execution)
            return
        if self._defers and _may_defer(execution, folded):
            if execution.unwritten is None:
                execution.unwritten = Unwritten(execution.snapshot)
            execution.unwritten.add(transition, folded.mail)
            self._take_over(execution, folded, None)
            return
        self._submit(execution, self._checkpoint(execution, transition, folded), folded)

    def _submit(self, execution: LiveExecution, checkpoint: Checkpoint, folded: Folded | None) -> None:
        unwritten = execution.unwritten
        if unwritten is not None:
            checkpoint = msgspec.structs.replace(
                checkpoint,
                snapshot=unwritten.before,
                transition=unwritten.joined(None if folded is None else folded.transition),
                mail=[*unwritten.mail, *checkpoint.mail],
            )
        execution.is_writing = True
        execution.is_releasing = checkpoint.release is not None
        try:
            self._committer.submit(checkpoint, partial(self._told, execution, checkpoint, folded))
        except Exception:
            execution.is_writing = False  # no answer will come
            raise

    def write(self, execution: LiveExecution) -> None:
        """Writes what an execution that has nothing to fold did since its last checkpoint; it goes on after that."""
        assert execution.unwritten is not None
        execution.is_busy = True
        checkpoint = Checkpoint(
            execution_id=execution.execution_id,
            seq=execution.seq + 1,
            snapshot=execution.unwritten.before,
            transition=execution.unwritten.joined(None),
        )
        self._submit(execution, checkpoint, None)

    def _checkpoint(self, execution: LiveExecution, transition: Transition, folded: Folded) -> Checkpoint:
        opened: dict[Ticket, str] = {}
        closed: list[str] = []
        for command in transition.commands:
            if isinstance(command, ScheduleTask) and command.task_token is not None:
                opened[command.task_id] = command.task_token
            elif isinstance(command, CancelTask) and command.task_id not in folded.taken:
                task = execution.tasks.get(command.task_id)
                token = opened.get(command.task_id) if task is None else task.task_token
                if token is not None:
                    closed.append(token)
        closed += folded.tokens
        return Checkpoint(
            execution_id=execution.execution_id,
            seq=execution.seq + 1,
            snapshot=execution.snapshot,
            transition=transition,
            birth=execution.birth,
            mail=folded.mail,
            tokens_opened=[(token, task_id) for task_id, token in opened.items()],
            tokens_closed=closed,
            release=self.keeper.rest(execution, transition, folded.over),
            lost_tasks=None
            if execution.lost_tasks is None
            else self.keeper.still_lost(execution, transition, folded.over),
            status_changes=()
            if self._chronicler is None
            else self._chronicler.status_changes(execution.snapshot, transition),
        )

    def _told(
        self, execution: LiveExecution, checkpoint: Checkpoint, folded: Folded | None, fate: Fate, reason: str
    ) -> None:
        """What became of a checkpoint."""
        if execution.is_gone or fate == "LOST":
            return  # whoever lost it drops all that is live
        execution.is_writing = False
        try:
            self._answered(execution, checkpoint, folded, fate, reason)
        except Exception as error:  # noqa: BLE001  we are wrong; the others of the group must not pay for it
            self.quarantine(execution, error)

    def _answered(
        self, execution: LiveExecution, checkpoint: Checkpoint, folded: Folded | None, fate: Fate, reason: str
    ) -> None:
        if fate == "WRITTEN":
            self._committed(execution, checkpoint, folded)
            return
        execution.is_releasing = False
        execution.reclaimed = None
        if execution.quarantine is not None:
            self.keeper.quarantine(execution)
        elif fate == "CONFLICT" and execution.conflicts < _CONFLICTS_MAX:
            execution.conflicts += 1
            if execution.birth is not None:  # it was born already: somebody made this very start again
                self._born(execution)
            execution.mailbox.extendleft(reversed([] if folded is None else folded.posts))
            self.keeper.reconcile(execution)
        elif fate == "CONFLICT":
            self.suspend(execution, "its checkpoint is refused again and again, though nothing has changed")
        elif execution.on_birth is None:
            self.suspend(execution, f"the store refuses its data: {reason}")
        else:
            execution.on_birth(fate, reason)
            self.drop(execution)

    def _born(self, execution: LiveExecution) -> None:
        execution.birth = None
        if execution.on_birth is not None:
            execution.on_birth("WRITTEN", "")
            execution.on_birth = None

    def _committed(self, execution: LiveExecution, checkpoint: Checkpoint, folded: Folded | None) -> None:
        execution.seq = checkpoint.seq
        execution.conflicts = 0
        execution.lost_tasks = checkpoint.lost_tasks
        execution.unwritten = None
        for mail_id in checkpoint.mail:
            execution.in_hand.discard(mail_id)
            execution.consumed.add(mail_id)
        if execution.birth is not None:
            self._born(execution)
        if folded is not None:
            self._take_over(execution, folded, checkpoint.release)
        elif execution.quarantine is not None:
            self.keeper.quarantine(execution)
        else:
            self.next(execution)

    def _take_over(self, execution: LiveExecution, folded: Folded, release: int | None) -> None:
        """What was folded has happened: the snapshot moves on, and the commands are carried out."""
        transition = folded.transition
        self.transitions += 1
        self.started += transition.first_event_id == 1
        if self._tracer is not None and execution.plan is not None:
            self._tracer(execution.plan, execution.snapshot, transition)
        if self._chronicler is not None and execution.revision_id is not None:
            self._chronicler.happened(execution.revision_id, execution.snapshot.execution, transition)
        execution.snapshot.apply(transition)
        if self._observer is not None:
            self._tell(self._observer, execution, transition)
        self._settle(execution, folded.answered)
        if release is not None:
            self.keeper.released(execution)
            return
        if transition.ending is None and execution.quarantine is not None:
            self.keeper.quarantine(execution)
            return
        for command in () if execution.fault is not None else transition.commands:
            self._carry_out(execution, command)
        if transition.ending is not None:
            self._end(execution, transition.ending)
        else:
            self.next(execution)
        self._wake()  # timers were started, and a committer that answers late keeps time from jumping no longer

    def _tell(self, observer: Observer, execution: LiveExecution, transition: Transition) -> None:
        try:
            observer(execution.arn, transition)
        except Exception as error:  # noqa: BLE001  user code; it must not end the engine under the other executions
            self.halt(execution, error, "Engine.ObserverFailed")

    def next(self, execution: LiveExecution) -> None:
        """Goes on with an execution of which nothing is being written any more."""
        if execution.mailbox:
            self._ready.append(execution)
            self._wake()
            return
        execution.is_busy = False
        self.tasks.start_held(execution)
        if not execution.is_busy:
            self.keeper.idle(execution)

    def _carry_out(self, execution: LiveExecution, command: Command) -> None:
        match command:
            case ScheduleTask():
                self.tasks.schedule(execution, command)
            case StartTimer(timer_id, due, heartbeat):
                self.start_timer(execution, (timer_id, heartbeat), due)
            case CancelTask(task_id):
                task = execution.tasks.get(task_id)
                if task is not None:
                    self.tasks.cancel(task)
                    self._settle(execution, (task,))
            case MailContinue():
                execution.mailbox.append(Continue())

    def _settle(self, execution: LiveExecution, tasks: Iterable[OpenTask]) -> None:
        """Forgets Tasks that nobody waits for any more, and their timers."""
        for task in tasks:
            if execution.tasks.pop(task.task_id, None) is None:
                continue
            task.is_over = True
            for heartbeat in (False, True):
                timer = execution.timers.pop((task.task_id, heartbeat), None)
                if timer is not None:
                    self._timers.cancel(timer)

    def _end(self, execution: LiveExecution, ending: Ending) -> None:
        execution.ending = ending
        execution.stopped_at = execution.snapshot.last_time
        self.ended[ending.status] = self.ended.get(ending.status, 0) + 1
        if ending.frame is not None:
            failed = execution.snapshot.frames.get(ending.frame)
            execution.failed_input = None if failed is None else failed.input
        self.retire(execution)

    def retire(self, execution: LiveExecution) -> None:
        """Of an execution that is over nothing is left but how it ended."""
        if execution.ended is not None:
            execution.ended.set()
        self.drop(execution)

    def drop(self, execution: LiveExecution) -> None:
        """Lets go of an execution: it is over, or somebody else's from now on."""
        for task in list(execution.tasks.values()):
            self.tasks.cancel(task)
            self._settle(execution, (task,))
        for timer in execution.timers.values():
            self._timers.cancel(timer)
        execution.timers.clear()
        execution.mailbox.clear()
        execution.is_busy = True  # so that late mail makes nobody ready; a redrive begins anew
        execution.is_gone = True
        # Another one: the checkpoint that is being written, perhaps for the second time, still reads the old one.
        execution.snapshot = Snapshot(execution=execution.snapshot.execution)
        execution.unwritten = None
        self.live.pop(execution.execution_id, None)
        self.resting.discard(execution.execution_id)
        self._on_leaving(execution)


def _may_defer(execution: LiveExecution, folded: Folded) -> bool:
    """Whether what was folded may stay in memory alone. Of what dies with its workers each step is to be known."""
    return (
        execution.snapshot.execution.type == "EXPRESS"
        and execution.birth is None
        and execution.lost_tasks is None
        and execution.quarantine is None
        and folded.transition.ending is None
        and not folded.tokens
        and not (execution.unwritten is not None and execution.unwritten.is_full)
        and may_wait(folded.posts)
    )


def _take_together(execution: LiveExecution) -> list[Post]:
    """Takes what may be folded together out of the mailbox."""
    mailbox = execution.mailbox
    if len(mailbox) == 1 or execution.lost_tasks is not None:
        return [mailbox.popleft()]  # of a suspect one by one: what kills workers is not to take others' results along
    return [mailbox.popleft() for _ in range(min(len(mailbox), TOGETHER_MAX))]


def waiting_event(execution: LiveExecution, make: Callable[[], Any]) -> Any:
    """The event that is set when the execution is over; made by the first who waits."""
    if execution.ended is None:
        execution.ended = make()
    return execution.ended
