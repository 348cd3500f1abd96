"""The API over HTTP: `make bench-api`.

    python -m benchmarks.api                          two rounds of everything, some three minutes
    python -m benchmarks.api --only start,describe    some of it; --quick: a quarter of the requests

A throwaway server in PostgreSQL's default, fully durable settings, `asl serve` or `asl server` in a process of its own,
and this process as the client: finished bytes on raw sockets, so that it takes little from what it measures.

start          StartExecution without names: acknowledged when it is durable; the same process also runs them
start_named    the same, each with a name of the caller's
start_server   the same to `asl server`, which has no worker
start_signed   the same, signed (SigV4), each signature verified
describe       DescribeExecution of 1,000 executions in turn, to `asl serve`
describe_server, describe_signed    likewise
history        GetExecutionHistory of 25,000 events, page after page of 100 and of 1,000, one client

Keys: wf_per_s (of starts) or request_per_s, p50_ms, p99_ms; client_cpu_us_per_* is this process, server_cpu_us_per_*
the one that answers, pg_cpu_us_per_* PostgreSQL. Requests in flight: as many as connections.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg
from botocore.credentials import Credentials

from benchmarks.linear import verdict
from benchmarks.postgres import Meter, commit_latency_ms, cpu_seconds, percentiles, throwaway_server
from benchmarks.raw_http import RawClient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.postgres import Connection, Server

CONNECTIONS = 64
PAGE_MS_MAX = 20.0
HISTORY_EVENTS = 25_000
DESCRIBED = 1_000

_ROLE = "arn:aws:iam::123456789012:role/bench"
_GIVEN = json.dumps({"order": 17, "who": {"name": "x" * 40}})
_PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
_TURNS = {
    "A": {"Type": "Pass", "Result": {"text": "x" * 280}, "Next": "More"},
    "More": {"Type": "Choice", "Choices": [{"Variable": "$.no", "IsPresent": True, "Next": "Z"}], "Default": "A"},
    "Z": {"Type": "Succeed"},
}
_ENDLESS = {"StartAt": "A", "States": _TURNS}
"""Until the history is full."""

_KEY = Credentials("AKIDBENCH", "benchmark secret")
_STARTED = '"event":"server started"'


class Scenario(NamedTuple):
    """One row.

    Attributes:
        command: Of `asl`: what answers.
        n: Requests of a round.
        rate: Requests a second, at least; None: no target.
        p99_ms: At most.
    """

    name: str
    command: str = "serve"
    n: int = 10_000
    rate: float | None = None
    p99_ms: float | None = None
    is_signed: bool = False


SCENARIOS = (
    Scenario("start", n=20_000, rate=2_000, p99_ms=50),
    Scenario("start_named"),
    Scenario("start_server", "server"),
    Scenario("start_signed", is_signed=True),
    Scenario("describe", rate=1_500),
    Scenario("describe_server", "server", rate=1_500),
    Scenario("describe_signed", is_signed=True),
    Scenario("history", n=250),
)


@contextmanager
def answering(url: str, scenario: Scenario) -> Iterator[tuple[RawClient, int]]:
    """A server process that answers; a client of it, and its pid. It is drained at the end."""
    with tempfile.TemporaryDirectory(prefix="asl-bench-api-") as folder:
        options: list[str] = []
        if scenario.is_signed:
            keys = Path(folder) / "keys"
            keys.write_text(f"[b]\naws_access_key_id={_KEY.access_key}\naws_secret_access_key={_KEY.secret_key}\n")
            options = ["--access-keys", str(keys)]
        command = [sys.executable, "-m", "engine", scenario.command, "--port", "0", "--db", url, *options]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            try:
                begun = next((line for line in process.stderr if _STARTED in line), None)
                if begun is None:
                    raise RuntimeError(f"asl {scenario.command} ended before it answered")
                # What it says later must not fill the pipe.
                threading.Thread(target=process.stderr.read, daemon=True).start()
                port = int(json.loads(begun)["url"].rpartition(":")[2])
                yield RawClient(port, credentials=_KEY if scenario.is_signed else None), process.pid
            finally:
                process.terminate()
                process.wait(60)


def _machine(client: RawClient, definition: dict[str, Any], name: str) -> str:
    text = json.dumps(definition)
    arn: str = client.call("CreateStateMachine", name=name, definition=text, roleArn=_ROLE)["stateMachineArn"]
    return arn


def _starts(client: RawClient, machine: str, scenario: Scenario, n: int, label: str) -> Iterator[bytes]:
    if scenario.name == "start_named":
        return iter(
            [
                client.request("StartExecution", stateMachineArn=machine, input=_GIVEN, name=f"{label}-{number}")
                for number in range(n)
            ]
        )
    return islice(cycle([client.request("StartExecution", stateMachineArn=machine, input=_GIVEN)]), n)


def measure_rate(admin: Connection, url: str, scenario: Scenario, n: int) -> dict[str, Any]:
    """Requests as fast as they are answered."""
    with answering(url, scenario) as (client, pid):
        machine = _machine(client, _PASS, "bench")
        answers: list[bytes] = []
        warm_up = _starts(client, machine, scenario, DESCRIBED, "warm-up")
        client.load(warm_up, connections=CONNECTIONS, answers=answers)
        what = "wf"
        requests = _starts(client, machine, scenario, n, "order")
        if scenario.name.startswith("describe"):
            what = "request"
            arns = [json.loads(answer)["executionArn"] for answer in answers]
            asked = [client.request("DescribeExecution", executionArn=arn) for arn in arns]
            client.load(iter(asked), connections=CONNECTIONS)
            requests = islice(cycle(asked), n)
        with Meter(admin) as meter:
            before = cpu_seconds(pid)
            took = client.load(requests, connections=CONNECTIONS)
            cpu = cpu_seconds(pid) - before
    return {
        "connections": CONNECTIONS,
        **meter.per(n, what),
        f"server_cpu_us_per_{what}": round(1e6 * cpu / n, 1),
        **percentiles(took),
    }


def measure_history(admin: Connection, url: str, scenario: Scenario, n: int) -> dict[str, Any]:
    """Page after page of one long history; `n` is not used: it has as many pages as it has."""
    del admin, n
    with answering(url, scenario) as (client, _):
        machine = _machine(client, _ENDLESS, "endless")
        arn = client.call("StartExecution", stateMachineArn=machine)["executionArn"]
        while client.call("DescribeExecution", executionArn=arn)["status"] == "RUNNING":
            time.sleep(0.1)
        line: dict[str, Any] = {}
        for most in (100, 1_000):
            took, events, token = [], 0, None
            while not took or token is not None:
                more = {} if token is None else {"nextToken": token}
                asked = client.request("GetExecutionHistory", executionArn=arn, maxResults=most, **more)
                answers: list[bytes] = []
                took += client.load(iter([asked]), connections=1, answers=answers)
                page = json.loads(answers[0])
                events, token = events + len(page["events"]), page.get("nextToken")
            if events != HISTORY_EVENTS:
                raise RuntimeError(f"expected {HISTORY_EVENTS} events, got {events}")
            line |= {f"page_{most}_{key}": value for key, value in percentiles(took).items()}
    return line


def measured(server: Server, scenario: Scenario, share: float) -> dict[str, Any]:
    """One run in a fresh database, with the floor measured right before."""
    url = server.fresh()
    floor = commit_latency_ms(url, 0.5)
    measure = measure_history if scenario.name == "history" else measure_rate
    with psycopg.connect(url, autocommit=True) as admin:
        line = measure(admin, url, scenario, max(500, int(scenario.n * share)))
    told = {"bench": "asl_api", "engine": "asl-engine", "scenario": scenario.name, "command": scenario.command}
    return {**told, **line, "commit_floor_p50_ms": floor["p50_ms"], "load": round(os.getloadavg()[0], 1)}


def judged(scenario: Scenario, line: dict[str, Any]) -> list[str]:
    """The verdicts on a line."""
    if scenario.name == "history":
        return [verdict("history: a page of 100, p50", line["page_100_p50_ms"], PAGE_MS_MAX, " ms")]
    said = []
    if scenario.rate is not None:
        rate = line.get("wf_per_s") or line["request_per_s"]
        said.append(verdict(f"{scenario.name}: target over rate", scenario.rate / rate, 1.0))
    if scenario.p99_ms is not None:
        said.append(verdict(f"{scenario.name}: p99", line["p99_ms"], scenario.p99_ms, " ms"))
    return said


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="a quarter of the requests")
    parser.add_argument("--only", help="names, with commas between them")
    parser.add_argument("--postgres-bin", type=Path, help="a folder with PostgreSQL's programs")
    args = parser.parse_args()
    wanted = None if args.only is None else set(args.only.split(","))
    scenarios = [one for one in SCENARIOS if wanted is None or one.name in wanted]
    verdicts: list[str] = []
    with throwaway_server(args.postgres_bin) as server:
        for _ in range(args.rounds):
            for scenario in scenarios:
                line = measured(server, scenario, 0.25 if args.quick else 1.0)
                print(json.dumps(line), flush=True)
                verdicts += judged(scenario, line)
    print("\n".join(verdicts))


if __name__ == "__main__":
    main()
