"""What is old goes, by whole days, while everything runs; what is open or was finished lately stays."""

from __future__ import annotations

import threading
from contextlib import closing
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING

import msgspec
import psycopg
import pytest

from engine.errors import ExecutionAlreadyExists, ExecutionDoesNotExist, InvalidToken
from engine.interpreter.messages import StopRequested, TaskDone
from engine.store.library import NAME_KEPT_MS
from engine.store.postgres import retention
from engine.store.postgres.connection import connect
from engine.store.postgres.partitions import DAY_MS, PARTITIONED, Day, days, today
from engine.store.postgres.partitions import _make as make
from engine.store.postgres.snapshots import encode_row
from engine.store.protocol import NEVER_DUE, Birth, ExecutionId, Group
from engine.uuids import uuid7
from tests.store.postgres.workers import enlisted
from tests.store.runs import FAILED, MACHINE, REVISION, SUCCEEDED, TASK, Run, execution, new_id
from tests.store.runs import stop as stop_mail
from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.store.postgres.connection import Connection
    from engine.store.postgres.store import PostgresStore
    from engine.store.protocol import DurableStore

MONTH_MS = 30 * DAY_MS

_bits = count(1)


@pytest.fixture
def admin(url: str) -> Iterator[Connection]:
    with closing(connect(url, name="test", pinned=False)) as connection:
        yield connection
        for day in days(connection):
            if day.number < today(connection).number:
                for table in PARTITIONED:
                    connection.execute(f"drop table {day.partition(table)}")


@pytest.fixture
def old(admin: Connection) -> Day:
    """A day two months ago, with its partitions."""
    day = Day(today(admin).number - 60)
    assert make(admin, day)
    return day


def id_of(day: Day) -> ExecutionId:
    return ExecutionId(uuid7(day.number * DAY_MS + 1_000, next(_bits)))


def finished(worker: DurableStore, day: Day, *, days_ago: int = 59, **fields: object) -> Run:
    """An execution that started on this day and finished so many days ago."""
    run = Run(id_of(day))
    run.write(worker)
    run.write(worker, **{"ending": SUCCEEDED, "now": worker.now() - days_ago * DAY_MS, **fields})
    return run


def opened(worker: DurableStore, day: Day) -> Run:
    run = Run(id_of(day))
    run.write(worker, events=2)
    return run


def is_gone(store: PostgresStore, run: Run) -> bool:
    try:
        store.execution(run.arn)
    except ExecutionDoesNotExist:
        assert store.handle().written([run.id]) == {}
        return True
    return False


def history_ids(store: PostgresStore, run: Run) -> list[int]:
    return [
        segment.first_event_id + place
        for segment in store.history(run.arn)
        for place, _ in enumerate(segment.events)
    ]  # fmt: skip


def has_all_events(store: PostgresStore, run: Run) -> bool:
    return history_ids(store, run) == list(range(1, run.snapshot.last_event_id + 1))


def test_a_day_of_finished_executions_goes_as_a_whole(admin: Connection, store: PostgresStore, old: Day):
    worker, young = enlisted(store), Day(today(admin).number)
    gone = [finished(worker, old), finished(worker, old, ending=FAILED)]
    kept = finished(worker, young, days_ago=0)
    garbage = store.gc(older_than=MONTH_MS)
    assert (garbage.executions, garbage.left) == (2, ())
    assert all(is_gone(store, run) for run in gone)
    assert has_all_events(store, kept)
    assert old not in days(admin)
    assert young in days(admin)
    assert store.gc(older_than=MONTH_MS).executions == 0


def test_without_a_retention_executions_stay(admin: Connection, store: PostgresStore, old: Day):
    run = finished(enlisted(store), old)
    assert store.gc().executions == 0
    assert not is_gone(store, run)
    assert old in days(admin)


def test_an_execution_that_is_open_for_longer_than_the_retention_survives(
    admin: Connection, store: PostgresStore, old: Day
):
    worker = enlisted(store)
    gone, run = finished(worker, old), opened(worker, old)
    assert store.gc(older_than=MONTH_MS).executions == 1
    assert is_gone(store, gone)
    assert has_all_events(store, run)
    run.write(worker, events=3)
    assert worker.reload([run.id]).claimed[0].snapshot == run.snapshot
    assert store.gc(older_than=MONTH_MS).executions == 0
    run.write(worker, ending=SUCCEEDED, now=worker.now())
    assert store.gc(older_than=MONTH_MS).executions == 0  # it has finished just now
    assert has_all_events(store, run)
    admin.execute(f"update asl.closed_execution set stop_time = stop_time - {MONTH_MS} - 1")
    assert store.gc(older_than=MONTH_MS).executions == 1
    assert is_gone(store, run)
    assert old not in days(admin)


@pytest.mark.parametrize("ending", [SUCCEEDED, FAILED])
def test_what_finished_lately_stays_and_can_be_redriven(store: PostgresStore, old: Day, ending: object):
    worker = enlisted(store)
    gone, late = finished(worker, old), finished(worker, old, days_ago=29, ending=ending)
    store.gc(older_than=MONTH_MS)
    assert is_gone(store, gone)
    assert has_all_events(store, late)
    if ending is FAILED:
        store.reopen(late.arn)
        assert [claim.execution_id for claim in worker.claim(most=9).claimed] == [late.id]


def test_a_name_outlives_its_execution_for_as_long_as_aws_keeps_it(admin: Connection, store: PostgresStore, old: Day):
    worker = enlisted(store)
    birth = Birth(execution=execution("order-17"), revision_id=REVISION)
    first = id_of(old)
    assert worker.start_named(first, birth) == (first, True)
    (claim,) = worker.claim(most=1).claimed
    run = Run(first)
    run.snapshot, run.seq = claim.snapshot, 0
    checkpoint = run.next(ending=SUCCEEDED, now=worker.now() - 40 * DAY_MS)
    worker.commit(Group(checkpoints=[msgspec.structs.replace(checkpoint, birth=None)]))
    assert store.gc(older_than=MONTH_MS).executions == 1
    with pytest.raises(ExecutionDoesNotExist):
        store.execution(birth.execution.arn)
    with pytest.raises(ExecutionAlreadyExists):
        worker.start_named(new_id(), birth)
    (expires_at,) = admin.execute("select expires_at from asl.execution_name").fetchall()[0]
    assert expires_at == checkpoint.transition.now + NAME_KEPT_MS
    admin.execute("update asl.execution_name set expires_at = 1")
    assert store.gc().names == 1
    assert worker.start_named(again := new_id(), birth) == (again, True)


def test_the_name_of_an_execution_that_is_kept_does_not_go(admin: Connection, store: PostgresStore, old: Day):
    worker = enlisted(store)
    birth = Birth(execution=execution("order-18"), revision_id=REVISION)
    worker.start_named(id_of(old), birth)
    admin.execute("update asl.execution_name set expires_at = 1")
    assert store.gc(older_than=MONTH_MS).names == 0


def test_task_tokens_go_with_their_executions(store: PostgresStore, old: Day):
    worker, client = enlisted(store), store.handle()
    runs = {name: Run(id_of(old)) for name in ("gone", "open")}
    for name, run in runs.items():
        run.write(worker, tokens_opened=[(name, TASK)])
    runs["gone"].write(worker, ending=SUCCEEDED)
    assert store.gc(older_than=MONTH_MS).task_tokens == 1
    with pytest.raises(InvalidToken):
        client.take_token("gone", TaskDone(TASK, {}, 2))
    assert client.take_token("open", TaskDone(TASK, {}, 2)) == runs["open"].id


def test_what_has_no_day_goes_in_batches(monkeypatch: pytest.MonkeyPatch, store: PostgresStore, admin: Connection):
    monkeypatch.setattr(retention, "_BATCH", retention._BATCH.replace(f"limit {retention.BATCH}", "limit 3"))
    worker, nowhere = enlisted(store), Day(today(admin).number - 70)
    gone = [finished(worker, nowhere) for _ in range(10)]
    stays = [opened(worker, nowhere), finished(worker, nowhere, days_ago=1)]
    assert store.gc(older_than=MONTH_MS).executions == 10
    assert all(is_gone(store, run) for run in gone)
    assert all(has_all_events(store, run) for run in stays)
    left = admin.execute("select count(*) from asl.history_segment_default").fetchall()[0][0]
    assert left == 3


def test_of_a_day_of_which_too_much_stays_the_rest_is_deleted(
    monkeypatch: pytest.MonkeyPatch, store: PostgresStore, admin: Connection, old: Day
):
    monkeypatch.setattr(retention, "STAYS_MAX", 2)
    worker = enlisted(store)
    gone = [finished(worker, old) for _ in range(4)]
    stays = [opened(worker, old) for _ in range(3)]
    assert store.gc(older_than=MONTH_MS).executions == 4
    assert all(is_gone(store, run) for run in gone)
    assert all(has_all_events(store, run) for run in stays)
    assert old in days(admin)


def test_a_dry_run_tells_what_would_go_and_deletes_nothing(store: PostgresStore, old: Day):
    worker = enlisted(store)
    run = Run(id_of(old))
    run.write(worker, tokens_opened=[("token", TASK)])
    run.write(worker, ending=SUCCEEDED)
    opened(worker, old)
    told = store.gc(older_than=MONTH_MS, dry_run=True)
    assert not is_gone(store, run)
    assert told == store.gc(older_than=MONTH_MS)
    assert (told.executions, told.task_tokens) == (1, 1)


def test_a_day_that_is_not_empty_any_more_is_not_dropped(store: PostgresStore, admin: Connection, old: Day):
    """As when one of its executions is redriven in the moment after it was emptied."""
    run = opened(enlisted(store), old)
    done = retention._Pass(admin, lambda: True)
    assert not retention._tried(done, lambda: retention._drop(done, old))
    assert has_all_events(store, run)


def test_a_fleet_collects_once(store: PostgresStore, old: Day, admin: Connection):
    worker = enlisted(store)
    first = finished(worker, old)

    def sweep() -> int:
        return store.sweep(retention=MONTH_MS, proceed=lambda: True).executions

    assert sweep() == 1
    make(admin, old)
    second = finished(worker, old)
    assert sweep() == 0
    admin.execute("update asl.chore set due_at = 1")
    assert sweep() == 1
    assert is_gone(store, first)
    assert is_gone(store, second)


def test_a_worker_that_is_leaving_goes_no_further(store: PostgresStore, old: Day):
    run = finished(enlisted(store), old)
    assert store.sweep(retention=MONTH_MS, proceed=lambda: False).executions == 0
    assert not is_gone(store, run)


def test_what_nobody_will_read_is_swept(store: PostgresStore, admin: Connection):
    worker, resigned = enlisted(store), enlisted(store)
    kept, left = Run(), Run()
    kept.write(worker)
    left.write(resigned)
    resigned.resign()
    for run_id in (kept.id, new_id()):
        admin.execute(
            "insert into asl.mail (execution_id, id, sent_at, format, event) "
            "values ($1, gen_random_uuid(), 1, 1, $2::bytea)",
            (run_id, encode_row(StopRequested(None, None))),
        )
    assert (store.gc(dry_run=True).mail, store.gc(dry_run=True).workers) == (1, 0)
    swept = store.gc()
    assert (swept.mail, swept.workers) == (1, 0)
    assert [claim.execution_id for claim in worker.claim(most=9).claimed] == [left.id]
    assert store.gc().workers == 1  # nothing is left of the one that resigned
    assert admin.execute("select execution_id from asl.mail").fetchall() == [(kept.id,)]


# ── under load ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Load:
    """Commits of one worker, one after the other, in a thread of their own."""

    def __init__(self, worker: DurableStore, day: Day) -> None:
        self.commits = 0
        self._worker = worker
        self._day = day
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._error: BaseException | None = None

    def __enter__(self) -> Load:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                run = Run(id_of(self._day))
                for ending in (None, None, SUCCEEDED):
                    run.write(self._worker, ending=ending, now=self._worker.now())
                    self.commits += 1
        except BaseException as error:  # noqa: BLE001  handed over to the test
            self._error = error


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_starts_and_commits_go_on_while_somebody_reads_for_long(
    admin: Connection, store: PostgresStore, url: str, old: Day, isolation: str
):
    worker = enlisted(store)
    gone, stays = finished(worker, old), opened(worker, old)
    with Load(enlisted(store), today(admin)) as load, psycopg.connect(url) as reader:
        reader.execute(f"set transaction isolation level {isolation}")
        # Its locks and, if it has one, its snapshot are held until the end of its transaction.
        assert reader.execute("select count(*) from asl.execution").fetchone() is not None
        before = load.commits
        garbage = store.gc(older_than=MONTH_MS)
        assert "somebody uses them" in garbage.left[0]
        assert not is_gone(store, gone)
        during = load.commits - before
        assert during > 20
        reader.execute("select count(*) from asl.history_segment")
    wait_until(lambda: store.gc(older_than=MONTH_MS).executions == 1)
    assert is_gone(store, gone)
    assert has_all_events(store, stays)


def test_a_snapshot_that_is_held_open_does_not_keep_a_day(store: PostgresStore, url: str, old: Day, admin: Connection):
    worker = enlisted(store)
    gone = finished(worker, old)
    with Load(enlisted(store), today(admin)) as load, psycopg.connect(url) as idle:
        idle.execute("set transaction isolation level repeatable read")
        idle.execute("select count(*) from asl.worker")
        before = load.commits
        wait_until(lambda: store.gc(older_than=MONTH_MS) and is_gone(store, gone))
        wait_until(lambda: load.commits > before + 20)
    assert old not in days(admin)


def test_nothing_is_lost_of_what_is_written_while_its_day_is_emptied(admin: Connection, store: PostgresStore, old: Day):
    """Owners append to executions of the day, end some, and redrive others, while it is emptied again and again."""
    stop = threading.Event()
    errors: list[BaseException] = []
    ended: list[Run] = []
    failed: list[Run] = []
    kept: list[Run] = []

    def own(worker: DurableStore, number: int) -> None:
        try:
            runs = [opened(worker, old) for _ in range(5)]
            for turn in count():
                if stop.is_set():
                    break
                group = [run.next(events=2) for run in runs]
                worker.commit(Group(checkpoints=group))
                for run, checkpoint in zip(runs, group, strict=True):
                    run.wrote(checkpoint)
                finished(worker, old)  # so that there is always something to empty the day of
                if turn % 4 == number:
                    run = runs.pop()
                    run.write(worker, ending=SUCCEEDED, now=worker.now())
                    ended.append(run)
                    runs.append(opened(worker, old))
                if turn % 5 == number:
                    run = runs.pop()
                    run.write(worker, ending=FAILED, release=None, now=worker.now())
                    store.reopen(run.arn)
                    failed.append(run)
                    runs.append(opened(worker, old))
            kept.extend(runs)
        except BaseException as error:  # noqa: BLE001  handed over to the test
            errors.append(error)

    owners = [threading.Thread(target=own, args=(enlisted(store), number)) for number in range(2)]
    for owner in owners:
        owner.start()
    emptied = 0
    deadline = monotonic() + 20
    while emptied < 12 and monotonic() < deadline and not errors:
        emptied += bool(store.gc(older_than=MONTH_MS).executions)
    stop.set()
    for owner in owners:
        owner.join()
    assert errors == []
    assert emptied >= 12
    assert len(kept) == 10
    assert min(len(ended), len(failed)) > 0
    for run in [*kept, *ended, *failed]:
        assert has_all_events(store, run), run.id
    assert {store.execution(run.arn).status for run in ended} == {"SUCCEEDED"}
    assert {store.execution(run.arn).status for run in [*kept, *failed]} == {"RUNNING"}
    claimed = {claim.execution_id for claim in enlisted(store).claim(most=1_000).claimed}
    assert {run.id for run in failed} <= claimed
    assert store.gc(older_than=MONTH_MS).left == ()
    assert len(store.executions(MACHINE, most=1_000)) == len(kept) + len(ended) + len(failed)


def test_mail_reaches_an_execution_whose_day_is_emptied(store: PostgresStore, old: Day):
    worker = enlisted(store)
    finished(worker, old)
    run = Run(id_of(old))
    run.write(worker, release=NEVER_DUE)
    store.gc(older_than=MONTH_MS)
    client = store.handle()
    letter = stop_mail(run.id)
    assert client.deliver([letter]) == {letter.id}
    (claim,) = worker.claim(most=9).claimed
    assert [mail.event for mail in claim.mail] == [letter.event]
