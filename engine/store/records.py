"""What a store knows of a thing and shows: state machines, versions, aliases, activities, executions.

All times are milliseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Literal, TypeAlias, TypedDict

import msgspec

from engine.store.protocol import DEFAULT_POOL, ExecutionId

if TYPE_CHECKING:
    from engine.interpreter.snapshot import Ending, Execution, Redrives
    from engine.jsonvalue import Json
    from engine.store.protocol import ExecutionStatus, MachineType, RevisionId

MachineStatus: TypeAlias = Literal["ACTIVE", "DELETING"]

LOGGING_OFF: Mapping[str, Json] = {"level": "OFF", "includeExecutionData": False}
TRACING_OFF: Mapping[str, Json] = {"enabled": False}
AWS_OWNED_KEY: Mapping[str, Json] = {"type": "AWS_OWNED_KEY"}
"""What AWS shows of a state machine for which nothing else was asked (api.md 5.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StateMachineRecord:
    """A state machine with its current revision, or with an earlier one.

    Attributes:
        definition: Its text.
        creation_date: Of the state machine.
        revision_id: Of everything below `pool`, `type` and the definition; it never changes what it stands for.
        pool: Where its executions run unless their start says otherwise; no part of the revision.
        status: DELETING until the last of its executions has ended; nothing can be started then.
        role_arn: None: nobody gave one.
        logging: AWS's loggingConfiguration, tracingConfiguration and encryptionConfiguration, nothing left out.
        tracing: See `logging`.
        encryption: See `logging`.
        is_initial: The revision is the one it was created with: AWS shows no id of it (api.md 5.1).
        revision_date: When the revision was made; a store fills it in.
    """

    arn: str
    name: str
    type: MachineType
    definition: str
    creation_date: int
    revision_id: RevisionId
    pool: str = DEFAULT_POOL
    status: MachineStatus = "ACTIVE"
    role_arn: str | None = None
    logging: Mapping[str, Json] = field(default_factory=lambda: LOGGING_OFF)
    tracing: Mapping[str, Json] = field(default_factory=lambda: TRACING_OFF)
    encryption: Mapping[str, Json] = field(default_factory=lambda: AWS_OWNED_KEY)
    is_initial: bool = True
    revision_date: int = 0

    @property
    def revision_name(self) -> str:
        """What PublishStateMachineVersion calls the revision."""
        return INITIAL if self.is_initial else str(self.revision_id)


INITIAL = "INITIAL"


class Changes(TypedDict, total=False):
    """What makes a new revision, as the attributes of a record. What is not there stays as it is."""

    definition: str
    role_arn: str
    logging: Mapping[str, Json]
    tracing: Mapping[str, Json]
    encryption: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A version that is published with the creation of a state machine. It is the first, version 1."""

    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRecord:
    """A version of a state machine: a number, from 1, that stands for one revision."""

    number: int
    revision_id: RevisionId
    description: str | None
    creation_date: int


Routing: TypeAlias = tuple[tuple[int, int], ...]
"""(number of a version, its share of the starts in percent) for each route."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasRecord:
    """A name for one or two versions of a state machine."""

    name: str
    routing: Routing
    description: str | None
    creation_date: int
    update_date: int


def drawn(routing: Routing, draw: float) -> int:
    """The number of the version that a start runs, by the weights; `draw`: uniform in [0, 1)."""
    left = draw * sum(weight for _, weight in routing)
    for number, weight in routing:
        left -= weight
        if left < 0:
            return number
    return max(routing, key=itemgetter(1))[0]  # a rounded sum


def same_alias(known: AliasRecord, given: AliasRecord) -> bool:
    """Whether two creations of an alias ask for the same; the order of the routes does not count."""
    pairs = ((alias.description, dict(alias.routing)) for alias in (known, given))
    return next(pairs) == next(pairs)


def same_creation(known: StateMachineRecord, given: StateMachineRecord) -> bool:
    """Whether two creations ask for the same; the role does not count (api.md 5.1)."""
    pairs = ((record.type, record.definition, record.logging, record.tracing, record.encryption)
             for record in (known, given))  # fmt: skip
    return next(pairs) == next(pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityRecord:
    """An activity. `creation_date`: milliseconds since the epoch; `encryption`: as that of a state machine."""

    arn: str
    name: str
    creation_date: int
    encryption: Mapping[str, Json] = field(default_factory=lambda: AWS_OWNED_KEY)


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

    @property
    def last_change(self) -> int:
        """Where ListExecutions puts it (api.md 3): at its end; while it runs, at its start or last redrive."""
        if self.stop_date is not None:
            return self.stop_date
        return self.execution.start_time if self.redrives.time is None else self.redrives.time


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


class TakenChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of status, taken to be told.

    Attributes:
        attempts: How often it was taken, this time included.
    """

    execution_id: ExecutionId
    number: int
    attempts: int
    event: bytes
