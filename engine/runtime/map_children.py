"""Express children of a chunk: executions in the memory of the worker that has the chunk. Nothing is written of them.

They run among the worker's other executions, with the same Tasks and timers; only their checkpoints are left out. What
became of each is mail for its chunk, whose checkpoints are what is durable of them (docs/decisions/0020). A chunk that
goes takes them along, and whoever has it next runs those again that had no result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from msgspec.structs import replace

from engine.interpreter.map_chunks import end_of_child
from engine.interpreter.messages import StartRequested
from engine.interpreter.snapshot import Redrives, Snapshot
from engine.runtime.live import LiveExecution
from engine.store.protocol import ExecutionId

if TYPE_CHECKING:
    from engine.interpreter.messages import Event, RunChild
    from engine.runtime.clock import Clock

_NEVER = Redrives()


class Mailboxes(Protocol):
    """What `MapChildren` wants of `Executions`."""

    def mail(self, execution: LiveExecution, event: Event) -> None:
        """Puts an event of this process into the execution's mailbox."""
        ...

    def drop(self, execution: LiveExecution) -> None:
        """Lets go of an execution."""
        ...


class MapChildren:
    """Those of one worker, and what its chunks hold.

    Attributes:
        bytes: Of the inputs of all children of the chunks in hand, as JSON.
        chunks: Those of Express children that are in hand.
    """

    def __init__(self, executions: Mailboxes, clock: Clock) -> None:
        self.bytes = 0
        self.chunks: set[ExecutionId] = set()
        self._executions = executions
        self._clock = clock
        self._running = 0
        self._resting: set[ExecutionId] = set()
        self._expected: dict[ExecutionId, int] = {}

    @property
    def at_work(self) -> int:
        """Children that have something to do, and those that chunks will begin which have only just come."""
        return self._running - len(self._resting) + sum(self._expected.values())

    def hold(self, chunk: LiveExecution) -> None:
        """A chunk has come to hand."""
        about = chunk.snapshot.execution
        self.bytes += about.input_bytes
        if about.type == "EXPRESS":
            given: Any = about.input
            self.chunks.add(chunk.execution_id)
            self._expected[chunk.execution_id] = given["parallel"]

    def let_go(self, chunk: LiveExecution) -> None:
        """A chunk is over, or somebody else's."""
        self.bytes -= chunk.snapshot.execution.input_bytes
        self.chunks.discard(chunk.execution_id)
        self._expected.pop(chunk.execution_id, None)
        self.stop(chunk)

    def rest(self, execution: LiveExecution) -> None:
        """A child, or a chunk, has nothing to do for now."""
        if execution.in_chunk is None:
            self._expected.pop(execution.execution_id, None)
        else:
            self._resting.add(execution.execution_id)

    def stir(self, child: LiveExecution) -> None:
        """A child has something to do."""
        self._resting.discard(child.execution_id)

    def run(self, chunk: LiveExecution, command: RunChild) -> None:
        """Begins a child."""
        self._expected.pop(chunk.execution_id, None)
        self._running += 1
        # One that is begun again has all its time again.
        about = replace(command.execution, start_time=self._clock.now())
        child = LiveExecution(ExecutionId(command.execution_id), chunk.plan, Snapshot(execution=about), in_chunk=chunk)
        child.revision_id, child.pool = chunk.revision_id, chunk.pool
        chunk.children[child.execution_id] = child
        self._executions.mail(child, StartRequested())

    def stop(self, chunk: LiveExecution) -> None:
        """Forgets all children of a chunk."""
        children = list(chunk.children.values())
        chunk.children.clear()
        for child in children:
            self._executions.drop(child)

    def left(self, child: LiveExecution) -> None:
        """A child is over, or was dropped."""
        self._running -= 1
        self._resting.discard(child.execution_id)
        chunk = child.in_chunk
        assert chunk is not None
        if chunk.children.pop(child.execution_id, None) is None or child.ending is None or chunk.is_gone:
            return
        about = child.snapshot.execution
        self._executions.mail(chunk, end_of_child(about, child.ending, child.stopped_at, _NEVER))
