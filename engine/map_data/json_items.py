"""Items of a JSON file: the elements of an array or the members of an object, found without reading the whole of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.jsonvalue import InvalidJson, Json, decode
from engine.map_data.failures import ITEM_BYTES_MAX, DataFailed
from engine.map_data.streams import blocks, lines, text, too_large

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from engine.map_data.places import StoredFile

NOT_ITERABLE = "Attempting to map over non-iterable node."
_POINTS_NOWHERE = "The provided ReaderConfig.ItemsPointer does not match any valid path in the JSON structure."
"""AWS's words, as another emulator's tests have them."""

KEYS_MAX = 1_000_000
"""Of an object's members, so many are looked at for keys that come twice: each costs memory."""

_STRING = rb'"(?:[^"\\]++|\\.)*+"'
_FLAT = re.compile(rb'[{\[](?:[^"{}\[\]]++|' + _STRING + rb")*+[}\]]", re.DOTALL)
_TOKEN = re.compile(_STRING + rb'|["\[\]{}]', re.DOTALL)
_BLANKS = re.compile(rb"[ \t\n\r]*")
_SCALAR = re.compile(rb"[^,\]}\[{\" \t\n\r:]+")
_END = -1
_OPEN, _CLOSED = frozenset(b"[{"), frozenset(b"]}")
_QUOTE, _COMMA, _COLON = b'",:'
_KIND_CLOSED = {"[": ord("]"), "{": ord("}")}
_BOM = b"\xef\xbb\xbf"


class Entry(NamedTuple):
    """An item, its key where it has one, and from where to go on after it."""

    value: Json
    key: str | None
    after: Json


def json_items(file: StoredFile, config: Mapping[str, Any], after: Any) -> Iterator[Entry]:
    """The items at `ItemsPointer`.

    A member of an object that comes twice is refused, where a parser would drop one of them.

    Args:
        file: UTF-8.
        config: The ReaderConfig.
        after: `[kind, byte]`; None: from the beginning.
    """
    kind, first = after or (None, 0)
    if kind == "[":
        scanner = _Scanner(file, first)
        yield from _elements(scanner, is_first=False)
    else:  # the keys before are to be known
        scanner = _Scanner(file, 0)
        pointer = config.get("ItemsPointer") or ""
        scanner.go_to(pointer)
        opened = scanner.peek()
        if opened not in _OPEN:
            raise DataFailed(NOT_ITERABLE)
        scanner.start += 1
        if opened == ord("["):
            yield from _elements(scanner, is_first=True)
        else:
            yield from _members(scanner, first)
        if not pointer and scanner.peek() != _END:
            raise scanner.failed("expected the end of the file")


def _elements(scanner: _Scanner, *, is_first: bool) -> Iterator[Entry]:
    while scanner.goes_on("[", is_first=is_first):
        is_first = False
        value = scanner.decoded()
        yield Entry(value, None, ["[", scanner.at])


def _members(scanner: _Scanner, first: int) -> Iterator[Entry]:
    known: set[str] = set()
    is_first = True
    while scanner.goes_on("{", is_first=is_first):
        is_first = False
        key = scanner.key()
        if key in known:
            raise scanner.failed(f"the key {key!r} comes twice")
        if len(known) < KEYS_MAX:
            known.add(key)
        value = scanner.decoded()
        if scanner.at > first:
            yield Entry(value, key, ["{", scanner.at])


def json_lines(file: StoredFile, config: Mapping[str, Any], after: Any) -> Iterator[Entry]:
    """The values of a JSONL file; blank lines are none. `after`: the byte of the next line."""
    del config
    begin = after or 0
    for line, end in lines(file, begin):
        content = line.removeprefix(_BOM).strip() if begin == 0 else line.strip()
        if content:
            try:
                yield Entry(decode(content), None, end)
            except InvalidJson as error:
                text(line, file, begin)  # bytes that are no text are told with their place
                raise DataFailed(f"{file.name}: the line at byte {begin} is not JSON: {error}") from None
        begin = end


class _Scanner:
    """Finds where values end.

    Attributes:
        start: What was not looked at yet begins here in the buffer.
    """

    def __init__(self, file: StoredFile, first: int) -> None:
        self._file = file
        self._blocks = blocks(file, first)
        self._buffer = b""
        self._first = first
        self.start = 0
        if first == 0 and self._more() and self._buffer.startswith(_BOM):
            self.start = len(_BOM)

    @property
    def at(self) -> int:
        """As a byte of the file."""
        return self._first + self.start

    def failed(self, reason: str) -> DataFailed:
        """The file is wrong here."""
        return DataFailed(f"{self._file.name}: not JSON as it should be at byte {self.at}: {reason}")

    def peek(self) -> int:
        """The next byte that is not blank; _END: there is none."""
        while True:
            found = _BLANKS.match(self._buffer, self.start)
            assert found is not None, "nothing is a match, too"
            self.start = found.end()
            if self.start < len(self._buffer):
                return self._buffer[self.start]
            if not self._more():
                return _END

    def goes_on(self, kind: str, *, is_first: bool) -> bool:
        """Passes what is before the next element or member; False: it was the last, and its bracket is passed."""
        byte = self.peek()
        if byte == _KIND_CLOSED[kind]:
            self.start += 1
            return False
        if not is_first:
            if byte != _COMMA:
                raise self._expected(f"`,` or `{chr(_KIND_CLOSED[kind])}`")
            self.start += 1
        return True

    def key(self) -> str:
        """A member's key; its colon is passed."""
        if self.peek() != _QUOTE:
            raise self._expected("a key in quotes")
        key = self.decoded()
        assert isinstance(key, str), "it is in quotes"
        if self.peek() != _COLON:
            raise self._expected("`:`")
        self.start += 1
        return key

    def decoded(self) -> Json:
        """The next value, which is passed. Raises DataFailed: it is no JSON, or too large."""
        self.peek()
        first = self.at
        end = self._end(is_kept=True)
        content = self._buffer[self.start : end]
        try:
            value = decode(content)
        except InvalidJson as error:
            text(content, self._file, first)  # bytes that are no text are told with their place
            raise DataFailed(f"{self._file.name}: the value at byte {first} is not JSON: {error}") from None
        self.start = end
        return value

    def go_to(self, pointer: str) -> None:
        """Passes what is before the value at an RFC 6901 pointer. Raises DataFailed: it leads to nothing."""
        for token in pointer.split("/")[1:]:
            name = token.replace("~1", "/").replace("~0", "~")
            kind = chr(max(self.peek(), 0))
            if kind not in _KIND_CLOSED or (kind == "[" and not name.isdecimal()):
                raise DataFailed(_POINTS_NOWHERE)
            self.start += 1
            place = 0
            while self.goes_on(kind, is_first=place == 0):
                found = self.key() if kind == "{" else str(place)
                if found == name:
                    break
                self.peek()
                self.start = self._end(is_kept=False)
                place += 1
            else:
                raise DataFailed(_POINTS_NOWHERE)

    def _end(self, *, is_kept: bool) -> int:
        """Where in the buffer the value ends that begins at `start`; if it is kept, `start` stays its beginning."""
        byte = self._buffer[self.start] if self.start < len(self._buffer) else _END
        if byte in _OPEN or byte == _QUOTE:
            flat = _FLAT.match(self._buffer, self.start) if byte != _QUOTE else None
            return flat.end() if flat is not None else self._end_of_nested(is_kept=is_kept)
        while True:
            scalar = _SCALAR.match(self._buffer, self.start)
            if scalar is None:
                raise self._expected("a value")
            if scalar.end() < len(self._buffer) or not self._more():
                return scalar.end()

    def _end_of_nested(self, *, is_kept: bool) -> int:
        depth, place = 0, self.start
        while True:
            for found in _TOKEN.finditer(self._buffer, place):
                place = found.end()
                byte = self._buffer[found.start()]
                if byte in _OPEN:
                    depth += 1
                elif byte in _CLOSED:
                    depth -= 1
                elif place - found.start() == 1:  # a string whose end is not here yet
                    place -= 1
                    break
                if depth == 0:
                    return place
            else:
                # No string is open: what is left has no brackets.
                place = len(self._buffer)
            if is_kept and len(self._buffer) - self.start > ITEM_BYTES_MAX:
                raise too_large(self._file, self.at)
            begun = self.start if is_kept else place
            if len(self._buffer) - begun > ITEM_BYTES_MAX:
                raise too_large(self._file, self._first + begun)
            place -= begun
            self.start = begun
            if not self._more():
                raise self.failed("the file ends within a value")

    def _more(self) -> bool:
        """Another block behind what is left from `start` on, which then is 0. False: there is none."""
        block = next(self._blocks, None)
        if block is None:
            return False
        self._first += self.start
        self._buffer = self._buffer[self.start :] + block
        self.start = 0
        return True

    def _expected(self, what: str) -> DataFailed:
        byte = self.peek()
        return self.failed(f"expected {what}, got {'the end of the file' if byte == _END else ascii(chr(byte))}")
