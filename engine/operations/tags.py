"""TagResource, UntagResource, ListTagsForResource: tags of state machines and activities (api.md 5.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import ValidationException
from engine.operations.resources import checked_arn, is_storable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from engine.operations.service import Service

RESERVED = "aws:"
_ALSO_ALLOWED = frozenset("_.:/=+-@")


def tags_of(given: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """Tags by key; of two with one key the last counts.

    Raises:
        ValidationException: A key or value has characters that AWS does not take, or a key begins as its own.
    """
    found = {tag["key"]: tag.get("value", "") for tag in given if "key" in tag}
    for key, value in found.items():
        if key.lower().startswith(RESERVED):
            raise ValidationException(f"Tag keys must not begin with '{RESERVED}': '{key}'")
        for text in (key, value):
            if not all(character.isalnum() or character.isspace() or character in _ALSO_ALLOWED for character in text):
                raise ValidationException(
                    "Tags may have letters, digits, white space and _ . : / = + - @ in them; got "
                    f"{text.encode('ascii', 'backslashreplace').decode()!r}"
                )
    return found


async def tag_resource(service: Service, *, resource_arn: str, tags: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Gives a state machine or activity tags; those under other keys stay.

    Raises:
        InvalidArn: Not the ARN of a state machine or activity.
        ResourceNotFound: No such one. Versions and aliases have no tags.
        ValidationException: See `tags_of`.
        TooManyTags: It would have too many.
    """
    _check(resource_arn)
    await service.ask(service.library.tag, resource_arn, tags_of(tags))
    return {}


async def untag_resource(service: Service, *, resource_arn: str, tag_keys: Sequence[str]) -> dict[str, Any]:
    """Removes tags, those that are there. Raises InvalidArn, ResourceNotFound."""
    _check(resource_arn)
    await service.ask(service.library.untag, resource_arn, [key for key in tag_keys if is_storable(key)])
    return {}


async def list_tags_for_resource(service: Service, *, resource_arn: str) -> dict[str, Any]:
    """The tags of a state machine or activity, by key. Raises InvalidArn, ResourceNotFound."""
    _check(resource_arn)
    found = await service.ask(service.library.tags, resource_arn)
    return {"tags": [{"key": key, "value": value} for key, value in found.items()]}


def _check(resource_arn: str) -> None:
    checked_arn(resource_arn, "stateMachine", "activity")
