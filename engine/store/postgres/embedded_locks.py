"""Locks on files: the kernel drops them with the last process that holds them, however it ended.

That is what makes them better than process ids: a killed process leaves none behind, a zombie holds none, and they mean
the same to two containers that share a volume.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from engine.store.postgres.embedded_errors import EmbeddedPostgresError

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from engine.store.postgres.embedded_user import ServerUser

START_SECONDS = 300.0
"""How long to wait for another process that starts or stops the server: longer than either may take."""

_POLL_SECONDS = 0.01
_not_for_children: set[int] = set()


def _close_in_child() -> None:
    """A child forked by another thread must not go on holding what we hold for a moment only."""
    while _not_for_children:
        os.close(_not_for_children.pop())


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_close_in_child)


@contextmanager
def lock_file(path: Path, user: ServerUser, *, seconds: float = 0.0) -> Iterator[int]:
    """Holds the lock; gives the file descriptor, for a child process to inherit and hold the lock with us or after us.

    Raises:
        BlockingIOError: Somebody else still holds it after `seconds`.
    """
    descriptor = _open(path, user)
    _not_for_children.add(descriptor)
    try:
        give_up = time.monotonic() + seconds
        while not _lock(descriptor):
            if time.monotonic() > give_up:
                raise BlockingIOError(f"{path} is locked")
            time.sleep(_POLL_SECONDS)
        yield descriptor
    finally:
        _not_for_children.discard(descriptor)
        os.close(descriptor)


def is_locked(path: Path, user: ServerUser) -> bool:
    """Whether any process holds the lock."""
    try:
        with lock_file(path, user):
            return False
    except BlockingIOError:
        return True


@contextmanager
def start_lock(path: Path, user: ServerUser) -> Iterator[None]:
    """Held by whoever starts, joins, leaves or stops the server: one at a time.

    Raises:
        EmbeddedPostgresError: Another process has held it for START_SECONDS.
    """
    with ExitStack() as held:
        try:
            held.enter_context(lock_file(path, user, seconds=START_SECONDS))
        except BlockingIOError:
            raise EmbeddedPostgresError(
                f"another process has been starting or stopping the server for {START_SECONDS:.0f} s: it holds {path}"
            ) from None
        yield


class Users:
    """The users of a server: one locked file each, named by process, so that they can be counted.

    A child that was forked by a user shares its lock, so the user is gone when both are. All of it is to be called
    under `start_lock`.
    """

    def __init__(self, directory: Path, user: ServerUser) -> None:
        self._directory = directory
        self._user = user

    def join(self) -> int:
        """Makes the caller a user until the file descriptor it gets is closed, here and in forked children."""
        if not self._directory.is_dir():
            self._directory.mkdir(mode=0o700)
            self._user.give(self._directory)
        descriptor = _open(self._directory / f"{os.getpid()}-{secrets.token_hex(4)}", self._user)
        locked = _lock(descriptor)
        assert locked, "nobody else knows this name"
        return descriptor

    def process_ids(self) -> list[int]:
        """The processes that joined and are not gone, ascending; forgets the others."""
        if not self._directory.is_dir():
            return []
        alive = []
        for file in self._directory.iterdir():
            if is_locked(file, self._user):
                alive.append(int(file.name.split("-")[0]))
            else:
                file.unlink()
        return sorted(alive)


def _open(path: Path, user: ServerUser) -> int:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    user.give(descriptor)
    return descriptor


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
