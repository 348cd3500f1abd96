"""Succeed: ends its flow, whether the whole execution or one branch (asl.md 11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.interpreter.dataflow import Exit, Tap, compile_exit
from engine.interpreter.state_plan import StatePlan

if TYPE_CHECKING:
    from engine.asl.program import SucceedState
    from engine.interpreter.context import Visit
    from engine.interpreter.step import Step


@dataclass(slots=True, eq=False, kw_only=True)
class SucceedPlan(StatePlan):
    """A Succeed state."""

    leave: Exit


def plan(state: SucceedState, tap: Tap | None = None) -> SucceedPlan:
    """Compiles the state."""
    return SucceedPlan(name=state.name, type="Succeed", leave=compile_exit(state, tap))


def enter(state: SucceedPlan, visit: Visit) -> Step:
    """Leaves at once, for nowhere."""
    return state.leave(visit, None)
