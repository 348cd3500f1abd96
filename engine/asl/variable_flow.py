"""Which workflow variables a state can find assigned: a walk along the transitions, through nested flows (asl.md 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from engine.asl.program import (
    ChoiceState,
    FailState,
    Flow,
    MapState,
    ParallelState,
    StateMachine,
    SucceedState,
    TaskState,
    flows_of,
)
from engine.jsonvalue import decode
from engine.query.evaluation import Expression
from engine.query.jsonata import JsonataTemplate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.asl.program import Fill, State

    Reads: TypeAlias = Mapping[str, frozenset[str]]
    """By state name: the variables that a state's own expressions read."""


def undefined_reads(program: StateMachine, reads: Reads) -> dict[str, frozenset[str]]:
    """For states that read variables which nothing on any way to them assigns: those variables, by state name."""
    found: dict[str, frozenset[str]] = {}
    left: list[tuple[Flow, frozenset[str]]] = [(program, frozenset())] if any(reads.values()) else []
    while left:
        flow, known = left.pop()
        for name, entering in _assigned_on_entry(flow, known).items():
            state = flow.states[name]
            missing = reads[name] - entering
            if missing:
                found[name] = missing
            distributed = isinstance(state, MapState) and state.item_processor.mode == "DISTRIBUTED"
            left.extend((inner, frozenset() if distributed else entering) for inner in flows_of(state))
    return found


def _assigned_on_entry(flow: Flow, known: frozenset[str]) -> dict[str, frozenset[str]]:
    """For each state that can be reached, the variables that some way to it assigns."""
    entering: dict[str, frozenset[str]] = {flow.start_at: known}
    left = [flow.start_at]
    while left:
        name = left.pop()
        before = entering[name]
        for target, assigned in _ways_out(flow.states[name]):
            after = before | assigned
            if target not in entering:
                entering[target] = after
                left.append(target)
            elif not after <= entering[target]:
                entering[target] |= after
                left.append(target)
    return entering


def _ways_out(state: State) -> Iterator[tuple[str, frozenset[str]]]:
    """(target, variables assigned on this way)."""
    match state:
        case SucceedState() | FailState():
            return
        case ChoiceState():
            for rule in state.choices:
                yield rule.next, names_assigned(rule.assign)
            if state.default is not None:
                yield state.default, names_assigned(state.assign)
            return
        case _:
            if state.next is not None:
                yield state.next, names_assigned(state.assign)
    if isinstance(state, TaskState | ParallelState | MapState):
        for catcher in state.catch:
            yield catcher.next, names_assigned(catcher.assign)


def names_assigned(assign: Fill | None) -> frozenset[str]:
    """The variables that an `Assign` sets."""
    if assign is None:
        return frozenset()
    if isinstance(assign, JsonataTemplate):
        return frozenset(assign.value) if isinstance(assign.value, dict) else frozenset()
    keys = decode(assign.source)
    return frozenset(key.removesuffix(".$") for key in keys) if isinstance(keys, dict) else frozenset()


def every_read(program: StateMachine) -> Reads:
    """What each state of a machine reads; state names are unique in it."""
    found: dict[str, frozenset[str]] = {}
    left: list[Flow] = [program]
    while left:
        for name, state in left.pop().states.items():
            found[name] = _reads(state)
            left.extend(flows_of(state))
    return found


def _reads(state: State) -> frozenset[str]:
    """The variables that the expressions of a state read, wherever in it, but not those of states inside it."""
    found: set[str] = set()
    left: list[object] = [state]
    while left:
        item = left.pop()
        if isinstance(item, Expression | JsonataTemplate):
            found |= item.variables
        elif isinstance(item, tuple):
            left.extend(item)
        elif item is not None and not isinstance(item, str | int | float | Flow):
            left.extend(getattr(item, name) for name in getattr(item, "__dataclass_fields__", ()))
    return frozenset(found)
