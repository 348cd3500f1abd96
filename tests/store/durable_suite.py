"""What every store promises to a fleet of workers. A backend's test module gives a `store` fixture and subclasses
`DurableSuite`.

Two handles of one store are two workers on the same data.
"""

from __future__ import annotations

import copy
import threading
from itertools import count
from queue import SimpleQueue
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from engine.errors import (
    ExecutionAlreadyExists,
    ExecutionDoesNotExist,
    ExecutionNotRedrivable,
    InvalidToken,
    StateMachineAlreadyExists,
    StateMachineDoesNotExist,
    TaskTimedOut,
)
from engine.interpreter.messages import RedriveRequested, StartRequested, StopRequested, TaskDone, TaskError
from engine.interpreter.snapshot import Ending, Execution, Frame, OnTask, Redrives, Snapshot, Transition, joined
from engine.store.hints import Hint, HintKind, NoHints
from engine.store.library import StateMachineRecord, Store
from engine.store.protocol import (
    ALL_TASKS,
    NEVER_DUE,
    Backlog,
    Birth,
    Checkpoint,
    Committed,
    Conflict,
    DurableStore,
    ExecutionId,
    Group,
    Mail,
    MailId,
    OwnershipLost,
    Release,
    RevisionId,
    WorkerId,
    uuid7,
)
from tests.store.postgres.waiting import until

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:m"
REVISION = RevisionId(UUID(int=7))
SUCCEEDED = Ending("SUCCEEDED", {"out": 1})
FAILED = Ending("FAILED", None, "E", "c", "S1", (0, 0))
TASK = (0, 0, 1)
DAY_MS = 86_400_000

_bits = count(1)


def new_id() -> ExecutionId:
    return ExecutionId(uuid7(1_700_000_000_000, next(_bits)))


def execution(name: str, machine: str = MACHINE, **fields: Any) -> Execution:
    given: dict[str, Any] = {
        "arn": machine.replace(":stateMachine:", ":execution:") + f":{name}",
        "name": name,
        "type": "STANDARD",
        "role_arn": "arn:aws:iam::123456789012:role/r",
        "state_machine_arn": machine,
        "state_machine_name": machine.rpartition(":")[2],
        "input": {"a": 1},
        "input_bytes": 7,
        "start_time": 1_000,
        "payload_bytes_max": 262_144,
        "history_events_max": 25_000,
        "region": "us-east-1",
    }
    return Execution(**given | fields)


def root(state: str, **fields: Any) -> Frame:
    return Frame((0, 0), None, state, {"in": state}, 10, **fields)


class Run:
    """One execution as a worker that owns it keeps it: it makes the checkpoints, and moves on when they are written."""

    def __init__(self, execution_id: ExecutionId | None = None, *, pool: str = "default", **fields: Any) -> None:
        self.id = execution_id or new_id()
        self.snapshot = Snapshot(execution=execution(str(self.id), **fields))
        self.seq = 0
        self.pool = pool

    @property
    def arn(self) -> str:
        return self.snapshot.execution.arn

    def next(
        self, *, changed: dict[tuple[int, int], Frame | None] | None = None, ending: Ending | None = None, **fields: Any
    ) -> Checkpoint:
        last = self.snapshot.last_event_id
        events = fields.pop("events", 1)
        transition = Transition(
            changed={(0, 0): root(f"S{self.seq + 1}")} if changed is None else changed,
            counter=self.snapshot.counter + 1,
            first_event_id=last + 1,
            now=fields.pop("now", 1_000 + self.seq),
            history=[(0, last + place, None, {"n": place}) for place in range(events)],
            commands=[],
            redrives=fields.pop("redrives", self.snapshot.redrives),
            ending=ending,
        )
        birth = Birth(execution=self.snapshot.execution, revision_id=REVISION, pool=self.pool)
        return Checkpoint(
            execution_id=self.id,
            seq=self.seq + 1,
            snapshot=self.snapshot,
            transition=transition,
            birth=birth if self.seq == 0 else None,
            **fields,
        )

    def wrote(self, checkpoint: Checkpoint) -> None:
        self.snapshot.apply(checkpoint.transition)
        self.seq = checkpoint.seq

    def write(self, worker: DurableStore, **fields: Any) -> Committed:
        checkpoint = self.next(**fields)
        committed = worker.commit(Group(checkpoints=[checkpoint]))
        self.wrote(checkpoint)
        return committed


def born(worker: DurableStore, **fields: Any) -> Run:
    """An execution with its first checkpoint, owned by this worker."""
    run = Run(**fields)
    run.write(worker)
    return run


def parked(worker: DurableStore, wake_at: int = NEVER_DUE, **fields: Any) -> Run:
    """An execution with its first checkpoint, owned by nobody."""
    run = Run(**fields)
    run.write(worker, release=wake_at)
    return run


def stop(run_id: ExecutionId, mail_id: UUID | None = None) -> Mail:
    return Mail(id=MailId(mail_id or uuid4()), execution_id=run_id, event=StopRequested("E", "c"))


def ids(claims: Any) -> list[ExecutionId]:
    return [claim.execution_id for claim in claims.claimed]


class DurableSuite:
    """The promises."""

    @pytest.fixture
    def worker(self, store: Store) -> DurableStore:
        return self.enlisted(store)

    @pytest.fixture
    def other(self, store: Store) -> DurableStore:
        return self.enlisted(store)

    @pytest.fixture
    def client(self, store: Store) -> DurableStore:
        return store.handle()

    def enlisted(self, store: Store, *pools: str) -> DurableStore:
        handle = store.handle()
        handle.enlist(pools=pools or ("default",), host="here", pid=1)
        return handle

    def bury(self, observer: DurableStore) -> None:
        """Declares all other workers dead."""
        for worker_id, (epoch, heartbeat) in observer.others().items():
            assert observer.declare_dead(worker_id, epoch=epoch, heartbeat=heartbeat)

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

    # ── frames ──────────────────────────────────────────────────────────────────────────────────────────────────────

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

    # ── retention ───────────────────────────────────────────────────────────────────────────────────────────────────

    def test_executions_that_finished_long_ago_go_and_open_ones_stay(self, store: Store, worker: DurableStore):
        now = worker.now()
        gone, failed, late, run = (born(worker) for _ in range(4))
        gone.write(worker, ending=SUCCEEDED, now=now - 31 * DAY_MS)
        failed.write(worker, ending=FAILED, now=now - 31 * DAY_MS)
        late.write(worker, ending=FAILED, now=now - 29 * DAY_MS)
        assert store.gc().executions == 0
        assert store.gc(older_than=30 * DAY_MS, dry_run=True).executions == 2
        assert store.gc(older_than=30 * DAY_MS).executions == 2
        for over in (gone, failed):
            with pytest.raises(ExecutionDoesNotExist):
                store.execution(over.arn)
            with pytest.raises(ExecutionDoesNotExist):
                store.history(over.arn)
        assert {record.execution_id for record in store.executions(MACHINE)} == {late.id, run.id}
        assert (len(store.history(late.arn)), len(store.history(run.arn))) == (2, 1)
        run.write(worker)
        assert store.reopen(late.arn)[0] == late.id
        assert store.gc(older_than=30 * DAY_MS).executions == 0

    @pytest.mark.parametrize("dry_run", [True, False])
    def test_nothing_goes_before_it_is_a_day_old(self, store: Store, dry_run: bool):
        with pytest.raises(ValueError, match="expected a day at least"):
            store.gc(older_than=DAY_MS - 1, dry_run=dry_run)
        with pytest.raises(ValueError, match="expected a day at least"):
            store.sweep(retention=0, proceed=lambda: True)

    def test_a_fleet_sweeps_by_the_same_rule(self, store: Store, worker: DurableStore):
        run = born(worker)
        run.write(worker, ending=SUCCEEDED, now=worker.now() - 2 * DAY_MS)
        assert store.sweep(retention=None, proceed=lambda: True).executions == 0
        assert store.sweep(retention=DAY_MS, proceed=lambda: True).executions == 1

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

    def test_a_redrive_does_not_meet_the_mail_that_came_too_late(
        self, store: Store, worker: DurableStore, client: DurableStore
    ):
        run = born(worker)
        client.deliver([stop(run.id)])
        run.write(worker, ending=FAILED)
        _, time = store.reopen(run.arn)
        assert [letter.event for letter in worker.claim(most=1).claimed[0].mail] == [RedriveRequested(time)]

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

    # ── workers ─────────────────────────────────────────────────────────────────────────────────────────────────────

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

    # ── starts by name that are owned from birth ────────────────────────────────────────────────────────────────────

    @staticmethod
    def named(name: str, *, input_text: str | None = '{"a": 1}', **fields: Any) -> Checkpoint:
        """The first checkpoint of an execution with a name of the caller's."""
        run = Run()
        run.snapshot = Snapshot(execution=execution(name))
        checkpoint = run.next(**fields)
        birth = Birth(execution=execution(name), revision_id=REVISION, input_text=input_text, is_named=True)
        return msgspec.structs.replace(checkpoint, birth=birth)

    def enlisted_as(self, store: Store) -> tuple[WorkerId, DurableStore]:
        handle = store.handle()
        return handle.enlist(pools=["default"], host="here", pid=1), handle

    def test_those_whose_names_are_free_are_written_and_owned(self, store: Store, client: DurableStore):
        worker_id, worker = self.enlisted_as(store)
        client.start_named(new_id(), self.birth("taken"))
        first, taken, second = self.named("a"), self.named("taken"), self.named("b")
        started = worker.start_all(worker_id, [first, taken, second])
        assert set(started) == {first.execution_id, second.execution_id}
        assert set(worker.owned()) == {first.execution_id, second.execution_id}
        assert worker.written([first.execution_id]) == {first.execution_id: 1}
        assert store.execution(execution("a").arn).execution_id == first.execution_id
        loaded = worker.reload([second.execution_id]).claimed[0]
        assert (loaded.seq, loaded.mail, list(loaded.snapshot.frames)) == (1, [], [(0, 0)])

    def test_a_name_that_was_started_so_is_taken(self, store: Store, client: DurableStore):
        worker_id, worker = self.enlisted_as(store)
        mine = self.named("n")
        worker.start_all(worker_id, [mine])
        assert worker.start_all(worker_id, [self.named("n")]) in ([], ())
        assert client.start_named(new_id(), self.birth("n")) == (mine.execution_id, False)
        assert client.start_named(mine.execution_id, self.birth("n")) == (mine.execution_id, True)
        with pytest.raises(ExecutionAlreadyExists):
            client.start_named(new_id(), self.birth("n", "{}"))

    def test_the_same_start_made_again_is_left_to_start_named(self, store: Store, client: DurableStore):
        worker_id, worker = self.enlisted_as(store)
        mine = self.named("n")
        worker.start_all(worker_id, [mine])
        assert list(worker.start_all(worker_id, [mine])) == []
        assert worker.written([mine.execution_id]) == {mine.execution_id: 1}

    def test_one_that_is_over_at_once_keeps_its_name(self, store: Store, client: DurableStore):
        worker_id, worker = self.enlisted_as(store)
        mine = self.named("n", ending=SUCCEEDED)
        assert list(worker.start_all(worker_id, [mine])) == [mine.execution_id]
        assert store.execution(execution("n").arn).status == "SUCCEEDED"
        with pytest.raises(ExecutionAlreadyExists):
            client.start_named(new_id(), self.birth("n"))

    def test_a_dead_worker_starts_nothing(self, store: Store, other: DurableStore, client: DurableStore):
        worker_id, worker = self.enlisted_as(store)
        self.bury(other)
        with pytest.raises(OwnershipLost):
            worker.start_all(worker_id, [self.named("n")])
        assert client.start_named(new_id(), self.birth("n"))[1]

    def test_what_the_worker_before_wanted_to_start_is_not_the_next_ones(self, store: Store):
        worker_id, worker = self.enlisted_as(store)
        worker.enlist(pools=["default"], host="here", pid=1)
        with pytest.raises(OwnershipLost):
            worker.start_all(worker_id, [self.named("n")])
        assert list(worker.owned()) == []

    # ── starts by name ──────────────────────────────────────────────────────────────────────────────────────────────

    def birth(self, name: str, input_text: str | None = '{"a": 1}', **fields: Any) -> Birth:
        return Birth(execution=execution(name, **fields), revision_id=REVISION, input_text=input_text)

    def test_a_named_start_is_due_at_once_and_begins_with_its_request(
        self, store: Store, worker: DurableStore, client: DurableStore
    ):
        given = new_id()
        assert client.start_named(given, self.birth("n")) == (given, True)
        assert store.execution(execution("n").arn).status == "RUNNING"
        client.deliver([stop(given)])
        claim = worker.claim(most=1).claimed[0]
        assert (claim.execution_id, claim.seq, claim.snapshot) == (given, 0, Snapshot(execution=execution("n")))
        assert [letter.event for letter in claim.mail] == [StartRequested('{"a": 1}'), StopRequested("E", "c")]
        run = Run(given)
        run.snapshot = claim.snapshot
        checkpoint = run.next(mail=[claim.mail[0].id])
        worker.commit(Group(checkpoints=[without_birth(checkpoint)]))
        assert [letter.event for letter in worker.fetch_mail([given])] == [StopRequested("E", "c")]
        assert worker.written([given]) == {given: 1}

    def test_the_same_start_again_finds_the_running_execution(self, client: DurableStore):
        first = new_id()
        client.start_named(first, self.birth("n"))
        assert client.start_named(new_id(), self.birth("n", start_time=5)) == (first, False)
        assert client.start_named(first, self.birth("n")) == (first, True)

    @pytest.mark.parametrize("text", ['{"a":1}', "{}", None])
    def test_the_same_name_with_other_bytes_is_refused(self, client: DurableStore, text: str | None):
        client.start_named(new_id(), self.birth("n"))
        with pytest.raises(ExecutionAlreadyExists, match="Execution Already Exists: 'arn"):
            client.start_named(new_id(), self.birth("n", text))

    def test_a_closed_execution_keeps_its_name(self, worker: DurableStore, client: DurableStore):
        given = new_id()
        client.start_named(given, self.birth("n"))
        run = Run(given)
        run.snapshot = worker.claim(most=1).claimed[0].snapshot
        worker.commit(Group(checkpoints=[without_birth(run.next(ending=SUCCEEDED))]))
        with pytest.raises(ExecutionAlreadyExists):
            client.start_named(new_id(), self.birth("n"))
        assert client.start_named(given, self.birth("n")) == (given, True)

    def test_other_machines_may_use_the_same_name(self, client: DurableStore):
        client.start_named(new_id(), self.birth("n"))
        assert client.start_named(new_id(), self.birth("n", machine=MACHINE + "2"))[1]

    def test_a_start_without_a_name_of_its_own_takes_its_id(self, store: Store, client: DurableStore):
        given = new_id()
        assert client.start_named(given, self.birth(str(given))) == (given, True)
        assert client.start_named(given, self.birth(str(given))) == (given, True)
        assert store.execution(execution(str(given)).arn).execution_id == given
        with pytest.raises(ExecutionAlreadyExists):
            client.start_named(new_id(), self.birth(str(given), "other"))

    def test_one_of_many_starts_at_once_wins(self, store: Store):
        answers: list[tuple[ExecutionId, bool]] = []

        def start() -> None:
            answers.append(store.handle().start_named(new_id(), self.birth("n")))

        at_once(start, 8)
        assert len(answers) == 8
        assert sum(is_new for _, is_new in answers) == 1
        assert len({execution_id for execution_id, _ in answers}) == 1

    # ── task tokens ─────────────────────────────────────────────────────────────────────────────────────────────────

    def waiting(self, worker: DurableStore, *tokens: str) -> Run:
        run = born(worker)
        frame = root("T", waiting=OnTask(TASK, task_token=tokens[0]))
        run.write(worker, changed={(0, 0): frame}, tokens_opened=[(token, TASK) for token in tokens])
        return run

    @pytest.mark.parametrize("event", [TaskDone((9, 9, 9), {"x": 1}, 7), TaskError((9, 9, 9), None, None)])
    def test_a_token_is_taken_once_and_becomes_mail(self, worker: DurableStore, client: DurableStore, event: Any):
        run = self.waiting(worker, "t")
        assert client.take_token("t", event) == run.id
        (letter,) = worker.fetch_mail([run.id])
        assert type(letter.event) is type(event)
        assert letter.event.task_id == TASK  # type: ignore[union-attr]
        for again in (lambda: client.take_token("t", event), lambda: client.heartbeat_token("t")):
            with pytest.raises(TaskTimedOut):
                again()

    def test_one_of_many_takers_wins(self, store: Store, worker: DurableStore):
        run = self.waiting(worker, "t")
        won: list[ExecutionId] = []
        late: list[Exception] = []

        def take() -> None:
            try:
                won.append(store.handle().take_token("t", TaskDone(TASK, 1, 1)))
            except TaskTimedOut as error:
                late.append(error)

        at_once(take, 20)
        assert (won, len(late)) == ([run.id], 19)
        assert len(worker.fetch_mail([run.id])) == 1

    def test_an_unknown_token_is_invalid(self, client: DurableStore):
        for ask in (lambda: client.take_token("no", TaskDone(TASK, 1, 1)), lambda: client.heartbeat_token("\ud800")):
            with pytest.raises(InvalidToken):
                ask()

    def test_a_token_wakes_a_parked_execution(self, worker: DurableStore, client: DurableStore):
        run = self.waiting(worker, "t")
        run.write(worker, release=NEVER_DUE)
        client.take_token("t", TaskDone(TASK, 1, 1))
        assert ids(worker.claim(most=1)) == [run.id]

    def test_a_checkpoint_that_closes_a_taken_token_is_a_conflict(self, worker: DurableStore, client: DurableStore):
        run, bystander = self.waiting(worker, "t", "u"), born(worker)
        client.take_token("t", TaskDone(TASK, 1, 1))
        for checkpoint in (run.next(tokens_closed=["t"]), run.next(tokens_closed=["u", "t"], ending=FAILED)):
            with pytest.raises(Conflict) as caught:
                worker.commit(Group(checkpoints=[bystander.next(), checkpoint]))
            assert caught.value.execution_ids == {run.id}
        run.write(worker, tokens_closed=["u"])

    def test_closed_tokens_and_those_of_what_is_over_are_late(self, worker: DurableStore, client: DurableStore):
        run = self.waiting(worker, "a", "b")
        run.write(worker, tokens_closed=["a"])
        run.write(worker, ending=FAILED)
        for token in ("a", "b"):
            with pytest.raises(TaskTimedOut):
                client.take_token(token, TaskDone(TASK, 1, 1))
            with pytest.raises(TaskTimedOut):
                client.heartbeat_token(token)

    def test_a_token_that_is_given_up_as_it_is_minted_is_no_conflict(self, worker: DurableStore):
        born(worker).write(worker, tokens_opened=[("t", TASK)], tokens_closed=["t"])

    def test_a_heartbeat_is_remembered_for_its_task(self, worker: DurableStore, client: DurableStore):
        run = self.waiting(worker, "t")
        assert worker.last_heartbeat(run.id, TASK) is None
        client.heartbeat_token("t")
        at = worker.last_heartbeat(run.id, TASK)
        assert at is not None
        assert 0 < at <= worker.renew()
        assert worker.last_heartbeat(run.id, (0, 0, 2)) is None

    # ── the library ─────────────────────────────────────────────────────────────────────────────────────────────────

    def record(self, **fields: Any) -> StateMachineRecord:
        given: dict[str, Any] = {
            "arn": MACHINE,
            "name": "m",
            "type": "STANDARD",
            "definition": "{}",
            "creation_date": 5,
        }
        return StateMachineRecord(**{**given, "revision_id": RevisionId(uuid4()), **fields})

    def test_a_state_machine_is_kept_and_the_first_creation_counts(self, store: Store):
        first = store.create_state_machine(self.record())
        assert store.create_state_machine(self.record(creation_date=9)) == first
        assert store.state_machine(MACHINE) == store.revision(first.revision_id) == first

    @pytest.mark.parametrize("other", [{"definition": "{ }"}, {"type": "EXPRESS"}])
    def test_another_creation_of_the_same_name_is_refused(self, store: Store, other: dict[str, Any]):
        store.create_state_machine(self.record())
        with pytest.raises(StateMachineAlreadyExists, match=MACHINE):
            store.create_state_machine(self.record(**other))

    def test_a_deployment_makes_a_revision_and_keeps_the_old_ones(self, store: Store):
        first, second = store.deploy(self.record()), store.deploy(self.record(definition="[]"))
        assert (second.definition, second.creation_date) == ("[]", 5)
        assert store.state_machine(MACHINE) == second
        assert store.revision(first.revision_id).definition == "{}"
        assert store.deploy(self.record(definition="[]")).revision_id == second.revision_id
        with pytest.raises(StateMachineAlreadyExists):
            store.deploy(self.record(type="EXPRESS"))

    def test_an_unknown_state_machine_does_not_exist(self, store: Store):
        with pytest.raises(StateMachineDoesNotExist, match=MACHINE):
            store.state_machine(MACHINE)

    def test_history_is_what_was_committed_in_order(self, store: Store, worker: DurableStore):
        run = Run()
        run.write(worker, events=2)
        run.write(worker, events=0)
        run.write(worker, events=3, ending=SUCCEEDED)
        segments = store.history(run.arn)
        assert [(segment.first_event_id, len(segment.events)) for segment in segments] == [(1, 2), (3, 3)]

    def test_an_unknown_execution_does_not_exist(self, store: Store):
        for arn in (execution("x").arn, execution(str(new_id())).arn, "arn:x", "x"):
            for ask in (store.execution, store.history, store.snapshot):
                with pytest.raises(ExecutionDoesNotExist, match=f"Execution Does Not Exist: '{arn}'"):
                    ask(arn)

    def test_executions_are_listed_newest_first_by_machine_and_status(self, store: Store, worker: DurableStore):
        runs = [born(worker) for _ in range(4)]
        born(worker, machine=MACHINE + "2")
        runs[1].write(worker, ending=FAILED)
        runs[2].write(worker, ending=SUCCEEDED)
        wanted = {None: [3, 2, 1, 0], "RUNNING": [3, 0], "FAILED": [1], "SUCCEEDED": [2], "ABORTED": []}
        for status, places in wanted.items():
            found = store.executions(MACHINE, status=status)  # type: ignore[arg-type]
            assert [record.execution_id for record in found] == [runs[place].id for place in places], status
        assert store.executions(MACHINE, status="FAILED")[0] == store.execution(runs[1].arn)

    def test_where_a_running_execution_stands_is_shown(self, store: Store, worker: DurableStore):
        run = born(worker)
        run.write(worker, changed={(1, place): Frame((1, place), (0, 0), "B", place, 5) for place in range(40)})
        assert store.snapshot(run.arn) == run.snapshot
        assert store.execution(run.arn).last_event_id == 2

    def test_endings_of_many_are_asked_at_once(self, store: Store):
        worker = self.enlisted(store)
        good, bad, running, stuck, nowhere = (*(born(worker) for _ in range(4)), new_id())
        good.write(worker, ending=SUCCEEDED)
        bad.write(worker, ending=FAILED)
        worker.commit(Group(releases=[Release(execution_id=stuck.id, seq=1, wake_at=NEVER_DUE, quarantine="broken")]))
        told = store.endings([good.id, bad.id, running.id, stuck.id, nowhere])
        assert told == {good.id: SUCCEEDED, bad.id: FAILED, stuck.id: "broken", nowhere: None}
        assert store.endings([]) == {}

    # ── hints ───────────────────────────────────────────────────────────────────────────────────────────────────────

    @pytest.fixture
    def listening(self, store: Store) -> Store:
        """A store of another process on the same data."""
        return store

    def test_what_others_can_do_something_about_is_told(self, store: Store, listening: Store, worker: DurableStore):
        if isinstance(store.hints, NoHints):
            pytest.skip("nothing can be told through a pooler")
        heard: SimpleQueue[Hint] = SimpleQueue()
        listening.hints.listen(heard.put)
        until(lambda: listening.hints.are_heard)
        client, run, due, lacking = store.handle(), parked(worker), born(worker), born(worker)

        def told(kind: HintKind, *about: str) -> None:
            while (hint := heard.get(timeout=10)).kind in ("CONNECTED", "WAITING"):
                pass
            assert hint == Hint(kind, frozenset(about))

        named = Birth(execution=execution("told"), revision_id=REVISION, pool="gpu")
        client.start_named(new_id(), named)
        told("START", "gpu")
        client.start_named(new_id(), named)  # which is there already
        client.deliver([stop(run.id), stop(new_id())])
        told("MAIL", run.id.hex)
        worker.commit(Group(releases=[Release(execution_id=due.id, seq=1, wake_at=0)]))
        told("START")
        worker.commit(Group(releases=[Release(execution_id=lacking.id, seq=1, wake_at=NEVER_DUE, missing=["r"])]))
        told("MISSING")
        parked(worker, 0)
        told("START")

    def test_endings_are_told_while_somebody_waits(self, store: Store, listening: Store, worker: DurableStore):
        if isinstance(store.hints, NoHints):
            pytest.skip("nothing can be told through a pooler")
        heard: SimpleQueue[Hint] = SimpleQueue()
        listening.hints.listen(heard.put)
        store.hints.listen(lambda hint: None)
        until(lambda: listening.hints.are_heard and store.hints.are_heard)
        early, late = born(worker), born(worker)
        early.write(worker, ending=SUCCEEDED)
        listening.hints.tell("WAITING")
        until(lambda: store.hints.are_endings_wanted)
        late.write(worker, ending=FAILED)
        while (hint := heard.get(timeout=10)).kind != "END":
            pass
        assert hint.about == {late.id.hex}


def without_birth(checkpoint: Checkpoint) -> Checkpoint:
    """For an execution that has its rows already."""
    fields = {name: getattr(checkpoint, name) for name in checkpoint.__struct_fields__}
    return Checkpoint(**fields | {"birth": None})


def at_once(work: Any, times: int) -> None:
    """Calls `work` in so many threads, all at the same moment."""
    barrier = threading.Barrier(times)

    def wait_and_work() -> None:
        barrier.wait()
        work()

    threads = [threading.Thread(target=wait_and_work) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
