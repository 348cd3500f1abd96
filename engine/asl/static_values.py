"""AWS's own three warnings: a text that looks like a path or a function call, where it is only a text (asl.md 2.2).

Codes and meaning are AWS's; which fields it looks at, and its texts, are not recorded.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from engine.asl.checks import every_flow, language_of
from engine.query.comparisons import OPERATORS

if TYPE_CHECKING:
    from engine.asl.diagnostics import Place, Report
    from engine.jsonvalue import Json

_PATH: Final = re.compile(r"\${1,2}(?:\.[^\W\d]|\[['\"*?\d])")
_CALL: Final = re.compile(r"States\.[A-Za-z0-9]+\(.*\)", re.DOTALL)

_TEMPLATES: Final = ("Parameters", "ResultSelector", "ItemSelector", "Assign", "Credentials")
_TEXTS: Final = ("Error", "Cause", "Timestamp")
_LITERALS: Final = frozenset(
    name for name, operator in OPERATORS.items() if operator.family == "String" and not operator.is_path
)


def warn_of_static_values(definition: dict[str, Json], report: Report) -> None:
    """Reports NO_DOLLAR, NO_PATH and PASS_RESULT_IS_STATIC for every JSONPath state."""
    for flow in every_flow(definition):
        for name, state in flow.states:
            if language_of(state, definition) == "JSONPath":
                _check_state(flow.at(name), state, report)


def _check_state(place: Place, state: dict[str, Json], report: Report) -> None:
    for field in _TEMPLATES:
        if field in state:
            _check_template(state[field], (*place, field), report)
    for field in _TEXTS:
        _check_text(state, field, place, report)
    if state.get("Type") == "Pass" and _looks_dynamic(state.get("Result")):
        message = "The value of 'Result' looks like a path or a function call, but 'Result' is never evaluated"
        hint = "use 'Parameters' with a key that ends in '.$'"
        report.warning("result-is-static", message, (*place, "Result"), code="PASS_RESULT_IS_STATIC", hint=hint)
    for field in ("Choices", "Catch"):
        entries = state.get(field)
        for index, entry in enumerate(entries if isinstance(entries, list) else ()):
            if isinstance(entry, dict):
                at = (*place, field, index)
                if "Assign" in entry:
                    _check_template(entry["Assign"], (*at, "Assign"), report)
                if field == "Choices":
                    _check_rule(entry, at, report)


def _check_template(value: Json, place: Place, report: Report) -> None:
    """Every text in a payload template whose key does not end in `.$`, at any depth."""
    if isinstance(value, dict):
        for key, member in value.items():
            if isinstance(member, str):
                if not key.endswith(".$") and _is_dynamic(member):
                    message = f"The value of '{key}' looks like a path or a function call, but the key has no '.$'"
                    report.warning("no-dollar", message, (*place, key), code="NO_DOLLAR", hint=f"write '{key}.$'")
            else:
                _check_template(member, (*place, key), report)
    elif isinstance(value, list):
        for index, member in enumerate(value):
            _check_template(member, (*place, index), report)


def _check_rule(rule: dict[str, Json], place: Place, report: Report) -> None:
    for field in _LITERALS & rule.keys():
        _check_text(rule, field, place, report)
    for field in ("And", "Or"):
        nested = rule.get(field)
        for index, inner in enumerate(nested if isinstance(nested, list) else ()):
            if isinstance(inner, dict):
                _check_rule(inner, (*place, field, index), report)
    inner = rule.get("Not")
    if isinstance(inner, dict):
        _check_rule(inner, (*place, "Not"), report)


def _check_text(fields: dict[str, Json], name: str, place: Place, report: Report) -> None:
    value = fields.get(name)
    if isinstance(value, str) and _PATH.match(value):
        message = f"The value of '{name}' looks like a path, but the name of the field does not end with 'Path'"
        report.warning("no-path", message, (*place, name), code="NO_PATH", hint=f"write '{name}Path'")


def _looks_dynamic(value: Json) -> bool:
    if isinstance(value, dict):
        return any(key.endswith(".$") or _looks_dynamic(member) for key, member in value.items())
    if isinstance(value, list):
        return any(_looks_dynamic(member) for member in value)
    return isinstance(value, str) and _is_dynamic(value)


def _is_dynamic(text: str) -> bool:
    return _PATH.match(text) is not None or _CALL.fullmatch(text) is not None
