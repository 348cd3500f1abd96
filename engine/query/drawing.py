"""What both query languages draw and digest alike: seeded numbers, UUIDs, hashes."""

from __future__ import annotations

import hashlib
from typing import Final

ALGORITHMS: Final = {"MD5": "md5", "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512"}
"""The names of States.Hash and $hash, and those of the standard library."""

DOUBLE_BITS = 53


def java_double_bits(seed: int) -> int:
    """The 53 bits of the first `nextDouble()` of `java.util.Random(seed)`, 26 and 27 of two steps (asl.md 8.4)."""
    multiplier, increment, mask = 0x5DEECE66D, 0xB, (1 << 48) - 1
    first = (((seed ^ multiplier) & mask) * multiplier + increment) & mask
    second = (first * multiplier + increment) & mask
    return ((first >> 22) << 27) + (second >> 21)


def spelled_uuid(bits: int) -> str:
    """128 random bits as a UUID of version 4 (RFC 9562). By hand: the standard library takes three times as long."""
    digits = f"{bits & ~(0xF000_C000 << 48) | 0x4000_8000 << 48:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def digest(text: str, algorithm: str) -> str:
    """Lower-case hexadecimal of the text's UTF-8 bytes; `algorithm` is one of ALGORITHMS."""
    return hashlib.new(ALGORITHMS[algorithm], text.encode(), usedforsecurity=False).hexdigest()
