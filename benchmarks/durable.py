"""Executions on Postgres, beside the peers and the floor: `make bench-durable`.

    python -m benchmarks.durable                       three rounds of everything, about half an hour
    python -m benchmarks.durable --rounds 1 --quick    one short round
    python -m benchmarks.durable --only task1,task10 --no-peers --json lines.jsonl
    python -m benchmarks.durable --million             also a million parked executions

A throwaway server in PostgreSQL's default, fully durable settings; a worker in one process with asynchronous callables,
executions that are started, acknowledged, run and waited for, history as AWS's, a Retrier on each Task. Each round runs
ours, then each peer, then the next of ours, so that all have the same minutes; medians are compared. CPU and bytes per
execution move least on a shared machine; a rate is worth as much as the ratio beside it.

Keys: wf_per_s (executions per second), p50_ms and p99_ms (start to output), client_cpu_us_per_wf, pg_cpu_us_per_wf,
wal_bytes_per_wf, disk_bytes_per_wf, commits_per_wf, group_size. Peers: see `benchmarks/peers.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.console import Console
from rich.table import Table

from benchmarks import parked, recovery
from benchmarks.peers import Peer, find
from benchmarks.postgres import commit_latency_ms, throwaway_server

if TYPE_CHECKING:
    from benchmarks.postgres import Server


class Scenario(NamedTuple):
    """One row of the table.

    Attributes:
        tasks: Durable steps of one execution; the peers do as many.
        limits: The targets: a key, and at most this (a rate: at least).
        options: Of `benchmarks.durable_run`.
    """

    machine: str
    in_flight: int
    n: int
    tasks: int
    limits: dict[str, float]
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the table shows."""
        more = "".join(f" {option.lstrip('-')}" for option in self.options if option not in ("--handlers", "--runs-as"))
        return f"{self.machine} @{self.in_flight}{more}"


_ONE_TASK = {"client_cpu_us_per_wf": 180.0}
_TEN_TASKS = {"client_cpu_us_per_wf": 750.0, "wal_bytes_per_wf": 7_000.0, "disk_bytes_per_wf": 3_000.0}

SCENARIOS = (
    Scenario("task1", 1, 300, 1, {"floors": 2.0}),
    Scenario("task1", 32, 3_000, 1, {"wf_per_s": 3_500.0, "pg_cpu_us_per_wf": 90.0, **_ONE_TASK}),
    Scenario("task1", 256, 6_000, 1, {"wf_per_s": 5_000.0, "pg_cpu_us_per_wf": 60.0, **_ONE_TASK}),
    Scenario("task1", 32, 2_000, 1, {}, ("--named",)),
    Scenario("task1", 32, 2_000, 1, {}, ("--handlers", "sync")),
    Scenario("task10", 1, 60, 10, {"floors": 2.0}),
    Scenario("task10", 32, 600, 10, {"wf_per_s": 800.0, **_TEN_TASKS}),
    Scenario("task10", 256, 1_500, 10, {"wf_per_s": 1_200.0, **_TEN_TASKS}),
    Scenario("task10", 32, 1_500, 10, {}, ("--runs-as", "express")),
    Scenario("task10", 32, 1_500, 10, {}, ("--runs-as", "sync")),
    Scenario("pass10", 256, 6_000, 0, {}),
    Scenario("loop", 32, 100, 0, {}),
)
_PEER_N = {1: 60, 32: 300, 256: 600}
_KEYS = (
    "wf_per_s", "p50_ms", "p99_ms", "client_cpu_us_per_wf", "pg_cpu_us_per_wf", "wal_bytes_per_wf", "disk_bytes_per_wf",
    "commits_per_wf", "group_size",
)  # fmt: skip
_HEADS = ("per s", "p50 ms", "p99 ms", "client us", "pg us", "WAL B", "disk B", "commits", "group")

Lines = defaultdict[tuple[str, str], list[dict[str, Any]]]
"""By scenario and engine."""


def run_ours(server: Server, scenario: Scenario, share: float) -> dict[str, Any]:
    """One run in a fresh database and a process of its own, with the floor measured right before."""
    url = server.fresh()
    floor = commit_latency_ms(url, 0.5)
    command = [
        sys.executable, "-m", "benchmarks.durable_run", "--url", url, "--machine", scenario.machine,
        "--in-flight", str(scenario.in_flight), "--n", str(max(50, int(scenario.n * share))), *scenario.options,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{scenario.name}:\n{done.stderr}")
    line: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    line |= {"commit_floor_p50_ms": floor["p50_ms"], "load": round(os.getloadavg()[0], 1)}
    if scenario.in_flight == 1:
        line["floors"] = round(line["p50_ms"] / ((scenario.tasks + 1) * floor["p50_ms"]), 2)
    return line


class Report:
    """Collects lines, prints them as they come, and the tables at the end."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self.lines: Lines = defaultdict(list)
        self.others: list[dict[str, Any]] = []
        # Into a file as wide as it needs to be.
        self.console = Console(width=max(140, Console().width))
        if file is not None:
            file.write_text("")

    def keep(self, line: dict[str, Any], scenario: Scenario | None = None, engine: str = "ours") -> None:
        """Takes one line."""
        if scenario is None:
            self.others.append(line)
        else:
            self.lines[scenario.name, engine].append(line)
            line = {"scenario": scenario.name, "by": engine, **line}
        if self._file is not None:
            with self._file.open("a") as out:
                out.write(json.dumps(line) + "\n")
        self.console.print(f"  {_short(line)}", highlight=False, soft_wrap=True)

    def median(self, scenario: Scenario, engine: str, key: str) -> float | None:
        """Of all rounds; None: nobody told."""
        told = [line[key] for line in self.lines[scenario.name, engine] if line.get(key) is not None]
        return statistics.median(told) if told else None

    def tables(self, scenarios: list[Scenario], peers: list[Peer]) -> None:
        """What was measured, the ratios, and the verdicts."""
        table = Table("", "", *_HEADS, box=None)
        for scenario in scenarios:
            for engine in ("ours", *(peer.name for peer in peers)):
                if self.lines.get((scenario.name, engine)):
                    values = [_number(self.median(scenario, engine, key)) for key in _KEYS]
                    table.add_row(scenario.name if engine == "ours" else "", engine, *values)
        self.console.print(table)
        for scenario in scenarios:
            rate = self.median(scenario, "ours", "wf_per_s")
            for peer in peers:
                other = self.median(scenario, peer.name, "wf_per_s")
                if rate and other:
                    self.console.print(f"{scenario.name}: {rate / other:,.1f} times the rate of {peer.name}")
        for scenario in scenarios:
            for key, limit in scenario.limits.items():
                value = self.median(scenario, "ours", key)
                if value is not None:
                    is_good = value >= limit if key == "wf_per_s" else value <= limit
                    bound = "at least" if key == "wf_per_s" else "at most"
                    said = "ok  " if is_good else "MISS"
                    self.console.print(f"{said} {scenario.name} {key}: {_number(value)} ({bound} {_number(limit)})")


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"


def _short(line: dict[str, Any]) -> str:
    shown = {key: value for key, value in line.items() if key not in ("bench", "python", "version", "label", "sync")}
    return " ".join(f"{key}={value}" for key, value in shown.items())


def run_round(server: Server, scenarios: list[Scenario], peers: list[Peer], report: Report, share: float) -> None:
    """Ours, then each peer, for one scenario after the other."""
    for scenario in scenarios:
        report.keep(run_ours(server, scenario, share), scenario)
        if scenario.tasks == 0 or scenario.options:
            continue
        for peer in peers:
            n = max(20, int(_PEER_N[scenario.in_flight] * share / (3 if scenario.tasks > 1 else 1)))
            try:
                line = peer.run(server.url("postgres"), *peer.options(scenario.tasks, scenario.in_flight, n))
            except RuntimeError as error:
                report.console.print(f"  {scenario.name}: {error}", style="red")
                continue
            if peer.name == "raw_pg":
                # A durable execution of so many Tasks would need so many commits of its own.
                line["wf_per_s"] = round(line["commits_per_s"] / (scenario.tasks + 1), 1)
            report.keep(line, scenario, peer.name)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="a quarter of the executions")
    parser.add_argument("--only", help="machines, and `parked` and `recovery`, with commas between them")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--million", action="store_true", help="park a million executions in place of 100,000")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write each line there too")
    parser.add_argument("--postgres-bin", type=Path, help="a folder with PostgreSQL's programs")
    args = parser.parse_args()
    wanted = None if args.only is None else set(args.only.split(","))
    scenarios = [one for one in SCENARIOS if wanted is None or one.machine in wanted]
    peers, skipped = ([], {}) if args.no_peers or not scenarios else find(["dbos", "absurd", "raw_pg"])
    report = Report(args.json)
    for name, why in skipped.items():
        report.console.print(f"without {name}: {why}", style="yellow")
    share = 0.25 if args.quick else 1.0
    with throwaway_server(args.postgres_bin) as server:
        told = {"bench": "machine", "postgres": server.version, "processors": os.cpu_count()}
        report.keep({**told, "load": os.getloadavg()[0], **commit_latency_ms(server.url("postgres"))})
        for number in range(args.rounds):
            report.console.print(f"round {number + 1} of {args.rounds}")
            run_round(server, scenarios, peers, report, share)
        if wanted is None or "recovery" in wanted:
            for apart in (False, True):
                report.keep(recovery.measure(server.fresh(), apart=apart, lease_seconds=15.0))
        if wanted is None or "parked" in wanted:
            n, seconds = (1_000_000, 60) if args.million else (25_000, 5) if args.quick else (100_000, 20)
            report.keep(asyncio.run(parked.measure(server.fresh(), n=n, per_second=2_000, seconds=seconds)))
    report.tables(scenarios, peers)


if __name__ == "__main__":
    main()
