"""Executions that only wait: what they cost while they do, and how late they wake. `make bench-durable` runs it.

    python -m benchmarks.parked                           100,000 parked, 2,000 due per second for 20 s
    python -m benchmarks.parked --million                 a million, for 60 s
    python -m benchmarks.parked --n 20000 --seconds 5

A worker starts them (acknowledged one by one, which is the start rate), each goes to its Wait state and is given up.
Those beyond the ones that become due, and beyond 100,000, are copied row by row in the database, as starting them would
take long; what they cost is the same. Then as many as asked for become due each second; the latency of one is from the
moment its Wait state is over to the commit of its end.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from benchmarks.durable_run import closed_loop
from benchmarks.postgres import Meter, percentiles, table_bytes, throwaway_server
from engine import Engine

if TYPE_CHECKING:
    from benchmarks.postgres import Connection
    from engine.interpreter.snapshot import Transition

STARTED_MAX = 100_000
FAR_SECONDS = 86_400
WAKE_P99_MS_MAX = 250.0
DISK_BYTES_MAX = 1_024.0

_IN_FLIGHT = 256
_MARGIN_SECONDS = 4
_COPIED_AT_ONCE = 20_000

DEFINITION: dict[str, Any] = {
    "StartAt": "Wait",
    "States": {
        "Wait": {"Type": "Wait", "TimestampPath": "$.at", "Next": "Awake"},
        "Awake": {"Type": "Pass", "End": True},
    },
}

_NEW_ID = """(lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '7'
 || substr(md5(n::text || random()), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid"""


def copy_parked(admin: Connection, count: int) -> None:
    """Parks copies of an execution that is parked: rows of the same size, each with an id of its own."""
    template = admin.execute("select id from asl.open_execution where owner is null limit 1").fetchall()[0][0]
    tables = {
        "asl.execution": "id",
        "asl.open_execution": "id",
        "asl.history_segment": "execution_id",
    }
    admin.execute("create temporary table if not exists fresh (id uuid)")
    while count > 0:
        batch = min(count, _COPIED_AT_ONCE)
        count -= batch
        admin.execute("truncate fresh")
        admin.execute(f"insert into fresh select {_NEW_ID} from generate_series(1, {batch}) n".encode())
        for table, key in tables.items():
            columns = _columns(admin, table)
            values = ", ".join("fresh.id" if column == key else f"t.{column}" for column in columns)
            copied = f"select {values} from {table} t, fresh where t.{key} = %s order by fresh.id"
            admin.execute(f"insert into {table} ({', '.join(columns)}) {copied}".encode(), (template,))


def _columns(admin: Connection, table: str) -> list[str]:
    found = admin.execute(
        "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped", (table,)
    )
    return [row[0] for row in found.fetchall()]


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class _Woken:
    """An observer that notes how late each execution ended."""

    def __init__(self) -> None:
        self.late: list[float] = []

    def __call__(self, execution_arn: str, transition: Transition) -> None:
        ending = transition.ending
        if ending is not None and isinstance(ending.output, dict):
            self.late.append(time.time() - float(str(ending.output["due"])))


async def measure(url: str, *, n: int, per_second: int, seconds: int) -> dict[str, Any]:
    """Parks `n` executions, of which `per_second` become due in each of `seconds`."""
    woken = _Woken()
    due_count = per_second * seconds
    started = min(n, STARTED_MAX + due_count)
    with psycopg.connect(url, autocommit=True) as admin:
        async with Engine(url, handlers={}, observer=woken) as engine:
            machine = await engine.deploy(DEFINITION, "parked")
            far = far_away()

            async def park(_: int) -> None:
                await engine.start_execution(machine, far)

            await closed_loop(park, 200, 50)
            gc.collect()
            resident, disk = _resident_bytes(), table_bytes(admin)
            with Meter(admin) as starting:
                await closed_loop(park, started - due_count, _IN_FLIGHT)
            gc.collect()
            resident = _resident_bytes() - resident
            copy_parked(admin, n - started)
            # The rate of the starts so far tells how long those of the others will take.
            lead = (
                due_count / ((started - due_count) / starting.wall) * 1.5 if started > due_count else due_count / 1_000
            )
            first = time.time() + lead + _MARGIN_SECONDS

            async def park_due(number: int) -> None:
                await engine.start_execution(machine, _given(first + number / per_second))

            await closed_loop(park_due, due_count, _IN_FLIGHT)
            disk = table_bytes(admin) - disk
            is_in_time = time.time() < first
            await asyncio.sleep(max(0.0, first - time.time() - 0.5))
            with Meter(admin) as waking:
                until = first + seconds + 60
                while len(woken.late) < due_count and time.time() < until:  # noqa: ASYNC110  an observer may not wait
                    await asyncio.sleep(0.25)
    return {
        "bench": "asl_parked",
        "parked": n,
        "per_second": per_second,
        "seconds": seconds,
        "starts_per_s": round((started - due_count) / starting.wall, 1),
        "client_cpu_us_per_start": starting.per(started - due_count, "start")["client_cpu_us_per_start"],
        "pg_cpu_us_per_start": starting.per(started - due_count, "start")["pg_cpu_us_per_start"],
        "wal_bytes_per_start": starting.per(started - due_count, "start")["wal_bytes_per_start"],
        "disk_bytes_per_parked": round(disk / n, 1),
        "rss_bytes_per_parked": round(resident / max(1, started - due_count), 1),
        "woken": len(woken.late),
        "all_parked_in_time": is_in_time,
        **{f"wake_{key}": value for key, value in percentiles(woken.late).items()},
        "wake_max_ms": round(1e3 * max(woken.late), 1),
        "client_cpu_us_per_wake": waking.per(due_count, "wake")["client_cpu_us_per_wake"],
        "pg_cpu_us_per_wake": waking.per(due_count, "wake")["pg_cpu_us_per_wake"],
    }


def far_away() -> dict[str, Any]:
    """The input of one that nobody lives to see awake."""
    return _given(time.time() + FAR_SECONDS)


def _given(at: float) -> dict[str, Any]:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
    return {"at": f"{whole}.{int(at % 1 * 1_000):03}Z", "due": int(at * 1_000) / 1_000, "order": "0123456789" * 10}


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--per-second", type=int, default=2_000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--million", action="store_true", help="a million, for 60 seconds")
    parser.add_argument("--postgres-bin", type=Path, help="a folder with PostgreSQL's programs")
    args = parser.parse_args()
    n, seconds = (1_000_000, 60) if args.million else (args.n, args.seconds)
    if n <= args.per_second * seconds:
        parser.error(f"--n {n}: no more than become due, {args.per_second} in each of {seconds} seconds")
    with throwaway_server(args.postgres_bin) as server:
        line = asyncio.run(measure(server.fresh(), n=n, per_second=args.per_second, seconds=seconds))
    print(json.dumps(line))


if __name__ == "__main__":
    main()
