"""What state machines' logging configurations ask for: log records of what was written, to one sink.

Best effort, as on AWS: what a process had not passed on when it died is not written by anybody.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from engine.errors import StateMachineDoesNotExist
from engine.events.delivery import Delivery, TryAgain
from engine.events.log_records import LoggingConfiguration, log_records, logging_configuration, record_text
from engine.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.interpreter.snapshot import Execution, Transition
    from engine.store.library import Library
    from engine.store.protocol import RevisionId

WAITING_MAX = 10_000
"""Transitions that wait for the sink. They share what they hold with the executions while those run."""

_CONFIGURATIONS_MAX = 4_096


class LogRecord(NamedTuple):
    """One record on its way.

    Attributes:
        log_group_arn: Where the state machine wants it; None: nowhere in particular.
        state_machine: Its name.
        timestamp: Milliseconds since the epoch.
        text: The record, as JSON.
    """

    log_group_arn: str | None
    state_machine: str
    timestamp: int
    text: str


class LogSink(Protocol):
    """Takes records; in one thread."""

    def write(self, records: Sequence[LogRecord]) -> int:
        """Writes them; how many of them it did not, for good.

        Raises:
            TryAgain: None of them was written, or it does not matter if one is twice.
        """
        ...

    def has_log_group(self, group_arn: str) -> bool:
        """Whether what is meant for a log group can be written; may wait, in any thread."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


class _Happened(NamedTuple):
    revision_id: RevisionId
    execution: Execution
    transition: Transition


class ExecutionLogs:
    """Makes the records of one engine and gives them to a sink.

    Attributes:
        delivered: Records that the sink has taken.
    """

    def __init__(self, sink: LogSink, library: Library, tell: Callable[..., None]) -> None:
        self.delivered = 0
        self._refused = 0
        self._sink = sink
        self._library = library
        self._tell = tell
        self._configurations: dict[RevisionId, LoggingConfiguration] = {}
        self._off: set[RevisionId] = set()
        self._delivery: Delivery[_Happened] = Delivery(
            self._receive, name="execution logs", waiting_max=WAITING_MAX, tell=tell
        )

    @property
    def dropped(self) -> int:
        """Records that the sink refused, and transitions that never came to be records."""
        return self._delivery.dropped + self._refused

    def happened(self, revision_id: RevisionId, execution: Execution, transition: Transition) -> None:
        """See `Chronicler`."""
        if transition.history and revision_id not in self._off:
            self._delivery.put(_Happened(revision_id, execution, transition))

    def close(self) -> None:
        """Writes what waits, for some seconds."""
        self._delivery.close()
        self._sink.close()

    # ── the thread ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _receive(self, batch: Sequence[_Happened]) -> None:
        records: list[LogRecord] = []
        for revision_id, execution, transition in batch:
            configuration = self._configuration(revision_id)
            for record in log_records(configuration, execution.arn, transition):
                line = record_text(record)
                group = configuration.log_group_arn
                records.append(LogRecord(group, execution.state_machine_name, transition.now, line))
        if records:
            refused = self._sink.write(records)
            self._refused += refused
            self.delivered += len(records) - refused

    def _configuration(self, revision_id: RevisionId) -> LoggingConfiguration:
        known = self._configurations.get(revision_id)
        if known is None:
            try:
                known = logging_configuration(self._library.revision(revision_id).logging)
            except StoreUnavailable as error:
                raise TryAgain(f"the database cannot be reached: {error}") from error
            except (KeyError, StateMachineDoesNotExist):  # what was never given a name, in memory; what was deleted
                known = LoggingConfiguration()
            if len(self._configurations) >= _CONFIGURATIONS_MAX:
                self._configurations.clear()
                self._off = set()
            self._configurations[revision_id] = known
            if known.level == "OFF":
                self._off.add(revision_id)
        return known
