"""The simulation finds what it is for: each of these bugs, planted, makes some run fail."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import structlog

from engine.interpreter import branches
from engine.interpreter.map_chunks import Chunk
from engine.interpreter.messages import ChildDone, ScheduleTask, StartChild, StopRequested, TaskSubmitted, TimerDue
from engine.interpreter.snapshot import OnTask
from engine.runtime import lease
from engine.runtime.custody import Custody
from engine.runtime.executions import Executions
from engine.runtime.housekeeping import Housekeeping
from engine.runtime.lease import Watch
from engine.runtime.unwritten import Unwritten
from engine.runtime.writer import Writer
from engine.store.memory import MemoryStore
from engine.store.memory_handle import MemoryHandle
from engine.store.protocol import NEVER_DUE, Committed, OwnershipLost, StoreUnavailable
from tests.simulation import fleet
from tests.simulation.map_world import MapSimulation
from tests.simulation.world import HINTED, OUTAGES, Broken, Faults, Simulation

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS_MAX = 250

Plant = pytest.MonkeyPatch


def commit_order(patch: Plant) -> None:
    """Commands are carried out when they are folded, not when they are written."""
    real = Executions._submit

    def too_early(self: Executions, execution: Any, checkpoint: Any, folded: Any) -> None:
        for command in () if folded is None else folded.transition.commands:
            if isinstance(command, ScheduleTask):
                self.tasks.schedule(execution, command)
        real(self, execution, checkpoint, folded)

    patch.setattr(Executions, "_submit", too_early)


def early_acknowledgement(patch: Plant) -> None:
    """A start is acknowledged before it is written."""
    real = fleet.SimulatedWorker.start

    def start(self: Any, execution_id: Any, birth: Any, plan: Any, told: Any) -> None:
        real(self, execution_id, birth, plan, lambda *_: None)
        told("WRITTEN", "")

    patch.setattr(fleet.SimulatedWorker, "start", start)
    patch.setattr(Simulation, "_told", lambda self, started, *_: setattr(started, "is_acknowledged", True))


def unknown_is_written(patch: Plant) -> None:
    """A group whose answer was lost is taken for written."""
    patch.setattr(Writer, "_read_back", lambda self, left: self._all_written(left, Committed(now=0)))


def unknown_is_not_written(patch: Plant) -> None:
    """A group whose answer was lost is written again, without a look."""
    patch.setattr(Writer, "_read_back", lambda self, left: [])


def no_new_epoch(patch: Plant) -> None:
    """Recovering does not stop what is still on its way."""

    def recover(self: MemoryHandle) -> int:
        self._fenced()
        return self.now()

    patch.setattr(MemoryHandle, "recover", recover)


def no_fence(patch: Plant) -> None:
    """A worker that was declared dead may write and claim."""

    def fenced(self: MemoryHandle) -> Any:
        assert self._me is not None
        return self._me

    patch.setattr(MemoryHandle, "_fenced", fenced)


def lost_mail(patch: Plant) -> None:
    """A checkpoint takes all mail with it, not only what was folded."""
    real = MemoryStore.write

    def write(self: MemoryStore, row: Any, checkpoint: Any) -> None:
        row.mail.clear()
        real(self, row, checkpoint)

    patch.setattr(MemoryStore, "write", write)


def mail_wakes_nobody(patch: Plant) -> None:
    """What is parked is claimed when it is due, not when mail has come."""
    real = MemoryHandle._is_claimable
    patch.setattr(
        MemoryHandle, "_is_claimable", lambda self, row, now, me: row.wake_at <= now and real(self, row, now, me)
    )


def parked_at_work(patch: Plant) -> None:
    """An execution is given up while a Task of it runs."""
    real = Custody.rest

    def rest(self: Custody, execution: Any, transition: Any, event: Any) -> Any:
        phases = {task_id: task.phase for task_id, task in execution.tasks.items()}
        for task in execution.tasks.values():
            task.phase = "OUTSIDE"
        try:
            return real(self, execution, transition, event)
        finally:
            for task_id, task in execution.tasks.items():
                task.phase = phases[task_id]

    patch.setattr(Custody, "rest", rest)


def stale_timer(patch: Plant) -> None:
    """A heartbeat's time is believed to be over without asking whether one came."""
    patch.setattr(
        Custody,
        "heartbeat_due",
        lambda self, execution, task: self._executions.mail(execution, TimerDue(task.task_id, heartbeat=True)),
    )


def zombie(patch: Plant) -> None:
    """A worker never doubts that it is alive."""
    patch.setattr(Housekeeping, "may_start", lambda self: True)


def hasty_observer(patch: Plant) -> None:
    """After an outage the first to come back takes the others' silence for death."""
    patch.setattr(Watch, "forget", lambda self: None)
    patch.setattr(lease, "_GAP_PART", 1_000)


def strays(patch: Plant) -> None:
    """A claim whose answer was lost is forgotten."""
    real = Housekeeping._value

    def value(self: Housekeeping, *args: Any) -> Any:
        found = real(self, *args)
        self._is_unsure = self._has_strays = False
        return found

    patch.setattr(Housekeeping, "_value", value)


def token_accepted_for_nothing(patch: Plant) -> None:
    """A checkpoint that ends a Task does not look whether its token was taken meanwhile."""
    real = MemoryHandle._may_write

    def may_write(self: MemoryHandle, written: Any, me: Any) -> bool:
        return real(self, msgspec.structs.replace(written, tokens_closed=()), me)

    patch.setattr(MemoryHandle, "_may_write", may_write)


def submitted_again(patch: Plant) -> None:
    """What was submitted before the execution was parked is not remembered."""
    real = OnTask

    def forget(task: Any) -> Any:
        return msgspec.structs.replace(task, submitted=False) if isinstance(task, real) else task

    read = MemoryHandle._claimed

    def claimed(self: MemoryHandle, row: Any) -> Any:
        claim = read(self, row)
        for frame in claim.snapshot.frames.values():
            frame.waiting = forget(frame.waiting)
        return claim

    patch.setattr(MemoryHandle, "_claimed", claimed)


def held_for_ever(patch: Plant) -> None:
    """Tasks that could not be started while the lease was unsafe are not started when it is safe again."""
    patch.setattr(fleet.SimulatedWorker, "_dispatch", lambda self: None)


def silent_when_alone(patch: Plant) -> None:
    """A worker whose connection for hints was lost renews no more often than otherwise."""
    patch.setattr(lease, "ALONE_RENEW_SECONDS", 100.0)


def cleared_too_early(patch: Plant) -> None:
    """The first checkpoint after a takeover clears an execution, whatever of it was under way."""
    patch.setattr(Custody, "still_lost", lambda self, execution, transition, answered: None)


def lost_runs_again(patch: Plant) -> None:
    """A Task that may have run on a worker that is lost is run again, though it must not."""
    patch.setattr(fleet.SimulatedTasks, "lose", lambda self, task: False)


def asks_twice(patch: Plant) -> None:
    """How an execution stands is asked again before the first answer came, which makes the second one old news."""
    real = Custody.reconcile

    def reconcile(self: Custody, execution: Any) -> None:
        real(self, execution)
        real(self, execution)

    patch.setattr(Custody, "reconcile", reconcile)


def given_up_unwritten(patch: Plant) -> None:
    """An Express execution is given up without what it did since its last checkpoint."""

    def write(self: Executions, execution: Any) -> None:
        execution.unwritten = None
        self.next(execution)

    patch.setattr(Executions, "write", write)


def last_step_alone(patch: Plant) -> None:
    """The checkpoint of an Express execution holds only the last thing that it did."""
    patch.setattr(Unwritten, "joined", lambda self, transition: transition or self._transitions[-1])


def written_twice(patch: Plant) -> None:
    """What an Express execution did is kept after it was written, and written again with the next checkpoint."""
    real = Executions._committed

    def committed(self: Executions, execution: Any, *args: Any) -> None:
        unwritten = execution.unwritten
        real(self, execution, *args)
        execution.unwritten = unwritten

    patch.setattr(Executions, "_committed", committed)


def job_forgotten(patch: Plant) -> None:
    """Nobody asks again about a job that was not over."""
    real = Executions.start_timer

    def start_timer(self: Executions, execution: Any, key: Any, due: int) -> None:
        real(self, execution, key, due if key[1] != "POLL" else NEVER_DUE)

    patch.setattr(Executions, "start_timer", start_timer)


def job_submitted_twice(patch: Plant) -> None:
    """What a request has begun is not written with it."""
    real = Executions.mail

    def mail(self: Executions, execution: Any, event: Any) -> None:
        real(self, execution, event if not isinstance(event, TaskSubmitted) else TaskSubmitted(event.task_id, {}))

    patch.setattr(Executions, "mail", mail)


def job_stopped_with_its_worker(patch: Plant) -> None:
    """A worker that has to let go of an execution stops its jobs."""
    real = fleet.SimulatedTasks.cancel

    def cancel(self: Any, task: Any) -> None:
        real(self, task)
        if task.job is not None and task.job.child is None:
            self.jobs.stop(task)

    patch.setattr(fleet.SimulatedTasks, "cancel", cancel)


def children_go_on(patch: Plant) -> None:
    """The end of a parent is not told to its children with it."""
    real = MemoryStore.send

    def send(self: MemoryStore, mail: Any) -> bool:
        is_told = isinstance(mail.event, StopRequested) and str(mail.event.cause).startswith("The Task state")
        return not is_told and real(self, mail)

    patch.setattr(MemoryStore, "send", send)


def ends_are_lost(patch: Plant) -> None:
    """The end of a child is told only to a parent that somebody has."""
    real = MemoryStore.send

    def send(self: MemoryStore, mail: Any) -> bool:
        row = self.open.get(mail.execution_id)
        return not (isinstance(mail.event, ChildDone) and row is not None and row.owner is None) and real(self, mail)

    patch.setattr(MemoryStore, "send", send)


def held_children(patch: Plant) -> None:
    """A worker that may run Tasks again forgets those of the children that it has in memory."""
    patch.setattr(Executions, "at_work", property(lambda self: list(self.live.values())))


def claim_before_the_end_is_told(patch: Plant) -> None:
    """What was redriven before its worker knew that its end is written is not taken again."""
    real = Custody.take

    def take(self: Custody, claim: Any, plan: Any, execution: Any = None) -> Any:
        held = self._executions.live.get(claim.execution_id)
        return held if held is not None and held.is_writing else real(self, claim, plan, execution)

    patch.setattr(Custody, "take", take)


def results_lost(patch: Plant) -> None:
    """What was to be redriven with a chunk, and was not, has no result any more."""
    patch.setattr(Chunk, "_restore", lambda self: None)


def run_never_begun(patch: Plant) -> None:
    """A redrive goes on with a map run that was stopped before it could begin."""

    def stop_map_run(work: Any, frame: Any, waiting: Any) -> None:
        work.commands = [c for c in work.commands if not isinstance(c, StartChild)]

    patch.setattr(branches, "stop_map_run", stop_map_run)


def successes_run_again(patch: Plant) -> None:
    """A redriven chunk runs all of its children again."""
    real = Chunk._redrive

    def redrive(self: Chunk, time: int | None) -> None:
        real(self, time)
        self.put(again=tuple(range(len(self.inputs))))

    patch.setattr(Chunk, "_redrive", redrive)


BUGS: list[Callable[[Plant], None]] = [
    commit_order,
    early_acknowledgement,
    unknown_is_written,
    unknown_is_not_written,
    no_new_epoch,
    no_fence,
    lost_mail,
    mail_wakes_nobody,
    parked_at_work,
    stale_timer,
    zombie,
    hasty_observer,
    strays,
    token_accepted_for_nothing,
    submitted_again,
    held_for_ever,
    cleared_too_early,
    lost_runs_again,
    asks_twice,
    job_forgotten,
    job_submitted_twice,
    job_stopped_with_its_worker,
    children_go_on,
    ends_are_lost,
]

HINTED_BUGS: list[Callable[[Plant], None]] = [silent_when_alone]

EXPRESS_BUGS: list[Callable[[Plant], None]] = [given_up_unwritten, last_step_alone, written_twice]

MAP_BUGS: list[Callable[[Plant], None]] = [
    held_children,
    claim_before_the_end_is_told,
    results_lost,
    run_never_begun,
    successes_run_again,
]

FAULTS = {hasty_observer: OUTAGES, claim_before_the_end_is_told: replace(Faults.none(), slow=0.3)}
"""Of the runs that are to find them, where not all kinds will do."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("plant", BUGS + HINTED_BUGS + EXPRESS_BUGS + MAP_BUGS, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant: Callable[[Plant], None], monkeypatch: Plant) -> None:
    plant(monkeypatch)
    faults = FAULTS.get(plant)
    # An engine that goes wrong says so in its log, at length.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        of_maps = plant in MAP_BUGS
        seed = found(faults, has_hints=plant in HINTED_BUGS, is_express=plant in EXPRESS_BUGS, of_maps=of_maps)
        assert seed is not None, f"{RUNS_MAX} runs did not notice: {plant.__doc__}"
    finally:
        structlog.reset_defaults()


def found(
    faults: Faults | None, *, has_hints: bool = False, is_express: bool = False, of_maps: bool = False
) -> int | None:
    """The first seed whose run fails."""
    for seed in range(RUNS_MAX):
        try:
            if of_maps:
                MapSimulation(seed, faults=faults, executions=8).run()
                continue
            faults = HINTED if has_hints else faults
            Simulation(seed, faults=faults, has_hints=has_hints, is_express=is_express).run()
        except (Broken, AssertionError, LookupError, StoreUnavailable, OwnershipLost):
            return seed
    return None
