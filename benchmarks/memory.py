"""Transitions per second in memory, sealed history and checkpoints included, beside a peer and the floor.

    python -m benchmarks.memory                           all machines, three rounds
    python -m benchmarks.memory --machine loop,map --rounds 7 --payload 2000
    NODE_ASL=.../node_modules/aws-local-stepfunctions python -m benchmarks.memory

Each round runs ours, the Node peer (aws-local-stepfunctions, when `node` and the package are there) and the floor of
what Python can do, in turn, so that all have the same minutes. Prints one JSON line a run, and at the end one line a
machine with the medians and the ratio to the peer.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from benchmarks.floor import floor
from benchmarks.machines import Machine, machines
from engine.asl.parser import load
from engine.interpreter.advance import advance
from engine.interpreter.messages import Continue, Event, StartRequested
from engine.interpreter.plan import Plan, compile_plan
from engine.interpreter.snapshot import Execution, Snapshot
from engine.jsonvalue import PAYLOAD_BYTES_MAX, encode

if TYPE_CHECKING:
    from engine.interpreter.history import Segment

_NOW = 1_700_000_000_000
_TRANSITIONS_PER_RUN = 60_000
_COMPRESS_ABOVE = 600
"""Bytes. zlib costs 4 us at least."""

_PEER = Path(__file__).with_name("node_peer.mjs")


_encode = msgspec.json.Encoder().encode


def _sealed(segment: Segment) -> bytes:
    """History as bytes, as lightly packed as the targets were set with. The store packs it smaller, and longer."""
    data = _encode(segment)
    return data if len(data) <= _COMPRESS_ABOVE else zlib.compress(data, 1)


def run_once(plan: Plan, given: dict[str, Any], chance: random.Random) -> tuple[int, int]:
    """One execution to its end, each transition sealed and its changed Frames encoded.

    Returns:
        The number of history events, and the bytes written.
    """
    snapshot = Snapshot(execution=_execution(given))
    events = written = 0
    event: Event = StartRequested()
    while True:
        transition = advance(plan, snapshot, event, now=_NOW, chance=chance)
        events += len(transition.history)
        written += len(_sealed(transition.segment()))
        written += len(_encode([frame for frame in transition.changed.values() if frame is not None]))
        snapshot.apply(transition)
        if transition.ending is not None:
            assert transition.ending.status == "SUCCEEDED", transition.ending
            return events, written
        event = Continue()


def _execution(given: dict[str, Any]) -> Execution:
    return Execution(
        arn="arn:aws:states:us-east-1:123456789012:execution:bench:e",
        name="e",
        type="STANDARD",
        role_arn="arn:aws:iam::123456789012:role/bench",
        state_machine_arn="arn:aws:states:us-east-1:123456789012:stateMachine:bench",
        state_machine_name="bench",
        input=given,
        input_bytes=len(encode(given)),
        start_time=_NOW,
        payload_bytes_max=PAYLOAD_BYTES_MAX,
        history_events_max=25_000,
        region="us-east-1",
    )


def measure(name: str, machine: Machine) -> dict[str, Any]:
    """Runs about 60,000 transitions of one machine."""
    plan = compile_plan(load(machine.definition))
    chance = random.Random(1)
    n = max(3, _TRANSITIONS_PER_RUN // machine.transitions)
    events, written = run_once(plan, machine.input, chance)
    walls = []
    cpu = time.process_time()
    for _ in range(n):
        start = time.perf_counter()
        run_once(plan, machine.input, chance)
        walls.append(time.perf_counter() - start)
    cpu = time.process_time() - cpu
    wall, transitions = sum(walls), machine.transitions * n
    return {
        "bench": "asl_memory",
        "engine": "asl-engine",
        "python": sys.version.split()[0],
        "machine": name,
        "n": n,
        "transitions": machine.transitions,
        "events": events,
        "wall_s": round(wall, 3),
        "transitions_per_s": round(transitions / wall, 1),
        "execs_per_s": round(n / wall, 2),
        "cpu_us_per_transition": round(1e6 * cpu / transitions, 3),
        "client_cpu_us_per_wf": round(1e6 * cpu / n, 1),
        "written_bytes_per_wf": written,
        "written_bytes_per_event": round(written / events, 1),
        "p50_ms": round(1e3 * statistics.median(walls), 3),
        "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
    }


def measure_peer(name: str, machine: Machine, package: str) -> dict[str, Any]:
    """The same machine in aws-local-stepfunctions, which keeps no history."""
    node = shutil.which("node")
    assert node is not None
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(machine._asdict(), file)
        file.flush()
        # Enough for its just-in-time compiler to be warm: short runs flatter us.
        n = max(10, _TRANSITIONS_PER_RUN // (3 * machine.transitions))
        done = subprocess.run(
            [node, str(_PEER), file.name, name, str(n)],
            env={**os.environ, "NODE_ASL": package},
            capture_output=True,
            text=True,
            check=True,
        )
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def find_peer() -> str | None:
    """The folder of the installed Node package, from NODE_ASL or ./node_modules; None when it or `node` is missing."""
    package = Path(os.environ.get("NODE_ASL") or "node_modules/aws-local-stepfunctions")
    if shutil.which("node") is None or not (package / "package.json").exists():
        return None
    return str(package.resolve())


def _print(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", default="all", help="names, with commas between them")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--payload", type=int, default=200, help="bytes of other data in each state's input")
    args = parser.parse_args()
    table = machines(args.payload)
    names = list(table) if args.machine == "all" else args.machine.split(",")
    peer = find_peer()
    if peer is None:
        print("no Node peer (npm install aws-local-stepfunctions): ours and the floor only", file=sys.stderr)
    rates: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _ in range(args.rounds):
        _print(floor(args.payload))
        for name in names:
            lines = [measure(name, table[name])]
            # The peer does not know JSONata: the same machine in JSONPath is what it is held against.
            if peer is not None:
                lines.append(measure_peer(name, table[name.removesuffix("_jsonata")], peer))
            for line in lines:
                rates[name, line["engine"]].append(line["transitions_per_s"])
                _print(line)
    for name in names:
        ours = statistics.median(rates[name, "asl-engine"])
        summary: dict[str, Any] = {"bench": "asl_memory_summary", "machine": name, "transitions_per_s": ours}
        if peer is not None:
            theirs = statistics.median(rates[name, "aws-local-stepfunctions"])
            summary |= {"peer_transitions_per_s": theirs, "ratio_to_peer": round(ours / theirs, 2)}
        _print(summary)


if __name__ == "__main__":
    main()
