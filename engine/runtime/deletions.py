"""What a worker learns of state machines that are being deleted: their executions end (`Executions.doomed`).

When the last one has ended the state machine goes. Whoever ends one asks for that, not as a part of its checkpoint but
soon after it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from engine.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from engine.runtime.calls import Calls, Outcome
    from engine.runtime.executions import Executions

ASK_SECONDS = 1.0
"""An execution that goes on may take so many seconds' steps more, after DeleteStateMachine; on AWS a few as well."""


class DeletingStore(Protocol):
    """What `Deletions` wants of `Library`."""

    def deleting(self) -> Mapping[str, int]:
        """Since when which state machines, by ARN, are DELETING."""
        ...

    def finish_deletion(self, arn: str) -> None:
        """Has a state machine go that is DELETING and has no open execution any more."""
        ...


class Deletions:
    """Asks the store now and then."""

    def __init__(self, store: DeletingStore, calls: Calls, executions: Executions, now: Callable[[], float]) -> None:
        """`now` gives monotonic seconds."""
        self._store = store
        self._calls = calls
        self._executions = executions
        self._now = now
        self._due = now()
        self._is_asking = False

    def tick(self) -> float:
        """Asks, if it is time; when it wants to be called again, monotonic seconds."""
        if self._now() >= self._due:
            self._due = self._now() + ASK_SECONDS
            if not self._is_asking:
                self._is_asking = True
                self._calls.ask(partial(_ask, self._store, self._finished()), self._answered)
        return self._due

    def _finished(self) -> Collection[str]:
        """State machines of which an execution has ended here, and none is at hand any more.

        Others may have some that are parked or elsewhere; it costs a look at all of its executions to find out, and is
        asked again when the next one ends.
        """
        ended = self._executions.ended_of_doomed
        if not ended:
            return ()
        left = {live.snapshot.execution.state_machine_arn for live in self._executions.live.values()}
        finished = ended - left
        ended &= left
        return finished

    def _answered(self, outcome: Outcome[Mapping[str, int]]) -> None:
        self._is_asking = False
        try:
            doomed = outcome()
        except StoreUnavailable:
            return  # another time
        # The last one may have ended before this worker has learned of it.
        self._executions.ended_of_doomed |= doomed.keys() - self._executions.doomed.keys()
        self._executions.doomed = doomed


def _ask(store: DeletingStore, finished: Collection[str]) -> Mapping[str, int]:
    for arn in finished:
        store.finish_deletion(arn)
    return store.deleting()
