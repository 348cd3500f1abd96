"""Stored bytes stay readable, change only with a new format number, and a later one hurts nobody who cannot read it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from uuid import UUID

import pytest

from engine.interpreter.history import Segment
from engine.interpreter.messages import (
    ChildDone,
    ChildEnded,
    ChunkDone,
    ChunkFailing,
    Continue,
    Counts,
    Event,
    ItemsRead,
    Job,
    MapDataFailed,
    MapRunDone,
    MapRunUpdated,
    NotReopened,
    RedriveRequested,
    Reopened,
    ResultsWritten,
    ShareChanged,
    StartRequested,
    StopRequested,
    Tally,
    TaskDone,
    TaskError,
    TaskStarted,
    TaskSubmitted,
    TimerDue,
)
from engine.interpreter.snapshot import (
    FORMAT,
    ChunkOpen,
    ChunkOver,
    ChunkRunning,
    Done,
    Ending,
    Failed,
    Frame,
    Items,
    MapRole,
    MapRunning,
    OnBranches,
    OnContinue,
    OnMapRun,
    OnRetry,
    OnTask,
    OnTimer,
    Parent,
    Progress,
    Redrives,
    Snapshot,
    UnknownFormat,
    Waiting,
)
from engine.store.postgres import claims
from engine.store.postgres.packing import squeeze, unsqueeze
from engine.store.postgres.snapshots import (
    HEAD_BYTES,
    INLINE_FRAMES_MAX,
    READABLE_FORMATS,
    decode_ending,
    decode_event,
    decode_execution,
    decode_segment,
    encode_row,
    pack,
    unpack,
)
from engine.store.protocol import NEVER_DUE, Group, Release
from tests.store.postgres.workers import enlisted
from tests.store.runs import FAILED, MACHINE, SUCCEEDED, born, execution, parked, stop

if TYPE_CHECKING:
    import psycopg

    from engine.store.postgres.store import PostgresStore

    Database = psycopg.Connection[tuple[Any, ...]]

GOLDEN = Path(__file__).parents[1] / "golden"
LATER = FORMAT + 1
ID = UUID(int=2**100 + 7)
RUN_ARN = f"{MACHINE.replace('stateMachine', 'mapRun')}/S:9"
TALLY = Tally(Counts(5, 1), Counts(50, 10), (1, 10))

ADVICE = f"""
What is stored is written in another way than format {FORMAT} says. Databases are full of rows of that format, and
workers of the release before run beside this one. If it is meant:
 1. in one release, read the new form as well: READABLE_FORMATS in engine/store/postgres/snapshots.py, and its bytes,
    as `written(samples())` would give them, in tests/store/golden/{LATER}.json;
 2. in the next one, write it: raise FORMAT. tests/store/golden/{FORMAT}.json and the way to read it stay.
"""


def frames() -> list[Frame]:
    waits = [
        None, OnTask((0, 0, 2), {"x": 1}, task_token="token", deadline=9, timeout_seconds=3, heartbeat_seconds=2),
        OnTask((0, 0, 6), submitted=True, job=Job({"JobId": "7"}, 1_233, "00ff")),
        OnTimer((0, 0, 3), 1_234), OnRetry((0, 0, 4), 1_235), OnBranches(5, 3), Items(), Progress(2, 1), OnContinue(),
        Done([1, 2.5, None, "ü\0"], 14), Failed("E", "c"), OnMapRun((0, 0, 7), ID, RUN_ARN, 1),
        Failed("E", "c", OnMapRun((0, 0, 7), ID, RUN_ARN, 1)),
        MapRunning((0, 0, 7), 40, 3, 2.5, 1, {"offset": 9}, items=60, left=({"a": 1},), children=6, over=TALLY,
                   again=(2,)),
        ChunkOpen(ID, 10, 100, 4, 5, 1, 1), ChunkOver(ID, 6, 60, TALLY, 1),
        ChunkRunning(6, 4, 2, TALLY, 2**65, 1, True, 1, (3,), 2),
    ]  # fmt: skip
    return [
        Frame((1, place), (0, 0), f"State {place}", {"in": place}, 9, 7, 6, 5, 1_000 + place, {"v": 2**70}, 25, [1, 0],
              (place, {"item": True}), waiting)
        for place, waiting in enumerate(waits)
    ]  # fmt: skip


def samples() -> dict[str, Any]:
    """One of each thing that is stored."""
    whole = execution("order-17", input={"ü": ["\0", 1.5, -1, None, True]})
    some = {frame.key: frame for frame in frames()}
    wide = {(2, place): Frame((2, place), (0, 0), "S", place, 2) for place in range(INLINE_FRAMES_MAX + 1)}
    progress = {"counter": 12, "last_event_id": 34, "last_time": 1_700_000_000_000}
    return {
        "execution": whole,
        "snapshot": Snapshot(execution=whole, frames=some, redrives=Redrives(2, 5), ending=FAILED, **progress),
        "snapshot with frames of their own": Snapshot(execution=whole, frames=wide, **progress),
        "ending": Ending("FAILED", {"out": 1}, "E", "c", "S1", (0, 0)),
        "success": SUCCEEDED,
        "segment": Segment(7, 1_700_000_000_000, [(44, 6, None, {"output": {"a": 1}}), (12, 7, 5, None)]),
        "segment of several times": Segment(7, 1_700_000_000_500, [(44, 6), (12, 7)], [(0, 1_700_000_000_000), (1, 5)]),
        "start": StartRequested('{"a": 1}'),
        "stop": StopRequested("E", "c"),
        "redrive": RedriveRequested(),
        "task started": TaskStarted((1, 2, 3), "worker"),
        "task submitted": TaskSubmitted((1, 2, 3), {"JobId": "7"}),
        "job submitted": TaskSubmitted((1, 2, 3), {"JobId": "7"}, Job(["7"], 1_233)),
        "child done": ChildDone(TaskDone((1, 2, 3), {"Status": "SUCCEEDED"}, 22)),
        "child failed": ChildDone(TaskError((1, 2, 3), "States.TaskFailed", "{}")),
        "child": execution("child", parent=Parent("00ff", (1, 2, 3), "JSON"), test_case="HappyPath"),
        "map run": execution("run", map=MapRole("RUN", "S", 0, RUN_ARN, ID), list_key=RUN_ARN),
        "items read": ItemsRead(1, [{"a": 1}, "ü"], ["k", "l"], {"offset": 9}, ["f", "g"]),
        "results written": ResultsWritten(2, {"MapRunArn": RUN_ARN}),
        "map data failed": MapDataFailed(3, "States.ItemReaderFailed", "c"),
        "child ended": ChildEnded(4, "FAILED", None, 0, "E", "c", 1_000, 1_001, 1),
        "chunk failing": ChunkFailing(5, 1, 2),
        "chunk done": ChunkDone(6, 1, TALLY, [1, {"a": None}], 13),
        "share changed": ShareChanged(7),
        "map run updated": MapRunUpdated(8, None, 12.5),
        "map run done": MapRunDone((0, 0, 7), [1], 3, "E", "c", 1),
        "not reopened": NotReopened(ID, "because"),
        "reopened": Reopened(ID),
        "continue": Continue(),
        "task done": TaskDone((1, 2, 3), {"a": [1]}, 9),
        "task error": TaskError((1, 2, 3), "E", "c", "SUBMIT"),
        "timer due": TimerDue((1, 2, 3), heartbeat=True),
        "large": TaskDone((1, 2, 3), ["x" * 100] * 500, 51_500),
    }


def written(value: Any) -> list[bytes]:
    """The columns of rows that hold it."""
    if isinstance(value, Snapshot):
        packed = pack(value)
        return [packed.snapshot, *(data for _, data in packed.put)]
    return [encode_row(value)]


def plain(name: str, columns: list[bytes]) -> list[str]:
    """The columns before they were packed: zlib of another version packs in another way."""
    if not name.startswith("snapshot"):
        return [unsqueeze(column).decode() for column in columns]
    head, rest = columns[0][:HEAD_BYTES], columns[0][HEAD_BYTES:]
    return [head.hex() + unsqueeze(rest).decode(), *(unsqueeze(column).decode() for column in columns[1:])]


def read(name: str, columns: list[bytes]) -> Any:
    if name in ("execution", "child", "map run"):
        return decode_execution(columns[0])
    if name.startswith("snapshot"):
        return unpack(samples()["execution"], columns[0], columns[1:])
    if name in ("ending", "success"):
        return decode_ending(columns[0])
    return decode_segment(columns[0]) if name.startswith("segment") else decode_event(columns[0])


def golden(number: int) -> dict[str, list[bytes]]:
    found = json.loads((GOLDEN / f"{number}.json").read_text())
    return {name: [bytes.fromhex(column) for column in columns] for name, columns in found.items()}


def test_the_golden_files_are_of_the_formats_that_are_read():
    assert sorted(int(path.stem) for path in GOLDEN.glob("*.json")) == sorted(READABLE_FORMATS), ADVICE


def test_there_is_a_sample_of_everything():
    assert {type(value) for value in samples().values()} >= set(get_args(Event))
    assert {type(frame.waiting) for frame in frames()} >= set(get_args(Waiting))


@pytest.mark.parametrize("name", samples())
@pytest.mark.parametrize("number", READABLE_FORMATS)
def test_what_an_earlier_release_has_written_is_read(number: int, name: str):
    assert read(name, golden(number)[name]) == samples()[name]


@pytest.mark.parametrize("name", samples())
def test_nothing_is_written_in_another_way_without_a_new_format(name: str):
    assert plain(name, written(samples()[name])) == plain(name, golden(FORMAT)[name]), ADVICE


def test_all_forms_of_packing_are_read():
    for name, text in {"plain": b"x", "small": b'{"output":{}}' * 20, "large": bytes(range(256)) * 200}.items():
        assert unsqueeze(squeeze(text)) == text, name


# ── two versions side by side ───────────────────────────────────────────────────────────────────────────────────────


def later(database: Database, table: str, execution_id: object) -> None:
    """Makes it look as if a newer engine had written this: another format, and bytes that mean nothing here."""
    key = "id" if table in ("execution", "open_execution") else "execution_id"
    columns = {"execution": "head", "open_execution": "snapshot", "closed_execution": "ending", "mail": "event",
               "history_segment": "data"}  # fmt: skip
    done = database.execute(
        f"update asl.{table} set format = {LATER}, {columns[table]} = 'later' where {key} = %s".encode(),
        (execution_id,),
    )
    assert done.rowcount > 0


def claimable(store: PostgresStore) -> list[Any]:
    """What a worker of the later release takes: it is not loaded, as nobody here reads it."""
    worker = enlisted(store)
    worker._own.claims._formats = [FORMAT, LATER]  # type: ignore[union-attr]
    taken: list[Any] = worker._own.claims._take(claims._CLAIM, 9, 9)[2]  # type: ignore[union-attr]
    return taken


def test_an_execution_of_a_later_format_is_left_to_workers_that_read_it(store: PostgresStore, database: Database):
    worker = enlisted(store)
    other, run = parked(worker, wake_at=0), parked(worker, wake_at=0)
    later(database, "open_execution", run.id)
    assert [claim.execution_id for claim in worker.claim(most=9).claimed] == [other.id]
    assert worker.claim_one(run.id) is None
    assert claimable(store) == [run.id]


def test_orphans_of_a_later_format_are_left_to_workers_that_read_it(store: PostgresStore, database: Database):
    gone, worker = enlisted(store), enlisted(store)
    run = born(gone)
    later(database, "open_execution", run.id)
    gone.resign()
    assert worker.claim(most=9).claimed == []
    assert store.execution(run.arn).quarantine is None


def test_mail_of_a_later_format_leaves_the_execution_to_workers_that_read_it(store: PostgresStore, database: Database):
    worker = enlisted(store)
    run, other = parked(worker, wake_at=0), parked(worker)
    store.handle().deliver([stop(run.id), stop(other.id)])
    later(database, "mail", run.id)
    assert [claim.execution_id for claim in worker.claim(most=9).claimed] == [other.id]
    assert store.execution(run.arn).quarantine is None
    assert claimable(store) == [run.id]


def test_mail_of_a_later_format_does_not_keep_an_execution_with_its_owner(store: PostgresStore, database: Database):
    worker = enlisted(store)
    run = born(worker)
    store.handle().deliver([stop(run.id)])
    later(database, "mail", run.id)
    assert worker.fetch_mail([run.id]) == []
    release = Release(execution_id=run.id, seq=run.seq, wake_at=NEVER_DUE)
    assert worker.commit(Group(releases=[release])).kept == frozenset()
    assert worker.claim(most=9).claimed == []
    assert claimable(store) == [run.id]


def test_an_execution_that_is_loaded_again_with_mail_of_a_later_format_is_given_up(
    store: PostgresStore, database: Database
):
    worker = enlisted(store)
    run, other = born(worker), born(worker)
    store.handle().deliver([stop(run.id)])
    later(database, "mail", run.id)
    assert [claim.execution_id for claim in worker.reload([run.id, other.id]).claimed] == [other.id]
    assert worker.owned() == [other.id]
    assert store.execution(run.arn).quarantine is None
    assert claimable(store) == [run.id]


def test_what_a_newer_engine_wrote_is_said_to_be_so_and_hides_nothing_else(store: PostgresStore, database: Database):
    worker = enlisted(store)
    open_, over, head, plain_one = (born(worker) for _ in range(4))
    over.write(worker, ending=SUCCEEDED)
    later(database, "open_execution", open_.id)
    later(database, "closed_execution", over.id)
    later(database, "execution", head.id)
    later(database, "history_segment", head.id)
    database.execute(
        "insert into asl.state_machine select distinct state_machine_id, %s, 'm', 'STANDARD', 'default', 1, "
        "revision_id from asl.execution",
        (MACHINE,),
    )
    shown = {record.execution_id: record for record in store.executions(MACHINE)}
    assert {key: record.unreadable for key, record in shown.items()} == {
        open_.id: LATER, over.id: LATER, head.id: LATER, plain_one.id: None
    }  # fmt: skip
    assert [shown[run.id].status for run in (open_, over, head)] == ["RUNNING", "SUCCEEDED", "RUNNING"]
    assert shown[head.id].execution.arn == head.arn
    assert store.execution(open_.arn).unreadable == LATER
    with pytest.raises(UnknownFormat, match="snapshot"):
        store.snapshot(open_.arn)
    for run in (over, head):
        with pytest.raises(UnknownFormat, match=f"format {LATER}, which a newer asl wrote; this one reads format 1"):
            store.execution(run.arn)
    described = store.described([run.arn for run in (over, plain_one)])
    assert isinstance(described[over.arn], UnknownFormat)
    assert described[plain_one.arn] == store.execution(plain_one.arn)
    with pytest.raises(UnknownFormat, match="history"):
        store.history(head.arn)
    assert len(store.history(plain_one.arn)) == 1
    found = store.endings([over.id, plain_one.id])
    assert "newer asl" in str(found[over.id])


def test_a_worker_says_in_its_row_what_it_writes(store: PostgresStore, database: Database):
    enlisted(store)
    assert database.execute("select format from asl.worker").fetchall() == [(FORMAT,)]
