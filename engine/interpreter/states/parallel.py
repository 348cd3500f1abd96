"""Parallel: branches with the same input; their outputs, in the order of Branches, are the result (asl.md 15)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.interpreter.dataflow import ResultExit, Tap, WorkInput, compile_result_exit, compile_work_input
from engine.interpreter.state_plan import StatePlan
from engine.interpreter.step import Fork, Leave, Step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.asl.program import ParallelState
    from engine.interpreter.context import Visit
    from engine.jsonvalue import Json


@dataclass(slots=True, eq=False, kw_only=True)
class ParallelPlan(StatePlan):
    """A Parallel state. `starts` are the first states of its branches, set when all states exist."""

    work_input: WorkInput
    finish: ResultExit
    starts: Sequence[StatePlan] = ()


def plan(state: ParallelState, tap: Tap | None = None) -> ParallelPlan:
    """Compiles the state."""
    return ParallelPlan(
        name=state.name,
        type="Parallel",
        work_input=compile_work_input(state, tap),
        finish=compile_result_exit(state, tap),
    )


def enter(state: ParallelPlan, visit: Visit) -> Step:
    """Starts all branches. They may share the input: data is never mutated."""
    data, size = state.work_input(visit)
    return Fork([data] * len(state.starts), len(state.starts), visit.measure(data, size))


def join(state: ParallelPlan, visit: Visit, results: list[Json], size: int) -> Leave:
    """Makes the output of what the branches gave, which has to fit the limit even when less goes on (asl.md 15)."""
    return state.finish(visit, results, visit.measure_beyond_limit(results, size), state.next)
