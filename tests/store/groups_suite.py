"""What a group writes: all of it or nothing, and what is to be read then."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from engine.errors import ExecutionDoesNotExist, ExecutionNotRedrivable
from engine.interpreter.messages import RedriveRequested, StartRequested
from engine.interpreter.snapshot import Ending, Frame, MapRole, Redrives, joined
from engine.store.protocol import Birth, Conflict, DurableStore, Group
from tests.store.runs import FAILED, REVISION, SUCCEEDED, Run, born, new_id, root, stop
from tests.store.store_suite import StoreSuite

if TYPE_CHECKING:
    from engine.store.library import Store


class GroupsSuite(StoreSuite):
    """A part of `DurableSuite`."""

    # ── groups ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def test_a_checkpoint_moves_the_execution_on(self, store: Store, worker: DurableStore):
        run = born(worker)
        run.write(worker, events=2)
        claim = worker.reload([run.id]).claimed[0]
        assert (claim.execution_id, claim.seq, claim.revision_id, claim.pool) == (run.id, 2, REVISION, "default")
        assert claim.snapshot == run.snapshot
        assert (claim.mail, claim.deaths, claim.is_orphan) == ([], 0, False)
        assert worker.written([run.id, new_id()]) == {run.id: 2}

    def test_the_answer_is_the_stores_clock_and_never_goes_back(self, worker: DurableStore):
        run = Run()
        times = [run.write(worker).now for _ in range(3)]
        assert times == sorted(times)
        assert times[-1] <= worker.renew()

    def test_a_group_is_written_for_all_its_executions(self, store: Store, worker: DurableStore):
        runs = [Run() for _ in range(20)]
        worker.commit(Group(checkpoints=[run.next(events=number + 1) for number, run in enumerate(runs)]))
        for number, run in enumerate(runs):
            assert len(store.history(run.arn)[0].events) == number + 1
        assert sorted(worker.owned()) == sorted(run.id for run in runs)

    def test_one_conflict_rolls_the_whole_group_back_and_names_its_execution(self, store: Store, worker: DurableStore):
        good, bad, new = born(worker), born(worker), Run()
        bad.seq += 1
        with pytest.raises(Conflict) as caught:
            worker.commit(Group(checkpoints=[good.next(), bad.next(), new.next()]))
        assert caught.value.execution_ids == {bad.id}
        assert worker.written([good.id, bad.id, new.id]) == {good.id: 1, bad.id: 1}
        good.write(worker)

    @pytest.mark.parametrize("over", [True, False])
    def test_only_the_owner_of_an_open_execution_writes_it(self, worker: DurableStore, other: DurableStore, over: bool):
        run = born(worker)
        if over:
            run.write(worker, ending=SUCCEEDED)
        with pytest.raises(Conflict) as caught:
            (worker if over else other).commit(Group(checkpoints=[run.next()]))
        assert caught.value.execution_ids == {run.id}

    def test_a_birth_that_is_written_already_is_a_conflict(self, worker: DurableStore):
        run = Run()
        worker.commit(Group(checkpoints=[run.next()]))
        with pytest.raises(Conflict) as caught:
            worker.commit(Group(checkpoints=[run.next()]))
        assert caught.value.execution_ids == {run.id}

    def test_a_nul_is_a_character_like_any_other(self, store: Store, worker: DurableStore):
        run = born(worker)
        run.write(worker, changed={(0, 0): root("S", variables={"x": "a\0b"})})
        assert worker.reload([run.id]).claimed[0].snapshot == run.snapshot
        run.write(worker, ending=Ending("FAILED", None, "E\0", "c\0"))
        assert store.execution(run.arn).ending == Ending("FAILED", None, "E\0", "c\0")

    def test_integers_keep_all_their_digits(self, worker: DurableStore):
        run = born(worker)
        run.write(worker, changed={(0, 0): root("S", variables={"x": 2**80})})
        assert worker.reload([run.id]).claimed[0].snapshot.frames[0, 0].variables == {"x": 2**80}

    @pytest.mark.parametrize("is_kept", [True, False])
    def test_what_begins_with_a_checkpoint_is_anybodys_or_its_writers(
        self, worker: DurableStore, other: DurableStore, is_kept: bool
    ):
        run, newborn = born(worker), Run()
        birth = Birth(execution=newborn.snapshot.execution, revision_id=REVISION)
        run.write(worker, born=[(newborn.id, birth)], keeps_born=is_kept)
        kept, claimed = worker.reload([newborn.id]).claimed, other.claim(most=9).claimed
        (claim,) = kept if is_kept else claimed
        assert len(kept) + len(claimed) == 1
        assert (claim.execution_id, claim.seq, claim.lost_tasks) == (newborn.id, 0, None)
        assert [mail.event for mail in claim.mail] == [StartRequested(None)]

    # ── frames ──────────────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("width", [0, 3, 200])
    def test_root_frames_are_read_without_the_others(self, store: Store, worker: DurableStore, width: int):
        run, over, parent, child = born(worker), born(worker), born(worker), Run()
        frames = {(1, place): Frame((1, place), (0, 0), "B", "x", 10) for place in range(width)}
        run.write(worker, changed={**frames, (0, 0): root("Wide")})
        over.write(worker, ending=SUCCEEDED)
        birth = Birth(execution=child.snapshot.execution, revision_id=REVISION)
        parent.write(worker, born=[(child.id, birth)])
        assert store.roots([run.id, over.id, child.id, new_id()]) == {run.id: root("Wide"), child.id: None}
        assert not store.roots([])

    @pytest.mark.parametrize(("width", "size"), [(3, 10), (3, 9_000), (17, 10), (200, 500)])
    def test_many_frames_come_back_as_they_were(self, worker: DurableStore, width: int, size: int):
        run = born(worker)
        branches = {(1, place): Frame((1, place), (0, 0), "B", "x" * size, size) for place in range(width)}
        run.write(worker, changed={**branches})
        assert worker.reload([run.id]).claimed[0].snapshot == run.snapshot
        for place in range(width):
            done = Frame((1, place), (0, 0), "C", "y" * size, size)
            run.write(worker, changed={(1, place): done if place % 2 else None})
        assert worker.reload([run.id]).claimed[0].snapshot == run.snapshot
        run.write(worker, changed={**dict.fromkeys(branches), (0, 0): root("Joined")})
        run.write(worker)
        assert worker.reload([run.id]).claimed[0].snapshot == run.snapshot
        assert len(run.snapshot.frames) == 1
        run.write(
            worker, changed={(2, place): Frame((2, place), (0, 0), "D", "z" * 9_000, 9_000) for place in range(20)}
        )
        assert worker.reload([run.id]).claimed[0].snapshot == run.snapshot

    @pytest.mark.parametrize("width", [3, 40])
    def test_transitions_that_are_written_together_lead_to_where_each_would_have_led(
        self, store: Store, worker: DurableStore, width: int
    ):
        """As Express executions write them."""
        run = born(worker)
        run.write(
            worker, changed={(1, place): Frame((1, place), (0, 0), "B", "x" * 500, 500) for place in range(width)}
        )
        before, seq, made = copy.deepcopy(run.snapshot), run.seq, []
        for place in range(width):
            came = {(2, place): Frame((2, place), (0, 0), "D", "z" * 500, 500)}
            for changed in (came, {(1, place): None, **(dict.fromkeys(came) if place % 2 else {})}):
                made.append(run.next(changed=changed, now=5_000 + len(made)))
                run.wrote(made[-1])
        together = msgspec.structs.replace(
            made[-1], seq=seq + 1, snapshot=before, transition=joined([one.transition for one in made])
        )
        worker.commit(Group(checkpoints=[together]))
        run.seq = together.seq
        assert worker.reload([run.id]).claimed[0].snapshot == run.snapshot
        assert store.history(run.arn)[-1].times == [(place, 5_000 + place) for place in range(len(made))]

    # ── endings and redrives ────────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("checkpoints", [0, 1, 2])
    def test_an_ending_closes_the_execution(self, store: Store, worker: DurableStore, checkpoints: int):
        run = Run()
        for _ in range(checkpoints):
            run.write(worker)
        run.write(worker, ending=SUCCEEDED, redrives=Redrives(2, 5))
        record = store.execution(run.arn)
        assert (record.status, record.ending, record.stop_date) == ("SUCCEEDED", SUCCEEDED, 1_000 + checkpoints)
        assert (record.redrives, record.last_event_id) == (Redrives(2, 5), checkpoints + 1)
        assert list(worker.owned()) == []
        assert worker.written([run.id]) == {run.id: checkpoints + 1}
        assert store.snapshot(run.arn) is None
        assert worker.claim_one(run.id) is None

    @pytest.mark.parametrize("width", [1, 40])
    def test_a_failed_execution_is_opened_again_where_it_stood(self, store: Store, worker: DurableStore, width: int):
        run = born(worker)
        run.write(
            worker, changed={(1, place): Frame((1, place), (0, 0), "B", place, 5) for place in range(width)}, events=2
        )
        run.write(worker, ending=FAILED)
        assert store.snapshot(run.arn) == run.snapshot
        execution_id, time = store.reopen(run.arn)
        assert execution_id == run.id
        record = store.execution(run.arn)
        assert (record.status, record.redrives) == ("RUNNING", Redrives(1, time))
        claim = worker.claim(most=5).claimed[0]
        assert (claim.seq, claim.snapshot, [letter.event for letter in claim.mail]) == (
            3,
            run.snapshot,
            [RedriveRequested(time)],
        )
        run.snapshot = claim.snapshot
        checkpoint = run.next(mail=[claim.mail[0].id], redrives=Redrives(1, time))
        worker.commit(Group(checkpoints=[checkpoint]))
        run.wrote(checkpoint)
        loaded = worker.reload([run.id]).claimed[0]
        assert (loaded.snapshot, loaded.mail) == (run.snapshot, [])
        record = store.execution(run.arn)
        assert (record.status, record.redrives, record.last_event_id) == ("RUNNING", Redrives(1, time), 5)

    def test_only_what_did_not_succeed_is_reopened(self, store: Store, worker: DurableStore):
        run, good = born(worker), born(worker)
        good.write(worker, ending=SUCCEEDED)
        for arn, reason in ((run.arn, "RUNNING"), (good.arn, "SUCCEEDED")):
            with pytest.raises(ExecutionNotRedrivable, match=f"Execution is {reason} and cannot be redriven"):
                store.reopen(arn)
        with pytest.raises(ExecutionDoesNotExist):
            store.reopen(run.arn + "x")

    @pytest.mark.parametrize("kind", ["RUN", "CHUNK"])
    def test_a_map_run_is_reopened_though_it_succeeded_and_its_chunks_are_not(
        self, store: Store, worker: DurableStore, kind: Any
    ):
        run = born(worker, map=MapRole(kind, "Each", 0, "arn:aws:states:us-east-1:123456789012:mapRun:m/L:r"))
        run.write(worker, ending=SUCCEEDED)
        if kind == "CHUNK":
            with pytest.raises(ExecutionNotRedrivable, match="Execution is SUCCEEDED and cannot be redriven"):
                store.reopen(run.arn)
            return
        store.reopen(run.arn)
        assert worker.claim(most=5).claimed[0].snapshot == run.snapshot

    def test_a_redrive_does_not_meet_the_mail_that_came_too_late(
        self, store: Store, worker: DurableStore, client: DurableStore
    ):
        run = born(worker)
        client.deliver([stop(run.id)])
        run.write(worker, ending=FAILED)
        _, time = store.reopen(run.arn)
        assert [letter.event for letter in worker.claim(most=1).claimed[0].mail] == [RedriveRequested(time)]
