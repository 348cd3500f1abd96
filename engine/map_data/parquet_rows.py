"""Items of a Parquet file: each row an object. Takes pyarrow (`asl-engine[parquet]`)."""

from __future__ import annotations

import base64
import math
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.map_data.failures import DataFailed
from engine.map_data.json_items import Entry
from engine.map_data.streams import Seekable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.jsonvalue import Json
    from engine.map_data.places import StoredFile

_BATCH_ROWS = 512
_FOOTER_BYTES_MAX = 5 << 20
_GROUP_BYTES_MAX = 256 << 20
_TAIL_BYTES = 8
_MAGIC = b"PAR1"


def parquet_rows(file: StoredFile, config: Mapping[str, Any], after: Any) -> Iterator[Entry]:
    """The rows, row group by row group.

    Args:
        file: Its footer at most 5 MB, a row group at most 256 MB (asl.md 17.3).
        config: Of which nothing is asked.
        after: `[row group, rows of it that were read]`; None: from the beginning.

    Raises:
        DataFailed: It is truncated, broken or too large; or pyarrow is not installed.
    """
    del config
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DataFailed(f"{file.name}: to read PARQUET takes pyarrow; install asl-engine[parquet]") from None
    _check_ends(file)
    group, passed = after or (0, 0)
    number, row = group, passed
    try:
        with pa.PythonFile(Seekable(file), mode="r") as source, pq.ParquetFile(source, buffer_size=1 << 20) as parquet:
            names = parquet.schema_arrow.names
            if len(set(names)) < len(names):
                raise DataFailed(f"{file.name}: two columns have the same name, of {', '.join(names)[:200]}")
            schema = pa.schema([field.with_type(_in_microseconds(field.type)) for field in parquet.schema_arrow])
            for number in range(group, parquet.num_row_groups):
                size = parquet.metadata.row_group(number).total_byte_size
                if size > _GROUP_BYTES_MAX:
                    raise DataFailed(f"{file.name}: row group {number} has {size} bytes; expected at most 256 MB")
                row = 0
                for given in parquet.iter_batches(_BATCH_ROWS, row_groups=[number], use_threads=False):
                    if row + given.num_rows <= passed:
                        row += given.num_rows
                        continue
                    batch = given if schema == given.schema else given.cast(schema, safe=False)
                    for value in batch.to_pylist():
                        row += 1
                        if row > passed:
                            yield Entry(_shown(value), None, [number, row])
                passed = 0
    except (pa.ArrowException, OSError) as error:
        raise DataFailed(f"{file.name}: it is truncated or no Parquet that can be read: {error}") from error
    except (ValueError, OverflowError) as error:  # texts that are no UTF-8, years beyond 9999
        raise DataFailed(f"{file.name}: a value behind row {row} of row group {number}: {error}") from error


def _in_microseconds(given: Any) -> Any:
    """A type of Arrow, wherever it has nanoseconds with microseconds: Python's own dates have no more."""
    import pyarrow as pa

    if pa.types.is_timestamp(given) and given.unit == "ns":
        return pa.timestamp("us", given.tz)
    if pa.types.is_duration(given) and given.unit == "ns":
        return pa.duration("us")
    if pa.types.is_time64(given):
        return pa.time64("us")
    if pa.types.is_struct(given):
        return pa.struct([field.with_type(_in_microseconds(field.type)) for field in given])
    if pa.types.is_map(given):
        return pa.map_(_in_microseconds(given.key_type), _in_microseconds(given.item_type))
    if pa.types.is_list(given):
        return pa.list_(given.value_field.with_type(_in_microseconds(given.value_type)))
    if pa.types.is_large_list(given):
        return pa.large_list(given.value_field.with_type(_in_microseconds(given.value_type)))
    if pa.types.is_fixed_size_list(given):
        return pa.list_(given.value_field.with_type(_in_microseconds(given.value_type)), given.list_size)
    return given


def _check_ends(file: StoredFile) -> None:
    tail = file.part(max(0, file.size - _TAIL_BYTES), _TAIL_BYTES)
    if file.size < 2 * _TAIL_BYTES or not tail.endswith(_MAGIC) or file.part(0, len(_MAGIC)) != _MAGIC:
        raise DataFailed(f"{file.name}: it is truncated or no Parquet: expected `PAR1` at both ends")
    footer = int.from_bytes(tail[:4], "little")
    if footer > _FOOTER_BYTES_MAX:
        raise DataFailed(f"{file.name}: its footer has {footer} bytes; expected at most 5 MB")


def _shown(value: Any) -> Json:
    """A value as JSON: dates and times as ISO 8601 has them, decimals as text, bytes as text or else as base64."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {str(key): _shown(member) for key, member in value.items()}
        case list():
            if value and all(isinstance(one, tuple) for one in value):  # a map
                return {str(_shown(key)): _shown(member) for key, member in value}
            return [_shown(member) for member in value]
        case bytes():
            try:
                return value.decode()
            except UnicodeDecodeError:
                return base64.b64encode(value).decode()
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return str(value)
        case _:
            return str(value)
