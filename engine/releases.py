"""What an engine does with versions and aliases of state machines, and with state machines that are to go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from engine.operations import aliases, state_machines, versions
from engine.operations.paging import all_items
from engine.parts import Part

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from engine.machines import StateMachineHandle


class StateMachineVersion(NamedTuple):
    """A version of a state machine. Given to `start_execution`, its ARN starts it as it was when it was published."""

    arn: str
    creation_date: datetime


class StateMachineAlias(NamedTuple):
    """An alias of a state machine. Given to `start_execution`, its ARN starts one of its versions.

    Attributes:
        routing: The percentage of the starts that each version gets, by the version's ARN.
    """

    arn: str
    name: str
    routing: Mapping[str, int]
    description: str | None
    creation_date: datetime
    update_date: datetime


class Releases(Part):
    """A part of `Engine`. A state machine is given as its handle, by name or by ARN."""

    def _machine_arn(self, machine: StateMachineHandle | str) -> str:
        return self.service.machine_arn(machine) if isinstance(machine, str) else machine.arn

    async def publish_version(
        self, machine: StateMachineHandle | str, *, description: str | None = None
    ) -> StateMachineVersion:
        """Makes what was last deployed a version, which never changes; the version that it is already, if it is one.

        Raises:
            StateMachineDoesNotExist, StateMachineDeleting, ServiceQuotaExceededException: As AWS does.
        """
        answer = await versions.publish_state_machine_version(
            self.service, state_machine_arn=self._machine_arn(machine), description=description
        )
        return StateMachineVersion(answer["state_machine_version_arn"], answer["creation_date"])

    async def list_versions(self, machine: StateMachineHandle | str) -> list[StateMachineVersion]:
        """The versions of a state machine, the newest first; none, when there is no such state machine."""
        list_ = versions.list_state_machine_versions
        found = all_items(self.service, "state_machine_versions", list_, state_machine_arn=self._machine_arn(machine))
        return [StateMachineVersion(one["state_machine_version_arn"], one["creation_date"]) async for one in found]

    async def delete_version(self, version_arn: str) -> None:
        """Removes a version, if it is there. Executions that were started with it go on.

        Raises:
            InvalidArn: Not the ARN of a version.
            ConflictException: An alias leads to it.
        """
        await versions.delete_state_machine_version(self.service, state_machine_version_arn=version_arn)

    async def create_alias(self, name: str, routing: Mapping[str, int], *, description: str | None = None) -> str:
        """Makes an alias of the state machine whose versions it leads to; its ARN. The same again changes nothing.

        Args:
            name: Of the alias: not a number alone.
            routing: One or two ARNs of versions, each with the percentage of the starts that it gets.
            description: For people.

        Raises:
            ValidationException, ResourceNotFound, StateMachineDeleting, ConflictException,
            ServiceQuotaExceededException: As AWS does.
        """
        aliases.check_alias_name(name)
        given = _routes(routing)
        answer = await aliases.create_state_machine_alias(
            self.service, name=name, routing_configuration=given, description=description
        )
        arn: str = answer["state_machine_alias_arn"]
        return arn

    async def update_alias(
        self, alias_arn: str, routing: Mapping[str, int] | None = None, *, description: str | None = None
    ) -> None:
        """Changes what is given of an alias. Raises ResourceNotFound, and as `create_alias`."""
        given = None if routing is None else _routes(routing)
        update = aliases.update_state_machine_alias
        await update(
            self.service, state_machine_alias_arn=alias_arn, routing_configuration=given, description=description
        )

    async def describe_alias(self, alias_arn: str) -> StateMachineAlias:
        """An alias. Raises InvalidArn, ResourceNotFound."""
        answer = await aliases.describe_state_machine_alias(self.service, state_machine_alias_arn=alias_arn)
        return StateMachineAlias(
            arn=alias_arn,
            name=answer["name"],
            routing={route["stateMachineVersionArn"]: route["weight"] for route in answer["routing_configuration"]},
            description=answer.get("description"),
            creation_date=answer["creation_date"],
            update_date=answer["update_date"],
        )

    async def list_aliases(self, machine: StateMachineHandle | str) -> list[StateMachineAlias]:
        """The aliases of a state machine, by name. Raises StateMachineDoesNotExist."""
        list_ = aliases.list_state_machine_aliases
        found = all_items(self.service, "state_machine_aliases", list_, state_machine_arn=self._machine_arn(machine))
        return [await self.describe_alias(one["state_machine_alias_arn"]) async for one in found]

    async def delete_alias(self, alias_arn: str) -> None:
        """Removes an alias, if it is there. Raises InvalidArn; ResourceNotFound: no such state machine."""
        await aliases.delete_state_machine_alias(self.service, state_machine_alias_arn=alias_arn)

    async def delete_state_machine(self, machine: StateMachineHandle | str) -> None:
        """Has a state machine go, if it is there, with its versions and aliases.

        Nothing of it can be started any more. What runs ends as ABORTED at its next event; with the last one it is
        gone, and its name is free.
        """
        await state_machines.delete_state_machine(self.service, state_machine_arn=self._machine_arn(machine))


def _routes(routing: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"stateMachineVersionArn": arn, "weight": weight} for arn, weight in routing.items()]
