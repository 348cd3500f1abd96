"""Waiting for the end of an execution that this process sees leave, and that others may redrive meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from engine.interpreter.snapshot import Ending, Snapshot
from engine.runtime.live import LiveExecution
from engine.runtime.results import RemoteExecution, Results
from engine.store.hints import LocalHints
from engine.store.protocol import ExecutionId
from tests.driver import execution_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Mapping

    from engine.runtime.endings import Found

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

ABORTED, DONE = Ending("ABORTED"), Ending("SUCCEEDED", 1)


class OneStore:
    """The store, which has one execution.

    Attributes:
        found: What it tells of that; empty: it is open.
    """

    def __init__(self) -> None:
        self.hints = LocalHints()
        self.execution_id = ExecutionId(uuid4())
        self.found: dict[ExecutionId, Found] = {}
        self.asked = asyncio.Event()

    def endings(self, execution_ids: Collection[ExecutionId]) -> Mapping[ExecutionId, Found]:
        self.asked.set()
        return dict(self.found)

    async def ask(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """In place of `Patience`."""
        return function(*arguments)


class Waiting:
    """Somebody who waits for its end in the process where it is live."""

    def __init__(self, store: OneStore) -> None:
        self.store = store
        self.is_here = True
        unchecked: Any = store
        self.results = Results(unchecked, unchecked, is_here=lambda _: self.is_here)
        self.execution = RemoteExecution(store.execution_id, "arn", "name")

    def leaves(self, ending: Ending) -> None:
        """The worker of this process is told at last that this end was written."""
        live = LiveExecution(self.store.execution_id, None, Snapshot(execution=execution_of(None, arn="arn")))
        live.ending = ending
        self.results.left(live)


@asynccontextmanager
async def waiting() -> AsyncIterator[tuple[Waiting, asyncio.Task[tuple[Ending, Any]]]]:
    one = Waiting(OneStore())
    running = asyncio.create_task(one.results.run())
    asking = asyncio.create_task(one.results.of(one.execution))
    await asyncio.sleep(0)
    try:
        yield one, asking
    finally:
        running.cancel()
        asking.cancel()


async def test_an_end_that_was_redriven_before_it_is_seen_to_leave_is_not_told() -> None:
    async with waiting() as (one, asking):
        one.leaves(ABORTED)  # the store has it open again
        await one.store.asked.wait()
        assert not asking.done()
        one.store.found = {one.store.execution_id: DONE}
        one.leaves(DONE)
        assert await asking == (DONE, None)


async def test_an_end_that_came_after_a_redrive_elsewhere_is_told_in_place_of_the_one_seen() -> None:
    async with waiting() as (one, asking):
        one.store.found = {one.store.execution_id: DONE}
        one.leaves(ABORTED)
        assert await asking == (DONE, None)


async def test_an_end_that_still_is_one_is_told() -> None:
    async with waiting() as (one, asking):
        one.store.found = {one.store.execution_id: ABORTED}
        one.leaves(ABORTED)
        assert await asking == (ABORTED, None)


async def test_a_success_is_told_without_asking_the_store() -> None:
    async with waiting() as (one, asking):
        one.leaves(DONE)
        assert await asking == (DONE, None)
        assert not one.store.asked.is_set()
