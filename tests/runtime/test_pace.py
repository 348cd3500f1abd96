"""How often a worker asks for work."""

from __future__ import annotations

import pytest

from engine.runtime.pace import POLL_SECONDS_MIN, Pace


class Monotonic:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def monotonic() -> Monotonic:
    return Monotonic()


@pytest.fixture
def pace(monotonic: Monotonic) -> Pace:
    return Pace(monotonic, lambda: POLL_SECONDS_MIN * 5)


def test_it_asks_at_once_and_then_ever_more_seldom_while_there_is_nothing(pace: Pace):
    assert pace.due == 100
    pauses = []
    for _ in range(4):
        pace.found(False)
        pauses.append((pace.due - 100) / POLL_SECONDS_MIN)
    assert pauses == pytest.approx([2, 4, 5, 5])


def test_what_gave_something_is_asked_again_soon(pace: Pace):
    pace.found(False)
    pace.found(True)
    assert pace.due == pytest.approx(100 + POLL_SECONDS_MIN)


def test_a_reason_of_its_own_makes_it_ask_now(pace: Pace):
    pace.found(False)
    pace.hurry()
    assert pace.due == 100


def test_hints_make_it_ask_sooner_but_not_all_at_once(pace: Pace, monotonic: Monotonic):
    pace.found(False)
    pace.hinted()
    assert pace.due == pytest.approx(100 + POLL_SECONDS_MIN)
    monotonic.now += 1
    pace.found(False)
    monotonic.now += POLL_SECONDS_MIN * 1.5
    pace.hinted()
    assert pace.due == monotonic.now
