"""Functions in the Lambda emulator, asked over HTTP: cold and warm, how many a second, and what idle ones cost.

    python -m benchmarks.lambda_                                  everything, three rounds
    python -m benchmarks.lambda_ --only warm,rate --rounds 7
    python -m benchmarks.lambda_ --interpreter /path/to/python    functions run in that one, for awslambdaric

The emulator is a process of its own, with its functions in memory; clients are here. Durations are those of the client.
Prints one JSON line a run, and verdicts on the targets at the end.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from benchmarks.lambda_server import ACCOUNT, REGION
from benchmarks.linear import verdict
from benchmarks.postgres import cpu_seconds, percentiles
from benchmarks.raw_http import RawClient

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROLE = f"arn:aws:iam::{ACCOUNT}:role/bench"
_ECHO = "def handler(event, context):\n    return event\n"
_COLD_STARTS = 15
_WARM_CALLS = 2_000
_RATE_CALLS = 6_000
_IDLE_FUNCTIONS = 100
_IN_FLIGHT = 8

COLD_MS_MAX, RESTORE_MS_MAX, WARM_MS_MAX, RATE_MIN, IDLE_MB_MAX = 120.0, 25.0, 2.0, 1_000.0, 50.0


class Served:
    """The emulator, from outside."""

    def __init__(self, url: str, pid: int) -> None:
        self.pid = pid
        self.raw = RawClient(int(url.rpartition(":")[2]))
        config = Config(retries={"total_max_attempts": 1}, read_timeout=60)
        keys = {"aws_access_key_id": ACCOUNT, "aws_secret_access_key": "x"}
        self.client = boto3.client("lambda", endpoint_url=url, region_name=REGION, config=config, **keys)

    def create(self, name: str, **more: Any) -> None:
        """A function of Python that gives its event back."""
        data = io.BytesIO()
        with zipfile.ZipFile(data, "w") as package:
            package.writestr("app.py", _ECHO)
        self.client.create_function(
            FunctionName=name,
            Role=_ROLE,
            Runtime="python3.12",  # the first one with SnapStart
            Handler="app.handler",
            Code={"ZipFile": data.getvalue()},
            **more,
        )
        self.client.get_waiter("function_active_v2").wait(FunctionName=name)

    def change(self, name: str, number: int) -> None:
        """Another revision, so that no environment fits any more."""
        self.client.update_function_configuration(FunctionName=name, Environment={"Variables": {"ROUND": str(number)}})
        self.client.get_waiter("function_updated_v2").wait(FunctionName=name)

    def request(self, name: str, qualifier: str = "$LATEST") -> bytes:
        """The bytes of an invocation."""
        body = b'{"order": 17}'
        path = f"/2015-03-31/functions/{name}/invocations?Qualifier={qualifier}"
        return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    def call(self, name: str, qualifier: str = "$LATEST") -> float:
        """Seconds of one invocation."""
        return self.raw.load(iter([self.request(name, qualifier)]), connections=1)[0]

    def resident_mb(self) -> float:
        """Of the emulator's own process."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1_048_576


@contextmanager
def serving(interpreter: str | None) -> Iterator[Served]:
    """An emulator with nothing in it."""
    with tempfile.TemporaryDirectory(prefix="asl-bench-lambda-") as directory:
        command = [sys.executable, "-m", "benchmarks.lambda_server", directory, interpreter or sys.executable]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            yield Served(json.loads(process.stdout.readline())["url"], process.pid)
            process.stdin.close()


def cold(served: Served) -> dict[str, Any]:
    """First invocations: a process is started and initialised for each."""
    served.create("cold")
    took = []
    for number in range(_COLD_STARTS):
        served.change("cold", number)
        took.append(served.call("cold"))
    return {"n": len(took), **percentiles(took)}


def restore(served: Served) -> dict[str, Any]:
    """First invocations of versions with SnapStart: a copy of an initialised process is made for each."""
    served.create("restored", SnapStart={"ApplyOn": "PublishedVersions"})
    took = []
    for number in range(_COLD_STARTS):
        served.change("restored", number)
        version = served.client.publish_version(FunctionName="restored")["Version"]
        waiter = served.client.get_waiter("published_version_active")
        waiter.wait(FunctionName="restored", Qualifier=version, WaiterConfig={"Delay": 1})
        took.append(served.call("restored", version))
    return {"n": len(took), **percentiles(took)}


def warm(served: Served) -> dict[str, Any]:
    """One after the other, in one environment."""
    served.create("warm")
    served.call("warm")
    took = served.raw.load(repeat(served.request("warm"), _WARM_CALLS), connections=1)
    return {"n": len(took), **percentiles(took)}


def rate(served: Served) -> dict[str, Any]:
    """So many at a time, in as many environments."""
    served.create("rate")
    served.raw.load(repeat(served.request("rate"), 500), connections=_IN_FLIGHT)
    cpu, began = cpu_seconds(served.pid), time.perf_counter()
    took = served.raw.load(repeat(served.request("rate"), _RATE_CALLS), connections=_IN_FLIGHT)
    wall = time.perf_counter() - began
    per = 1e6 * (cpu_seconds(served.pid) - cpu) / len(took)
    return {
        "n": len(took),
        "in_flight": _IN_FLIGHT,
        "invocations_per_s": round(len(took) / wall, 1),
        "emulator_cpu_us_per_invocation": round(per, 1),
        **percentiles(took),
    }


def idle(served: Served) -> dict[str, Any]:
    """Functions that were invoked once and wait."""
    served.create("first")
    served.call("first")
    before = served.resident_mb()
    for number in range(_IDLE_FUNCTIONS):
        served.create(f"idle-{number}")
        served.call(f"idle-{number}")
    after = served.resident_mb()
    return {"n": _IDLE_FUNCTIONS, "emulator_mb": round(after, 1), "emulator_mb_for_them": round(after - before, 1)}


_SCENARIOS: dict[str, Callable[[Served], dict[str, Any]]] = {
    "cold": cold,
    "restore": restore,
    "warm": warm,
    "rate": rate,
    "idle": idle,
}


def judged(name: str, lines: list[dict[str, Any]]) -> str:
    """The verdict on the median of all rounds."""

    def median(key: str) -> float:
        return statistics.median(line[key] for line in lines)

    match name:
        case "cold":
            return verdict("cold start of a Python function, p50", median("p50_ms"), COLD_MS_MAX, " ms")
        case "restore":
            return verdict("cold start with SnapStart, p50", median("p50_ms"), RESTORE_MS_MAX, " ms")
        case "warm":
            return verdict("warm invocation, p50", median("p50_ms"), WARM_MS_MAX, " ms")
        case "rate":
            return verdict("rate: target over what was reached", RATE_MIN / median("invocations_per_s"), 1.0)
        case _:
            return verdict("the emulator's memory with 100 idle functions", median("emulator_mb"), IDLE_MB_MAX, " MB")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="names, with commas between them")
    parser.add_argument("--interpreter", help="the Python that functions run in")
    args = parser.parse_args()
    wanted = list(_SCENARIOS) if args.only is None else args.only.split(",")
    lines: dict[str, list[dict[str, Any]]] = {name: [] for name in wanted}
    for _ in range(args.rounds):
        for name in wanted:
            with serving(args.interpreter) as served:
                line = _SCENARIOS[name](served)
            told = {"bench": "asl_lambda", "engine": "asl-engine", "scenario": name, **line}
            told["load"] = round(os.getloadavg()[0], 1)
            print(json.dumps(told), flush=True)
            lines[name].append(told)
    print("\n".join(judged(name, lines[name]) for name in wanted))


if __name__ == "__main__":
    main()
