"""`asl graph`: a picture of a state machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, assert_never

import click

from engine.cli.definitions import STDIN, definition_file, read_definition
from engine.cli.exits import ExitCode
from engine.cli.render_text import print_invalid
from engine.cli.streams import print_note, print_result
from engine.cli.substitutions import read_substitutions, substitution_option

if TYPE_CHECKING:
    from engine.asl.program import StateMachine

Form: TypeAlias = Literal["mermaid", "svg", "dot"]

_FORM_OF_SUFFIX: dict[str, Form] = {
    ".svg": "svg",
    ".dot": "dot",
    ".gv": "dot",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
}


@click.command("graph")
@click.argument("file", metavar="FILE", type=definition_file)
@click.option(
    "--format",
    "form",
    type=click.Choice(["mermaid", "svg", "dot"]),
    help="By default what the name of OUT says, or mermaid.",
)
@click.option("-o", "--output", "out", metavar="OUT", type=click.Path(dir_okay=False), help="Write to this file.")
@substitution_option
@click.option("--title", metavar="TEXT", help="The heading; by default the name of FILE.")
def command(file: str, form: Form | None, out: str | None, substitutions: tuple[str, ...], title: str | None) -> int:
    """Draw a state machine.

    FILE is JSON or YAML; - is stdin. SVG needs nothing else to be looked at; mermaid is for READMEs, dot for Graphviz.
    """
    if form is None:
        form = _form_of(out)
    definition = read_definition(file, substitutions=read_substitutions(substitutions))
    if definition.program is None:
        print_invalid(definition)
        return ExitCode.USAGE
    if title is None:
        from engine.arguments import stem_of

        title = "stdin" if file == STDIN else stem_of(file)
    text = _drawn(definition.program, form, title)
    if out is None:
        print_result(text.rstrip("\n"))
        return ExitCode.SUCCEEDED
    try:
        Path(out).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{out}: {error.strerror}") from error
    print_note(f"wrote {out}")
    return ExitCode.SUCCEEDED


def _form_of(out: str | None) -> Form:
    if out is None:
        return "mermaid"
    form = _FORM_OF_SUFFIX.get(Path(out).suffix.lower())
    if form is None:
        raise click.UsageError(f"{out!r} does not tell the format: add --format, or end it in .svg, .dot or .mmd.")
    return form


def _drawn(program: StateMachine, form: Form, title: str) -> str:
    from engine.ui.graph import graph

    content = graph(program, title=title or None)
    match form:
        case "mermaid":
            from engine.ui.graph_mermaid import to_mermaid

            return to_mermaid(content)
        case "dot":
            from engine.ui.graph_dot import to_dot

            return to_dot(content)
        case "svg":
            from engine.ui.graph_svg import to_svg

            return to_svg(content)
    assert_never(form)
