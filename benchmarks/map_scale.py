"""A Distributed Map run by worker processes: `make bench-map-scale`. Their memory, and who does how much.

    python -m benchmarks.map_scale                                     memory, outputs, spread and waiting
    python -m benchmarks.map_scale --part memory --megabytes 1000      files of that size: CSV, JSONL, a JSON array
    python -m benchmarks.map_scale --part spread --workers 2,4

This process only starts the executions and waits. `peak_mb` is the largest resident set that a worker had (VmHWM of
Linux), its interpreter and libraries included; `start_mb` what it had before the execution was started.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from benchmarks.linear import verdict
from benchmarks.postgres import Meter, cpu_seconds, throwaway_server
from engine import Engine, ExecutionFailed, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from benchmarks.postgres import Server

PEAK_MB_MAX = 300.0
"""Of a worker, whatever it reads."""

SHARE_MAX = 1.5
"""Of the worker that has most, times a fair share."""

_WAITING_WAL_MAX = 2_000.0
"""Renewals of the lease, and what the server writes by itself."""

_FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:"

_HANDLERS = """
import asyncio
import os

async def who(item):
    return os.getpid()

async def large(item):
    return (item["id"] + " some words of a result. ") * 4_000

async def slow(item):
    await asyncio.sleep(0.1)
    return os.getpid()
"""


def row(number: int) -> dict[str, str]:
    """An item of some 100 bytes of JSON."""
    return {"id": str(number), "name": f"item {number}", "colour": "green", "note": "a few words about the item here"}


def write_csv(path: Path, size: int) -> int:
    """A file of this many bytes; how many items it has."""
    return _write(path, size, b"id,name,colour,note\n", lambda number: ",".join(row(number).values()) + "\n", b"")


def write_jsonl(path: Path, size: int) -> int:
    """The same as JSON Lines."""
    return _write(path, size, b"", lambda number: json.dumps(row(number)) + "\n", b"")


def write_json(path: Path, size: int) -> int:
    """The same as one array."""
    return _write(path, size, b"[{}", lambda number: ",\n" + json.dumps(row(number)), b"]")


def _write(path: Path, size: int, head: bytes, line: Callable[[int], str], tail: bytes) -> int:
    count = 0
    with path.open("wb") as file:
        written = file.write(head)
        while written < size:
            block = "".join(line(number) for number in range(count, count + 1_000)).encode()
            written += file.write(block)
            count += 1_000
        file.write(tail)
    return count


_FILES = {"CSV": write_csv, "JSONL": write_jsonl, "JSON": write_json}


class Workers:
    """Worker processes of one database."""

    def __init__(self, url: str, folder: Path, count: int, *, concurrency: int = 256) -> None:
        handlers = folder / "bench_handlers.py"
        handlers.write_text(_HANDLERS)
        command = [sys.executable, "-m", "engine", "worker", "--db", url, "--concurrency", str(concurrency)]
        command += ["--handlers", str(handlers)]
        environment = {**os.environ, "ASL_MAP_FILES": str(folder)}
        self._logs = [folder / f"worker{number}.log" for number in range(count)]
        self._begun = []
        for log in self._logs:
            with log.open("wb") as stderr:
                self._begun.append(subprocess.Popen(command, env=environment, stderr=stderr))
        self.pids = [one.pid for one in self._begun]
        until = time.monotonic() + _START_SECONDS
        while not all('"worker started"' in log.read_text() for log in self._logs):
            if time.monotonic() > until:
                raise RuntimeError("a worker did not start")
            time.sleep(0.05)
        self.start_mb = max(map(_peak_mb, self.pids))

    def peak_mb(self) -> float:
        """Of the one that took most."""
        return max(map(_peak_mb, self.pids))

    def cpu_seconds(self) -> float:
        """Of all."""
        return sum(map(cpu_seconds, self.pids))

    def end(self) -> None:
        """Has them end."""
        for one in self._begun:
            one.terminate()
        for one in self._begun:
            one.wait()


@contextmanager
def workers_of(url: str, folder: Path, count: int, **options: Any) -> Iterator[Workers]:
    """Worker processes, as long as they are used."""
    workers = Workers(url, folder, count, **options)
    try:
        yield workers
    finally:
        workers.end()


def _peak_mb(pid: int) -> float:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def definition(kind: str, child: dict[str, Any], reader: dict[str, Any] | None, **fields: Any) -> dict[str, Any]:
    """A state machine that is one Distributed Map; `reader`: its ReaderConfig, where it reads a file."""
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": kind},
                 "StartAt": "P", "States": {"P": {**child, "End": True}}}  # fmt: skip
    state: dict[str, Any] = {"Type": "Map", "ItemProcessor": processor, **fields, "End": True}
    if reader is not None:
        state["ItemReader"] = {"Resource": "arn:aws:states:::s3:getObject", "ReaderConfig": reader,
                               "Parameters": {"Bucket.$": "$.Bucket", "Key.$": "$.Key"}}  # fmt: skip
    return {"StartAt": "M", "States": {"M": state}}


async def run(
    url: str, workers: Workers, machine: dict[str, Any], given: Any, *, limits: Limits
) -> tuple[Meter, float, Any]:
    """Runs it by the workers: what it cost the server, CPU of the workers, and its output or error."""
    with psycopg.connect(url, autocommit=True) as admin:
        async with Engine(url, limits=limits) as engine:
            deployed = await engine.deploy(machine, "mapped")
            before = workers.cpu_seconds()
            with Meter(admin) as meter:
                try:
                    output = await engine.run(deployed, given)
                except ExecutionFailed as error:
                    output = error
    return meter, workers.cpu_seconds() - before, output


def measured(meter: Meter, cpu: float, items: int) -> dict[str, Any]:
    """As `Meter.per`, with the workers' CPU in place of this process's."""
    return {**meter.per(items, "item"), "client_cpu_us_per_item": round(1e6 * cpu / items, 1)}


MEMORY: dict[str, tuple[str, str, dict[str, Any], int | None]] = {
    "csv batches of 1,000": ("CSV", "EXPRESS", {"ItemBatcher": {"MaxItemsPerBatch": 1_000}}, None),
    "csv batches of 256 KB": ("CSV", "EXPRESS", {"ItemBatcher": {"MaxInputBytesPerBatch": 262_144}}, None),
    "csv standard batches of 1,000": ("CSV", "STANDARD", {"ItemBatcher": {"MaxItemsPerBatch": 1_000}}, None),
    "csv one at a time": ("CSV", "EXPRESS", {}, 500_000),
    "jsonl batches of 1,000": ("JSONL", "EXPRESS", {"ItemBatcher": {"MaxItemsPerBatch": 1_000}}, None),
    "json batches of 1,000": ("JSON", "EXPRESS", {"ItemBatcher": {"MaxItemsPerBatch": 1_000}}, None),
}
"""What is run over a large file: its type, the children's, fields of the state, MaxItems."""

_START_SECONDS = 30.0

_PASS = {"Type": "Pass", "Result": 0}


def measure_memory(server: Server, folder: Path, megabytes: int, only: str | None) -> list[str]:
    """A worker reads a large file."""
    verdicts = []
    counts: dict[str, int] = {}
    for name, (file_type, kind, fields, items_max) in MEMORY.items():
        if only is not None and only not in name:
            continue
        path = folder / f"large.{file_type.lower()}"
        if file_type not in counts:
            counts[file_type] = _FILES[file_type](path, megabytes << 20)
        reader: dict[str, Any] = {"InputType": file_type}
        if file_type == "CSV":
            reader["CSVHeaderLocation"] = "FIRST_ROW"
        if items_max is not None:
            reader["MaxItems"] = items_max
        machine = definition(kind, _PASS, reader, **fields)
        url = server.fresh()
        given = {"Bucket": folder.as_uri(), "Key": path.name}
        with workers_of(url, folder, 1) as workers:
            meter, cpu, output = asyncio.run(run(url, workers, machine, given, limits=Limits(payload_bytes="off")))
            found = {"start_mb": round(workers.start_mb, 1), "peak_mb": round(workers.peak_mb(), 1)}
        if isinstance(output, ExecutionFailed):
            raise output
        items = min(counts[file_type], items_max or counts[file_type])
        line = {"bench": "map_memory", "what": name, "file_mb": megabytes, "children": len(output)}
        print(json.dumps({**line, **measured(meter, cpu, items), **found}), flush=True)
        verdicts.append(verdict(f"{name}, a file of {megabytes:,} MB: peak_mb", found["peak_mb"], PEAK_MB_MAX, " MB"))
    return verdicts


def measure_outputs(server: Server, folder: Path, megabytes: int) -> list[str]:
    """Children with large outputs, to files and as a result; and a million that are too much for one."""
    verdicts = []
    writer = {"Resource": "arn:aws:states:::s3:putObject",
              "Parameters": {"Bucket": (folder / "results").as_uri(), "Prefix": "out"}}  # fmt: skip
    (folder / "results").mkdir(exist_ok=True)
    large = {"Type": "Task", "Resource": _FUNCTION + "large"}
    cases: list[tuple[str, int, dict[str, Any], dict[str, Any]]] = [
        ("of 100 KB, to files", megabytes * 10, large, {"ResultWriter": writer}),
        ("of 100 KB, too much for a result", megabytes * 10, large, {}),
        ("a million small ones, too much for a result", 1_000_000, {"Type": "Pass", "Result": 7}, {}),
    ]
    for name, items, child, fields in cases:
        path = folder / "outputs.csv"
        with path.open("w") as file:
            file.write("id\n")
            file.writelines(f"{number}\n" for number in range(items))
        machine = definition("EXPRESS", child, {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}, **fields)
        url = server.fresh()
        given = {"Bucket": folder.as_uri(), "Key": path.name}
        with workers_of(url, folder, 1) as workers:
            meter, cpu, ended = asyncio.run(run(url, workers, machine, given, limits=Limits()))
            peak = round(workers.peak_mb(), 1)
        told = ended.error if isinstance(ended, ExecutionFailed) else "SUCCEEDED"
        assert told == ("SUCCEEDED" if "ResultWriter" in fields else "States.DataLimitExceeded"), told
        line = {"bench": "map_outputs", "what": name, "items": items}
        print(json.dumps({**line, "ended": told, **measured(meter, cpu, items), "peak_mb": peak}), flush=True)
        verdicts.append(verdict(f"outputs, {name}: peak_mb", peak, PEAK_MB_MAX, " MB"))
    return verdicts


def measure_spread(server: Server, folder: Path, counts: Sequence[int], items: int) -> list[str]:
    """Several workers share the items of one map run; each child tells who ran it."""
    verdicts = []
    for kind, function in (("EXPRESS", "who"), ("EXPRESS", "slow"), ("STANDARD", "who")):
        path = folder / "spread.csv"
        with path.open("w") as file:
            file.write("id\n")
            file.writelines(f"{number}\n" for number in range(items))
        child = {"Type": "Task", "Resource": _FUNCTION + function}
        machine = definition(kind, child, {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"})
        for count in counts:
            url = server.fresh()
            given = {"Bucket": folder.as_uri(), "Key": path.name}
            with workers_of(url, folder, count) as workers:
                meter, cpu, output = asyncio.run(run(url, workers, machine, given, limits=Limits(payload_bytes="off")))
            if isinstance(output, ExecutionFailed):
                raise output
            shares = sorted((round(100 * n / items, 1) for n in Counter(output).values()), reverse=True)
            shares += [0.0] * (count - len(shares))
            line = {"bench": "map_spread", "kind": kind, "task": function, "workers": count, "items": items}
            print(json.dumps({**line, **measured(meter, cpu, items), "shares_percent": shares}), flush=True)
            if count > 1:
                most = SHARE_MAX * 100 / count
                verdicts.append(verdict(f"{kind}, {function}, {count} workers: largest share", shares[0], most, " %"))
    return verdicts


_WAIT_SECONDS = 5.0


async def _waiting(url: str, workers: Workers) -> dict[str, Any]:
    """A parent, its map run and its chunk, while the only children wait for a time and nothing is to be done."""
    wait = {"Type": "Wait", "Seconds": 600}
    with psycopg.connect(url, autocommit=True) as admin:
        async with Engine(url) as engine:
            idle = workers.cpu_seconds()
            await asyncio.sleep(_WAIT_SECONDS)
            idle = workers.cpu_seconds() - idle
            machine = await engine.deploy(definition("EXPRESS", wait, None), "waiting")
            execution = await engine.start_execution(machine, list(range(100)))
            while not await _running(engine, execution.arn, 100):  # noqa: ASYNC110  the database tells nobody
                await asyncio.sleep(0.1)
            await asyncio.sleep(2)  # the chunk is written once a second, while something moves
            with Meter(admin) as meter:
                cpu = workers.cpu_seconds()
                await asyncio.sleep(_WAIT_SECONDS)
                cpu = workers.cpu_seconds() - cpu
            parked = admin.execute("select count(*) from asl.open_execution where owner is null").fetchall()[0][0]
            await execution.stop()
    return {"seconds": _WAIT_SECONDS, "wal_bytes_per_second": round(meter.wal / _WAIT_SECONDS), "parked": parked,
            "worker_cpu_percent": round(100 * cpu / _WAIT_SECONDS, 2),
            "worker_cpu_percent_without": round(100 * idle / _WAIT_SECONDS, 2)}  # fmt: skip


async def _running(engine: Engine, execution_arn: str, children: int) -> bool:
    return any([(await engine.map_run_counts(arn)).running == children for arn in await engine.map_runs(execution_arn)])


def measure_waiting(server: Server, folder: Path) -> list[str]:
    """What a Distributed Map costs while nothing of it can go on."""
    url = server.fresh()
    with workers_of(url, folder, 1) as workers:
        found = asyncio.run(_waiting(url, workers))
    print(json.dumps({"bench": "map_waiting", **found}), flush=True)
    return [verdict("waiting: WAL", found["wal_bytes_per_second"], _WAITING_WAL_MAX, " bytes/s")]


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints a line of JSON for each measurement, and verdicts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default="memory,outputs,spread,waiting")
    parser.add_argument("--megabytes", type=int, default=1_000)
    parser.add_argument("--only", help="a part of the names of the measurements of memory")
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--items", type=int, default=20_000)
    options = parser.parse_args(arguments)
    verdicts: list[str] = []
    with throwaway_server() as server, tempfile.TemporaryDirectory() as given:
        folder = Path(given)
        for part in options.part.split(","):
            if part == "memory":
                verdicts += measure_memory(server, folder, options.megabytes, options.only)
            elif part == "outputs":
                verdicts += measure_outputs(server, folder, options.megabytes)
            elif part == "spread":
                counts = [int(one) for one in options.workers.split(",")]
                verdicts += measure_spread(server, folder, counts, options.items)
            else:
                verdicts += measure_waiting(server, folder)
    print("\n".join(verdicts))


if __name__ == "__main__":
    main()
