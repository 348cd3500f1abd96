"""How workers live, are declared dead, and are followed by others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine.store.protocol import ALL_TASKS, Checkpoint, Conflict, DurableStore, Group, OwnershipLost, Release, WorkerId
from tests.store.runs import Run, born, ids, parked, stop
from tests.store.store_suite import StoreSuite

if TYPE_CHECKING:
    from engine.store.library import Store


class WorkersSuite(StoreSuite):
    """A part of `DurableSuite`."""

    def test_a_dead_worker_writes_nothing_more(self, store: Store, worker: DurableStore, other: DurableStore):
        run, resting = born(worker), born(worker)
        self.bury(other)
        release = Release(execution_id=resting.id, seq=1, wake_at=0)
        for write in (
            lambda: worker.commit(Group(checkpoints=[run.next()])),
            lambda: worker.commit(Group(checkpoints=[Run().next()])),
            lambda: worker.commit(Group(releases=[release])),
            lambda: worker.claim(most=1),
            lambda: worker.claim_one(run.id),
            worker.renew,
            worker.recover,
        ):
            with pytest.raises(OwnershipLost):
                write()
        assert other.written([run.id]) == {run.id: 1}

    def test_what_a_dead_worker_owned_is_claimed_as_it_was_last_written(
        self, worker: DurableStore, other: DurableStore, client: DurableStore
    ):
        run = born(worker)
        letter = stop(run.id)
        client.deliver([letter])
        assert ids(other.claim(most=9)) == []
        self.bury(other)
        claim = other.claim(most=9).claimed[0]
        assert (claim.execution_id, claim.seq, claim.snapshot) == (run.id, 1, run.snapshot)
        assert [found.id for found in claim.mail] == [letter.id]
        assert claim.is_orphan
        run.write(other)
        assert not other.reload([run.id]).claimed[0].is_orphan

    def test_a_worker_is_declared_dead_only_as_it_was_seen(self, worker: DurableStore, other: DurableStore):
        ((worker_id, (epoch, heartbeat)),) = other.others().items()
        worker.renew()
        assert not other.declare_dead(worker_id, epoch=epoch, heartbeat=heartbeat)
        ((_, (epoch, heartbeat)),) = other.others().items()
        worker.recover()
        assert not other.declare_dead(worker_id, epoch=epoch, heartbeat=heartbeat)
        ((_, (epoch, heartbeat)),) = other.others().items()
        assert other.declare_dead(worker_id, epoch=epoch, heartbeat=heartbeat)
        assert not other.declare_dead(worker_id, epoch=epoch, heartbeat=heartbeat)
        assert other.others() == {}

    def test_enlisting_again_makes_a_new_worker(self, worker: DurableStore, other: DurableStore):
        run = born(worker)
        self.bury(other)
        old: WorkerId = worker.enlist(pools=("default",), host="here", pid=1)
        assert old in other.others()
        assert list(worker.owned()) == []
        assert ids(worker.claim(most=1)) == [run.id]

    def test_resigning_leaves_orphans_to_the_others(self, worker: DurableStore, other: DurableStore):
        run, resting = born(worker), parked(worker)
        worker.resign()
        assert other.others() == {}
        (claim,) = other.claim(most=9).claimed
        assert (claim.execution_id, claim.is_orphan, claim.deaths) == (run.id, True, 0)
        assert resting.id != run.id

    def test_one_that_never_enlisted_may_resign(self, client: DurableStore):
        client.resign()

    def test_a_release_keeps_the_mark_of_an_orphan(self, worker: DurableStore, other: DurableStore):
        run = born(worker)
        self.bury(other)
        other.claim(most=1)
        other.commit(Group(releases=[Release(execution_id=run.id, seq=1, wake_at=0)]))
        assert other.claim(most=1).claimed[0].is_orphan

    def test_an_orphan_stays_one_until_nothing_is_left_of_what_was_lost(
        self, worker: DurableStore, other: DurableStore
    ):
        run = born(worker)
        self.bury(other)
        assert other.claim(most=1).claimed[0].lost_tasks == ALL_TASKS
        run.write(other, lost_tasks=7)
        assert other.reload([run.id]).claimed[0].lost_tasks == 7
        run.write(other, lost_tasks=7, release=0)
        assert other.claim(most=1).claimed[0].lost_tasks == 7
        run.write(other)
        assert other.reload([run.id]).claimed[0].lost_tasks is None

    def test_checkpoints_of_suspects_ride_with_others_and_are_counted(self, worker: DurableStore):
        suspect, other = born(worker), born(worker)
        worker.commit(Group(checkpoints=[self._on(suspect, lost_tasks=2), self._on(other)]))
        assert worker.written([suspect.id, other.id]) == {suspect.id: 2, other.id: 2}
        suspect.seq += 1
        with pytest.raises(Conflict) as caught:
            worker.commit(Group(checkpoints=[suspect.next(lost_tasks=2), other.next()]))
        assert caught.value.execution_ids == {suspect.id}

    def test_a_recovered_worker_owns_what_it_owned(self, worker: DurableStore):
        run = born(worker)
        assert worker.recover() > 0
        assert list(worker.owned()) == [run.id]
        run.write(worker)
        assert worker.claim(most=1).claimed == []

    @pytest.mark.parametrize("gets_on", [False, True], ids=["", "though it gets on in another branch"])
    def test_what_kills_workers_is_alone_in_the_end_and_is_counted(self, store: Store, gets_on: bool):
        """Forty executions, one of which kills whoever runs it before any other one of them has a checkpoint."""
        first = self.enlisted(store)
        runs = [born(first) for _ in range(40)]
        poison = runs[17].id
        observer = self.enlisted(store, "nothing")
        sizes, deaths = [], 0
        for _ in range(60):
            self.bury(observer)
            victim = self.enlisted(store)
            claimed = victim.claim(most=100).claimed
            held = list(claimed)
            while poison not in [claim.execution_id for claim in held]:
                batch = [next(run for run in runs if run.id == claim.execution_id) for claim in claimed]
                victim.commit(Group(checkpoints=[self._on(run) for run in batch]))
                claimed = victim.claim(most=100).claimed
                assert claimed, "nothing is left to claim, but the poison was not met"
                held = list(claimed)
            sizes.append(len(held))
            deaths = next(claim.deaths for claim in held if claim.execution_id == poison)
            assert all(claim.deaths == 0 for claim in held if claim.execution_id != poison)
            if deaths:
                break
            if gets_on:
                victim.commit(Group(checkpoints=[self._on(runs[17], lost_tasks=3)]))
        assert deaths == 1
        assert sizes == sorted(sizes, reverse=True)
        assert sizes[-1] == 1

    @staticmethod
    def _on(run: Run, **fields: Any) -> Checkpoint:
        checkpoint = run.next(**fields)
        run.wrote(checkpoint)
        return checkpoint

    def test_what_one_has_no_handler_for_is_offered_to_the_others_at_once(
        self, store: Store, worker: DurableStore, other: DurableStore
    ):
        run = born(worker)
        later = Release(execution_id=run.id, seq=1, wake_at=worker.renew() + 5_000, missing=["r"])
        worker.commit(Group(releases=[later]))
        assert ids(other.claim(most=9)) == []
        assert ids(worker.claim(most=9, offered=True)) == []
        assert ids(other.claim(most=9, offered=True)) == [run.id]
        other.commit(Group(releases=[later]))
        assert ids(other.claim(most=9, offered=True)) == []
        assert ids(self.enlisted(store, "elsewhere").claim(most=9, offered=True)) == []
        assert ids(self.enlisted(store).claim(most=9, offered=True)) == [run.id]

    def test_the_presence_of_others_is_shown_beside_their_heartbeats(self, worker: DurableStore, other: DurableStore):
        worker.renew()
        ((worker_id, (epoch, heartbeat, _)),) = other.presence().items()
        assert other.others() == {worker_id: (epoch, heartbeat)}
