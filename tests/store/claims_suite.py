"""How mail comes to executions, and how these are claimed and released."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import msgspec
import pytest

from engine.errors import ExecutionDoesNotExist
from engine.interpreter.messages import ChildDone, StartRequested, TaskDone
from engine.interpreter.snapshot import MapRole
from engine.store.protocol import NEVER_DUE, Backlog, Birth, Conflict, DurableStore, Group, MailId, Release
from tests.store.runs import (
    FAILED,
    MACHINE,
    REVISION,
    SUCCEEDED,
    TASK,
    Run,
    born,
    ids,
    new_id,
    parked,
    stop,
    without_birth,
)
from tests.store.store_suite import StoreSuite

if TYPE_CHECKING:
    from engine.store.library import Store


class ClaimsSuite(StoreSuite):
    """A part of `DurableSuite`."""

    # ── mail ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_mail_comes_once_in_order_until_it_is_folded(self, worker: DurableStore, client: DurableStore):
        run = born(worker)
        first, second = stop(run.id, UUID(int=1)), stop(run.id, UUID(int=2))
        assert set(client.deliver([first])) == {first.id}
        assert set(client.deliver([first, second])) == {first.id, second.id}
        fetched = worker.fetch_mail([run.id])
        assert [letter.id for letter in fetched] == [first.id, second.id]
        assert all(letter.sent_at > 0 and letter.event == first.event for letter in fetched)
        run.write(worker, mail=[first.id])
        assert [letter.id for letter in worker.fetch_mail([run.id])] == [second.id]
        assert [letter.id for letter in worker.reload([run.id]).claimed[0].mail] == [second.id]

    def test_mail_of_a_checkpoint_comes_with_it_to_those_that_are_open(self, worker: DurableStore, other: DurableStore):
        """A child tells its parent of its end this way, and a parent stops its children."""
        parent, over, child = parked(worker), born(worker), born(worker)
        over.write(worker, ending=SUCCEEDED)
        told = msgspec.structs.replace(stop(parent.id), event=ChildDone(TaskDone(TASK, {"out": [1]}, 11)))
        child.write(worker, ending=SUCCEEDED, sent=[told, stop(over.id), stop(new_id())])
        (claim,) = other.claim(most=9).claimed
        assert claim.execution_id == parent.id
        assert [(mail.id, mail.event) for mail in claim.mail] == [(told.id, told.event)]
        assert claim.mail[0].sent_at > 0

    def test_mail_of_a_checkpoint_that_is_not_written_does_not_come(self, worker: DurableStore, other: DurableStore):
        parent, child = parked(worker), born(worker)
        child.seq += 1
        with pytest.raises(Conflict):
            worker.commit(Group(checkpoints=[child.next(ending=SUCCEEDED, sent=[stop(parent.id)])]))
        assert other.claim(most=9).claimed == []

    def test_executions_begin_with_a_checkpoint_of_another_one(self, worker: DurableStore, other: DurableStore):
        """What a Distributed Map begins is there exactly when it is durable that it was begun."""
        parent, child = born(worker), Run(list_key=f"{MACHINE}/map")
        birth = Birth(execution=child.snapshot.execution, revision_id=REVISION, pool="default")
        parent.write(worker, born=[(child.id, birth)])
        (claim,) = other.claim(most=9).claimed
        assert (claim.execution_id, claim.seq, claim.revision_id) == (child.id, 0, REVISION)
        assert claim.snapshot.execution == child.snapshot.execution
        assert [mail.event for mail in claim.mail] == [StartRequested()]

    def test_what_begins_with_a_checkpoint_is_listed_by_its_own_key(self, worker: DurableStore, store: Store):
        parent, child = born(worker), Run(list_key=f"{MACHINE}/map")
        birth = Birth(execution=child.snapshot.execution, revision_id=REVISION, pool="default")
        parent.write(worker, born=[(child.id, birth)])
        assert [record.execution_id for record in store.latest_executions(f"{MACHINE}/map")] == [child.id]
        assert child.id not in [record.execution_id for record in store.latest_executions(MACHINE)]

    def test_nothing_begins_with_a_checkpoint_that_is_not_written(self, worker: DurableStore, other: DurableStore):
        parent, child = born(worker), Run()
        parent.seq += 1
        birth = Birth(execution=child.snapshot.execution, revision_id=REVISION, pool="default")
        with pytest.raises(Conflict):
            worker.commit(Group(checkpoints=[parent.next(born=[(child.id, birth)])]))
        assert other.claim(most=9).claimed == []

    def chunks(self, worker: DurableStore, count: int) -> list[Run]:
        """Chunks of a map run, owned by nobody."""
        run = born(worker)
        role = MapRole("CHUNK", "S", 0, "arn", above=run.id)
        chunks = [Run(map=role, start_time=1_000 + place) for place in range(count)]
        births = [Birth(execution=chunk.snapshot.execution, revision_id=REVISION) for chunk in chunks]
        run.write(worker, born=[(chunk.id, birth) for chunk, birth in zip(chunks, births, strict=True)])
        return chunks

    def test_no_more_chunks_of_map_runs_are_claimed_than_wanted(self, worker: DurableStore, other: DurableStore):
        """A chunk has children for many places: who took all that are due would leave other workers idle."""
        chunks, due = self.chunks(worker, 4), parked(worker, 5_000)
        assert ids(other.claim(most=9, chunks=0)) == [due.id]
        assert other.next_due() is None
        assert ids(other.claim(most=9, chunks=1)) == [chunks[0].id]
        assert ids(worker.claim(most=9, chunks=2)) == [chunks[1].id, chunks[2].id]
        assert ids(other.claim(most=9)) == [chunks[3].id]

    def test_a_parked_chunk_that_has_mail_is_claimed_beside_those_that_are_wanted(
        self, worker: DurableStore, other: DurableStore, client: DurableStore
    ):
        chunk, _ = self.chunks(worker, 2)
        worker.claim(most=9, chunks=1)
        (mail,) = worker.fetch_mail([chunk.id])
        worker.commit(Group(checkpoints=[without_birth(chunk.next(mail=[mail.id], release=NEVER_DUE))]))
        assert ids(other.claim(most=9, chunks=0)) == []
        client.deliver([stop(chunk.id)])
        assert ids(other.claim(most=9, chunks=0)) == [chunk.id]

    def test_a_chunk_that_is_redriven_counts_as_one(self, store: Store, worker: DurableStore, other: DurableStore):
        chunk, _ = self.chunks(worker, 2)
        worker.claim(most=9)
        worker.commit(Group(checkpoints=[without_birth(chunk.next(ending=FAILED))]))
        store.reopen(chunk.arn)
        assert ids(other.claim(most=9, chunks=0)) == []
        assert ids(other.claim(most=9, chunks=1)) == [chunk.id]

    def test_mail_that_is_gone_already_is_no_fault(self, worker: DurableStore):
        run = born(worker)
        run.write(worker, mail=[MailId(uuid4())])

    def test_nobody_sends_mail_to_what_is_over_or_never_was(self, worker: DurableStore, client: DurableStore):
        run = born(worker)
        run.write(worker, ending=SUCCEEDED)
        assert not client.deliver([stop(run.id), stop(new_id())])
        assert not client.deliver([])

    # ── claims ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_what_is_due_is_claimed_longest_due_first_and_once(
        self, store: Store, worker: DurableStore, other: DurableStore
    ):
        runs = {wake_at: parked(worker, wake_at) for wake_at in (30, 10, 20)}
        parked(worker, NEVER_DUE)
        assert ids(other.claim(most=2)) == [runs[10].id, runs[20].id]
        assert ids(worker.claim(most=9)) == [runs[30].id]
        assert ids(other.claim(most=9)) == []

    def test_mail_wakes_a_parked_execution(self, worker: DurableStore, other: DurableStore, client: DurableStore):
        run = parked(worker)
        assert ids(other.claim(most=9)) == []
        letter = stop(run.id)
        client.deliver([letter])
        claim = other.claim(most=9).claimed[0]
        assert (claim.execution_id, [letter.id for letter in claim.mail]) == (run.id, [letter.id])

    def test_a_claim_takes_its_pools_only(self, store: Store, worker: DurableStore):
        mine, theirs = parked(worker, 0), parked(worker, 0, pool="gpu")
        two = self.enlisted(store, "gpu", "tpu")
        assert ids(two.claim(most=9)) == [theirs.id]
        assert two.claim_one(mine.id) is None
        assert ids(worker.claim(most=9)) == [mine.id]

    def test_a_claim_for_one_follows_the_same_rules(
        self, worker: DurableStore, other: DurableStore, client: DurableStore
    ):
        run = parked(worker)
        assert other.claim_one(run.id) is None
        client.deliver([stop(run.id)])
        claim = other.claim_one(run.id)
        assert claim is not None
        assert (claim.execution_id, len(claim.mail)) == (run.id, 1)
        assert worker.claim_one(run.id) is None
        assert worker.claim_one(new_id()) is None

    def test_the_next_due_is_the_earliest_of_its_pools(self, store: Store, worker: DurableStore):
        assert worker.next_due() is None
        parked(worker, NEVER_DUE)
        born(worker)
        assert worker.next_due() is None
        parked(worker, 70)
        parked(worker, 50)
        parked(worker, 10, pool="gpu")
        assert worker.next_due() == 50
        assert self.enlisted(store, "gpu").next_due() == 10

    def test_a_claim_tells_since_when_it_was_due(self, worker: DurableStore, other: DurableStore):
        due = worker.renew() - 5_000
        run = parked(worker, wake_at=due)
        (claim,) = other.claim(most=10).claimed
        assert (claim.execution_id, claim.wake_at) == (run.id, due)

    def test_the_backlog_is_what_nobody_has_and_how_long_it_has_been_due(self, store: Store, worker: DurableStore):
        pools = ["default"]
        assert store.backlog(pools) == Backlog(parked=0, overdue=0)
        born(worker)
        parked(worker)
        parked(worker, wake_at=worker.renew() + 60_000)
        assert store.backlog(pools) == Backlog(parked=2, overdue=0)
        assert store.backlog(["elsewhere"]) == Backlog(parked=0, overdue=0)
        parked(worker, wake_at=worker.renew() - 5_000)
        parked(worker, wake_at=0)  # a worker that drains gave it up: nobody knows since when it has been due
        backlog = store.backlog(pools)
        assert backlog.parked == 4
        assert 5_000 <= backlog.overdue < 60_000

    def test_reload_gives_only_what_is_owned(self, worker: DurableStore, other: DurableStore):
        mine, theirs = born(worker), born(other)
        claims = worker.reload([mine.id, theirs.id, new_id()])
        assert ids(claims) == [mine.id]
        assert claims.now > 0

    # ── releases ────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_a_release_without_a_checkpoint_waits_for_mail(
        self, worker: DurableStore, other: DurableStore, client: DurableStore
    ):
        quiet, busy = born(worker), born(worker)
        client.deliver([stop(busy.id)])
        group = Group(releases=[Release(execution_id=run.id, seq=1, wake_at=NEVER_DUE) for run in (quiet, busy)])
        assert set(worker.commit(group).kept) == {busy.id}
        assert list(worker.owned()) == [busy.id]
        assert ids(other.claim(most=9)) == []
        with pytest.raises(Conflict):
            quiet.write(worker)

    def test_releases_ride_with_checkpoints(self, worker: DurableStore):
        run, resting = born(worker), born(worker)
        group = Group(checkpoints=[run.next()], releases=[Release(execution_id=resting.id, seq=1, wake_at=5)])
        assert not worker.commit(group).kept
        assert ids(worker.claim(most=1)) == [resting.id]
        assert worker.written([run.id]) == {run.id: 2}

    def test_a_release_of_what_is_not_ours_is_a_conflict(self, worker: DurableStore, other: DurableStore):
        theirs, behind, over = born(other), born(worker), born(worker)
        behind.write(worker)
        over.write(worker, ending=SUCCEEDED)
        for run, seq in ((theirs, 1), (behind, 1), (over, 2)):
            with pytest.raises(Conflict) as caught:
                worker.commit(Group(releases=[Release(execution_id=run.id, seq=seq, wake_at=0)]))
            assert caught.value.execution_ids == {run.id}

    def test_mail_and_parking_never_miss_each_other(self, worker: DurableStore, client: DurableStore):
        """Whoever wins: the execution is kept, or claimable at once."""
        for release_first in (True, False):
            run = born(worker)
            if not release_first:
                client.deliver([stop(run.id)])
            run.write(worker, release=NEVER_DUE)
            if release_first:
                client.deliver([stop(run.id)])
            claim = worker.claim(most=1).claimed[0]
            assert (claim.execution_id, len(claim.mail)) == (run.id, 1)

    def test_missing_handlers_are_shown_until_the_next_checkpoint(self, store: Store, worker: DurableStore):
        run = born(worker)
        worker.commit(Group(releases=[Release(execution_id=run.id, seq=1, wake_at=0, missing=["arn:x", "arn:y"])]))
        assert list(store.execution(run.arn).missing) == ["arn:x", "arn:y"]
        worker.claim(most=1)
        run.write(worker)
        assert list(store.execution(run.arn).missing) == []

    def test_a_quarantined_execution_is_nobodys_until_it_is_resumed(
        self, store: Store, worker: DurableStore, client: DurableStore
    ):
        run = born(worker)
        client.deliver([stop(run.id)])
        release = Release(execution_id=run.id, seq=1, wake_at=0, quarantine="Traceback: \ud800 \0")
        assert not worker.commit(Group(releases=[release])).kept
        assert (store.execution(run.arn).quarantine or "").startswith("Traceback: ")
        assert ids(worker.claim(most=9)) == []
        assert worker.claim_one(run.id) is None
        assert worker.next_due() is None
        assert store.resume(run.arn) == run.id
        assert store.execution(run.arn).quarantine is None
        assert ids(worker.claim(most=9)) == [run.id]

    def test_whoever_resumes_an_execution_clears_it_of_the_deaths_of_its_workers(self, store: Store):
        first, second = self.enlisted(store), self.enlisted(store)
        run = born(first)
        self.bury(second)
        (claim,) = second.claim(most=9).claimed
        assert claim.deaths == 1
        second.commit(Group(releases=[Release(execution_id=run.id, seq=1, wake_at=NEVER_DUE, quarantine="dead")]))
        store.resume(run.arn)
        (claim,) = second.claim(most=9).claimed
        assert claim.deaths == 0

    def test_the_tasks_of_a_quarantined_execution_may_have_run(self, store: Store, worker: DurableStore):
        run = born(worker)
        worker.commit(Group(releases=[Release(execution_id=run.id, seq=1, wake_at=NEVER_DUE, quarantine="why")]))
        store.resume(run.arn)
        assert worker.claim(most=9).claimed[0].is_orphan

    def test_resuming_what_is_not_quarantined_changes_nothing(self, store: Store, worker: DurableStore):
        run, resting = born(worker), parked(worker)
        for one in (run, resting):
            store.resume(one.arn)
        assert list(worker.owned()) == [run.id]
        assert worker.claim(most=9).claimed == []

    def test_what_is_over_or_unknown_is_not_resumed(self, store: Store, worker: DurableStore):
        run = born(worker)
        run.write(worker, ending=SUCCEEDED)
        for arn in (run.arn, run.arn + "x"):
            with pytest.raises(ExecutionDoesNotExist):
                store.resume(arn)
