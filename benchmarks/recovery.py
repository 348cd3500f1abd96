"""How long after kill -9 of a worker another one runs its Tasks again. `make bench-durable` runs it.

    python -m benchmarks.recovery                      a sibling of `asl worker --processes 2`, then a worker of its own
    python -m benchmarks.recovery --lease-seconds 3

Real `asl worker` processes. Ten executions are in their Task when the worker that has most of them is killed; what is
told is the time until the first and the last one of its Tasks runs again elsewhere.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg

from benchmarks.machines import TASK, chain
from benchmarks.postgres import throwaway_server
from engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterator

EXECUTIONS = 10
PATIENCE_SECONDS = 90.0
SETTLING_SECONDS = 3.0
LEASE_MARGIN_SECONDS = 2.0
HINTED_SECONDS_MAX = 1.0

_HANDLERS = """
import asyncio, os, time
async def step(event, context):
    with open({log!r}, "a") as log:
        log.write(f"{{os.getpid()}} {{time.time()}} {{context.execution_arn}}\\n")
    await asyncio.sleep(3600)
"""


@contextmanager
def _workers(url: str, folder: Path, *, apart: bool, lease_seconds: float) -> Iterator[None]:
    """Two workers: processes of one command, or of two."""
    (folder / "handlers.py").write_text(_HANDLERS.format(log=str(folder / "log")))
    options = ["--handlers", str(folder / "handlers.py"), "--lease-seconds", str(lease_seconds), "--drain-seconds", "0"]
    command = [sys.executable, "-m", "engine", "worker", "--db", url, *options]
    commands = [command, command] if apart else [[*command, "--processes", "2"]]
    with (folder / "stderr").open("w") as log:
        running = [subprocess.Popen(one, stderr=log, stdout=log, start_new_session=True) for one in commands]
        try:
            yield
        finally:
            for process in running:
                process.terminate()
            for process in running:
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)  # its own session, made above
                    process.wait()


def _runs(folder: Path) -> list[tuple[int, float, str]]:
    log = folder / "log"
    lines = log.read_text().splitlines() if log.exists() else []
    return [(int(pid), float(when), arn) for pid, when, arn in map(str.split, lines)]


def _until(folder: Path, count: int) -> list[tuple[int, float, str]]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(runs := _runs(folder)) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(runs)} of {count} Tasks ran:\n{(folder / 'stderr').read_text()[-2_000:]}")
        time.sleep(0.01)
    return runs


def _settle(url: str) -> None:
    """Waits until both workers are there, and have seen one another."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    with psycopg.connect(url, autocommit=True) as admin:
        while admin.execute("select count(*) from asl.worker where state = 'alive'").fetchall() != [(2,)]:
            if time.monotonic() > deadline:
                raise RuntimeError("the workers do not come")
            time.sleep(0.05)
    time.sleep(SETTLING_SECONDS)


async def _start(url: str) -> None:
    async with Engine(url) as engine:
        machine = await engine.deploy(chain(TASK, 1), "recovery")
        for number in range(EXECUTIONS):
            await engine.start_execution(machine, {"i": number})


def measure(url: str, *, apart: bool, lease_seconds: float) -> dict[str, Any]:
    """Kills the worker that has most, and waits for the other.

    Args:
        url: Of a fresh database.
        apart: Two commands, as on two machines; else two processes of one.
        lease_seconds: Of both.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _workers(url, folder, apart=apart, lease_seconds=lease_seconds):
            _settle(url)
            asyncio.run(_start(url))
            runs = _until(folder, EXECUTIONS)
            victim, lost = Counter(pid for pid, _, _ in runs).most_common(1)[0]
            killed_at = time.time()
            os.kill(victim, signal.SIGKILL)
            again = sorted(when for _, when, _ in _until(folder, EXECUTIONS + lost)[EXECUTIONS:])
    most = lease_seconds + LEASE_MARGIN_SECONDS
    return {
        "bench": "asl_recovery",
        "workers": "two commands" if apart else "--processes 2",
        "lease_s": lease_seconds,
        "tasks_lost": lost,
        "first_again_s": round(again[0] - killed_at, 3),
        "last_again_s": round(again[-1] - killed_at, 3),
        "within_lease": again[-1] - killed_at <= most,
        "within_a_second": again[-1] - killed_at <= HINTED_SECONDS_MAX,
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lease-seconds", type=float, default=15.0)
    parser.add_argument("--postgres-bin", type=Path, help="a folder with PostgreSQL's programs")
    args = parser.parse_args()
    with throwaway_server(args.postgres_bin) as server:
        for apart in (False, True):
            print(json.dumps(measure(server.fresh(), apart=apart, lease_seconds=args.lease_seconds)), flush=True)


if __name__ == "__main__":
    main()
