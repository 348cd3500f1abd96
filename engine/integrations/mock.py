"""Handlers whose answer is known beforehand: `mock:{...}` and `fail:Error:cause`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.errors import StatesError
from engine.integrations.request import Answer
from engine.jsonvalue import decode, encode

if TYPE_CHECKING:
    from engine.integrations.request import Channel, TaskRequest, Workplace


class Fixed:
    """Always the same end."""

    def __init__(self, name: str, answer: Answer | Exception) -> None:
        self.name = name
        self.fixed_answer = answer

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        """See `Handler`."""
        if isinstance(self.fixed_answer, Exception):
            raise self.fixed_answer
        return self.fixed_answer


def mock(spec: str) -> Fixed:
    """`mock:{"ok": true}`: the Task's raw result, without the envelope of `lambda:invoke`.

    Raises:
        InvalidJson: What follows `mock:` is not JSON.
    """
    value = decode(spec.removeprefix("mock:"))
    return Fixed(spec, Answer(value, len(encode(value))))


def fail(spec: str) -> Fixed:
    """`fail:Error:cause`, where the cause may hold colons, or be left away.

    Raises:
        ValueError: There is no Error.
    """
    error, colon, cause = spec.removeprefix("fail:").partition(":")
    if not error:
        raise ValueError("expected fail:Error or fail:Error:cause")
    return Fixed(spec, StatesError(error, cause if colon else None))
