"""The items of a Map, read from the text that its ItemReader would have read (`mapItemReaderData`; asl.md 17.3)."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from engine.errors import ValidationException
from engine.jsonvalue import InvalidJson, decode

if TYPE_CHECKING:
    from engine.asl.program import ItemReader, ReaderConfig
    from engine.jsonvalue import Json

_DELIMITERS = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}


def items_read(reader: ItemReader, data: str) -> list[Json]:
    """All items, before MaxItems.

    Raises:
        ValidationException: `data` is not what the reader is configured for, or that kind is not supported: PARQUET and
            MANIFEST are not, of a CSV only headers that are written as they are.
    """
    config = reader.reader_config
    input_type = "JSON" if config is None or config.input_type is None else config.input_type
    try:
        match input_type:
            case "JSON":
                return _of_json(decode(data), config)
            case "JSONL":
                return [decode(line) for line in data.splitlines() if line.strip()]
            case "CSV":
                assert config is not None
                return _of_csv(data, config)
            case _:
                raise _refused(f"an ItemReader of InputType {input_type} is not supported; expected JSON, JSONL or CSV")
    except InvalidJson as error:
        raise _refused(f"expected {input_type}: {error}") from None


def _of_json(value: Json, config: ReaderConfig | None) -> list[Json]:
    if config is not None and config.items_pointer is not None:
        value = _pointed_at(value, config.items_pointer)
    if isinstance(value, list):
        return value
    if isinstance(value, dict):
        return [{"Key": key, "Value": member} for key, member in value.items()]
    raise _refused("Attempting to map over non-iterable node.")


def _pointed_at(value: Json, pointer: str) -> Json:
    """What an RFC 6901 pointer leads to."""
    for token in pointer.split("/")[1:]:
        key = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isdecimal() and int(key) < len(value):
            value = value[int(key)]
        else:
            raise _refused(f"the ItemsPointer {pointer} leads to nothing")
    return value


def _of_csv(data: str, config: ReaderConfig) -> list[Json]:
    rows = list(csv.reader(io.StringIO(data, newline=""), delimiter=_DELIMITERS[config.csv_delimiter or "COMMA"]))
    if config.csv_header_location == "FIRST_ROW":
        header, rows = (rows[0], rows[1:]) if rows else ([], [])
    elif isinstance(config.csv_headers, tuple):
        header = list(config.csv_headers)
    else:
        raise _refused("CSVHeaders that are computed are not supported")
    if len(set(header)) < len(header):
        raise _refused("CSV headers cannot contain duplicates.")
    empty = [""] * len(header)
    return [dict(zip(header, [*row, *empty], strict=False)) for row in rows if row]


def _refused(reason: str) -> ValidationException:
    return ValidationException(f"mapItemReaderData: {reason}")
