"""A worker of the simulated fleet: the runtime's own parts, with threads and event loop played by the simulation."""

from __future__ import annotations

import random
import threading
import zlib
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from engine.errors import ExecutionDoesNotExist, ExecutionNotRedrivable
from engine.integrations.request import Answer, Later, Origin, Submitted
from engine.interpreter.messages import NotReopened, Reopened, ScheduleTask, StartRequested, TaskError, TaskSubmitted
from engine.interpreter.snapshot import Snapshot
from engine.runtime.calls import Outcome, outcome_of
from engine.runtime.clock import StoreClock
from engine.runtime.custody import Custody
from engine.runtime.executions import Executions
from engine.runtime.housekeeping import Housekeeping
from engine.runtime.jobs import Jobs
from engine.runtime.lease import Lease
from engine.runtime.live import LiveExecution
from engine.runtime.observers import Watchers
from engine.runtime.open_task import OpenTask
from engine.runtime.reopening import reopened
from engine.runtime.room import Room
from engine.runtime.task_requests import task_request
from engine.runtime.tasks import WORKER_LOST
from engine.runtime.timers import Timers
from engine.runtime.writer import Item, Writer, in_groups
from engine.store.hints import Hint
from engine.store.protocol import DEFAULT_POOL, OwnershipLost, StoreUnavailable
from tests.simulation.network import Crash, Line
from tests.simulation.programs import CHILD, JOB

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from engine.interpreter.messages import ReadItems, ReopenChild, WriteResults
    from engine.interpreter.plan import Plan
    from engine.runtime.writer import Answered, Fate
    from engine.store.hints import Heard, HintKind
    from engine.store.library import Library
    from engine.store.protocol import Birth, Checkpoint, ExecutionId, Release, RevisionId
    from tests.simulation.world import Simulation

CONCURRENCY = 6

FAMILIES = 2
"""Of handlers; a worker may lack one of them."""


class SimulatedJobs(Jobs):
    """`Jobs`, where a question is a moment at which it will be answered."""

    def __init__(self, worker: SimulatedWorker) -> None:
        unused: Any = None
        ended = {"succeeded": 0, "failed": 0, "cancelled": 0}
        super().__init__(
            executions=worker.executions, workplace=unused, clock=worker.clock, ended=ended, on_broken=unused
        )
        self.asked: dict[int, tuple[OpenTask, float]] = {}
        self._worker = worker

    def poll(self, task: OpenTask) -> None:
        task.phase = "POLLING"
        simulation = self._worker.simulation
        self.asked[id(task)] = (task, simulation.time + simulation.draw.choice([0.0, 0.1, 5.0]))

    def answer(self, key: int) -> None:
        task, _ = self.asked.pop(key)
        if task.is_over:
            return
        assert task.job is not None
        done = self._worker.simulation.job_answer(task)
        self._answered(task, Later() if done is None else Answer(done.output, done.output_bytes))

    def stop(self, task: OpenTask) -> None:
        self._worker.simulation.job_stopped(task)


class SimulatedTasks:
    """`Tasks`, where a handler is a moment at which it will be done."""

    def __init__(self, worker: SimulatedWorker) -> None:
        self.in_flight = self.apart = 0
        self.running: dict[int, tuple[OpenTask, ScheduleTask, float]] = {}
        self.jobs = SimulatedJobs(worker)
        self._worker = worker

    def schedule(self, execution: LiveExecution, command: ScheduleTask) -> None:
        self._start(self.open(execution, command))

    def start_held(self, execution: LiveExecution) -> None:
        for task in list(execution.tasks.values()):
            self._start(task)

    def start_waiting(self) -> None:
        """No Task waits for its turn here."""

    def open(self, execution: LiveExecution, command: ScheduleTask) -> OpenTask:
        phase = "OUTSIDE" if command.submitted else "HELD"
        origin = Origin(execution.execution_id, command.task_id, execution.pool)
        request = task_request(execution.snapshot.execution, command, origin)
        task = OpenTask(execution, command.task_id, request, None, phase)  # type: ignore[arg-type]
        if self._worker.knows(command):
            task.handler = command  # type: ignore[assignment]  what it is, instead of who does it
        elif not command.submitted:
            task.phase = "MISSING"
        execution.tasks[command.task_id] = task
        if command.job is not None:
            task.job = command.job
            self.jobs.watch(task, self._worker.clock.now())
        return task

    def _start(self, task: OpenTask) -> None:
        if task.phase != "HELD" or not self._worker.may_start():
            return
        command: Any = task.handler
        task.phase = "RUNNING"
        task.scope = object()  # type: ignore[assignment]
        self.in_flight += 1
        seconds = self._worker.simulation.dispatched(self._worker, task.execution, command)
        self.running[id(task)] = (task, command, self._worker.simulation.time + seconds)

    def finish(self, key: int) -> None:
        task, command, _ = self.running.pop(key)
        self.in_flight -= 1
        task.scope = None
        if task.is_over:
            return
        mail = self._worker.executions.mail
        simulation = self._worker.simulation
        answer = simulation.answer(task.execution, command)
        if command.resource in (JOB, CHILD) and not isinstance(answer, TaskError):
            key = task.request.idempotency_key
            if command.resource == JOB:
                simulation.job_begun(key, command, answer)
                self.jobs.begun(task, Submitted({}, key))
            else:
                self.jobs.begun(task, Submitted({}, key, simulation.child_begun(task)))
        elif command.task_token is not None and not isinstance(answer, TaskError):
            task.phase = "OUTSIDE"
            self._worker.simulation.submitted(task.execution, command, answer)
            mail(task.execution, TaskSubmitted(command.task_id, {}))
        else:
            mail(task.execution, answer)

    def stop(self, task: OpenTask) -> None:
        self.cancel(task)
        if task.job is not None and task.job.child is None:
            self.jobs.stop(task)

    def poll(self, task: OpenTask) -> None:
        self.jobs.poll(task)

    def forget(self, task: OpenTask) -> None:
        self.jobs.forget(task)

    def mailed(self, execution_ids: Iterable[ExecutionId]) -> None:
        for execution_id in execution_ids:
            self._worker.housekeeping.hint(execution_id)

    def cancel(self, task: OpenTask) -> None:
        task.is_over = True
        if self.running.pop(id(task), None) is not None:
            self.in_flight -= 1

    def interrupt(self, task: OpenTask) -> OpenTask | None:
        if task.scope is None or task.is_over:
            return None
        self.cancel(task)
        again = OpenTask(task.execution, task.task_id, task.request, task.handler, "HELD")
        again.early = task.early
        task.execution.tasks[task.task_id] = again
        return again

    def lose(self, task: OpenTask) -> bool:
        if not self._worker.simulation.fails_on_loss(task.execution, task.request.state):
            return False
        self._worker.executions.mail(task.execution, TaskError(task.task_id, WORKER_LOST, "lost"))
        return True


class NoFiles:
    """`MapData` of Maps whose items are their input and whose results are their output."""

    def ask(self, execution: LiveExecution, command: ReadItems | WriteResults) -> None:
        raise AssertionError("nothing is to be read or written")

    def forget(self, execution: LiveExecution) -> None:
        """There is nothing to forget."""


class SimulatedReopening:
    """`Reopening`: each try is a moment, of a thread of the process."""

    def __init__(self, worker: SimulatedWorker) -> None:
        self._worker = worker
        library: Any = Line(worker.simulation, worker, worker.simulation.store)
        self._library: Library = library

    def reopen(self, execution: LiveExecution, command: ReopenChild) -> None:
        execution.reopening += 1
        self._soon(execution, command)

    def _soon(self, execution: LiveExecution, command: ReopenChild) -> None:
        simulation = self._worker.simulation
        seconds = max(simulation.draw.choice([0.0, 0.2, 0.2, 3.0]), self._worker.paused_until - simulation.time)
        simulation.at(seconds, partial(self._worker.run, partial(self._try, execution, command)))

    def _try(self, execution: LiveExecution, command: ReopenChild) -> None:
        if self._worker.is_dead:
            return
        if self._worker.paused_until > self._worker.simulation.time:
            self._soon(execution, command)
            return
        outcome = outcome_of(partial(reopened, self._library, command))
        self._worker.post("reopener", partial(self._tried, execution, command, outcome))

    def _tried(self, execution: LiveExecution, command: ReopenChild, outcome: Outcome[bool]) -> None:
        try:
            is_done = outcome()
            if is_done:
                self._worker.executions.mail(execution, Reopened(command.execution_id))
        except (ExecutionNotRedrivable, ExecutionDoesNotExist) as error:
            self._worker.executions.mail(execution, NotReopened(command.execution_id, error.message))
            is_done = True
        except StoreUnavailable:
            is_done = False
        if not (is_done or execution.is_gone):
            self._soon(execution, command)
            return
        self._worker.housekeeping.heard(Hint("START"))
        execution.reopening -= 1
        if not (execution.reopening or execution.is_busy or execution.is_gone):
            self._worker.custody.idle(execution)


class SimulatedWriterThread:
    """`GroupCommitter`, one turn at a time."""

    def __init__(self, worker: SimulatedWorker, writer: Writer) -> None:
        self.pending = 0
        self.queue: deque[Item | Callable[[], None]] = deque()
        self._worker = worker
        self._writer = writer
        self.renew_at = worker.lease.monotonic() + worker.lease.renew_seconds

    def submit(self, written: Checkpoint | Release, answer: Callable[[Fate, str], None]) -> None:
        self.pending += 1
        self.queue.append(Item(written, self._writer.incarnation, answer))

    def enlist(self, answered: Callable[[Outcome[None]], None]) -> None:
        self.queue.append(lambda: self._worker.post("writer", partial(answered, outcome_of(self._writer.enlist))))

    def recover(self, answered: Callable[[Outcome[None]], None]) -> None:
        self.queue.append(lambda: self._worker.post("writer", partial(answered, outcome_of(self._writer.recover))))

    def turn(self) -> None:
        waiting, self.queue = self.queue, deque()
        for group in in_groups(item for item in waiting if isinstance(item, Item)):
            self._worker.post("writer", partial(self._answer, self._writer.write(group)))
        if self._worker.lease.monotonic() >= self.renew_at:
            self._renew()
        for other in waiting:
            if not isinstance(other, Item):
                other()

    def _renew(self) -> None:
        if self._writer.incarnation:
            try:
                self._writer.renew()
            except OwnershipLost:
                self._worker.lease.lose()
                self._worker.post("writer", self._worker.lost)
            except StoreUnavailable:
                pass
        self.renew_at = self._worker.lease.monotonic() + self._worker.lease.renew_seconds

    def _answer(self, answered: list[Answered]) -> None:
        self.pending -= len(answered)
        is_lost = False
        for item, fate, reason in answered:
            is_lost |= fate == "LOST" and item.incarnation == self._writer.incarnation
            item.answer(fate, reason)
        if is_lost:
            self._worker.lost()


class SimulatedClerk:
    """`ThreadCalls`, one call at a time."""

    def __init__(self, worker: SimulatedWorker) -> None:
        self.queue: deque[tuple[Callable[[], Any], Callable[[Outcome[Any]], None]]] = deque()
        self._worker = worker

    def ask(self, function: Callable[[], Any], answered: Callable[[Outcome[Any]], None]) -> None:
        self.queue.append((function, answered))

    def turn(self) -> None:
        function, answered = self.queue.popleft()
        self._worker.post("clerk", partial(answered, outcome_of(function)))


class Shutting(threading.Event):
    """`Writer.closing`: waiting for it is standing still in the simulation's time."""

    def __init__(self, worker: SimulatedWorker) -> None:
        super().__init__()
        self._worker = worker

    def wait(self, timeout: float | None = None) -> bool:
        assert timeout is not None
        self._worker.simulation.stand_still_for(self._worker, timeout)
        return False


class SimulatedHints:
    """`Hints`, and the thread that hears them: what it does at once is done at once, unless the process stands still.

    Attributes:
        is_present: The server sees that the process is connected. What it sees the process may see later.
    """

    are_endings_wanted = False

    def __init__(self, worker: SimulatedWorker) -> None:
        self.are_heard = self.is_present = False
        self._worker = worker

    def connect(self) -> None:
        """Tries to, until it can."""
        worker, simulation = self._worker, self._worker.simulation
        if not simulation.has_hints or worker.is_dead:
            return
        if simulation.is_down or worker.is_cut_off or worker.paused_until > simulation.time:
            simulation.at(simulation.draw.uniform(0.03, 0.2), self.connect)
            return
        self.are_heard = self.is_present = worker.lease.is_present = True
        worker.post("hints", partial(worker.housekeeping.heard, Hint("CONNECTED")))

    def lose(self) -> None:
        """The server has closed the connection."""
        if self.is_present:
            self.is_present = False
            self._worker.simulation.at(0.01, self._notice)

    def _notice(self) -> None:
        worker, simulation = self._worker, self._worker.simulation
        if worker.paused_until > simulation.time:
            simulation.at(worker.paused_until - simulation.time, self._notice)
            return
        self.are_heard = worker.lease.is_present = False
        worker.lease.doubt()
        worker.writing.renew_at = 0.0
        worker.post("hints", partial(worker.housekeeping.heard, Hint("DISCONNECTED")))
        simulation.at(simulation.draw.choice([0.0, 0.1, 3.0, 30.0]), self.connect)

    def tell(self, kind: HintKind, about: Collection[str] = ()) -> None:
        """Everybody else hears it, or not."""
        for other in self._worker.simulation.workers:
            if other is not self._worker and other.hints.are_heard and not self._worker.simulation.chance(0.1):
                self._worker.simulation.at(0.02, partial(other.hints.hear, Hint(kind, frozenset(about))))

    def hear(self, hint: Hint) -> None:
        if hint.kind == "SILENT":
            self._worker.writing.renew_at = 0.0
        self._worker.post("hints", partial(self._worker.housekeeping.heard, hint))

    def listen(self, heard: Heard) -> None:
        """`hear` is called instead."""

    def ignore(self, heard: Heard) -> None:
        """`hear` is called instead."""


class SimulatedWorker:
    """One process."""

    def __init__(self, simulation: Simulation, name: str) -> None:
        self.simulation = simulation
        self.name = name
        self.is_dead = False
        self.is_cut_off = False
        self.paused_until = 0.0
        self.busy: set[str] = set()  # threads that are inside a call
        self.started_at = simulation.time
        draw = simulation.draw
        self.lacks: int | None = draw.choice([None, *range(FAMILIES)]) if simulation.faults.gaps else None
        drift, offset = 1 + draw.uniform(-0.01, 0.01), draw.uniform(0, 1_000)
        self.lease = Lease(simulation.lease_seconds, monotonic=lambda: simulation.time * drift + offset)
        self.clock = StoreClock(self.lease.monotonic)
        self.handle = simulation.store.handle()
        line: Any = Line(simulation, self, self.handle)
        writer = Writer(
            line,
            lease=self.lease,
            clock=self.clock,
            chance=random.Random(draw.random()),
            pools=[DEFAULT_POOL],
            host=name,
            pid=1,
        )
        writer.closing = Shutting(self)
        self.inbox: deque[Callable[[], None]] = deque()
        self.outboxes: dict[str, deque[Callable[[], None]]] = {"writer": deque(), "clerk": deque(), "hints": deque()}
        self.outboxes["reopener"] = deque()
        self.slow_until = dict.fromkeys(self.outboxes, 0.0)
        self.writing = SimulatedWriterThread(self, writer)
        self.clerk = SimulatedClerk(self)
        self.timers: Timers[LiveExecution] = Timers()
        self.executions = Executions(
            clock=self.clock,
            chance=random.Random(draw.random()),
            committer=self.writing,
            timers=self.timers,
            wake=lambda: None,
            on_leaving=lambda execution: None,
            on_born=lambda parent, execution_ids: self.housekeeping.heard(Hint("START")),
            watchers=Watchers(),
            defers=True,
        )
        self.executions.map_data = NoFiles()
        self.executions.reopening = SimulatedReopening(self)
        self.custody = self.executions.keeper = Custody(
            store=line,
            calls=self.clerk,
            committer=self.writing,
            executions=self.executions,
            timers=self.timers,
            clock=self.clock,
            parks=True,
            on_lost=self.lost,
        )
        self.hints = SimulatedHints(self)
        self.tasks = SimulatedTasks(self)
        self.executions.tasks = self.custody.tasks = self.tasks
        self.housekeeping = Housekeeping(
            store=line,
            calls=self.clerk,
            slow_calls=self.clerk,
            custody=self.custody,
            executions=self.executions,
            plans=self,
            committer=self.writing,
            clock=self.clock,
            lease=self.lease,
            sweep=lambda: 0,
            sample=lambda: None,
            notice=lambda event, **about: None,
            free=self.free,
            free_chunks=Room(self.executions, self.tasks, CONCURRENCY).free_chunks,
            dispatch=self._dispatch,
            claims=True,
            hints=self.hints,
            poll_seconds_max=10.0,
        )
        self.tick_at = self.lease.monotonic()
        self.housekeeping.begin()
        self.hints.connect()

    def load(self, revision_ids: Collection[RevisionId]) -> Mapping[RevisionId, Plan | Exception]:
        return {revision_id: self.simulation.plans[revision_id] for revision_id in revision_ids}

    def knows(self, command: ScheduleTask) -> bool:
        """Whether it has a handler for this Task: functions may be named by data, so iterations differ as well."""
        return (zlib.crc32(command.state.encode()) + command.task_id[1]) % FAMILIES != self.lacks

    def lost(self) -> None:
        self.housekeeping.lost()

    def may_start(self) -> bool:
        return self.housekeeping.may_start()

    def free(self) -> int:
        if not self.housekeeping.is_enlisted or not self.lease.is_safe:
            return 0
        in_hand = len(self.executions.live) - len(self.executions.resting)
        return max(0, CONCURRENCY - max(self.tasks.in_flight, in_hand))

    def _dispatch(self) -> None:
        for execution in self.executions.at_work:
            if not execution.is_busy:
                self.tasks.start_held(execution)

    def start(self, execution_id: ExecutionId, birth: Birth, plan: Plan, told: Callable[[Fate, str], None]) -> None:
        live = LiveExecution(execution_id, plan, Snapshot(execution=birth.execution), 0, birth)
        live.on_birth = told
        self.executions.add(live)
        self.executions.mail(live, StartRequested(None))

    def post(self, thread: str, function: Callable[[], None]) -> None:
        """Into the event loop, from one of the threads: in its order, but the other may be faster."""
        self.outboxes[thread].append(function)
        if self.simulation.chance(self.simulation.faults.slow):
            self.slow_until[thread] = self.simulation.time + self.simulation.draw.choice([0.5, 5.0, 12.0])

    # ── turns ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def possible(self) -> list[Callable[[], None]]:
        """What could happen next in this process."""
        if self.is_dead or self.paused_until > self.simulation.time:
            return []
        time, now = self.simulation.time, self.lease.monotonic()
        turns: list[Callable[[], None]] = []
        if (self.writing.queue or now >= self.writing.renew_at) and "writer" not in self.busy:
            turns.append(partial(self._threaded, "writer", self.writing.turn))
        if self.clerk.queue and "clerk" not in self.busy:
            turns.append(partial(self._threaded, "clerk", self.clerk.turn))
        for thread, outbox in self.outboxes.items():
            if outbox and self.slow_until[thread] <= time:
                turns.append(partial(self._hand_over, outbox))
        if self.inbox:
            turns.append(self._receive)
        if self.executions.has_ready:
            turns.append(self.executions.fold_one)
        for key, (_, _, at) in self.tasks.running.items():
            if at <= time:
                turns.append(partial(self.tasks.finish, key))
        for key, (_, at) in self.tasks.jobs.asked.items():
            if at <= time:
                turns.append(partial(self.tasks.jobs.answer, key))
        if self.housekeeping.is_enlisted and (due := self.timers.next_due()) is not None and due <= self.clock.now():
            turns.append(lambda: self.executions.mail_due(self.clock.now()) and None)
        if self.tick_at <= now:
            turns.append(self._tick)
        return turns

    def run(self, turn: Callable[[], None]) -> None:
        try:
            turn()
        except Crash:
            self.simulation.crashed(self)

    def _hand_over(self, outbox: deque[Callable[[], None]]) -> None:
        self.inbox.append(outbox.popleft())

    def _receive(self) -> None:
        self.inbox.popleft()()
        self.tick_at = 0.0

    def _tick(self) -> None:
        # A turn of the loop ticks whatever it did before; here the two may lie apart.
        self.tick_at = max(self.housekeeping.tick(), self.lease.monotonic() + 0.001)

    def _threaded(self, thread: str, turn: Callable[[], None]) -> None:
        self.busy.add(thread)
        try:
            turn()
        finally:
            self.busy.discard(thread)

    def next_time(self) -> float:
        """When something will be possible, as far as time alone makes it so; seconds of the simulation."""
        if self.is_dead:
            return float("inf")
        if self.paused_until > self.simulation.time:
            return self.paused_until
        now = self.lease.monotonic()
        ahead = [self.tick_at - now]
        if "writer" not in self.busy:
            ahead.append(self.writing.renew_at - now)
        if self.housekeeping.is_enlisted and (due := self.timers.next_due()) is not None:
            ahead.append((due + 1 - self.clock.now()) / 1_000)
        ahead += [self.slow_until[thread] - self.simulation.time for thread, outbox in self.outboxes.items() if outbox]
        ahead += [at - self.simulation.time for _, _, at in self.tasks.running.values()]
        ahead += [at - self.simulation.time for _, at in self.tasks.jobs.asked.values()]
        return self.simulation.time + max(0.0, min(ahead)) * 1.02
