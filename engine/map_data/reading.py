"""Reads the items that an ItemReader names, page by page (asl.md 17.3).

A reader is JSON as it stands in the definition, with everything evaluated:

    {"Resource": "arn:aws:states:::s3:getObject",
     "ReaderConfig": {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW", "MaxItems": 100},
     "Arguments": {"Bucket": "...", "Key": "..."}}

`Arguments` also holds what JSONPath calls Parameters; `MaxItems` what MaxItemsPath found, a number above 0: 0 is left
out. What the fields mean was checked when the definition was parsed, but for values that were computed.

A page ends with a cursor, some bytes of JSON from which reading goes on, in another process too. Whoever reads page
after page keeps the `ItemSource` open; it goes on where it is, and the cursor is for whoever takes over.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from engine.errors import StatesError
from engine.jsonvalue import encode
from engine.map_data.failures import ITEM_BYTES_MAX, ITEM_READER_FAILED, DataFailed
from engine.map_data.file_items import file_items
from engine.map_data.listings import flattened_items, listed_items
from engine.map_data.manifests import inventory_items, unloaded_items
from engine.map_data.places import open_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from engine.jsonvalue import Json
    from engine.map_data.json_items import Entry
    from engine.map_data.places import S3, Place

_LIST = "listObjectsV2"
_FLATTEN = "LOAD_AND_FLATTEN"


class Page(NamedTuple):
    """Some items in a row.

    Attributes:
        items: Their values.
        keys: Of the members of an object, one for each item; None: the items come from a list.
        cursor: From where to go on; None: there are no more items.
        files: The keys of the objects of a listing that the items are in, one for each; None: they are in one file.
        bytes_read: About how much of the source they took, for whoever shows progress.
    """

    items: Sequence[Json]
    keys: Sequence[str] | None
    cursor: Json
    bytes_read: int = 0
    files: Sequence[str] | None = None


class ItemSource(Protocol):
    """An open source. Used by one thread at a time."""

    def read(self, *, items_max: int, bytes_max: int) -> Page:
        """The next items: at most `items_max` (above 0), and no more once `bytes_max` bytes of JSON are passed.

        Raises:
            StatesError: `States.ItemReaderFailed`, with AWS's cause.
        """
        ...

    def close(self) -> None:
        """Lets go of files and connections; may be called twice."""
        ...


def open_items(reader: Mapping[str, Json], cursor: Json, *, region: str, s3: S3 | None = None) -> ItemSource:
    """Opens what a reader names.

    Args:
        reader: See the head of the module.
        cursor: Of the last page; None: from the beginning.
        region: Of the execution, for AWS's services.
        s3: See `open_place`.

    Raises:
        StatesError: `States.ItemReaderFailed`: it cannot be read.
    """
    try:
        return _Items(reader, cursor, region=region, s3=s3)
    except DataFailed as error:
        raise StatesError(ITEM_READER_FAILED, str(error)) from error


class _Items:
    """See `ItemSource`.

    Its cursor: `{"items": how many were read, "after": of the last Entry, "part": of the file that was read}`. `part`,
    from 0 to 1, is for whoever shows progress; it is null where nobody can tell.
    """

    def __init__(self, reader: Mapping[str, Json], cursor: Any, *, region: str, s3: S3 | None) -> None:
        """Raises DataFailed."""
        config, given = _object(reader, "ReaderConfig"), _object(reader, "Arguments")
        self._read = int(cursor["items"]) if cursor is not None else 0
        self._items_max = config.get("MaxItems")
        lists = str(reader["Resource"]).endswith(_LIST)
        own = ("Bucket", "Prefix", "StartAfter") if lists else ("Bucket", "Key")
        more = {name: value for name, value in given.items() if name not in own}
        opened = partial(open_place, region=region, s3=s3)
        self._place: Place = opened(_text(given, "Bucket"), more)
        after = None if cursor is None else cursor["after"]
        self._is_one_file = not lists and config.get("InputType") != "MANIFEST" and "ManifestType" not in config
        self._is_flattened = lists and config.get("Transformation") == _FLATTEN
        self._entries = _entries(self._place, given, config, after, lists=lists, opened=opened)
        self._ahead: Entry | None = None

    def read(self, *, items_max: int, bytes_max: int) -> Page:
        """See `ItemSource`."""
        assert items_max > 0, "somebody wants items"
        try:
            return self._page(items_max, bytes_max)
        except DataFailed as error:
            raise StatesError(ITEM_READER_FAILED, str(error)) from error

    def close(self) -> None:
        """See `ItemSource`."""
        close = getattr(self._entries, "close", None)
        if close is not None:
            close()
        self._place.close()

    def _page(self, items_max: int, bytes_max: int) -> Page:
        items: list[Json] = []
        keys: list[str] = []
        files: list[str] = []
        after: Json = None
        size = 0
        entry = self._ahead or next(self._entries, None)
        while entry is not None and len(items) < items_max and size <= bytes_max:
            value, key, after = entry
            item_bytes = len(encode(value))
            if item_bytes > ITEM_BYTES_MAX:
                raise DataFailed(f"item {self._read + len(items)} is larger than {ITEM_BYTES_MAX >> 20} MB")
            size += item_bytes
            items.append(value)
            if key is not None:
                keys.append(key)
            if self._is_flattened:
                files.append(_file(after))
            # What is behind MaxItems is not looked at: it may be wrong.
            entry = None if self._read + len(items) == self._items_max else next(self._entries, None)
        self._ahead = entry
        self._read += len(items)
        part = _part(after) if self._is_one_file else None
        cursor: Json = None if entry is None else {"items": self._read, "after": after, "part": part}
        return Page(items, keys or None, cursor, size, files or None)


def _entries(
    place: Place,
    given: Mapping[str, Json],
    config: Mapping[str, Any],
    after: Any,
    *,
    lists: bool,
    opened: Callable[..., Place],
) -> Iterator[Entry]:
    if lists:
        prefix = _text(given, "Prefix") if given.get("Prefix") is not None else ""
        first = _text(given, "StartAfter") if given.get("StartAfter") is not None else None
        if config.get("Transformation") == _FLATTEN:
            return flattened_items(place, prefix, first, config, after)
        return listed_items(place, prefix, first, after)
    key = _text(given, "Key")
    if config.get("ManifestType") == "ATHENA_DATA":
        return unloaded_items(place, key, config, after, opened=opened)
    if config.get("InputType") == "MANIFEST" or config.get("ManifestType") == "S3_INVENTORY":
        return inventory_items(place, key, after)
    return file_items(place, key, config.get("InputType"), config, after)


def _file(after: Any) -> str:
    """The key of the object that an item of a listing is in: see `flattened_items`."""
    key: str = after[1][0]
    return key


def _part(after: Any) -> float | None:
    """See `file_items` and, for `inner`, the readers of text."""
    if after is None:
        return None
    _, inner, size = after
    at = inner[1] if isinstance(inner, list) else inner
    return at / size if size else None


def _object(reader: Mapping[str, Json], name: str) -> dict[str, Any]:
    value = reader.get(name)
    if not isinstance(value, dict):
        raise DataFailed(f"{name}: expected an object, got {encode(value).decode()[:200]}")
    return value


def _text(given: Mapping[str, Json], name: str) -> str:
    """Raises DataFailed: it may be computed, and then be anything."""
    value = given.get(name)
    if not isinstance(value, str) or (name in ("Bucket", "Key") and not value):
        raise DataFailed(f"{name}: expected a string, got {encode(value).decode()[:200]}")
    return value
