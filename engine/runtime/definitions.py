"""State machines as a process last saw them, so that not every start asks the store for one."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.store.records import StateMachineRecord

DEFINITION_SECONDS = 1.0
"""How long after somebody else's update executions may still start with the definition before it; of AWS too it is said
that this takes a few seconds. Asked for each start, it would be a third of what a start costs."""

_REMEMBERED_MAX = 4_096


class Definitions:
    """State machines by ARN."""

    def __init__(self, ask: Callable[[str], Awaitable[StateMachineRecord]]) -> None:
        """`ask`: gives one as it is in the store, or raises."""
        self._ask = ask
        self._remembered: dict[str, tuple[StateMachineRecord, float]] = {}

    async def of(self, arn: str) -> StateMachineRecord:
        """A state machine as it was at most DEFINITION_SECONDS ago."""
        record, until = self._remembered.get(arn, (None, 0.0))
        now = time.monotonic()
        if record is not None:
            if now < until:
                return record
            # One caller asks again; the others need not wait for it.
            self._remembered[arn] = (record, now + DEFINITION_SECONDS / 2)
        try:
            return self.remember(await self._ask(arn))
        except BaseException:
            self.forget(arn)
            raise

    def remember(self, record: StateMachineRecord) -> StateMachineRecord:
        """It is so now."""
        self.forget(record.arn)
        self._remembered[record.arn] = (record, time.monotonic() + DEFINITION_SECONDS / 2)
        if len(self._remembered) > _REMEMBERED_MAX:
            del self._remembered[next(iter(self._remembered))]
        return record

    def forget(self, arn: str) -> None:
        """It is no longer so."""
        self._remembered.pop(arn, None)
