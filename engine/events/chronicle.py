"""What one engine tells: put together from what its user asked for, and opened with the engine."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

from engine.events.event_sinks import OWN_SOURCE, EventBridgeSink, EventSink, FunctionSink, NotifySink, WebhookSink
from engine.events.execution_logs import ExecutionLogs, LogSink
from engine.events.log_sinks import CloudWatchSink, FileSink, StructlogSink
from engine.events.relay import Relay
from engine.events.status_changes import status_changes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.interpreter.snapshot import Execution, Snapshot, Transition
    from engine.store.library import Store
    from engine.store.protocol import RevisionId, StatusChange

EventTarget: TypeAlias = str | Callable[[dict[str, Any]], object]
"""`http://...`, `https://...`, `eventbridge:BUS`, `notify:CHANNEL`, or a function that gets each event."""

EventsLike: TypeAlias = EventTarget | Sequence[EventTarget] | None

_CHANNEL_BYTES_MAX = 63
_EVENTS_EXPECTED = "expected an http or https URL, eventbridge:BUS, eventbridge:BUS?source=NAME or notify:CHANNEL"
_LOGS_EXPECTED = "expected file:PATH, cloudwatch or log"


def chronicle_of(events: EventsLike, logs: str | None, notice: Callable[..., None] | None) -> Chronicle | None:
    """What tells what was asked for; None: nothing was.

    Args:
        events: Who is told of changes of status.
        logs: Where the records go that state machines' logging configurations ask for: `file:PATH`, `cloudwatch`,
            `log`.
        notice: Told of trouble.

    Raises:
        ValueError: Something of it means nothing.
    """
    targets = [events] if isinstance(events, str) or callable(events) else list(events or ())
    sinks = [event_sink(target) for target in targets]
    tell = notice or _tell_nobody
    log_sink = None if logs is None else log_sink_of(logs, tell)
    return Chronicle(sinks, log_sink, tell) if sinks or log_sink is not None else None


def event_sink(target: EventTarget) -> EventSink:
    """Who is told of changes of status. Raises ValueError."""
    if not isinstance(target, str):
        if not callable(target):
            raise ValueError(f"events: {_EVENTS_EXPECTED}, or a function, got {target!r}")
        if inspect.iscoroutinefunction(target) or inspect.iscoroutinefunction(type(target).__call__):
            raise ValueError(f"events: expected a function that is called in a thread, got the coroutine {target!r}")
        return FunctionSink(target)
    if any(character.isspace() for character in target):
        raise ValueError(f"events: {_EVENTS_EXPECTED}, without blanks, got {target!r}")
    scheme, _, rest = target.partition(":")
    if scheme in ("http", "https"):
        parts = urlsplit(target)
        if not parts.hostname or parts.username is not None or parts.fragment:
            shown = f"{scheme}://{parts.hostname or ''}"
            raise ValueError(f"events: {shown}: expected {scheme}://HOST/PATH without a user or a fragment")
        return WebhookSink(target)
    if scheme == "eventbridge" and rest.partition("?")[0]:
        bus, _, query = rest.partition("?")
        options = parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
        source = options.pop("source", [OWN_SOURCE])[-1]
        if not options and source:
            return EventBridgeSink(bus, source)
    if scheme == "notify" and 0 < len(rest.encode()) <= _CHANNEL_BYTES_MAX and "\0" not in rest:
        return NotifySink(rest)
    raise ValueError(f"events: {_EVENTS_EXPECTED}, got {target!r}")


def log_sink_of(target: str, tell: Callable[..., None]) -> LogSink:
    """Where log records go. Raises ValueError."""
    scheme, separator, rest = target.partition(":")
    if scheme == "file" and rest:
        return FileSink(Path(rest))
    if target == "cloudwatch":
        return CloudWatchSink(tell)
    if target == "log" and not separator:
        return StructlogSink()
    raise ValueError(f"logs: {_LOGS_EXPECTED}, got {target!r}")


def _tell_nobody(event: str, **about: object) -> None:
    """Nobody asked to be told."""


class Chronicle:
    """A `Chronicler`."""

    def __init__(self, sinks: Sequence[EventSink], log_sink: LogSink | None, tell: Callable[..., None]) -> None:
        """Nothing is opened before `open`."""
        self._sinks = sinks
        self._log_sink = log_sink
        self._tell = tell
        self._relay: Relay | None = None
        self._logs: ExecutionLogs | None = None

    def open(self, store: Store) -> None:
        """See `Chronicler`. Raises ValueError: this store cannot do what was asked for."""
        for sink in self._sinks:
            if isinstance(sink, NotifySink):
                sink.check(store)
        if self._sinks:
            self._relay = Relay(store, self._sinks, self._tell)
        if self._log_sink is not None:
            self._logs = ExecutionLogs(self._log_sink, store, self._tell)

    def close(self) -> None:
        """See `Chronicler`."""
        if self._logs is not None:
            self._logs.close()
        if self._relay is not None:
            self._relay.close()

    def status_changes(self, before: Snapshot, transition: Transition) -> Sequence[StatusChange]:
        """See `Chronicler`."""
        return status_changes(before, transition) if self._sinks else ()

    def happened(self, revision_id: RevisionId, execution: Execution, transition: Transition) -> None:
        """See `Chronicler`."""
        if self._logs is not None:
            self._logs.happened(revision_id, execution, transition)
        has_changed = transition.first_event_id == 1 or transition.ending is not None or transition.redrives.count
        if has_changed and self._relay is not None:  # of a redrive each step counts, which costs a look
            self._relay.wake()

    def has_log_group(self, group_arn: str) -> bool:
        """Whether records can go to a log group, as far as it can be known; may wait, in any thread."""
        return self._log_sink is None or self._log_sink.has_log_group(group_arn)

    def counts(self) -> Mapping[tuple[str, str], int]:
        """See `Chronicler`."""
        counts: dict[tuple[str, str], int] = {}
        for kind, teller in (("status change", self._relay), ("log record", self._logs)):
            if teller is not None:
                counts[kind, "delivered"] = teller.delivered
                counts[kind, "dropped"] = teller.dropped
        return counts
