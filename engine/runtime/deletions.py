"""What a worker learns of state machines that are being deleted: their executions end (`Executions.doomed`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.runtime.calls import Calls, Outcome
    from engine.runtime.executions import Executions

ASK_SECONDS = 1.0
"""An execution that goes on may take so many seconds' steps more, after DeleteStateMachine; on AWS a few as well."""


class Deletions:
    """Asks the store now and then."""

    def __init__(
        self, deleting: Callable[[], Mapping[str, int]], calls: Calls, executions: Executions, now: Callable[[], float]
    ) -> None:
        """`deleting` is the store's; `now` gives monotonic seconds."""
        self._deleting = deleting
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
                self._calls.ask(self._deleting, self._answered)
        return self._due

    def _answered(self, outcome: Outcome[Mapping[str, int]]) -> None:
        self._is_asking = False
        try:
            self._executions.doomed = outcome()
        except StoreUnavailable:
            return  # another time
