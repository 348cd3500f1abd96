"""Synchronous Express executions beside a worker's own: they run in this process alone, and nothing is written of them.

They run at most once, so neither a lease nor a database that is away has any say in them: nobody else has them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import anyio

from engine.interpreter.messages import StartRequested
from engine.interpreter.snapshot import Snapshot
from engine.runtime.live import LiveExecution, waiting_event

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.interpreter.plan import Plan
    from engine.runtime.committer import Committer
    from engine.runtime.worker import Worker
    from engine.runtime.writer import FateAnswer
    from engine.store.protocol import Birth, Checkpoint, ExecutionId, Release


class WriteNothing:
    """The `Committer` of executions that are in memory alone."""

    pending = 0

    def submit(self, written: Checkpoint | Release, answer: FateAnswer) -> None:
        """See `Committer`."""
        answer("WRITTEN", "")


class MakeWorker(Protocol):
    """Makes a `Worker` with all that two of one process have in common."""

    def __call__(
        self,
        *,
        committer: Committer,
        on_leaving: Callable[[LiveExecution], None],
        may_start: Callable[[], bool],
        tick: Callable[[], float] | None,
        is_alone: bool,
    ) -> Worker:
        """See `Worker`."""
        ...


class SyncExecutions:
    """Those of one process.

    Attributes:
        worker: Runs them, and nothing else; its loop is run by whoever made this.
    """

    def __init__(self, make: MakeWorker, *, on_ended: Callable[[], None]) -> None:
        """`on_ended` is called when one is over."""
        self.worker = make(
            committer=WriteNothing(),
            on_leaving=lambda _: on_ended(),
            may_start=lambda: True,
            tick=None,
            is_alone=True,
        )

    async def run(self, execution_id: ExecutionId, birth: Birth, plan: Plan) -> LiveExecution:
        """Runs one, and waits until it is over. When the call is cancelled it goes on all the same, as on AWS."""
        executions = self.worker.executions
        live = LiveExecution(execution_id, plan, Snapshot(execution=birth.execution), 0, birth)
        ended = waiting_event(live, anyio.Event)
        executions.add(live)
        executions.mail(live, StartRequested(birth.input_text))
        await ended.wait()
        return live
