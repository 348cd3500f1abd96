"""How often an event came to a function by way of functions: what ends loops (Lambda's recursive loop detection).

It is kept where AWS keeps it, in the trace header: `Root=...;Sampled=0;Lineage=a87bd80c:1|68fd508a:5`, a hash and a
count for each function.
"""

from __future__ import annotations

import zlib

LOOP_MAX = 16
"""AWS: so often a function is invoked in one chain of events, about."""

_FIELD = "Lineage="


def passed_on(trace_id: str, function_arn: str) -> tuple[str, int]:
    """The trace header that a function gets from another one, and how often it was in the chain then.

    Args:
        trace_id: That of the function which passes it on.
        function_arn: Of the one that gets it, without a qualifier.
    """
    fields = [field for field in trace_id.split(";") if field]
    lineage = next((field for field in fields if field.startswith(_FIELD)), _FIELD)
    counts = {}
    for entry in lineage.removeprefix(_FIELD).split("|"):
        key, _, count = entry.partition(":")
        if count.isascii() and count.isdecimal():
            counts[key] = int(count)
    own = f"{zlib.crc32(function_arn.encode()):08x}"
    counts[own] = counts.get(own, 0) + 1
    told = _FIELD + "|".join(f"{key}:{count}" for key, count in counts.items())
    return ";".join([*(field for field in fields if not field.startswith(_FIELD)), told]), counts[own]
