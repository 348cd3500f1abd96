"""What a program may give to an engine: definitions, limits, clocks, stores."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeGuard

from engine.arns import is_valid_name
from engine.integrations.invocation import json_text
from engine.jsonvalue import PAYLOAD_BYTES_MAX, Json
from engine.runtime.clock import Clock, SystemClock, VirtualClock
from engine.settings import Settings
from engine.store.library import check_retention

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg
    from sqlalchemy import Connection
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession, async_scoped_session
    from sqlalchemy.orm import Session, scoped_session

    from engine.asl.source import Syntax
    from engine.events.chronicle import Chronicle, EventsLike
    from engine.store.library import Store

CallersConnection: TypeAlias = (
    "psycopg.Connection[Any] | psycopg.AsyncConnection[Any] | Connection | Session | AsyncConnection | AsyncSession"
    " | scoped_session[Any] | async_scoped_session[Any]"
)
"""Of a program that starts an execution in a transaction of its own."""

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


def check_at_once(max_concurrency: int | None, threads_max: int, commands_max: int, processes_max: int | None) -> None:
    """Raises ValueError: nothing at all could run at once."""
    for what, number in {
        "max_concurrency": max_concurrency,
        "threads_max": threads_max,
        "commands_max": commands_max,
        "processes_max": processes_max,
    }.items():
        if number is not None and number < 1:
            raise ValueError(f"{what}: expected a number of 1 or more, got {number!r}")


def check_pool(pool: str) -> str:
    """The name of a pool. Raises ValueError."""
    if not is_valid_name(pool):
        raise ValueError(f"pool: expected a name as of a state machine, got {pool!r}")
    return pool


def opener_of(
    store: StoreLike | None, data_dir: Path | str | None, *, pooler: bool | None = None
) -> Callable[[], Store]:
    """What opens the store that is meant; ASL_DATABASE_URL and ASL_POOLER say it when the caller does not.

    Raises:
        ValueError: They mean nothing.
    """
    if store is not None and data_dir is not None:
        raise ValueError("url and data_dir exclude one another: one is a server of yours, the other our own one's")
    if store is not None and not isinstance(store, str):
        return store
    what, url = "url", store
    if url is None and data_dir is None:
        what, url = "ASL_DATABASE_URL", Settings.from_environment().database_url
    if url is None:
        return partial(_open_own_server, data_dir)
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError(f"{what}: expected the URL of a database, postgresql://user@host/name, got {url!r}")
    return partial(_open_database, url, pooler=Settings.from_environment().has_pooler if pooler is None else pooler)


def _open_own_server(data_dir: Path | str | None) -> Store:
    from engine.store.postgres.embedded import default_data_dir
    from engine.store.postgres.embedded_store import EmbeddedStore

    return EmbeddedStore(default_data_dir(os.environ) if data_dir is None else Path(data_dir))


def _open_database(url: str, *, pooler: bool) -> Store:
    from engine.store.postgres.store import PostgresStore

    return PostgresStore(url, pooler=pooler)


def is_name(machine: object) -> TypeGuard[str]:
    """Whether this is the name or ARN of a state machine, where a definition could stand as well.

    With `#` and a test case behind it, it is one too.
    """
    return isinstance(machine, str) and (machine.startswith("arn:") or is_valid_name(machine.partition("#")[0]))


_SUFFIXES = (".json", ".yaml", ".yml", ".asl")
_UNFIT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_MAX = 80
_DIGEST_CHARACTERS = 16


def stem_of(file: str | Path) -> str:
    """A file's name without the suffixes of a definition: `order` of `dir/order.asl.json`."""
    stem = Path(file).name
    for suffix in _SUFFIXES:
        stem = stem.removesuffix(suffix)
    return stem


def machine_name(file: str | Path | None, text: str) -> str:
    """What a state machine is called that is deployed without a name: after its file, or else after its text.

    What AWS does not take in names becomes `-`. Without a file: `definition-` and the beginning of a digest: the same
    text is the same state machine, another text is another one.
    """
    name = "" if file is None else _UNFIT_IN_NAMES.sub("-", stem_of(file))[:_NAME_MAX]
    return name or f"definition-{hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]}"


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


def retention_ms_of(given: timedelta | None) -> int | None:
    """How long finished executions are kept, in milliseconds. Raises ValueError: less than a day."""
    milliseconds = None if given is None else given // timedelta(milliseconds=1)
    check_retention(milliseconds)
    return milliseconds


def chronicler_of(events: EventsLike, logs: str | None, notice: Callable[..., None] | None) -> Chronicle | None:
    """See `engine.events.chronicle.chronicle_of`, which is imported when there is something to tell."""
    if events is None and logs is None:
        return None
    from engine.events.chronicle import chronicle_of

    return chronicle_of(events, logs, notice)
