"""Items of a listing: the objects themselves, or what is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.map_data.file_items import file_items
from engine.map_data.json_items import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.jsonvalue import Json
    from engine.map_data.places import Place


def listed_items(place: Place, prefix: str, first: str | None, after: Any) -> Iterator[Entry]:
    """An item for each object, as AWS shows them (asl.md 17.3).

    Args:
        place: Where they are.
        prefix: Of their keys.
        first: `StartAfter`: only keys after it.
        after: The last key; None: from the beginning.
    """
    for key, etag, last_modified, size, storage_class in place.listed(prefix, after or first):
        value: Json = {
            "Etag": etag,
            "Key": key,
            "LastModified": int(last_modified),
            "Size": size,
            "StorageClass": storage_class,
        }
        yield Entry(value, None, key)


def flattened_items(
    place: Place, prefix: str, first: str | None, config: Mapping[str, Any], after: Any
) -> Iterator[Entry]:
    """The items in each object (LOAD_AND_FLATTEN). Markers of folders are passed.

    `after`: `[the key before this object, [this object, after in it] or null]`.
    """
    before, inside = after or (first, None)
    if inside is not None:
        key, inner = inside
        yield from _inside(place, key, before, config, inner)
        before = key
    for found in place.listed(prefix, before):
        if not found.key.endswith("/"):
            yield from _inside(place, found.key, before, config, None)
        before = found.key


def _inside(place: Place, key: str, before: str | None, config: Mapping[str, Any], inner: Any) -> Iterator[Entry]:
    for value, name, after in file_items(place, key, config.get("InputType"), config, inner):
        yield Entry(value, name, [before, [key, after]])
