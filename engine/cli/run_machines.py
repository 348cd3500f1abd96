"""`asl run --machine NAME=FILE` and `--test-case NAME`: state machines that the one that is run starts, and mocks."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from engine.cli.definitions import STDIN, read_definition

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.cli.definitions import Definition
    from engine.integrations.registry import Handlers

MACHINES = click.option(
    "--machine",
    "machines",
    metavar="NAME=FILE",
    multiple=True,
    help="A state machine that Tasks start, by its name or ARN; repeatable.",
)


class Case(NamedTuple):
    """A test case of a mock configuration, and what that calls the state machine."""

    key: str
    machine_name: str
    name: str


def read_machines(given: Sequence[str], substitutions: Mapping[str, str]) -> dict[str, Definition]:
    """The state machines of `--machine`, by name.

    Raises:
        click.ClickException: One of them cannot be read, or is wrong.
        click.UsageError: What was given is no NAME=FILE.
    """
    from engine.arns import is_valid_name
    from engine.asl.diagnostics import invalid_definition_message

    machines: dict[str, Definition] = {}
    for one in given:
        named, _, file = one.rpartition("=")
        name = named.rpartition(":")[2]
        if not file or file == STDIN or not is_valid_name(name):
            raise click.UsageError(
                f"--machine {one}: expected NAME=FILE, the name or ARN of a state machine and a file."
            )
        definition = read_definition(file, substitutions=substitutions)
        if definition.program is None:
            told = invalid_definition_message(definition.diagnostics)
            raise click.ClickException(f"--machine {one}: {told}\nasl validate {file} tells where.")
        machines[name] = definition
    return machines


def mocked(handlers: Handlers, test_case: str, file: str) -> Case:
    """The test case that is run; from then on `handlers` have its mocks.

    It is the file's state machine that counts, or the only one of the mock configuration that has such a test case.

    Raises:
        click.ClickException: There is no mock configuration, no such test case, or several state machines have one.
    """
    from engine.arguments import stem_of
    from engine.integrations.mock_config import UnknownTestCase, read_mock_config
    from engine.settings import Settings

    given = Settings.from_environment().mock_config
    if given is None:
        raise click.UsageError("--test-case needs --mock-config, or SFN_MOCK_CONFIG.")
    handlers.mocks = mocks = read_mock_config(given)
    machines = mocks.machines(test_case)
    name = stem_of(file)
    if name not in machines and len(machines) == 1:
        (name,) = machines
    try:
        return Case(mocks.key(name, test_case), name, test_case)
    except UnknownTestCase as error:
        raise click.ClickException(f"--test-case {test_case}: {error}") from error
