"""A program made ready to run: one plan per state, with nothing left to look up.

A definition is compiled once; executions share the plan, which nothing changes after that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.asl.program import (
    ChoiceState,
    FailState,
    Flow,
    MapState,
    ParallelState,
    PassState,
    State,
    StateMachine,
    SucceedState,
    TaskState,
    WaitState,
    flows_of,
)
from engine.interpreter.dataflow import compile_catcher
from engine.interpreter.states import choice, distributed_map, fail, map_, parallel, pass_, succeed, task, wait
from engine.interpreter.step import Leave

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.interpreter.dataflow import Tap
    from engine.interpreter.state_plan import StatePlan


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole state machine, ready to run.

    Attributes:
        start: The first state.
        states: The plans of all flows by name: ASL wants state names unique in the whole machine.
        timeout_seconds: The state machine's own.
    """

    start: StatePlan
    states: Mapping[str, StatePlan]
    timeout_seconds: int | None


def compile_plan(program: StateMachine) -> Plan:
    """Makes a program ready to run: 0.1 ms for ten states."""
    states: dict[str, StatePlan] = {}
    _compile_flow(program, states)
    _link_flow(program, states)
    return Plan(states[program.start_at], states, program.timeout_seconds)


def compile_alone(state: State, tap: Tap) -> Plan:
    """One state, whatever flow it is of: it tells `tap` what it makes, and wherever it goes the execution ends.

    What it goes to is a Succeed state of that name. The flows inside a Map or Parallel are not compiled.
    """
    plan = _compile_state(state, tap)
    _link_state(state, plan, _Landings())
    return Plan(plan, {state.name: plan}, None)


class _Landings(dict[str, "StatePlan"]):
    """Every name is that of a state that ends the flow with its input."""

    def __missing__(self, name: str) -> StatePlan:
        return succeed.SucceedPlan(
            name=name, type="Succeed", leave=lambda visit, target: Leave(visit.input, visit.size, None)
        )


def _compile_flow(flow: Flow, states: dict[str, StatePlan]) -> None:
    for name, state in flow.states.items():
        states[name] = _compile_state(state)
        for inner in flows_of(state):
            _compile_flow(inner, states)


def _compile_state(state: State, tap: Tap | None = None) -> StatePlan:
    match state:
        case PassState():
            return pass_.plan(state, tap)
        case ChoiceState():
            return choice.plan(state, tap)
        case TaskState():
            return task.plan(state, tap)
        case WaitState():
            return wait.plan(state, tap)
        case SucceedState():
            return succeed.plan(state, tap)
        case FailState():
            return fail.plan(state)
        case ParallelState():
            return parallel.plan(state, tap)
        case MapState():
            if state.item_processor.mode == "DISTRIBUTED" and tap is None:
                return distributed_map.plan(state)
            return map_.plan(state, tap)


def _link_flow(flow: Flow, states: dict[str, StatePlan]) -> None:
    for name, state in flow.states.items():
        _link_state(state, states[name], states)
        for inner in flows_of(state):
            _link_flow(inner, states)


def _link_state(state: State, plan: StatePlan, states: Mapping[str, StatePlan]) -> None:
    """Names become plans."""
    match state:
        case ChoiceState():
            assert isinstance(plan, choice.ChoicePlan)
            plan.default = None if state.default is None else states[state.default]
            for rule, rule_plan in zip(state.choices, plan.rules, strict=True):
                rule_plan.next = states[rule.next]
        case PassState() | WaitState():
            plan.next = _target(state.next, states)
        case TaskState() | ParallelState() | MapState():
            plan.next = _target(state.next, states)
            plan.retriers = state.retry
            catchers = [compile_catcher(c, jsonata=state.query_language == "JSONata") for c in state.catch]
            for catcher, catcher_plan in zip(state.catch, catchers, strict=True):
                catcher_plan.next = states[catcher.next]
            plan.catchers = catchers
            if isinstance(plan, parallel.ParallelPlan):
                plan.starts = [states[flow.start_at] for flow in flows_of(state)]
            elif isinstance(plan, map_.MapPlan | distributed_map.DistributedMapPlan):
                plan.start = states[flows_of(state)[0].start_at]
        case SucceedState() | FailState():
            pass


def _target(name: str | None, states: Mapping[str, StatePlan]) -> StatePlan | None:
    return None if name is None else states[name]
