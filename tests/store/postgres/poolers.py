"""Poolers in transaction mode before a test server: PgBouncer where it is installed, and one of our own."""

from __future__ import annotations

import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from typing import TYPE_CHECKING

import psycopg

from tests.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.store.postgres.cluster import Cluster

_PORT = 6543

_SETTINGS = """
[databases]
asl = host={server} dbname=asl user=postgres
[pgbouncer]
pool_mode = transaction
server_round_robin = 1
default_pool_size = 12
listen_addr =
listen_port = {port}
unix_socket_dir = {folder}
auth_type = any
admin_users = postgres
logfile = {folder}/log
"""


def find_pgbouncer() -> str | None:
    """ASL_TEST_PGBOUNCER, the one that is installed, or none."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    return os.environ.get("ASL_TEST_PGBOUNCER") or shutil.which("pgbouncer", path=path)


@contextmanager
def running_pgbouncer(cluster: Cluster, executable: str) -> Iterator[str]:
    """The URL of a PgBouncer before the database `asl`, which takes another session for each transaction."""
    with tempfile.TemporaryDirectory(prefix="asl-pgb-", dir="/tmp") as folder:
        Path(folder, "ini").write_text(_SETTINGS.format(server=cluster.folder, folder=folder, port=_PORT))
        if cluster.user:
            shutil.chown(folder, cluster.user)
        process = subprocess.Popen([executable, "-q", f"{folder}/ini"], user=cluster.user, stderr=subprocess.DEVNULL)
        try:
            url = f"postgresql://postgres@/asl?host={folder}&port={_PORT}"
            wait_until(lambda: _answers(url))
            yield url
        finally:
            process.terminate()
            process.wait()


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def running_swapper(cluster: Cluster, database: str = "asl") -> Iterator[str]:
    """The URL of a pooler that has two sessions for each client, and gives it one and the other in turn."""
    with tempfile.TemporaryDirectory(prefix="asl-swap-", dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as door:
        door.bind(f"{folder}/.s.PGSQL.{_PORT}")
        door.listen(64)
        server = str(cluster.folder / ".s.PGSQL.5432")
        threading.Thread(target=_let_in, args=(door, server), daemon=True).start()
        yield f"postgresql://postgres@/{database}?host={folder}&port={_PORT}"
        door.shutdown(socket.SHUT_RDWR)


def _let_in(door: socket.socket, server: str) -> None:
    with suppress(OSError):
        while True:
            client, _ = door.accept()
            threading.Thread(target=_serve, args=(client, server), daemon=True).start()


def _serve(client: socket.socket, server: str) -> None:
    with client, ExitStack() as ends, suppress(OSError, EOFError):
        startup = _startup(client)
        if startup is None:
            return
        sessions = [_session(ends, server, startup) for _ in range(2)]
        client.sendall(sessions[0][1])
        while True:
            for session, _ in sessions:
                _transaction(client, session)


def _startup(client: socket.socket) -> bytes | None:
    """The client's first message; None: it only wanted something cancelled."""
    while True:
        head = _exactly(client, 8)
        length, code = struct.unpack(">II", head)
        rest = _exactly(client, length - 8)
        if code == 80877102:  # CancelRequest
            return None
        if code not in (80877103, 80877104):  # SSLRequest, GSSENCRequest
            return head + rest
        client.sendall(b"N")


def _session(ends: ExitStack, server: str, startup: bytes) -> tuple[socket.socket, bytes]:
    """A session of the server, and what it said until it was ready."""
    session = ends.enter_context(socket.socket(socket.AF_UNIX))
    session.connect(server)
    session.sendall(startup)
    said = b""
    while True:
        message = _message(session)
        said += message
        if message[:1] in (b"Z", b"E"):
            return session, said


def _transaction(client: socket.socket, session: socket.socket) -> None:
    """Goes between the two until the session is in no transaction and owes no answer."""
    owed, has_begun, is_synced, status = 0, False, True, b"I"
    with DefaultSelector() as both:
        both.register(client, EVENT_READ)
        both.register(session, EVENT_READ)
        while not has_begun or not is_synced or owed or status != b"I":
            for key, _ in both.select():
                if key.fileobj is client:
                    message = _message(client)
                    has_begun = True
                    is_synced = message[:1] in (b"S", b"Q")
                    owed += is_synced
                    session.sendall(message)
                else:
                    message = _message(session)
                    if message[:1] == b"Z":
                        owed, status = owed - 1, message[-1:]
                    client.sendall(message)


def _message(end: socket.socket) -> bytes:
    head = _exactly(end, 5)
    return head + _exactly(end, struct.unpack(">I", head[1:])[0] - 4)


def _exactly(end: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = end.recv(count - len(found))
        if not more:
            raise EOFError
        found += more
    return found
