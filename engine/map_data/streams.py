"""Bytes of a file one after the other, inflated where it is compressed; and lines of them. Never the whole file."""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING

from engine.map_data.failures import ITEM_BYTES_MAX, DataFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.map_data.places import StoredFile

PART_BYTES = 8 << 20
"""Of one request to a place. Less: a round trip to S3 more often."""

BLOCK_BYTES = 256 << 10
"""Of what is looked at in one go: a line may be one byte long, and as an object it takes forty."""

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def blocks(file: StoredFile, first: int = 0) -> Iterator[bytes]:
    """What a file holds from the byte `first` on, without the compression that its own first bytes tell of.

    A compressed file is inflated from its beginning all the same: it has no places to begin at.

    Raises:
        DataFailed: It ends too early, or its compression is broken.
    """
    magic = _magic(file)
    if magic.startswith(_GZIP):
        yield from _without(_gunzipped(file), first)
    elif magic == _ZSTD:
        yield from _without(_unzstd(file), first)
    else:
        yield from _raw(file, first)


def is_compressed(file: StoredFile) -> bool:
    """Whether a file is inflated as it is read. Raises DataFailed."""
    magic = _magic(file)
    return magic.startswith(_GZIP) or magic == _ZSTD


def _magic(file: StoredFile) -> bytes:
    return file.part(0, len(_ZSTD))


def _raw(file: StoredFile, first: int) -> Iterator[bytes]:
    while first < file.size:
        part = file.part(first, PART_BYTES)
        if not part:
            raise DataFailed(f"{file.name}: it ends after {first} bytes; expected {file.size}")
        first += len(part)
        for start in range(0, len(part), BLOCK_BYTES):
            yield part[start : start + BLOCK_BYTES]


def _without(inflated: Iterator[bytes], first: int) -> Iterator[bytes]:
    for block in inflated:
        if first < len(block):
            yield block[first:] if first else block
            first = 0
        else:
            first -= len(block)


def _gunzipped(file: StoredFile) -> Iterator[bytes]:
    """All members of it: tools append to gzip files by appending members."""
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    try:
        for given in _raw(file, 0):
            data = given
            while data:
                if inflater.eof:
                    if not data.strip(b"\0"):  # padding
                        break
                    inflater = zlib.decompressobj(_GZIP_WINDOW)
                block = inflater.decompress(data, BLOCK_BYTES)
                data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
                if block:
                    yield block
        while not inflater.eof and (block := inflater.decompress(b"", BLOCK_BYTES)):
            yield block
    except zlib.error as error:
        raise DataFailed(f"{file.name}: its gzip data is broken: {error}") from error
    if not inflater.eof:
        raise DataFailed(f"{file.name}: its gzip data is truncated: it ends in the middle")


def _unzstd(file: StoredFile) -> Iterator[bytes]:
    try:
        import pyarrow as pa
    except ImportError:
        raise DataFailed(
            f"{file.name}: it is compressed with ZSTD, which takes pyarrow; install asl-engine[parquet]"
        ) from None
    try:
        with pa.input_stream(pa.PythonFile(Seekable(file), mode="r"), compression="zstd") as stream:
            while block := stream.read(BLOCK_BYTES):
                yield block
    except (OSError, pa.ArrowException) as error:
        raise DataFailed(f"{file.name}: its ZSTD data is broken or truncated: {error}") from error


class Seekable(io.RawIOBase):
    """A stored file as Python's own kind of file, for libraries that read one."""

    def __init__(self, file: StoredFile) -> None:
        super().__init__()
        self._stored = file
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte comes from."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """See `io.IOBase`."""
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._stored.size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        """See `io.RawIOBase`."""
        length = self._stored.size - self._at if size < 0 else size
        found = self._stored.part(self._at, length) if length > 0 else b""
        self._at += len(found)
        return found


def lines(file: StoredFile, first: int) -> Iterator[tuple[bytes, int]]:
    """Lines with their ends, and where the next one begins. `first` is where a line begins.

    Raises:
        DataFailed: A line is longer than an item may be, or see `blocks`.
    """
    at, rest = first, b""
    for block in blocks(file, first):
        *found, rest = (rest + block).split(b"\n")
        for line in found:
            at += len(line) + 1
            yield line + b"\n", at
        if len(rest) > ITEM_BYTES_MAX:
            raise too_large(file, at)
    if rest:
        yield rest, at + len(rest)


def text(line: bytes, file: StoredFile, first: int) -> str:
    """A line that begins at `first`, decoded. Raises DataFailed: it is not UTF-8."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise DataFailed(
            f"{file.name}: expected UTF-8, got the byte 0x{line[error.start]:02x} at byte {first + error.start}"
        ) from None


def too_large(file: StoredFile, first: int) -> DataFailed:
    """An item that begins at `first` is not to be had."""
    return DataFailed(f"{file.name}: the item at byte {first} is larger than {ITEM_BYTES_MAX >> 20} MB")
