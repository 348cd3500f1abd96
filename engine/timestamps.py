"""Timestamps: the ones AWS accepts in a definition or in data, and the ones it prints."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_SECONDS = 86_400

_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"T([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9])(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])(0[0-9]|1[0-8]):([0-5][0-9]))"
)

# What java.time, and so AWS, allows between a clock and UTC.
_OFFSET_SECONDS_MAX = 18 * 3600


def parse_timestamp(text: str) -> int | None:
    """The instant that an RFC 3339 timestamp names, in nanoseconds since the epoch; None when the text is none.

    The profile is the one AWS checks: upper-case `T`, upper-case `Z` or a numeric offset with a colon, seconds always
    there, a fraction of one to nine digits. A day that does not exist, hour 24, second 60 and an offset beyond 18 hours
    are refused, and so is anything before or after it.

    Spec: 10.3 (TimestampEquals and its kin), 11 (Wait).
    """
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, offset_hours, offset_minutes = found.groups()
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    seconds = days * _DAY_SECONDS + int(hour) * 3600 + int(minute) * 60 + int(second)
    if sign is not None:
        offset = int(offset_hours) * 3600 + int(offset_minutes) * 60
        if offset > _OFFSET_SECONDS_MAX:
            return None
        seconds += offset if sign == "-" else -offset
    return seconds * 1_000_000_000 + (int(fraction.ljust(9, "0")) if fraction else 0)


def iso_timestamp(ms: int) -> str:
    """Milliseconds since the epoch as AWS prints them: `2024-01-02T03:04:05.678Z`, always three digits of fraction."""
    return f"{_iso_second(ms // 1000)}.{ms % 1000:03}Z"


def iso_of(moment: datetime) -> str:
    """A moment as `iso_timestamp` writes it."""
    return iso_timestamp(round(moment.timestamp() * 1_000))


# What is printed is mostly `now` or not long ago, many times a second; a hit costs a third of the arithmetic.
@lru_cache(64)
def _iso_second(seconds: int) -> str:
    days, seconds = divmod(seconds, _DAY_SECONDS)
    minutes = seconds // 60
    return f"{date.fromordinal(days + _EPOCH_DAY)}T{minutes // 60:02}:{minutes % 60:02}:{seconds % 60:02}"
