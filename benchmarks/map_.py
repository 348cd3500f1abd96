"""A Distributed Map on PostgreSQL: `make bench-map`. Items per second, what each costs, and whether that grows.

    python -m benchmarks.map_                     EXPRESS and STANDARD, batches of 1 and 100, 10,000 and a million items
    python -m benchmarks.map_ --kind EXPRESS --batch 1 --items 10000,100000
    python -m benchmarks.map_ --workers 2         that many processes beside the one that starts it
    python -m benchmarks.map_ --watch             asks for the numbers of the map run once a second

The processor is one Pass state. The items are read from a CSV file, or are the state's input (`--source state`). Of
several sizes the smallest is measured before and after each other one, for a machine has better and worse minutes. The
CPU of other worker processes is not in `client_cpu`. `run_bytes` is the largest state of the map run that was seen.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from benchmarks.linear import verdict
from benchmarks.postgres import Meter, throwaway_server
from engine import Engine, Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

TARGETS = {("EXPRESS", 1): 5_000, ("STANDARD", 1): 2_000, ("EXPRESS", 100): 50_000, ("STANDARD", 100): 20_000}
"""Items per second on two cores, by kind and batch."""

GROWTH_MAX = 1.3
"""Of the CPU for an item, from the smallest size to the largest."""

_LIMITS = {"payload_bytes": "off"}

_RUN_BYTES = """
select coalesce(sum(octet_length(f.data)), 0)::bigint + octet_length(o.snapshot) from asl.open_execution o
left join asl.frame f on f.execution_id = o.id where o.id = %s group by o.id
"""


def definition(kind: str, batch: int, source: str) -> dict[str, Any]:
    """A Map whose children give nothing, so that the results are no work."""
    child = {"P": {"Type": "Pass", "Result": 0, "End": True}}
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind}, "StartAt": "P", "States": child}
    state: dict[str, Any] = {"Type": "Map", "ItemProcessor": processor, "End": True}
    if batch > 1:
        state["ItemBatcher"] = {"MaxItemsPerBatch": batch}
    if source == "csv":
        config = {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}
        reader = {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": config}
        state["ItemReader"] = {**reader, "Parameters": {"Bucket.$": "$.Bucket", "Key.$": "$.Key"}}
    return {"StartAt": "M", "States": {"M": state}}


class Watch:
    """Looks at a map run once a second. `run_bytes`: of its state, at most; `asked_ms`: how long each answer took."""

    def __init__(self, url: str, engine: Engine) -> None:
        self.run_bytes = 0
        self.asked_ms: list[float] = []
        self._url = url
        self._engine = engine

    async def look(self, execution_arn: str) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(1)
            for arn in await self._engine.map_runs(execution_arn):
                start = time.perf_counter()
                await self._engine.map_run_counts(arn)
                self.asked_ms.append(1e3 * (time.perf_counter() - start))
                self.run_bytes = max(self.run_bytes, await asyncio.to_thread(self._size, arn.rpartition(":")[2]))

    def _size(self, run_id: str) -> int:
        with psycopg.connect(self._url) as connection:
            found = connection.execute(_RUN_BYTES, (run_id,)).fetchone()
        return 0 if found is None else int(found[0])

    def told(self) -> dict[str, Any]:
        """As keys."""
        if not self.asked_ms:
            return {}
        return {"run_bytes": self.run_bytes, "counts_ms_median": round(statistics.median(self.asked_ms), 1)}


async def measure(url: str, machine: dict[str, Any], given: Any, items: int, batch: int, *, watched: bool) -> Any:
    """One map run after a small one."""
    with psycopg.connect(url, autocommit=True) as admin:
        async with Engine(url, handlers={}, limits=Limits(**_LIMITS)) as engine:
            deployed = await engine.deploy(machine, "mapped")
            if isinstance(given, list):
                await engine.run(deployed, given[:50])
            watch = Watch(url, engine)
            with Meter(admin) as meter:
                execution = await engine.start_execution(deployed, given)
                looking = asyncio.create_task(watch.look(execution.arn)) if watched else None
                output: Any = await execution.result()
            if looking is not None:
                looking.cancel()
            assert len(output) == -(-items // batch), len(output)
    return {**meter.per(items, "item"), **watch.told()}


def _given(source: str, folder: Path, items: int) -> Any:
    if source == "state":
        return [{"id": number, "name": f"item {number}", "colour": "green"} for number in range(items)]
    path = folder / f"{items}.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("id,name,colour\n")
        file.writelines(f"{number},item {number},green\n" for number in range(items))
    return {"Bucket": folder.as_uri(), "Key": path.name}


def _workers(url: str, count: int) -> list[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "engine", "worker", "--db", url]
    return [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(count)]


def judged(lines: Sequence[dict[str, Any]]) -> list[str]:
    """Verdicts on the lines of one kind and batch."""
    sizes = sorted({line["items"] for line in lines})
    what = f"{lines[0]['kind']}, batches of {lines[0]['batch']}"

    def median(size: int, key: str) -> float:
        return statistics.median(line[key] for line in lines if line["items"] == size)

    verdicts = []
    if len(sizes) > 1:
        growth = median(sizes[-1], "client_cpu_us_per_item") / median(sizes[0], "client_cpu_us_per_item")
        said = f"{what}, {sizes[0]:,} -> {sizes[-1]:,} items: client_cpu_us_per_item"
        verdicts.append(verdict(said, growth, GROWTH_MAX, "x"))
    target = TARGETS.get((lines[0]["kind"], lines[0]["batch"]))
    if target is not None:
        microseconds = 1e6 / median(sizes[-1], "item_per_s")
        verdicts.append(verdict(f"{what}: wall for an item", microseconds, 1e6 / target, " us"))
    return verdicts


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a line of JSON for each measurement, and verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", default="EXPRESS,STANDARD")
    parser.add_argument("--batch", default="1,100")
    parser.add_argument("--items", default="10000,1000000")
    parser.add_argument("--source", choices=("state", "csv"), default="csv")
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--watch", action="store_true")
    options = parser.parse_args(arguments)
    smallest, *others = sorted(map(int, options.items.split(",")))
    order = [smallest, *(size for other in others for size in (other, smallest))]
    verdicts: list[str] = []
    with throwaway_server() as server, tempfile.TemporaryDirectory() as folder:
        os.environ["ASL_MAP_FILES"] = folder
        given = {size: _given(options.source, Path(folder), size) for size in {*order}}
        for kind in options.kind.split(","):
            for batch in map(int, options.batch.split(",")):
                machine = definition(kind, batch, options.source)
                lines = []
                for items in order:
                    url = server.fresh()
                    workers = _workers(url, options.workers)
                    try:
                        measuring = measure(url, machine, given[items], items, batch, watched=options.watch)
                        found = asyncio.run(measuring)
                    finally:
                        for worker in workers:
                            worker.terminate()
                            worker.wait()
                    lines.append({"bench": "map", "kind": kind, "batch": batch, "items": items, **found})
                    print(json.dumps(lines[-1]), flush=True)
                verdicts += judged(lines)
    print("\n".join(verdicts))


if __name__ == "__main__":
    main()
