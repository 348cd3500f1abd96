"""`asl validate`: checks definitions, and says what is wrong where."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from engine.cli.definitions import STDIN, definition_file, read_definition
from engine.cli.exits import ExitCode
from engine.cli.streams import print_note, print_result
from engine.cli.substitutions import read_substitutions, substitution_option

if TYPE_CHECKING:
    from engine.asl.states import MachineType
    from engine.cli.definitions import Definition


@click.command("validate")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=definition_file)
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
    help="json: AWS's answer for each file; sarif: for code scanning; github: annotations in a workflow.",
)
@click.option(
    "--type",
    "machine_type",
    type=click.Choice(["STANDARD", "EXPRESS"], case_sensitive=False),
    default="STANDARD",
    show_default=True,
    metavar="STANDARD|EXPRESS",
    help="Express state machines may do less.",
)
@substitution_option
@click.option("--strict", is_flag=True, help="Make warnings errors.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing when there is nothing wrong.")
def command(
    files: tuple[str, ...],
    form: str,
    machine_type: MachineType,
    substitutions: tuple[str, ...],
    strict: bool,
    quiet: bool,
) -> int:
    """Check definitions as AWS does, and beyond.

    FILE is JSON or YAML; - is stdin. Each problem is shown with its place in the text. Warnings alone leave the exit
    code at 0.
    """
    if files.count(STDIN) > 1:
        raise click.UsageError("'-' can be read only once.")
    values = read_substitutions(substitutions)
    definitions = [read_definition(file, type=machine_type, substitutions=values) for file in files]
    if strict:
        definitions = [_strict(definition) for definition in definitions]
    _show(definitions, form, quiet=quiet)
    return ExitCode.USAGE if any(definition.has_errors for definition in definitions) else ExitCode.SUCCEEDED


def _strict(definition: Definition) -> Definition:
    if not definition.diagnostics:
        return definition
    errors = tuple(replace(diagnostic, severity="ERROR") for diagnostic in definition.diagnostics)
    return replace(definition, program=None, diagnostics=errors)


def _show(definitions: list[Definition], form: str, *, quiet: bool) -> None:
    if form == "text":
        _show_text(definitions, quiet=quiet)
        return
    from engine.cli.render_machine import github_report, json_report, sarif_report
    from engine.cli.streams import json_text

    if form == "github":
        for line in github_report(definitions):
            print_result(line)
        _note_summary(definitions, quiet=quiet)
    else:
        print_result(json_text((sarif_report if form == "sarif" else json_report)(definitions), pretty=True))


def _show_text(definitions: list[Definition], *, quiet: bool) -> None:
    from engine.cli.render_text import diagnostics_text
    from engine.cli.streams import width_of

    for definition in definitions:
        if definition.diagnostics:
            print_result(diagnostics_text(definition, width=width_of(sys.stdout)) + "\n")
    _note_summary(definitions, quiet=quiet)


def _note_summary(definitions: list[Definition], *, quiet: bool) -> None:
    from engine.cli.render_text import summary

    if not quiet or any(definition.diagnostics for definition in definitions):
        print_note(summary(definitions))
