"""From text to a program, or to everything that is wrong with it.

    parsed = parse(text, type="EXPRESS")
    parsed.program        # None when there is an ERROR
    parsed.diagnostics    # errors and warnings

`load` is the short way for whoever only wants the program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from engine.asl.checks import check_graph, check_labels, check_machine_name, check_names, check_variables, every_flow
from engine.asl.diagnostics import Diagnostic, InvalidDefinition, Report
from engine.asl.field_tables import MACHINE_FIELDS
from engine.asl.fields import Fields
from engine.asl.lint import lint
from engine.asl.program import StateMachine
from engine.asl.source import InvalidSource, read_source
from engine.asl.states import QUERY_LANGUAGES, SECONDS_MAX, Machine, read_flow

if TYPE_CHECKING:
    from engine.asl.diagnostics import FindSpan, Place, Span
    from engine.asl.program import QueryLanguage
    from engine.asl.source import Source, Syntax
    from engine.asl.states import MachineType
    from engine.jsonvalue import Json

TEST_STATE_NAME: Final = "StateName"
"""What TestState calls a state that stands alone [R]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """A definition that was read.

    Attributes:
        program: None exactly when a diagnostic is an ERROR.
        diagnostics: In AWS's order as far as it is known: single objects, targets, ends, reachability, names; what is
            only a warning comes last.
    """

    program: StateMachine | None
    diagnostics: tuple[Diagnostic, ...]


def parse(
    source: str | bytes | dict[str, Any],
    *,
    type: MachineType = "STANDARD",
    name: str | None = None,
    syntax: Syntax = "JSON",
    warnings: bool = True,
) -> Parsed:
    """Reads a definition. Never raises, whatever is given.

    Args:
        source: Text, UTF-8 bytes, or the object itself as Python values.
        type: Some things are not for EXPRESS.
        name: The state machine's name, when it is to be checked too.
        syntax: Of text: JSON, or YAML (see `yaml_text` for how that is read).
        warnings: Whether a definition without errors is also looked at for what is legal but hardly meant.
    """
    try:
        read = read_source(source, syntax)
    except InvalidSource as error:
        return Parsed(program=None, diagnostics=(error.diagnostic,))
    report = Report()
    program = _read_machine(read.value, type, report)
    flows = every_flow(read.value)
    check_graph(flows, report)
    check_names(flows, read.repeated, report)
    check_labels(flows, report)
    check_variables(read.value, flows, report)
    if name is not None:
        check_machine_name(name, report)
    return _parsed(program, read.value, report, read.find_span, warnings=warnings)


def load(
    source: str | bytes | dict[str, Any],
    *,
    type: MachineType = "STANDARD",
    name: str | None = None,
    syntax: Syntax = "JSON",
) -> StateMachine:
    """The program of a definition; arguments as of `parse`.

    Raises:
        InvalidDefinition: It has errors; all of them are in `diagnostics`.
    """
    parsed = parse(source, type=type, name=name, syntax=syntax, warnings=False)
    if parsed.program is None:
        raise InvalidDefinition(parsed.diagnostics)
    return parsed.program


def parse_state(source: str | bytes | dict[str, Any], *, name: str = TEST_STATE_NAME) -> Parsed:
    """Reads a single state, as TestState takes it: a machine that has only this state, whose targets need not exist."""
    try:
        read = read_source(source)
    except InvalidSource as error:
        return Parsed(program=None, diagnostics=(error.diagnostic,))
    definition: dict[str, Json] = {"StartAt": name, "States": {name: read.value}}
    report = Report()
    program = _read_machine(definition, "STANDARD", report)
    flows = every_flow(definition)
    check_graph(flows[1:], report)
    check_names(flows, (), report)
    check_labels(flows, report)
    check_variables(definition, flows, report)
    return _parsed(program, definition, report, _within_state(read), warnings=False)


def _within_state(read: Source) -> FindSpan:
    def find(place: Place, key: bool) -> Span | None:
        return read.find_span(place[2:], key and len(place) > 2)

    return find


def _parsed(
    program: StateMachine, definition: dict[str, Json], report: Report, find_span: FindSpan, *, warnings: bool
) -> Parsed:
    usable = not report.has_errors
    if warnings:
        lint(definition, program if usable else None, report)
    return Parsed(program=program if usable else None, diagnostics=report.diagnostics(find_span))


def _read_machine(
    definition: dict[str, Json],
    machine_type: MachineType,
    report: Report,
) -> StateMachine:
    given = definition.get("QueryLanguage", "JSONPath")
    language: QueryLanguage = "JSONPath" if given == "JSONPath" else "JSONata"
    fields = Fields(definition, (), report, language)
    fields.check_names(MACHINE_FIELDS)
    fields.require("States", "StartAt")
    fields.one_of("QueryLanguage", QUERY_LANGUAGES)
    fields.one_of("Version", ("1.0",))
    # The Amazon States Language wants a positive number; the service was measured to take 0, which limits nothing.
    timeout = fields.integer("TimeoutSeconds", minimum=0, maximum=SECONDS_MAX)
    flow = read_flow(fields, Machine(type=machine_type, language=language))
    return StateMachine(
        start_at=flow.start_at,
        states=flow.states,
        comment=flow.comment,
        query_language=language,
        timeout_seconds=timeout or None,
    )
