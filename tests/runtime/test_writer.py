"""What becomes of groups, above all of those whose answer was lost."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest

from engine.interpreter.messages import StopRequested
from engine.runtime.clock import StoreClock
from engine.runtime.lease import Lease
from engine.runtime.writer import GROUP_MAX, Closing, Item, Writer, in_groups
from engine.store.memory import MemoryStore
from engine.store.protocol import NEVER_DUE, Committed, Release, StoreUnavailable, Unwritable
from tests.store.runs import Run, new_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.store.protocol import Checkpoint


class Line:
    """A handle that goes wrong as it is told to: `faults` are used up one call of `commit` after the other."""

    def __init__(self, store: MemoryStore) -> None:
        self.handle = store.handle()
        self.faults: list[str] = []
        self.recoveries: list[Exception] = []
        self.recovered = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.handle, name)

    def commit(self, group: Any) -> Committed:
        fault = self.faults.pop(0) if self.faults else None
        if fault == "before":
            raise StoreUnavailable("before")
        committed = self.handle.commit(group)
        if fault == "after":
            raise StoreUnavailable("after")
        return committed

    def recover(self) -> int:
        self.recovered += 1
        if self.recoveries:
            raise self.recoveries.pop(0)
        return self.handle.recover()


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def line(store: MemoryStore) -> Line:
    return Line(store)


class Time:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def lease() -> Lease:
    return Lease(15.0, Time())


@pytest.fixture
def writer(line: Line, lease: Lease) -> Writer:
    made = Writer(
        line,  # type: ignore[arg-type]  the rest comes from the handle
        lease=lease,
        clock=StoreClock(),
        chance=random.Random(1),
        pools=["default"],
        host="h",
        pid=1,
    )
    made.enlist()
    made.closing = NoWaiting()
    return made


class NoWaiting:
    """`closing`: nobody waits between two attempts."""

    def wait(self, seconds: float) -> bool:
        return False


def fates(answered: list[tuple[Item, str, str]]) -> list[str]:
    return [fate for _, fate, _ in answered]


def item(written: Checkpoint | Release, incarnation: int = 1) -> Item:
    return Item(written, incarnation, lambda fate, reason: None)


def born() -> Run:
    return Run(new_id())


def test_all_that_waits_is_one_group(writer: Writer):
    assert fates(writer.write([item(born().next()) for _ in range(5)])) == ["WRITTEN"] * 5
    assert (writer.commits, writer.written) == (1, 5)


def test_a_conflict_is_answered_alone_and_the_others_are_written(writer: Writer, store: MemoryStore):
    good, bad = born(), born()
    bad.seq = 3  # nobody ever wrote that
    answered = writer.write([item(bad.next()), item(good.next())])
    assert {one.written.execution_id: fate for one, fate, _ in answered} == {bad.id: "CONFLICT", good.id: "WRITTEN"}
    assert store.rows.keys() == {good.id}


def test_what_the_store_refuses_is_answered_with_its_reason(writer: Writer, line: Line, monkeypatch):
    good, bad = born(), born()

    def commit(group: Any) -> Committed:
        raise Unwritable([bad.id], "too large", Committed(now=1))

    monkeypatch.setattr(line, "commit", commit)
    answered = writer.write([item(bad.next()), item(good.next())])
    assert [(fate, reason) for _, fate, reason in answered] == [("UNWRITABLE", "too large"), ("WRITTEN", "")]


def test_a_group_whose_answer_was_lost_is_read_back_and_not_written_again(
    writer: Writer, line: Line, store: MemoryStore
):
    runs = [born(), born()]
    line.faults = ["after"]
    assert fates(writer.write([item(run.next()) for run in runs])) == ["WRITTEN"] * 2
    assert line.recovered == 1
    assert [store.rows[run.id].seq for run in runs] == [1, 1]


def test_a_group_that_never_arrived_is_written_again(writer: Writer, line: Line, store: MemoryStore):
    run = born()
    line.faults = ["before", "before"]
    assert fates(writer.write([item(run.next())])) == ["WRITTEN"]
    assert store.rows[run.id].seq == 1


@pytest.mark.parametrize(("fault", "fate"), [("after", "WRITTEN"), ("before", "KEPT")])
def test_a_release_of_which_nothing_is_known_is_read_back_and_never_made_again(
    writer: Writer, line: Line, store: MemoryStore, fault: str, fate: str
):
    run = born()
    writer.write([item(run.next())])
    line.faults = [fault]
    release = Release(execution_id=run.id, seq=1, wake_at=NEVER_DUE)
    assert fates(writer.write([item(release)])) == [fate]
    assert (store.rows[run.id].owner is None) == (fate == "WRITTEN")


def test_a_release_is_kept_when_mail_has_come(writer: Writer, line: Line, store: MemoryStore):
    run = born()
    writer.write([item(run.next())])
    store.put(store.rows[run.id], StopRequested(None, None))
    assert fates(writer.write([item(Release(execution_id=run.id, seq=1, wake_at=5))])) == ["KEPT"]


def declared_dead(store: MemoryStore) -> None:
    for worker in list(store.workers.values()):
        store.remove_worker(worker)


@pytest.mark.parametrize("faults", [[], ["before"]])
def test_a_worker_that_was_declared_dead_has_lost_all_it_wanted_to_write(
    writer: Writer, line: Line, lease: Lease, store: MemoryStore, faults: list[str]
):
    declared_dead(store)
    line.faults = faults
    assert lease.is_safe
    assert fates(writer.write([item(born().next()), item(born().next())])) == ["LOST", "LOST"]
    assert not lease.is_safe
    assert not store.rows


def test_what_an_earlier_incarnation_wanted_is_never_written(writer: Writer, store: MemoryStore):
    declared_dead(store)
    writer.enlist()
    assert fates(writer.write([item(born().next(), incarnation=1)])) == ["LOST"]
    assert fates(writer.write([item(born().next(), incarnation=2)])) == ["WRITTEN"]


def test_a_server_that_is_down_for_everybody_costs_no_lease(writer: Writer, line: Line, lease: Lease):
    time: Any = lease.monotonic
    line.faults = ["before"]
    line.recoveries = [StoreUnavailable("refused", nobody_is_connected=True) for _ in range(10)]

    def wait(seconds: float) -> bool:
        time.now += 5
        return False

    writer.closing.wait = wait  # type: ignore[method-assign]
    assert fates(writer.write([item(born().next())])) == ["WRITTEN"]
    assert time.now == 150
    assert lease.is_safe


def test_a_short_lease_is_not_slept_through(line: Line, writer: Writer, lease: Lease):
    time: Any = lease.monotonic
    lease.seconds = 2.0
    lease.confirm(time.now)
    line.faults = ["before"]
    line.recoveries = [StoreUnavailable("refused", nobody_is_connected=True) for _ in range(20)]
    was_safe = []

    def wait(seconds: float) -> bool:
        time.now += seconds
        was_safe.append(lease.is_safe)
        return False

    writer.closing.wait = wait  # type: ignore[method-assign]
    assert fates(writer.write([item(born().next())])) == ["WRITTEN"]
    assert all(was_safe)


def test_a_worker_that_alone_is_cut_off_dispatches_nothing_after_two_thirds_of_its_lease(
    writer: Writer, line: Line, lease: Lease
):
    time: Any = lease.monotonic
    time.now += 9
    line.handle.renew = raising(StoreUnavailable("timeout"))  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        writer.renew()
    assert lease.is_safe
    time.now += 2
    assert not lease.is_safe


def raising(error: Exception) -> Callable[[], Any]:
    def call() -> Any:
        raise error

    return call


def test_closing_does_not_wait_for_a_store_that_is_away(writer: Writer, line: Line, monkeypatch):
    line.faults = ["before"]
    line.recoveries = [StoreUnavailable()] * 3
    monkeypatch.setattr(writer.closing, "wait", lambda seconds: True)
    with pytest.raises(Closing):
        writer.write([item(born().next())])


def test_groups_are_bounded():
    items = [item(Release(execution_id=new_id(), seq=1, wake_at=1)) for _ in range(GROUP_MAX + 3)]
    assert [len(group) for group in in_groups(items)] == [GROUP_MAX, 3]
