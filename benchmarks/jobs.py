"""Jobs that `.sync` Tasks wait for: what a worker asks, and what it takes, while they run. `make bench-jobs` runs it.

    python -m benchmarks.jobs                     500 jobs of batch, glue and ecs, two minutes, kill -9, one minute
    python -m benchmarks.jobs --n 90 --minutes 1

One `asl worker` with real calls over HTTP to an endpoint of this process that stands for AWS. All jobs begin together;
for each minute it is told what was asked and what the worker took. Then the worker is killed, another one begins, and
it is told how long it took until each job was asked about again, and how many were submitted again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.postgres import cpu_seconds, throwaway_server
from engine.blocking import Engine
from tests.cli.job_world import ACTIONS, asked_about, end_all, job_services, job_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.blocking import ExecutionHandle
    from tests.integrations.stub_aws import StubAws

PATIENCE_SECONDS = 180.0
MINUTE_SECONDS = 60.0


@contextmanager
def _worker(url: str, folder: Path, aws: StubAws) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that has begun; killed at the end."""
    command = [sys.executable, "-m", "engine", "worker", "--db", url, "-t", f"*=aws:?endpoint={aws.url}"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = {**kept, "AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    log = folder / f"worker{time.monotonic_ns()}.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(command, env=environment, stderr=stderr, stdout=stderr)
    try:
        _until(lambda: '"worker started"' in log.read_text())
        yield process
    finally:
        process.kill()
        process.wait()


def _until(condition: Callable[[], Any]) -> float:
    """Waits until it holds; the seconds that it took."""
    begun = time.monotonic()
    while not condition():
        if time.monotonic() > begun + PATIENCE_SECONDS:
            raise RuntimeError(f"it did not come true in {PATIENCE_SECONDS:.0f} s")
        time.sleep(0.05)
    return time.monotonic() - begun


def _is_noted(handle: ExecutionHandle) -> bool:
    return any(event["type"] == "TaskSubmitted" for event in handle.history())


def _status(pid: int) -> dict[str, Any]:
    """Threads and resident memory of a process now."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return {"threads": int(found["Threads"]), "rss_mb": round(int(found["VmRSS"].split()[0]) / 1_024, 1)}


def _minute(aws: StubAws, pid: int, label: str) -> dict[str, Any]:
    """What was asked in the next minute, and what the worker took for it."""
    asked, cpu, begun = len(aws.asked), cpu_seconds(pid), time.monotonic()
    time.sleep(MINUTE_SECONDS)
    minutes = (time.monotonic() - begun) / MINUTE_SECONDS
    questions = asked_about(aws, asked)
    calls = Counter(service for service, _ in questions)
    jobs = Counter[str]()
    for service, ids in questions:
        jobs[service] += len(ids)
    return {
        "bench": "asl_jobs",
        "minute": label,
        **{f"{service}_calls_per_min": round(calls[service] / minutes) for service in ACTIONS},
        **{f"{service}_jobs_per_call": round(jobs[service] / max(1, calls[service]), 1) for service in ACTIONS},
        "cpu_percent": round(100 * (cpu_seconds(pid) - cpu) / (minutes * MINUTE_SECONDS), 1),
        **_status(pid),
    }


def measure(url: str, *, n: int, minutes: int) -> Iterator[dict[str, Any]]:
    """Lines of keys: one for each minute, and one for the kill.

    Args:
        url: Of a fresh database.
        n: Jobs, as many of each service as can be.
        minutes: For which the first worker is watched.
    """
    services = [list(ACTIONS)[number % len(ACTIONS)] for number in range(n)]
    with tempfile.TemporaryDirectory() as name, job_services() as aws, Engine(url) as client:
        for service in ACTIONS:
            client.deploy({"StartAt": "Job", "States": {"Job": job_state(service)}}, service)
        with _worker(url, Path(name), aws) as worker:
            idle = _status(worker.pid)
            begun = time.monotonic()
            unnoted = handles = [client.start_execution(service) for service in services]
            while unnoted := [handle for handle in unnoted if not _is_noted(handle)]:
                if time.monotonic() > begun + PATIENCE_SECONDS:
                    raise RuntimeError(f"{len(unnoted)} jobs are not noted")
            noted = time.monotonic() - begun
            for minute in range(1, minutes + 1):
                yield _minute(aws, worker.pid, str(minute))
        asked, killed_at = len(aws.asked), time.monotonic()
        with _worker(url, Path(name), aws) as worker:
            _until(lambda: len({one for _, ids in asked_about(aws, asked) for one in ids}) == n)
            again = time.monotonic() - killed_at
            yield _minute(aws, worker.pid, "after the kill")
            end_all(aws)
            ended_at = time.monotonic()
            for handle in handles:
                handle.result()
            ended = time.monotonic() - ended_at
    yield {
        "bench": "asl_jobs",
        "n": n,
        "idle_threads": idle["threads"],
        "idle_rss_mb": idle["rss_mb"],
        "all_noted_s": round(noted, 1),
        "all_asked_again_s": round(again, 1),
        "all_ended_s": round(ended, 1),
        "jobs_begun": len(aws.jobs),
        "resubmissions": len(aws.jobs) - n,
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--minutes", type=int, default=2, help="before the worker is killed")
    parser.add_argument("--postgres-bin", type=Path, help="a folder with PostgreSQL's programs")
    args = parser.parse_args()
    with throwaway_server(args.postgres_bin) as server:
        for line in measure(server.fresh(), n=args.n, minutes=args.minutes):
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
