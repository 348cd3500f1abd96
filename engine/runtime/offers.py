"""Tasks of activities that no handler does: they are offered in the store to whoever polls for them."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from engine.store.protocol import Offer, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from engine.runtime.activities import ActivityPolls
    from engine.runtime.calls import Calls, Outcome
    from engine.runtime.executions import Executions
    from engine.runtime.open_task import OpenTask
    from engine.store.protocol import DurableStore

_OFFERED_AT_ONCE_MAX = 256


class Offers:
    """What one worker offers."""

    def __init__(
        self,
        *,
        executions: Executions,
        store: DurableStore,
        calls: Calls,
        polls: ActivityPolls,
        on_missing: Callable[[OpenTask], bool],
    ) -> None:
        """Nothing is offered yet.

        Args:
            polls: Who waits here for such Tasks.
            on_missing: Called with a Task whose activity does not exist; whether its execution is stopped.
        """
        self._executions = executions
        self._store = store
        self._calls = calls
        self._polls = polls
        self._on_missing = on_missing
        self._unoffered: deque[OpenTask] = deque()
        self._is_offering = False

    def offer(self, task: OpenTask) -> None:
        """Offers a Task to the workers of its activity, if there is such an activity; those that come together at once.

        That is an effect of a checkpoint, carried out after it. Whoever owns the execution next offers the Task again,
        which changes nothing.
        """
        self._unoffered.append(task)
        if not self._is_offering:
            self._offer_next()

    def _offer_next(self) -> None:
        batch: list[OpenTask] = []
        while self._unoffered and len(batch) < _OFFERED_AT_ONCE_MAX:
            task = self._unoffered.popleft()
            if not task.is_over:
                batch.append(task)
        if batch:
            self._is_offering = True
            offers = [_offer(task) for task in batch]
            self._calls.ask(partial(self._store.offer_tasks, offers), partial(self._offered, batch))

    def _offered(self, batch: list[OpenTask], outcome: Outcome[Collection[str]]) -> None:
        self._is_offering = False
        try:
            existing = outcome()
        except StoreUnavailable:
            existing = ()  # the executions are given up, and offered again by whoever takes them
        for task in batch:
            if task.is_over:
                continue
            task.phase = "OUTSIDE" if task.request.resource.arn in existing else "MISSING"
            is_stopped = task.phase == "MISSING" and self._on_missing(task)
            if not is_stopped and not task.execution.is_busy:
                self._executions.keeper.idle(task.execution)
        self._polls.offered(existing)
        if self._unoffered:
            self._offer_next()


def _offer(task: OpenTask) -> Offer:
    request = task.request
    assert request.task_token is not None, "a Task of an activity has a token"
    return Offer(
        task_token=request.task_token,
        activity_arn=request.resource.arn,
        input=request.arguments,
        deadline=request.deadline,
    )
