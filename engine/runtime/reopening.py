"""Redrives what a map run began, at the wish of whoever waits for it: a map run, its chunks, their children."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import anyio

from engine.errors import ExecutionDoesNotExist, ExecutionNotRedrivable
from engine.interpreter.advance import not_redrivable
from engine.interpreter.messages import NotReopened, Reopened
from engine.interpreter.snapshot import Snapshot
from engine.store.protocol import ExecutionId, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.abc import TaskGroup

    from engine.interpreter.messages import Event, ReopenChild
    from engine.runtime.clock import Clock
    from engine.runtime.live import LiveExecution
    from engine.store.library import Library

PAUSE_SECONDS = 0.2
"""Between two looks at an execution that is not over yet: it was stopped, and its end is near."""

THREADS_MAX = 4


def reopened(library: Library, command: ReopenChild) -> bool:
    """Does it once: whether the execution is open again, or was; False: it is not over yet.

    Raises:
        ExecutionNotRedrivable, ExecutionDoesNotExist: It never will be.
    """
    record = library.execution(command.arn)
    if record.redrives.count >= command.redrives:
        return True
    if record.ending is None:
        return False
    ended = Snapshot(execution=record.execution, ending=record.ending, last_event_id=record.last_event_id)
    reason = not_redrivable(ended)
    if reason is not None:
        raise ExecutionNotRedrivable(reason)
    try:
        library.reopen(command.arn, redrives=command.redrives)
    except ExecutionNotRedrivable:
        if library.execution(command.arn).redrives.count < command.redrives:
            raise
    return True


class Reopening:
    """Does it in threads. It may be asked for the same again: how often an execution was redriven tells."""

    def __init__(
        self,
        library: Library,
        *,
        group: TaskGroup,
        clock: Clock,
        mail: Callable[[LiveExecution, Event], None],
        on_open: Callable[[LiveExecution, Sequence[ExecutionId]], None],
        on_rest: Callable[[LiveExecution], None],
    ) -> None:
        """Nothing is asked yet.

        Args:
            library: Called in threads.
            group: Where it waits for them.
            clock: Time does not jump meanwhile.
            mail: Takes the answers.
            on_open: Called with what is open again, for anybody to claim.
            on_rest: Called when nothing that an execution wanted is left to do, and it has nothing to fold.
        """
        self._library = library
        self._group = group
        self._clock = clock
        self._mail = mail
        self._on_open = on_open
        self._on_rest = on_rest
        self._limiter = anyio.CapacityLimiter(THREADS_MAX)

    def reopen(self, execution: LiveExecution, command: ReopenChild) -> None:
        """Redrives it, once it is over; NotReopened comes as mail where that cannot be.

        Until then the execution is not given up: should this worker be lost, whoever takes it over does the same.
        """
        execution.reopening += 1
        self._group.start_soon(self._do, execution, command)

    async def _do(self, execution: LiveExecution, command: ReopenChild) -> None:
        try:
            await self._until_open(execution, command)
        finally:
            execution.reopening -= 1
            if not (execution.reopening or execution.is_busy or execution.is_gone):
                self._on_rest(execution)

    async def _until_open(self, execution: LiveExecution, command: ReopenChild) -> None:
        while not execution.is_gone:
            self._clock.hold()
            try:
                work = partial(reopened, self._library, command)
                is_done = await anyio.to_thread.run_sync(work, limiter=self._limiter)
            except (ExecutionNotRedrivable, ExecutionDoesNotExist) as error:
                self._mail(execution, NotReopened(command.execution_id, error.message))
                return
            except StoreUnavailable:
                is_done = False
            finally:
                self._clock.release()
            if is_done:
                self._on_open(execution, [ExecutionId(command.execution_id)])
                self._mail(execution, Reopened(command.execution_id))
                return
            await anyio.sleep(PAUSE_SECONDS)
