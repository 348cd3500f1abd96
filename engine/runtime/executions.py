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
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

import msgspec

from engine.integrations.invocation import message_of
from engine.interpreter.advance import advance_together, time_limit
from engine.interpreter.messages import (
    NO_TICKET,
    CancelTask,
    ChildDone,
    Continue,
    MailContinue,
    ReadItems,
    ReopenChild,
    RunChild,
    ScheduleTask,
    SendEvent,
    StartChild,
    StartTimer,
    StopChildren,
    StopRequested,
    TimerDue,
    WriteResults,
)
from engine.interpreter.snapshot import Snapshot
from engine.runtime.checkpoints import Checkpoints
from engine.runtime.folded import Folded, may_defer, take_together
from engine.runtime.map_children import MapChildren
from engine.runtime.unwritten import CHUNK_MS, Unwritten
from engine.store.protocol import Checkpoint, ExecutionId, Mail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from engine.interpreter.messages import Command, Event
    from engine.interpreter.snapshot import Ending, Transition
    from engine.query.evaluation import Chance
    from engine.runtime.clock import Clock
    from engine.runtime.collaborators import Keeper, MapData, Reopener, TaskStarter
    from engine.runtime.committer import Committer
    from engine.runtime.live import LiveExecution, Post
    from engine.runtime.observers import Observer, Watchers
    from engine.runtime.open_task import OpenTask
    from engine.runtime.timers import Key, Timers
    from engine.runtime.writer import Fate
    from engine.store.protocol import ExecutionStatus

_MS_PER_SECOND = 1_000

_TIMERS_OF_A_TASK: Final = (False, True, "POLL")
_WRITE: Final[Key] = (NO_TICKET, "WRITE")

_CONFLICTS_MAX = 50
"""In a row, of one execution. Each has a cause that loading it again takes away; more must be an error of ours."""

DELETED = "The state machine was deleted"
"""Cause of the executions that are ABORTED because of it. What AWS says is not known."""

_TRACE_CHARACTERS_MAX = 4_000


class ExecutionQuarantined(Exception):
    """The engine itself failed on this execution, and on it alone; it was left as it was. `__cause__` tells why."""


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
        children: Express children of map runs.
        doomed: Since when which state machines, by ARN, are being deleted: their executions end at their next event.
        ended_of_doomed: Of those the ones of which an execution has ended here, until somebody takes them out.
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
        on_born: Callable[[LiveExecution, Sequence[ExecutionId]], None],
        watchers: Watchers,
        defers: bool = False,
        keeps_born: bool = False,
    ) -> None:
        """Nothing is live yet.

        Args:
            wake: Called when there is something to fold.
            on_leaving: Called when an execution is over or not here.
            on_born: Called when an execution has had others begin, which anybody may have.
            defers: Whether Express executions run in memory, without a checkpoint for each step.
            keeps_born: Whether this worker owns what its executions have begin.
        """
        self.live: dict[ExecutionId, LiveExecution] = {}
        self.known: WeakValueDictionary[str, LiveExecution] = WeakValueDictionary()
        self.transitions = self.started = 0
        self.ended: dict[ExecutionStatus, int] = {}
        self.doomed: Mapping[str, int] = {}
        self.ended_of_doomed: set[str] = set()
        self.arrivals: set[ExecutionId] | None = None
        self.resting: set[ExecutionId] = set()
        self.tasks: TaskStarter
        self.keeper: Keeper
        self.map_data: MapData
        self.reopening: Reopener
        self.children = MapChildren(self, clock)
        self._clock = clock
        self._chance = chance
        self._committer = committer
        self._timers = timers
        self._wake = wake
        self._on_leaving = on_leaving
        self._on_born = on_born
        self._observer = watchers.observer
        self._tracer = watchers.tracer
        self._chronicler = watchers.chronicler
        self._defers = defers
        self._checkpoints = Checkpoints(watchers.chronicler, chance, keeps_born=keeps_born)
        self._ready: deque[LiveExecution] = deque()

    @property
    def has_ready(self) -> bool:
        """Whether there is something to fold."""
        return bool(self._ready)

    @property
    def at_work(self) -> list[LiveExecution]:
        """All whose Tasks are this worker's: those of `live`, and the Express children of the chunks among them."""
        live = list(self.live.values())
        return live + [child for execution in live for child in execution.children.values()]

    def add(self, execution: LiveExecution) -> None:
        """Takes an execution that was started, or claimed."""
        self.live[execution.execution_id] = execution
        if execution.snapshot.execution.role == "CHUNK":
            self.children.hold(execution)
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
            if isinstance(mail.event, ChildDone):
                task = execution.tasks.get(mail.event.answer.task_id)
                if task is not None and task.phase in ("HELD", "QUEUED", "RUNNING"):
                    task.early = mail  # what was submitted comes first, as it came
                    return
            execution.mailbox.append(mail)
            self._make_ready(execution)

    def deliver_early(self, execution: LiveExecution, tasks: Iterable[OpenTask]) -> None:
        """Puts into the mailbox what came before its time for these Tasks."""
        for task in tasks:
            if task.early is not None:
                execution.mailbox.append(task.early)
                task.early = None
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
            task_id, kind = key
            task = execution.tasks.get(task_id) if kind else None
            if kind == "WRITE":
                self._write_due(execution)
            elif kind == "POLL":
                assert task is not None, "its timers go with a Task"
                self.tasks.poll(task)
            elif task is not None and task.task_token is not None:
                self.keeper.heartbeat_due(execution, task)
            else:
                self.mail(execution, TimerDue(task_id, kind))
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

    def rest(self, execution: LiveExecution) -> None:
        """It only waits, and stays in memory. A chunk with children does what these do."""
        if execution.execution_id not in self.children.chunks:
            self.resting.add(execution.execution_id)

    def heartbeat(self, execution: LiveExecution, task: OpenTask) -> None:
        """Starts a Task's HeartbeatSeconds anew."""
        timer = execution.timers.get((task.task_id, True))
        if timer is not None:
            assert task.heartbeat_seconds is not None
            self._timers.postpone(timer, self._clock.now() + task.heartbeat_seconds * _MS_PER_SECOND)

    def start_timer(self, execution: LiveExecution, key: Key, due: int) -> None:
        """Sets a timer, in place of the one with this key. No event of the interpreter's comes after `time_limit`."""
        if key[1] is False:
            due = min(due, time_limit(execution.snapshot.execution, execution.snapshot.redrives))
        before = execution.timers.get(key)
        if before is not None:
            self._timers.cancel(before)
        execution.timers[key] = self._timers.start(execution, key, due)
        self._wake()

    def halt(self, execution: LiveExecution, fault: BaseException, error: str) -> None:
        """Ends an execution that cannot go on here as ABORTED; whoever waits for it gets `fault`."""
        if not execution.is_over:
            execution.fault = fault
            self.mail(execution, StopRequested(error, message_of(fault)))

    def quarantine(self, execution: LiveExecution, error: Exception) -> None:
        """Leaves an execution alone that the engine itself failed on, as it last was."""
        import structlog

        if execution.in_chunk is not None:
            execution = execution.in_chunk  # it has no row of its own

        # As text: what renders an exception may show the frames' variables, credentials among them.
        trace = "".join(traceback.format_exception(error))
        structlog.get_logger().error("execution quarantined", execution=execution.arn, exception=trace)
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
        if execution.in_chunk is None:
            self.resting.discard(execution.execution_id)
        else:
            self.children.stir(execution)
        try:
            self._fold_posts(execution, take_together(execution))
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
        if execution.in_chunk is not None:
            self._take_over(execution, folded, None)
            return
        if self._defers and may_defer(execution, folded, self._clock.now()):
            if execution.unwritten is None:
                execution.unwritten = Unwritten(execution.snapshot, self._clock.now())
            execution.unwritten.add(transition, folded.mail)
            if execution.snapshot.execution.role == "CHUNK" and _WRITE not in execution.timers:
                self.start_timer(execution, _WRITE, self._clock.now() + CHUNK_MS)
            self._take_over(execution, folded, None)
            return
        self._submit(execution, self._checkpoints.of(execution, transition, folded, self.keeper), folded)

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

    def _write_due(self, execution: LiveExecution) -> None:
        """What the children of a chunk did for a while is written, be they all that moves: see `CHUNK_MS`."""
        if execution.unwritten is not None and not execution.is_busy:
            self.write(execution)

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
        if checkpoint.sent:
            self.tasks.mailed([mail.execution_id for mail in checkpoint.sent])
        if checkpoint.born:
            self._on_born(execution, [execution_id for execution_id, _ in checkpoint.born])
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
        if execution.snapshot.execution.is_shown:
            self._show(execution, transition)
        else:
            execution.snapshot.apply(transition)
        if transition.ending is None:
            execution.ending = None  # one that was redriven was loaded as it had ended
        self._settle(execution, folded.answered)
        if release is not None:
            for command in transition.commands:
                if isinstance(command, CancelTask):
                    self.carry_out(execution, command)
            self.keeper.released(execution)
            return
        if transition.ending is None and execution.quarantine is not None:
            self.keeper.quarantine(execution)
            return
        for command in () if execution.fault is not None else transition.commands:
            self.carry_out(execution, command)
        if transition.ending is not None:
            self._end(execution, transition.ending)
        else:
            self.next(execution)
        self._wake()  # timers were started, and a committer that answers late keeps time from jumping no longer

    def _show(self, execution: LiveExecution, transition: Transition) -> None:
        """Tells whoever wants to know, and has the snapshot move on in between."""
        self.started += transition.first_event_id == 1
        if self._tracer is not None and execution.plan is not None:
            self._tracer(execution.plan, execution.snapshot, transition)
        if self._chronicler is not None and execution.revision_id is not None:
            self._chronicler.happened(execution.revision_id, execution.snapshot.execution, transition)
        execution.snapshot.apply(transition)
        if self._observer is not None:
            self._tell(self._observer, execution, transition)

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

    def carry_out(self, execution: LiveExecution, command: Command) -> None:
        """Does what a transition that is written has ordered."""
        match command:
            case ScheduleTask():
                self.tasks.schedule(execution, command)
            case StartTimer(timer_id, due, heartbeat):
                self.start_timer(execution, (timer_id, heartbeat), due)
            case CancelTask(task_id):
                task = execution.tasks.get(task_id)
                if task is not None:
                    self.tasks.stop(task)
                    self._settle(execution, (task,))
            case MailContinue():
                execution.mailbox.append(Continue())
            case RunChild():
                self.children.run(execution, command)
            case StopChildren():
                self.children.stop(execution)
            case ReadItems() | WriteResults():
                self.map_data.ask(execution, command)
            case ReopenChild():
                self.reopening.reopen(execution, command)
            case StartChild() | SendEvent():
                pass  # written with the transition

    def _settle(self, execution: LiveExecution, tasks: Iterable[OpenTask]) -> None:
        """Forgets Tasks that nobody waits for any more, and their timers."""
        for task in tasks:
            if execution.tasks.pop(task.task_id, None) is None:
                continue
            task.is_over = True
            self.tasks.forget(task)
            if task.early is not None:
                execution.mailbox.append(task.early)  # to be dropped as every late answer is
            for kind in _TIMERS_OF_A_TASK:
                timer = execution.timers.pop((task.task_id, kind), None)
                if timer is not None:
                    self._timers.cancel(timer)

    def _end(self, execution: LiveExecution, ending: Ending) -> None:
        execution.ending = ending
        execution.stopped_at = execution.snapshot.last_time
        if execution.snapshot.execution.is_shown:
            self.ended[ending.status] = self.ended.get(ending.status, 0) + 1
        if self.doomed and execution.snapshot.execution.state_machine_arn in self.doomed:
            self.ended_of_doomed.add(execution.snapshot.execution.state_machine_arn)
        if ending.frame is not None:
            failed = execution.snapshot.frames.get(ending.frame)
            execution.failed_input = None if failed is None else failed.input
        self.retire(execution)

    def retire(self, execution: LiveExecution) -> None:
        """Of an execution that is over nothing is left but how it ended."""
        if execution.ended is not None:
            execution.ended.set()
        self.keeper.released(execution)

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
        if execution.in_chunk is not None:
            self.children.left(execution)
            return
        is_known = self.live.pop(execution.execution_id, None) is not None
        if execution.snapshot.execution.role == "RUN":
            self.map_data.forget(execution)
        elif execution.snapshot.execution.role == "CHUNK" and is_known:
            self.children.let_go(execution)
        self.resting.discard(execution.execution_id)
        self._on_leaving(execution)
