"""Calls that many make at once: one call for all that wait, and to each what comes of his own."""

from __future__ import annotations

import asyncio
from queue import Queue
from typing import TYPE_CHECKING

import pytest

from engine.runtime.together import AT_ONCE_MAX, Together
from engine.store.protocol import StoreUnavailable
from tests.waiting import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(30)]


class Doubling:
    """What is called: it doubles numbers, refuses negative ones, and waits to be let go.

    Attributes:
        called: The calls so far.
        goes: One item for each call that may go on; an error is raised by it.
    """

    def __init__(self) -> None:
        self.called: list[list[int]] = []
        self.goes: Queue[Exception | None] = Queue()

    def __call__(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.called.append(list(numbers))
        error = self.goes.get(timeout=DEADLINE_SECONDS)
        if error is not None:
            raise error
        return [ValueError(number) if number < 0 else 2 * number for number in numbers]


@pytest.fixture
def doubling() -> Doubling:
    return Doubling()


@pytest.fixture
def together(doubling: Doubling) -> Iterator[Together[int, int]]:
    one = Together("doubling", doubling)
    yield one
    for _ in range(100):
        doubling.goes.put(None)
    one.close()


async def begun(doubling: Doubling, calls: int = 1) -> None:
    while len(doubling.called) < calls:  # noqa: ASYNC110  another thread calls, which tells nobody
        await asyncio.sleep(0.001)


async def test_who_asks_at_once_is_one_call_and_each_has_his_own_answer(doubling, together):
    doubling.goes.put(None)
    assert await asyncio.gather(*(together.ask(number) for number in range(5))) == [0, 2, 4, 6, 8]
    assert doubling.called == [[0, 1, 2, 3, 4]]


async def test_who_asks_during_a_call_is_in_the_next_one(doubling, together):
    first = asyncio.create_task(together.ask(1))
    await begun(doubling)
    others = [asyncio.create_task(together.ask(number)) for number in (2, 3)]
    await asyncio.sleep(0)
    doubling.goes.put(None)
    assert await first == 2
    doubling.goes.put(None)
    assert await asyncio.gather(*others) == [4, 6]
    assert doubling.called == [[1], [2, 3]]


async def test_more_than_one_call_takes_wait_for_the_next(doubling, together):
    for _ in range(2):
        doubling.goes.put(None)
    asked = range(AT_ONCE_MAX + 1)
    assert await asyncio.gather(*(together.ask(number) for number in asked)) == [2 * number for number in asked]
    assert [len(numbers) for numbers in doubling.called] == [AT_ONCE_MAX, 1]


async def test_the_error_of_one_is_not_that_of_the_others(doubling, together):
    doubling.goes.put(None)
    answers = await asyncio.gather(*(together.ask(number) for number in (1, -1, 3)), return_exceptions=True)
    assert (answers[0], answers[2]) == (2, 6)
    assert isinstance(answers[1], ValueError)


async def test_the_error_of_a_call_is_that_of_all_in_it_and_of_nobody_later(doubling, together):
    doubling.goes.put(StoreUnavailable("down"))
    answers = await asyncio.gather(*(together.ask(number) for number in (1, 2)), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["down", "down"]
    doubling.goes.put(None)
    assert await together.ask(3) == 6


async def test_who_has_gone_is_not_asked_for(doubling, together):
    first = asyncio.create_task(together.ask(1))
    await begun(doubling)
    crowd = [asyncio.create_task(together.ask(2)) for _ in range(AT_ONCE_MAX)]
    last = asyncio.create_task(together.ask(3))
    await asyncio.sleep(0)
    first.cancel()
    for one in crowd:
        one.cancel()
    await asyncio.sleep(0)
    for _ in range(2):
        doubling.goes.put(None)
    assert await last == 6
    assert doubling.called == [[1], [3]]


async def test_who_waits_when_it_is_closed_is_told_and_what_has_begun_is_answered(doubling, together):
    first = asyncio.create_task(together.ask(1))
    await begun(doubling)
    late = asyncio.create_task(together.ask(2))
    await asyncio.sleep(0)
    together.close()
    with pytest.raises(StoreUnavailable, match="left"):
        await late
    with pytest.raises(StoreUnavailable, match="left"):
        await together.ask(3)
    doubling.goes.put(None)
    assert await first == 2
    assert doubling.called == [[1]]
