"""`asl test-state`: runs one state of a definition once and prints what became of it, as AWS's TestState does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import click

from engine.cli.definitions import STDIN, definition_file, read_definition
from engine.cli.documents import read_document
from engine.cli.eval_ import VARIABLE_FORM, read_variable
from engine.cli.exits import ExitCode
from engine.cli.streams import print_json, stdout_kept_clean
from engine.cli.substitutions import read_substitutions, substitution_option
from engine.cli.targets import HANDLERS_FILE, TARGET_FORM, read_handlers, target_option

if TYPE_CHECKING:
    from engine.cli.definitions import Definition
    from engine.integrations.registry import Handlers
    from engine.jsonvalue import Json
    from engine.library import StateOutcome
    from engine.operations.test_state import InspectionLevel

_LEVELS = ("INFO", "DEBUG", "TRACE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is to be tested, and with what."""

    state: str | None
    input: Json
    arguments: dict[str, Any]
    handlers: Handlers


@click.command("test-state")
@click.argument("file", metavar="FILE", type=definition_file)
@click.option("--state", metavar="NAME", help="Which state; not needed where FILE holds a state alone.")
@click.option("-i", "--input", "given", metavar="JSON|@FILE|-", default="{}", help="The state's input; {} by default.")
@click.option("--mock", metavar="JSON|@FILE", help="In place of the state's work; see above.")
@click.option(
    "--inspection-level",
    type=click.Choice(_LEVELS, case_sensitive=False),
    default="DEBUG",
    show_default=True,
    metavar="INFO|DEBUG|TRACE",
    help="INFO: only how it ended; TRACE: also the request and response of an HTTP Task.",
)
@click.option("--reveal-secrets", is_flag=True, help="With TRACE: also what the connection adds to the request.")
@click.option("-v", "--variable", "variables", metavar=VARIABLE_FORM, multiple=True, help="A workflow variable.")
@click.option("--context", metavar="JSON|@FILE", help="The Context Object; only with --mock.")
@click.option("--configuration", metavar="JSON|@FILE", help="AWS's stateConfiguration: retrierRetryCount and so on.")
@target_option(TARGET_FORM)
@HANDLERS_FILE
@click.option("--handlers", metavar="MODULE", help="A module or .py file whose functions are named as the states.")
@substitution_option
def command(
    file: str,
    state: str | None,
    given: str,
    mock: str | None,
    inspection_level: InspectionLevel,
    reveal_secrets: bool,
    variables: tuple[str, ...],
    context: str | None,
    configuration: str | None,
    targets: tuple[str, ...],
    handlers_file: str | None,
    handlers: str | None,
    substitutions: tuple[str, ...],
) -> int:
    """Run one state once and print what became of it.

    FILE is a definition, JSON or YAML, or holds a single state; - is stdin.

    \b
    asl test-state order.asl.json --state Charge -i @order.json --mock '{"result": {"id": 1}}'
    asl test-state order.asl.json --state Charge --mock '{"errorOutput": {"error": "Busy"}}'

    Without --mock a Task is done as asl run does it: see -t there. A Map or Parallel needs a mock, whose
    result is the array of its iterations' or branches' outputs. Waiting is skipped.

    Exit codes: 0 SUCCEEDED or CAUGHT_ERROR, 2 FAILED or RETRIABLE.
    """  # noqa: D301  the escape is click's mark of a paragraph to leave as it is
    if file == STDIN and given == STDIN:
        raise click.UsageError("FILE and -i cannot both be stdin.")
    arguments: dict[str, Any] = {"inspection_level": inspection_level, "reveal_secrets": reveal_secrets}
    for option, document in (("--mock", mock), ("--context", context), ("--configuration", configuration)):
        if document is not None:
            name = "state_configuration" if option == "--configuration" else option[2:]
            arguments[name] = _object(option, read_document(document, option=option))
    if variables:
        arguments["variables"] = dict(read_variable(each) for each in variables)
    value = read_document(given, option="-i")
    definition = read_definition(file, substitutions=read_substitutions(substitutions))
    if state is None and definition.program is not None:
        names = ", ".join(map(repr, definition.program.states))
        raise click.UsageError(f"{definition.file} is a whole state machine: --state says which of {names}.")
    rules = read_handlers(() if handlers is None else (handlers,), targets, handlers_file)
    return _tell(definition, Question(state=state, input=value, arguments=arguments, handlers=rules))


def _object(option: str, value: Json) -> dict[str, Json]:
    if not isinstance(value, dict):
        raise click.UsageError(f"{option}: expected a JSON object.")
    return value


def _tell(definition: Definition, question: Question) -> int:
    import anyio

    from engine.asl.diagnostics import InvalidDefinition
    from engine.cli.refusals import refusals_told
    from engine.cli.render_text import print_invalid

    with stdout_kept_clean(), refusals_told():
        try:
            outcome = anyio.run(_outcome, definition.text, question)
        except InvalidDefinition as error:
            print_invalid(replace(definition, program=None, diagnostics=error.diagnostics))
            return ExitCode.USAGE
    print_json(_as_aws(outcome))
    return ExitCode.SUCCEEDED if outcome.status in ("SUCCEEDED", "CAUGHT_ERROR") else ExitCode.FAILED


async def _outcome(definition: str, question: Question) -> StateOutcome:
    from engine.library import Engine

    async with Engine.in_memory(question.handlers, clock="virtual") as engine:
        return await engine.test_state(definition, question.input, state=question.state, **question.arguments)


def _as_aws(outcome: StateOutcome) -> dict[str, Json]:
    """AWS's answer, with values where it has their JSON text."""
    answer: dict[str, Json] = {"status": outcome.status}
    if outcome.status in ("SUCCEEDED", "CAUGHT_ERROR"):
        answer["output"] = outcome.output
    told = {"error": outcome.error, "cause": outcome.cause, "nextState": outcome.next_state}
    answer |= {name: value for name, value in told.items() if value is not None}
    if outcome.inspection_data:
        answer["inspectionData"] = outcome.inspection_data
    return answer
