"""Pass: hands on its input, or what Result, Parameters or Output make of it (asl.md 11)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.interpreter.dataflow import Exit, Tap, compile_exit
from engine.interpreter.state_plan import StatePlan

if TYPE_CHECKING:
    from engine.asl.program import PassState
    from engine.interpreter.context import Visit
    from engine.interpreter.step import Step


@dataclass(slots=True, eq=False, kw_only=True)
class PassPlan(StatePlan):
    """A Pass state."""

    leave: Exit


def plan(state: PassState, tap: Tap | None = None) -> PassPlan:
    """Compiles the state."""
    return PassPlan(name=state.name, type="Pass", leave=compile_exit(state, tap))


def enter(state: PassPlan, visit: Visit) -> Step:
    """Leaves at once."""
    return state.leave(visit, state.next)
