"""What only a real server can show of groups: locks, lost connections, plans, and how rows are updated."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from engine.errors import ExecutionNotRedrivable
from engine.interpreter.snapshot import Execution, Frame
from engine.store.postgres import group, writer
from engine.store.postgres.ownership import _RECOVER
from engine.store.protocol import Conflict, Group, OwnershipLost, Release, StoreUnavailable, Unwritable
from tests.store.postgres.waiting import InThread, cut, until_sessions_wait
from tests.store.postgres.workers import enlisted, hold, table_statistics
from tests.store.runs import FAILED, Run, born, parked
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.store.postgres.store import Handle, PostgresStore
    from tests.store.postgres.cluster import Cluster

Database = psycopg.Connection[Any]


@pytest.fixture
def worker(store: PostgresStore) -> Handle:
    return enlisted(store)


@pytest.fixture
def other(store: PostgresStore) -> Handle:
    return enlisted(store)


def writing(worker: Handle) -> psycopg.Connection[Any]:
    connection = worker._worker.writing._connection
    assert connection is not None
    return connection


# ── lost connections and late groups ────────────────────────────────────────────────────────────────────────────────


def test_recovery_waits_for_a_group_that_is_still_running(worker: Handle, url: str, database: Database):
    run = born(worker)
    checkpoint = run.next()
    with hold(url, run) as holder:
        committing = InThread(lambda: worker.commit(Group(checkpoints=[checkpoint])))
        until_sessions_wait(database, 1)
        cut(writing(worker))
        with pytest.raises(StoreUnavailable):
            committing.result()
        recovering = InThread(worker.recover)
        until_sessions_wait(database, 2)
        holder.rollback()
        recovering.result()
    assert worker.written([run.id]) == {run.id: 2}
    run.wrote(checkpoint)
    run.write(worker)


def test_a_group_that_arrives_after_the_recovery_fails(worker: Handle):
    run = born(worker)
    late = run.next()
    worker.recover()
    with pytest.raises(OwnershipLost):
        worker._worker.writer.commit(Group(checkpoints=[late]), epoch=1)
    assert worker.written([run.id]) == {run.id: 1}
    run.write(worker)


def test_a_recovery_that_arrives_late_changes_nothing(worker: Handle):
    run = born(worker)
    session, own = worker._worker.claiming, worker._worker.ownership
    worker.recover()
    worker.recover()
    assert session.execute(_RECOVER, (own.worker_id, 2)) == []
    run.write(worker)


@pytest.fixture
def stuck_checkpoints(database: Database) -> Iterator[None]:
    """A server that does not come to an end with any update of an open row."""
    database.execute(
        "create function public.stick() returns trigger language plpgsql "
        "as 'begin perform pg_sleep(60); return new; end'"
    )
    database.execute(
        "create trigger stick before update on asl.open_execution for each row execute function public.stick()"
    )
    yield
    database.execute("drop function public.stick cascade")


@pytest.mark.usefixtures("stuck_checkpoints")
def test_a_stuck_group_is_ended_by_whoever_declares_its_worker_dead(worker: Handle, other: Handle, database: Database):
    run = born(worker)
    ((worker_id, (epoch, heartbeat)),) = other.others().items()
    committing = InThread(lambda: worker.commit(Group(checkpoints=[run.next()])))
    wait_until(lambda: database.execute("select 1 from pg_stat_activity where wait_event = 'PgSleep'").fetchall())
    assert not other.declare_dead(worker_id, epoch=epoch, heartbeat=heartbeat)
    with pytest.raises(StoreUnavailable):
        committing.result()
    assert other.declare_dead(worker_id, epoch=epoch, heartbeat=heartbeat)
    with pytest.raises(OwnershipLost):
        worker.recover()
    assert other.written([run.id]) == {run.id: 1}


def test_a_zombie_writes_nothing_after_the_takeover(worker: Handle, other: Handle):
    run = born(worker)
    zombie = run.next()
    ((worker_id, (epoch, heartbeat)),) = other.others().items()
    assert other.declare_dead(worker_id, epoch=epoch, heartbeat=heartbeat)
    other.claim(most=9)
    with pytest.raises(OwnershipLost):
        worker.commit(Group(checkpoints=[zombie]))
    run.write(other)
    assert other.written([run.id]) == {run.id: 2}


def test_a_server_that_restarts_loses_nothing(worker: Handle, store: PostgresStore, cluster: Cluster):
    run = born(worker)
    cluster.stop()
    try:
        with pytest.raises(StoreUnavailable):
            worker.commit(Group(checkpoints=[run.next()]))
        with pytest.raises(StoreUnavailable) as caught:
            worker.recover()
        assert caught.value.nobody_is_connected
        with pytest.raises(StoreUnavailable):
            store.execution(run.arn)
    finally:
        cluster.start()
    worker.recover()
    assert worker.written([run.id]) == {run.id: 1}
    run.write(worker)
    assert store.execution(run.arn).last_event_id == 2


# ── bad data ────────────────────────────────────────────────────────────────────────────────────────────────────────


def with_name(run: Run, name: str) -> Run:
    given = {field: getattr(run.snapshot.execution, field) for field in Execution.__struct_fields__}
    run.snapshot.execution = Execution(**given | {"name": name})
    return run


def test_rows_that_the_server_refuses_are_found_by_halves_and_the_others_written(worker: Handle):
    known = born(worker)
    runs = [Run() for _ in range(9)]
    bad = {with_name(runs[place], "a\0b").id for place in (2, 3, 8)}
    checkpoints = [known.next(), *(run.next() for run in runs)]
    with pytest.raises(Unwritable, match="22021") as caught:
        worker.commit(Group(checkpoints=checkpoints))
    assert caught.value.execution_ids == bad
    good = {run.id: 1 for run in runs if run.id not in bad} | {known.id: 2}
    assert worker.written([known.id, *(run.id for run in runs)]) == good


def test_data_that_no_text_can_hold_fails_alone(worker: Handle):
    good, bad, late = Run(), born(worker), born(worker)
    broken = bad.next(changed={(0, 0): Frame((0, 0), None, "S", {}, 2, variables={"x": "\ud800"})})
    with pytest.raises(Unwritable) as caught:
        worker.commit(Group(checkpoints=[good.next(), broken, late.next()]))
    assert caught.value.execution_ids == {bad.id}
    assert caught.value.committed.now > 0
    assert worker.written([good.id, bad.id, late.id]) == {good.id: 1, bad.id: 1, late.id: 2}


def test_a_conflict_beside_bad_data_leaves_everything_unwritten(worker: Handle):
    bad, behind = with_name(Run(), "a\0b"), born(worker)
    behind.seq += 1
    with pytest.raises(Conflict) as caught:
        worker.commit(Group(checkpoints=[bad.next(), behind.next()]))
    assert caught.value.execution_ids == {behind.id}


def test_an_unnamed_birth_must_own_its_name(worker: Handle):
    run = Run()
    given = {field: getattr(run.snapshot.execution, field) for field in Execution.__struct_fields__}
    run.snapshot.execution = Execution(**given | {"arn": "arn:aws:states:us-east-1:123456789012:execution:m:chosen"})
    with pytest.raises(Unwritable, match="ends in its id"):
        worker.commit(Group(checkpoints=[run.next()]))


# ── cost ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_checkpoints_are_hot_updates(worker: Handle, database: Database):
    before = table_statistics(database, "n_tup_upd", "n_tup_hot_upd")
    runs = [born(worker) for _ in range(8)]
    for _ in range(40):
        checkpoints = [run.next() for run in runs]
        worker.commit(Group(checkpoints=checkpoints))
        for run, checkpoint in zip(runs, checkpoints, strict=True):
            run.wrote(checkpoint)
    worker.close()  # a session reports what it did when it ends
    wait_until(lambda: table_statistics(database, "n_tup_upd")[0] - before[0] >= 320)
    updates, hot = table_statistics(database, "n_tup_upd", "n_tup_hot_upd")
    assert (hot - before[1]) / (updates - before[0]) > 0.95


def test_plans_stay_when_a_hundred_thousand_parked_rows_arrive(
    store: PostgresStore, worker: Handle, database: Database
):
    run, resting, due = born(worker), born(worker), parked(worker, 0)
    run.write(worker)  # planned while the tables are small
    worker.claim(most=1)
    database.execute(
        "insert into asl.open_execution (id, wake_at, format, pool, seq, snapshot) "
        "select gen_random_uuid(), 1::bigint << 61, 1, 'default', 1, '' from generate_series(1, 100000)"
    )
    database.execute("analyze asl.open_execution")
    second = enlisted(store)
    # Sessions that ended have reported; from here on only the two workers touch the table.
    before = table_statistics(database, "seq_scan", "idx_scan")
    for handle in (worker, second):
        for _ in range(5):
            late = born(handle)
            late.write(handle)
            late.write(handle, ending=FAILED)
        handle.claim(most=9)
        handle.claim_one(due.id)
        handle.next_due()
        handle.fetch_mail([run.id])
        handle.reload([run.id])
        handle.owned()
    worker.commit(Group(releases=[Release(execution_id=resting.id, seq=1, wake_at=1 << 61)]))
    run.write(worker)
    store.close()
    wait_until(lambda: table_statistics(database, "idx_scan")[0] > before[1] + 30)
    assert table_statistics(database, "seq_scan")[0] == before[0]


def test_a_wide_map_writes_what_changed(worker: Handle, database: Database):
    """The bytes of a checkpoint do not grow with the width of the Map."""

    def bytes_of_one_checkpoint(width: int) -> int:
        run = born(worker)
        frames = {(1, place): Frame((1, place), (0, 0), "B", "x" * 100, 102) for place in range(width)}
        run.write(worker, changed={**frames})
        before = database.execute("select pg_current_wal_insert_lsn()").fetchall()[0][0]
        for place in range(10):
            run.write(worker, changed={(1, place): Frame((1, place), (0, 0), "C", "y" * 100, 102)})
        written = database.execute("select pg_current_wal_insert_lsn() - %s::pg_lsn", (before,)).fetchall()[0][0]
        return int(written) // 10

    database.execute("checkpoint")
    bytes_of_one_checkpoint(1_000)  # the first writes of a page after a checkpoint hold the whole page
    assert bytes_of_one_checkpoint(2_000) < 2 * bytes_of_one_checkpoint(100)


# ── what is too large, or not to be written at all ──────────────────────────────────────────────────────────────────


def test_what_is_too_much_for_one_statement_is_left_for_the_next(
    worker: Handle, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(writer, "GROUP_BYTES_MAX", 4_000)
    runs = [Run(input={"a": random.Random(number).randbytes(1_000).hex()}) for number in range(9)]
    checkpoints = {run.id: run.next() for run in runs}
    parts = 0
    while checkpoints:
        left = worker.commit(Group(checkpoints=list(checkpoints.values()))).left
        assert len(left) < len(checkpoints)
        assert len(worker.owned()) == len(runs) - len(left)
        checkpoints = {execution_id: checkpoints[execution_id] for execution_id in left}
        parts += 1
    assert 1 < parts < len(runs)


def test_a_checkpoint_that_no_statement_can_carry_is_refused_alone(worker: Handle, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(writer, "CHECKPOINT_BYTES_MAX", 4_000)
    large, small = Run(input={"a": random.Random(1).randbytes(9_000).hex()}), Run()
    with pytest.raises(Unwritable, match="at most 4000 can be written") as caught:
        worker.commit(Group(checkpoints=[large.next(), small.next()]))
    assert caught.value.execution_ids == {large.id}
    assert list(worker.owned()) == [small.id]


def test_a_last_snapshot_that_is_too_large_is_not_kept(
    worker: Handle, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(group, "KEPT_BYTES_MAX", 10)
    run = born(worker)
    run.write(worker, ending=FAILED)
    assert store.execution(run.arn).status == "FAILED"
    with pytest.raises(ExecutionNotRedrivable):
        store.reopen(run.arn)


@pytest.mark.parametrize("make", [
    lambda: Run(pool="\ud800"),
    lambda: Run(pool="a\0b"),
    lambda: Run(state_machine_arn="arn:aws:states:us-east-1:1:stateMachine:\ud800"),
    lambda: at_event((1 << 31) - 2),
])  # fmt: skip
def test_what_no_column_can_hold_is_refused_alone(worker: Handle, make: Callable[[], Run]):
    bad, good = make(), Run()
    with pytest.raises(Unwritable) as caught:
        worker.commit(Group(checkpoints=[bad.next(events=2), good.next()]))
    assert caught.value.execution_ids == {bad.id}
    assert list(worker.owned()) == [good.id]


def at_event(number: int) -> Run:
    run = Run()
    run.snapshot.last_event_id = number
    return run


def test_a_resource_of_whatever_name_is_shown_as_missing(worker: Handle, store: PostgresStore):
    run = born(worker)
    worker.commit(Group(releases=[Release(execution_id=run.id, seq=1, wake_at=0, missing=["arn:\ud800"])]))
    assert list(store.execution(run.arn).missing) == ["arn:\\ud800"]
