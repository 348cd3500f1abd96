"""Points and spans of time as a person gives them: a timestamp, or how long ago; how long."""

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
_SPAN_FORM = "a length of time such as 36h, 30d, 12w"
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


class Span(click.ParamType[int, Any]):
    """Gives milliseconds."""

    name = "SPAN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See `click.ParamType`."""
        if isinstance(value, int):
            return value
        span = _AGO.fullmatch(value)
        if span is None:
            self.fail(f"{value!r}: expected {_SPAN_FORM}.", param, ctx)
        return int(span["number"]) * _SECONDS[span["unit"]] * 1_000


class Retention(Span):
    """A span for which finished executions are kept: a day at least."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See `click.ParamType`."""
        from engine.store.library import check_retention

        milliseconds = super().convert(value, param, ctx)
        try:
            check_retention(milliseconds)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)
        return milliseconds
