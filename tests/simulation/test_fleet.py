"""Moments of a worker that the simulation meets too seldom, played one turn at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from engine.asl.parser import load
from engine.interpreter.plan import compile_plan
from engine.store.protocol import Birth, ExecutionId, RevisionId
from engine.uuids import uuid7
from tests.definitions import machine, task, wait
from tests.driver import execution_of
from tests.simulation.world import Faults, Simulation, Started

if TYPE_CHECKING:
    from tests.simulation.fleet import SimulatedWorker


class _Answered:
    """A program all of whose Tasks give the same."""

    careful: frozenset[str] = frozenset()

    @staticmethod
    def answer(command: object) -> object:
        from engine.interpreter.messages import TaskDone

        return TaskDone(command.task_id, {}, 2)  # type: ignore[attr-defined]


def hand_over(worker: SimulatedWorker, thread: str) -> None:
    while worker.outboxes[thread]:
        worker.outboxes[thread].popleft()()


def write(worker: SimulatedWorker) -> None:
    while worker.executions.has_ready:
        worker.executions.fold_one()
    worker.writing.turn()
    hand_over(worker, "writer")


def test_what_was_read_of_an_execution_that_came_and_went_is_no_news() -> None:
    """Else its Task would run again, though nobody was lost."""
    simulation = Simulation(0, faults=Faults.none(), workers=1, executions=0)
    (worker,) = simulation.workers
    write(worker)
    assert worker.housekeeping.is_enlisted
    worker.housekeeping._has_strays = True
    worker.housekeeping.tick()
    asked = [question for question in worker.clerk.queue if "_found_strays" in repr(question)]
    assert len(asked) == 1
    worker.clerk.queue.clear()
    worker.clerk.queue.extend(asked)

    execution_id = ExecutionId(uuid7(simulation.store.now(), 1))
    plan = compile_plan(load(machine(task(), wait(100))))
    arn = f"arn:aws:states:us-east-1:123456789012:execution:machine:{execution_id}"
    execution = execution_of({}, arn=arn, name=str(execution_id), start_time=simulation.store.now())
    revision_id = RevisionId(UUID(int=1))
    simulation.plans[revision_id] = plan
    simulation.started[execution_id] = Started(execution_id, _Answered())  # type: ignore[arg-type]
    birth = Birth(execution=execution, revision_id=revision_id)
    worker.start(execution_id, birth, plan, lambda fate, reason: None)
    write(worker)
    worker.clerk.turn()  # it reads the execution with its Task in flight
    (key,) = worker.tasks.running
    worker.tasks.finish(key)
    write(worker)
    assert not worker.executions.live, "it should be parked"

    hand_over(worker, "clerk")
    assert not worker.executions.live
    assert sum(simulation.runs.values()) == 1
    assert worker.housekeeping._has_strays, "it asks again"
