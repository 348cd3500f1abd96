"""EXECUTION and MACHINE as a person gives them: an ARN, or a name where that says enough."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from engine import arns
from engine.errors import ExecutionDoesNotExist
from engine.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.store.postgres.store import PostgresStore
    from engine.store.records import ExecutionRecord, StateMachineRecord


def machine_arn(given: str) -> str:
    """The ARN of a state machine that is given by its ARN or its name."""
    if given.startswith("arn:"):
        return given
    settings = Settings.from_environment()
    return arns.state_machine_arn(settings.region, settings.account_id, given)


def find_execution(store: PostgresStore, given: str) -> ExecutionRecord:
    """The execution of an ARN, of `machine:name`, or of a name that only one execution has.

    Raises:
        ExecutionDoesNotExist: No execution has that ARN.
        click.ClickException: The name says too little, or nothing has it.
    """
    if given.startswith("arn:"):
        return store.execution(given)
    machine, colon, name = given.partition(":")
    if colon:
        settings = Settings.from_environment()
        return store.execution(arns.execution_arn(settings.region, settings.account_id, machine, name))
    found = _of_name(store, given)
    if not found:
        raise click.ClickException(f"no execution is called {given!r}; asl ls shows them")
    if len(found) > 1:
        lines = "".join(f"\n  {record.execution.arn}" for record in found)
        raise click.ClickException(f"several executions are called {given!r}; say which one:{lines}")
    return found[0]


def _of_name(store: PostgresStore, name: str) -> list[ExecutionRecord]:
    """The executions of this name, at most one of each state machine; a name is unique there and nowhere else."""
    found = []
    for machine in _machines(store):
        arn = arns.parse_arn(machine.arn)
        assert arn is not None, "a state machine is kept by an ARN that we minted"
        with suppress(ExecutionDoesNotExist):
            found.append(store.execution(arns.execution_arn(arn.region, arn.account, machine.name, name)))
    return found


def _machines(store: PostgresStore) -> Iterator[StateMachineRecord]:
    page = store.state_machines()
    while page:
        yield from page
        page = store.state_machines(after=page[-1].arn)
