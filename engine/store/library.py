"""Definitions, executions as they are shown, and the store as a whole. Every promise is tested, as in `protocol`.

All times are milliseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

from engine.store.protocol import DEFAULT_POOL

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from engine.interpreter.history import Segment
    from engine.interpreter.snapshot import Ending, Execution, Redrives, Snapshot
    from engine.store.hints import Hints
    from engine.store.protocol import Backlog, DurableStore, ExecutionId, ExecutionStatus, MachineType, RevisionId

RETENTION_MS_MIN = 24 * 3_600 * 1_000
"""Finished executions are kept for so long at least: they go by days."""

NAME_KEPT_MS = 90 * 24 * 3_600 * 1_000
"""How long after the end nobody may use the name of an execution again (api.md 5.3), even if the execution is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMachineRecord:
    """A state machine as it was created or last deployed, or one revision of it.

    Attributes:
        definition: Its text; two creations are the same when this and `type` are (api.md 5.1).
        creation_date: Milliseconds since the epoch.
        revision_id: Of this definition; it never changes what it stands for.
        pool: Where its executions run unless their start says otherwise; no part of the revision.
    """

    arn: str
    name: str
    type: MachineType
    definition: str
    creation_date: int
    revision_id: RevisionId
    pool: str = DEFAULT_POOL


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityRecord:
    """An activity. `creation_date`: milliseconds since the epoch."""

    arn: str
    name: str
    creation_date: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionRecord:
    """What DescribeExecution shows, and what only we have.

    Attributes:
        execution: What does not change while it runs: ARN, name, input, start time.
        ending: None while it runs.
        stop_date: Milliseconds since the epoch; None while it runs.
        redrives: How often it was redriven.
        last_event_id: Length of its history.
        missing: Resources that it waits for because the worker that had it last has no handler for them.
        quarantine: Why it cannot go on until somebody resumes it.
        unreadable: The format of rows that a newer engine wrote and this one cannot read. In lists then only names,
            times and status are known.
    """

    execution_id: ExecutionId
    execution: Execution
    revision_id: RevisionId
    pool: str
    ending: Ending | None
    stop_date: int | None
    redrives: Redrives
    last_event_id: int
    missing: Sequence[str] = ()
    quarantine: str | None = None
    unreadable: int | None = None

    @property
    def status(self) -> ExecutionStatus:
        """AWS's word."""
        return "RUNNING" if self.ending is None else self.ending.status


class Garbage(msgspec.Struct, frozen=True, kw_only=True):
    """What went, or would go.

    Attributes:
        executions: Finished ones, with all that belongs to them.
        names: Names of executions, which from now on may be used again.
        task_tokens: Those of executions that went.
        mail: For executions that are over.
        workers: Rows of workers of whom nothing is left.
        left: What could not go, and why, in words.
    """

    executions: int = 0
    names: int = 0
    task_tokens: int = 0
    mail: int = 0
    workers: int = 0
    left: Sequence[str] = ()


def check_retention(milliseconds: int | None) -> None:
    """Raises ValueError: it is less than a day, and days go as a whole."""
    if milliseconds is not None and milliseconds < RETENTION_MS_MIN:
        raise ValueError(f"retention: expected a day at least, got {milliseconds / RETENTION_MS_MIN:.3g} days")


class Library(Protocol):
    """Definitions; executions and histories as they are shown; and what an operator does to an execution."""

    def create_state_machine(self, machine: StateMachineRecord) -> StateMachineRecord:
        """Keeps a state machine; the same one again gives the record of the first time (execution.md 15).

        Raises:
            StateMachineAlreadyExists: The name is taken by one with another definition or type.
        """
        ...

    def deploy(self, machine: StateMachineRecord) -> StateMachineRecord:
        """Creates the state machine or gives it a new revision and its pool.

        The definition that it has already keeps its revision. Executions that run keep the revision that they were
        started with.

        Raises:
            StateMachineAlreadyExists: It is there with another type, which nothing can change.
        """
        ...

    def state_machine(self, arn: str) -> StateMachineRecord:
        """A state machine with its newest revision.

        Raises:
            StateMachineDoesNotExist: No such one.
        """
        ...

    def revision(self, revision_id: RevisionId) -> StateMachineRecord:
        """The state machine as it was in this revision, which some execution or state machine names."""
        ...

    def create_activity(self, activity: ActivityRecord) -> ActivityRecord:
        """Makes an activity; one that is there already keeps its date (api.md 5.5)."""
        ...

    def delete_activity(self, activity_arn: str) -> None:
        """Removes an activity, if it is there. Its Tasks wait on; created again, it has those that were offered."""
        ...

    def activity(self, activity_arn: str) -> ActivityRecord:
        """An activity. Raises ActivityDoesNotExist."""
        ...

    def activities(self, *, after: str = "", most: int = 1_000) -> Sequence[ActivityRecord]:
        """Activities by ARN, in the order of code points; `after`: the last ARN of the page before."""
        ...

    def execution(self, execution_arn: str) -> ExecutionRecord:
        """An execution as it was last committed.

        Raises:
            ExecutionDoesNotExist: No such one.
            UnknownFormat: A newer engine wrote its beginning or its end.
        """
        ...

    def executions(self, state_machine_arn: str, *, status: ExecutionStatus | None = None) -> Sequence[ExecutionRecord]:
        """The executions of a state machine, newest first, of one status or of all."""
        ...

    def endings(self, execution_ids: Collection[ExecutionId]) -> Mapping[ExecutionId, Ending | str | None]:
        """For whoever waits for many executions: what there is to tell of them, in one question.

        Returns:
            The ending of each that is over; the reason of each that is in quarantine; None for each that is nowhere.
            Those that run are left out.
        """
        ...

    def history(self, execution_arn: str) -> Sequence[Segment]:
        """All that was committed, oldest first.

        Raises:
            ExecutionDoesNotExist: No such one.
        """
        ...

    def snapshot(self, execution_arn: str) -> Snapshot | None:
        """Where an execution stands, or where it ended without success; None: it succeeded, or that is no longer kept.

        Raises:
            ExecutionDoesNotExist: No such one.
        """
        ...

    def reopen(self, execution_arn: str) -> ExecutionId:
        """Opens an execution that did not succeed, unowned and with RedriveRequested as mail; it counts as RUNNING.

        Raises:
            ExecutionDoesNotExist: No such one.
            ExecutionNotRedrivable: It is open, it succeeded, or its last snapshot is no longer kept.
        """
        ...

    def resume(self, execution_arn: str) -> ExecutionId:
        """Ends an execution's quarantine, if it is in one: from then on it can be claimed.

        Raises:
            ExecutionDoesNotExist: No such one, or it is over.
        """
        ...


class Store(Library, Protocol):
    """A whole backend."""

    @property
    def hints(self) -> Hints:
        """What its processes tell one another. What is done by a handle or by `Library` is told by itself."""
        ...

    def handle(self) -> DurableStore:
        """The access of one worker, or of a client; each has its own."""
        ...

    def gc(self, *, older_than: int | None = None, dry_run: bool = False) -> Garbage:
        """Deletes what nobody needs any more; workers may run meanwhile.

        Always: what callers and dead workers left behind. With `older_than` also executions that finished more than so
        many milliseconds ago. They may stay until the whole day (UTC) that they started in is as old. Open ones stay.

        Args:
            dry_run: Deletes nothing and tells what would go now.

        Raises:
            ValueError: `older_than` is less than a day.
        """
        ...

    def sweep(self, *, retention: int | None, proceed: Callable[[], bool]) -> Garbage:
        """As `gc`, for a fleet whose workers all call it now and then: what one has done the others leave alone.

        Args:
            proceed: Asked now and then; when it is false this ends early.
        """
        ...

    def backlog(self, pools: Collection[str]) -> Backlog:
        """What waits in these pools. Cheap enough to be asked twice a minute by every worker."""
        ...

    def close(self) -> None:
        """Closes connections; handles are of no use afterwards."""
        ...
