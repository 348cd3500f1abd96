"""The simulation: several workers over one store, a clock that jumps, and everything that can go wrong.

All of it is decided by one seed. What must never happen is checked where it would happen, and at the end.
"""

from __future__ import annotations

import heapq
import random
import sys
from collections import defaultdict
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from engine.interpreter.advance import EXPRESS_SECONDS_MAX
from engine.interpreter.history import as_aws
from engine.interpreter.messages import NO_TICKET, ScheduleTask, StopRequested, TaskDone, TaskError
from engine.interpreter.snapshot import OnTask, Parent
from engine.jsonvalue import text
from engine.store.memory import MemoryStore, Row
from engine.store.protocol import (
    Birth,
    Checkpoint,
    Conflict,
    ExecutionId,
    Group,
    Mail,
    MailId,
    OwnershipLost,
    RevisionId,
    WorkerId,
)
from engine.uuids import UUID7_BITS, uuid7
from tests.driver import execution_of
from tests.histories import fault_of
from tests.simulation.fleet import SimulatedWorker
from tests.simulation.network import Crash
from tests.simulation.programs import GIVEN, PROGRAMS, Known, known, small

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.interpreter.plan import Plan
    from engine.runtime.live import LiveExecution
    from engine.runtime.open_task import OpenTask
    from engine.runtime.writer import Fate
    from engine.store.memory_handle import Incarnation, MemoryHandle

START = 1_700_000_000.0
LEASE_SECONDS = 15.0
FAULTS_SECONDS = 60.0
PATIENCE_SECONDS = 4_000.0
TURNS_MAX = 120_000
DEPTH_MAX = 3
LONG_SECONDS = 3.0

TaskKey = tuple[ExecutionId, int, int, int]
"""Execution, entered event, attempt, redrive: one Task, whoever runs it."""


class Broken(BaseException):
    """Something happened that must never happen."""


@dataclass
class Faults:
    """How likely each fault is, per call to the store; and how many of those that come by themselves."""

    crash: float
    unreachable: float
    no_answer: float
    late: float
    pause: float
    kills: int
    stops: int  # of whole processes, perhaps for longer than the lease
    outages: int
    cuts: int  # one worker's connection, for a while
    gaps: int  # whether workers lack handlers
    slow: float  # how likely a thread of a worker is not heard for a while
    temptation: float  # how likely a token is answered in the moment in which the store is told something about it
    deaf: int = 0  # one worker's connection for hints, and nothing else

    @classmethod
    def random(cls, draw: random.Random) -> Faults:
        """Some runs are calm, some rude; some know one kind of fault alone."""
        rates = [draw.choice([0, 0.005, 0.03]) for _ in range(5)]
        rates[0] /= 2
        return cls(
            *rates,
            *(draw.choice([0, 1, 2, 3]) for _ in range(4)),
            gaps=draw.choice([0, 1, 1]),
            slow=draw.choice([0, 0.02, 0.1]),
            temptation=draw.choice([0, 0.3, 0.8]),
        )

    @classmethod
    def none(cls) -> Faults:
        return cls(0, 0, 0, 0, 0, 0, 0, 0, 0, gaps=0, slow=0, temptation=0)


OUTAGES = replace(Faults.none(), no_answer=0.01, late=0.01, outages=2)
"""The store goes down, for everybody."""


HINTED = replace(Faults.none(), kills=1, stops=1, outages=1, cuts=1, deaf=4)
"""Faults of whole processes, for runs with connections for hints, which are lost beside."""


@dataclass
class Started:
    """An execution, as those who started it see it."""

    execution_id: ExecutionId
    program: Known
    is_acknowledged: bool = False
    is_stopped: bool = False
    endings: int = 0
    redrives: int = 0
    accepted: dict[str, Any] = field(default_factory=dict)  # by token


class Simulation:
    """One run, decided by its seed."""

    def __init__(
        self,
        seed: int,
        *,
        faults: Faults | None = None,
        workers: int = 3,
        executions: int = 5,
        has_hints: bool = False,
        is_express: bool = False,
    ) -> None:
        """Nothing has happened yet.

        Args:
            is_express: All executions are Express ones: they run in memory, and from their beginning after a death.
            has_hints: Workers are connected for hints.
        """
        self.seed = seed
        self.has_hints = has_hints
        self.is_express = is_express
        self.buried_after: list[float] = []  # seconds since something happened to a worker
        self.draw = random.Random(seed)
        self.faults = Faults.random(self.draw) if faults is None else faults
        self.lease_seconds = LEASE_SECONDS
        self.time = START
        self.is_down = False
        self.store = WatchedStore(self)
        self.client = self.store.handle()
        self.plans: dict[RevisionId, Plan] = {}
        self.started: dict[ExecutionId, Started] = {}
        self.runs: dict[TaskKey, int] = defaultdict(int)
        self.run_by: dict[TaskKey, list[tuple[SimulatedWorker, float]]] = defaultdict(list)
        self.turns = 0
        self.jobs: dict[str, tuple[float, TaskDone]] = {}  # by idempotency key: when it is over, and what it gives
        self.children: dict[str, ExecutionId] = {}
        self._waits: list[tuple[SimulatedWorker, float]] = []
        self._everybody: list[SimulatedWorker] = []  # the dead as well
        self._answers: dict[str, tuple[ExecutionId, Callable[[], None]]] = {}  # by token, which nobody has given yet
        self._disturbed: dict[SimulatedWorker, float] = {}  # when something last happened to a worker
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._agenda_count = 0
        self.workers = [self._new_worker() for _ in range(workers)]
        self._plan(executions)

    # ── the course of things ────────────────────────────────────────────────────────────────────────────────────────

    def _plan(self, executions: int) -> None:
        draw = self.draw
        for _ in range(executions):
            self.at(draw.uniform(0, 20), self._start)
        kinds = [(self.faults.kills, self._kill), (self.faults.stops, self._stop_process)]
        kinds += [(self.faults.outages, self._go_down), (self.faults.cuts, self._cut_off)]
        for count, fault in kinds:
            for _ in range(count):
                self.at(draw.uniform(0, 40), fault)
        self.at(FAULTS_SECONDS, self._calm_down)
        for _ in range(self.faults.deaf):
            self.at(draw.uniform(0, FAULTS_SECONDS), self._go_deaf)
        for seconds in (40, 80, 150):
            self.at(seconds, self._resume_suspects)

    def at(self, seconds: float, act: Callable[[], None]) -> None:
        """Does something after some time."""
        self._agenda_count += 1
        heapq.heappush(self._agenda, (self.time + seconds, self._agenda_count, act))

    def run(self) -> Simulation:
        """Runs until all is over, and checks it."""
        while not self._is_over():
            self.step()
        self._check_end()
        return self

    def step(self) -> None:
        """One thing happens: what is due on the agenda, a turn of a process, or time passes."""
        self.turns += 1
        if self.turns > TURNS_MAX or self.time > START + PATIENCE_SECONDS:
            raise Broken(f"not over after {self.turns} turns and {self.time - START:.0f} s: {self._open()}")
        if self._agenda and self._agenda[0][0] <= self.time:
            heapq.heappop(self._agenda)[2]()
            return
        workers, first = self.workers, int(self.draw.random() * len(self.workers))
        for place in range(first, first + len(workers)):
            worker = workers[place % len(workers)]
            turns = worker.possible()
            if turns:
                worker.run(turns[int(self.draw.random() * len(turns))])
                return
        ahead = [worker.next_time() for worker in self.workers]
        if self._agenda:
            ahead.append(self._agenda[0][0])
        self.time = max(self.time + 0.001, min(ahead))

    def chance(self, likely: float) -> bool:
        return likely > 0 and self.draw.random() < likely

    def _is_over(self) -> bool:
        return (
            len(self.started) > 0
            and self.time >= START + FAULTS_SECONDS
            and not self.store.open
            and all(not worker.executions.live for worker in self.workers if not worker.is_dead)
            and all(one.is_acknowledged for one in self.started.values())
        )

    def _open(self) -> str:
        rows = [(row.seq, row.owner, row.wake_at, len(row.mail), row.quarantine) for row in self.store.open.values()]
        return f"open {rows}"

    # ── faults ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _new_worker(self) -> SimulatedWorker:
        worker = SimulatedWorker(self, f"worker-{len(self._everybody) + 1}")
        self._everybody.append(worker)
        return worker

    def crashed(self, worker: SimulatedWorker) -> None:
        """A process has ended; another one takes its place after a while."""
        if worker.is_dead:
            return
        worker.is_dead = True
        worker.hints.is_present = worker.hints.are_heard = False
        self._disturbed[worker] = self.time
        self.at(self.draw.uniform(0, 20), partial(self._replace, worker))

    def _replace(self, worker: SimulatedWorker) -> None:
        self.workers[self.workers.index(worker)] = self._new_worker()

    def _kill(self) -> None:
        worker = self.draw.choice(self.workers)
        if not worker.is_dead:
            self.crashed(worker)

    def _stop_process(self) -> None:
        worker = self.draw.choice(self.workers)
        worker.paused_until = self.time + self.draw.uniform(5, 60)
        self._disturbed[worker] = self.time

    def _go_deaf(self) -> None:
        """A worker's connection for hints is lost, and nothing else: it lives and can write."""
        self.draw.choice(self.workers).hints.lose()

    def _go_down(self) -> None:
        self.is_down = True
        for worker in self.workers:
            worker.hints.lose()
        self.at(self.draw.uniform(1, 40), self._come_back)

    def _come_back(self) -> None:
        self.is_down = False

    def _cut_off(self) -> None:
        worker = self.draw.choice(self.workers)
        worker.is_cut_off = True
        if self.draw.random() < 0.5:  # else the server does not know yet
            worker.hints.lose()
        self._disturbed[worker] = self.time
        self.at(self.draw.uniform(1, 40), partial(setattr, worker, "is_cut_off", False))

    def _calm_down(self) -> None:
        self.faults = Faults.none()
        for worker in self.workers:
            worker.lacks = None

    def _resume_suspects(self) -> None:
        for row in list(self.store.open.values()):
            if row.quarantine is not None:
                if "workers died" not in row.quarantine:
                    raise Broken(row.quarantine)
                self.store.resume(row.execution.arn)

    def stand_still(self, worker: SimulatedWorker) -> None:
        """The process stops inside a call: the others go on, perhaps for longer than the lease."""
        seconds = self.draw.choice([0.1, 3.0, 12.0, 25.0, 40.0])
        worker.paused_until = max(worker.paused_until, self.time + seconds)
        self._disturbed[worker] = self.time
        self.stand_still_for(worker, seconds)

    def stand_still_for(self, worker: SimulatedWorker, seconds: float) -> None:
        """This thread of the process waits, while everything else goes on."""
        if len(self._waits) >= DEPTH_MAX:
            # Time passes all the same, and nobody does anything meanwhile: all stand still.
            self.time += seconds
            if seconds > LONG_SECONDS:
                for other in self.workers:
                    self._disturbed[other] = self.time
            while self._agenda and self._agenda[0][0] <= self.time:
                heapq.heappop(self._agenda)[2]()
            return
        until = max(self.time + seconds, worker.paused_until)
        self._waits.append((worker, until))
        try:
            while self.time < until:
                self.step()
                # Threads that wait further out go on only after this one; that is their bad luck, if it takes long.
                for outer, wanted in self._waits[:-1]:
                    if self.time > wanted + LONG_SECONDS:
                        self._disturbed[outer] = self.time
        finally:
            self._waits.pop()
        if worker.is_dead:
            raise Crash

    def arrive_later(self, handle: MemoryHandle, call: Callable[[], Any]) -> None:
        """A statement is still on its way when its sender gives it up: the epoch it was sent in decides."""
        me, epoch = handle._me, handle.epoch

        def arrive() -> None:
            if handle._me is me and handle.epoch == epoch:
                try:
                    call()
                except (Conflict, OwnershipLost):
                    return  # nobody is there to hear it

        self.at(self.draw.uniform(0, 10), arrive)

    def buried(self, worker_id: WorkerId) -> None:
        """A worker was declared dead. Whoever lives and reaches the store must not be."""
        for worker in self._everybody:
            if worker.handle._me is not None and worker.handle._me.id == worker_id:
                self.buried_after.append(self.time - self._disturbed.get(worker, float("-inf")))
                can_write = not (worker.is_dead or worker.is_cut_off)
                is_well = can_write and self.time > worker.paused_until + 2 * LEASE_SECONDS
                if self.has_hints and is_well and self.buried_after[-1] > 2 * LEASE_SECONDS:
                    raise Broken(f"{worker.name} was declared dead, though nothing had happened to it")

    # ── executions ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _new_id(self) -> Any:
        return uuid7(self.store.now(), self.draw.getrandbits(UUID7_BITS))

    def _start(self) -> None:
        program = known(self.draw.randrange(PROGRAMS), is_express=self.is_express)
        execution_id = ExecutionId(self._new_id())
        started, birth = self._drafted(execution_id, program, None)
        worker = self.draw.choice(self.workers)
        if self.draw.random() < 0.7 and not worker.is_dead and worker.free():
            worker.start(execution_id, birth, program.plan, partial(self._told, started, birth))
            self.at(60, partial(self._start_again, started, birth, worker))
        else:
            self._start_named(started, birth)
            if self.draw.random() < 0.3:
                self.at(self.draw.uniform(0, 20), partial(self._start_named, started, birth))
        self._plan_for(started)

    def _drafted(self, execution_id: ExecutionId, program: Known, parent: Parent | None) -> tuple[Started, Birth]:
        revision_id = RevisionId(self._new_id())
        self.plans[revision_id] = program.plan
        arn = f"arn:aws:states:us-east-1:123456789012:execution:machine:{execution_id}"
        execution = execution_of(
            GIVEN,
            arn=arn,
            name=str(execution_id),
            type="EXPRESS" if self.is_express else "STANDARD",
            start_time=self.store.now(),
            parent=parent,
        )
        started = self.started[execution_id] = Started(execution_id, program)
        return started, Birth(execution=execution, revision_id=revision_id)

    def _start_named(self, started: Started, birth: Birth) -> None:
        self.client.start_named(started.execution_id, birth)
        started.is_acknowledged = True
        worker = self.draw.choice(self.workers)
        if not worker.is_dead and self.draw.random() < 0.5:
            worker.housekeeping.hint(started.execution_id)

    def _start_again(self, started: Started, birth: Birth, worker: SimulatedWorker) -> None:
        """Whoever gets no answer because the process ended asks another one."""
        if started.is_acknowledged:
            return
        if worker.is_dead:
            self._start_named(started, birth)
        else:
            self.at(10, partial(self._start_again, started, birth, worker))

    def _told(self, started: Started, birth: Birth, fate: Fate, reason: str) -> None:
        if fate == "WRITTEN":
            started.is_acknowledged = True
            if started.execution_id not in self.store.rows:
                raise Broken("a start was acknowledged that is nowhere")
        elif fate == "LOST":
            self._start_named(started, birth)
        else:
            raise Broken(f"a start was refused: {fate} {reason}")

    def _plan_for(self, started: Started) -> None:
        draw = self.draw
        if draw.random() < 0.2:
            self.at(draw.uniform(0, 60), partial(self._stop, started))

    def _stop(self, started: Started) -> None:
        mail = Mail(
            id=MailId(self._new_id()), execution_id=started.execution_id, event=StopRequested("Stopped", "by hand")
        )
        if not self.client.deliver([mail]):
            return
        started.is_stopped = True
        if self.draw.random() < 0.5:  # the sender saw no answer, and sends it again
            self.at(self.draw.uniform(0, 30), partial(self.client.deliver, [mail]))

    def ended(self, row: Row) -> None:
        """A checkpoint with an ending was written."""
        started = self.started[row.execution_id]
        started.endings += 1
        assert row.ending is not None
        if row.ending.status == "ABORTED" and self.draw.random() < 0.7:
            self.at(self.draw.uniform(0, 20), partial(self._redrive, started))

    def _redrive(self, started: Started) -> None:
        row = self.store.rows[started.execution_id]
        if row.last_snapshot is not None:
            self.store.reopen(row.execution.arn)
            started.redrives += 1

    # ── Tasks ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def answer(self, execution: LiveExecution, command: ScheduleTask) -> TaskDone | TaskError:
        return self.started[execution.execution_id].program.answer(command)

    def fails_on_loss(self, execution: LiveExecution, state: str) -> bool:
        return state in self.started[execution.execution_id].program.careful

    def dispatched(self, worker: SimulatedWorker, execution: LiveExecution, command: ScheduleTask) -> float:
        """A handler begins; how many seconds it takes. What ordered it must be durable, and its worker the owner."""
        row = self.store.rows[execution.execution_id]
        key = (execution.execution_id, command.entered, command.attempt, command.redrive)
        if row.owner is not worker.handle._me or row.owner is None or not row.owner.is_alive:
            raise Broken(f"{worker.name} runs a Task of an execution that is not its own")
        if not self.is_express:
            self._check_order(row, command)
        if self.runs[key] and self.fails_on_loss(execution, command.state):
            raise Broken("a Task runs again that must not")
        self.note_run(worker, key)
        # Longer ones only where workers die: threads that wait further out may miss all renewals of an outage.
        return self.draw.choice([0.0, 0.1, 2.0, 10.0, 30.0 if self.faults.kills else 10.0])

    def note_run(self, worker: SimulatedWorker, key: TaskKey) -> None:
        """A Task begins; again only if something happened to whoever ran it before."""
        self.runs[key] += 1
        self.run_by[key].append((worker, self.time))
        for (before, since), (_, _until) in zip(self.run_by[key], self.run_by[key][1:], strict=False):
            if self._disturbed.get(before, 0.0) < since - 2 * LEASE_SECONDS:
                raise Broken(f"a Task runs {self.runs[key]} times, though nothing happened to {before.name}")

    def _check_order(self, row: Row, command: ScheduleTask) -> None:
        """The rule of effects."""
        assert row.snapshot is not None
        frame = row.snapshot.frames.get(command.task_id[:2])
        if frame is None or not isinstance(frame.waiting, OnTask) or frame.waiting.task_id != command.task_id:
            raise Broken("a Task runs that no durable checkpoint waits for")
        if frame.waiting.submitted:
            raise Broken("a Task runs again that waits for its token")

    def submitted(self, execution: LiveExecution, command: ScheduleTask, answer: TaskDone) -> None:
        """A handler passed its token on; somebody will answer."""
        assert command.task_token is not None
        seconds = self.draw.choice([0.0, 0.5, 0.5, 20.0, 20.0, 200.0])
        for beat in range(40, int(seconds), 40):
            self.at(beat, partial(self._beat, command.task_token))
        for _ in range(1 + (self.draw.random() < 0.2)):
            give = partial(self._give, execution.execution_id, command.task_token, answer)
            self._answers[command.task_token] = (execution.execution_id, give)
            self.at(seconds + self.draw.random(), give)
        if self.draw.random() < 0.1:
            self.at(seconds + self.draw.random(), partial(self._stop, self.started[execution.execution_id]))

    # ── jobs and children ───────────────────────────────────────────────────────────────────────────────────────────

    def job_begun(self, key: str, command: ScheduleTask, answer: TaskDone) -> None:
        """A job was submitted, for the first time or again."""
        over_at = self.time + self.draw.choice([0.0, 2.0, 30.0, 300.0])
        self.jobs.setdefault(key, (over_at, answer))

    def job_answer(self, task: OpenTask) -> TaskDone | None:
        """What a job gives; None: it is not over."""
        assert task.job is not None
        over_at, answer = self.jobs[str(task.job.id)]
        return answer if over_at <= self.time else None

    def job_stopped(self, task: OpenTask) -> None:
        """Only of what nobody waits for."""
        row = self.store.open.get(task.execution.execution_id)
        frame = None if row is None or row.snapshot is None else row.snapshot.frames.get(task.task_id[:2])
        if frame is not None and isinstance(frame.waiting, OnTask) and frame.waiting.task_id == task.task_id:
            raise Broken("a job is stopped that somebody waits for")

    def child_begun(self, task: OpenTask) -> ExecutionId:
        """The child of a Task, started now or before."""
        key, origin = task.request.idempotency_key, task.request.origin
        assert origin is not None
        if key not in self.children:
            child = self.children[key] = ExecutionId(self._new_id())
            parent = Parent(origin.execution_id.hex, origin.task_id, "TEXT")
            started, birth = self._drafted(child, known(self.draw.choice(small())), parent)
            self._start_named(started, birth)
        return self.children[key]

    def check_children(self, checkpoint: Checkpoint) -> None:
        """With the end of a parent its children are stopped."""
        for mail in checkpoint.sent:
            if isinstance(mail.event, StopRequested):
                self.started[mail.execution_id].is_stopped = True
        if checkpoint.transition.ending is None:
            return
        for frame in checkpoint.snapshot.frames.values():
            waiting = frame.waiting
            job = waiting.job if isinstance(waiting, OnTask) else None
            child = None if job is None or job.child is None else self.store.open.get(ExecutionId(UUID(hex=job.child)))
            if child is not None and not any(isinstance(mail.event, StopRequested) for mail in child.mail.values()):
                raise Broken("a child goes on though its parent is over")

    def tempt(self, group: Group) -> None:
        """Somebody answers a token just before the store is told that nobody waits for it, or that its Task is left."""
        tokens = [token for checkpoint in group.checkpoints for token in checkpoint.tokens_closed]
        left = {one.execution_id for one in group.checkpoints if one.release is not None}
        left |= {one.execution_id for one in group.releases}
        tokens += [token for token, (execution_id, _) in self._answers.items() if execution_id in left]
        for token in tokens:
            if token in self._answers and self.chance(self.faults.temptation):
                self._answers[token][1]()

    def _beat(self, token: str) -> None:
        if self.store.tokens.get(token) is not None:
            self.client.heartbeat_token(token)

    def _give(self, execution_id: ExecutionId, token: str, answer: TaskDone) -> None:
        if self.store.tokens.get(token) is None:
            return
        started = self.started[execution_id]
        self._answers.pop(token, None)
        if token in started.accepted:
            raise Broken("a task token was accepted twice")
        started.accepted[token] = answer.output
        self.client.take_token(token, TaskDone(NO_TICKET, answer.output, answer.output_bytes))
        worker = self.draw.choice(self.workers)
        if not worker.is_dead and self.draw.random() < 0.5:
            worker.housekeeping.hint(execution_id)

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _check_end(self) -> None:
        for started in self.started.values():
            row = self.store.rows.get(started.execution_id)
            if row is None or row.ending is None:
                raise Broken("an acknowledged execution is lost")
            if started.endings != 1 + started.redrives:
                raise Broken(f"{started.endings} endings after {started.redrives} redrives")
            if row.ending.status == "ABORTED":
                if not started.is_stopped:
                    raise Broken("aborted, though nobody stopped it")
            elif row.ending.status == "TIMED_OUT":
                if not self.is_express or row.stop_date < row.execution.start_time + EXPRESS_SECONDS_MAX * 1_000:
                    raise Broken("timed out too early")
            elif row.ending.status != "SUCCEEDED":
                raise Broken(f"ended as {row.ending}")
            elif row.ending.output != started.program.output:
                raise Broken("another output than in memory")
            self._check_history(started, row)

    def _check_history(self, started: Started, row: Row) -> None:
        events = list(as_aws(row.segments))
        fault = fault_of(events)
        if fault is not None:
            raise Broken(fault)
        if len(events) != row.last_event_id:
            raise Broken("history is shorter than its execution says")
        outputs = [event["taskSucceededEventDetails"]["output"] for event in events if event["type"] == "TaskSucceeded"]
        for output in started.accepted.values():
            if text(output) not in outputs:
                raise Broken("the answer of an accepted task token does not count")
            outputs.remove(text(output))


class WatchedStore(MemoryStore):
    """The model store; tells the simulation about endings."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(now=lambda: int(simulation.time * 1_000), through_bytes=True)
        self._simulation = simulation

    def born(self, execution_id: ExecutionId, birth: Birth) -> Row:
        if execution_id in self.rows:
            raise Broken("what was begun before is begun anew")
        return super().born(execution_id, birth)

    def is_connected(self, worker: Incarnation) -> bool:
        return any(other.handle._me is worker and other.hints.is_present for other in self._simulation.workers)

    def write(self, row: Row, checkpoint: Checkpoint) -> None:
        super().write(row, checkpoint)
        self._simulation.check_children(checkpoint)
        if checkpoint.transition.ending is not None:
            self._simulation.ended(row)


if __name__ == "__main__":
    Simulation(int(sys.argv[1])).run()
