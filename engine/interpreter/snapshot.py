"""Where an execution stands: Frames and counters, enough to carry on after a crash; and its serialised form.

`advance` never touches a Snapshot: it copies each Frame it changes, and the Transition names them. `Snapshot.apply`
then moves the snapshot on, once the transition is durable.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Literal, TypeAlias
from uuid import UUID

import msgspec

from engine.interpreter.history import HistoryTuple, Segment
from engine.interpreter.messages import Command, Job, Tally, Ticket, Value
from engine.jsonvalue import Json

if TYPE_CHECKING:
    from collections.abc import Sequence

FORMAT = 1
"""Of the serialised snapshot. A reader refuses a number that it does not know."""

FrameKey: TypeAlias = tuple[int, int]
"""(fork, index); the root is (0, 0)."""

ROOT: FrameKey = (0, 0)

ITEMS = -1
PROGRESS = -2
"""The "indexes" of a fork's two side Frames."""

NOT_ENTERED = 0
NOT_SELECTED = -1
"""In place of the id of an Entered event: the state is not entered yet; nor has ItemSelector made its input."""


# ── What a Frame waits for ──────────────────────────────────────────────────────────────────────────────────────────


class OnTask(Value, frozen=True, tag=True):
    """A Task's answer.

    Attributes:
        arguments: What the Task was scheduled with; null when they are the Frame's input (`arguments_are_input`).
        deadline: Of TimeoutSeconds, in ms since the epoch.
        started: Whether an activity worker has taken it.
        submitted: Whether the request of a `.sync` or `.waitForTaskToken` Task was accepted.
        job: What the request has begun, where the Task waits for its end.
    """

    task_id: Ticket
    arguments: Json = None
    arguments_are_input: bool = False
    task_token: str | None = None
    deadline: int | None = None
    timeout_seconds: int | None = None
    heartbeat_seconds: int | None = None
    role_arn: str | None = None
    started: bool = True
    submitted: bool = False
    job: Job | None = None


class OnTimer(Value, frozen=True, tag=True):
    """A Wait state's timer."""

    timer_id: Ticket
    due: int


class OnRetry(Value, frozen=True, tag=True):
    """The delay before a retry."""

    timer_id: Ticket
    due: int


class OnBranches(Value, frozen=True, tag=True):
    """Branches or iterations. `fork` names this attempt, so that nothing late fits: branch i is the Frame (fork, i)."""

    fork: int
    total: int


class Items(Value, frozen=True, tag=True):
    """Not a wait: the items of a Map that runs fewer iterations at once than it has, in the side Frame (fork, -1)."""


class Progress(Value, frozen=True, tag=True):
    """Not a wait: how far a fork is, in the side Frame (fork, -2). What changes with every branch must be small.

    With the counters in the waiting Frame, each ending rewrote the Map's whole input: 4.6 KB for each of 3,000 items.
    `next` is the index of the next iteration to start; `open` counts those started and not Done.
    """

    next: int
    open: int


class OnMapRun(Value, frozen=True, tag=True):
    """The end of a map run.

    Attributes:
        run: Its execution's id.
        arn: Of the map run.
        attempt: How often it was redriven.
    """

    task_id: Ticket
    run: UUID
    arn: str
    attempt: int = 0


class MapRunning(Value, frozen=True, tag=True):
    """Not a wait of a state: how far a map run is, in its root Frame. It is small, and written for each chunk.

    Attributes:
        ticket: Of the parent's wait.
        max_concurrency: As it was given, or changed; 0: as many as there can be.
        tolerated_failure_count: The same; None: not given.
        tolerated_failure_percentage: The same.
        asked: Number of the question to reader or writer that is open; 0: none is.
        cursor: Where the reader is.
        is_read: There are no more items.
        items: How many were read.
        left: Items, as selected, of a batch that is not full yet.
        children: How many were made.
        child_items: The items in them.
        chunks: How many were made.
        open: Those that are not over.
        parallel: Children that the open ones may run at once, together.
        throttled: Whether some chunk has a smaller share than it was born with.
        over: Of chunks that are over.
        failures: Items that failed, in the open chunks, as far as they told.
        output_bytes: Of the chunks that are over.
        attempt: How often the map run was redriven.
        redriven_at: When last.
        again: Numbers of the chunks that are still to be redriven.
        stopping: How it will end once no chunk is open.
    """

    ticket: Ticket
    max_concurrency: int
    tolerated_failure_count: int | None
    tolerated_failure_percentage: float | None
    asked: int = 0
    cursor: Json = None
    is_read: bool = False
    items: int = 0
    left: tuple[Json, ...] = ()
    children: int = 0
    child_items: int = 0
    chunks: int = 0
    open: int = 0
    parallel: int = 0
    throttled: bool = False
    over: Tally = Tally()
    failures: int = 0
    output_bytes: int = 0
    attempt: int = 0
    redriven_at: int | None = None
    again: tuple[int, ...] = ()
    stopping: Stopping | None = None


class Stopping(Value, frozen=True):
    """How a map run that stops will end."""

    status: Literal["FAILED", "ABORTED"]
    error: str | None
    cause: str | None


class ChunkOpen(Value, frozen=True, tag=True):
    """A chunk of a map run, in a Frame of its own; `failures`: items that it has told of; `attempt`: its redrives."""

    chunk: UUID
    children: int
    items: int
    parallel: int
    born_parallel: int
    failures: int = 0
    attempt: int = 0


class ChunkOver(Value, frozen=True, tag=True):
    """One that has ended: what ChunkDone told. The outputs are the Frame's input."""

    chunk: UUID
    children: int
    items: int
    tally: Tally
    attempt: int = 0


class ChunkRunning(Value, frozen=True, tag=True):
    """Not a wait of a state: how far a chunk is, in its root Frame.

    Attributes:
        begun: How many of its children were begun, in their order, or in that of a redrive.
        parallel: How many may run at once.
        allowance: With more failed items than these it stops; None: however many there are.
        over: Those that are.
        done: A bit for each of them, by place: mail may come twice.
        batches: Frames with results.
        is_stopping: No more are begun.
        attempt: How often it was redriven.
        again: Places of the children that a redrive runs again; None: all are run, in order.
        kept: Children that a redrive left as they were.
        begun_items: The items in those that were begun, where it was not redriven.
    """

    begun: int
    parallel: int
    allowance: int | None
    over: Tally = Tally()
    done: int = 0
    batches: int = 0
    is_stopping: bool = False
    attempt: int = 0
    again: tuple[int, ...] | None = None
    kept: int = 0
    begun_items: int = 0


class OnContinue(Value, frozen=True, tag=True):
    """The Continue that this execution mailed to itself."""


class Done(Value, frozen=True, tag=True):
    """A branch that ended; it stays until its siblings have, so that one ending rewrites one Frame, not all results."""

    output: Json
    size: int


class Failed(Value, frozen=True, tag=True):
    """The Frame whose error ended the execution, or whose fork could not be joined; a redrive starts here.

    `map_run`: that failed, where the Frame waited for one that a redrive goes on with.
    """

    error: str | None
    cause: str | None
    map_run: OnMapRun | None = None


Waiting: TypeAlias = (
    OnTask
    | OnTimer
    | OnRetry
    | OnBranches
    | OnMapRun
    | Items
    | Progress
    | OnContinue
    | Done
    | Failed
    | MapRunning
    | ChunkOpen
    | ChunkOver
    | ChunkRunning
)


class Frame(msgspec.Struct, gc=False, array_like=True, omit_defaults=True):
    """One point of control: the root, a Parallel branch, a Map iteration.

    Mutable, but only `advance` changes one, and only a Frame that it made or copied in the same call.

    Attributes:
        parent: The Frame whose fork this one belongs to.
        state: The state it is in.
        input: That state's raw input.
        size: Upper bound of the input's JSON bytes.
        cursor: The event that the next one follows (previousEventId).
        entered: Id of the state's Entered event, or NOT_ENTERED, or NOT_SELECTED.
        followed: previousEventId of that event.
        entered_at: Its time, ms since the epoch.
        variables: Assigned in this scope; outer ones are read through `parent`.
        retries: Per Retrier of the state, how often it was used in this visit.
        item: (index, value) of a Map iteration: `$$.Map.Item`.
        variables_size: Upper bound of the variables' JSON bytes.
        waiting: None only while `advance` runs.
    """

    key: FrameKey
    parent: FrameKey | None
    state: str
    input: Json
    size: int
    cursor: int = 0
    entered: int = 0
    followed: int = 0
    entered_at: int = 0
    variables: dict[str, Json] = {}
    variables_size: int = 0
    retries: list[int] = []
    item: tuple[int, Json] | None = None
    waiting: Waiting | None = None


class Parent(Value, frozen=True):
    """The Task that started an execution.

    Attributes:
        execution_id: The parent's id in the store, in hexadecimal digits.
        task_id: The Task's ticket.
        wants: What the parent is to be told at the end: what DescribeExecution tells, with input and output as TEXT or
            as JSON values; None: nothing, it does not wait.
    """

    execution_id: str
    task_id: Ticket
    wants: Literal["TEXT", "JSON"] | None = None


class MapRole(Value, frozen=True):
    """What an execution is to a Distributed Map.

    Attributes:
        kind: The map run itself, a chunk of its items, or a child execution.
        state: The Map state's name.
        place: What the one that waits for its end knows it by: a child's place in its chunk, a chunk's number.
        map_run_arn: Of the map run.
        above: Id of the execution that waits for its end: a child's chunk, a chunk's map run, a map run's parent.
            Filled in by whoever writes it: the interpreter does not know ids in the store.
        items: Of a child: how many it has.
    """

    kind: Literal["RUN", "CHUNK", "CHILD"]
    state: str
    place: int
    map_run_arn: str
    above: UUID | None = None
    items: int = 1


class Execution(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What never changes while an execution runs: the source of `$$.Execution` and `$$.StateMachine`.

    Attributes:
        start_time: Milliseconds since the epoch.
        payload_bytes_max: 0 when the limit is off.
        history_events_max: 0 when the limit is off.
        sync: Started by StartSyncExecution, whose Context Object has no RedriveCount.
        trace_header: Of X-Ray, as it was given.
        input_text: The input as it was given, where it is not the text that we would write.
        parent: Set where a Task started it.
        test_case: Of a mock configuration: whose responses its Tasks get.
        map: Of what is a part of a Distributed Map. What is not a child of one is no execution for anybody outside.
        list_key: What lists find it by, in place of its state machine's ARN.
    """

    arn: str
    name: str
    type: Literal["STANDARD", "EXPRESS"]
    role_arn: str
    state_machine_arn: str
    state_machine_name: str
    input: Json
    input_bytes: int
    start_time: int
    payload_bytes_max: int
    history_events_max: int
    region: str
    sync: bool = False
    state_machine_version_arn: str | None = None
    state_machine_alias_arn: str | None = None
    trace_header: str | None = None
    input_text: str | None = None
    parent: Parent | None = None
    test_case: str | None = None
    map: MapRole | None = None
    list_key: str | None = None

    @property
    def role(self) -> Literal["RUN", "CHUNK", "CHILD"] | None:
        """See `MapRole`."""
        return None if self.map is None else self.map.kind

    @property
    def is_shown(self) -> bool:
        """Whether it is an execution for people too: not a map run, nor a chunk of one."""
        return self.map is None or self.map.kind == "CHILD"

    @property
    def is_redrivable(self) -> bool:
        """Whether it can be redriven when it did not succeed."""
        return self.type == "STANDARD" or not self.is_shown

    def has_room(self, last_event_id: int) -> bool:
        """Whether its history, that long, has room for a redrive: for ExecutionRedriven and one more."""
        return not self.history_events_max or last_event_id <= self.history_events_max - 2

    def keeps_frames(self, status: str) -> bool:
        """Whether its last Frames are kept when it ends so: it may be redriven.

        A map run may be that after its success, too: its parent may have been stopped before it was told.
        """
        return self.role == "RUN" or (status != "SUCCEEDED" and self.is_redrivable)

    @property
    def listed_by(self) -> str:
        """The ARN that lists find it by."""
        return self.state_machine_arn if self.list_key is None else self.list_key


class Ending(Value, frozen=True):
    """How an execution ended. `frame` and `state`: where an error that nobody caught came from."""

    status: Literal["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
    output: Json = None
    error: str | None = None
    cause: str | None = None
    state: str | None = None
    frame: FrameKey | None = None


class Redrives(Value, frozen=True):
    """How often the execution was redriven, and when last (ms since the epoch)."""

    count: int = 0
    time: int | None = None


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    """What one advance did; the store commits all of it or none of it.

    Attributes:
        changed: Frames as they now are; None for a Frame that is gone.
        counter: The snapshot's new counter.
        first_event_id: Id of the first event in `history`.
        now: Time of every event in it, ms since the epoch.
        redrives: The snapshot's new redrives.
        ending: Set when the execution is over.
        times: Of joined transitions, as `Segment.times`.
    """

    changed: dict[FrameKey, Frame | None]
    counter: int
    first_event_id: int
    now: int
    history: list[HistoryTuple]
    commands: list[Command]
    redrives: Redrives
    ending: Ending | None
    times: list[tuple[int, int]] = []

    def segment(self) -> Segment:
        """Its events, to be kept."""
        return Segment(self.first_event_id, self.now, self.history, self.times)


def joined(transitions: Sequence[Transition]) -> Transition:
    """Transitions that followed one another, as one. Its commands are those of the last."""
    first, last = transitions[0], transitions[-1]
    if first is last:
        return last
    changed: dict[FrameKey, Frame | None] = {}
    history: list[HistoryTuple] = []
    times: list[tuple[int, int]] = []
    for transition in transitions:
        changed |= transition.changed
        if transition.history:
            times.append((len(history), transition.now))
            history += transition.history
    return Transition(
        changed=changed,
        counter=last.counter,
        first_event_id=first.first_event_id,
        now=last.now,
        history=history,
        commands=last.commands,
        redrives=last.redrives,
        ending=last.ending,
        times=times,
    )


class Snapshot(msgspec.Struct, kw_only=True):
    """A whole execution at a quiescent point.

    An unsuccessful one keeps the Frames that failed or were cancelled, which is what a redrive starts from.
    """

    execution: Execution
    frames: dict[FrameKey, Frame] = {}
    counter: int = 0
    last_event_id: int = 0
    last_time: int = 0
    redrives: Redrives = Redrives()
    ending: Ending | None = None

    def apply(self, transition: Transition) -> None:
        """Moves this snapshot on, in place: O(Frames changed), where a new one would be O(Frames)."""
        for key, frame in transition.changed.items():
            if frame is None:
                self.frames.pop(key, None)
            else:
                self.frames[key] = frame
        self.counter = transition.counter
        self.last_event_id = transition.first_event_id + len(transition.history) - 1
        self.last_time = transition.now
        self.redrives = transition.redrives
        self.ending = transition.ending


copy_frame = copy.copy
"""A Frame to change; its values are shared."""

_encode = msgspec.json.Encoder().encode
_Serialised: TypeAlias = tuple[int, Execution, int, int, int, Redrives, Ending | None, list[Frame]]
_decoder = msgspec.json.Decoder(_Serialised)


class UnknownFormat(Exception):
    """A snapshot written by a newer engine than this one."""


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """The snapshot as bytes: JSON, not MessagePack, because data may hold integers beyond 64 bits."""
    s = snapshot
    head = (FORMAT, s.execution, s.counter, s.last_event_id, s.last_time, s.redrives, s.ending)
    return _encode((*head, list(s.frames.values())))


def decode_snapshot(data: bytes) -> Snapshot:
    """The snapshot that `encode_snapshot` wrote.

    Raises:
        UnknownFormat: Its format number is not one that this engine reads.
    """
    number = int(data[1 : data.index(b",")])
    if number != FORMAT:
        raise UnknownFormat(f"snapshot of format {number}; this engine reads {FORMAT}")
    _, execution, counter, last_event_id, last_time, redrives, ending, frames = _decoder.decode(data)
    return Snapshot(
        execution=execution,
        frames={frame.key: frame for frame in frames},
        counter=counter,
        last_event_id=last_event_id,
        last_time=last_time,
        redrives=redrives,
        ending=ending,
    )
