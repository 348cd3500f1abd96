"""A worker is dead before its lease is over only when it was seen present, is missing, and shows no life."""

from __future__ import annotations

from uuid import uuid4

from engine.runtime.absence import CONFIRM_SECONDS, SUSPECT_LOOK_SECONDS, Absence
from engine.runtime.lease import ALONE_RENEW_SECONDS, Lease
from engine.store.protocol import WorkerId

ONE = WorkerId(uuid4())
HERE, GONE = (1, 7, True), (1, 7, False)


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Observer:
    def __init__(self) -> None:
        self.time = Time()
        self.absence = Absence(Lease(15.0, self.time))

    def looks(self, *seen: tuple[int, int, bool], seconds: float = SUSPECT_LOOK_SECONDS) -> bool:
        """Whether the worker is dead after the last of these looks."""
        dead: list[object] = []
        for one in seen:
            self.time.now += seconds
            dead = list(self.absence.look({ONE: one}, self.time.now))
        return bool(dead)


LOOKS = int(CONFIRM_SECONDS / SUSPECT_LOOK_SECONDS) + 2


def test_a_worker_that_is_missing_and_silent_is_dead() -> None:
    assert Observer().looks(HERE, *[GONE] * LOOKS)


def test_a_worker_that_was_never_seen_has_its_lease() -> None:
    assert not Observer().looks(*[GONE] * LOOKS * 10)


def test_a_sign_of_life_counts_from_the_beginning() -> None:
    observer = Observer()
    assert not observer.looks(HERE, *[GONE] * (LOOKS - 3), (1, 8, False), *[(1, 8, False)] * (LOOKS - 3))
    assert observer.looks(*[(1, 8, False)] * LOOKS)


def test_whoever_is_present_again_is_not_missing() -> None:
    observer = Observer()
    assert not observer.looks(HERE, *[GONE] * (LOOKS - 3), HERE)
    assert not observer.absence.is_somebody_missing


def test_after_an_outage_everybody_must_be_seen_anew() -> None:
    observer = Observer()
    observer.looks(HERE, GONE)
    observer.absence.forget()
    assert not observer.looks(*[GONE] * LOOKS)


def test_an_answer_from_before_the_outage_does_not_count() -> None:
    observer = Observer()
    asked_at = observer.time.now
    observer.time.now += 1
    observer.absence.forget()
    observer.absence.look({ONE: HERE}, asked_at)
    assert not observer.looks(*[GONE] * LOOKS)


def test_an_observer_that_stood_still_has_seen_nothing_meanwhile() -> None:
    assert not Observer().looks(HERE, GONE, GONE, seconds=60.0)


def test_who_may_be_missed_renews_in_time() -> None:
    lease = Lease(15.0)
    lease.is_present = False
    assert lease.renew_seconds == ALONE_RENEW_SECONDS
    assert 3 * ALONE_RENEW_SECONDS < CONFIRM_SECONDS


def test_in_doubt_nothing_is_dispatched_until_a_renewal_that_was_asked_for_later() -> None:
    time = Time()
    lease = Lease(15.0, time)
    lease.confirm(time.now)
    asked_at = time.now
    time.now += 0.1
    lease.doubt()
    lease.confirm(asked_at)
    assert lease.is_safe
    assert not lease.may_dispatch
    lease.confirm(time.now)
    assert lease.may_dispatch
