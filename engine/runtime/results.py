"""Waiting for the end of an execution: this process may see it, or the store tells."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from engine.errors import ExecutionDoesNotExist
from engine.runtime.endings import PAUSE_SECONDS_MAX, Endings
from engine.runtime.executions import ExecutionQuarantined

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from engine.interpreter.snapshot import Ending
    from engine.jsonvalue import Json
    from engine.runtime.endings import Found
    from engine.runtime.live import LiveExecution
    from engine.runtime.patience import Patience
    from engine.store.hints import Hint
    from engine.store.library import Store
    from engine.store.protocol import ExecutionId


class RemoteExecution:
    """An execution of the store: `Tracked`, and as far as it was seen from here.

    Attributes:
        ending: Once it was seen to be over.
    """

    __slots__ = ("__weakref__", "arn", "ending", "execution_id", "name")

    def __init__(self, execution_id: ExecutionId, arn: str, name: str) -> None:
        self.execution_id = execution_id
        self.arn = arn
        self.name = name
        self.ending: Ending | None = None


class _Waiter:
    """Somebody who waits for an end that this process may see before the store tells.

    Attributes:
        left: Done when the execution has left this process; `live` is how it then was.
    """

    __slots__ = ("left", "live")

    def __init__(self) -> None:
        self.left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.live: LiveExecution | None = None

    def look(self) -> LiveExecution | None:
        """How it was when it last left, told once; what comes later is waited for."""
        if self.left.done():
            self.left = asyncio.get_running_loop().create_future()
        live, self.live = self.live, None
        return live

    def tell(self, live: LiveExecution | None) -> None:
        """It has left."""
        self.live = live
        if not self.left.done():
            self.left.set_result(None)


class Results:
    """All who wait in one event loop.

    Attributes:
        KINDS: Of hints that mean something to it.
    """

    KINDS = Endings.KINDS

    def __init__(self, store: Store, patience: Patience, *, is_here: Callable[[ExecutionId], bool]) -> None:
        """`is_here`: whether an execution runs in this very process, which will tell by `left`."""
        self._store = store
        self._patience = patience
        self._is_here = is_here
        self._is_open = True
        self._endings = Endings(self._ask_endings, store.hints)
        self._waiters: dict[str, list[_Waiter]] = {}
        self._born_here: WeakValueDictionary[str, RemoteExecution] = WeakValueDictionary()

    async def run(self) -> None:
        """Asks the store for ever."""
        await self._endings.run()

    def heard(self, hint: Hint) -> None:
        """A hint has come; in the event loop."""
        self._endings.heard(hint)

    def born_here(self, execution: RemoteExecution) -> None:
        """It may be over before anybody waits for its end, who then need not ask the store."""
        self._born_here[execution.arn] = execution

    def left(self, live: LiveExecution) -> None:
        """An execution has left this process: it is over, or goes on elsewhere."""
        tracked = self._born_here.get(live.arn)
        if tracked is not None and live.fault is None:
            tracked.ending = live.ending
        for waiter in self._waiters.get(live.arn, ()):
            waiter.tell(live)

    def close(self) -> None:
        """`run` has ended or will: who waits on asks for himself."""
        self._is_open = False
        for waiter in (waiter for waiters in self._waiters.values() for waiter in waiters):
            waiter.tell(None)

    async def of(self, execution: RemoteExecution) -> tuple[Ending, Json]:
        """Its end, and the input of the state that it failed in.

        Raises:
            ExecutionDoesNotExist: It is not in the store, or no longer.
            ExecutionQuarantined: It cannot go on until somebody resumes it.
            StoreUnavailable: See `Patience.ask`.
        """
        if execution.ending is not None and execution.ending.status == "SUCCEEDED":
            return execution.ending, None  # every other end may be undone by a redrive
        waiter = _Waiter()
        waiters = self._waiters.setdefault(execution.arn, [])
        waiters.append(waiter)
        try:
            return await self._result(execution, waiter)
        finally:
            waiters.remove(waiter)
            if not waiters:
                self._waiters.pop(execution.arn, None)

    async def _result(self, execution: RemoteExecution, waiter: _Waiter) -> tuple[Ending, Json]:
        while True:
            live = waiter.look()
            if live is not None and live.ending is not None:
                answers = await self._now(execution, live)
                if answers.get(execution.execution_id) == live.ending:
                    if live.fault is not None:
                        raise live.fault
                    execution.ending = live.ending
                    return live.ending, live.failed_input
                if answers:
                    return await self._ended(execution, answers[execution.execution_id])
            if self._is_open and self._is_here(execution.execution_id):
                await waiter.left
                continue
            if not self._is_open:  # nobody asks for all who wait any more
                answers = await self._ask_endings([execution.execution_id])
                if execution.execution_id in answers:
                    return await self._ended(execution, answers[execution.execution_id])
                await asyncio.sleep(PAUSE_SECONDS_MAX)
                continue
            found = self._endings.wait_for(execution.execution_id)
            try:
                await asyncio.wait((waiter.left, found), return_when=asyncio.FIRST_COMPLETED)
                if found.done():
                    return await self._ended(execution, found.result())
            finally:
                self._endings.forget(found)

    async def _now(self, execution: RemoteExecution, live: LiveExecution) -> Mapping[ExecutionId, Found]:
        """What the store tells of an execution that was seen to leave with an end; nothing: it goes on.

        The store has an end before this process is told that it is written. Whoever learned of it there may have
        redriven the execution by then, and waits for another end than the one that is seen to leave.
        """
        ending = live.ending
        assert ending is not None
        if ending.status == "SUCCEEDED" or not live.snapshot.execution.is_redrivable:
            return {execution.execution_id: ending}
        return await self._ask_endings([execution.execution_id])

    async def _ended(self, execution: RemoteExecution, found: Found) -> tuple[Ending, Json]:
        if found is None:
            raise ExecutionDoesNotExist(execution.arn)
        if isinstance(found, str):
            raise ExecutionQuarantined(f"{execution.arn}: {found}")
        execution.ending = found
        return found, await self._failed_input(execution.arn, found)

    async def _ask_endings(self, execution_ids: Collection[ExecutionId]) -> Mapping[ExecutionId, Found]:
        return await self._patience.ask(self._store.endings, execution_ids)

    async def _failed_input(self, execution_arn: str, ending: Ending) -> Json:
        if ending.frame is None:
            return None
        snapshot = await self._patience.ask(self._store.snapshot, execution_arn)
        frame = None if snapshot is None else snapshot.frames.get(ending.frame)
        return None if frame is None else frame.input
