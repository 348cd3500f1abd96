"""The store of one process: everything in dictionaries, gone when the process is.

Nothing an execution needs while it runs is copied: its snapshot stays with the runtime. Of a closed execution that can
be redriven the last snapshot is kept, in its serialised form.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from engine.errors import (
    ExecutionAlreadyExists,
    ExecutionDoesNotExist,
    ExecutionNotRedrivable,
    InvalidToken,
    OwnershipLost,
    StateMachineAlreadyExists,
    StateMachineDoesNotExist,
    TaskTimedOut,
)
from engine.interpreter.history import Segment
from engine.interpreter.snapshot import Redrives, Snapshot, decode_snapshot, encode_snapshot
from engine.jsonvalue import encode
from engine.store.protocol import ExecutionRecord, Reopened, Start, TokenOwner

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.interpreter.snapshot import Ending, Execution
    from engine.store.protocol import Checkpoint, ExecutionStatus, StateMachineRecord

CLOSED_EXECUTIONS_MAX = 10_000
"""How many closed executions are kept, as AWS keeps them for 90 days. More: a long-lived process grows and grows."""


_NEVER = Redrives()


@dataclass(slots=True, eq=False)
class _Row:
    """One execution. `snapshot` is set while it is closed and can be redriven."""

    execution: Execution
    seq: int = 0
    segments: list[Segment] = field(default_factory=list)
    ending: Ending | None = None
    stop_date: int | None = None
    redrives: Redrives = _NEVER
    last_event_id: int = 0
    snapshot: bytes | None = None
    tokens: set[str] = field(default_factory=set)

    def record(self) -> ExecutionRecord:
        return ExecutionRecord(
            execution=self.execution,
            ending=self.ending,
            stop_date=self.stop_date,
            redrives=self.redrives,
            last_event_id=self.last_event_id,
        )


class MemoryStore:
    """An `ExecutionStore` that keeps the `closed_executions_max` executions that closed last."""

    def __init__(self, *, closed_executions_max: int = CLOSED_EXECUTIONS_MAX) -> None:
        self._closed_executions_max = closed_executions_max
        self._machines: dict[str, StateMachineRecord] = {}
        self._rows: dict[str, _Row] = {}
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._tokens: dict[str, TokenOwner | None] = {}

    def create_state_machine(self, machine: StateMachineRecord) -> StateMachineRecord:
        """See `ExecutionStore`."""
        known = self._machines.setdefault(machine.arn, machine)
        if (known.definition, known.type) != (machine.definition, machine.type):
            raise StateMachineAlreadyExists(machine.arn)
        return known

    def state_machine(self, arn: str) -> StateMachineRecord:
        """See `ExecutionStore`."""
        try:
            return self._machines[arn]
        except KeyError:
            raise StateMachineDoesNotExist(arn) from None

    def start(self, execution: Execution) -> Start:
        """See `ExecutionStore`."""
        row = self._rows.get(execution.arn)
        if row is None:
            self._rows[execution.arn] = _Row(execution)
            return Start(execution, is_new=True)
        if row.ending is None and encode(row.execution.input) == encode(execution.input):
            return Start(row.execution, is_new=False)
        raise ExecutionAlreadyExists(execution.arn)

    def commit(self, group: Sequence[Checkpoint]) -> None:
        """See `ExecutionStore`."""
        rows = [self._rows.get(checkpoint.execution_arn) for checkpoint in group]
        for row, checkpoint in zip(rows, group, strict=True):
            if row is None or row.ending is not None or checkpoint.seq != row.seq + 1:
                raise OwnershipLost(
                    f"{checkpoint.execution_arn}: checkpoint {checkpoint.seq} does not follow the last one"
                )
        for row, checkpoint in zip(rows, group, strict=True):
            assert row is not None
            self._write(row, checkpoint)

    def _write(self, row: _Row, checkpoint: Checkpoint) -> None:
        transition = checkpoint.transition
        row.seq = checkpoint.seq
        row.redrives = transition.redrives
        if transition.history:
            row.segments.append(Segment(transition.first_event_id, transition.now, transition.history))
            row.last_event_id = transition.first_event_id + len(transition.history) - 1
        for token, task_id in checkpoint.tokens_opened:
            self._tokens[token] = TokenOwner(row.execution.arn, task_id)
            row.tokens.add(token)
        for token in checkpoint.tokens_closed:
            self._tokens[token] = None
        if transition.ending is not None:
            self._close(row, checkpoint)

    def _close(self, row: _Row, checkpoint: Checkpoint) -> None:
        transition = checkpoint.transition
        assert transition.ending is not None
        row.ending = transition.ending
        row.stop_date = transition.now
        for token in row.tokens:
            self._tokens[token] = None
        if transition.ending.status != "SUCCEEDED" and row.execution.type == "STANDARD":
            before = checkpoint.snapshot
            after = Snapshot(execution=before.execution, frames=dict(before.frames))
            after.apply(transition)
            row.snapshot = zlib.compress(encode_snapshot(after), 1)
        self._closed[row.execution.arn] = None
        while len(self._closed) > self._closed_executions_max:
            self._forget(self._closed.popitem(last=False)[0])

    def _forget(self, execution_arn: str) -> None:
        for token in self._rows.pop(execution_arn).tokens:
            del self._tokens[token]

    def reopen(self, execution_arn: str) -> Reopened:
        """See `ExecutionStore`."""
        row = self._row(execution_arn)
        status = row.record().status
        if row.snapshot is None:
            raise ExecutionNotRedrivable(f"Execution is {status} and cannot be redriven")
        snapshot = decode_snapshot(zlib.decompress(row.snapshot))
        row.ending = row.stop_date = row.snapshot = None
        del self._closed[execution_arn]
        return Reopened(snapshot, row.seq)

    def execution(self, execution_arn: str) -> ExecutionRecord:
        """See `ExecutionStore`."""
        return self._row(execution_arn).record()

    def executions(self, state_machine_arn: str, *, status: ExecutionStatus | None = None) -> list[ExecutionRecord]:
        """See `ExecutionStore`."""
        rows = reversed(self._rows.values())
        records = (row.record() for row in rows if row.execution.state_machine_arn == state_machine_arn)
        return [record for record in records if status is None or record.status == status]

    def history(self, execution_arn: str) -> list[Segment]:
        """See `ExecutionStore`."""
        return list(self._row(execution_arn).segments)

    def token_owner(self, task_token: str) -> TokenOwner:
        """See `ExecutionStore`."""
        try:
            owner = self._tokens[task_token]
        except KeyError:
            raise InvalidToken from None
        if owner is None:
            raise TaskTimedOut
        return owner

    def take_token(self, task_token: str) -> TokenOwner:
        """See `ExecutionStore`."""
        owner = self.token_owner(task_token)
        self._tokens[task_token] = None
        return owner

    def _row(self, execution_arn: str) -> _Row:
        try:
            return self._rows[execution_arn]
        except KeyError:
            raise ExecutionDoesNotExist(execution_arn) from None
