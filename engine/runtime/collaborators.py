"""Who carries out what live executions command, and who keeps them: what `Executions` asks of those around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from engine.interpreter.messages import ReadItems, ReopenChild, ScheduleTask, Ticket, WriteResults
    from engine.interpreter.snapshot import Transition
    from engine.runtime.live import LiveExecution
    from engine.runtime.open_task import OpenTask
    from engine.store.protocol import ExecutionId


class TaskStarter(Protocol):
    """What carries out the commands that concern Tasks."""

    def schedule(self, execution: LiveExecution, command: ScheduleTask) -> None:
        """Starts a Task; its answer comes as mail."""
        ...

    def start_held(self, execution: LiveExecution) -> None:
        """Starts those Tasks that could not be started when they were scheduled, if they can be now."""
        ...

    def cancel(self, task: OpenTask) -> None:
        """Nobody here waits for a Task any more: stops what does it here. Its job goes on, for whoever has it next."""
        ...

    def stop(self, task: OpenTask) -> None:
        """Nobody waits for a Task any more at all: stops it, as far as it can be stopped."""
        ...

    def poll(self, task: OpenTask) -> None:
        """It is time to ask about a Task's job."""
        ...

    def forget(self, task: OpenTask) -> None:
        """The execution does not wait for this Task any more, or is not here."""
        ...

    def mailed(self, execution_ids: Iterable[ExecutionId]) -> None:
        """Mail for these executions is in the store."""
        ...


class Reopener(Protocol):
    """Who redrives what an execution began."""

    def reopen(self, execution: LiveExecution, command: ReopenChild) -> None:
        """Does it; only a failure comes as mail."""
        ...


class MapData(Protocol):
    """Who reads the items of map runs, and writes their results."""

    def ask(self, execution: LiveExecution, command: ReadItems | WriteResults) -> None:
        """Does it; the answer comes as mail."""
        ...

    def forget(self, execution: LiveExecution) -> None:
        """A map run is over, or is not here any more."""
        ...


class Keeper(Protocol):
    """Who knows how an execution came here, and gives it back."""

    def rest(self, execution: LiveExecution, transition: Transition, over: Collection[Ticket]) -> int | None:
        """Whether the execution, once this is written, only waits: until when, to be released with the checkpoint.

        Args:
            over: Tasks that were answered in the transition.
        """
        ...

    def still_lost(self, execution: LiveExecution, transition: Transition, over: Collection[Ticket]) -> int | None:
        """Its `lost_tasks` once this is written; `over` as above."""
        ...

    def idle(self, execution: LiveExecution) -> None:
        """It has nothing to fold."""
        ...

    def released(self, execution: LiveExecution) -> None:
        """It was given up with its checkpoint."""
        ...

    def reconcile(self, execution: LiveExecution) -> None:
        """Its checkpoint could not be written because the world moved on; the event is back in the mailbox."""
        ...

    def heartbeat_due(self, execution: LiveExecution, task: OpenTask) -> None:
        """The time of a heartbeat of a task token has come; the store knows whether it did."""
        ...

    def quarantine(self, execution: LiveExecution) -> None:
        """It cannot go on: to be left as it is, with the reason for people to see."""
        ...
