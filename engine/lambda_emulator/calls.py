"""What operations that run functions know of the request, and how they answer while a function still runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from datetime import datetime

    from engine.lambda_emulator.rest_json import Headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request, besides its members.

    Attributes:
        trace_id: What stood in `X-Amzn-Trace-Id`, or one of our own.
        content_type: Of the payload.
    """

    request_id: str
    trace_id: str
    content_type: str | None = None


class Streamed(NamedTuple):
    """An answer of HTTP whose body comes in parts."""

    status: int
    headers: Headers
    body: AsyncGenerator[bytes, None]


def new_trace_id(now: datetime, draw_bits: Callable[[int], int]) -> str:
    """As Lambda makes it for a request that has none: not sampled."""
    return f"Root=1-{int(now.timestamp()):08x}-{draw_bits(96):024x};Parent={draw_bits(64):016x};Sampled=0"
