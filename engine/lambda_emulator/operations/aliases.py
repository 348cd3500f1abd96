"""The operations on aliases (lambda.md 3.2)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.lambda_emulator.errors import (
    InvalidParameterValueException,
    ResourceConflictException,
    ResourceNotFoundException,
)
from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.identifiers import unqualified
from engine.lambda_emulator.operations.functions import without_qualifier
from engine.lambda_emulator.operations.lookup import existing, function_of, now_ms, require_revision
from engine.lambda_emulator.operations.paging import page, position
from engine.lambda_emulator.preparation import begin_provisioning
from engine.lambda_emulator.records import Alias, ProvisionedConcurrency, new_revision_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.records import FunctionRecord


async def create_alias(
    emulator: Emulator,
    *,
    function_name: str,
    name: str,
    function_version: str,
    description: str = "",
    routing_config: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Makes an alias.

    Raises:
        ResourceNotFoundException: No such function or version.
        InvalidParameterValueException: Not such a routing.
        ResourceConflictException: The name is taken.
    """
    where = unqualified(emulator, function_name)
    alias = Alias(
        name=name,
        function_version=function_version,
        revision_id=new_revision_id(),
        description=description,
        additional_version_weights=_weights(routing_config),
    )

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        record = existing(before, where)
        if name in record.aliases:
            raise ResourceConflictException(f"Alias already exists: {record.arn(name)}")
        _check(record, alias)
        return replace(record, aliases=record.aliases | {name: alias})

    record = await emulator.library.change_function(where.key, edit)
    assert record is not None, "the edit answers a record"
    return _shown(record, alias)


def _weights(routing_config: Mapping[str, Any] | None) -> dict[str, float]:
    weights = (routing_config or {}).get("AdditionalVersionWeights") or {}
    return {version: float(weight) for version, weight in weights.items()}


def _check(record: FunctionRecord, alias: Alias) -> None:
    """Raises InvalidParameterValueException, ResourceNotFoundException: the alias cannot lead where it is to lead."""
    weights = alias.additional_version_weights
    if len(weights) > 1:
        raise InvalidParameterValueException("Number of items in AdditionalVersionWeights cannot be greater than 1")
    if alias.function_version in weights:
        raise InvalidParameterValueException(
            f"Invalid function version {alias.function_version}. "
            f"Function version {alias.function_version} is already included in routing configuration."
        )
    if weights and LATEST in (alias.function_version, *weights):
        raise InvalidParameterValueException("$LATEST is not supported for an alias pointing to more than 1 version")
    for version in (alias.function_version, *weights):
        if record.configuration(version) is None:
            raise ResourceNotFoundException(f"Function not found: {record.arn(version)}")


async def update_alias(
    emulator: Emulator,
    *,
    function_name: str,
    name: str,
    function_version: str | None = None,
    description: str | None = None,
    routing_config: Mapping[str, Any] | None = None,
    revision_id: str | None = None,
) -> dict[str, Any]:
    """Changes what is given of an alias. A provisioned alias that leads elsewhere gets new environments.

    Raises:
        ResourceNotFoundException: No such function, alias or version.
        PreconditionFailedException: It was changed since.
        InvalidParameterValueException: Not such a routing.
    """
    where = unqualified(emulator, function_name)
    changes: dict[str, Any] = {"revision_id": new_revision_id()}
    if function_version is not None:
        changes["function_version"] = function_version
    if description is not None:
        changes["description"] = description
    if routing_config is not None:
        changes["additional_version_weights"] = _weights(routing_config)
    left = ""

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        nonlocal left
        record = existing(before, where)
        alias = record.aliases.get(name)
        if alias is None:
            raise ResourceNotFoundException(f"Alias not found: {record.arn(name)}")
        require_revision(revision_id, alias.revision_id)
        changed = replace(alias, **changes)
        _check(record, changed)
        moves = name in record.provisioned and changed.function_version != alias.function_version
        left = alias.function_version if moves else ""
        record = replace(record, aliases=record.aliases | {name: changed})
        if not moves:
            return record
        # With another time, whoever provisions the version before begins again.
        again = ProvisionedConcurrency(requested=record.provisioned[name].requested, last_modified=now_ms(emulator))
        return replace(record, provisioned=record.provisioned | {name: again})

    record = await emulator.library.change_function(where.key, edit)
    assert record is not None, "the edit answers a record"
    if left:
        begin_provisioning(emulator, record, name)
        await emulator.environments.retire(record.name, left)
    return _shown(record, record.aliases[name])


async def get_alias(emulator: Emulator, *, function_name: str, name: str) -> dict[str, Any]:
    """An alias. Raises ResourceNotFoundException: No such function or alias."""
    where = unqualified(emulator, function_name)
    record = await function_of(emulator, where)
    alias = record.aliases.get(name)
    if alias is None:
        raise ResourceNotFoundException(f"Cannot find alias arn: {record.arn(name)}")
    return _shown(record, alias)


async def delete_alias(emulator: Emulator, *, function_name: str, name: str) -> None:
    """Removes an alias with all that belongs to it, if it is there. Raises ResourceNotFoundException: no function."""
    where = unqualified(emulator, function_name)
    left = ""

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        nonlocal left
        record = existing(before, where)
        if name not in record.aliases:
            return record
        left = record.aliases[name].function_version if name in record.provisioned else ""
        kept = {key: alias for key, alias in record.aliases.items() if key != name}
        return replace(without_qualifier(record, name), aliases=kept)

    await emulator.library.change_function(where.key, edit)
    if left:
        await emulator.environments.retire(where.key.name, left)


async def list_aliases(
    emulator: Emulator,
    *,
    function_name: str,
    function_version: str | None = None,
    marker: str | None = None,
    max_items: int | None = None,
) -> dict[str, Any]:
    """The aliases of a function by name, or those that lead to a version. Raises ResourceNotFoundException."""
    where = unqualified(emulator, function_name)
    after = position(marker)
    record = await function_of(emulator, where)
    found = [
        alias
        for _, alias in sorted(record.aliases.items())
        if alias.name > after
        and (
            function_version is None or function_version in (alias.function_version, *alias.additional_version_weights)
        )
    ]
    return page(
        "Aliases",
        found,
        max_items=max_items,
        position_of=lambda alias: alias.name,
        show=lambda alias: _shown(record, alias),
    )


def _shown(record: FunctionRecord, alias: Alias) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "AliasArn": record.arn(alias.name),
        "Name": alias.name,
        "FunctionVersion": alias.function_version,
        "Description": alias.description,
        "RevisionId": alias.revision_id,
    }
    if alias.additional_version_weights:
        shown["RoutingConfig"] = {"AdditionalVersionWeights": dict(alias.additional_version_weights)}
    return shown
