"""The peers and the raw floor that the durable benchmark runs beside ours: scripts outside this repository.

They are looked for in `$ASL_PEERS`, or in `../shared/perf`: `bench_dbos.py`, `bench_absurd.py` and `bench_raw_pg.py`.
Each makes a database of its own in the given server and prints one JSON line. What they need is installed, once, into a
virtual environment for each, in `asl-bench-peers` below the temporary folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

PeerName: TypeAlias = Literal["dbos", "absurd", "raw_pg"]

PACKAGES: dict[PeerName, tuple[str, ...]] = {
    "dbos": ("dbos==3.4.0", "psycopg[binary]"),
    "absurd": ("absurd-sdk==0.5.1", "absurdctl", "psycopg[binary]"),
    "raw_pg": ("psycopg[binary]",),
}

_RUN_SECONDS = 300
_INSTALL_SECONDS = 600


class Peer:
    """A peer that can be run."""

    def __init__(self, name: PeerName, python: Path, script: Path) -> None:
        self.name = name
        self._python = python
        self._script = script

    def run(self, url: str, *options: str) -> dict[str, Any]:
        """One run; its line. Raises RuntimeError with what it said."""
        command = [str(self._python), str(self._script), "--url", url, *options]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_RUN_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{self.name}: no end after {_RUN_SECONDS} s") from None
        if done.returncode or not done.stdout.strip():
            raise RuntimeError(f"{self.name}: {done.stderr.strip()[-500:] or done.returncode}")
        line: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return line

    def options(self, tasks: int, in_flight: int, n: int) -> Sequence[str]:
        """What asks it for the same as ours: executions of so many steps, so many at once."""
        if self.name == "raw_pg":
            return ("--mode", "commits", "--conns", str(min(in_flight, 64)), "--seconds", "3")
        if in_flight == 1:
            return ("--mode", "latency", "--steps", str(tasks), "--n", str(n))
        mode = "async" if self.name == "dbos" else "workers"
        # More threads, with a connection each, than these make it slower.
        concurrency = in_flight if self.name == "dbos" else min(in_flight, 32)
        return ("--mode", mode, "--steps", str(tasks), "--concurrency", str(concurrency), "--n", str(n))


def find(names: Sequence[PeerName]) -> tuple[list[Peer], dict[PeerName, str]]:
    """The peers that can be run, and why the others cannot."""
    folder = Path(os.environ.get("ASL_PEERS") or Path(__file__).resolve().parents[2] / "shared" / "perf")
    found: list[Peer] = []
    skipped: dict[PeerName, str] = {}
    for name in names:
        script = folder / f"bench_{name}.py"
        if not script.exists():
            skipped[name] = f"no {script}: set ASL_PEERS to the folder that has it"
            continue
        try:
            found.append(Peer(name, _environment(name), script))
        except (subprocess.SubprocessError, OSError) as error:
            skipped[name] = f"its packages cannot be installed: {error}"
    return found, skipped


def _environment(name: PeerName) -> Path:
    """The interpreter of the peer's virtual environment, which is made when it is missing."""
    home = Path(tempfile.gettempdir()) / "asl-bench-peers" / name
    python, complete = home / "bin" / "python", home / "complete"
    if not complete.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True, capture_output=True, timeout=120)
        command = [str(python), "-m", "pip", "install", "--quiet", *PACKAGES[name]]
        subprocess.run(command, check=True, capture_output=True, timeout=_INSTALL_SECONDS)
        complete.touch()
    return python
