"""Express children of a chunk: executions in the memory of the worker that has the chunk. Nothing is written of them.

They run among the worker's other executions, with the same Tasks and timers; only their checkpoints are left out. What
became of each is mail for its chunk, whose checkpoints are what is durable of them (docs/decisions/0020). A chunk that
goes takes them along, and whoever has it next runs those again that had no result.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

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
    """Those of one worker."""

    def __init__(self, executions: Mailboxes, clock: Clock) -> None:
        self._executions = executions
        self._clock = clock

    def run(self, chunk: LiveExecution, command: RunChild) -> None:
        """Begins a child."""
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
        chunk = child.in_chunk
        assert chunk is not None
        if chunk.children.pop(child.execution_id, None) is None or child.ending is None or chunk.is_gone:
            return
        about = child.snapshot.execution
        self._executions.mail(chunk, end_of_child(about, child.ending, child.stopped_at, _NEVER))
