"""The operations on what becomes of asynchronous invocations (lambda.md 2.3)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from engine.lambda_emulator.errors import InvalidParameterValueException, ResourceNotFoundException
from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.identifiers import INVOKE_MAX, named, unqualified
from engine.lambda_emulator.operations.lookup import alias_of, function_of, now_ms
from engine.lambda_emulator.operations.paging import page_by_name
from engine.lambda_emulator.records import EventInvokeSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.identifiers import Named
    from engine.lambda_emulator.records import FunctionRecord

_DESTINATION = re.compile(r"arn:aws[a-z-]*:(?:lambda|sqs|sns|events|s3):[^:]*:[^:]*:.+")


async def put_function_event_invoke_config(
    emulator: Emulator, *, function_name: str, qualifier: str | None = None, **given: Any
) -> dict[str, Any]:
    """Says it all anew.

    Raises:
        ResourceNotFoundException: No such function, version or alias.
        InvalidParameterValueException: Nothing is said, or a destination is none.
    """
    return await _write(emulator, function_name, qualifier, given, is_update=False)


async def update_function_event_invoke_config(
    emulator: Emulator, *, function_name: str, qualifier: str | None = None, **given: Any
) -> dict[str, Any]:
    """Changes what is given. Raises as `put_function_event_invoke_config`, and where nothing was said before."""
    return await _write(emulator, function_name, qualifier, given, is_update=True)


async def _write(
    emulator: Emulator, function_name: str, qualifier: str | None, given: Mapping[str, Any], *, is_update: bool
) -> dict[str, Any]:
    where = named(emulator, function_name, qualifier, length_max=INVOKE_MAX)
    if all(value is None for value in given.values()):
        raise InvalidParameterValueException("You must specify at least one of error handling or destination setting.")
    said = _said(where, given)
    place = where.qualifier or LATEST

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        if before is None:
            raise ResourceNotFoundException("The function doesn't exist.")
        alias_of(before, where)
        known = before.event_invoke_settings.get(place)
        if known is None and is_update:
            raise _none_there(before, place)
        base = known if known is not None and is_update else EventInvokeSettings(last_modified=0)
        after = replace(base, last_modified=now_ms(emulator), **said)
        return replace(before, event_invoke_settings=before.event_invoke_settings | {place: after})

    record = await emulator.library.change_function(where.key, edit)
    assert record is not None, "the edit answers a record"
    return _shown(record, place)


def _said(where: Named, given: Mapping[str, Any]) -> dict[str, Any]:
    """Raises InvalidParameterValueException: a destination that is none."""
    names = ("maximum_retry_attempts", "maximum_event_age_in_seconds")
    said = {name: given[name] for name in names if given.get(name) is not None}
    destinations = given.get("destination_config")
    if destinations is None:
        return said
    arns = {name: destinations.get(name, {}).get("Destination") or None for name in ("OnSuccess", "OnFailure")}
    for arn in arns.values():
        if arn is not None and _DESTINATION.fullmatch(arn) is None:
            told = ", ".join(
                f"{name[0].lower()}{name[1:]}={name}(destination={one})" for name, one in arns.items() if one
            )
            raise InvalidParameterValueException(
                f"The provided destination config DestinationConfig({told}) is invalid."
            )
        if arn is not None and arn in (where.arn, where.qualified_arn):
            raise InvalidParameterValueException("You can't specify the function as a destination for itself.")
    return said | {"on_success": arns["OnSuccess"], "on_failure": arns["OnFailure"]}


def _none_there(record: FunctionRecord, place: str) -> ResourceNotFoundException:
    return ResourceNotFoundException(f"The function {record.arn(place)} doesn't have an EventInvokeConfig")


async def get_function_event_invoke_config(
    emulator: Emulator, *, function_name: str, qualifier: str | None = None
) -> dict[str, Any]:
    """What was said. Raises ResourceNotFoundException: No such function, or nothing was."""
    where = named(emulator, function_name, qualifier, length_max=INVOKE_MAX)
    record = await function_of(emulator, where)
    place = where.qualifier or LATEST
    if place not in record.event_invoke_settings:
        raise _none_there(record, place)
    return _shown(record, place)


async def delete_function_event_invoke_config(
    emulator: Emulator, *, function_name: str, qualifier: str | None = None
) -> None:
    """Goes back to Lambda's defaults. Raises as `get_function_event_invoke_config`."""
    where = named(emulator, function_name, qualifier, length_max=INVOKE_MAX)
    place = where.qualifier or LATEST

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        if before is None:
            raise where.not_found()
        if place not in before.event_invoke_settings:
            raise _none_there(before, place)
        kept = {key: one for key, one in before.event_invoke_settings.items() if key != place}
        return replace(before, event_invoke_settings=kept)

    await emulator.library.change_function(where.key, edit)


async def list_function_event_invoke_configs(
    emulator: Emulator, *, function_name: str, marker: str | None = None, max_items: int | None = None
) -> dict[str, Any]:
    """Those of a function, its versions and aliases. Raises ResourceNotFoundException."""
    where = unqualified(emulator, function_name)
    record = await function_of(emulator, where)
    return page_by_name(
        "FunctionEventInvokeConfigs",
        record.event_invoke_settings,
        marker=marker,
        max_items=max_items,
        show=lambda place: _shown(record, place),
    )


def _shown(record: FunctionRecord, place: str) -> dict[str, Any]:
    said = record.event_invoke_settings[place]
    shown = {
        "LastModified": datetime.fromtimestamp(said.last_modified / 1_000, UTC),
        "FunctionArn": record.arn(place),
        "MaximumRetryAttempts": said.maximum_retry_attempts,
        "MaximumEventAgeInSeconds": said.maximum_event_age_in_seconds,
        "DestinationConfig": {
            "OnSuccess": {"Destination": said.on_success} if said.on_success else {},
            "OnFailure": {"Destination": said.on_failure} if said.on_failure else {},
        },
    }
    return {name: value for name, value in shown.items() if value is not None}
