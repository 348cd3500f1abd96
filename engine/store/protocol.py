"""What the engine asks of a store, in the engine's verbs. Every promise is tested by the suites in `tests/store`.

A store has two faces. `DurableStore` is the hot path: executions while they run, and all that one worker does; each
worker has a handle of its own. `engine.store.library` has the rest: definitions, executions as they are shown, and the
store as a whole.

A store is synchronous. One thread of a worker process, the writer, calls `commit`, `renew` and `recover`; everything
else uses connections of its own and may be called from any thread. All times are the store's own clock, in milliseconds
since the epoch, so that workers whose clocks differ agree on what is due.

Ownership: an execution's owner is a worker incarnation, (worker_id, epoch), or nobody. Only the owner commits it;
everybody else sends mail. A fence in every write of a worker makes a write of a worker that was declared dead fail as a
whole.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NewType, Protocol, TypeAlias
from uuid import UUID

import msgspec

from engine.errors import StoreUnavailable as StoreUnavailable
from engine.interpreter.messages import Event, Ticket
from engine.interpreter.snapshot import Execution, Snapshot, Transition
from engine.jsonvalue import Json

ExecutionId = NewType("ExecutionId", UUID)
"""UUIDv7: leads every key, so that rows of one time stand together."""

RevisionId = NewType("RevisionId", UUID)
MailId = NewType("MailId", UUID)
WorkerId = NewType("WorkerId", UUID)

MachineType: TypeAlias = Literal["STANDARD", "EXPRESS"]
ExecutionStatus: TypeAlias = Literal["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]

DEFAULT_POOL = "default"

HANDLER_RETRY_MS = 10_000
"""After this an execution whose Resource has no handler is due again, for whoever comes, if nobody else wanted it."""

NEVER_DUE = (1 << 62) - 1
"""In place of a time: only mail wakes it."""

ALL_TASKS = (1 << 31) - 1
"""In place of the number of a ticket: all Tasks that an execution waits for."""


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class OwnershipLost(Exception):
    """This worker incarnation was declared dead, or its lease ended. Nothing was written: drop everything in memory."""


class Conflict(Exception):
    """Some checkpoints or releases of a group cannot be written because the world moved on; nothing of it was written.

    A task token was taken meanwhile, or the execution is not ours at this `seq`, or it is over.

    The runtime loads these executions again and folds their mail first; the others it hands in again.
    """

    def __init__(self, execution_ids: Collection[ExecutionId]) -> None:
        super().__init__(f"{len(execution_ids)} executions changed meanwhile")
        self.execution_ids = frozenset(execution_ids)


class Unwritable(Exception):
    """The store refuses the data of some executions (SQLSTATE classes 22, 23, 54); the others were written.

    Attributes:
        committed: The answer to the part that was written.
    """

    def __init__(self, execution_ids: Collection[ExecutionId], reason: str, committed: Committed) -> None:
        super().__init__(reason)
        self.execution_ids = frozenset(execution_ids)
        self.reason = reason
        self.committed = committed


# ── what is written ─────────────────────────────────────────────────────────────────────────────────────────────────


class Birth(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a new execution; they ride in the group of its first checkpoint, or go alone by `start_named`.

    One with a name of the caller's goes by `start_all` instead of the group.

    Attributes:
        revision_id: The definition it runs, for good.
        pool: Whose workers may run it.
        input_text: The input as it was given, when that was text: for the StartRequested of one that is started
            unowned.
        is_named: Its ARN is one that somebody else may have, or want.
    """

    execution: Execution
    revision_id: RevisionId
    pool: str = DEFAULT_POOL
    input_text: str | None = None
    is_named: bool = False

    @property
    def is_chunk(self) -> bool:
        """Whether it is a chunk of a map run."""
        return self.execution.role == "CHUNK"


class StatusChange(msgspec.Struct, frozen=True, kw_only=True):
    """That an execution is RUNNING, again, or over: to be told outside.

    Attributes:
        number: Unique in the execution: twice the redrives so far, and one more for an end.
        event: JSON text of what is told, an EventBridge event.
    """

    number: int
    event: bytes


class Mail(msgspec.Struct, frozen=True, kw_only=True):
    """An event on its way to an execution. The same id twice counts once, as long as the first is not consumed.

    Attributes:
        sent_at: The store's clock when it was delivered; 0 before that. Mail older than a deadline is folded before the
            TimerDue of that deadline.
    """

    id: MailId
    execution_id: ExecutionId
    event: Event
    sent_at: int = 0


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """What one execution has to write at a quiescent point; at most one for each execution and group.

    An ending closes the execution: its open row and mail go, its task tokens are closed; the last snapshot of one that
    did not succeed stays for a redrive.

    Attributes:
        seq: 1 for the first checkpoint of an execution, then one more each time, redrives included.
        snapshot: As it stands before `transition`. Read during `commit` only, never kept.
        birth: Set in the first checkpoint of an execution that has no row yet.
        mail: What was folded into this transition: gone when it is written. Ids that are gone already are no fault.
        tokens_opened: Task tokens that its commands mint, with the Task that each one ends.
        tokens_closed: Task tokens of Tasks that nobody waits for any more. One that is closed already is a Conflict.
        release: Set when the execution is given up with this checkpoint because all it does is wait: when it is due
            next, or NEVER_DUE. Its memory is free afterwards.
        lost_tasks: As `Claim.lost_tasks`, of an execution of which something is not over yet that may have been under
            way when its worker was lost: it stays an orphan and a suspect. None: it is neither any more.
        status_changes: Kept with it until somebody has told them: see `Store.take_status_changes`.
        born: Executions that begin with it: unowned and due at once, their first mail is StartRequested. Their ARNs end
            in their own ids.
        keeps_born: Whether this worker owns them from the beginning, and `reload` gives them.
        sent: Mail to other executions: delivered as by `DurableStore.deliver`, to those that are open, if and only if
            the checkpoint is written.
    """

    execution_id: ExecutionId
    seq: int
    snapshot: Snapshot
    transition: Transition
    birth: Birth | None = None
    mail: Sequence[MailId] = ()
    tokens_opened: Sequence[tuple[str, Ticket]] = ()
    tokens_closed: Sequence[str] = ()
    release: int | None = None
    lost_tasks: int | None = None
    status_changes: Sequence[StatusChange] = ()
    sent: Sequence[Mail] = ()
    born: Sequence[tuple[ExecutionId, Birth]] = ()
    keeps_born: bool = False


class Release(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that is given up without a checkpoint.

    It came to rest after its last one, or the worker drains. Written only when no mail has come;
    otherwise it stays owned and is answered in `Committed.kept`. One with a
    `quarantine` is written whatever has come.

    Attributes:
        seq: Of its last checkpoint. If the execution is not ours at this `seq`, or over, that is a Conflict.
        wake_at: When it is due next, or NEVER_DUE.
        missing: Resources that it waits for and that this worker has no handler for: shown by name until its next
            checkpoint or release.
        quarantine: Why it cannot go on, with the traceback: nobody claims it until `Library.resume`.
    """

    execution_id: ExecutionId
    seq: int
    wake_at: int
    missing: Sequence[str] = ()
    quarantine: str | None = None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """All that waits to be written by one worker: one statement, all or nothing."""

    checkpoints: Sequence[Checkpoint] = ()
    releases: Sequence[Release] = ()


class Committed(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a group.

    Attributes:
        now: The store's clock.
        kept: Releases that were not made because mail had come.
        left: Checkpoints that were too much for one group: nothing of them was written. They are handed in again.
    """

    now: int
    kept: Collection[ExecutionId] = ()
    left: Collection[ExecutionId] = ()


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """An execution that this worker now owns, as loaded.

    Attributes:
        seq: Of its last checkpoint; 0 when it has none yet, and then its mail begins with StartRequested.
        mail: Oldest first; read after the claim was made, else mail already consumed would come back.
        deaths: How many workers died while they owned it alone (see `DurableStore.declare_dead`).
        lost_tasks: Of an orphan, whose last owner was declared dead, resigned while it still owned it, or quarantined
            it: Tasks whose tickets have a number up to this may have run. ALL_TASKS until somebody has written a
            checkpoint.
        wake_at: When it was due; 0: nobody knows since when, NEVER_DUE: it was claimed for its mail.
    """

    execution_id: ExecutionId
    seq: int
    snapshot: Snapshot
    revision_id: RevisionId
    pool: str
    mail: Sequence[Mail]
    deaths: int = 0
    lost_tasks: int | None = None
    wake_at: int = 0

    @property
    def is_orphan(self) -> bool:
        """Whether some of its Tasks may have run."""
        return self.lost_tasks is not None


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a claim gave, and the store's clock."""

    now: int
    claimed: Sequence[Claim]


PARKED_COUNTED_MAX = 10_000
"""Parked executions that are counted one by one. More: the store may estimate."""


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What waits in the store for a worker or for a time.

    Attributes:
        parked: Executions that no worker has; those in quarantine do not count.
        overdue: Milliseconds since the one of them became due that is due longest; 0 when none is due.
    """

    parked: int
    overdue: int


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A Task of an activity, for whoever polls for it.

    Attributes:
        task_token: Of the Task; it is in a checkpoint that was written.
        input: What the worker is given.
        deadline: When the Task times out, or None: from then on nobody is given it.
    """

    task_token: str
    activity_arn: str
    input: Json
    deadline: int | None = None


class TakenTask(msgspec.Struct, frozen=True, kw_only=True):
    """What GetActivityTask gives, and whose Task it is."""

    execution_id: ExecutionId
    task_token: str
    input: Json


class DurableStore(Protocol):
    """One worker's access to the executions that run. A client, which owns nothing, uses the last part alone."""

    # ── the worker itself ───────────────────────────────────────────────────────────────────────────────────────────

    def enlist(self, *, pools: Collection[str], host: str, pid: int) -> WorkerId:
        """Makes the row of this worker, epoch 1, alive; must be the first call of a worker.

        After OwnershipLost it is called again and makes a new worker, which owns nothing.
        """
        ...

    def renew(self) -> int:
        """Says that this worker is alive; the store's clock.

        Raises:
            OwnershipLost: It was declared dead.
            StoreUnavailable: Try again; after two thirds of the lease without an answer, dispatch nothing more.
        """
        ...

    def resign(self) -> None:
        """Removes this worker's row: the clean end. What it still owns can be claimed from then on, as orphans."""
        ...

    def recover(self) -> int:
        """After StoreUnavailable in `commit` or `claim`: a new connection and a new epoch. The store's clock.

        The new epoch comes first: it waits for a statement still running and makes one still on its way fail. What this
        worker owns it still owns, now in the new epoch.

        Raises:
            OwnershipLost, StoreUnavailable: As `renew`.
        """
        ...

    def others(self) -> Mapping[WorkerId, tuple[int, int]]:
        """The other workers that count as alive: their (epoch, heartbeat), to be watched by an observer's own clock."""
        ...

    def presence(self) -> Mapping[WorkerId, tuple[int, int, bool]]:
        """As `others`, with whether each one's process is connected: it goes at once when the process ends.

        That of a worker that lives may be missing: its connection was lost, or the store cannot tell.
        """
        ...

    def declare_dead(self, worker_id: WorkerId, *, epoch: int, heartbeat: int) -> bool:
        """Takes a worker's rights, if its epoch and heartbeat are still these; whether it was done.

        What it owned can be claimed from then on. Its executions become suspects: claimed in shrinking batches, alone
        at last; until a checkpoint without `lost_tasks` clears them.
        """
        ...

    # ── executions ──────────────────────────────────────────────────────────────────────────────────────────────────

    def commit(self, group: Group) -> Committed:
        """Writes the whole group, but for what is answered as `left`, or nothing; fenced.

        Raises:
            OwnershipLost, StoreUnavailable, Conflict, Unwritable: See there.
        """
        ...

    def start_all(self, worker_id: WorkerId, checkpoints: Sequence[Checkpoint]) -> Collection[ExecutionId]:
        """Writes first checkpoints of executions with names of the callers', fenced, on a connection of its own.

        Those whose names are free are written, and this worker's from then on; they are given back. Of the others
        nothing is: `start_named` tells what is the matter with each.

        Args:
            worker_id: What `enlist` gave: by now this may be another worker.

        Raises:
            OwnershipLost: See there; also that this is another worker.
            StoreUnavailable: See there.
        """
        ...

    def written(self, execution_ids: Collection[ExecutionId]) -> Mapping[ExecutionId, int]:
        """The `seq` of the last checkpoint of each execution, over or not, whoever owns it.

        Those without a row are left out. After `recover` it tells what an unknown commit did. Fenced, else it could
        tell what somebody else did.
        """
        ...

    def claim(self, *, most: int, chunks: int | None = None, offered: bool = False) -> Claims:
        """Takes ownership of executions that are due or have mail and whose owner is nobody or not alive.

        Of this worker's pools, those that are due longest first, chunks before all others. Fenced like `commit`.

        Args:
            most: How many.
            chunks: How many of them may be chunks of map runs that are due; None: all. Those of workers that are not
                alive, and those that only have mail, are not counted.
            offered: Also executions that were released with `missing` and are due within HANDLER_RETRY_MS, unless this
                worker itself has released one that missed the same.

        Raises:
            OwnershipLost, StoreUnavailable: See there.
        """
        ...

    def claim_one(self, execution_id: ExecutionId) -> Claim | None:
        """As `claim`, for a hint about one execution; None when it is not claimable."""
        ...

    def owned(self) -> Collection[ExecutionId]:
        """All executions that this worker owns, told of or not. Fenced."""
        ...

    def reload(self, execution_ids: Collection[ExecutionId]) -> Claims:
        """Of these executions those that this worker owns, as they stand in the store, with all their mail. Fenced."""
        ...

    def fetch_mail(self, execution_ids: Collection[ExecutionId]) -> Sequence[Mail]:
        """Mail that has come for executions this worker owns, oldest first, whether it was fetched before or not."""
        ...

    def next_due(self) -> int | None:
        """When the next unowned execution of this worker's pools is due, chunks of map runs left out.

        None: none is waiting for a time.
        """
        ...

    # ── from outside ────────────────────────────────────────────────────────────────────────────────────────────────

    def now(self) -> int:
        """The store's clock."""
        ...

    def start_named(self, execution_id: ExecutionId, birth: Birth) -> tuple[ExecutionId, bool]:
        """Starts an execution unowned and due at once, on a connection of its own.

        Its first mail is StartRequested(birth.input_text). Names are unique as ARNs are: that of a Standard execution
        is its state machine's and its own name, that of an Express one has an id of its own.

        Returns:
            The execution that has the ARN, and whether this call started it. The same name and byte-identical input
            while it runs give the one that runs (execution.md 7); so does the same `execution_id`, whatever became of
            it.

        Raises:
            ExecutionAlreadyExists: The name is taken by a closed one or one with another input.
            StoreUnavailable: Make the call again with the same id: it cannot start twice.
        """
        ...

    def start_many(self, births: Sequence[tuple[ExecutionId, Birth]]) -> Collection[ExecutionId]:
        """As `start_named`, all at once; those that were started.

        The others are left to `start_named`, which tells what is the matter: a name is taken, or held by an open
        transaction, or something cannot be written. For the last two all may be left.

        Raises:
            StoreUnavailable: See there.
        """
        ...

    def deliver(self, mail: Sequence[Mail]) -> Collection[MailId]:
        """Sends mail to executions that are open; those ids that were taken, or are there already."""
        ...

    def take_token(self, task_token: str, event: Event) -> ExecutionId:
        """Ends the Task of a token: it is closed and mail comes, in one statement. The execution, for a hint.

        Args:
            event: TaskDone or TaskError; its task_id is filled in.

        Raises:
            InvalidToken, TaskTimedOut: As AWS does.
            StoreUnavailable: Made again, it may raise TaskTimedOut though it was this caller whose answer counted.
        """
        ...

    def heartbeat_token(self, task_token: str) -> None:
        """SendTaskHeartbeat. Raises as `take_token`."""
        ...

    def last_heartbeat(self, execution_id: ExecutionId, task_id: Ticket) -> int | None:
        """When the last SendTaskHeartbeat for a Task came; a heartbeat's TimerDue asks before it is believed."""
        ...

    # ── Tasks of activities ─────────────────────────────────────────────────────────────────────────────────────────

    def offer_tasks(self, offers: Sequence[Offer]) -> Collection[str]:
        """Offers Tasks to the workers of their activities; the ARNs of those activities that exist.

        A Task is offered once: one that was offered before, whether it was taken or not, stays as it is. One whose
        activity does not exist is not offered, and may be later. The offer ends with the task token.
        """
        ...

    def take_task(self, activity_arn: str, worker_name: str | None) -> TakenTask | None:
        """Takes the Task that is offered longest, in one statement with its mail, TaskStarted; None: there is none.

        Raises:
            ActivityDoesNotExist: No such activity.
            StoreUnavailable: A Task may have been taken and is lost to its time limit, as on AWS (api.md 5.5).
        """
        ...
