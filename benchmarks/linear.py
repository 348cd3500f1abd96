"""Costs that must grow in proportion and no faster: `make bench-linear`. Values, ratios, verdicts.

    python -m benchmarks.linear                      all parts
    python -m benchmarks.linear --part map,history   some of them

map        bytes written, CPU and time per item of a Map of 100, 1,000 and 10,000 items, each a durable Task
history    25,000 events with payloads of 300 bytes and 10 KB: bytes stored, and how long a page of 100 takes
live       CPU of one execution among 10, 1,000 and 10,000 live ones
machines   the same, of 1 and of 100 state machines in turn
workers    the same, with 1, 2 and 4 workers on one database at once, each a process that runs as many
snapshot   what a snapshot that is held open costs (`--seconds`, a minute by default)
arrive     how long a group takes before and after 100,000 parked executions arrive (`--million`: a million), under load
           and with autovacuum off, so that the server never hears of them

Each measurement runs in a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import subprocess
import sys
import time
from itertools import dropwhile, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from benchmarks import parked
from benchmarks.durable_run import CountingStore, Counts, closed_loop, step
from benchmarks.machines import TASK, chain, durable_machines
from benchmarks.postgres import Meter, commit_latency_ms, percentiles, relation_bytes, throwaway_server
from engine import Engine, Limits
from engine.interpreter.history import as_aws
from engine.store.postgres.store import PostgresStore

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.postgres import Server

MAP_ITEMS = (100, 1_000, 10_000)
MAP_CONCURRENCY = 40
"""AWS's limit of an Inline Map."""

PAYLOADS = (300, 10_000)
HISTORY_EVENTS = 25_000
LIVE = (10, 1_000, 10_000)
MACHINES = (1, 100)
WORKERS = (1, 2, 4)

RATIO_MAX = 1.5
STORED_BYTES_MAX = {300: 1_000_000, 10_000: 8_000_000}
PAGE_MS_MAX = 20.0
SNAPSHOT_RATIO_MAX = 1.3

_EVENTS_PER_TURN = 7
_COLOURS = ("red", "green", "blue", "yellow", "white", "black", "orange", "violet")
_THINGS = ("lamp", "chair", "table", "shelf", "carpet", "mirror", "curtain", "cushion", "basket", "clock")
_PAGE_EVENTS = 100
"""GetExecutionHistory's default."""


# ── one measurement, in a process of its own ────────────────────────────────────────────────────────────────────────


async def measure_map(url: str, items: int) -> dict[str, Any]:
    """One execution of a Map, each item a Task that changes it."""
    processor: dict[str, Any] = {"ProcessorConfig": {"Mode": "INLINE"}, **chain(TASK, 1)}
    mapped: dict[str, Any] = {"Type": "Map", "MaxConcurrency": MAP_CONCURRENCY, "ItemProcessor": processor, "End": True}
    definition: dict[str, Any] = {"StartAt": "M", "States": {"M": mapped}}
    given: list[Any] = [{"i": number, "name": "item", "tags": ["a", "b"]} for number in range(items)]
    counts = Counts()
    with psycopg.connect(url, autocommit=True) as admin:
        limits = Limits(payload_bytes="off", history_events="off")
        async with Engine(url=lambda: CountingStore(url, counts), handlers={"step": step}, limits=limits) as engine:
            machine = await engine.deploy(definition, "mapped")
            await engine.run(machine, given[:5])
            counts.reset()
            with Meter(admin) as meter:
                output: Any = await engine.run(machine, given)
            assert [item["i"] for item in output] == list(range(1, items + 1))
    return {"items": items, **meter.per(items, "item"), "commits": len(counts.seconds)}


async def measure_history(url: str, payload: int) -> dict[str, Any]:
    """One execution with 25,000 events: Tasks one after the other, each with its payload in and out."""
    tasks = (HISTORY_EVENTS - 10) // _EVENTS_PER_TURN
    chance = random.Random(1)

    async def fill(event: dict[str, Any]) -> dict[str, Any]:
        return {"i": event["i"] + 1, "items": _records(chance, payload - 20)}

    again: dict[str, Any] = {"Variable": "$.i", "NumericLessThan": tasks, "Next": "P0"}
    states: dict[str, Any] = {
        "P0": {**TASK, "Next": "More"},
        "More": {"Type": "Choice", "Choices": [again], "Default": "Done"},
        "Done": {"Type": "Succeed"},
    }
    with psycopg.connect(url, autocommit=True) as admin:
        async with Engine(url, handlers={"step": fill}) as engine:
            machine = await engine.deploy({"StartAt": "P0", "States": states}, "long")
            start = time.perf_counter()
            execution = await engine.start_execution(machine, {"i": 0})
            await execution.result()
            wall = time.perf_counter() - start
        admin.execute("vacuum asl.history_segment")
        total = relation_bytes(admin, "asl.history_segment")
        segments = admin.execute("select count(*) from asl.history_segment").fetchall()[0][0]
    store = PostgresStore(url)
    events = store.execution(execution.arn).last_event_id
    pages = []
    for first in range(1, events, events // 25):
        start = time.perf_counter()
        page = _page(store, execution.arn, first)
        pages.append(1e3 * (time.perf_counter() - start))
        assert len(page) == min(_PAGE_EVENTS, events - first + 1), (len(page), first)
    store.close()
    return {
        "payload": payload,
        "events": events,
        "segments": segments,
        "wall_s": round(wall, 2),
        "stored_bytes": total,
        "stored_bytes_per_event": round(total / events, 1),
        "page_ms_median": round(sorted(pages)[len(pages) // 2], 2),
        "page_ms_max": round(max(pages), 2),
    }


def _records(chance: random.Random, size: int) -> list[dict[str, Any]]:
    """Records as applications have them: what they are called repeats, what they hold does so now and then."""
    records: list[dict[str, Any]] = []
    left = size
    while left > 0:
        number = chance.randrange(100_000)
        record = {
            "id": f"item-{number:05}",
            "name": f"{chance.choice(_COLOURS)} {chance.choice(_THINGS)}",
            "quantity": chance.randrange(1, 20),
            "price": chance.randrange(100, 9_999) / 100,
            "shipped": chance.random() < 0.5,
        }
        records.append(record)
        left -= len(json.dumps(record)) + 2
    return records


def _page(store: PostgresStore, execution_arn: str, first: int) -> list[dict[str, Any]]:
    segments = store.history(execution_arn, from_event_id=first, events_max=_PAGE_EVENTS)
    return list(islice(dropwhile(lambda event: event["id"] < first, as_aws(segments)), _PAGE_EVENTS))


async def measure_live(url: str, live: int) -> dict[str, Any]:
    """One-Task executions, so many at once."""
    machine = durable_machines()["task1"]
    n = max(2_000, live)
    with psycopg.connect(url, autocommit=True) as admin:
        async with Engine(url, handlers={"step": step}, max_concurrency=live) as engine:
            deployed = await engine.deploy(machine.definition, "live")

            async def one(_: int) -> None:
                await engine.run(deployed, machine.input)

            await closed_loop(one, min(live, 500), live)
            with Meter(admin) as meter:
                await closed_loop(one, n, live)
    return {"live": live, **meter.per(n)}


async def measure_machines(url: str, machines: int) -> dict[str, Any]:
    """One-Task executions of so many state machines in turn."""
    machine = durable_machines()["task1"]
    n = 2_000
    with psycopg.connect(url, autocommit=True) as admin:
        async with Engine(url, handlers={"step": step}) as engine:
            deployed = [await engine.deploy(machine.definition, f"m{number}") for number in range(machines)]

            async def one(number: int) -> None:
                await engine.run(deployed[number % machines], machine.input)

            await closed_loop(one, 500, 64)
            with Meter(admin) as meter:
                await closed_loop(one, n, 64)
    return {"machines": machines, **meter.per(n)}


async def measure_workers(url: str, workers: int) -> dict[str, Any]:
    """One-Task executions of several workers at once."""
    n = 1_500
    command = [sys.executable, "-m", "benchmarks.durable_run", "--url", url, "--in-flight", "64", "--n", str(n)]
    with psycopg.connect(url, autocommit=True) as admin, Meter(admin) as meter:
        running = [await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE) for _ in range(workers)]
        lines = [json.loads((await process.communicate())[0]) for process in running]
    return {
        "workers": workers,
        "wf_per_s": round(sum(line["wf_per_s"] for line in lines), 1),
        "client_cpu_us_per_wf": round(sum(line["client_cpu_us_per_wf"] for line in lines) / workers, 1),
        # Of the whole life of the workers: their start and their warming up are in it.
        "pg_cpu_us_per_wf": meter.per(workers * n)["pg_cpu_us_per_wf"],
        "wal_bytes_per_wf": meter.per(workers * n)["wal_bytes_per_wf"],
        "group_size": round(sum(line["group_size"] for line in lines) / workers, 1),
    }


async def measure_snapshot(url: str, seconds: int) -> dict[str, Any]:
    """One-Task executions before and while somebody holds a snapshot open, which keeps dead rows from being removed."""
    machine = durable_machines()["task1"]
    with psycopg.connect(url, autocommit=True) as admin, psycopg.connect(url) as holder:
        async with Engine(url, handlers={"step": step}) as engine:
            deployed = await engine.deploy(machine.definition, "held")

            async def one(_: int) -> None:
                await engine.run(deployed, machine.input)

            async def during(seconds: float) -> tuple[Meter, int]:
                done = 0
                until = time.perf_counter() + seconds
                with Meter(admin) as meter:
                    while time.perf_counter() < until:
                        await closed_loop(one, 200, 64)
                        done += 200
                return meter, done

            await during(2)
            before, n = await during(max(5, seconds / 6))
            holder.execute("set transaction isolation level repeatable read")
            holder.execute("select count(*) from asl.execution")
            await during(max(1, seconds * 5 / 6))
            held, m = await during(max(5, seconds / 6))
            holder.rollback()
    return {"seconds": seconds, "before": before.per(n), "held": held.per(m)}


async def measure_arrive(url: str, rows: int) -> dict[str, Any]:
    """One-Task executions while so many parked ones arrive, of which no statistics tell."""
    machine = durable_machines()["task1"]
    counts = Counts()
    with psycopg.connect(url, autocommit=True) as admin:
        tables = admin.execute(
            "select relname from pg_class where relnamespace = 'asl'::regnamespace and relkind = 'r'"
        )
        for (table,) in tables.fetchall():
            admin.execute(f"alter table asl.{table} set (autovacuum_enabled = off)".encode())
        async with Engine(url=lambda: CountingStore(url, counts), handlers={"step": step}) as engine:
            deployed = await engine.deploy(machine.definition, "load")
            waiting = await engine.deploy(parked.DEFINITION, "parked")
            await engine.start_execution(waiting, parked.far_away())

            async def one(_: int) -> None:
                await engine.run(deployed, machine.input)

            async def measured_group() -> dict[str, Any]:
                floor = await asyncio.to_thread(commit_latency_ms, url, 0.5)
                counts.reset()
                with Meter(admin) as meter:
                    await closed_loop(one, 2_000, 32)
                took = {**percentiles(counts.seconds), "commit_floor_p50_ms": floor["p50_ms"]}
                return {**took, "pg_cpu_us_per_wf": meter.per(2_000)["pg_cpu_us_per_wf"]}

            await closed_loop(one, 500, 32)
            before = await measured_group()
            arriving = asyncio.create_task(asyncio.to_thread(parked.copy_parked, admin, rows))
            start = time.perf_counter()
            while not arriving.done():
                await closed_loop(one, 100, 32)
            await arriving
            took = time.perf_counter() - start
            # What was copied is still being written to the disk.
            await asyncio.to_thread(admin.execute, "checkpoint")
            after = await measured_group()
    return {"rows": rows, "arrived_in_s": round(took, 1), "before": before, "after": after}


_MEASURES: dict[str, Callable[[str, int], Any]] = {
    "map": measure_map,
    "history": measure_history,
    "live": measure_live,
    "machines": measure_machines,
    "workers": measure_workers,
    "snapshot": measure_snapshot,
    "arrive": measure_arrive,
}


# ── all of them, with verdicts ──────────────────────────────────────────────────────────────────────────────────────


def measured(server: Server, part: str, number: int) -> dict[str, Any]:
    """One measurement in a fresh database and a process of its own."""
    command = [sys.executable, "-m", "benchmarks.linear", "--measure", part, str(number), "--url", server.fresh()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{part} {number} failed:\n{done.stderr}")
    line: dict[str, Any] = {"bench": f"asl_linear_{part}", **json.loads(done.stdout.splitlines()[-1])}
    return line


def verdict(what: str, value: float, most: float, unit: str = "") -> str:
    """A line: what it is, what it may be, and whether it is."""
    said = "ok  " if value <= most else "OVER"
    return f"{said}  {what}: {value:,.2f}{unit} (at most {most:,.2f}{unit})"


def growth(part: str, lines: list[dict[str, Any]], number: str, keys: list[str]) -> list[str]:
    """Verdicts on a cost per piece, of the largest number against the smallest one but tiny."""
    first, last = lines[0], lines[-1]
    return [
        verdict(f"{part} {first[number]:,} -> {last[number]:,}: {key}", last[key] / first[key], RATIO_MAX, "x")
        for key in keys
        if first[key]
    ]


def judged(part: str, lines: list[dict[str, Any]]) -> list[str]:
    """The verdicts on a part."""
    match part:
        case "map":
            keys = ["wal_bytes_per_item", "client_cpu_us_per_item", "pg_cpu_us_per_item"]
            return growth(part, lines, "items", keys)
        case "live":
            return growth(part, lines, "live", ["wal_bytes_per_wf", "client_cpu_us_per_wf", "pg_cpu_us_per_wf"])
        case "machines" | "workers":
            return growth(part, lines, part, ["wal_bytes_per_wf", "client_cpu_us_per_wf", "pg_cpu_us_per_wf"])
        case "history":
            return [
                text
                for line in lines
                for text in (
                    verdict(f"history of {line['events']:,} events of {line['payload']:,} bytes: MB stored",
                            line["stored_bytes"] / 1e6, STORED_BYTES_MAX[line["payload"]] / 1e6),
                    verdict("  a page of 100 of them", line["page_ms_median"], PAGE_MS_MAX, " ms"),
                )
            ]  # fmt: skip
        case "arrive":
            before, after = lines[0]["before"], lines[0]["after"]
            said = f"a group after {lines[0]['rows']:,} parked executions arrived"
            # The disk has its own moods, which the floor tells; the server's CPU shows what is read.
            key = "pg_cpu_us_per_wf"
            return [verdict(f"{said}: {key}", after[key] / before[key], RATIO_MAX, "x")]
        case _:
            before, held = lines[0]["before"], lines[0]["held"]
            keys = ["wall_s", "pg_cpu_us_per_wf", "client_cpu_us_per_wf"]
            each = {key: (before[key], held[key]) for key in keys[1:] if before[key]}
            each["wall per execution"] = (1 / before["wf_per_s"], 1 / held["wf_per_s"])
            return [
                verdict(f"a snapshot held open for {lines[0]['seconds']} s: {key}", b / a, SNAPSHOT_RATIO_MAX, "x")
                for key, (a, b) in each.items()
            ]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", default=",".join(_MEASURES), help="names, with commas between them")
    parser.add_argument("--seconds", type=int, default=60, help="how long the snapshot is held")
    parser.add_argument("--million", action="store_true", help="a million parked executions arrive")
    parser.add_argument("--postgres-bin", type=Path, help="a folder with PostgreSQL's programs")
    parser.add_argument("--measure", nargs=2, metavar=("PART", "NUMBER"), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        part, number = args.measure
        print(json.dumps(asyncio.run(_MEASURES[part](args.url, int(number)))))
        return
    numbers = {
        "map": MAP_ITEMS,
        "history": PAYLOADS,
        "live": LIVE,
        "machines": MACHINES,
        "workers": WORKERS,
        "snapshot": (args.seconds,),
        "arrive": (1_000_000 if args.million else 100_000,),
    }
    verdicts: list[str] = []
    with throwaway_server(args.postgres_bin) as server:
        for part in args.part.split(","):
            lines = []
            for number in numbers[part]:
                lines.append(measured(server, part, number))
                print(json.dumps(lines[-1]), flush=True)
            verdicts += judged(part, lines)
    print("\n".join(verdicts))


if __name__ == "__main__":
    main()
