"""Random programs whose output is known beforehand, however often a crash repeats their Tasks."""

from __future__ import annotations

import random
import zlib
from functools import lru_cache
from typing import Any

from engine.asl.parser import load
from engine.interpreter.messages import ScheduleTask, TaskDone, TaskError
from engine.interpreter.plan import Plan, compile_plan
from engine.jsonvalue import Json, encode
from engine.runtime.tasks import WORKER_LOST
from tests.interpreter.random_programs import GIVEN as GIVEN
from tests.interpreter.random_programs import Program, Run, World

PROGRAMS = 120
SMALL = 4
HEARTBEAT_SECONDS = 150
JOB = "arn:aws:states:::glue:startJobRun.sync"
CHILD = "arn:aws:states:::states:startExecution.sync"


class DurableProgram(Program):
    """With Tasks that somebody ends from outside, by their token; that wait for a job, or for a child; and with
    `careful` ones, which must not run twice.
    """

    has_children = False

    def _task(self, name: str, depth: int, following: list[str]) -> dict[str, Any]:
        state = super()._task(name, depth, following)
        if zlib.crc32(name.encode()) % 8 < 4:
            state["Retry"].append({"ErrorEquals": [WORKER_LOST], "IntervalSeconds": 1, "MaxAttempts": 99})
        kind = self._draw.random()
        if kind < 0.25:
            state["Resource"] = "arn:aws:states:::aws-sdk:sqs:sendMessage.waitForTaskToken"
            state["Parameters"] = {"token.$": "$$.Task.Token", "given.$": "$"}
            if self._draw.random() < 0.5:
                state["HeartbeatSeconds"] = HEARTBEAT_SECONDS
        elif kind < 0.4:
            state["Resource"] = JOB
        elif kind < 0.5:
            # What a child gives is not known beforehand: it has times in it.
            state |= {"Resource": CHILD, "ResultPath": None}
            state.pop("Assign", None)
            state["Retry"].append({"ErrorEquals": ["States.TaskFailed"], "IntervalSeconds": 1, "MaxAttempts": 99})
            self.has_children = True
        return state


class Known:
    """A program, compiled, with what it gives."""

    def __init__(self, seed: int, *, is_express: bool) -> None:
        program = Program(seed, size=4) if is_express else DurableProgram(seed, size=4)
        draw = random.Random(seed)
        self.seed = seed
        self.text = encode(program.definition).decode()
        self.is_express = is_express
        self.has_children = isinstance(program, DurableProgram) and program.has_children
        self.plan: Plan = compile_plan(load(program.definition, type="EXPRESS" if is_express else "STANDARD"))
        careful = () if is_express else program.tasks
        self.careful = {name for name in careful if zlib.crc32(name.encode()) % 8 < 4}
        self.soft = {name: draw.randint(1, 2) for name in program.tasks if draw.random() < 0.3}
        world = KnownWorld(random.Random(seed), self.soft)
        ending = Run(self.plan, world).to_the_end().snapshot.ending
        assert ending is not None
        assert ending.status == "SUCCEEDED"
        self.output = ending.output

    def answer(self, task: ScheduleTask) -> TaskDone | TaskError:
        """What every run of this attempt gives."""
        return KnownWorld(random.Random(0), self.soft)._answer(task)


class KnownWorld(World):
    """Its answers do not depend on tokens, which each attempt has of its own."""

    def _answer(self, task: ScheduleTask) -> TaskDone | TaskError:
        if task.attempt < self.soft.get(task.state, 0):
            return TaskError(task.task_id, "Soft", "try again")
        arguments: Json = task.arguments
        if task.resource.endswith(".waitForTaskToken") and isinstance(arguments, dict):
            arguments = {"given": arguments["given"]}
        output = {"answer": [task.state, zlib.crc32(encode(arguments))]}
        return TaskDone(task.task_id, output, len(encode(output)))


@lru_cache(2 * PROGRAMS)
def known(seed: int, *, is_express: bool = False) -> Known:
    return Known(seed % PROGRAMS, is_express=is_express)


@lru_cache(1)
def small() -> list[int]:
    """Seeds of programs for children: a Map may start many, one after the other."""
    programs = [known(seed) for seed in range(PROGRAMS)]
    return [one.seed for one in programs if not one.has_children and len(one.plan.states) <= SMALL]
