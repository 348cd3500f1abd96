"""The operations on state machines (api.md 5.1, execution.md 15)."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import anyio

from engine import arns
from engine.arguments import text_of
from engine.asl.parser import load
from engine.asl.source import read_source
from engine.asl.variable_flow import every_read
from engine.errors import (
    InvalidLoggingConfiguration,
    InvalidName,
    MissingRequiredParameter,
    StateMachineDoesNotExist,
    TooManyTags,
    ValidationException,
)
from engine.jsonvalue import text
from engine.operations.configuration import checked_role, encryption_of, log_groups_of, logging_of, tracing_of
from engine.operations.paging import page
from engine.operations.quotas import check_room_for_state_machine
from engine.operations.resources import check_storable, checked_arn, machine_arn_of, version_arn
from engine.operations.tags import tags_of
from engine.outcome import aware
from engine.store.library import TAGS_MAX
from engine.store.protocol import RevisionId
from engine.store.records import AWS_OWNED_KEY, LOGGING_OFF, TRACING_OFF, Publication, StateMachineRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.jsonvalue import Json
    from engine.operations.service import Service
    from engine.store.protocol import MachineType
    from engine.store.records import Changes

METADATA_ONLY = "METADATA_ONLY"

_DEFINITIONS_MAX = 64
"""Definitions of which it is remembered what they look like in a description."""


async def create_state_machine(
    service: Service,
    *,
    name: str,
    definition: str,
    role_arn: str,
    type: MachineType = "STANDARD",
    logging_configuration: Mapping[str, Json] | None = None,
    tags: Sequence[Mapping[str, str]] = (),
    tracing_configuration: Mapping[str, Json] | None = None,
    publish: bool = False,
    version_description: str | None = None,
    encryption_configuration: Mapping[str, Json] | None = None,
) -> dict[str, Any]:
    """Makes a state machine; asked for the same again, nothing changes, and its role and tags are not looked at.

    Raises:
        InvalidName, InvalidArn, InvalidDefinition, InvalidLoggingConfiguration, InvalidEncryptionConfiguration: A
            member is wrong.
        ValidationException: A description of a version, and none is published; or a tag that AWS would not take.
        TooManyTags: More than TAGS_MAX.
        StateMachineAlreadyExists, StateMachineDeleting: The name is taken.
        StateMachineLimitExceeded: See `Quotas`.
    """
    if not arns.is_valid_name(name):
        raise InvalidName(name)
    _check_publication(publish, version_description)
    machine = StateMachineRecord(
        arn=arns.state_machine_arn(service.region, service.account_id, name),
        name=name,
        type=type,
        definition=_checked_definition(definition, type),
        creation_date=service.now(),
        revision_id=RevisionId(service.new_uuid()),
        role_arn=checked_role(role_arn),
        logging=LOGGING_OFF if logging_configuration is None else await _logging_of(service, logging_configuration),
        tracing=TRACING_OFF if tracing_configuration is None else tracing_of(tracing_configuration),
        encryption=AWS_OWNED_KEY if encryption_configuration is None else encryption_of(encryption_configuration),
    )
    given_tags = tags_of(tags)
    if len(given_tags) > TAGS_MAX:
        raise TooManyTags(machine.arn)
    await check_room_for_state_machine(service, machine.arn)
    publication = Publication(description=version_description) if publish else None
    create = service.library.create_state_machine
    made = await service.ask(create, machine, publication=publication, tags=given_tags)
    service.backend.forget_machine(made.arn)
    answer: dict[str, Any] = {"state_machine_arn": made.arn, "creation_date": aware(made.creation_date)}
    if publish:
        answer["state_machine_version_arn"] = version_arn(made.arn, 1)
    return answer


async def update_state_machine(
    service: Service,
    *,
    state_machine_arn: str,
    definition: str | None = None,
    role_arn: str | None = None,
    logging_configuration: Mapping[str, Json] | None = None,
    tracing_configuration: Mapping[str, Json] | None = None,
    publish: bool = False,
    version_description: str | None = None,
    encryption_configuration: Mapping[str, Json] | None = None,
) -> dict[str, Any]:
    """Gives a state machine a new revision, unless it is as asked already. Executions that run keep theirs.

    Raises:
        InvalidArn, ValidationException, InvalidDefinition, InvalidLoggingConfiguration,
        InvalidEncryptionConfiguration: A member is wrong.
        MissingRequiredParameter: There is nothing to change.
        StateMachineDoesNotExist: Nor does it when the ARN is that of a version or an alias.
        StateMachineDeleting: See there.
        ConflictException: Somebody else changed it in the same moment, so that it was not published.
        ServiceQuotaExceededException: See `Library.publish_version`.
    """
    arn = machine_arn_of(state_machine_arn)
    _check_publication(publish, version_description)
    configurations = (logging_configuration, tracing_configuration, encryption_configuration)
    if all(given is None for given in (definition, role_arn, *configurations)):
        raise MissingRequiredParameter
    if arn.is_qualified:
        raise StateMachineDoesNotExist(state_machine_arn)
    changes: Changes = {}
    if role_arn is not None:
        changes["role_arn"] = checked_role(role_arn)
    if logging_configuration is not None:
        changes["logging"] = await _logging_of(service, logging_configuration)
    if tracing_configuration is not None:
        changes["tracing"] = tracing_of(tracing_configuration)
    if encryption_configuration is not None:
        changes["encryption"] = encryption_of(encryption_configuration)
    if definition is not None:
        known = await service.ask(service.library.state_machine, arn.machine)
        changes["definition"] = _checked_definition(definition, known.type)
    revision_id, now = RevisionId(service.new_uuid()), service.now()
    update = service.library.update_state_machine
    machine = await service.ask(update, arn.machine, changes, revision_id=revision_id, now=now)
    service.backend.forget_machine(arn.machine)
    answer: dict[str, Any] = {"update_date": aware(now), **_revision_id(machine)}
    if publish:
        published = await service.ask(
            service.library.publish_version,
            arn.machine,
            expected=machine.revision_name,
            description=version_description,
            now=now,
        )
        answer["state_machine_version_arn"] = version_arn(arn.machine, published.number)
    return answer


async def _logging_of(service: Service, given: Mapping[str, Json]) -> Mapping[str, Json]:
    """See `logging_of`. Raises InvalidLoggingConfiguration: the log group is not there, either."""
    found = logging_of(given)
    if service.has_log_group is not None:
        for group_arn in log_groups_of(found):
            if not await anyio.to_thread.run_sync(service.has_log_group, group_arn):
                raise InvalidLoggingConfiguration("Log Destination not found.")
    return found


def _check_publication(publish: bool, version_description: str | None) -> None:
    if version_description is not None and not publish:
        raise ValidationException("Version description can only be set when publish is true")
    check_storable(versionDescription=version_description)


def _checked_definition(definition: str, type_: MachineType) -> str:
    load(definition, type=type_)
    check_storable(definition=definition)
    return definition


def _revision_id(machine: StateMachineRecord) -> dict[str, str]:
    return {} if machine.is_initial else {"revision_id": str(machine.revision_id)}


async def describe_state_machine(
    service: Service, *, state_machine_arn: str, included_data: str = "ALL_DATA"
) -> dict[str, Any]:
    """A state machine with its current revision, or a version.

    Raises:
        InvalidArn, ValidationException: See `machine_arn_of`.
        StateMachineDoesNotExist: Nor does it when the ARN is that of an alias.
    """
    arn = machine_arn_of(state_machine_arn)
    if arn.alias is not None:
        raise StateMachineDoesNotExist(state_machine_arn)
    library = service.library
    if arn.version is None:
        machine = await service.ask(library.state_machine, arn.machine)
        own: dict[str, Any] = {"creation_date": aware(machine.creation_date)}
    else:
        try:
            version = await service.ask(library.version, arn.machine, arn.version)
            machine = await service.ask(library.revision, version.revision_id)
        except StateMachineDoesNotExist:
            raise StateMachineDoesNotExist(state_machine_arn) from None  # as it was given
        own = {"creation_date": aware(version.creation_date)}
        if version.description is not None:
            own["description"] = version.description
    return {
        **_described(service, machine, included_data),
        **own,
        "state_machine_arn": state_machine_arn,
        "status": machine.status,
        "type": machine.type,
    }


async def describe_state_machine_for_execution(
    service: Service, *, execution_arn: str, included_data: str = "ALL_DATA"
) -> dict[str, Any]:
    """The state machine of an execution, with the revision that it runs.

    Raises:
        InvalidArn: Not the ARN of a Standard execution.
        ExecutionDoesNotExist: See there.
    """
    checked_arn(execution_arn, "execution")
    execution = await service.ask(service.library.execution, execution_arn)
    machine = await service.ask(service.library.revision, execution.revision_id)
    answer = {**_described(service, machine, included_data), "update_date": aware(machine.revision_date)}
    role = execution.execution.map
    if role is not None:
        answer["map_run_arn"] = role.map_run_arn
        answer["label"] = arns.labelled_arn_of(role.map_run_arn).rpartition("/")[2]
    return answer


def _described(service: Service, machine: StateMachineRecord, included_data: str) -> dict[str, Any]:
    """What both descriptions have."""
    definition, references = "{}", None
    if included_data != METADATA_ONLY:
        definition, references = _shown(machine.definition, machine.type)
    answer: dict[str, Any] = {
        "state_machine_arn": machine.arn,
        "name": machine.name,
        "definition": definition,
        "role_arn": service.role_arn if machine.role_arn is None else machine.role_arn,
        "logging_configuration": dict(machine.logging),
        "tracing_configuration": dict(machine.tracing),
        "encryption_configuration": dict(machine.encryption),
        **_revision_id(machine),
    }
    if references:
        answer["variable_references"] = {state: list(names) for state, names in references.items()}
    return answer


@lru_cache(maxsize=_DEFINITIONS_MAX)
def _shown(definition: str, type_: MachineType) -> tuple[str, Mapping[str, Sequence[str]]]:
    """The definition as JSON, byte for byte if it is JSON, and by state the variables that each one reads."""
    source, syntax = text_of(definition)
    reads = every_read(load(source, type=type_, syntax=syntax))
    shown = definition if syntax == "JSON" else text(read_source(source, syntax).value)
    return shown, {state: sorted(names) for state, names in reads.items() if names}


async def delete_state_machine(service: Service, *, state_machine_arn: str) -> dict[str, Any]:
    """Has a state machine go, if it is there: see `Library.delete_state_machine`.

    Raises:
        InvalidArn: Not the ARN of a state machine.
        ValidationException: That of something in it.
    """
    arn = machine_arn_of(state_machine_arn)
    if arn.is_qualified:
        raise ValidationException(f"Expected the ARN of a state machine, got that of a version or alias: '{arn.text}'")
    await service.ask(service.library.delete_state_machine, arn.machine)
    service.backend.forget_machine(arn.machine)
    return {}


async def list_state_machines(
    service: Service, *, max_results: int | None = None, next_token: str | None = None
) -> dict[str, Any]:
    """The state machines of this account and region, by name, in the order of code points. Raises InvalidToken."""
    asked = page(service, "ListStateMachines", str, max_results=max_results, next_token=next_token)
    own = arns.state_machine_arn(service.region, service.account_id, "")
    list_ = service.library.state_machines
    found = await service.ask(list_, within=own, after=asked.after or "", most=asked.most + 1)
    shown, rest = asked.shown(found, lambda machine: machine.arn)
    return {"state_machines": [_item(machine) for machine in shown], **rest}


def _item(machine: StateMachineRecord) -> dict[str, Any]:
    return {
        "state_machine_arn": machine.arn,
        "name": machine.name,
        "type": machine.type,
        "creation_date": aware(machine.creation_date),
    }
