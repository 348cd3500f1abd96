"""A Distributed Map on PostgreSQL: `make bench-map`. Items per second, and what each costs.

    python -m benchmarks.map_                     EXPRESS and STANDARD, batches of 1 and 100, 10,000 and 100,000 items
    python -m benchmarks.map_ --kind EXPRESS --batch 1 --items 10000,1000000
    python -m benchmarks.map_ --workers 2         that many processes beside the one that starts it

The processor is one Pass state. The items are read from a CSV file (`--source csv`), or are the state's input. The CPU
of other worker processes is not in `client_cpu`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from benchmarks.postgres import Meter, throwaway_server
from engine import Engine, Limits

if TYPE_CHECKING:
    from collections.abc import Sequence

TARGETS = {("EXPRESS", 1): 5_000, ("STANDARD", 1): 2_000, ("EXPRESS", 100): 50_000, ("STANDARD", 100): 20_000}
"""Items per second on two cores, by kind and batch."""

_LIMITS = {"payload_bytes": "off"}


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


async def measure(url: str, kind: str, batch: int, items: int, given: Any, source: str) -> dict[str, Any]:
    """One map run after a small one."""
    with psycopg.connect(url, autocommit=True) as admin:
        async with Engine(url, handlers={}, limits=Limits(**_LIMITS)) as engine:
            machine = await engine.deploy(definition(kind, batch, source), "mapped")
            small = given if source == "csv" and items <= 1_000 else given[:50] if source == "state" else None
            if small is not None:
                await engine.run(machine, small)
            with Meter(admin) as meter:
                output: Any = await engine.run(machine, given)
            assert len(output) == -(-items // batch), len(output)
    target = TARGETS.get((kind, batch))
    measured = {"kind": kind, "batch": batch, "items": items, **meter.per(items, "item")}
    return measured if target is None else {**measured, "target_per_s": target}


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
    return [subprocess.Popen(command) for _ in range(count)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a line of JSON for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", default="EXPRESS,STANDARD")
    parser.add_argument("--batch", default="1,100")
    parser.add_argument("--items", default="10000,100000")
    parser.add_argument("--source", choices=("state", "csv"), default="state")
    parser.add_argument("--workers", type=int, default=0)
    options = parser.parse_args(arguments)
    with throwaway_server() as server, tempfile.TemporaryDirectory() as folder:
        os.environ["ASL_MAP_FILES"] = folder
        for kind in options.kind.split(","):
            for batch in map(int, options.batch.split(",")):
                for items in map(int, options.items.split(",")):
                    url = server.fresh()
                    workers = _workers(url, options.workers)
                    try:
                        given = _given(options.source, Path(folder), items)
                        found = asyncio.run(measure(url, kind, batch, items, given, options.source))
                    finally:
                        for worker in workers:
                            worker.terminate()
                            worker.wait()
                    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
