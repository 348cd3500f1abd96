"""Token buckets."""

from __future__ import annotations

import pytest

from engine.api.aws_json import codecs
from engine.api.throttling import InvalidRate, Rate, Throttle, rates_of
from engine.http.faults import Fault

OPERATIONS = list(codecs())


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def taken(throttle: Throttle, account: str = "a", operation: str = "StartExecution") -> int:
    """How many requests pass until one is refused."""
    passed = 0
    while _passes(throttle, account, operation):
        passed += 1
    return passed


def _passes(throttle: Throttle, account: str, operation: str) -> bool:
    try:
        throttle.take(account, operation)
    except Fault:
        return False
    return True


def test_whoever_is_refused_is_told_in_the_words_of_aws():
    throttle = Throttle({"StartExecution": Rate(1, 1)}, Clock())
    throttle.take("a", "StartExecution")
    with pytest.raises(Fault) as caught:
        throttle.take("a", "StartExecution")
    assert (caught.value.code, caught.value.message, caught.value.status) == (
        "ThrottlingException",
        "Rate exceeded",
        400,
    )


def test_a_bucket_empties_and_fills_again():
    clock = Clock()
    throttle = Throttle({"StartExecution": Rate(10, 2)}, clock)
    assert taken(throttle) == 10
    clock.now = 1.5
    assert taken(throttle) == 3
    clock.now = 1_000.0
    assert taken(throttle) == 10


def test_those_that_are_refused_cost_nothing():
    clock = Clock()
    throttle = Throttle({"StartExecution": Rate(1, 1)}, clock)
    assert taken(throttle) == 1
    for tenth in range(1, 10):
        clock.now = tenth / 10
        assert taken(throttle) == 0
    clock.now = 1.0001
    assert taken(throttle) == 1


def test_accounts_and_operations_have_buckets_of_their_own():
    throttle = Throttle({"StartExecution": Rate(3, 1), "StopExecution": Rate(4, 1)}, Clock())
    assert taken(throttle) == 3
    assert taken(throttle, "b") == 3
    assert taken(throttle, "a", "StopExecution") == 4
    throttle.take("a", "DescribeExecution")  # has no rate


def test_many_made_up_accounts_cost_no_memory():
    throttle = Throttle({"StartExecution": Rate(3, 1)}, Clock())
    for number in range(25_000):
        throttle.take(str(number), "StartExecution")
    assert len(throttle._buckets) <= 10_001


def test_the_rates_of_aws_name_every_operation():
    rates = rates_of(["aws"], OPERATIONS)
    assert set(rates) == set(OPERATIONS)
    assert rates["StartExecution"] == Rate(1300, 300)
    assert rates["CreateActivity"] == Rate(100, 1)


def test_later_words_go_before_earlier_ones():
    rates = rates_of(["aws", "StartExecution=5/0.5"], OPERATIONS)
    assert rates["StartExecution"] == Rate(5, 0.5)
    assert rates_of([], OPERATIONS) == {}


@pytest.mark.parametrize(
    "word", ["", "AWS", "StartExecution", "StartExecution=1", "Nope=1/1", "StartExecution=0/1", "StartExecution=-1/1"]
)
def test_a_rate_that_means_nothing_is_refused(word):
    with pytest.raises(InvalidRate, match="expected aws, or OPERATION=BUCKET/REFILL"):
        rates_of([word], OPERATIONS)
