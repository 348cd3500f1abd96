"""The server of one data directory: made, started, reached and stopped.

    start.lock          held while somebody starts, joins, leaves or stops the server
    server.lock         held by the server: its processes inherit it, and the last one of them to end drops it
    users/<pid>-<name>  one for each user, locked while it is one
    run/                the socket
    data/               PostgreSQL's own; server.log in it
    binaries-<hash>/    a copy of the server's programs, where its user cannot reach the installed ones

Whether a server is up is never decided by process ids, which a container's restart or a zombie makes lie: it is up when
it answers and sees the same files as we do, and it is gone when nobody holds server.lock.
"""

from __future__ import annotations

import enum
import hashlib
import os
import re
import shutil
import signal
import socket
import stat
import struct
import sys
import time
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from engine.store.postgres.embedded_binaries import COPIES_FOR_ROOT, candidates, choose_binaries
from engine.store.postgres.embedded_errors import OTHER_DATABASE, EmbeddedPostgresError
from engine.store.postgres.embedded_locks import Users, is_locked, lock_file, start_lock
from engine.store.postgres.embedded_user import LOCALE, server_user

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from subprocess import CompletedProcess

    import psycopg

DATABASE = "asl"

_PORT = 5432
_MAX_CONNECTIONS = 200
_LOG_BYTES = 1 << 20
_POLL_SECONDS = 0.005
_ANSWER_SECONDS = 120.0
"""How long a server may say that it is starting up; after a crash it replays up to a checkpoint interval of work."""
_SILENT_SECONDS = 30.0
"""How long processes of a server may be left without answering: those of a killed one end when they notice."""
_STOP_SECONDS = 60.0

_SOCKET_BYTES = 103 if sys.platform == "darwin" else 107
_PLAIN = re.compile(r"/[\w./+-]+", re.ASCII)
"""Paths that need no quoting, neither for pg_ctl's shell nor in a list of PostgreSQL's."""

_WAIT = re.compile("starting up|shutting down|recovery|not yet accepting|too many clients|slots are reserved")
"""What a server says that will let us in later. Its messages are in English, as it was made."""


class _Answer(enum.Enum):
    READY = enum.auto()
    LATER = enum.auto()
    SILENT = enum.auto()


class Server:
    """The server of a data directory; all but `url` is to be called under `starting`.

    Args:
        data_dir: Is made if it is not there.
        binaries: A directory with PostgreSQL's programs, to look for no others.

    Raises:
        EmbeddedPostgresError: The directory cannot be used.
    """

    def __init__(self, data_dir: Path, *, binaries: Path | None = None) -> None:
        self._data_dir = data_dir.resolve()
        self._binaries = binaries
        self._user = server_user(self._data_dir)
        self._make_data_dir()
        self._data = self._data_dir / "data"
        self._inside = self._data_dir / "run"
        self._lock = self._data_dir / "server.lock"
        self._socket_dir: Path | None = None
        self._last_words = "no answer"
        self._log = self._data / "server.log"
        self._log_before = 0
        self.users = Users(self._data_dir / "users", self._user)

    def starting(self) -> AbstractContextManager[None]:
        """Shuts out all others who want to start, join, leave or stop the server."""
        return start_lock(self._data_dir / "start.lock", self._user)

    def url(self, database: str) -> str:
        """For psycopg. It names the port, or PGPORT would."""
        assert self._socket_dir is not None, "the server was started"
        return f"postgresql://postgres@/{quote(database, safe='')}?host={self._socket_dir}&port={_PORT}"

    def ensure(self) -> None:
        """Makes what is missing and starts the server unless it is up.

        Raises:
            NoEmbeddedPostgres: There are no programs to start.
            EmbeddedPostgresError: It does not start, or is not ours.
        """
        self._socket_dir = self._own_socket_dir()
        if self._answers():
            return
        self._launch()
        if not self._answers():
            with self._log.open("rb") as log:
                log.seek(self._log_before)
                said = log.read().decode(errors="replace").strip()
            raise EmbeddedPostgresError(f"PostgreSQL did not start in {self._data_dir}, it said: {said}")

    def halt(self) -> bool:
        """Stops the server (a fast shutdown: sessions are ended, nothing is lost).

        Returns:
            False: It was not running.

        Raises:
            EmbeddedPostgresError: It does not stop, or is out of reach.
        """
        self._socket_dir = self._own_socket_dir()
        process_id = self._listening_process()
        if process_id is not None:
            os.kill(process_id, signal.SIGINT)
        give_up = time.monotonic() + (_SILENT_SECONDS if process_id is None else _STOP_SECONDS)
        while self.has_processes():
            if time.monotonic() > give_up:
                raise EmbeddedPostgresError(
                    f"the PostgreSQL server in {self._data_dir} does not stop: end the processes that hold {self._lock}"
                )
            time.sleep(_POLL_SECONDS)
        if self._socket_dir != self._inside:
            with suppress(OSError):  # it is not empty when somebody keeps something there
                self._socket_dir.rmdir()
        return process_id is not None

    def _make_data_dir(self) -> None:
        if (self._data_dir / "PG_VERSION").exists():
            raise EmbeddedPostgresError(
                f"{self._data_dir} is a PostgreSQL data directory of its own: choose another one (--data-dir), or start"
                f" its server and {OTHER_DATABASE}"
            )
        self._data_dir.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._data_dir.mkdir(mode=0o700)
            self._user.give(self._data_dir)
        except FileExistsError:
            pass  # as it is: it may be somebody's volume

    def _own_socket_dir(self) -> Path:
        """Where the server listens; the same for all processes, so it may hang on the data directory only.

        Inside the data directory when its path is short and plain enough and its file system has sockets (a folder that
        Docker Desktop shares has none): nobody else gets there, and nothing cleans it up. Else in /tmp.
        XDG_RUNTIME_DIR would not do: it goes away at logout, while the server runs on, and cron and sudo have another.
        """
        inside = self._inside
        address = os.fsencode(inside / f".s.PGSQL.{_PORT}")
        if len(address) <= _SOCKET_BYTES and _PLAIN.fullmatch(str(inside)) and (inside.is_dir() or self._has_sockets()):
            return self._private(inside)
        return self._private(Path(f"/tmp/asl-pg-{self._user.uid}-{self._hash()}"))  # noqa: S108 -- checked by _private

    def _hash(self) -> str:
        return hashlib.sha256(os.fsencode(self._data_dir)).hexdigest()[:10]

    def _has_sockets(self) -> bool:
        trial = self._data_dir / "run.trial"
        trial.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as opened:
            try:
                opened.bind(os.fspath(trial))
            except OSError:
                return False
        trial.unlink()
        return True

    def _private(self, directory: Path) -> Path:
        """Makes the directory. Whoever has a socket in it is taken for our server, so it must be nobody else's."""
        try:
            directory.mkdir(mode=0o700)
            self._user.give(directory)
        except FileExistsError:
            found = directory.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != self._user.uid or found.st_mode & 0o077:
                raise EmbeddedPostgresError(
                    f"{directory}: expected a directory that only {self._user} may enter, got"
                    f" {stat.filemode(found.st_mode)} of user id {found.st_uid}: remove it, or choose another directory"
                    " (--data-dir)"
                ) from None
        return directory

    def _answers(self) -> bool:
        """Waits until the server is ready or nothing is left of it: True or False."""
        began = time.monotonic()
        while True:
            answer = self._ask()
            if answer is _Answer.READY:
                return True
            if answer is _Answer.SILENT and not self.has_processes():
                return False
            waited = time.monotonic() - began
            if answer is _Answer.LATER and waited > _ANSWER_SECONDS:
                raise EmbeddedPostgresError(
                    f"the PostgreSQL server in {self._data_dir} is not ready after {waited:.0f} s ({self._last_words}):"
                    f" try again later; {self._log} says more"
                )
            if answer is _Answer.SILENT and waited > _SILENT_SECONDS:
                raise EmbeddedPostgresError(
                    f"a PostgreSQL server works in {self._data_dir}, but lets nobody in at {self._socket_dir}"
                    f" ({self._last_words}): stop the processes that hold {self._lock} or run in {self._data}"
                )
            time.sleep(_POLL_SECONDS)

    def _ask(self) -> _Answer:
        import psycopg

        try:
            connection = psycopg.connect(self.url("postgres"), autocommit=True, connect_timeout=5)
        except psycopg.OperationalError as error:
            self._last_words = str(error).split("\n", 1)[0]
            if "FATAL:" not in self._last_words:
                return _Answer.SILENT
            if _WAIT.search(self._last_words):
                return _Answer.LATER
            raise EmbeddedPostgresError(f"the server of {self._data_dir} refuses us: {self._last_words}") from error
        try:
            with connection:
                self._check_and_complete(connection)
        except psycopg.Error as error:
            if connection.broken:  # it went down under us
                return _Answer.SILENT
            raise EmbeddedPostgresError(f"the server of {self._data_dir} cannot work: {error}") from error
        return _Answer.READY

    def _check_and_complete(self, connection: psycopg.Connection) -> None:
        """Makes sure that this is the server of our directory, and that it has our database."""
        row = connection.execute(
            "select pg_read_file('postmaster.pid', 0, 1000, true),"
            " exists (select from pg_database where datname = %s), current_setting('data_directory')",
            (DATABASE,),
        ).fetchone()
        assert row is not None
        its_file, has_database, served = row
        # The first lines hold its process id, directory and starting time. Paths may differ: between containers, after
        # a move, or when the server knows its directory by a file descriptor.
        if _first_lines(its_file) != _first_lines(_text(self._data / "postmaster.pid")):
            raise EmbeddedPostgresError(
                f"the server at {self._socket_dir} does not serve {self._data}, but {served}: stop it"
            )
        if not has_database:
            connection.execute(f"create database {DATABASE}")

    def has_processes(self) -> bool:
        """Whether anything of a server still runs in the directory."""
        return is_locked(self._lock, self._user) or any(_processes_in(self._data))

    def has_crashed(self) -> bool:
        """Whether nothing of a server runs in the directory, though nobody has stopped it: then this file goes."""
        return (self._data / "postmaster.pid").exists() and not self.has_processes()

    def _launch(self) -> None:
        """Starts the server, which nobody runs any more, and does not wait for it.

        What we start inherits the locked server.lock, also initdb: should we be killed, the next one waits for it.
        """
        reachable = self._user.may_reach(self._data_dir)
        if not reachable and sys.platform != "linux":
            raise EmbeddedPostgresError(
                f"{self._data_dir} is out of reach for {self._user}, who has to run the server because root may not:"
                f" choose a directory below others that everybody may enter (--data-dir), or {OTHER_DATABASE}"
            )
        version = _text(self._data / "PG_VERSION")
        programs = choose_binaries(
            candidates() if self._binaries is None else (self._binaries,),
            major=None if version is None else int(version.split(".")[0]),
            user=self._user,
            copies=self._data_dir if reachable else COPIES_FOR_ROOT / self._hash(),
        )
        with lock_file(self._lock, self._user) as lock, _opened(self._data_dir) as directory:
            # A server under root's home gets there by a file descriptor; nobody's directories are changed for it. Else
            # by a relative path: pg_ctl puts paths into a shell command without quoting them.
            home = "." if reachable else f"/proc/self/fd/{directory}"
            run = partial(self._user.run, cwd=self._data_dir if reachable else "/", pass_fds=(lock, directory))
            if version is None:
                self._create(run, programs, home)
            self._clear()
            inside = self._socket_dir == self._inside and not reachable
            settings = (
                f"-c listen_addresses= -c port={_PORT} -c unix_socket_permissions=0700"
                f" -c unix_socket_directories={f'{home}/run' if inside else self._socket_dir}"
                f" -c max_connections={_MAX_CONNECTIONS}"
            )
            log = f"{home}/data/server.log"
            started = run(programs / "pg_ctl", "-D", f"{home}/data", "-W", "-l", log, "-o", settings, "start")
        if started.returncode:
            raise EmbeddedPostgresError(f"pg_ctl failed: {started.stderr.strip()}")

    def _clear(self) -> None:
        """Removes what a killed server left: PostgreSQL takes it for a running one while its process id is in use."""
        for stale in (self._data / "postmaster.pid", self._socket_path(), Path(f"{self._socket_path()}.lock")):
            stale.unlink(missing_ok=True)
        self._log_before = self._log.stat().st_size if self._log.exists() else 0
        if self._log_before > _LOG_BYTES:
            self._log.replace(self._data / "server.log.1")
            self._log_before = 0

    def _create(self, run: Callable[..., CompletedProcess[str]], programs: Path, home: str) -> None:
        """Makes the data directory under another name first, so that a half-made one is never taken for whole."""
        if self._user.name is None:
            raise EmbeddedPostgresError(
                f"PostgreSQL cannot be set up by {self._user}, which has no entry in /etc/passwd: add one, or"
                f" {OTHER_DATABASE}"
            )
        if self._data.is_dir() and any(self._data.iterdir()):
            raise EmbeddedPostgresError(
                f"{self._data} is there already and was not made by PostgreSQL: choose another directory (--data-dir)"
            )
        making = self._data_dir / "data.tmp"
        shutil.rmtree(making, ignore_errors=True)
        making.mkdir(mode=0o700)
        self._user.give(making)
        as_we_want = ("-U", "postgres", "-A", "trust", "-E", "UTF8", f"--locale={LOCALE}")
        made = run(programs / "initdb", "-D", f"{home}/{making.name}", *as_we_want)
        if made.returncode:
            raise EmbeddedPostgresError(f"initdb failed in {self._data_dir}: {made.stderr.strip()}")
        making.rename(self._data)
        # initdb made its files durable; their directory's new name has to be as well.
        _sync(self._data_dir)
        with suppress(PermissionError):  # we may enter the directory above, but perhaps not read it
            _sync(self._data_dir.parent)

    def _socket_path(self) -> Path:
        assert self._socket_dir is not None
        return self._socket_dir / f".s.PGSQL.{_PORT}"

    def _listening_process(self) -> int | None:
        """The server's main process, if it listens; on Linux the kernel says so, and no file has to be believed.

        Raises:
            EmbeddedPostgresError: It is not of our process namespace.
        """
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(os.fspath(self._socket_path()))
            except (FileNotFoundError, ConnectionRefusedError):
                return None
            if sys.platform == "linux":
                credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
                process_id: int = struct.unpack("3i", credentials)[0]
            else:
                process_id = int((self._data / "postmaster.pid").read_text().split("\n", 1)[0])
        if process_id <= 0:
            raise EmbeddedPostgresError(f"the server of {self._data_dir} runs in another container: stop it there")
        return process_id


@contextmanager
def _opened(directory: Path) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _sync(directory: Path) -> None:
    with _opened(directory) as descriptor:
        os.fsync(descriptor)


def _processes_in(data: Path) -> list[int]:
    """Living processes that work in the directory, as all of a PostgreSQL server do; known on Linux only.

    Sees a server that somebody started by hand, which holds no lock of ours. In a container without the right to trace
    processes root does not see those of others; PostgreSQL's own shared memory then keeps two servers apart.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            # A zombie has no working directory any more.
            if (process / "cwd").readlink() == data:
                found.append(int(process.name))
        except OSError:
            continue
    return found


def _text(file: Path) -> str | None:
    try:
        return file.read_text(errors="replace")
    except FileNotFoundError:
        return None


def _first_lines(text: str | None) -> list[str]:
    return (text or "").split("\n")[:3]
