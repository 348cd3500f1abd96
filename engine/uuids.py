"""Ids that are UUIDs of version 7: they lead keys, so that what belongs to one time stands together."""

from __future__ import annotations

from uuid import UUID

UUID7_BITS = 74

CHILDREN_MAX = (1 << 16) - 1
"""Of one chunk: their ids are its own and a number."""

_UUID7_VERSION = 0x7
_UUID_VARIANT = 0b10


def uuid7(now: int, bits: int) -> UUID:
    """A UUIDv7 of this millisecond; of `bits`, which are random, 74 are used."""
    high, low = (bits >> 62) & 0xFFF, bits & ((1 << 62) - 1)
    return UUID(int=(now << 80) | (_UUID7_VERSION << 76) | (high << 64) | (_UUID_VARIANT << 62) | low)


def chunk_id(now: int, bits: int) -> UUID:
    """The id of a chunk of a map run: its children have those that follow it."""
    return uuid7(now, bits & ~CHILDREN_MAX)


def child_id(chunk: UUID, place: int) -> UUID:
    """The id of a child of a chunk."""
    assert 0 <= place < CHILDREN_MAX, "a chunk has fewer children"
    return UUID(int=chunk.int + place + 1)


def place_in_chunk(child: UUID) -> tuple[UUID, int]:
    """The chunk that an id would belong to as that of a child, and the child's place in it."""
    number = child.int & CHILDREN_MAX
    return UUID(int=child.int - number), number - 1
