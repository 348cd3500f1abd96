"""What a worker's executions have begun and is its own from the beginning: loaded as there is room for it.

Only a worker that claims nothing of others keeps it (`FleetOptions.claims`): whoever claims leaves it to all.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from engine.runtime.housekeeping import CLAIM_MAX
from engine.store.protocol import OwnershipLost, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from engine.interpreter.plan import Plan
    from engine.runtime.calls import Calls, Outcome
    from engine.runtime.custody import Custody
    from engine.runtime.housekeeping import Plans
    from engine.runtime.live import LiveExecution
    from engine.runtime.room import Room
    from engine.store.protocol import Claim, DurableStore, ExecutionId, RevisionId

_RETRY_SECONDS = 0.25
_PAUSE_SECONDS = 60.0

Loaded: TypeAlias = "tuple[Sequence[Claim], Mapping[RevisionId, Plan | Exception]]"
"""Executions, and the plans of their revisions."""


class Offspring:
    """That of one worker. To be used in the event loop."""

    def __init__(
        self,
        *,
        store: DurableStore,
        calls: Calls,
        plans: Plans,
        custody: Custody,
        room: Room,
        monotonic: Callable[[], float],
        on_lost: Callable[[], None],
    ) -> None:
        """There is none yet.

        Args:
            on_lost: Called when this worker turns out to have been declared dead.
        """
        self._store = store
        self._calls = calls
        self._plans = plans
        self._custody = custody
        self._room = room
        self._monotonic = monotonic
        self._on_lost = on_lost
        self._chunks: deque[ExecutionId] = deque()
        self._others: deque[ExecutionId] = deque()
        self._asked: object | None = None
        self._due = monotonic()

    def born(self, parent: LiveExecution, execution_ids: Sequence[ExecutionId]) -> None:
        """An execution has had these begin, or begin again."""
        (self._chunks if parent.snapshot.execution.role == "RUN" else self._others).extend(execution_ids)

    def forget(self) -> None:
        """It is others' now."""
        self._chunks.clear()
        self._others.clear()
        self._asked = None

    def tick(self) -> float:
        """Loads some, if there is room. When it wants to be called again, monotonic seconds."""
        now = self._monotonic()
        if now < self._due:
            return self._due
        if self._asked is None and (execution_ids := self._next()):
            self._asked = question = object()
            self._calls.ask(partial(self._load, execution_ids), partial(self._answered, question, execution_ids))
        return now + _PAUSE_SECONDS  # whoever ends, or answers, calls

    def _next(self) -> list[ExecutionId]:
        most = min(self._room.free(), CLAIM_MAX, len(self._others))
        execution_ids = [self._others.popleft() for _ in range(most)]
        if self._chunks and not execution_ids and self._room.free_chunks():
            execution_ids.append(self._chunks.popleft())
        return execution_ids

    def _load(self, execution_ids: Sequence[ExecutionId]) -> Loaded:
        """Where calls to the store may wait. What is redriven is nobody's, and has to be claimed."""
        loaded = list(self._store.reload(execution_ids).claimed)
        known = {claim.execution_id for claim in loaded}
        claims = [self._store.claim_one(one) for one in execution_ids if one not in known]
        loaded += [claim for claim in claims if claim is not None]
        return loaded, self._plans.load({claim.revision_id for claim in loaded})

    def _answered(self, question: object, execution_ids: Sequence[ExecutionId], outcome: Outcome[Loaded]) -> None:
        if question is not self._asked:
            return  # it was another worker's
        self._asked = None
        try:
            loaded, plans = outcome()
        except OwnershipLost:
            self._on_lost()
        except StoreUnavailable:
            self._others.extendleft(reversed(execution_ids))  # a chunk among them comes first from now on: one at most
            self._due = self._monotonic() + _RETRY_SECONDS
        else:
            for claim in loaded:
                self._custody.take(claim, plans[claim.revision_id])
