"""The operations on aliases of state machines (api.md 6)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from engine.errors import (
    InvalidArn,
    ResourceNotFound,
    StateMachineDeleting,
    StateMachineDoesNotExist,
    ValidationException,
)
from engine.operations.paging import page
from engine.operations.resources import MachineArn, check_storable, machine_arn_of, version_arn
from engine.outcome import aware
from engine.store.records import AliasRecord

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.operations.service import Service
    from engine.store.records import Routing

WHOLE = 100
"""What the weights of an alias make together."""


_NAME = re.compile(r"(?=.*[a-zA-Z_\-.])[a-zA-Z0-9_\-.]{1,80}")
ROUTES_MAX = 2


def check_alias_name(name: str) -> None:
    """Raises ValidationException: AWS would not take it. What comes over the wire is checked there."""
    if _NAME.fullmatch(name) is None:
        raise ValidationException(
            f"name: expected 1 to 80 letters, digits, '_', '-' or '.', and not digits alone; got {name!r}"
        )


async def create_state_machine_alias(
    service: Service,
    *,
    name: str,
    routing_configuration: Sequence[Mapping[str, Any]],
    description: str | None = None,
) -> dict[str, Any]:
    """Makes an alias of the state machine whose versions it leads to; the same again changes nothing.

    Raises:
        InvalidArn, ValidationException: The routing is none.
        StateMachineDoesNotExist, StateMachineDeleting, ResourceNotFound, ConflictException,
        ServiceQuotaExceededException: See `Library.create_alias`.
    """
    check_storable(description=description)
    machine_arn, routing = _routing(routing_configuration)
    now = service.now()
    alias = AliasRecord(name=name, routing=routing, description=description, creation_date=now, update_date=now)
    try:
        made = await service.ask(service.library.create_alias, machine_arn, alias)
    except StateMachineDoesNotExist:
        raise ResourceNotFound from None
    return {"state_machine_alias_arn": f"{machine_arn}:{name}", "creation_date": aware(made.creation_date)}


def _routing(given: Sequence[Mapping[str, Any]]) -> tuple[str, Routing]:
    """The state machine, and its versions with their weights.

    Raises:
        InvalidArn, ValidationException: See `create_state_machine_alias`.
    """
    if not 1 <= len(given) <= ROUTES_MAX or any(not 0 <= route["weight"] <= WHOLE for route in given):
        raise ValidationException(
            f"routing: expected one or {ROUTES_MAX} versions with weights of 0 to {WHOLE}",
            reason="INVALID_ROUTING_CONFIGURATION",
        )
    texts = [str(route["stateMachineVersionArn"]) for route in given]
    arns = [machine_arn_of(text) for text in texts]
    if any(arn.version is None for arn in arns) or len({arn.machine for arn in arns}) > 1:
        raise _invalid_routing("Routing configuration must contain state machine version ARNs.", texts)
    if len(set(texts)) < len(texts):
        raise _invalid_routing("Routing configuration must contain distinct state machine version ARNs.", texts)
    weights = [int(route["weight"]) for route in given]
    if sum(weights) != WHOLE:
        raise _invalid_routing(f"Sum of routing configuration weights must equal {WHOLE}.", map(str, weights))
    numbers = [arn.version for arn in arns if arn.version is not None]
    return arns[0].machine, tuple(zip(numbers, weights, strict=True))


def _invalid_routing(text: str, received: Any) -> ValidationException:
    return ValidationException(f"{text} Received: [{', '.join(received)}]", reason="INVALID_ROUTING_CONFIGURATION")


def _alias_arn(text: str) -> tuple[MachineArn, str]:
    """Raises InvalidArn, ValidationException: not the ARN of an alias."""
    arn = machine_arn_of(text)
    if arn.alias is None:
        raise InvalidArn(f"Resource type not valid in this context: {text}")
    return arn, arn.alias


async def update_state_machine_alias(
    service: Service,
    *,
    state_machine_alias_arn: str,
    description: str | None = None,
    routing_configuration: Sequence[Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    """Changes what is given of an alias.

    Raises:
        InvalidArn, ValidationException: Not the ARN of an alias, no routing, or nothing to change.
        ResourceNotFound, StateMachineDeleting: See `Library.update_alias`.
    """
    arn, name = _alias_arn(state_machine_alias_arn)
    if description is None and routing_configuration is None:
        raise ValidationException(
            "Either the description or the routing configuration must be specified",
            reason="MISSING_REQUIRED_PARAMETER",
        )
    check_storable(description=description)
    routing = None
    if routing_configuration is not None:
        machine_arn, routing = _routing(routing_configuration)
        if machine_arn != arn.machine:
            raise ResourceNotFound
    update, now = service.library.update_alias, service.now()
    alias = await service.ask(update, arn.machine, name, description=description, routing=routing, now=now)
    return {"update_date": aware(alias.update_date)}


async def describe_state_machine_alias(service: Service, *, state_machine_alias_arn: str) -> dict[str, Any]:
    """An alias.

    Raises:
        InvalidArn, ValidationException: Not the ARN of an alias.
        ResourceNotFound: No such alias.
    """
    arn, name = _alias_arn(state_machine_alias_arn)
    alias = await service.ask(service.library.alias, arn.machine, name)
    answer: dict[str, Any] = {
        "state_machine_alias_arn": state_machine_alias_arn,
        "name": alias.name,
        "routing_configuration": [
            {"stateMachineVersionArn": version_arn(arn.machine, number), "weight": weight}
            for number, weight in alias.routing
        ],
        "creation_date": aware(alias.creation_date),
        "update_date": aware(alias.update_date),
    }
    if alias.description is not None:
        answer["description"] = alias.description
    return answer


async def delete_state_machine_alias(service: Service, *, state_machine_alias_arn: str) -> dict[str, Any]:
    """Removes an alias, if it is there.

    Raises:
        InvalidArn, ValidationException: Not the ARN of an alias.
        ResourceNotFound: No such state machine.
    """
    arn, name = _alias_arn(state_machine_alias_arn)
    try:
        await service.ask(service.library.state_machine, arn.machine)
    except StateMachineDoesNotExist:
        raise ResourceNotFound from None
    await service.ask(service.library.delete_alias, arn.machine, name)
    return {}


async def list_state_machine_aliases(
    service: Service, *, state_machine_arn: str, max_results: int | None = None, next_token: str | None = None
) -> dict[str, Any]:
    """The aliases of a state machine, or those that lead to one version, by name.

    Raises:
        InvalidArn, ValidationException: See `machine_arn_of`.
        InvalidToken: See `page`.
        StateMachineDoesNotExist: No state machine has the ARN.
        StateMachineDeleting: See there.
        ResourceNotFound: It has no such version.
    """
    arn = machine_arn_of(state_machine_arn)
    asked = page(
        service,
        "ListStateMachineAliases",
        str,
        max_results=max_results,
        next_token=next_token,
        state_machine_arn=state_machine_arn,
    )
    if arn.alias is not None:
        raise StateMachineDoesNotExist(state_machine_arn)
    library = service.library
    if (await service.ask(library.state_machine, arn.machine)).status == "DELETING":
        raise StateMachineDeleting(arn.machine)
    if arn.version is not None:
        try:
            await service.ask(library.version, arn.machine, arn.version)
        except StateMachineDoesNotExist:
            raise ResourceNotFound from None
    after, most = asked.after or "", asked.most + 1
    found = await service.ask(library.aliases, arn.machine, of_version=arn.version, after=after, most=most)
    shown, rest = asked.shown(found, lambda alias: alias.name)
    aliases = [
        {"state_machine_alias_arn": f"{arn.machine}:{alias.name}", "creation_date": aware(alias.creation_date)}
        for alias in shown
    ]
    return {"state_machine_aliases": aliases, **rest}
