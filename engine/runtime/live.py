"""An execution in memory, and what is known of it there. What becomes of it is decided in `executions`."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

from engine.store.protocol import DEFAULT_POOL

if TYPE_CHECKING:
    from collections.abc import Callable

    import anyio

    from engine.interpreter.messages import Event, Ticket
    from engine.interpreter.plan import Plan
    from engine.interpreter.snapshot import Ending, Snapshot
    from engine.jsonvalue import Json
    from engine.runtime.open_task import OpenTask
    from engine.runtime.timers import Key, Timer
    from engine.runtime.unwritten import Unwritten
    from engine.runtime.writer import Fate
    from engine.store.protocol import Birth, Claim, ExecutionId, Mail, MailId, RevisionId

Post: TypeAlias = "Event | Mail"
"""What a mailbox holds: mail of the store, which a checkpoint consumes, or an event of this process."""


class LiveExecution:
    """An execution in memory. One that has ended stays as long as somebody holds it, to tell how.

    Attributes:
        snapshot: Where it stands; of one that ended only what it never changes.
        seq: Of its last checkpoint that is written.
        birth: Set until its first checkpoint is written, when it is born with that.
        is_busy: It is ready, or a checkpoint or release of it is being written: mail waits.
        is_writing: A checkpoint of it is being written.
        is_releasing: It is being given up, with a checkpoint or without.
        conflicts: Times that the checkpoint which is wanted now was refused.
        lost_tasks: As `Claim.lost_tasks`, of an orphan; 0 when none of its Tasks may have run.
        in_hand: Mail of the store that is in the mailbox or being folded.
        consumed: Mail of the store that was consumed since mail was last asked for: the answer may bring it again.
        pool: Whose workers may run it.
        revision_id: What it runs; None when nothing of that is at hand, and then it does not run here.
        reclaimed: A claim of this very execution that came before its release was answered.
        ending: Set once it is over.
        stopped_at: When that was, ms since the epoch.
        failed_input: The input of the state whose error ended it.
        fault: Why it cannot go on or was stopped, where the definition is not to blame.
        quarantine: Set when it is to be left as it is: why.
        is_gone: It is not this worker's any more; whatever is still answered is of no interest.
        tasks: Tasks that it waits for.
        timers: Timers that are set.
        ended: Set when `ending` or `fault` is; made when somebody waits for it.
        on_birth: Called once with what became of its first checkpoint.
        in_chunk: Of an Express child of a map run: the chunk in whose worker's memory it runs.
        children: Of such a chunk: those that run, by id.
        asking: Of a map run: questions to its reader or writer that are not answered. It waits for them in memory.
        reopening: How many executions it waits for to be open again.
        is_emptied: Of such a chunk: its children were stopped, because it is to be given up.
        missing: Of such a chunk: Resources that its children want and this worker has no handler for.
        unwritten: Of an Express execution: what it did since its last checkpoint.
    """

    __slots__ = (
        "__weakref__", "asking", "birth", "children", "conflicts", "consumed", "ended", "ending", "execution_id",
        "failed_input", "fault", "in_chunk", "in_hand", "is_busy", "is_emptied", "is_gone", "is_releasing",
        "is_writing", "lost_tasks", "mailbox", "missing", "on_birth", "plan", "pool", "quarantine",
        "reclaimed", "reopening", "revision_id", "seq", "snapshot", "stopped_at", "tasks", "timers",
        "unwritten", "waiters",
    )  # fmt: skip

    def __init__(
        self,
        execution_id: ExecutionId,
        plan: Plan | None,
        snapshot: Snapshot,
        seq: int = 0,
        birth: Birth | None = None,
        in_chunk: LiveExecution | None = None,
    ) -> None:
        self.execution_id = execution_id
        self.plan = plan
        self.snapshot = snapshot
        self.seq = seq
        self.birth = birth
        self.mailbox: deque[Post] = deque()
        self.is_busy = False
        self.is_writing = False
        self.is_releasing = False
        self.conflicts = 0
        self.lost_tasks: int | None = None
        self.in_hand: set[MailId] = set()
        self.consumed: set[MailId] = set()
        self.reclaimed: Claim | None = None
        self.pool = DEFAULT_POOL if birth is None else birth.pool
        self.revision_id: RevisionId | None = None if birth is None else birth.revision_id
        self.tasks: dict[Ticket, OpenTask] = {}
        self.timers: dict[Key, Timer[LiveExecution]] = {}
        self.ending: Ending | None = snapshot.ending
        self.stopped_at = snapshot.last_time
        self.failed_input: Json = None
        self.fault: BaseException | None = None
        self.quarantine: str | None = None
        self.is_gone = False
        self.ended: anyio.Event | None = None
        self.on_birth: Callable[[Fate, str], None] | None = None
        self.unwritten: Unwritten | None = None
        self.waiters = 0
        self.in_chunk = in_chunk
        self.children: dict[ExecutionId, LiveExecution] = {}
        self.missing: list[str] = []
        self.is_emptied = False
        self.asking = 0
        self.reopening = 0

    @property
    def arn(self) -> str:
        """Its ARN."""
        return self.snapshot.execution.arn

    @property
    def name(self) -> str:
        """Its name."""
        return self.snapshot.execution.name

    @property
    def is_over(self) -> bool:
        """Whether it has ended, or cannot go on."""
        return self.ending is not None or self.fault is not None


def waiting_event(execution: LiveExecution, make: Callable[[], Any]) -> Any:
    """The event that is set when the execution is over; made by the first who waits."""
    if execution.ended is None:
        execution.ended = make()
    return execution.ended
