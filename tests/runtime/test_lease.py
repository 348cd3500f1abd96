"""Who counts as alive, by monotonic clocks alone."""

from __future__ import annotations

from uuid import UUID

from engine.runtime.lease import Lease, Watch
from engine.store.protocol import WorkerId

OTHER = WorkerId(UUID(int=1))


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def looked(watch: Watch, time: Time, sign: tuple[int, int], *, seconds: int, every: float = 3.0) -> bool:
    """Whether the other was found dead while it showed the same sign for some seconds."""
    until = time.now + seconds
    dead = bool(watch.look({OTHER: sign}, time.now))
    while time.now < until and not dead:
        time.now += every
        dead = bool(watch.look({OTHER: sign}, time.now))
    return dead


def test_nothing_is_dispatched_before_the_first_renewal_or_long_after_the_last():
    time = Time()
    lease = Lease(15.0, time)
    assert not lease.is_safe
    lease.confirm(time.now)
    time.now += 9.9
    assert lease.is_safe
    time.now += 0.2
    assert not lease.is_safe


def test_a_renewal_counts_from_when_it_was_asked_for_and_an_older_one_changes_nothing():
    time = Time()
    lease = Lease(15.0, time)
    lease.confirm(100.0)
    lease.confirm(95.0)
    assert lease.unsafe_at == 110.0


def test_an_event_loop_that_stands_still_for_a_lease_does_not_deserve_to_be_renewed():
    time = Time()
    lease = Lease(15.0, time)
    time.now += 14
    assert lease.is_deserved
    time.now += 2
    assert not lease.is_deserved
    lease.show_life()
    assert lease.is_deserved


def test_a_worker_is_dead_when_its_heartbeat_stood_still_for_the_lease():
    time = Time()
    watch = Watch(Lease(15.0, time))
    assert not looked(watch, time, (1, 7), seconds=12)
    assert watch.look({OTHER: (1, 8)}, time.now) == []
    assert not looked(watch, time, (1, 8), seconds=12)
    time.now += 3
    assert watch.look({OTHER: (1, 8)}, time.now) == [(OTHER, (1, 8))]


def test_a_new_epoch_is_a_sign_of_life():
    time = Time()
    watch = Watch(Lease(15.0, time))
    assert not looked(watch, time, (1, 7), seconds=12)
    assert not looked(watch, time, (2, 7), seconds=12)


def test_after_a_lost_connection_everybody_is_counted_anew():
    time = Time()
    watch = Watch(Lease(15.0, time))
    assert not looked(watch, time, (1, 7), seconds=12)
    watch.forget()
    time.now += 60
    assert not looked(watch, time, (1, 7), seconds=12)
    assert looked(watch, time, (1, 7), seconds=6)


def test_one_long_gap_is_not_taken_for_a_whole_lease_of_silence():
    time = Time()
    watch = Watch(Lease(15.0, time))
    watch.look({OTHER: (1, 7)}, time.now)
    time.now += 600
    assert watch.look({OTHER: (1, 7)}, time.now) == []
