"""What the runtime asks of a store, in the engine's verbs; the promises are tested by `tests/store/suite.py`.

A store is synchronous: the runtime calls it from one place at a time, and awaits nothing in between. Times are
milliseconds since the epoch and come from the caller's clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.interpreter.history import Segment
    from engine.interpreter.messages import Ticket
    from engine.interpreter.snapshot import Ending, Execution, Redrives, Snapshot, Transition

MachineType: TypeAlias = Literal["STANDARD", "EXPRESS"]
ExecutionStatus: TypeAlias = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMachineRecord:
    """A state machine as it was created.

    Attributes:
        definition: Its text; two creations are the same when this and `type` are (api.md 5.1).
        creation_date: Milliseconds since the epoch.
    """

    arn: str
    name: str
    type: MachineType
    definition: str
    creation_date: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRecord:
    """What DescribeExecution shows.

    Attributes:
        execution: What does not change while it runs: ARN, name, input, start time.
        ending: None while it runs.
        stop_date: Milliseconds since the epoch; None while it runs.
        redrives: How often it was redriven.
        last_event_id: Length of its history.
    """

    execution: Execution
    ending: Ending | None
    stop_date: int | None
    redrives: Redrives
    last_event_id: int

    @property
    def status(self) -> ExecutionStatus:
        """AWS's word."""
        return "RUNNING" if self.ending is None else self.ending.status


@dataclass(frozen=True, slots=True)
class Start:
    """The answer to a start: the execution that has the name now, and whether it is this call that started it."""

    execution: Execution
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """What one execution has to write at a quiescent point.

    Attributes:
        execution_arn: Whose it is.
        seq: 1 for the execution's first checkpoint, then one more each time, redrives included.
        snapshot: As it stands before `transition`; the store reads it during `commit` only and never keeps it.
        transition: What happened.
        tokens_opened: Task tokens that its commands mint, with the Task that each one ends.
        tokens_closed: Task tokens of Tasks that nobody waits for any more.
    """

    execution_arn: str
    seq: int
    snapshot: Snapshot
    transition: Transition
    tokens_opened: Sequence[tuple[str, Ticket]] = ()
    tokens_closed: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class TokenOwner:
    """The Task that a task token ends."""

    execution_arn: str
    task_id: Ticket


@dataclass(frozen=True, slots=True)
class Reopened:
    """A closed execution that is open again: where it stands, and the `seq` of its last checkpoint."""

    snapshot: Snapshot
    seq: int


class ExecutionStore(Protocol):
    """State machines, executions, histories and task tokens."""

    def create_state_machine(self, machine: StateMachineRecord) -> StateMachineRecord:
        """Keeps a state machine; the same one again gives the record of the first time (execution.md 15).

        Raises:
            StateMachineAlreadyExists: The name is taken by one with another definition or type.
        """
        ...

    def state_machine(self, arn: str) -> StateMachineRecord:
        """A state machine.

        Raises:
            StateMachineDoesNotExist: No such one.
        """
        ...

    def start(self, execution: Execution) -> Start:
        """Takes the name and makes the row of a new execution, which is RUNNING and has no history yet.

        For a Standard execution the same name and the same input, while it runs, give the execution that has them
        (execution.md 7); Express names are not unique.

        Raises:
            ExecutionAlreadyExists: The name is taken by a closed execution, or by one with another input.
        """
        ...

    def commit(self, group: Sequence[Checkpoint]) -> None:
        """Writes all checkpoints of the group or none of them; at most one for each execution.

        An ending closes the execution and kills all its task tokens.

        Raises:
            OwnershipLost: A `seq` does not follow the last one written, or the execution is closed; nothing is written.
        """
        ...

    def reopen(self, execution_arn: str) -> Reopened:
        """Opens an execution that did not succeed, for a redrive; it counts as RUNNING from now on.

        Raises:
            ExecutionDoesNotExist: No such one.
            ExecutionNotRedrivable: It is open, or it succeeded.
        """
        ...

    def execution(self, execution_arn: str) -> ExecutionRecord:
        """An execution as it was last committed.

        Raises:
            ExecutionDoesNotExist: No such one.
        """
        ...

    def executions(self, state_machine_arn: str, *, status: ExecutionStatus | None = None) -> list[ExecutionRecord]:
        """The executions of a state machine, newest first, of one status or of all."""
        ...

    def history(self, execution_arn: str) -> list[Segment]:
        """All that was committed, oldest first.

        Raises:
            ExecutionDoesNotExist: No such one.
        """
        ...

    def token_owner(self, task_token: str) -> TokenOwner:
        """The open Task of a token; the token stays as it is.

        Raises:
            InvalidToken: It was never minted here.
            TaskTimedOut: It is closed.
        """
        ...

    def take_token(self, task_token: str) -> TokenOwner:
        """Closes the token: whoever takes it may end the Task, and nobody after him. Raises as `token_owner`."""
        ...
