"""How many may run at once, and begin in a second."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from engine.lambda_emulator.concurrency import Concurrency
from engine.lambda_emulator.errors import TooManyRequestsException


class Clock:
    seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class World:
    def __init__(self) -> None:
        self.clock = Clock()
        self.concurrency = Concurrency(self.clock)
        self.running = ExitStack()

    def begin(
        self, name: str = "f", *, reserved: int | None = None, unreserved: int = 1_000, rated: bool = True
    ) -> Any:
        return self.running.enter_context(
            self.concurrency.slot("1", name, reserved=reserved, unreserved=unreserved, is_rated=rated)
        )

    def refused(self, name: str = "f", **given: Any) -> str:
        with pytest.raises(TooManyRequestsException) as caught:
            self.begin(name, **given)
        assert (caught.value.status, caught.value.message) == (429, "Rate Exceeded.")
        assert caught.value.members["retryAfterSeconds"] == 1
        return str(caught.value.members["Reason"])


def test_functions_without_a_reservation_share_what_is_not_reserved():
    world = World()
    for name in ("f", "g", "g"):
        world.begin(name, unreserved=3)
    assert world.refused("h", unreserved=3) == "ConcurrentInvocationLimitExceeded"
    world.begin("own", reserved=1, unreserved=3)  # has its own
    world.running.close()
    world.begin("h", unreserved=3)
    assert world.concurrency.running == 1


def test_a_reservation_is_a_limit_too():
    world = World()
    for _ in range(2):
        world.begin(reserved=2)
    assert world.refused(reserved=2) == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert world.concurrency.throttled == {"ReservedFunctionConcurrentInvocationLimitExceeded": 1}


def test_none_reserved_means_none_at_all():
    assert World().refused(reserved=0) == "ReservedFunctionConcurrentInvocationLimitExceeded"


def test_ten_times_as_many_begin_in_a_second_as_may_run():
    world = World()
    for _ in range(20):
        world.begin(reserved=2)
        world.running.close()
    assert world.refused(reserved=2) == "ReservedFunctionInvocationRateLimitExceeded"
    world.begin(reserved=2, rated=False)  # asynchronous ones are not counted
    world.running.close()
    world.clock.seconds += 0.05
    world.begin(reserved=2)


def test_the_accounts_rate_has_its_own_reason():
    world = World()
    for _ in range(10):
        world.begin(unreserved=1)
        world.running.close()
    assert world.refused(unreserved=1) == "FunctionInvocationRateLimitExceeded"


def test_a_failure_frees_its_place():
    world = World()
    with pytest.raises(KeyError), world.concurrency.slot("1", "f", reserved=1, unreserved=0, is_rated=True):
        raise KeyError
    assert world.concurrency.running == 0
