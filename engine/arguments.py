"""What a program may give to an engine: definitions, limits, clocks, stores."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from engine.integrations.invocation import json_text
from engine.jsonvalue import PAYLOAD_BYTES_MAX, Json
from engine.runtime.clock import Clock, SystemClock, VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.asl.source import Syntax
    from engine.store.protocol import Store

HISTORY_EVENTS_MAX = 25_000
"""AWS: of one Standard execution (execution.md 5)."""

Definition: TypeAlias = "str | bytes | dict[str, Json] | Path"
"""JSON or YAML text, the value it stands for, or a file that holds it."""

ClockLike: TypeAlias = "Literal['real', 'virtual'] | Clock"

StoreLike: TypeAlias = "str | Callable[[], Store]"
"""The URL of a database, `postgresql://user@host/name`; or what opens a store, which is closed with the engine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """AWS's limits, others, or none.

    Attributes:
        payload_bytes: Of the input and output of a state, in bytes of JSON; `aws` is 262,144.
        history_events: Of one Standard execution; `aws` is 25,000.
    """

    payload_bytes: int | Literal["aws", "off"] = "aws"
    history_events: int | Literal["aws", "off"] = "aws"

    def number(self, field: Literal["payload_bytes", "history_events"]) -> int:
        """The limit as a number; 0 when it is off."""
        value = self.payload_bytes if field == "payload_bytes" else self.history_events
        if value == "aws":
            return PAYLOAD_BYTES_MAX if field == "payload_bytes" else HISTORY_EVENTS_MAX
        if value == "off":
            return 0
        if value < 1:
            raise ValueError(f'Limits.{field}: expected "aws", "off" or a number of 1 or more, got {value!r}')
        return value


def clock_of(clock: ClockLike) -> Clock:
    """The clock that is meant. Raises ValueError."""
    if clock == "real":
        return SystemClock()
    if clock == "virtual":
        return VirtualClock()
    if isinstance(clock, str):
        raise ValueError(f'clock: expected "real", "virtual" or a Clock, got {clock!r}')
    return clock


def opener_of(store: StoreLike) -> Callable[[], Store]:
    """What opens the store that is meant. Raises ValueError."""
    if not isinstance(store, str):
        return store
    url = store
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError(f"store: expected the URL of a database, postgresql://user@host/name, got {url!r}")

    def open_store() -> Store:
        from engine.store.postgres.store import PostgresStore

        return PostgresStore(url)

    return open_store


def text_of(definition: Definition) -> tuple[str, Syntax]:
    """The definition's text; what does not begin as JSON is YAML.

    Raises:
        ValueError: It is no JSON value, or a file's name where its text, or a Path, was expected.
    """
    if isinstance(definition, Path):
        text = definition.read_text(encoding="utf-8-sig")
    elif isinstance(definition, bytes):
        text = definition.decode("utf-8-sig")
    elif isinstance(definition, str):
        text = definition
        if text.endswith((".json", ".yaml", ".yml")) and not text.lstrip().startswith("{") and "\n" not in text:
            raise ValueError(f"definition: expected its text, got the name of a file; give Path({text!r})")
    else:
        text = json_text(definition).decode()
    return text, "JSON" if text.lstrip()[:1] in ("{", "") else "YAML"
