"""Items of a CSV file: each row an object of texts."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from engine.map_data.failures import ITEM_BYTES_MAX, DataFailed
from engine.map_data.json_items import Entry
from engine.map_data.streams import lines, text, too_large

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from engine.map_data.places import StoredFile

DELIMITERS = {"COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "SPACE": " ", "TAB": "\t"}

_PLACES_MIN = 16
_HEADER_BYTES_MAX = 10 << 10
_BOM = "\ufeff"


def csv_rows(file: StoredFile, config: Mapping[str, Any], after: Any) -> Iterator[Entry]:
    """The rows as AWS reads them: cells that are missing are empty, those without a header are dropped (asl.md 17.3).

    Args:
        file: UTF-8.
        config: The ReaderConfig, with CSVHeaderLocation.
        after: The byte where the next row begins; None: from the beginning.

    Raises:
        DataFailed: The header is wrong, a row is too large or no UTF-8.
    """
    first = 0
    delimiter = DELIMITERS[config.get("CSVDelimiter") or "COMMA"]
    if config.get("CSVHeaderLocation") == "GIVEN":
        header = _given(config.get("CSVHeaders"))
    else:
        rows = _Rows(file, 0, delimiter)
        header = next(iter(rows), [])
        first = rows.at
        if not header:
            raise DataFailed(f"{file.name}: expected a header in the first row, got an empty one")
    _check(header, file)
    rows = _Rows(file, first if after is None else after, delimiter)
    width, nothing = len(header), [""] * len(header)
    columns = [(name, header.index(name)) for name in as_aws_orders(header)]
    for row in rows:
        if row:
            cells = row if len(row) >= width else row + nothing
            yield Entry({name: cells[place] for name, place in columns}, None, rows.at)


def as_aws_orders(header: Sequence[str]) -> list[str]:
    """The members of an item in the order that AWS shows them in: that of a hash table of Java's.

    Seen in a recorded run: the columns `0,True,{}` come as `0`, `{}`, `True`. The table has 16 places, doubled while
    it is more than three quarters full.
    """
    places = _PLACES_MIN
    while 4 * len(header) > 3 * places:
        places *= 2
    return sorted(header, key=lambda name: _java_hash(name) & (places - 1))


def _java_hash(text: str) -> int:
    """`String.hashCode`, its upper half mixed into the lower one as java.util.HashMap does."""
    found = 0
    units = text.encode("utf-16-be")
    for high, low in zip(units[::2], units[1::2], strict=True):
        found = (31 * found + (high << 8 | low)) & 0xFFFFFFFF
    return found ^ (found >> 16)


def _given(headers: Any) -> Sequence[str]:
    if not isinstance(headers, list) or not headers or not all(isinstance(one, str) for one in headers):
        raise DataFailed("CSVHeaders: expected an array of strings that is not empty")
    return headers


def _check(header: Sequence[str], file: StoredFile) -> None:
    if len(set(header)) < len(header):
        raise DataFailed("CSV headers cannot contain duplicates.")
    if sum(len(name.encode()) for name in header) > _HEADER_BYTES_MAX:
        raise DataFailed(f"{file.name}: the CSV header is larger than {_HEADER_BYTES_MAX >> 10} KiB")


class _Rows:
    """The rows from a byte on.

    Attributes:
        at: Where the next row begins: csv takes the lines of one row, and no more, before it gives it. So if it asked
            for another line when there was none, the row is not complete: its last cell has no closing quote.
    """

    def __init__(self, file: StoredFile, first: int, delimiter: str) -> None:
        self.at = first
        self._row = first
        self._file = file
        self._delimiter = delimiter
        self._is_over = False

    def __iter__(self) -> Iterator[list[str]]:
        if csv.field_size_limit() < ITEM_BYTES_MAX:  # one limit for the whole process; 128 KiB by default
            csv.field_size_limit(ITEM_BYTES_MAX)
        try:
            for row in csv.reader(self._lines(), delimiter=self._delimiter):
                if self._is_over:
                    raise DataFailed(f"{self._file.name}: a quote in the row at byte {self._row} is not closed")
                self._row = self.at
                yield row
        except csv.Error as error:
            raise DataFailed(f"{self._file.name}: not CSV in the row that ends at byte {self.at}: {error}") from None

    def _lines(self) -> Iterator[str]:
        for line, end in lines(self._file, self.at):
            found = text(line, self._file, self.at)
            if self.at == 0:
                found = found.removeprefix(_BOM)
            self.at = end
            if end - self._row > ITEM_BYTES_MAX:
                raise too_large(self._file, self._row)
            yield found
        self._is_over = True
