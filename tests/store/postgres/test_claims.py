"""Claims of several workers at once, on a real server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from engine.store.postgres import writer
from engine.store.postgres.claims import SUSPECT_BATCHES
from engine.store.protocol import NEVER_DUE, OwnershipLost, StoreUnavailable
from tests.store.postgres.waiting import InThread, until_sessions_wait
from tests.store.postgres.workers import enlisted
from tests.store.runs import at_once, born, named, parked, stop

if TYPE_CHECKING:
    from engine.store.postgres.store import PostgresStore
    from engine.store.protocol import ExecutionId


def test_workers_that_claim_at_once_share_what_is_due(store: PostgresStore):
    first = enlisted(store)
    due = {parked(first, number).id for number in range(200)}
    claimed: list[ExecutionId] = []

    def claim_all() -> None:
        worker = enlisted(store)
        while found := worker.claim(most=7).claimed:
            claimed.extend(claim.execution_id for claim in found)

    at_once(claim_all, 4)
    assert len(claimed) == len(due)
    assert set(claimed) == due


def test_workers_that_claim_at_once_share_what_a_dead_one_left(store: PostgresStore):
    dead, observer = enlisted(store), store.handle()
    left = {born(dead).id for _ in range(100)}
    for worker_id, (epoch, heartbeat) in observer.others().items():
        assert observer.declare_dead(worker_id, epoch=epoch, heartbeat=heartbeat)
    claimed: list[ExecutionId] = []

    def claim_all() -> None:
        worker = enlisted(store)
        while found := worker.claim(most=3).claimed:
            claimed.extend(claim.execution_id for claim in found)

    at_once(claim_all, 4)
    assert len(claimed) == len(left)
    assert set(claimed) == left


def test_no_mail_is_lost_to_parking(store: PostgresStore):
    """Mail and the checkpoint that parks go at the same moment; each letter is found by the next claim."""
    worker, client = enlisted(store), store.handle()
    for _ in range(40):
        run = born(worker)
        letter = stop(run.id)
        calls = iter((lambda run=run: run.write(worker, release=NEVER_DUE), lambda m=letter: client.deliver([m])))
        at_once(lambda calls=calls: next(calls)(), 2)
        (claim,) = worker.claim(most=9).claimed
        assert [found.id for found in claim.mail] == [letter.id]
        run.write(worker, mail=[letter.id], release=NEVER_DUE)


def test_a_worker_takes_the_next_suspects_when_the_last_are_behind(store: PostgresStore):
    owner, observer = enlisted(store), store.handle()
    runs = {(run := born(owner)).id: run for _ in range(SUSPECT_BATCHES[0] + 5)}

    def bury() -> None:
        for worker_id, (epoch, heartbeat) in observer.others().items():
            assert observer.declare_dead(worker_id, epoch=epoch, heartbeat=heartbeat)

    bury()
    assert len(enlisted(store).claim(most=99).claimed) == len(runs)
    bury()
    worker = enlisted(store)
    batch = worker.claim(most=99).claimed
    assert len(batch) == SUSPECT_BATCHES[0]
    assert worker.claim(most=99).claimed == []
    for claim in batch:
        runs[claim.execution_id].write(worker)
    assert len(worker.claim(most=3).claimed) == 3


def test_what_a_group_brought_while_its_worker_resigned_is_not_lost(store: PostgresStore, url: str):
    """The group has the fence's lock, so the resignation waits for it, and must see what it wrote."""
    worker, other = enlisted(store), enlisted(store)
    run = parked(other)
    worker_id = worker._worker.ownership.worker_id
    with psycopg.connect(url) as group, psycopg.connect(url, autocommit=True) as database:
        group.execute("select 1 from asl.worker where id = %s for share", (worker_id,))
        group.execute("update asl.open_execution set owner = %s where id = %s", (worker_id, run.id))
        resigning = InThread(worker.resign)
        until_sessions_wait(database, 1)
        group.commit()
        resigning.result()
    (claim,) = other.claim(most=9).claimed
    assert claim.execution_id == run.id
    assert claim.is_orphan


@pytest.mark.parametrize("spoil", [
    "update asl.open_execution set snapshot = '\\x00' where id = %s",
    "update asl.execution set head = '\\xff' where id = %s",
    "update asl.mail set event = '\\x00ff' where execution_id = %s",
])  # fmt: skip
def test_what_nobody_can_read_is_set_aside_alone(store: PostgresStore, database: psycopg.Connection[Any], spoil: str):
    worker = enlisted(store)
    runs = [parked(worker) for _ in range(3)]
    bad = runs[1]
    store.handle().deliver([stop(run.id) for run in runs])
    database.execute(spoil.encode(), (bad.id,))
    claimed = [claim.execution_id for claim in worker.claim(most=9).claimed]
    assert sorted(claimed) == sorted(run.id for run in runs if run is not bad)
    assert sorted(worker.owned()) == sorted(claimed)
    assert worker.claim(most=9).claimed == []
    quarantine = database.execute("select quarantine from asl.open_execution where id = %s", (bad.id,)).fetchone()
    assert quarantine is not None
    assert b"cannot read" in quarantine[0]


def test_a_letter_that_nobody_can_read_does_not_hold_the_others_up(
    store: PostgresStore, database: psycopg.Connection[Any]
):
    worker, client = enlisted(store), store.handle()
    bad, good = born(worker), born(worker)
    client.deliver([stop(bad.id), stop(good.id)])
    database.execute("update asl.mail set event = '\\x00ff' where execution_id = %s", (bad.id,))
    assert [letter.execution_id for letter in worker.fetch_mail([bad.id, good.id])] == [good.id]
    assert [claim.execution_id for claim in worker.reload([bad.id, good.id]).claimed] == [good.id]


def test_a_worker_whose_new_epoch_it_was_not_told_yet_is_not_dead(store: PostgresStore, url: str):
    """The answer to `recover` was lost, or is on its way, while another thread claims or starts."""
    worker = store.handle()
    worker_id = worker.enlist(pools=["default"], host="here", pid=1)
    with psycopg.connect(url, autocommit=True) as database:
        database.execute("update asl.worker set epoch = epoch + 1")
    worker._worker.ownership._next_epoch += 1
    with pytest.raises(StoreUnavailable):
        worker.claim(most=1)
    assert not worker.start_all(worker_id, [named("n")])
    worker.recover()
    assert not worker.claim(most=1).claimed
    with psycopg.connect(url, autocommit=True) as database:
        database.execute("update asl.worker set epoch = epoch + 1, state = 'dead'")
    with pytest.raises(OwnershipLost):
        worker.claim(most=1)
    with pytest.raises(OwnershipLost):
        worker.start_all(worker_id, [named("n")])


def test_starts_that_are_too_much_for_one_statement_are_left_for_later(
    store: PostgresStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(writer, "GROUP_BYTES_MAX", 500)
    worker = store.handle()
    worker_id = worker.enlist(pools=["default"], host="here", pid=1)
    births = [named(f"n{number}") for number in range(9)]
    started = worker.start_all(worker_id, births)
    assert 0 < len(started) < len(births)
    assert sorted(worker.owned()) == sorted(started)
