"""The operations on versions of state machines (api.md 6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import InvalidArn, StateMachineDoesNotExist
from engine.operations.paging import page
from engine.operations.resources import check_storable, machine_arn_of, version_arn
from engine.outcome import aware

if TYPE_CHECKING:
    from engine.operations.service import Service


async def publish_state_machine_version(
    service: Service, *, state_machine_arn: str, revision_id: str | None = None, description: str | None = None
) -> dict[str, Any]:
    """Makes the current revision a version; the one that it is already, if it is one.

    Raises:
        InvalidArn, ValidationException: See `machine_arn_of`.
        StateMachineDoesNotExist, StateMachineDeleting, ConflictException, ServiceQuotaExceededException: See
            `Library.publish_version`.
    """
    arn = machine_arn_of(state_machine_arn)
    if arn.is_qualified:
        raise StateMachineDoesNotExist(state_machine_arn)
    check_storable(description=description)
    publish, now = service.library.publish_version, service.now()
    version = await service.ask(publish, arn.machine, expected=revision_id, description=description, now=now)
    return {
        "creation_date": aware(version.creation_date),
        "state_machine_version_arn": version_arn(arn.machine, version.number),
    }


async def delete_state_machine_version(service: Service, *, state_machine_version_arn: str) -> dict[str, Any]:
    """Removes a version, if it is there. Executions that were started with it go on.

    Raises:
        InvalidArn, ValidationException: Not the ARN of a version.
        ConflictException: An alias leads to it.
    """
    arn = machine_arn_of(state_machine_version_arn)
    if arn.version is None:
        raise InvalidArn(f"Resource type not valid in this context: {state_machine_version_arn}")
    await service.ask(service.library.delete_version, arn.machine, arn.version)
    return {}


async def list_state_machine_versions(
    service: Service, *, state_machine_arn: str, max_results: int | None = None, next_token: str | None = None
) -> dict[str, Any]:
    """The versions of a state machine, the newest first; none, when there is no such state machine.

    Raises:
        InvalidArn, ValidationException: See `machine_arn_of`.
        InvalidToken: See `page`.
    """
    arn = machine_arn_of(state_machine_arn)
    asked = page(
        service,
        "ListStateMachineVersions",
        int,
        max_results=max_results,
        next_token=next_token,
        state_machine_arn=arn.machine,
    )
    found = await service.ask(service.library.versions, arn.machine, before=asked.after, most=asked.most + 1)
    shown, rest = asked.shown(found, lambda version: version.number)
    versions = [
        {
            "state_machine_version_arn": version_arn(arn.machine, version.number),
            "creation_date": aware(version.creation_date),
        }
        for version in shown
    ]
    return {"state_machine_versions": versions, **rest}
