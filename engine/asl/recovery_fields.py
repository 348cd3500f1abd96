"""Reads `Retry` and `Catch` (asl.md 13)."""

from __future__ import annotations

from sys import float_info
from typing import TYPE_CHECKING, Final, Literal

from engine.asl.expression_fields import ERROR_OUTPUT, assign, jsonata, result_path
from engine.asl.field_tables import CATCHER_FIELDS, RETRIER_FIELDS
from engine.asl.program import Catcher, Retrier

if TYPE_CHECKING:
    from engine.asl.fields import Fields

_JITTER_STRATEGIES: Final[tuple[Literal["NONE", "FULL"], ...]] = ("NONE", "FULL")
_ATTEMPTS_MAX: Final = 99_999_999
_DELAY_SECONDS_MAX: Final = 31_622_400  # 366 days


def retriers(state: Fields) -> tuple[Retrier, ...]:
    """`Retry`: in order, the first that matches is used."""
    entries = state.objects("Retry", empty=True)
    return tuple(_retrier(entry, last=index == len(entries) - 1) for index, entry in enumerate(entries))


def _retrier(entry: Fields, *, last: bool) -> Retrier:
    entry.check_names(RETRIER_FIELDS)
    entry.require("ErrorEquals")
    names = _error_equals(entry, last=last)
    # The Amazon States Language says 1 or more; the service was measured to take 0.
    interval = entry.integer("IntervalSeconds", minimum=0, maximum=_ATTEMPTS_MAX)
    attempts = entry.integer("MaxAttempts", minimum=0, maximum=_ATTEMPTS_MAX)
    rate = entry.number("BackoffRate", minimum=1.0, maximum=float_info.max)
    delay = entry.integer("MaxDelaySeconds", minimum=1, maximum=_DELAY_SECONDS_MAX)
    jitter = entry.one_of("JitterStrategy", _JITTER_STRATEGIES)
    return Retrier(
        error_equals=names,
        interval_seconds=1 if interval is None else interval,
        max_attempts=3 if attempts is None else attempts,
        backoff_rate=2.0 if rate is None else float(rate),
        max_delay_seconds=delay,
        jitter_strategy=jitter or "NONE",
        comment=entry.comment(),
    )


def catchers(state: Fields) -> tuple[Catcher, ...]:
    """`Catch`: in order, the first that matches is used."""
    entries = state.objects("Catch", empty=True)
    return tuple(_catcher(entry, last=index == len(entries) - 1) for index, entry in enumerate(entries))


def _catcher(entry: Fields, *, last: bool) -> Catcher:
    entry.check_names(CATCHER_FIELDS)
    entry.require("ErrorEquals", "Next")
    names = _error_equals(entry, last=last)
    return Catcher(
        error_equals=names,
        next=entry.string("Next") or "",
        result_path=result_path(entry),
        assign=assign(entry, ERROR_OUTPUT),
        output=jsonata(entry, "Output", ERROR_OUTPUT),
        comment=entry.comment(),
    )


def _error_equals(entry: Fields, *, last: bool) -> tuple[str, ...]:
    """The names. `States.ALL` stands alone, in the last entry; where AWS points to was measured for one name."""
    names = entry.strings("ErrorEquals", empty=False) or []
    if "States.ALL" in names and (len(names) > 1 or not last):
        place = (*entry.at("ErrorEquals"), names.index("States.ALL"))
        message = "States.ALL must appear alone and at end of list"
        entry.report.error("states-all-not-alone-and-last", message, place)
    return tuple(names)
