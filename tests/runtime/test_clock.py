"""Real and virtual time."""

from __future__ import annotations

from engine.runtime.clock import SystemClock, VirtualClock


def test_a_virtual_clock_stands_still_until_it_jumps():
    clock = VirtualClock(start=1_000)
    assert [clock.now(), clock.now()] == [1_000, 1_000]
    assert clock.jump(5_000)
    assert clock.now() == 5_000
    assert clock.skipped == 4_000


def test_a_jump_never_goes_back():
    clock = VirtualClock(start=1_000)
    assert clock.jump(500)
    assert (clock.now(), clock.skipped) == (1_000, 0)


def test_a_held_clock_goes_at_real_speed_and_does_not_jump():
    real = [50]
    clock = VirtualClock(start=1_000, real=lambda: real[0])
    clock.hold()
    clock.hold()
    real[0] += 300
    assert clock.now() == 1_300
    assert not clock.can_jump
    assert not clock.jump(9_000)
    clock.release()
    real[0] += 20
    assert clock.now() == 1_320
    clock.release()
    real[0] += 1_000_000
    assert clock.now() == 1_320
    assert clock.can_jump
    assert clock.skipped == 0


def test_real_time_is_a_hold_for_as_long_as_it_lasts():
    real = [0]
    clock = VirtualClock(start=0, real=lambda: real[0])
    with clock.real_time():
        real[0] += 7
    real[0] += 7
    assert clock.now() == 7


def test_the_system_clock_never_jumps():
    clock = SystemClock()
    assert not clock.jump(clock.now() + 1_000)
    assert clock.jump(clock.now())
    assert not clock.can_jump
