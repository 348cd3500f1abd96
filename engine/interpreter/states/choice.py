"""Choice: the first rule that holds says where to go (asl.md 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.asl.program import And, ChoiceRule, ChoiceState, Comparison, Condition, Not, Or
from engine.errors import StatesError
from engine.interpreter.dataflow import Exit, Tap, compile_effective_input, compile_exit, compile_rule_exit
from engine.interpreter.state_plan import StatePlan
from engine.interpreter.step import Raise, Step
from engine.query.comparisons import Predicate, all_of, any_of, compile_comparison, negation
from engine.query.jsonata import Bundle, JsonataTemplate, unexpected_type

if TYPE_CHECKING:
    from engine.interpreter.context import Visit
    from engine.jsonvalue import Json
    from engine.query.evaluation import Evaluate, Scope


@dataclass(slots=True, eq=False)
class RulePlan:
    """A rule. `next` is set when all states exist."""

    holds: Predicate
    leave: Exit
    next: StatePlan | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class ChoicePlan(StatePlan):
    """A Choice state; `default` as `next` of a rule."""

    effective: Evaluate | None
    rules: tuple[RulePlan, ...]
    leave: Exit
    default: StatePlan | None = None


def plan(state: ChoiceState, tap: Tap | None = None) -> ChoicePlan:
    """Compiles the state."""
    return ChoicePlan(
        name=state.name,
        type="Choice",
        effective=compile_effective_input(state, tap),
        rules=tuple(RulePlan(_predicate(rule), compile_rule_exit(state, rule)) for rule in state.choices),
        leave=compile_exit(state),
    )


def enter(state: ChoicePlan, visit: Visit) -> Step:
    """Asks the rules in order. Without a match the state's own Assign and Output belong to Default."""
    data = visit.input if state.effective is None else state.effective(visit.input, visit)
    for rule in state.rules:
        if rule.holds(data, visit):
            return rule.leave(visit, rule.next)
    if state.default is None:
        # Measured; documents name States.NoChoiceMatched (asl.md 10.4).
        cause = "Failed to transition out of the state. The state does not point to a next state."
        return Raise(StatesError("States.Runtime", cause, located=True))
    return state.leave(visit, state.default)


def _predicate(rule: ChoiceRule) -> Predicate:
    condition = rule.condition
    if isinstance(condition, bool):
        constant = condition
        return lambda data, scope: constant
    if isinstance(condition, JsonataTemplate):
        return _by_jsonata(condition)
    return _by_comparison(condition)


def _by_comparison(condition: Condition) -> Predicate:
    match condition:
        case Comparison():
            return compile_comparison(condition.operator, condition.variable, condition.operand)
        case And():
            return all_of([_by_comparison(rule) for rule in condition.rules])
        case Or():
            return any_of([_by_comparison(rule) for rule in condition.rules])
        case Not():
            return negation(_by_comparison(condition.rule))


def _by_jsonata(template: JsonataTemplate) -> Predicate:
    evaluate = Bundle([template]).evaluate

    def holds(data: Json, scope: Scope) -> bool:
        value = evaluate(scope, {"input": data})[0]
        if value is True or value is False:
            return value
        raise unexpected_type(template, "boolean", value)

    return holds
