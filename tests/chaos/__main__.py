"""The chaos run: real processes, a real server, and everything that can go wrong.

python -m tests.chaos [--seconds N] [--only NAME]... [--seed S] [--keep DIR]
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path
from time import monotonic

from tests.chaos.run import Servers, run_scenario
from tests.chaos.scenarios import SCENARIOS
from tests.chaos.server import NoServer

_COLUMNS = {
    "started": "started",
    "acknowledged": "acknowledged",
    "finished": "finished",
    "lost": "lost",
    "twice": "twice",
    "wrong": "wrong output",
    "illegal": "illegal history",
    "faults": "faults",
    "tasks": "Tasks",
    "repeated": "repeated",
    "uncalled": "without cause",
    "resumed": "quarantined",
    "unordered": "unordered",
    "tokens": "tokens",
    "token_faults": "token faults",
}


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--seconds", type=float, default=25.0, help="of each scenario, about")
    parser.add_argument("--only", action="append", choices=list(SCENARIOS), help="this scenario; repeatable")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument(
        "--keep", type=Path, default=Path(tempfile.gettempdir()) / "asl-chaos", help="where logs of failures go"
    )
    asked = parser.parse_args()
    _say(f"seed {asked.seed}\n")
    _say("| scenario | " + " | ".join(_COLUMNS.values()) + " | seconds |")
    _say("|---|" + "---:|" * (len(_COLUMNS) + 1))
    bad: list[str] = []
    with Servers() as servers:
        for name in asked.only or SCENARIOS:
            bad += _run(servers, name, asked)
    if bad:
        _say("\n".join(["\nWRONG:", *bad, f"logs: {asked.keep}"]))
    return 1 if bad else 0


def _run(servers: Servers, name: str, asked: argparse.Namespace) -> list[str]:
    """Runs one and prints its line; what is wrong."""
    begun = monotonic()
    keep = asked.keep / name.replace(" ", "-")
    try:
        verdict = run_scenario(servers, SCENARIOS[name], seconds=asked.seconds, seed=asked.seed, keep=keep)
    except NoServer as reason:
        _say(f"| {name} | not run: {reason} |")
        return []
    counts = verdict.counts()
    took = f"{monotonic() - begun:.0f}"
    _say("| " + " | ".join([name, *(str(counts[key]) for key in _COLUMNS), took]) + " |")
    return [] if verdict.is_good else [f"{name}: {counts}", *(f"  {detail}" for detail in verdict.details[:8])]


if __name__ == "__main__":
    sys.exit(main())
