"""Lengths of time for a person."""

from __future__ import annotations

from itertools import pairwise

_UNITS = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s"))


def duration(milliseconds: int) -> str:
    """Two units at most: `12 ms`, `3.4 s`, `2 min 5 s`, `3 d 4 h`."""
    if milliseconds < 1_000:
        return f"{milliseconds} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1_000:.1f}".removesuffix(".0") + " s"
    for (size, name), (smaller, smaller_name) in pairwise(_UNITS):
        if milliseconds >= size:
            rest = milliseconds % size // smaller
            return f"{milliseconds // size} {name}" + (f" {rest} {smaller_name}" if rest else "")
    raise AssertionError(f"{milliseconds} ms is less than a minute, which was told before")
