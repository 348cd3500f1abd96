"""Events and Commands: the whole contract between the interpreter and the world, on one page.

An Event is what the world tells an execution, a Command what the execution asks of the world. A command is carried out
only after the transition that holds it is durable. The answer to a ScheduleTask names its `task_id`, of a StartTimer
its `timer_id`; an answer that nobody waits for any more is dropped by `advance`, so answering late or twice does no
harm.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from engine.jsonvalue import Json

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


class TaskSubmitted(Value, frozen=True, tag=True):
    """The request of a `.sync` or `.waitForTaskToken` Task was accepted; its end is still to come."""

    task_id: Ticket
    output: Json


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

    `time`: when it was asked for, ms since the epoch: the execution's redriveDate; None: when it is taken.
    """

    time: int | None = None


Event: TypeAlias = (
    StartRequested
    | TaskStarted
    | TaskSubmitted
    | TaskDone
    | TaskError
    | TimerDue
    | Continue
    | StopRequested
    | RedriveRequested
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
        submitted: Its request was accepted before this worker had it, and its task token ends it: nothing is to be run.
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


class StartTimer(Value, frozen=True, tag=True):
    """Send TimerDue at `due` (ms since the epoch). With `heartbeat`, each heartbeat of that Task moves `due` on."""

    timer_id: Ticket
    due: int
    heartbeat: bool = False


class CancelTask(Value, frozen=True, tag=True):
    """Nobody waits for this Task any more: stop it if you can. No answer is wanted."""

    task_id: Ticket


class MailContinue(Value, frozen=True, tag=True):
    """Send Continue back: so much happened in one advance that others should have a turn first."""


Command: TypeAlias = ScheduleTask | StartTimer | CancelTask | MailContinue
