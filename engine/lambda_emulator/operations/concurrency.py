"""The operations on reserved and provisioned concurrency (lambda.md 3.3)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.lambda_emulator.errors import (
    InvalidParameterValueException,
    ProvisionedConcurrencyConfigNotFoundException,
    ResourceConflictException,
)
from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.identifiers import named, unqualified
from engine.lambda_emulator.operations.lookup import alias_of, existing, function_of, now_ms
from engine.lambda_emulator.operations.paging import page, position
from engine.lambda_emulator.operations.shown import last_modified
from engine.lambda_emulator.preparation import begin_provisioning, provisioned_configuration
from engine.lambda_emulator.records import ProvisionedConcurrency, function_key

if TYPE_CHECKING:
    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.identifiers import Named
    from engine.lambda_emulator.records import FunctionRecord


# ── reserved ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def put_function_concurrency(
    emulator: Emulator, *, function_name: str, reserved_concurrent_executions: int
) -> dict[str, Any]:
    """Gives a function concurrent executions that no other has; with 0 it is throttled always.

    Raises:
        ResourceNotFoundException: No such function.
        InvalidParameterValueException: Too few would be left for the others, or for what is provisioned.
    """
    where = unqualified(emulator, function_name)
    record = await function_of(emulator, where)
    asked = reserved_concurrent_executions
    left = await _unreserved(emulator) + record.held_concurrency - asked
    least = emulator.limits.unreserved_min
    if asked and left < least:
        raise InvalidParameterValueException(
            "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution "
            f"below its minimum value of [{least}].",
            type=None,
        )

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        now = existing(before, where)
        if asked < now.provisioned_total:
            raise InvalidParameterValueException(
                f"ReservedConcurrentExecutions {asked} should not be lower than function's total provisioned "
                f"concurrency [{now.provisioned_total}].",
                type=None,
            )
        return replace(now, reserved_concurrency=asked)

    await emulator.library.change_function(where.key, edit)
    return {"ReservedConcurrentExecutions": asked}


async def _unreserved(emulator: Emulator) -> int:
    usage = await emulator.library.usage(function_key(emulator.account_id, emulator.region, ""))
    return emulator.limits.concurrent_executions - usage.reserved


async def get_function_concurrency(emulator: Emulator, *, function_name: str) -> dict[str, Any]:
    """What a function has reserved; nothing, if it has not. Raises ResourceNotFoundException."""
    record = await function_of(emulator, unqualified(emulator, function_name))
    if record.reserved_concurrency is None:
        return {}
    return {"ReservedConcurrentExecutions": record.reserved_concurrency}


async def delete_function_concurrency(emulator: Emulator, *, function_name: str) -> None:
    """Reserves nothing any more. Raises ResourceNotFoundException."""
    where = unqualified(emulator, function_name)
    await emulator.library.change_function(
        where.key, lambda before: replace(existing(before, where), reserved_concurrency=None)
    )


# ── provisioned ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def put_provisioned_concurrency_config(
    emulator: Emulator, *, function_name: str, qualifier: str, provisioned_concurrent_executions: int
) -> dict[str, Any]:
    """Has environments of a version or alias made before they are needed.

    Raises:
        ResourceNotFoundException: No such function, version or alias.
        InvalidParameterValueException: `$LATEST`, or more than there are.
        ResourceConflictException: The version has some already, by another name.
    """
    where = named(emulator, function_name, qualifier)
    if where.qualifier in (None, LATEST):
        raise InvalidParameterValueException(
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
        )
    place = str(where.qualifier)
    asked = provisioned_concurrent_executions
    known = await function_of(emulator, where)
    before_it = known.provisioned.get(place)
    unreserved = await _unreserved(emulator) + (0 if before_it is None else before_it.requested)
    made = ProvisionedConcurrency(requested=asked, last_modified=now_ms(emulator))

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        record = existing(before, where)
        _check_provisioned(emulator, record, where, asked, unreserved)
        return replace(record, provisioned=record.provisioned | {place: made})

    record = await emulator.library.change_function(where.key, edit)
    assert record is not None, "the edit answers a record"
    begin_provisioning(emulator, record, place)
    return _shown(made)


def _check_provisioned(emulator: Emulator, record: FunctionRecord, where: Named, asked: int, unreserved: int) -> None:
    place = str(where.qualifier)
    alias = alias_of(record, where)
    if alias is not None and alias.function_version == LATEST:
        raise InvalidParameterValueException(
            "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
        )
    version = place if alias is None else alias.function_version
    for other in record.provisioned.keys() - {place}:
        if provisioned_configuration(record, other).version == version:
            raise ResourceConflictException(
                "Version is pointed by a Provisioned Concurrency alias"
                if alias is None
                else "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
            )
    provisioned = record.configuration(version)
    if provisioned is not None and provisioned.snap_start == "PublishedVersions":
        raise InvalidParameterValueException(
            "Provisioned Concurrency is not supported for functions with SnapStart enabled."
        )
    others = record.provisioned_total - (record.provisioned[place].requested if place in record.provisioned else 0)
    reserved, limits = record.reserved_concurrency, emulator.limits
    if reserved is not None:
        if asked + others > reserved:
            raise InvalidParameterValueException(
                "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for "
                "function",
                type=None,
            )
    elif asked > unreserved:
        raise InvalidParameterValueException(
            "Specified ConcurrentExecutions for function is greater than account's unreserved concurrency "
            f"[{unreserved}].",
            type=None,
        )
    elif unreserved - asked < limits.unreserved_min:
        raise InvalidParameterValueException(
            "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
            f"minimum value of [{limits.unreserved_min}].",
            type=None,
        )


def _shown(one: ProvisionedConcurrency) -> dict[str, Any]:
    ready = one.requested if one.status == "READY" else 0
    shown: dict[str, Any] = {
        "RequestedProvisionedConcurrentExecutions": one.requested,
        "AvailableProvisionedConcurrentExecutions": ready,
        "AllocatedProvisionedConcurrentExecutions": ready,
        "Status": one.status,
        "LastModified": last_modified(one.last_modified),
    }
    if one.status_reason is not None:
        shown["StatusReason"] = one.status_reason
    return shown


async def get_provisioned_concurrency_config(
    emulator: Emulator, *, function_name: str, qualifier: str
) -> dict[str, Any]:
    """How the environments of a version or alias stand.

    Raises:
        ResourceNotFoundException: No such function, version or alias.
        InvalidParameterValueException: `$LATEST`.
        ProvisionedConcurrencyConfigNotFoundException: It has none.
    """
    where = _provisionable(emulator, function_name, qualifier)
    record = await function_of(emulator, where)
    alias_of(record, where)
    found = record.provisioned.get(str(where.qualifier))
    if found is None:
        raise _no_config()
    if found.status == "IN_PROGRESS":
        begin_provisioning(emulator, record, str(where.qualifier))  # by a server that stopped, perhaps
    return _shown(found)


def _provisionable(emulator: Emulator, function_name: str, qualifier: str) -> Named:
    where = named(emulator, function_name, qualifier)
    if where.qualifier == LATEST:
        raise InvalidParameterValueException("The function resource provided must be an alias or a published version.")
    return where


def _no_config() -> ProvisionedConcurrencyConfigNotFoundException:
    return ProvisionedConcurrencyConfigNotFoundException("No Provisioned Concurrency Config found for this function")


async def delete_provisioned_concurrency_config(emulator: Emulator, *, function_name: str, qualifier: str) -> None:
    """Has none provisioned any more. Raises ResourceNotFoundException, InvalidParameterValueException."""
    where = _provisionable(emulator, function_name, qualifier)
    place = str(where.qualifier)
    version = ""

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        nonlocal version
        record = existing(before, where)
        alias_of(record, where)
        if place not in record.provisioned:
            return record
        version = provisioned_configuration(record, place).version
        kept = {key: one for key, one in record.provisioned.items() if key != place}
        return replace(record, provisioned=kept)

    await emulator.library.change_function(where.key, edit)
    if version:
        await emulator.environments.retire(where.key.name, version)


async def list_provisioned_concurrency_configs(
    emulator: Emulator, *, function_name: str, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """Those of all versions and aliases of a function. Raises ResourceNotFoundException."""
    where = unqualified(emulator, function_name)
    after = position(marker)
    record = await function_of(emulator, where)
    found = [(place, one) for place, one in sorted(record.provisioned.items()) if place > after]
    return page(
        "ProvisionedConcurrencyConfigs",
        found,
        max_items=max_items,
        position_of=lambda item: item[0],
        show=lambda item: {"FunctionArn": record.arn(item[0]), **_shown(item[1])},
    )
