"""Reads the rules of a Choice state (asl.md 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from engine.asl.expression_fields import assign, choice_path, jsonata, may_be_expression
from engine.asl.program import And, ChoiceRule, Comparison, Not, Or
from engine.query.comparisons import OPERATORS
from engine.timestamps import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.asl.field_tables import Mode
    from engine.asl.fields import Fields
    from engine.asl.program import Condition
    from engine.jsonvalue import Json
    from engine.query.comparisons import Operator
    from engine.query.jsonata import JsonataTemplate

_COMBINING: Final = ("And", "Or", "Not")

_CONDITION_FIELDS: Final[Mapping[str, Mode]] = {
    **dict.fromkeys((*_COMBINING, "Variable", *OPERATORS), "JSONPath"),
    "Comment": "both",
}
_RULE_FIELDS: Final[Mapping[str, Mode]] = {
    **_CONDITION_FIELDS,
    **dict.fromkeys(("Next", "Assign"), "both"),
    **dict.fromkeys(("Condition", "Output"), "JSONata"),
}

_KINDS: Final = {"string": "String", "number": "Number", "boolean": "Boolean"}


def choice_rules(state: Fields) -> tuple[ChoiceRule, ...]:
    """`Choices`: in order, the first rule that is true decides."""
    return tuple(_rule(entry) for entry in state.objects("Choices", empty=False))


def _rule(entry: Fields) -> ChoiceRule:
    entry.check_names(_RULE_FIELDS)
    entry.require("Next")
    if entry.language == "JSONata":
        entry.require("Condition")
        condition: Condition | JsonataTemplate | bool | None = _jsonata_condition(entry)
    else:
        condition = _condition(entry, ("And", "Or", "Not", "Variable", "Condition"))
    return ChoiceRule(
        condition=False if condition is None else condition,
        next=entry.string("Next") or "",
        assign=assign(entry),
        output=jsonata(entry, "Output"),
        comment=entry.comment(),
    )


def _jsonata_condition(entry: Fields) -> JsonataTemplate | bool | None:
    if may_be_expression(entry.get("Condition")):
        return jsonata(entry, "Condition")
    return entry.boolean("Condition")


def _condition(entry: Fields, selectors: tuple[str, ...]) -> Condition | None:
    """One rule without what only the outermost has; `selectors` are the fields of which it has exactly one."""
    found = [name for name in selectors if name in entry.values]
    if len(found) != 1:
        entry.report.error(
            "choice-rule-shape",
            f"The object must have only one of the following fields, [{', '.join(selectors)}]",
            entry.place,
        )
        return None
    match found[0]:
        case "Variable":
            return _comparison(entry)
        case "Not":
            rule = entry.object("Not")
            condition = _nested(rule) if rule is not None else None
            return Not(rule=condition) if condition is not None else None
        case "And" | "Or" as name:
            rules = [_nested(rule) for rule in entry.objects(name, empty=False)]
            conditions = tuple(rule for rule in rules if rule is not None)
            return And(rules=conditions) if name == "And" else Or(rules=conditions)
        case _:
            return None


def _nested(entry: Fields) -> Condition | None:
    entry.check_names(_CONDITION_FIELDS)
    entry.comment()
    return _condition(entry, (*_COMBINING, "Variable"))


def _comparison(entry: Fields) -> Comparison | None:
    variable = choice_path(entry, "Variable")
    names = [name for name in entry.values if name in OPERATORS]
    if len(names) != 1:
        few = "This object should have only one" if not names else "There should only be one"
        entry.report.error(
            "one-comparison-operator",
            f"{few} of the following fields: [{', '.join(OPERATORS)}]",
            entry.place,
            at=entry.at(names[1]) if names else None,
            key=bool(names),
        )
        return None
    operator = OPERATORS[names[0]]
    if operator.is_path:
        path = choice_path(entry, operator.name)
        return Comparison(variable=variable, operator=operator.name, operand=path) if variable and path else None
    operand = entry.values[operator.name]
    if not _is_literal(entry, operator, operand) or variable is None:
        return None
    return Comparison(variable=variable, operator=operator.name, operand=operand)


def _is_literal(entry: Fields, operator: Operator, operand: Json) -> bool:
    is_number = isinstance(operand, int | float) and not isinstance(operand, bool)
    fits = {
        "string": isinstance(operand, str),
        "number": is_number,
        "boolean": isinstance(operand, bool),
    }[operator.literal_type]
    if not fits:
        entry.expected(operator.name, _KINDS[operator.literal_type])
        return False
    if operator.family == "Timestamp" and isinstance(operand, str) and parse_timestamp(operand) is None:
        place = entry.at(operator.name)
        entry.report.error("not-a-timestamp", "String does not match RFC3339 timestamp", place)
        return False
    return True
