"""One measured run of the engine on Postgres, in a process of its own: prints one JSON line.

    python -m benchmarks.durable_run --url URL --machine task10 --in-flight 32 --n 1000

A real worker (`Engine(url, handlers=...)`) in this process starts executions and waits for each one's output, so many
at a time. A start counts as acknowledged after its commit. The keys are those of the peers' scripts.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import psycopg

from benchmarks.machines import Machine, durable_machines
from benchmarks.postgres import Meter, percentiles
from engine import Engine
from engine.store.postgres.store import Handle, PostgresStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.machines import StateMachineHandle
    from engine.store.protocol import Committed, Group, MachineType

_WARM_UPS = 50


class Counts:
    """Groups that were committed, what was in them, and how long each took, in seconds."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begins anew."""
        self.written = 0
        self.seconds: list[float] = []

    def keys(self, count: int) -> dict[str, Any]:
        """As keys of a line about `count` executions."""
        commits = len(self.seconds)
        return {
            "commits_per_wf": round(commits / count, 3),
            "group_size": round(self.written / commits, 1) if commits else None,
            "commit_p50_ms": percentiles(self.seconds)["p50_ms"] if commits else None,
        }


class CountingStore(PostgresStore):
    """The store, with a count of what is committed through it."""

    def __init__(self, url: str, counts: Counts) -> None:
        self._counts = counts
        super().__init__(url)

    def handle(self) -> Handle:
        """See `Store.handle`."""
        handle = super().handle()
        commit, counts = handle.commit, self._counts

        def counted(group: Group) -> Committed:
            start = time.perf_counter()
            committed = commit(group)
            counts.seconds.append(time.perf_counter() - start)
            counts.written += len(group.checkpoints) + len(group.releases)
            return committed

        handle.commit = counted  # type: ignore[method-assign]
        return handle


async def step(event: dict[str, Any]) -> dict[str, Any]:
    """What a Task does."""
    return {**event, "i": event["i"] + 1}


def blocking_step(event: dict[str, Any]) -> dict[str, Any]:
    """The same, in a thread."""
    return {**event, "i": event["i"] + 1}


async def closed_loop(one: Callable[[int], Awaitable[None]], n: int, in_flight: int) -> list[float]:
    """Runs `one(number)` n times, so many at once; how long each took, in seconds."""
    numbers = iter(range(n))
    took: list[float] = []

    async def client() -> None:
        for number in numbers:
            start = time.perf_counter()
            await one(number)
            took.append(time.perf_counter() - start)

    await asyncio.gather(*(client() for _ in range(in_flight)))
    return took


async def measure(
    url: str, name: str, machine: Machine, *, n: int, in_flight: int, handlers: str, named: bool, runs_as: str
) -> dict[str, Any]:
    """Runs `n` executions of a machine; what one of them costs."""
    counts = Counts()
    does = step if handlers == "async" else blocking_step
    with psycopg.connect(url, autocommit=True) as admin:
        async with Engine(url=lambda: CountingStore(url, counts), handlers={"step": does}) as engine:
            type_: MachineType = "STANDARD" if runs_as == "standard" else "EXPRESS"
            deployed = await engine.deploy(machine.definition, name, type=type_)
            one = _execution(engine, deployed, machine, named, runs_as == "sync")
            await closed_loop(lambda number: one(-1 - number), min(n, _WARM_UPS), min(in_flight, _WARM_UPS))
            counts.reset()
            with Meter(admin) as meter:
                took = await closed_loop(one, n, in_flight)
    return {
        "bench": "asl_durable",
        "engine": "asl-engine",
        "python": sys.version.split()[0],
        "machine": name,
        "concurrency": in_flight,
        "handlers": handlers,
        "named": named,
        "runs_as": runs_as,
        **meter.per(n),
        "transitions_per_s": round(machine.transitions * n / meter.wall, 1),
        **counts.keys(n),
        **percentiles(took),
    }


def _execution(
    engine: Engine, machine: StateMachineHandle, of: Machine, named: bool, is_sync: bool
) -> Callable[[int], Awaitable[None]]:
    async def one(number: int) -> None:
        name = f"order-{number}" if named else None
        if is_sync:
            assert (await engine.start_sync_execution(machine, of.input, name=name)).status == "SUCCEEDED"
        else:
            await engine.run(machine, of.input, name=name)

    return one


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--machine", choices=sorted(durable_machines()), default="task1")
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--n", type=int, default=1_000)
    parser.add_argument("--handlers", choices=("async", "sync"), default="async")
    parser.add_argument("--named", action="store_true", help="each execution has a name of the caller's")
    parser.add_argument(
        "--runs-as",
        choices=("standard", "express", "sync"),
        default="standard",
        help="Standard executions, asynchronous Express ones, synchronous ones",
    )
    args = parser.parse_args()
    machine = durable_machines()[args.machine]
    run = measure(
        args.url,
        args.machine,
        machine,
        n=args.n,
        in_flight=args.in_flight,
        handlers=args.handlers,
        named=args.named,
        runs_as=args.runs_as,
    )
    print(json.dumps(asyncio.run(run)), flush=True)


if __name__ == "__main__":
    main()
