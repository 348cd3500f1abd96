"""Rules over a whole definition: targets, ends, reachability, names, labels, variables (asl.md 1.2, 1.3, 9.4).

They read the JSON, not the program, because they also have something to say about a definition of which no program can
be made. What is not of the right type was reported by the readers and is passed over here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from engine.asl.field_tables import STATE_FIELDS, STATE_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.asl.diagnostics import Place, Report
    from engine.asl.field_tables import Mode
    from engine.asl.program import QueryLanguage
    from engine.jsonvalue import Json

STATE_NAME_LENGTH_MAX: Final = 80
LABEL_LENGTH_MAX: Final = 40
VARIABLE_NAME_LENGTH_MAX: Final = 80
MACHINE_NAME_LENGTH_MAX: Final = 80

_FORBIDDEN_IN_NAMES: Final = frozenset('<>{}[]?*"#%\\^|~`$&,;:/')


@dataclass(frozen=True, slots=True)
class FlowAt:
    """One `StartAt` and `States`, with the state around it that it belongs to (None: the machine itself)."""

    place: Place
    values: dict[str, Json]
    outer: FlowAt | None
    distributed: bool = False

    @property
    def states(self) -> Iterator[tuple[str, dict[str, Json]]]:
        """The states that are objects."""
        states = self.values.get("States")
        for name, state in states.items() if isinstance(states, dict) else ():
            if isinstance(state, dict):
                yield name, state

    def at(self, name: str) -> Place:
        """The place of a state."""
        return (*self.place, "States", name)


def every_flow(definition: dict[str, Json]) -> list[FlowAt]:
    """The machine's own flow and all that are nested in it, in the order of the text, outer before inner."""
    found: list[FlowAt] = []
    left = [FlowAt((), definition, None)]
    while left:
        flow = left.pop()
        found.append(flow)
        nested = [inner for name, state in flow.states for inner in _nested_flows(flow, name, state)]
        left.extend(reversed(nested))
    return found


def _nested_flows(flow: FlowAt, name: str, state: dict[str, Json]) -> Iterator[FlowAt]:
    place = flow.at(name)
    branches = state.get("Branches")
    if state.get("Type") == "Parallel" and isinstance(branches, list):
        for index, branch in enumerate(branches):
            if isinstance(branch, dict):
                yield FlowAt((*place, "Branches", index), branch, flow)
    if state.get("Type") == "Map":
        key = "ItemProcessor" if "ItemProcessor" in state else "Iterator"
        processor = state.get(key)
        if isinstance(processor, dict):
            config = processor.get("ProcessorConfig")
            distributed = isinstance(config, dict) and config.get("Mode") == "DISTRIBUTED"
            yield FlowAt((*place, key), processor, flow, distributed)


def transitions(place: Place, state: dict[str, Json]) -> Iterator[tuple[Place, str]]:
    """(place of the field, target) of each way out of a state."""
    allowed = state_fields(state)
    for name in ("Next", "Default"):
        target = state.get(name)
        if name in allowed and isinstance(target, str):
            yield (*place, name), target
    for name in ("Choices", "Catch"):
        entries = state.get(name)
        for index, entry in enumerate(entries) if name in allowed and isinstance(entries, list) else ():
            target = entry.get("Next") if isinstance(entry, dict) else None
            if isinstance(target, str):
                yield (*place, name, index, "Next"), target


def language_of(state: dict[str, Json], definition: dict[str, Json]) -> QueryLanguage:
    """A state's query language: its own or the machine's; whatever is not exactly `JSONPath` counts as JSONata [M]."""
    given = state.get("QueryLanguage", definition.get("QueryLanguage", "JSONPath"))
    return "JSONPath" if given == "JSONPath" else "JSONata"


def state_fields(state: dict[str, Json]) -> Mapping[str, Mode]:
    """The fields that a state's type has; of an unknown type all that were written."""
    state_type = state.get("Type")
    if state_type in STATE_TYPES:
        return STATE_FIELDS[state_type]
    return dict.fromkeys(state, "both")


# ── Graph ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_graph(flows: list[FlowAt], report: Report) -> None:
    """Targets that are not there, flows that cannot end, states that cannot be reached.

    Targets come first. A flow without an end is not searched for unreachable states (both measured).
    """
    for flow in flows:
        _check_targets(flow, report)
    for flow in flows:
        if _has_end(flow):
            _check_reachability(flow, report)
        else:
            report.error(
                "no-terminal-state",
                "Workflow has no terminal state",
                None,
                code="MISSING_END_STATE",
                at=(*flow.place, "States"),
                key=True,
                hint='one state needs "End": true, or be of type Succeed or Fail',
            )


def _check_targets(flow: FlowAt, report: Report) -> None:
    states = flow.values.get("States")
    if not isinstance(states, dict):
        return
    start = flow.values.get("StartAt")
    targets = [((*flow.place, "StartAt"), start)] if isinstance(start, str) else []
    targets.extend(target for name, state in flow.states for target in transitions(flow.at(name), state))
    for place, target in targets:
        if target not in states:
            # The word is Next wherever the target is named [M].
            report.error("missing-target", f"Missing 'Next' target: {target}", place, code="MISSING_TRANSITION_TARGET")


def _has_end(flow: FlowAt) -> bool:
    """Whether some state ends the flow. One that says neither where it goes nor that it ends was reported."""
    states = list(flow.states)
    if not states or len(states) < len(cast("dict[str, Json]", flow.values["States"])):
        return True
    return any(_ends(flow, name, state) for name, state in states)


def _ends(flow: FlowAt, name: str, state: dict[str, Json]) -> bool:
    if state.get("Type") in ("Succeed", "Fail") or state.get("End") is True:
        return True
    is_readable = state.get("Type") in STATE_TYPES and ("Next" in state or state.get("Type") == "Choice")
    return not is_readable and next(transitions(flow.at(name), state), None) is None


def _check_reachability(flow: FlowAt, report: Report) -> None:
    """Reports states that no way from `StartAt` leads to.

    Where unreachable states follow one another only the first is reported, as the service was seen to do.
    """
    start = flow.values.get("StartAt")
    if not isinstance(start, str):
        return
    targets = {name: [target for _, target in transitions(flow.at(name), state)] for name, state in flow.states}
    reached = _reach([start], targets)
    left = [name for name in targets if name not in reached]
    followed = {target for name in left for target in targets[name] if target != name}
    first = [name for name in left if name not in followed]
    behind = _reach(first, targets)
    shown = set(first) | {name for name in left if name not in behind}
    for name in left:
        if name in shown:
            message = f'State "{name}" is not reachable.'
            report.error("unreachable-state", message, flow.at(name), code="MISSING_TRANSITION_TARGET", key=True)


def _reach(starts: list[str], targets: dict[str, list[str]]) -> set[str]:
    reached: set[str] = set()
    left = list(starts)
    while left:
        name = left.pop()
        if name in targets and name not in reached:
            reached.add(name)
            left.extend(targets[name])
    return reached


# ── Names ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def check_names(flows: list[FlowAt], repeated: tuple[Place, ...], report: Report) -> None:
    """State names: of the right form, and none twice in the whole machine; keys that were written twice."""
    seen: set[str] = set()
    for flow in flows:
        for name, _ in flow.states:
            place = flow.at(name)
            _check_state_name(name, place, report)
            if name in seen:
                _duplicate_state(name, place, report)
            seen.add(name)
    places = {(*flow.place, "States") for flow in flows}
    for place in repeated:
        name = str(place[-1])
        if place[:-1] in places:
            _duplicate_state(name, place, report)
        else:
            # Jackson's words for it; whether the service refuses it is not recorded.
            message = f"Duplicate field '{name}'"
            report.error("duplicate-field", message, place[:-1], code="INVALID_JSON_DESCRIPTION", at=place, key=True)


def _duplicate_state(name: str, place: Place, report: Report) -> None:
    message = f"Duplicate State name: {name}"
    report.error("duplicate-state-name", message, place, code="DUPLICATE_STATE_NAME", key=True)


def _check_state_name(name: str, place: Place, report: Report) -> None:
    message = None
    if len(name) > STATE_NAME_LENGTH_MAX:
        message = f"exceeds the {STATE_NAME_LENGTH_MAX}-character limit allowed by the service"
    elif not name or any(_is_control(char) for char in name):
        message = "is empty or has control characters"
    if message is not None:
        text = f"Invalid State name: '{name}' {message}"
        report.error("invalid-state-name", text, place, code="INVALID_STATE_NAME", key=True)


def is_valid_name(name: str) -> bool:
    """Whether a text has no character that names of state machines, activities and labels may not have (asl.md 1.2)."""
    return not any(char in _FORBIDDEN_IN_NAMES or char.isspace() or _is_control(char) for char in name)


def _is_control(char: str) -> bool:
    return char < " " or "\x7f" <= char <= "\x9f"


def check_machine_name(name: str, report: Report) -> None:
    """The name of the state machine itself."""
    code, message = "", ""
    if not name:
        code, message = "STATE_MACHINE_NAME_EMPTY", "The state machine name has not been specified"
    elif len(name) > MACHINE_NAME_LENGTH_MAX:
        code = "STATE_MACHINE_NAME_TOO_LONG"
        message = f"State machine name '{name}' exceeds the {MACHINE_NAME_LENGTH_MAX}-character limit"
    elif not is_valid_name(name):
        code, message = "STATE_MACHINE_NAME_INVALID", f"Invalid state machine name: '{name}'"
    if code:
        report.error("invalid-machine-name", message, None, code=code)


def check_labels(flows: list[FlowAt], report: Report) -> None:
    """Labels of Map states: of the right form, and none twice. Recordings have the verdicts, not AWS's texts."""
    seen: set[str] = set()
    for flow in flows:
        for name, state in flow.states:
            label = state.get("Label")
            if state.get("Type") != "Map" or not isinstance(label, str):
                continue
            place = (*flow.at(name), "Label")
            if len(label) > LABEL_LENGTH_MAX:
                limit = f"exceeds the {LABEL_LENGTH_MAX}-character limit allowed by the service"
                _invalid_label(f"'{label}' {limit}", place, report)
            elif not label or not is_valid_name(label):
                _invalid_label(f"'{label}'", place, report)
            elif label in seen:
                message = f"Duplicate Label name: {label}"
                report.error("duplicate-label", message, place, code="DUPLICATE_LABEL_NAME")
            seen.add(label)


def _invalid_label(what: str, place: Place, report: Report) -> None:
    report.error("invalid-label", f"Invalid Label name: {what}", place, code="INVALID_LABEL_NAME")


# ── Variables ───────────────────────────────────────────────────────────────────────────────────────────────────────


def assigned_variables(flow: FlowAt, definition: dict[str, Json]) -> Iterator[tuple[Place, str]]:
    """(place in an `Assign`, variable) of everything a flow's own states assign."""
    for name, state in flow.states:
        allowed = state_fields(state)
        place = flow.at(name)
        suffix = ".$" if language_of(state, definition) == "JSONPath" else ""
        if "Assign" in allowed:
            yield from _assigned((*place, "Assign"), state.get("Assign"), suffix)
        for field in ("Choices", "Catch"):
            entries = state.get(field)
            for index, entry in enumerate(entries) if field in allowed and isinstance(entries, list) else ():
                if isinstance(entry, dict):
                    yield from _assigned((*place, field, index, "Assign"), entry.get("Assign"), suffix)


def _assigned(place: Place, assign: Json, suffix: str) -> Iterator[tuple[Place, str]]:
    for key in assign if isinstance(assign, dict) else ():
        yield (*place, key), key.removesuffix(suffix)


def check_variables(definition: dict[str, Json], flows: list[FlowAt], report: Report) -> None:
    """Variables: names of the right form, and none assigned in a flow when a flow around it assigns it (asl.md 9.4).

    The children of a Distributed Map see no variables from outside, so their flows begin anew.
    """
    scopes: dict[Place, dict[str, Place]] = {}
    for flow in flows:
        own: dict[str, Place] = {}
        outer = {} if flow.outer is None or flow.distributed else scopes[flow.outer.place]
        for place, name in assigned_variables(flow, definition):
            _check_variable_name(name, place, report)
            own.setdefault(name, place)
            if name in outer:
                # The rule is from AWS's guide; the text is ours.
                message = f"Variable '{name}' is already assigned in an outer scope"
                report.error("variable-of-outer-scope", message, place[:-1], at=place, key=True)
        scopes[flow.place] = {**outer, **own}


def _check_variable_name(name: str, place: Place, report: Report) -> None:
    if name == "states":
        message = "Cannot assign to reserved variable '$states'."
        report.error("reserved-variable", message, place[:-1], code="RESERVED_VARIABLE_NAME", at=place, key=True)
        return
    reason = None
    if len(name) > VARIABLE_NAME_LENGTH_MAX:
        reason = f"exceeds the {VARIABLE_NAME_LENGTH_MAX}-character limit"
    elif not name.isidentifier() or name.startswith("_"):
        reason = "contains invalid characters"
    if reason is not None:
        message = f"Invalid variable name '{name}': the variable name {reason}."
        report.error("invalid-variable-name", message, place[:-1], code="INVALID_VARIABLE_NAME", at=place, key=True)
