"""Who the embedded server runs as: PostgreSQL refuses to run as root, so root runs it as somebody else."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from engine.store.postgres.embedded_errors import OTHER_DATABASE, EmbeddedPostgresError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LOCALE = "C" if sys.platform == "darwin" else "C.UTF-8"
"""The wheel is built without ICU, and macOS has no C.UTF-8."""

_COMMAND_SECONDS = 300.0
_FOR_ROOT = ("postgres", "nobody")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUser:
    """The account that owns the server's files and runs its processes.

    Attributes:
        name: None when the user id has no entry in /etc/passwd.
        is_other: We are root, and the server's user is not.
    """

    uid: int
    gid: int
    name: str | None
    is_other: bool

    def give(self, file: Path | int) -> None:
        """Makes a file of ours, by path or file descriptor, the server user's."""
        if self.is_other:
            os.chown(file, self.uid, self.gid, follow_symlinks=isinstance(file, int))

    def run(
        self, *command: str | Path, cwd: Path | str = "/", pass_fds: Sequence[int] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command as this user, in English and in UTC, without our environment.

        Ours may say PGPORT, and a server that root starts for somebody else must not have root's secrets in it.

        Raises:
            OSError: It cannot be started.
            EmbeddedPostgresError: It hangs, or root is not allowed to become that user.
        """
        try:
            return subprocess.run(  # noqa: S603 -- the commands are ours
                command,
                cwd=cwd,
                env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": LOCALE, "TZ": "UTC"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_COMMAND_SECONDS,
                check=False,
                pass_fds=pass_fds,
                user=self.uid if self.is_other else None,
                group=self.gid if self.is_other else None,
                extra_groups=[] if self.is_other else None,
            )
        except PermissionError as error:
            if self.is_other and error.errno == errno.EPERM:
                raise EmbeddedPostgresError(
                    f"PostgreSQL does not run as root, and here root may not run programs as {self} (CAP_SETUID,"
                    f" CAP_SETGID): run as another user, or {OTHER_DATABASE}"
                ) from error
            raise
        except subprocess.TimeoutExpired as error:
            raise EmbeddedPostgresError(f"{command[0]} did not end in {_COMMAND_SECONDS:.0f} s") from error

    def may_reach(self, path: Path) -> bool:
        """Whether this user may enter the directory, or run the program, and enter all directories above it."""
        return not self.is_other or self.run("test", "-x", path).returncode == 0

    def __str__(self) -> str:
        return self.name or f"user id {self.uid}"


def server_user(data_dir: Path) -> ServerUser:
    """Whom the server of `data_dir` runs as: ourselves; when we are root its owner, else `postgres` or `nobody`.

    Raises:
        EmbeddedPostgresError: The directory is somebody else's, or root has nobody to run the server as.
    """
    import pwd

    owner = _owner(data_dir / "data")
    if os.geteuid() != 0:
        if owner is not None and owner != os.geteuid():
            raise EmbeddedPostgresError(
                f"{data_dir} belongs to {_account(owner)}, and we are {_account(os.geteuid())}:"
                f" choose another directory (--data-dir), or {OTHER_DATABASE}"
            )
        return replace(_account(os.geteuid()), is_other=False)
    owner = owner or _owner(data_dir)
    if owner:
        return _account(owner)
    for name in _FOR_ROOT:
        try:
            return _account(pwd.getpwnam(name).pw_uid)
        except KeyError:
            continue
    raise EmbeddedPostgresError(
        "PostgreSQL does not run as root, and there is no user 'postgres' or 'nobody' to run it as:"
        f" make one of them, or run as another user, or {OTHER_DATABASE}"
    )


def _account(uid: int) -> ServerUser:
    import pwd

    try:
        entry = pwd.getpwuid(uid)
    except KeyError:
        return ServerUser(uid=uid, gid=uid, name=None, is_other=True)
    return ServerUser(uid=uid, gid=entry.pw_gid, name=entry.pw_name, is_other=True)


def _owner(path: Path) -> int | None:
    try:
        return path.stat().st_uid
    except FileNotFoundError:
        return None
