"""The writer's thread: what waits is one group, and answers come in the event loop."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from engine.runtime.clock import StoreClock
from engine.runtime.committer import DirectCommitter, GroupCommitter
from engine.runtime.lease import Lease
from engine.runtime.starter import Starter
from engine.runtime.writer import Writer
from engine.store.memory import MemoryStore
from engine.store.protocol import DEFAULT_POOL, NEVER_DUE, Release, StoreUnavailable
from tests.store.runs import Run, new_id
from tests.waiting import DEADLINE_SECONDS, until

if TYPE_CHECKING:
    from engine.store.protocol import Committed, Group

pytestmark = pytest.mark.anyio


class SlowLine:
    """A handle whose commits wait until they are let go."""

    def __init__(self, store: MemoryStore) -> None:
        self.handle = store.handle()
        self.groups: list[int] = []
        self.entered = threading.Semaphore(0)
        self.may_go = threading.Semaphore(0)
        self.renewed = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.handle, name)

    def commit(self, group: Group) -> Committed:
        self.groups.append(len(group.checkpoints) + len(group.releases))
        self.entered.release()
        self.may_go.acquire()
        return self.handle.commit(group)

    def renew(self) -> int:
        self.renewed.set()
        return self.handle.renew()


class Desk:
    """A committer with its line, and what was answered."""

    def __init__(self, *, lease_seconds: float = 15.0) -> None:
        self.store = MemoryStore()
        self.line = SlowLine(self.store)
        self.lease = Lease(lease_seconds)
        self.lost = anyio.Event()
        self.broken: list[BaseException] = []
        self.after = 0
        writer = Writer(
            self.line,  # type: ignore[arg-type]  the rest comes from the handle
            lease=self.lease,
            clock=StoreClock(),
            chance=random.Random(1),
            pools=[DEFAULT_POOL],
            host="h",
            pid=1,
        )
        self.starter = Starter(
            self.line,  # type: ignore[arg-type]
            on_lost=lambda worker_id: self.lost.set(),
            on_unsure=lambda: None,
            on_broken=self.broken.append,
            after=self._after,
        )
        self.committer = GroupCommitter(
            writer, self.lease, self.starter, on_lost=self.lost.set, on_broken=self.broken.append, after=self._after
        )
        self.fates: list[str] = []
        self._changed = anyio.Event()

    async def __aenter__(self) -> Desk:
        enlisted = anyio.Event()
        self.committer.enlist(lambda outcome: enlisted.set())
        await enlisted.wait()
        self.line.renewed.clear()
        return self

    async def __aexit__(self, *error: object) -> None:
        for _ in range(100):
            self.line.may_go.release()
        self.starter.close()
        self.committer.close()
        await anyio.to_thread.run_sync(self.committer.join, DEADLINE_SECONDS)

    def _after(self) -> None:
        self.after += 1
        self._changed.set()

    def submit(self, count: int = 1) -> None:
        for _ in range(count):
            self.committer.submit(Run(new_id()).next(), lambda fate, reason: self.fates.append(fate))

    async def entered(self) -> None:
        await anyio.to_thread.run_sync(self.line.entered.acquire)

    async def answered(self, count: int) -> None:
        while len(self.fates) < count:
            self._changed = anyio.Event()
            if len(self.fates) < count:
                await self._changed.wait()


async def test_a_group_begins_when_the_one_before_is_over_with_all_that_waits_by_then():
    async with Desk() as desk:
        desk.submit()
        await desk.entered()
        desk.submit(7)
        assert desk.committer.pending == 8
        for _ in range(2):
            desk.line.may_go.release()
        await desk.answered(8)
        assert desk.line.groups == [1, 7]
        assert desk.fates == ["WRITTEN"] * 8
        assert desk.committer.pending == 0


async def test_answers_come_in_the_event_loop():
    async with Desk() as desk:
        threads: list[int] = []
        desk.committer.submit(Run(new_id()).next(), lambda fate, reason: threads.append(threading.get_ident()))
        desk.line.may_go.release()
        while not threads:
            await anyio.lowlevel.checkpoint()
        assert threads == [threading.get_ident()]


async def test_the_lease_is_renewed_while_there_is_nothing_to_write():
    async with Desk(lease_seconds=0.05) as desk:
        await until(lambda: desk.line.renewed.is_set() and desk.lease.is_safe)


async def test_an_event_loop_that_stood_still_is_not_kept_alive():
    async with Desk(lease_seconds=0.05) as desk:
        await until(lambda: not desk.lease.is_deserved)
        desk.submit()
        desk.line.may_go.release()
        await desk.answered(1)  # so no renewal is on its way any more
        desk.line.renewed.clear()
        assert not await anyio.to_thread.run_sync(desk.line.renewed.wait, 0.1)
        assert not desk.lease.is_safe


async def test_a_worker_that_was_declared_dead_is_told_once_it_writes():
    async with Desk() as desk:
        for worker in list(desk.store.workers.values()):
            desk.store.remove_worker(worker)
        desk.submit()
        desk.line.may_go.release()
        with anyio.fail_after(DEADLINE_SECONDS):
            await desk.lost.wait()
        assert desk.fates == ["LOST"]


async def test_leaving_does_not_wait_for_a_store_that_is_away(monkeypatch):
    def away(*args: Any) -> Any:
        raise StoreUnavailable

    async with Desk() as desk:
        desk.line.recover = away  # type: ignore[attr-defined]
        desk.line.handle.commit = away  # type: ignore[method-assign]
        desk.submit()
    assert not desk.committer._thread.is_alive()
    assert desk.fates == []


async def test_an_error_of_ours_in_the_thread_is_told(monkeypatch):
    def wrong(*args: Any) -> Any:
        raise AssertionError("planted")

    async with Desk() as desk:
        monkeypatch.setattr(desk.line.handle, "commit", wrong)
        desk.submit()
        desk.line.may_go.release()
        await until(lambda: desk.broken)
        assert [str(error) for error in desk.broken] == ["planted"]


async def test_an_error_of_ours_in_an_answer_is_told():
    def wrong(fate: str, reason: str) -> None:
        raise AssertionError("planted")

    async with Desk() as desk:
        desk.committer.submit(Run(new_id()).next(), wrong)
        desk.line.may_go.release()
        await until(lambda: desk.broken)
        assert desk.committer.pending == 0


async def test_the_store_of_one_process_answers_at_once():
    store = MemoryStore()
    handle = store.handle()
    handle.enlist(pools=[DEFAULT_POOL], host="", pid=0)
    committer, fates = DirectCommitter(handle), []
    run = Run(new_id())
    committer.submit(run.next(), lambda fate, reason: fates.append(fate))
    committer.submit(Release(execution_id=run.id, seq=1, wake_at=NEVER_DUE), lambda fate, reason: fates.append(fate))
    committer.submit(Release(execution_id=run.id, seq=1, wake_at=NEVER_DUE), lambda fate, reason: fates.append(fate))
    assert fates == ["WRITTEN", "WRITTEN", "CONFLICT"]
