"""The items of a Map, read from the text that its ItemReader would have read (`mapItemReaderData`; asl.md 17.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import ValidationException
from engine.map_data.failures import DataFailed
from engine.map_data.file_items import items_of

if TYPE_CHECKING:
    from engine.asl.program import ItemReader
    from engine.jsonvalue import Json

_TEXTS = ("JSON", "JSONL", "CSV")


def items_read(reader: ItemReader, data: str) -> list[Json] | dict[str, Json]:
    """All items, before MaxItems: an object where the data is one.

    Raises:
        ValidationException: `data` is not what the reader is configured for, or it is not read from one text: PARQUET
            and MANIFEST are not; of a CSV only headers that are written as they are.
    """
    given = reader.reader_config
    input_type = "JSON" if given is None or given.input_type is None else given.input_type
    if input_type not in _TEXTS:
        raise _refused(f"an ItemReader of InputType {input_type} is not supported; expected JSON, JSONL or CSV")
    config: dict[str, Any] = {}
    if given is not None:
        if given.csv_headers is not None and not isinstance(given.csv_headers, tuple):
            raise _refused("CSVHeaders that are computed are not supported")
        config = {
            "ItemsPointer": given.items_pointer,
            "CSVHeaderLocation": given.csv_header_location,
            "CSVHeaders": list(given.csv_headers or ()),
            "CSVDelimiter": given.csv_delimiter,
        }
    try:
        entries = list(items_of(_Text(data), input_type, config, None))
    except DataFailed as error:
        raise _refused(str(error)) from None
    members = {key: value for value, key, _ in entries if key is not None}
    return members or [value for value, _, _ in entries]


class _Text:
    """The data as a file. See `StoredFile`."""

    def __init__(self, data: str) -> None:
        self._content = data.encode()
        self.name = "the data"
        self.size = len(self._content)
        self.version = ""

    def part(self, first: int, length: int) -> bytes:
        """See `StoredFile`."""
        return self._content[first : first + length]

    def close(self) -> None:
        """See `StoredFile`."""


def _refused(reason: str) -> ValidationException:
    return ValidationException(f"mapItemReaderData: {reason}")
