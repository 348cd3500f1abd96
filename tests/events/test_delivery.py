"""What is handed over is passed on in its order, again when it must be, and dropped, with a notice, when it cannot."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from engine.events.delivery import BATCH_MAX, Delivery, TryAgain
from tests.events.engines import Notices
from tests.waiting import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Receiver:
    """Takes batches; `then` is called with each before it is taken."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.batches: list[int] = []
        self.got = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.errors: list[Exception] = []

    def __call__(self, batch: Sequence[int]) -> None:
        self.got.release()
        assert self.gate.wait(DEADLINE_SECONDS)
        if self.errors:
            raise self.errors.pop(0)
        self.taken += batch
        self.batches.append(len(batch))


def delivery(receive: Callable[[Sequence[int]], None], notices: Notices, most: int = 10_000) -> Delivery[int]:
    return Delivery(receive, name="numbers", waiting_max=most, tell=notices)


def test_all_that_was_put_has_come_once_it_is_closed() -> None:
    receiver, notices = Receiver(), Notices()
    one = delivery(receiver, notices)
    for number in range(3_000):
        one.put(number)
    one.close()
    assert receiver.taken == list(range(3_000))
    assert max(receiver.batches) <= BATCH_MAX
    assert (one.dropped, notices.told) == (0, [])


def test_a_batch_that_could_not_be_passed_on_is_tried_again() -> None:
    receiver, notices = Receiver(), Notices()
    receiver.errors = [TryAgain("away"), TryAgain("still away")]
    one = delivery(receiver, notices)
    one.put(1)
    one.put(2)
    one.close()
    assert sorted(receiver.taken) == [1, 2]
    assert notices.named("numbers: trying again")[0]["error"] == "away"


def test_what_waits_beyond_the_bound_is_dropped_and_counted() -> None:
    receiver, notices = Receiver(), Notices()
    receiver.gate.clear()
    one = delivery(receiver, notices, most=5)
    one.put(0)
    assert receiver.got.acquire(timeout=DEADLINE_SECONDS)
    for number in range(1, 9):
        one.put(number)
    receiver.gate.set()
    one.close()
    assert receiver.taken == [0, 1, 2, 3, 4, 5]
    assert one.dropped == 3
    assert sum(about["count"] for about in notices.named("numbers: dropped")) == 3


def test_an_error_of_the_receiver_costs_that_batch_alone() -> None:
    receiver, notices = Receiver(), Notices()
    receiver.errors = [ValueError("broken")]
    one = delivery(receiver, notices)
    one.put(1)
    assert receiver.got.acquire(timeout=DEADLINE_SECONDS)
    one.put(2)
    one.close()
    assert receiver.taken == [2]
    assert one.dropped == 1
    assert "broken" in notices.named("numbers: dropped")[0]["error"]


def test_what_comes_after_it_was_closed_is_dropped() -> None:
    receiver, notices = Receiver(), Notices()
    one = delivery(receiver, notices)
    one.close()
    one.put(1)
    assert (receiver.taken, one.dropped) == ([], 1)
