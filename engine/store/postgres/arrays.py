"""Parameters in PostgreSQL's binary form, made by hand, each with one fixed type: arrays, above all.

psycopg's own list dumper looks at every element to choose a type, and integers of another size make another prepared
statement; these cost about a tenth of a microsecond for each element. A value of one of the classes below is a finished
parameter for `$n`.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from psycopg.adapt import Dumper
from psycopg.pq import Format

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from uuid import UUID

    from psycopg.abc import AdaptContext

# Number of dimensions, whether there are NULLs, type of the elements, length, lower bound.
_HEAD = Struct(">iiIii").pack
_EMPTY = Struct(">iiI").pack
_LENGTH = Struct(">i").pack
_INT4 = Struct(">ii").pack
_INT8 = Struct(">iq").pack

_NULL = _LENGTH(-1)
_UUID_LENGTH = _LENGTH(16)

_BYTEA_OID, _INT8_OID, _INT4_OID, _TEXT_OID, _UUID_OID = 17, 20, 23, 25, 2950


class Parameter(bytes):
    """A parameter as it is sent.

    Attributes:
        oid: Of its type.
    """

    __slots__ = ()
    oid = 0


class ByteaArray(Parameter):
    """A `bytea[]`."""

    __slots__ = ()
    oid = 1001


class Int4Array(Parameter):
    """An `int[]`."""

    __slots__ = ()
    oid = 1007


class Int8Array(Parameter):
    """A `bigint[]`."""

    __slots__ = ()
    oid = 1016


class TextArray(Parameter):
    """A `text[]`."""

    __slots__ = ()
    oid = 1009


class UuidArray(Parameter):
    """A `uuid[]`."""

    __slots__ = ()
    oid = 2951


class Int4(Parameter):
    """An `int`."""

    __slots__ = ()
    oid = _INT4_OID


class Uuid(Parameter):
    """A `uuid`."""

    __slots__ = ()
    oid = _UUID_OID


def int4(value: int) -> Int4:
    """One integer of 32 bits."""
    return Int4(_LENGTH(value))


def uuid(value: UUID) -> Uuid:
    """One UUID."""
    return Uuid(value.bytes)


def byteas(values: Sequence[bytes | None]) -> ByteaArray:
    """Bytes or NULL."""
    return ByteaArray(_joined(_BYTEA_OID, values))


def texts(values: Sequence[str | None]) -> TextArray:
    """Text or NULL.

    Raises:
        UnicodeEncodeError: A lone surrogate, which UTF-8 cannot hold.
    """
    return TextArray(_joined(_TEXT_OID, [None if value is None else value.encode() for value in values]))


def int4s(values: Sequence[int | None]) -> Int4Array:
    """Integers of 32 bits or NULL."""
    return Int4Array(_array(_INT4_OID, [_NULL if value is None else _INT4(4, value) for value in values]))


def int8s(values: Sequence[int | None]) -> Int8Array:
    """Integers of 64 bits or NULL."""
    return Int8Array(_array(_INT8_OID, [_NULL if value is None else _INT8(8, value) for value in values]))


def uuids(values: Iterable[UUID | None]) -> UuidArray:
    """UUIDs or NULL."""
    return UuidArray(_array(_UUID_OID, [_NULL if value is None else _UUID_LENGTH + value.bytes for value in values]))


def _joined(oid: int, values: Sequence[bytes | None]) -> bytes:
    return _array(oid, [_NULL if value is None else _LENGTH(len(value)) + value for value in values])


def _array(oid: int, elements: Sequence[bytes]) -> bytes:
    if not elements:
        return _EMPTY(0, 0, oid)
    # PostgreSQL only stores the flag for NULLs; it reads each length anyway.
    return _HEAD(1, 1, oid, len(elements), 1) + b"".join(elements)


class _Dumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return obj


_DUMPERS = tuple(
    (kind, type("_FixedDumper", (_Dumper,), {"oid": kind.oid}))
    for kind in (ByteaArray, Int4Array, Int8Array, TextArray, UuidArray, Int4, Uuid)
)


def register(context: AdaptContext) -> None:
    """Teaches a connection to send them."""
    for kind, dumper in _DUMPERS:
        context.adapters.register_dumper(kind, dumper)
