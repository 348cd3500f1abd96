"""Distributed Maps in the simulation: whatever goes wrong, each item has one result, and the counts are exact.

What did not succeed is redriven, some times; meanwhile limits are changed, and numbers looked at. Maps may be nested.
"""

from __future__ import annotations

import random
import zlib
from collections import Counter
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from engine.asl.parser import load
from engine.interpreter.map_counts import numbers_of, of_snapshot, open_chunks
from engine.interpreter.messages import MapRunUpdated, ScheduleTask, StopRequested, TaskDone, TaskError
from engine.interpreter.plan import Plan, compile_plan
from engine.interpreter.snapshot import ROOT, ChunkRunning
from engine.jsonvalue import encode
from engine.runtime.tasks import WORKER_LOST
from engine.store.protocol import Birth, ExecutionId, Mail, MailId, RevisionId
from tests.definitions import machine, task
from tests.driver import execution_of
from tests.simulation.world import Broken, Simulation, Started

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.runtime.live import LiveExecution
    from engine.store.memory import Row
    from engine.store.protocol import Checkpoint
    from tests.simulation.fleet import SimulatedWorker

ITEMS_MAX = 60
MAPS = 60
REDRIVES_MAX = 3

_COUNTED = (("succeeded", "SUCCEEDED"), ("failed", "FAILED"), ("timedOut", "TIMED_OUT"), ("aborted", "ABORTED"))


class KnownMap:
    """A Map over numbers with what it gives. Some items fail for good, some until the execution was redriven.

    Attributes:
        groups: The items: those of one list are the items of a Map inside a child; else each is alone.
        is_nested: Whether they are lists.
    """

    careful = frozenset[str]()

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        count = draw.choice([1, 3, 12, ITEMS_MAX])
        self.is_nested = count < ITEMS_MAX and draw.random() < 0.3
        sizes = [draw.choice([0, 1, 4]) if self.is_nested else 1 for _ in range(count)]
        numbers = iter(range(sum(sizes)))
        self.groups = [[next(numbers) for _ in range(size)] for size in sizes]
        items = [item for group in self.groups for item in group]
        self.failing = {item for item in items if draw.random() < 0.05}
        self.flaky = {item for item in items if draw.random() < 0.1} - self.failing
        kind = draw.choice(["STANDARD", "EXPRESS"])
        retried = {"ErrorEquals": [WORKER_LOST, "Soft"], "IntervalSeconds": 1, "MaxAttempts": 99}
        inner = machine({**task(), "Name": "Work", "Retry": [retried]}, {"Name": "Then", "Type": "Pass"})
        self.tolerates = draw.random() < 0.5
        state = self._mapped(draw, "Each", kind, inner)
        if self.is_nested:
            state = self._mapped(draw, "Outer", "STANDARD", machine(state))
        self.has_timeout = draw.random() < 0.25
        definition = machine(state)
        if self.has_timeout:
            definition["TimeoutSeconds"] = draw.choice([5, 20, 60])
        self.plan: Plan = compile_plan(load(definition))
        self.input: Any = self.groups if self.is_nested else items

    def _mapped(self, draw: random.Random, name: str, kind: str, inner: dict[str, Any]) -> dict[str, Any]:
        return {
            "Name": name,
            "Type": "Map",
            "MaxConcurrency": draw.choice([0, 1, 2, 7]),
            "ItemProcessor": {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind}, **inner},
            "ToleratedFailureCount": ITEMS_MAX if self.tolerates else 0,
        }

    def result(self, item: int) -> Any:
        return {"answer": zlib.crc32(encode(item))}

    def answer(self, command: ScheduleTask, redrives: int) -> TaskDone | TaskError:
        item: Any = command.arguments
        if item in self.failing or (item in self.flaky and not redrives):
            return TaskError(command.task_id, "Hard", "always")
        if item % 5 == 0 and command.attempt == 0:
            return TaskError(command.task_id, "Soft", "once")
        output = self.result(item)
        return TaskDone(command.task_id, output, len(encode(output)))

    def missing(self, output: Any) -> set[int]:
        """The items without a result in an output. Raises Broken: it is not in the order of items, or has too much."""
        items = [item for group in self.groups for item in group]
        if self.is_nested:
            results = [[self.result(item) for item in group] for group in self.groups]
            if any(not any(all(one in group for one in inner) for group in results) for inner in output):
                raise Broken("an inner Map has a result of another one")
            output = [one for inner in output for one in inner]
        found = iter(output)
        one, missing = next(found, None), set()
        for item in items:
            if one == self.result(item):
                one = next(found, None)
            else:
                missing.add(item)
        if one is not None:
            raise Broken("the output is not in the order of the items, or has more")
        return missing


@lru_cache(MAPS)
def known_map(seed: int) -> KnownMap:
    return KnownMap(seed)


class MapSimulation(Simulation):
    """Each execution that is started has a Distributed Map and nothing else.

    Attributes:
        redriven: How many redrives there were, for tests that want some.
    """

    redriven = 0

    def _start(self) -> None:
        program: Any = known_map(self.draw.randrange(MAPS))
        execution_id = ExecutionId(self._new_id())
        revision_id = RevisionId(self._new_id())
        self.plans[revision_id] = program.plan
        arn = f"arn:aws:states:us-east-1:123456789012:execution:machine:{execution_id}"
        about = execution_of(program.input, arn=arn, name=str(execution_id), start_time=self.store.now())
        started = self.started[execution_id] = Started(execution_id, program)
        self._start_named(started, Birth(execution=about, revision_id=revision_id))
        self._plan_for(started)

    def _plan_for(self, started: Started) -> None:
        for _ in range(self.draw.choice([0, 0, 1, 2])):
            self.at(self.draw.uniform(0, 60), partial(self._stop, started))
        for _ in range(self.draw.choice([0, 2, 5])):
            self.at(self.draw.uniform(0, 60), self._change_limits)
        for _ in range(5):
            self.at(self.draw.uniform(0, 120), self._look)

    # ── from outside ────────────────────────────────────────────────────────────────────────────────────────────────

    def _change_limits(self) -> None:
        runs = [row for row in self.store.open.values() if row.execution.role == "RUN"]
        if runs:
            event = MapRunUpdated(self.draw.choice([0, 1, 3, 50]), None, None)
            run = self.draw.choice(runs)
            self.client.deliver([Mail(id=MailId(self._new_id()), execution_id=run.execution_id, event=event)])

    def _look(self) -> None:
        """DescribeMapRun of all that are open."""
        for run in list(self.store.open.values()):
            if run.execution.role != "RUN":
                continue
            assert run.snapshot is not None
            if run.snapshot.ending is not None:
                continue  # it was redriven just now
            numbers = {}
            for chunk, attempt in open_chunks(run.snapshot).items():
                row = self.store.rows[ExecutionId(chunk)]
                is_awaited = row.redrives.count < attempt
                numbers[chunk] = numbers_of(row.execution, row.snapshot, row.ending, is_awaited=is_awaited)
            shown: Any = of_snapshot(run.snapshot, numbers)
            for counts in (shown["itemCounts"], shown["executionCounts"]):
                parts = sum(counts[name] for name in ("pending", "running", *(name for name, _ in _COUNTED)))
                if parts + counts.get("pendingRedrive", 0) != counts["total"]:
                    raise Broken(f"{counts} do not add up")

    def ended(self, row: Row) -> None:
        """A checkpoint with an ending was written."""
        if row.execution_id not in self.started:
            return
        started = self.started[row.execution_id]
        started.endings += 1
        assert row.ending is not None
        if row.ending.status != "SUCCEEDED" and started.redrives < REDRIVES_MAX and self.draw.random() < 0.7:
            self.at(self.draw.choice([0.0, 0.01, 1.0, 20.0]), partial(self._redrive, started))

    def _redrive(self, started: Started) -> None:
        before = started.redrives
        super()._redrive(started)
        self.redriven += started.redrives - before

    # ── Tasks ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _above(self, row: Row) -> Iterator[Row]:
        """What an execution is a part of, from itself on."""
        yield row
        while row.execution.map is not None:
            assert row.execution.map.above is not None
            row = self.store.rows[ExecutionId(row.execution.map.above)]
            yield row

    def _started(self, row: Row) -> Started:
        """The execution that it belongs to."""
        *_, top = self._above(row)
        return self.started[top.execution_id]

    def answer(self, execution: LiveExecution, command: ScheduleTask) -> TaskDone | TaskError:
        started = self._started(self.store.rows[(execution.in_chunk or execution).execution_id])
        program: Any = started.program
        assert isinstance(program, KnownMap)
        return program.answer(command, started.redrives)

    def fails_on_loss(self, execution: LiveExecution, state: str) -> bool:
        return False

    def dispatched(self, worker: SimulatedWorker, execution: LiveExecution, command: ScheduleTask) -> float:
        """A handler begins; how many seconds it takes. Of a child without a row its chunk must be the worker's own."""
        chunk = execution.in_chunk
        row = self.store.rows[(chunk or execution).execution_id]
        if chunk is not None and chunk.is_writing and row.ending is not None:
            return 1.0  # the chunk has stopped its children, and this worker is not told yet that it is written
        if chunk is not None and self.has_hints and not worker.hints.is_present:
            return 1.0  # it may have been declared dead as its connections broke, and learns of it with its next write
        if row.owner is not worker.handle._me or row.owner is None or not row.owner.is_alive:
            raise Broken(f"{worker.name} runs a Task of an execution that is not its own")
        if chunk is not None:
            self._check_unfinished(row, execution)
        self.note_run(worker, (execution.execution_id, command.entered, command.attempt, row.redrives.count))
        return self.draw.choice([0.0, 0.1, 2.0, 10.0])

    def _check_unfinished(self, chunk: Row, child: LiveExecution) -> None:
        assert chunk.snapshot is not None
        about = child.snapshot.execution.map
        root = chunk.snapshot.frames.get(ROOT)
        if root is None:
            return  # that it has begun is not written yet
        assert about is not None
        assert isinstance(root.waiting, ChunkRunning)
        if root.waiting.done >> about.place & 1:
            raise Broken("a child runs again that has a result")

    def check_children(self, checkpoint: Checkpoint) -> None:
        """Nothing is stopped but what a map run began."""
        for mail in checkpoint.sent:
            if isinstance(mail.event, StopRequested) and mail.execution_id in self.started:
                raise Broken("a map run stops its parent")

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _check_end(self) -> None:
        runs = [row for row in self.store.rows.values() if row.execution.role == "RUN"]
        for row in runs:
            self._check_counts(row)
        for started in self.started.values():
            row = self.store.rows[started.execution_id]
            assert row.ending is not None
            if started.endings != 1 + started.redrives:
                raise Broken(f"{started.endings} endings after {started.redrives} redrives")
            self._check_ending(started, row)
            self._check_history(started, row)

    def _check_ending(self, started: Started, row: Row) -> None:
        program: Any = started.program
        assert row.ending is not None
        match row.ending.status:
            case "SUCCEEDED":
                missing = program.missing(row.ending.output)
                if not program.failing <= missing:
                    raise Broken("an item has a result that always fails")
                if not program.tolerates and missing:
                    raise Broken("it succeeded without all that it must not do without")
                if missing - program.failing - program.flaky and not program.is_nested:
                    raise Broken(f"another output than in memory: {missing}")
            case "ABORTED" if not started.is_stopped:
                raise Broken("aborted, though nobody stopped it")
            case "TIMED_OUT" if not program.has_timeout:
                raise Broken("timed out, though it has all the time in the world")
            case "FAILED" if program.tolerates or not (program.failing or program.flaky):
                raise Broken(f"ended as {row.ending}")

    def _check_counts(self, run: Row) -> None:
        assert run.ending is not None
        shown: Any = run.ending.output
        if shown["redriveCount"] != run.redrives.count:
            raise Broken(f"redriven {run.redrives.count} times, it says {shown['redriveCount']}")
        results = [
            result
            for row in self.store.rows.values()
            if row.execution.role == "CHUNK" and row.execution.map is not None
            and row.execution.map.above == run.execution_id
            for result in self._results(row)
        ]  # fmt: skip
        found = Counter(result[1] for result in results)
        for counts in (shown["itemCounts"], shown["executionCounts"]):
            if counts["timedOut"]:
                raise Broken("a child waited for five minutes, though nothing lasts that long here")
            if any(counts[name] != found[status] for name, status in _COUNTED):
                raise Broken(f"{counts} of {len(results)} results")
            if counts["running"] or counts["resultsWritten"] != counts["succeeded"]:
                raise Broken(f"{counts} after the end")
        if shown["itemCounts"]["total"] != shown["itemCounts"]["pending"] + len(results):
            raise Broken(f"{shown['itemCounts']} after the end, of {len(results)} results")
        if run.ending.status == "SUCCEEDED" and shown["itemCounts"]["pending"]:
            raise Broken("it succeeded, and some items were never begun")

    def _results(self, row: Row) -> list[Any]:
        assert row.ending is not None
        ended: Any = row.ending.output
        results: list[Any] = ended["results"]
        if len({result[0] for result in results}) != len(results):
            raise Broken("a child has two results")
        return results
