"""Unpacked packages on this machine, by digest: what environments run from.

Servers on one machine share a directory. A package is unpacked beside its place and moved there, so that nobody sees
half of it. Whoever uses one has a shared lock on its byte of the file `lock`, which goes with the process; whoever
removes one needs it alone. Packages stay over restarts as long as a function names them.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread

from engine.lambda_emulator.deployment_packages import unpack
from engine.lambda_emulator.store import Digest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.lambda_emulator.library import Library
    from engine.lambda_emulator.limits import Limits

_GRACE_SECONDS = 60
"""Beyond the longest invocation: environments of a function that was changed or deleted still run."""

_LEFTOVER_SECONDS = 3_600
"""When what a server left half unpacked is removed."""

_DIGEST_LENGTH = 64


def default_cache_directory(environment: Mapping[str, str]) -> Path:
    """`asl/lambda` in this user's directory for what can be made again."""
    base = environment.get("XDG_CACHE_HOME") or ""
    return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "asl" / "lambda"


class CodeCache:
    """One server's share in the directory; a process has one. Its methods are called in the event loop."""

    def __init__(
        self, directory: Path, library: Library, limits: Limits, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._directory = directory
        self._library = library
        self._limits = limits
        self._monotonic = monotonic
        self._used_at: dict[Digest, float] = {}
        self._file: int | None = None
        self._lock = threading.Lock()

    def code(self, digest: Digest) -> CachedCode:
        """For a FunctionVersion."""
        return CachedCode(digest, self)

    async def directory(self, digest: Digest) -> Path:
        """Where a package is unpacked. It stays as long as a function names it, and an invocation longer.

        Raises:
            FileNotFoundError: Nothing names the package any more.
            OSError: It cannot be written.
        """
        place = self._directory / digest
        if not await anyio.to_thread.run_sync(self._hold, digest):
            data = await self._library.package(digest)
            if data is None:
                raise FileNotFoundError(f"no package {digest}")
            await self.add(digest, data)
        return place

    async def add(self, digest: Digest, data: bytes) -> int:
        """Unpacks a package.

        Returns:
            Bytes of its files.

        Raises:
            BadPackage, EmptyPackage, PackageTooLarge: See `deployment_packages`.
            OSError: It cannot be written.
        """
        return await anyio.to_thread.run_sync(self._add, digest, data)

    async def sweep(self) -> int:
        """Removes packages from the store and the directory that no function names any more.

        Returns:
            How many were removed from the directory. Those that another server uses stay.
        """
        named = await self._library.drop_packages()
        return await anyio.to_thread.run_sync(self._sweep, named)

    def close(self) -> None:
        """Lets go of all packages."""
        with self._lock:
            self._used_at.clear()
            if self._file is not None:
                os.close(self._file)
                self._file = None

    # ── in threads ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _hold(self, digest: Digest) -> bool:
        """Keeps others from removing a package. Whether it is there."""
        with self._lock:
            if digest not in self._used_at:
                fcntl.lockf(self._lock_file(), fcntl.LOCK_SH, 1, _byte(digest))
            self._used_at[digest] = self._monotonic()
        return (self._directory / digest).is_dir()

    def _add(self, digest: Digest, data: bytes) -> int:
        self._hold(digest)
        beside = self._directory / f"tmp-{uuid.uuid4().hex}"
        beside.mkdir(mode=0o755)
        try:
            size = unpack(data, beside, bytes_max=self._limits.unzipped_bytes_max)
            try:
                beside.rename(self._directory / digest)
            except OSError:
                if not (self._directory / digest).is_dir():  # else somebody was quicker
                    raise
            return size
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def _lock_file(self) -> int:
        """Raises PermissionError: the directory is another user's, who could put code there that we would run."""
        if self._file is None:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._directory.stat().st_uid != os.geteuid():
                raise PermissionError(f"{self._directory}: belongs to another user; choose another directory")
            self._file = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        return self._file

    def _sweep(self, named: frozenset[Digest]) -> int:
        if not self._directory.is_dir():
            return 0
        removed = 0
        for place in list(self._directory.iterdir()):
            if place.name.startswith("tmp-"):
                if time.time() - place.stat().st_mtime > _LEFTOVER_SECONDS:
                    shutil.rmtree(place, ignore_errors=True)
            elif len(place.name) == _DIGEST_LENGTH and place.name not in named:
                removed += self._remove(Digest(place.name))
        return removed

    def _remove(self, digest: Digest) -> bool:
        idle_since = self._monotonic() - self._limits.timeout_max - _GRACE_SECONDS
        with self._lock:
            if self._used_at.get(digest, idle_since) > idle_since:
                return False
            file, byte = self._lock_file(), _byte(digest)
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
            except BlockingIOError:
                return False
            try:
                shutil.rmtree(self._directory / digest, ignore_errors=True)
            finally:
                self._used_at.pop(digest, None)
                fcntl.lockf(file, fcntl.LOCK_UN, 1, byte)
            return True


class CachedCode:
    """A `Code` of the cache."""

    __slots__ = ("_cache", "_digest")

    def __init__(self, digest: Digest, cache: CodeCache) -> None:
        self._digest = digest
        self._cache = cache

    @property
    def digest(self) -> str:
        """See `Code`."""
        return self._digest

    async def directory(self) -> Path:
        """See `CodeCache.directory`."""
        return await self._cache.directory(self._digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CachedCode) and other.digest == self.digest

    def __hash__(self) -> int:
        return hash(self._digest)


def _byte(digest: Digest) -> int:
    """Of the lock file: as many bits of the digest as a file's size may have."""
    return int(digest[:15], 16)
