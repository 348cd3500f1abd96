"""The operations on tags: functions have them, versions and aliases do not (lambda.md 3.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from engine.lambda_emulator.errors import InvalidParameterValueException, NotImplementedException
from engine.lambda_emulator.identifiers import named
from engine.lambda_emulator.operations.lookup import existing, function_of
from engine.lambda_emulator.operations.tag_rules import check_tags

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.identifiers import Named
    from engine.lambda_emulator.records import FunctionRecord


def _tagged(emulator: Emulator, resource: str) -> Named:
    """Raises InvalidParameterValueException, NotImplementedException: not the ARN of a function."""
    if ":function:" not in resource:
        raise NotImplementedException(
            f"{resource}: this emulator keeps tags of functions only; it has no other resources with tags"
        )
    where = named(emulator, resource)
    if where.qualifier is not None:
        raise InvalidParameterValueException(
            "Tags on function aliases and versions are not supported. Please specify a function ARN."
        )
    return where


async def tag_resource(emulator: Emulator, *, resource: str, tags: Mapping[str, str]) -> None:
    """Gives a function tags; those under other keys stay.

    Raises:
        ResourceNotFoundException: No such function.
        InvalidParameterValueException: There are none, or it would have too many.
    """
    where = _tagged(emulator, resource)
    if not tags:
        raise InvalidParameterValueException("An error occurred and the request cannot be processed.")

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        record = existing(before, where)
        changed = record.tags | dict(tags)
        check_tags(emulator, changed)
        return replace(record, tags=changed)

    await emulator.library.change_function(where.key, edit)


async def untag_resource(emulator: Emulator, *, resource: str, tag_keys: Sequence[str]) -> None:
    """Removes tags, those that are there. Raises ResourceNotFoundException."""
    where = _tagged(emulator, resource)

    def edit(before: FunctionRecord | None) -> FunctionRecord:
        record = existing(before, where)
        return replace(record, tags={key: value for key, value in record.tags.items() if key not in tag_keys})

    await emulator.library.change_function(where.key, edit)


async def list_tags(emulator: Emulator, *, resource: str) -> dict[str, Any]:
    """The tags of a function. Raises ResourceNotFoundException."""
    record = await function_of(emulator, _tagged(emulator, resource))
    return {"Tags": dict(record.tags)}
