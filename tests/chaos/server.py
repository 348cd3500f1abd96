"""The PostgreSQL server that the chaos run mistreats."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING

import psycopg

from engine.store.postgres.embedded import EmbeddedPostgres, NoEmbeddedPostgres, stop
from engine.store.postgres.upgrade import upgrade
from tests.store.postgres.cluster import Cluster, find_binaries

if TYPE_CHECKING:
    from collections.abc import Iterator

START_SECONDS = 60.0
_TEMPLATE = "asl_chaos_template"
_DISK = "size=160m"


class NoServer(Exception):
    """This scenario cannot be run here; the text says why."""


class Server(Cluster):
    """A cluster that is stopped and started all the time.

    It does not wait for the disk: what its processes have written outlives them, and the machine does not go down here.
    """

    def __init__(self, binaries: Path, folder: Path) -> None:
        super().__init__(binaries, folder)
        with (folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write(
                f"listen_addresses=''\nunix_socket_directories='{folder}'\nmax_connections=200\nfsync=off\n"
                "min_wal_size=32MB\nmax_wal_size=48MB\n"
            )
        self._databases = 0
        self.start()
        with psycopg.connect(self.url(), autocommit=True) as admin:
            admin.execute(f"create database {_TEMPLATE}")
        upgrade(self.url(_TEMPLATE))

    def start(self) -> None:
        """Starts it, also when processes of one that was killed are still there."""
        deadline = monotonic() + START_SECONDS
        while True:
            try:
                self._run("pg_ctl", "-D", "data", "-l", "server.log", "-w", "-t", "60", "start")
            except subprocess.CalledProcessError:
                if monotonic() > deadline:
                    raise
                sleep(0.1)
            else:
                return

    @property
    def postmaster(self) -> int:
        """The process id of its main process. Raises FileNotFoundError when it does not run."""
        return int((self.folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])

    def is_up(self) -> bool:
        """Whether it answers."""
        return _answers(self.url())

    def kill(self) -> None:
        """kill -9 to its main process; the others end when they notice."""
        os.kill(self.postmaster, signal.SIGKILL)

    def signal_all(self, number: signal.Signals) -> None:
        """Sends a signal to each of its processes."""
        children = Path(f"/proc/{self.postmaster}/task/{self.postmaster}/children").read_text().split()
        for pid in (self.postmaster, *map(int, children)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def place(self, url: str) -> list[str]:
        """The options by which a command finds a database of it."""
        return ["--db", url]

    def new_database(self) -> str:
        """A database with our tables and nothing in them; its URL."""
        self._databases += 1
        name = f"chaos_{self._databases}"
        with psycopg.connect(self.url(), autocommit=True) as admin:
            admin.execute(f"create database {name} template {_TEMPLATE}".encode())
        return self.url(name)


class EmbeddedServer:
    """The engine's own server, as one user of it sees it."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._use = EmbeddedPostgres(data_dir)

    def new_database(self) -> str:
        """The database of the engine, for the first time; its URL."""
        self.start()
        upgrade(self._use.url())
        return self._use.url()

    def place(self, url: str) -> list[str]:
        """The options by which a command finds it."""
        return ["--data-dir", str(self._data_dir)]

    def start(self) -> None:
        """Comes as a user, who starts it."""
        self._use.close()
        self._use.start()

    def kill(self) -> None:
        """kill -9 to its main process."""
        os.kill(int((self._data_dir / "data" / "postmaster.pid").read_text().split("\n", 1)[0]), signal.SIGKILL)

    def stop(self, mode: str = "fast") -> None:
        """Ends it, whoever uses it."""
        self._use.close()
        stop(self._data_dir, force=True)

    def is_up(self) -> bool:
        """Whether it answers."""
        return _answers(self._use.url())


@contextmanager
def embedded_server() -> Iterator[EmbeddedServer]:
    """A data directory of its own. Raises NoServer."""
    folder = Path(tempfile.mkdtemp(prefix="asl-chaos-pg-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        server = EmbeddedServer(folder / "asl")
        try:
            yield server
        except NoEmbeddedPostgres as error:
            raise NoServer(str(error)) from error
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def running_server(*, on_small_disk: bool = False) -> Iterator[Server]:
    """A server of its own. Raises NoServer."""
    binaries = find_binaries()
    if binaries is None:
        raise NoServer("no PostgreSQL binaries")
    folder = Path(tempfile.mkdtemp(prefix="asl-chaos-pg-", dir="/tmp"))
    try:
        with _small_disk(folder) if on_small_disk else nullcontext():
            server = Server(binaries, folder)
            try:
                yield server
            finally:
                with suppress(subprocess.CalledProcessError):
                    server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.joinpath(f"{folder.name}.log").unlink(missing_ok=True)


@contextmanager
def _small_disk(folder: Path) -> Iterator[None]:
    mount = ["mount", "-t", "tmpfs", "-o", _DISK, "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        raise NoServer("no small disk: only root may mount a tmpfs")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


class Ballast:
    """A file that takes all the room that a disk has left."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "ballast"

    def fill(self) -> None:
        """Until nothing fits any more."""
        block = b"\0" * 65_536
        with suppress(OSError), self._file.open("wb", buffering=0) as file:
            while file.write(block) == len(block):
                pass

    def drop(self) -> None:
        """There is room again."""
        self._file.unlink()
