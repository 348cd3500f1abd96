"""A Task that an execution waits for, and where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import anyio

    from engine.integrations.request import Handler, TaskRequest
    from engine.interpreter.messages import Job, Ticket
    from engine.runtime.live import LiveExecution
    from engine.runtime.turns import Lines
    from engine.store.protocol import Mail

Phase: TypeAlias = Literal["HELD", "QUEUED", "RUNNING", "OFFERING", "OUTSIDE", "POLLING", "MISSING"]
"""Where a Task is. HELD: it may not be started now. QUEUED: it waits for its turn. OFFERING: it is being offered to the
workers of its activity. OUTSIDE: somebody else will end it: who has its token, an activity worker, a job. POLLING: its
job is being asked about. MISSING: this worker has no handler for it."""


class OpenTask:
    """A Task that an execution waits for.

    Attributes:
        is_over: Nobody waits for it any more.
        scope: Cancels its handler; None while none runs.
        is_submitting: What runs is the request that begins its job.
        is_unwanted: Nobody waits for it any more, here or elsewhere.
        is_left: Its handler was cancelled, does not end, and is left alone.
        job: What it waits for, once that is known.
        early: Mail of its child, which is over before its TaskSubmitted came.
        lines: Where it waits for its turn; None: it has not joined.
        holds_clock: Virtual time must not jump meanwhile.
    """

    __slots__ = (
        "early", "execution", "handler", "heartbeat_seconds", "holds_clock", "is_left", "is_over", "is_submitting",
        "is_unwanted", "job", "lines", "phase", "request", "scope", "task_id", "task_token",
    )  # fmt: skip

    def __init__(
        self, execution: LiveExecution, task_id: Ticket, request: TaskRequest, handler: Handler | None, phase: Phase
    ) -> None:
        self.execution = execution
        self.task_id = task_id
        self.request = request
        self.handler = handler
        self.task_token = request.task_token
        self.heartbeat_seconds = request.heartbeat_seconds
        self.phase: Phase = phase
        self.is_over = self.is_submitting = self.is_unwanted = self.is_left = self.holds_clock = False
        self.scope: anyio.CancelScope | None = None
        self.job: Job | None = None
        self.early: Mail | None = None
        self.lines: Lines | None = None
