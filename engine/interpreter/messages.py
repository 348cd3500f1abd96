"""Events and Commands: the whole contract between the interpreter and the world, on one page.

An Event is what the world tells an execution, a Command what the execution asks of the world. A command is carried out
only after the transition that holds it is durable. The answer to a ScheduleTask names its `task_id`, of a StartTimer
its `timer_id`; an answer that nobody waits for any more is dropped by `advance`, so answering late or twice does no
harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias
from uuid import UUID

import msgspec

from engine.jsonvalue import Json

if TYPE_CHECKING:
    from engine.interpreter.snapshot import Execution  # noqa: TC004  commands are never decoded

Ticket: TypeAlias = tuple[int, int, int]
"""(fork, index, number): the Frame that waits, and a number that no other wait of this execution has."""

NO_TICKET: Ticket = (0, 0, 0)
"""In the answer of somebody who knows a Task by its token alone; the store fills in whose it is."""

EXECUTION_TIMER = -1
"""In place of a fork: the timer of the state machine's own TimeoutSeconds. Its index counts the redrives."""


class Value(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Base of the small immutable things made for every state: 60-90 ns (a frozen slots dataclass: ten times that)."""


# ── Events ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class StartRequested(Value, frozen=True, tag=True):
    """The first event of every execution.

    `input_text`: the input as it was given, when that was text: history shows it spaces and all (recorded).
    """

    input_text: str | None = None


class TaskStarted(Value, frozen=True, tag=True):
    """An activity worker took the task."""

    task_id: Ticket
    worker_name: str | None


class Job(Value, frozen=True):
    """What a `.sync` Task waits for.

    Attributes:
        id: What its handler knows it by; small.
        since: When it was submitted, ms since the epoch.
        child: Where it is an execution of the same store that tells of its end itself: its id, in hexadecimal digits.
    """

    id: Json
    since: int
    child: str | None = None


class TaskSubmitted(Value, frozen=True, tag=True):
    """The request of a `.sync` or `.waitForTaskToken` Task was accepted; its end is still to come.

    `job`: set where the request has begun something that goes on whoever waits for it.
    """

    task_id: Ticket
    output: Json
    job: Job | None = None


class TaskDone(Value, frozen=True, tag=True):
    """A Task succeeded. `output_bytes`: the length of its JSON text."""

    task_id: Ticket
    output: Json
    output_bytes: int


class TaskError(Value, frozen=True, tag=True):
    """A Task failed. `error` and `cause` are None where SendTaskFailure gave none.

    `phase`: where it failed: `START` and `SUBMIT` when the request could not be sent or was refused.
    """

    task_id: Ticket
    error: str | None
    cause: str | None
    phase: Literal["RUN", "START", "SUBMIT"] = "RUN"


class ChildDone(Value, frozen=True, tag=True):
    """The execution that a `.sync` Task started and waits for is over; it tells so itself."""

    answer: TaskDone | TaskError


class TimerDue(Value, frozen=True, tag=True):
    """The time of a StartTimer has come. Of a Task's two timers, `heartbeat` tells which."""

    timer_id: Ticket
    heartbeat: bool = False


class Continue(Value, frozen=True, tag=True):
    """The execution's own mail: it had paused itself (see `MailContinue`)."""


class StopRequested(Value, frozen=True, tag=True):
    """StopExecution."""

    error: str | None
    cause: str | None


class RedriveRequested(Value, frozen=True, tag=True):
    """RedriveExecution; only an execution that ended FAILED, TIMED_OUT or ABORTED takes it.

    Attributes:
        time: When it was asked for, ms since the epoch: the execution's redriveDate; None: when it is taken.
        redrives: Of a map run: which redrive of its parent's this is. The parent may have been redriven more often.
    """

    time: int | None = None
    redrives: int | None = None


ChildStatus: TypeAlias = Literal["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]

CHILD_STATUSES: tuple[ChildStatus, ...] = ("SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED")


class Counts(Value, frozen=True):
    """How many children, or items, came to which end."""

    succeeded: int = 0
    failed: int = 0
    timed_out: int = 0
    aborted: int = 0

    def plus(self, status: ChildStatus, number: int) -> Counts:
        """With so many more of a status."""
        place = CHILD_STATUSES.index(status)
        return Counts(*[count + number * (place == at) for at, count in enumerate(self.each)])

    def together(self, other: Counts, sign: int = 1) -> Counts:
        """The sum, or the difference."""
        return Counts(*[one + sign * two for one, two in zip(self.each, other.each, strict=True)])

    @property
    def each(self) -> tuple[int, int, int, int]:
        """In the order of CHILD_STATUSES."""
        return self.succeeded, self.failed, self.timed_out, self.aborted

    @property
    def over(self) -> int:
        """All of them."""
        return sum(self.each)

    @property
    def failures(self) -> int:
        """Those that count against the tolerated failures (asl.md 17.2)."""
        return self.failed + self.timed_out


class Tally(Value, frozen=True):
    """Of a map run or a chunk: the children that are over, and the items in them.

    Attributes:
        final: Among the children, and among the items, those that did not succeed and that no redrive can run again.
    """

    executions: Counts = Counts()
    items: Counts = Counts()
    final: tuple[int, int] = (0, 0)

    def plus(self, status: ChildStatus, items: int, *, is_final: bool = False) -> Tally:
        """With one more child, of so many items."""
        executions, final_items = self.final
        final = (executions + 1, final_items + items) if is_final else self.final
        return Tally(self.executions.plus(status, 1), self.items.plus(status, items), final)

    @property
    def successes(self) -> Tally:
        """What a redrive leaves as it is."""
        return Tally(Counts(self.executions.succeeded), Counts(self.items.succeeded))

    @property
    def others(self) -> Tally:
        """What a redrive runs again."""
        return self.together(self.successes, -1)

    def together(self, other: Tally, sign: int = 1) -> Tally:
        """The sum, or the difference."""
        return Tally(
            self.executions.together(other.executions, sign),
            self.items.together(other.items, sign),
            (self.final[0] + sign * other.final[0], self.final[1] + sign * other.final[1]),
        )


class ItemsRead(Value, frozen=True, tag=True):
    """The answer to ReadItems.

    Attributes:
        keys: Of the members of an object.
        cursor: None: there are no more items.
        files: The keys of the objects that the items are in, one for each; None: they are in the one that is read.
    """

    number: int
    items: list[Json]
    keys: list[str] | None
    cursor: Json
    files: list[str] | None = None


class ResultsWritten(Value, frozen=True, tag=True):
    """The answer to WriteResults: what the Map state's result is."""

    number: int
    output: Json


class MapDataFailed(Value, frozen=True, tag=True):
    """The items of a map run cannot be read, or its results not be written."""

    number: int
    error: str
    cause: str


class ChildEnded(Value, frozen=True, tag=True):
    """A child execution of a chunk is over.

    Attributes:
        place: Of the child in its chunk.
        start_date: Milliseconds since the epoch, as `stop_date`.
        redrives: How often the child was redriven.
        is_final: It did not succeed, and no redrive can run it again.
    """

    place: int
    status: ChildStatus
    output: Json
    output_bytes: int
    error: str | None
    cause: str | None
    start_date: int
    stop_date: int
    redrives: int = 0
    is_final: bool = False


class ChunkFailing(Value, frozen=True, tag=True):
    """So many items of an open chunk have failed so far."""

    chunk: int
    attempt: int
    failures: int


class ChunkDone(Value, frozen=True, tag=True):
    """A chunk is over.

    Attributes:
        chunk: Its number in the map run.
        attempt: How often it was redriven.
        tally: What became of its children; those that are missing in it were never begun.
        outputs: Of the children that succeeded, in their order; None: they are not wanted, or too large.
        output_bytes: Of these outputs as JSON, whether they are there or not.
    """

    chunk: int
    attempt: int
    tally: Tally
    outputs: list[Json] | None
    output_bytes: int


class ShareChanged(Value, frozen=True, tag=True):
    """So many children of a chunk may run at once from now on."""

    parallel: int


class MapRunUpdated(Value, frozen=True, tag=True):
    """UpdateMapRun: what is None stays as it is."""

    max_concurrency: int | None
    tolerated_failure_count: int | None
    tolerated_failure_percentage: float | None


class MapRunDone(Value, frozen=True, tag=True):
    """A map run is over: `error` None: it succeeded. `output_bytes`: the length of the output's JSON text.

    `attempt`: how often it was redriven.
    """

    task_id: Ticket
    output: Json
    output_bytes: int
    error: str | None = None
    cause: str | None = None
    attempt: int = 0


class NotReopened(Value, frozen=True, tag=True):
    """The answer to ReopenChild where that cannot be: the execution has succeeded after all, or is no longer kept."""

    execution_id: UUID
    reason: str


class Reopened(Value, frozen=True, tag=True):
    """The answer to ReopenChild where that is done: from now on the execution takes mail."""

    execution_id: UUID


Event: TypeAlias = (
    StartRequested
    | TaskStarted
    | TaskSubmitted
    | TaskDone
    | TaskError
    | ChildDone
    | TimerDue
    | Continue
    | StopRequested
    | RedriveRequested
    | ItemsRead
    | ResultsWritten
    | MapDataFailed
    | ChildEnded
    | ChunkFailing
    | ChunkDone
    | ShareChanged
    | MapRunUpdated
    | MapRunDone
    | NotReopened
    | Reopened
)

# ── Commands ────────────────────────────────────────────────────────────────────────────────────────────────────────


class ScheduleTask(Value, frozen=True, tag=True):
    """Run a Task once.

    Attributes:
        task_id: Names this attempt; the answer carries it.
        state: The Task state's name.
        resource: Its Resource ARN, as written.
        arguments: What the integration gets: the evaluated Parameters or Arguments.
        attempt: 0 first, then 1, 2, ... with each retry: `$$.State.RetryCount`.
        entered: Id of the TaskStateEntered event; with the execution's ARN, `attempt`
            and `redrive` it is the idempotency key.
        task_token: The token that ends the Task, where the integration pattern has one.
        deadline: When TimeoutSeconds ends, in ms since the epoch; a StartTimer for it goes with this command.
        heartbeat_seconds: How long the Task may go without a heartbeat.
        role_arn: The role of `Credentials`.
        redrive: How often the execution was redriven before; it belongs to the idempotency key as well.
        submitted: Its request was accepted before this worker had it, and its task token or its job ends it: nothing
            is to be run.
        job: What it waits for, where there is such a thing: set only with `submitted`.
    """

    task_id: Ticket
    state: str
    resource: str
    arguments: Json
    attempt: int
    entered: int
    task_token: str | None = None
    deadline: int | None = None
    heartbeat_seconds: int | None = None
    role_arn: str | None = None
    redrive: int = 0
    submitted: bool = False
    job: Job | None = None


class StartTimer(Value, frozen=True, tag=True):
    """Send TimerDue at `due` (ms since the epoch). With `heartbeat`, each heartbeat of that Task moves `due` on."""

    timer_id: Ticket
    due: int
    heartbeat: bool = False


class CancelTask(Value, frozen=True, tag=True):
    """Nobody waits for this Task any more: stop it if you can. No answer is wanted."""

    task_id: Ticket


class StartChild(Value, frozen=True):
    """Begin an execution, which is written together with the transition that asks for it; anybody may have it."""

    execution_id: UUID
    execution: Execution


class RunChild(Value, frozen=True):
    """Run an execution in the memory of this worker; ChildEnded tells how it ended. Nothing of it is written."""

    place: int
    execution_id: UUID
    execution: Execution


class StopChildren(Value, frozen=True):
    """Forget all executions that RunChild began."""


class ReopenChild(Value, frozen=True):
    """Redrive an execution, once it is over, unless it was redriven so often already.

    Reopened or NotReopened answers.
    """

    execution_id: UUID
    arn: str
    redrives: int


class SendEvent(Value, frozen=True):
    """Mail an event to another execution, which is written together with the transition; it may be over by then."""

    execution_id: UUID
    event: Event


class ReadItems(Value, frozen=True):
    """Read the next items of a reader; ItemsRead or MapDataFailed with this number answers.

    Attributes:
        reader: The ItemReader, evaluated (see `engine.map_data.reading`).
        cursor: From where.
        items_max: How many at most.
        bytes_max: Of their JSON, about.
    """

    number: int
    reader: dict[str, Json]
    cursor: Json
    items_max: int
    bytes_max: int


class WriteResults(Value, frozen=True):
    """Write what became of the children of these chunks, in this order; ResultsWritten or MapDataFailed answers."""

    number: int
    writer: dict[str, Json]
    chunks: list[UUID]


class MailContinue(Value, frozen=True, tag=True):
    """Send Continue back: so much happened in one advance that others should have a turn first."""


Command: TypeAlias = (
    ScheduleTask
    | StartTimer
    | CancelTask
    | MailContinue
    | StartChild
    | RunChild
    | StopChildren
    | ReopenChild
    | SendEvent
    | ReadItems
    | WriteResults
)
