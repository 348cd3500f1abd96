"""Map runs whose items come from files and whose results go to files."""

from __future__ import annotations

import gzip
import io
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import engine
from engine.store.memory import MemoryStore
from tests.definitions import machine
from tests.map_data.sources import folder
from tests.runtime.fleets import on
from tests.runtime.map_run_suite import Handlers, mapped
from tests.waiting import DEADLINE_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["folder"]

pytestmark = pytest.mark.anyio

GET = "arn:aws:states:::s3:getObject"
PUT = "arn:aws:states:::s3:putObject"
FIRST_ROW = {"CSVHeaderLocation": "FIRST_ROW"}


def passing(**fields: Any) -> dict[str, Any]:
    return mapped("EXPRESS", {"Name": "Show", "Type": "Pass"}, **fields)


def csv_reader(folder: Path) -> dict[str, Any]:
    config = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}
    return {"Resource": GET, "ReaderConfig": config, "Parameters": {"Bucket.$": "$.folder", "Key": "a.csv"}}


async def run(state: dict[str, Any], folder: Path, handlers: Handlers | None = None) -> Any:
    async with engine.Engine.in_memory(handlers.table if handlers else {}) as one:
        return await one.run(machine(state), {"folder": folder.as_uri()})


async def test_every_row_of_a_file_is_an_item(folder: Path) -> None:
    (folder / "a.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(1_200)))
    selector = {"n.$": "$$.Map.Item.Value.n", "at.$": "$$.Map.Item.Index", "of.$": "$$.Map.Item.Source"}
    output = await run(passing(ItemReader=csv_reader(folder), ItemSelector=selector), folder)
    source = f"{folder.as_uri()}/a.csv"
    assert output == [{"n": str(n), "at": n, "of": source} for n in range(1_200)]


async def test_an_item_of_a_listing_knows_the_file_that_it_is_in(folder: Path) -> None:
    (folder / "in").mkdir()
    for name, numbers in (("a", [1, 2]), ("b", []), ("c", [3])):
        (folder / "in" / f"{name}.json").write_text(json.dumps(numbers))
    reader = {
        "Resource": "arn:aws:states:::s3:listObjectsV2",
        "ReaderConfig": {"InputType": "JSON", "Transformation": "LOAD_AND_FLATTEN"},
        "Parameters": {"Bucket.$": "$.folder", "Prefix": "in/"},
    }
    selector = {"n.$": "$$.Map.Item.Value", "of.$": "$$.Map.Item.Source"}
    output = await run(passing(ItemReader=reader, ItemSelector=selector), folder)
    place = f"{folder.as_uri()}/in"
    assert output == [{"n": n, "of": f"{place}/{name}.json"} for n, name in ((1, "a"), (2, "a"), (3, "c"))]


async def test_results_go_to_files_and_the_state_says_where(folder: Path) -> None:
    (folder / "a.csv").write_text("n\n1\n2\n3\n")
    writer = {"Resource": PUT, "Parameters": {"Bucket.$": "$.folder", "Prefix": "out"}}
    output = await run(
        passing(ItemReader=csv_reader(folder), ItemBatcher={"MaxItemsPerBatch": 2}, ResultWriter=writer), folder
    )
    manifest = json.loads((folder / output["ResultWriterDetails"]["Key"]).read_text())
    (file,) = manifest["ResultFiles"]["SUCCEEDED"]
    found = json.loads((folder / file["Key"]).read_text())
    assert [json.loads(one["Output"]) for one in found] == [
        {"Items": [{"n": "1"}, {"n": "2"}]},
        {"Items": [{"n": "3"}]},
    ]
    assert manifest["MapRunArn"] == output["MapRunArn"]


async def test_a_reader_that_fails_fails_the_state_and_can_be_caught(folder: Path) -> None:
    catch = {"ErrorEquals": ["States.ItemReaderFailed"], "ResultPath": "$.error", "Next": "Told"}
    state = passing(ItemReader=csv_reader(folder), Catch=[catch])
    output = (await _caught(state, folder))["error"]
    assert output["Error"] == "States.ItemReaderFailed"
    assert output["Cause"].endswith("a.csv: No such file or directory")


async def _caught(state: dict[str, Any], folder: Path) -> Any:
    told = {"Name": "Told", "Type": "Pass"}
    async with engine.Engine.in_memory({}) as one:
        return await one.run(machine(state, told), {"folder": folder.as_uri()})


async def test_a_run_that_fails_too_often_exports_what_came_of_its_items(folder: Path) -> None:
    handlers = Handlers()
    handlers.failing = {2}
    writer = {"Resource": PUT, "Parameters": {"Bucket.$": "$.folder", "Prefix": "out"}}
    state = mapped("STANDARD", ItemsPath="$.items", MaxConcurrency=1, ResultWriter=writer)
    async with engine.Engine.in_memory(handlers.table) as one:
        with pytest.raises(engine.ExecutionFailed, match="ExceedToleratedFailureThreshold"):
            await one.run(machine(state), {"folder": folder.as_uri(), "items": list(range(1, 20))})
    (out,) = (folder / "out").iterdir()
    shown = {path.name: [one["Input"] for one in json.loads(path.read_text())] for path in out.glob("[FPS]*.json")}
    assert shown == {"SUCCEEDED_0.json": ["1"], "FAILED_0.json": ["2"], "PENDING_0.json": ["3"]}


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
async def test_a_run_that_is_stopped_exports_what_came_of_its_items(folder: Path, kind: str) -> None:
    handlers = Handlers()
    handlers.open = anyio.Event()
    writer = {"Resource": PUT, "Parameters": {"Bucket.$": "$.folder", "Prefix": "out"}}
    state = mapped(kind, ItemsPath="$.items", MaxConcurrency=1, ResultWriter=writer)
    async with engine.Engine.in_memory(handlers.table) as one:
        given = {"folder": folder.as_uri(), "items": list(range(1, 20))}
        execution = await one.start_execution(machine(state), given)
        await until(lambda: handlers.inside == 1)
        await execution.stop()
        (arn,) = await one.map_runs(execution.arn)
        async for counts in one.watch_map_run(arn, every_seconds=0.01):
            status = counts.status
    assert status == "ABORTED"
    (out,) = (folder / "out").iterdir()
    shown = {path.name: [one["Input"] for one in json.loads(path.read_text())] for path in out.glob("[FPS]*.json")}
    assert shown == {"FAILED_0.json": ["1"], "PENDING_0.json": ["2", "3"]}


async def test_results_that_are_not_exported_may_be_shown_untransformed(folder: Path) -> None:
    handlers = Handlers()
    handlers.failing = {2}
    state = mapped(
        "EXPRESS",
        ItemsPath="$.items",
        ToleratedFailureCount=1,
        ResultWriter={"WriterConfig": {"Transformation": "NONE"}},
    )
    async with engine.Engine.in_memory(handlers.table) as one:
        output = await one.run(machine(state), {"items": [1, 2]})
        assert [(found["Status"], found["Input"], found.get("Output"), found.get("Error")) for found in output] == [
            ("SUCCEEDED", "1", "2", None),
            ("FAILED", "2", None, "Bad"),
        ]
        with pytest.raises(engine.ExecutionFailed, match="DataLimitExceeded"):
            await one.run(machine(state), {"items": ["a" * 1_000] * 250, "folder": ""})


@pytest.mark.parametrize("kind", ["STANDARD", "EXPRESS"])
async def test_the_worker_that_comes_next_reads_on_where_the_last_one_was(folder: Path, kind: str) -> None:
    (folder / "a.jsonl").write_text("".join(f"{n}\n" for n in range(300)))
    reader = {
        "Resource": GET,
        "ReaderConfig": {"InputType": "JSONL"},
        "Parameters": {"Bucket.$": "$.folder", "Key": "a.jsonl"},
    }
    state = mapped(kind, ItemReader=reader, MaxConcurrency=4)
    store, handlers = MemoryStore(through_bytes=True), Handlers()
    handlers.open = anyio.Event()
    async with on(store, handlers.table) as first:
        execution = await first.start_execution(machine(state), {"folder": folder.as_uri()})
        await until(lambda: handlers.inside == 4)
    assert len(handlers.calls) < 300, "the file was not read to its end"
    handlers.open = None
    async with on(store, handlers.table) as second:
        with anyio.fail_after(DEADLINE_SECONDS):
            assert await (await second.execution(execution.arn)).result() == [2 * n for n in range(300)]


LINES = b"".join(b'{"n": %d}\n' % n for n in range(3_000))


def parquet_of(rows: int) -> bytes:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    written = io.BytesIO()
    pq.write_table(pa.table({"n": list(range(rows))}), written)
    return written.getvalue()


FAULTS: dict[str, tuple[str, dict[str, Any], Callable[[], bytes], str]] = {
    "a truncated gzip": ("JSONL", {}, lambda: gzip.compress(LINES)[:-9], "its gzip data is truncated"),
    "a truncated Parquet": ("PARQUET", {}, lambda: parquet_of(3_000)[:-9], "it is truncated or no Parquet"),
    "a wrong pointer": ("JSON", {"ItemsPointer": "/b"}, lambda: b'{"a": []}', "does not match any valid path"),
    "a line of 1 GB": ("JSONL", {}, lambda: LINES + b'"', "is larger than 8 MB"),
    "keys that come twice": ("JSON", {}, lambda: b'{"a": 1, "a": 2}', "the key 'a' comes twice"),
    "columns that come twice": ("CSV", FIRST_ROW, lambda: b"a,a\n1,2\n", "CSV headers cannot contain duplicates."),
    "what is no UTF-8": ("JSONL", {}, lambda: LINES + b'"\xff"\n', "expected UTF-8, got the byte 0xff"),
    "what is no JSON": ("JSONL", {}, lambda: LINES + b"{\n", "is not JSON"),
    "a quote that is not closed": ("CSV", FIRST_ROW, lambda: b'n\n1\n"2\n3\n', "is not closed"),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("fault", FAULTS)
async def test_faulty_items_fail_the_map_and_leave_nothing_open(folder: Path, fault: str) -> None:
    input_type, config, content, cause = FAULTS[fault]
    with (folder / "a").open("wb") as file:
        file.write(content())
        if "1 GB" in fault:
            file.truncate(1 << 30)  # a hole: zeros
    reader = {
        "Resource": GET,
        "ReaderConfig": {"InputType": input_type, **config},
        "Parameters": {"Bucket": folder.as_uri(), "Key": "a"},
    }
    async with engine.Engine.in_memory({}) as one:
        with pytest.raises(engine.ExecutionFailed, match=r"States\.ItemReaderFailed") as failed:
            await one.run(machine(passing(ItemReader=reader)), {})
        assert cause in (failed.value.cause or "")
        assert opened_below(folder) == []


def opened_below(folder: Path) -> list[str]:
    """Files that this process has open there."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            found.append(str(Path(f"/proc/self/fd/{number}").readlink()))
    return [path for path in found if path.startswith(str(folder))]


@pytest.mark.parametrize("ending", ["fails", "is stopped"])
async def test_a_map_run_that_ends_before_its_file_does_leaves_nothing_open(folder: Path, ending: str) -> None:
    (folder / "a.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(3_000)))
    handlers = Handlers()
    handlers.open = anyio.Event()
    state = mapped("EXPRESS", ItemReader=csv_reader(folder), ItemSelector={"n": 0})
    async with engine.Engine.in_memory(handlers.table) as one:
        execution = await one.start_execution(machine({**state, "MaxConcurrency": 4}), {"folder": folder.as_uri()})
        await until(lambda: handlers.inside == 4)
        assert opened_below(folder) == [str(folder / "a.csv")]
        if ending == "fails":
            handlers.failing = {0}
            handlers.open.set()
        else:
            await execution.stop(None, None)
        with pytest.raises(engine.ExecutionFailed):
            await execution.result()
        (arn,) = await one.map_runs(execution.arn)
        async for _ in one.watch_map_run(arn, every_seconds=0.01):
            pass
        await until(lambda: opened_below(folder) == [])
