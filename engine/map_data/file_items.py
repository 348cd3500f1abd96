"""The items of one file, of whatever type, and of many files one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.map_data.csv_rows import csv_rows
from engine.map_data.failures import DataFailed
from engine.map_data.json_items import Entry, json_items, json_lines
from engine.map_data.parquet_rows import parquet_rows
from engine.map_data.streams import is_compressed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from engine.jsonvalue import Json
    from engine.map_data.places import Place, StoredFile

_READERS: Mapping[str, Callable[[StoredFile, Mapping[str, Any], Any], Iterator[Entry]]] = {
    "CSV": csv_rows,
    "JSON": json_items,
    "JSONL": json_lines,
    "PARQUET": parquet_rows,
}


def items_of(file: StoredFile, input_type: str | None, config: Mapping[str, Any], after: Json) -> Iterator[Entry]:
    """The items of an open file.

    Args:
        file: See `StoredFile`.
        input_type: CSV, JSON, JSONL or PARQUET.
        config: The ReaderConfig.
        after: Of the last Entry; None: from the beginning.

    Raises:
        DataFailed: It is not what it should be.
    """
    read = _READERS.get(input_type or "")
    if read is None:
        raise DataFailed(f"InputType: expected one of {', '.join(_READERS)} for {file.name}, got {input_type}")
    return read(file, config, after)


def file_items(
    place: Place, key: str, input_type: str | None, config: Mapping[str, Any], after: Any
) -> Iterator[Entry]:
    """Opens a file and reads it. `after`: `[the file's version, after in it, size]`; else as `items_of`.

    The size is null where `after` counts no bytes of the file: it is compressed, or PARQUET.
    """
    file = place.open(key)
    try:
        version, inner, _ = after or (file.version, None, None)
        if file.version != version:
            raise DataFailed(f"{file.name}: it has changed while it was read")
        size = None if input_type == "PARQUET" or is_compressed(file) else file.size
        for value, name, inner_after in items_of(file, input_type, config, inner):
            yield Entry(value, name, [version, inner_after, size])
    finally:
        file.close()
