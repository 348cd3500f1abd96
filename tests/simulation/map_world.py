"""Distributed Maps in the simulation: whatever goes wrong, each item has one result, and the counts are exact."""

from __future__ import annotations

import random
import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from engine.asl.parser import load
from engine.interpreter.messages import ScheduleTask, StopRequested, TaskDone, TaskError
from engine.interpreter.plan import Plan, compile_plan
from engine.jsonvalue import encode
from engine.runtime.tasks import WORKER_LOST
from engine.store.protocol import Birth, ExecutionId, RevisionId
from tests.definitions import machine, task
from tests.driver import execution_of
from tests.simulation.world import Broken, Simulation, Started

if TYPE_CHECKING:
    from engine.runtime.live import LiveExecution
    from engine.store.memory import Row
    from engine.store.protocol import Checkpoint
    from tests.simulation.fleet import SimulatedWorker

ITEMS_MAX = 60
MAPS = 40


class KnownMap:
    """A Map over numbers with what it gives; some of its items fail for good."""

    careful = frozenset[str]()

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        self.items = list(range(draw.choice([1, 3, 12, ITEMS_MAX])))
        self.failing = {item for item in self.items if draw.random() < 0.1}
        kind = draw.choice(["STANDARD", "EXPRESS"])
        retried = {"ErrorEquals": [WORKER_LOST, "Soft"], "IntervalSeconds": 1, "MaxAttempts": 99}
        inner = machine({**task(), "Name": "Work", "Retry": [retried]}, {"Name": "Then", "Type": "Pass"})
        self.tolerates = draw.random() < 0.7
        state: dict[str, Any] = {
            "Name": "Each",
            "Type": "Map",
            "MaxConcurrency": draw.choice([0, 1, 2, 7]),
            "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind}, **inner},
            "ToleratedFailureCount": len(self.items) if self.tolerates else 0,
        }
        self.plan: Plan = compile_plan(load(machine(state)))
        self.succeeds = self.tolerates or not self.failing
        self.output = [self.result(item) for item in self.items if item not in self.failing]

    def result(self, item: int) -> Any:
        return {"answer": zlib.crc32(encode(item))}

    def answer(self, command: ScheduleTask) -> TaskDone | TaskError:
        item: Any = command.arguments
        if item in self.failing:
            return TaskError(command.task_id, "Hard", "always")
        if item % 5 == 0 and command.attempt == 0:
            return TaskError(command.task_id, "Soft", "once")
        output = self.result(item)
        return TaskDone(command.task_id, output, len(encode(output)))


@lru_cache(MAPS)
def known_map(seed: int) -> KnownMap:
    return KnownMap(seed)


class MapSimulation(Simulation):
    """Each execution that is started has a Distributed Map and nothing else."""

    def _start(self) -> None:
        program: Any = known_map(self.draw.randrange(MAPS))
        execution_id = ExecutionId(self._new_id())
        revision_id = RevisionId(self._new_id())
        self.plans[revision_id] = program.plan
        arn = f"arn:aws:states:us-east-1:123456789012:execution:machine:{execution_id}"
        about = execution_of(program.items, arn=arn, name=str(execution_id), start_time=self.store.now())
        started = self.started[execution_id] = Started(execution_id, program)
        self._start_named(started, Birth(execution=about, revision_id=revision_id))
        self._plan_for(started)

    def _program_of(self, execution: LiveExecution) -> KnownMap:
        """Of the execution that a child belongs to, by way of its chunk and its map run."""
        row = self.store.rows[(execution.in_chunk or execution).execution_id]
        while row.execution.map is not None:
            assert row.execution.map.above is not None
            row = self.store.rows[ExecutionId(row.execution.map.above)]
        program: Any = self.started[row.execution_id].program
        assert isinstance(program, KnownMap)
        return program

    def answer(self, execution: LiveExecution, command: ScheduleTask) -> TaskDone | TaskError:
        return self._program_of(execution).answer(command)

    def fails_on_loss(self, execution: LiveExecution, state: str) -> bool:
        return False

    def dispatched(self, worker: SimulatedWorker, execution: LiveExecution, command: ScheduleTask) -> float:
        """A handler begins; how many seconds it takes. Of a child without a row its chunk must be the worker's own."""
        chunk = execution.in_chunk
        row = self.store.rows[(chunk or execution).execution_id]
        if chunk is not None and chunk.is_writing and row.ending is not None:
            return 1.0  # the chunk has stopped its children, and this worker is not told yet that it is written
        if row.owner is not worker.handle._me or row.owner is None or not row.owner.is_alive:
            raise Broken(f"{worker.name} runs a Task of an execution that is not its own")
        return self.draw.choice([0.0, 0.1, 2.0, 10.0])

    def check_children(self, checkpoint: Checkpoint) -> None:
        """Nothing is stopped but what a map run began."""
        for mail in checkpoint.sent:
            if isinstance(mail.event, StopRequested) and mail.execution_id in self.started:
                raise Broken("a map run stops its parent")

    def ended(self, row: Row) -> None:
        """A checkpoint with an ending was written."""
        if row.execution_id in self.started:
            self.started[row.execution_id].endings += 1

    def _check_end(self) -> None:
        for started in self.started.values():
            row = self.store.rows[started.execution_id]
            program: Any = started.program
            assert row.ending is not None
            if started.endings != 1:
                raise Broken(f"{started.endings} endings")
            if row.ending.status == "SUCCEEDED":
                if not program.succeeds or not self._is_as_expected(started, program, row.ending.output):
                    raise Broken("another output than in memory")
            elif row.ending.status == "ABORTED":
                if not started.is_stopped:
                    raise Broken("aborted, though nobody stopped it")
            elif program.succeeds and not self._timed_out(started):
                raise Broken(f"ended as {row.ending}")
            self._check_history(started, row)
        runs = [row for row in self.store.rows.values() if row.execution.role == "RUN"]
        for row in runs:
            self._check_counts(row)

    def _is_as_expected(self, started: Started, program: KnownMap, output: Any) -> bool:
        """Express children may have been waiting for a store or a worker until their five minutes were over."""
        found = iter(program.output)
        in_order = all(any(one == result for one in found) for result in output)
        return in_order and len(program.output) - len(output) <= self._timed_out(started)

    def _timed_out(self, started: Started) -> int:
        runs = [row for row in self.store.rows.values() if row.execution.list_key == self._arn(started)]
        endings: list[Any] = [run.ending for run in runs]
        return sum(ending.output["itemCounts"]["timedOut"] for ending in endings)

    def _arn(self, started: Started) -> str:
        return self.store.rows[started.execution_id].execution.arn

    def _check_counts(self, run: Row) -> None:
        assert run.ending is not None
        shown: Any = run.ending.output
        results = [
            result
            for row in self.store.rows.values()
            if row.execution.role == "CHUNK" and row.execution.map is not None
            and row.execution.map.above == run.execution_id
            for result in self._results(row)
        ]  # fmt: skip
        counts = shown["itemCounts"]
        for name, status in (
            ("succeeded", "SUCCEEDED"),
            ("failed", "FAILED"),
            ("timedOut", "TIMED_OUT"),
            ("aborted", "ABORTED"),
        ):
            if counts[name] != sum(result[1] == status for result in results):
                raise Broken(f"{counts} of {len(results)} results")
        if counts["running"] or counts["total"] != counts["pending"] + len(results):
            raise Broken(f"{counts} after the end, of {len(results)} results")

    def _results(self, row: Row) -> list[Any]:
        assert row.ending is not None
        ended: Any = row.ending.output
        results: list[Any] = ended["results"]
        if len({result[0] for result in results}) != len(results):
            raise Broken("a child has two results")
        return results
