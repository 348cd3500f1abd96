"""The heap of timers."""

from __future__ import annotations

import random

import pytest

from engine.runtime.timers import Timers


def key(number: int) -> tuple[tuple[int, int, int], bool]:
    return (0, 0, number), False


def fired(timers: Timers[str], now: int) -> list[str]:
    return [owner for owner, _ in timers.take_due(now)]


def test_timers_fire_when_due_oldest_first_and_once():
    timers: Timers[str] = Timers()
    for owner, due in [("b", 20), ("a", 10), ("c", 30), ("b2", 20)]:
        timers.start(owner, key(1), due)
    assert timers.next_due() == 10
    assert fired(timers, 9) == []
    assert fired(timers, 20) == ["a", "b", "b2"]
    assert fired(timers, 20) == []
    assert (timers.next_due(), len(timers)) == (30, 1)


def test_a_cancelled_timer_never_fires_and_cancelling_twice_is_nothing():
    timers: Timers[str] = Timers()
    timer = timers.start("a", key(1), 10)
    timers.start("b", key(2), 10)
    timers.cancel(timer)
    timers.cancel(timer)
    assert len(timers) == 1
    assert fired(timers, 10) == ["b"]
    assert timers.next_due() is None


def test_a_postponed_timer_fires_at_its_new_time():
    timers: Timers[str] = Timers()
    timer = timers.start("a", key(1), 10)
    timers.postpone(timer, 50)
    timers.postpone(timer, 40)
    assert fired(timers, 49) == []
    assert timers.next_due() == 50
    assert fired(timers, 50) == ["a"]


@pytest.mark.parametrize("seed", range(5))
def test_any_order_of_starting_postponing_and_cancelling_fires_what_a_list_would(seed):
    chance = random.Random(seed)
    timers: Timers[str] = Timers()
    expected: dict[str, int] = {}
    handles = {}
    now = 0
    for number in range(5_000):
        name = str(number)
        due = now + chance.randrange(1, 500)
        handles[name] = timers.start(name, key(number), due)
        expected[name] = due
        for other in chance.sample(sorted(expected), min(len(expected), chance.randrange(3))):
            if chance.random() < 0.7:
                timers.cancel(handles[other])
                del expected[other]
            else:
                later = expected[other] + chance.randrange(100)
                timers.postpone(handles[other], later)
                expected[other] = later
        if number % 50 == 0:
            now += chance.randrange(200)
            assert sorted(fired(timers, now)) == sorted(name for name, due in expected.items() if due <= now)
            expected = {name: due for name, due in expected.items() if due > now}
        assert len(timers) == len(expected)
        assert timers.next_due() == min(expected.values(), default=None)


def test_a_heap_of_cancelled_timers_is_cleared_out():
    timers: Timers[str] = Timers()
    for number in range(10_000):
        timers.cancel(timers.start("a", key(number), 1_000_000))
    assert len(timers._heap) < 3_000
