"""How an execution stands or ended, as a program sees it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from engine.integrations.invocation import unshared
from engine.interpreter.history import as_aws
from engine.jsonvalue import text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from engine.interpreter.history import Segment
    from engine.interpreter.snapshot import Ending
    from engine.jsonvalue import Json
    from engine.store.protocol import ExecutionStatus
    from engine.store.records import ExecutionRecord

_MS_PER_SECOND = 1_000
_SHOWN_CHARACTERS_MAX = 500


class ExecutionFailed(Exception):
    """An execution did not succeed.

    Attributes:
        status: `FAILED`, `TIMED_OUT` or `ABORTED`.
        error: The Error Name; None when there is none.
        cause: Text for a person; None when there is none. Of a Python exception it is Lambda's JSON text.
        state: The state whose error nobody caught.
        input_of_state: What that state was entered with.
        execution_arn: Whose ending this is.
    """

    def __init__(
        self, ending: Ending, *, execution_arn: str, input_of_state: Json, segments: Sequence[Segment]
    ) -> None:
        super().__init__(ending, execution_arn)
        self.status = ending.status
        self.error = ending.error
        self.cause = ending.cause
        self.state = ending.state
        self.input_of_state = input_of_state
        self.execution_arn = execution_arn
        self._segments = segments

    def __reduce__(self) -> tuple[Callable[..., ExecutionFailed], tuple[object, ...]]:
        """For worker processes, whose errors are pickled on their way home."""
        return _revived, (type(self), self.args, self.input_of_state, list(self._segments))

    @property
    def history(self) -> list[dict[str, Any]]:
        """All events, in the shape of boto3's GetExecutionHistory."""
        return list(as_aws(self._segments))

    def __str__(self) -> str:
        lines = [f"execution {self.status}: {self.error or 'no error name'}"]
        if self.state is not None:
            lines[0] += f" in state {self.state!r}"
        if self.cause:
            lines.append(f"cause: {_shortened(self.cause)}")
        if self.state is not None:
            lines.append(f"input of the state: {_shortened(text(self.input_of_state))}")
        lines.append(f"execution: {self.execution_arn}")
        return "\n  ".join(lines)


def _revived(
    kind: type[ExecutionFailed], args: tuple[Ending, str], input_of_state: Json, segments: list[Segment]
) -> ExecutionFailed:
    return kind(args[0], execution_arn=args[1], input_of_state=input_of_state, segments=segments)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionDescription:
    """What DescribeExecution tells (execution.md 6.1); absent fields are None.

    Attributes:
        output: None as well while there is none: `status` tells.
        redrive_status_reason: Why it cannot be redriven.
    """

    execution_arn: str
    state_machine_arn: str
    name: str
    status: ExecutionStatus
    start_date: datetime
    stop_date: datetime | None
    input: Json
    output: Json
    error: str | None
    cause: str | None
    redrive_count: int
    redrive_date: datetime | None
    redrive_status_reason: str | None


def described(record: ExecutionRecord, redrive_status_reason: str | None) -> ExecutionDescription:
    """The record as a program sees it. Of a TIMED_OUT execution AWS shows no error (recorded)."""
    execution, ending = record.execution, record.ending
    shows_error = ending is not None and ending.status != "TIMED_OUT"
    return ExecutionDescription(
        execution_arn=execution.arn,
        state_machine_arn=execution.state_machine_arn,
        name=execution.name,
        status=record.status,
        start_date=aware(execution.start_time),
        stop_date=None if record.stop_date is None else aware(record.stop_date),
        input=unshared(execution.input),
        output=None if ending is None else unshared(ending.output),
        error=ending.error if ending is not None and shows_error else None,
        cause=ending.cause if ending is not None and shows_error else None,
        redrive_count=record.redrives.count,
        redrive_date=None if record.redrives.time is None else aware(record.redrives.time),
        redrive_status_reason=redrive_status_reason,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncExecution:
    """What StartSyncExecution tells (api.md 5.2); absent fields are None.

    Attributes:
        output: None as well when there is none: `status` tells.
        billed_duration_ms: The time that it took, in whole tenths of a second.
    """

    execution_arn: str
    state_machine_arn: str
    name: str
    status: Literal["SUCCEEDED", "FAILED", "TIMED_OUT"]
    start_date: datetime
    stop_date: datetime
    input: Json
    output: Json
    error: str | None
    cause: str | None
    billed_duration_ms: int


def aware(ms: int) -> datetime:
    """Milliseconds since the epoch as an aware UTC datetime."""
    return datetime.fromtimestamp(ms / _MS_PER_SECOND, UTC)


def _shortened(line: str) -> str:
    return line if len(line) <= _SHOWN_CHARACTERS_MAX else line[:_SHOWN_CHARACTERS_MAX] + " ..."
