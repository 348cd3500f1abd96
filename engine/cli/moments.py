"""Points in time as a person gives them: a timestamp, or how long ago."""

from __future__ import annotations

import re
import time
from typing import Any

import click

from engine.timestamps import parse_timestamp

_NS_PER_MS = 1_000_000
_AGO = re.compile(r"(?P<number>[0-9]+)(?P<unit>s|min|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_FORM = "a time such as 2024-05-01T12:00:00Z, a day in UTC such as 2024-05-01, or how long ago: 30s, 15min, 2h, 7d, 1w"


class Moment(click.ParamType[int, Any]):
    """Gives milliseconds since the epoch."""

    name = "WHEN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See `click.ParamType`."""
        if isinstance(value, int):
            return value
        ago = _AGO.fullmatch(value)
        if ago is not None:
            return (time.time_ns() // _NS_PER_MS) - int(ago["number"]) * _SECONDS[ago["unit"]] * 1_000
        found = parse_timestamp(f"{value}T00:00:00Z" if _DAY.fullmatch(value) else value)
        if found is None:
            self.fail(f"{value!r}: expected {_FORM}.", param, ctx)
        return found // _NS_PER_MS
