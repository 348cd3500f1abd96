"""Waiting for ends: one question for all, asked again at growing pauses, or at once on a hint."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from engine.interpreter.snapshot import Ending
from engine.runtime import endings as module
from engine.runtime.endings import Endings
from engine.store.hints import Hint, LocalHints
from engine.store.protocol import ExecutionId, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]

DONE = Ending("SUCCEEDED", 1)


class Asked:
    """A store that is asked, and what it will say."""

    def __init__(self) -> None:
        self.questions: list[set[ExecutionId]] = []
        self.found: dict[ExecutionId, Any] = {}
        self.error: Exception | None = None
        self.asked = asyncio.Event()

    async def __call__(self, execution_ids: Collection[ExecutionId]) -> Mapping[ExecutionId, Any]:
        self.questions.append(set(execution_ids))
        self.asked.set()
        if self.error is not None:
            raise self.error
        return {one: self.found[one] for one in execution_ids if one in self.found}


@pytest.fixture
def hints() -> LocalHints:
    return LocalHints()


@asynccontextmanager
async def asking(hints: LocalHints) -> AsyncIterator[tuple[Endings, Asked]]:
    asked = Asked()
    waiting = Endings(asked, hints)
    running = asyncio.create_task(waiting.run())
    try:
        yield waiting, asked
    finally:
        running.cancel()


def ids(count: int) -> list[ExecutionId]:
    return [ExecutionId(uuid4()) for _ in range(count)]


async def test_all_who_wait_are_asked_about_in_one_question(hints: LocalHints):
    async with asking(hints) as (waiting, asked):
        some = ids(300)
        asked.found = dict.fromkeys(some, DONE)
        found = await asyncio.gather(*(waiting.wait_for(one) for one in some))
        assert set(found) == {DONE}
        assert asked.questions == [set(some)]


async def test_nobody_is_asked_while_nobody_waits(hints: LocalHints):
    async with asking(hints) as (waiting, asked):
        (one,) = ids(1)
        waiting.forget(waiting.wait_for(one))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not asked.questions


async def test_a_hint_about_an_end_has_it_asked_about_at_once(hints: LocalHints, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "PAUSE_SECONDS_MIN", 1_000.0)
    async with asking(hints) as (waiting, asked):
        one, other = ids(2)
        found = [waiting.wait_for(one), waiting.wait_for(other)]
        await asked.asked.wait()
        asked.found = {one: DONE, other: DONE}
        waiting.heard(Hint("END", frozenset({one.hex})))
        assert await found[0] == DONE
        assert asked.questions == [{one, other}, {one}]
        waiting.heard(Hint("CONNECTED"))  # what was told meanwhile was missed
        assert await found[1] == DONE


async def test_it_is_found_without_any_hint(hints: LocalHints):
    async with asking(hints) as (waiting, asked):
        (one,) = ids(1)
        found = waiting.wait_for(one)
        await asked.asked.wait()
        asked.found = {one: DONE}
        assert await found == DONE


async def test_whoever_waits_says_so(hints: LocalHints):
    async with asking(hints) as (waiting, asked):
        assert not hints.are_endings_wanted
        waiting.wait_for(*ids(1))
        await asked.asked.wait()
        assert hints.are_endings_wanted


async def test_a_store_that_stays_away_is_an_error_of_all_who_wait(hints: LocalHints):
    async with asking(hints) as (waiting, asked):
        asked.error = StoreUnavailable("gone")
        for found in [waiting.wait_for(one) for one in ids(2)]:
            with pytest.raises(StoreUnavailable, match="gone"):
                await found
