"""Map runs whose items come from files and whose results go to files."""

from __future__ import annotations

import json
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
    from pathlib import Path

__all__ = ["folder"]

pytestmark = pytest.mark.anyio

GET = "arn:aws:states:::s3:getObject"
PUT = "arn:aws:states:::s3:putObject"


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
