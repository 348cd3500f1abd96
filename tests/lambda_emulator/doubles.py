"""Environments that are Python functions of this process, and a clock that somebody winds."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel

from engine.lambda_emulator.invocation import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.lambda_emulator.functions import FunctionVersion
    from engine.lambda_emulator.invocation import Event


class WoundClock:
    """Stands still until it is wound on."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 31, 12, tzinfo=UTC)
        self._changed = anyio.Event()

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()

    async def sleep_until(self, moment: datetime) -> None:
        while self.time < moment:
            await self._changed.wait()

    def wind(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self._changed.set()
        self._changed = anyio.Event()


def failure(error_type: str = "ValueError", message: str = "no") -> Outcome:
    text = json.dumps({"errorMessage": message, "errorType": error_type}).encode()
    return Outcome(payload=text, function_error="Unhandled")


class PlayedRunner:
    """Answers as `play` says: (version, document of the event) -> a document, or an Outcome, or raises.

    Attributes:
        asked: What was to be run.
        gates: By function: invocations wait until it is set.
        content_type: Of responses in parts, which are lists of bytes.
    """

    content_type = "text/plain"

    def __init__(self, play: Callable[[FunctionVersion, Any], Any] = lambda _version, document: document) -> None:
        self.play = play
        self.asked: list[tuple[FunctionVersion, Event]] = []
        self.gates: dict[str, anyio.Event] = {}

    async def invoke(self, version: FunctionVersion, event: Event) -> Outcome:
        self.asked.append((version, event))
        if version.name in self.gates:
            await self.gates[version.name].wait()
        answer = self.play(version, json.loads(event.payload))
        if isinstance(answer, Outcome):
            return answer
        if isinstance(answer, list) and event.on_chunk is not None and answer and isinstance(answer[0], bytes):
            assert event.on_begin is not None
            event.on_begin(self.content_type)
            for chunk in answer:
                event.on_chunk(chunk)
                await anyio.lowlevel.checkpoint()
            return Outcome(payload=b"", streamed=True, log_tail=b"tail")
        return Outcome(payload=json.dumps(answer).encode(), log_tail=b"START RequestId\nEND\n")

    def check(self, runtime: str) -> None: ...

    async def prepare(self, version: FunctionVersion, count: int = 0) -> None: ...

    async def retire(self, name: str, version: str | None = None, keep_revision: str | None = None) -> None: ...
