"""Warnings about Choice states: rules that decide nothing, and inputs that no rule decides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.asl.program import And, Comparison, Not, Or
from engine.jsonvalue import equal, text
from engine.query.jsonpath import Path

if TYPE_CHECKING:
    from engine.asl.diagnostics import Place, Report
    from engine.asl.program import ChoiceRule, ChoiceState, Condition
    from engine.jsonvalue import Json

_CONSTANTS: Final = {"true": True, "false": False}

_OPPOSITES: Final = (("LessThan", "GreaterThanEquals"), ("GreaterThan", "LessThanEquals"))

_EQUALITY: Final = ("StringEquals", "NumericEquals", "BooleanEquals")


def check_choice(place: Place, values: dict[str, Json], state: ChoiceState, report: Report) -> None:
    """Reports on one Choice state."""
    always = False
    seen: set[str] = set()
    for index, rule in enumerate(state.choices):
        at = (*place, "Choices", index)
        written = _written(values, index)
        if always:
            report.warning("unreachable-choice-rule", "An earlier rule is always true, so this one never decides", at)
        elif written in seen:
            report.warning(
                "repeated-choice-rule", "An earlier rule has the same condition, so this one never decides", at
            )
        seen.add(written)
        constant = _constant(rule)
        if constant is False or (isinstance(rule.condition, And | Or | Not) and _never(rule.condition)):
            report.warning("choice-rule-never-true", "This rule can never be true", at)
        always = always or constant is True
    if state.default is not None:
        if always:
            message = "A rule is always true, so Default is never taken"
            report.warning("unreachable-choice-rule", message, (*place, "Default"), key=True)
    elif not always and not _covers_everything(state):
        message = "The execution fails when no rule is true: there is no Default"
        report.warning("choice-without-default", message, place, key=True)


def _written(values: dict[str, Json], index: int) -> str:
    """A rule's condition as JSON text."""
    rules = values["Choices"]
    rule = rules[index] if isinstance(rules, list) else None
    assert isinstance(rule, dict), "a program was made of it"
    left_out = ("Next", "Assign", "Output", "Comment")
    return text({name: value for name, value in sorted(rule.items()) if name not in left_out})


def _constant(rule: ChoiceRule) -> bool | None:
    """The value of a condition that does not depend on anything; None otherwise."""
    condition = rule.condition
    if isinstance(condition, bool):
        return condition
    if isinstance(condition, Comparison | And | Or | Not):
        return None
    return _CONSTANTS.get(condition.leaves[0].source) if condition.leaves else None


def _never(condition: Condition) -> bool:
    """Whether a condition asks one value to be two things at once."""
    match condition:
        case And():
            wanted = [rule for rule in condition.rules if isinstance(rule, Comparison)]
            return any(map(_never, condition.rules)) or any(
                _contradict(first, second) for index, first in enumerate(wanted) for second in wanted[index + 1 :]
            )
        case Or():
            return all(map(_never, condition.rules))
        case _:
            return False


def _contradict(first: Comparison, second: Comparison) -> bool:
    if first.variable.source != second.variable.source or isinstance(first.operand, Path):
        return False
    if isinstance(second.operand, Path):
        return False
    same_operator = first.operator == second.operator
    if same_operator and (first.operator in _EQUALITY or first.operator.startswith("Is")):
        return not equal(first.operand, second.operand)
    return False


def _covers_everything(state: ChoiceState) -> bool:
    """Whether two rules ask opposite things of the same value, so that one of them decides.

    Of JSONata conditions nobody can tell, so they get the benefit of the doubt.
    """
    if state.query_language == "JSONata":
        return True
    asked = [rule.condition for rule in state.choices if isinstance(rule.condition, Comparison)]
    refused = [rule.condition.rule for rule in state.choices if isinstance(rule.condition, Not)]
    keys = {_key(comparison) for comparison in asked}
    if keys & {_key(rule) for rule in refused if isinstance(rule, Comparison)}:
        return True
    return any(opposite in keys for comparison in asked for opposite in _opposites(comparison))


def _key(comparison: Comparison) -> tuple[str, str, str]:
    operand = comparison.operand
    return (
        comparison.variable.source,
        comparison.operator,
        operand.source if isinstance(operand, Path) else text(operand),
    )


def _opposites(comparison: Comparison) -> list[tuple[str, str, str]]:
    variable, operator, operand = _key(comparison)
    if isinstance(comparison.operand, bool):
        return [(variable, operator, text(not comparison.operand))]
    return [
        (variable, operator.replace(one, other), operand)
        for one, other in _OPPOSITES
        if operator.removesuffix("Path").endswith(one)
    ]
