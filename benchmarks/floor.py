"""What pure Python can do per transition: a Choice and Pass loop written by hand, and what history costs on top."""

from __future__ import annotations

import sys
import time
import zlib
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

_COUNT = 20_000
_SEGMENT_EVENTS = 200
_encode = msgspec.json.Encoder().encode


def floor(payload_bytes: int = 200) -> dict[str, Any]:
    """Microseconds of CPU per transition: bare, with events by reference, and with those sealed in segments."""
    fields = {f"k{i}": {"id": i, "name": "x" * 12} for i in range(max(1, payload_bytes // 45))}

    def more(data: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        return ("Inc" if data["i"] < _COUNT else None), data

    def inc(data: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        return "More", {**data, "i": data["i"] + 1}

    states = {"More": more, "Inc": inc}

    def run(keep: bool, seal: Callable[[list[Any]], object] | None) -> float:
        name: str | None = "More"
        data: dict[str, Any] = {"i": 0, **fields}
        transitions, segment = 0, []
        start = time.process_time()
        while name is not None:
            entered, given = name, data
            name, data = states[name](data)
            transitions += 1
            if keep:
                segment.append((2 * transitions, entered, given))
                segment.append((2 * transitions + 1, entered, data))
                if len(segment) >= _SEGMENT_EVENTS:
                    if seal is not None:
                        seal(segment)
                    segment = []
        return round(1e6 * (time.process_time() - start) / transitions, 3)

    return {
        "bench": "python_floor",
        "engine": "floor",
        "python": sys.version.split()[0],
        "us_per_transition": {
            "bare": run(False, None),
            "events_by_reference": run(True, None),
            "events_sealed": run(True, lambda segment: zlib.compress(_encode(segment), 1)),
        },
    }
