"""Folders as places of files. Only those below the folders in ASL_MAP_FILES are open to definitions."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from engine.map_data.failures import DataFailed
from engine.map_data.places import Listed
from engine.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNFINISHED = ".unfinished-"


class Folder:
    """See `Place`. Keys are paths below it, with `/`."""

    def __init__(self, path: str) -> None:
        """Raises DataFailed: it may not be used."""
        self._path = Path(path).resolve()
        self.name = self._path.as_uri()
        _permit(self._path)

    def open(self, key: str) -> OpenFile:
        """See `Place`."""
        path = self._below(key)
        try:
            return OpenFile(path)
        except OSError as error:
            raise DataFailed(f"{path.as_uri()}: {_told(error)}") from error

    def listed(self, prefix: str, after: str | None) -> Iterator[Listed]:
        """See `Place`. Symbolic links to folders are not followed."""
        folder = prefix.rpartition("/")[0]
        start = self._below(folder) if folder else self._path
        try:
            if start.is_dir():
                yield from _listed(start, f"{folder}/" if folder else "", prefix, after)
            elif not self._path.is_dir():
                raise DataFailed(f"{self.name}: there is no such folder")
        except OSError as error:
            raise DataFailed(f"{self.name}: {_told(error)}") from error

    def upload(self, key: str) -> WrittenFile:
        """See `Place`. Makes the folders above it."""
        path = self._below(key)
        try:
            return WrittenFile(path)
        except OSError as error:
            raise DataFailed(f"{path.as_uri()}: {_told(error)}") from error

    def close(self) -> None:
        """See `Place`."""

    def _below(self, key: str) -> Path:
        try:
            path = (self._path / key.lstrip("/")).resolve()
        except (OSError, ValueError) as error:  # a NUL; a loop of links
            raise DataFailed(f"{self.name}: {key[:200]!a} is not the name of a file: {error}") from error
        if not path.is_relative_to(self._path):
            # A link out of the folder counts where it leads to.
            _permit(path)
        return path


class OpenFile:
    """See `StoredFile`."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self.name = path.as_uri()
        if path.is_dir():
            raise IsADirectoryError(21, "it is a folder, not a file")
        self._file = path.open("rb", buffering=0)
        found = os.fstat(self._file.fileno())
        self.size = found.st_size
        self.version = _version(found)

    def part(self, first: int, length: int) -> bytes:
        """See `StoredFile`."""
        try:
            if _version(os.fstat(self._file.fileno())) != self.version:
                raise DataFailed(f"{self.name}: it has changed while it was read")
            self._file.seek(first)
            return self._file.read(length)
        except OSError as error:
            raise DataFailed(f"{self.name}: {_told(error)}") from error

    def close(self) -> None:
        """See `StoredFile`."""
        self._file.close()


class WrittenFile:
    """See `Upload`."""

    def __init__(self, path: Path) -> None:
        """Raises OSError."""
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._unfinished = path.with_name(f"{path.name}{_UNFINISHED}{uuid4().hex}")
        self._file = self._unfinished.open("xb")

    def write(self, data: bytes) -> None:
        """See `Upload`."""
        try:
            self._file.write(data)
        except OSError as error:
            raise DataFailed(f"{self._path.as_uri()}: {_told(error)}") from error

    def finish(self) -> None:
        """See `Upload`. It is on the disk then."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._unfinished.replace(self._path)
        except OSError as error:
            raise DataFailed(f"{self._path.as_uri()}: {_told(error)}") from error

    def abandon(self) -> None:
        """See `Upload`."""
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._unfinished.unlink(missing_ok=True)


def _permit(path: Path) -> None:
    """Raises DataFailed: it is not below one of the folders that definitions may use."""
    given = Settings.from_environment().map_files
    roots = [Path.cwd()] if given is None else [Path(one) for one in given]
    roots = [root.resolve() for root in roots]
    # The working directory of a service is often /, which nobody meant to open.
    if not any(path.is_relative_to(root) for root in roots if given is not None or root != Path(root.anchor)):
        opened = os.pathsep.join(map(str, roots)) or "nothing"
        hint = "name folders for Distributed Maps in ASL_MAP_FILES"
        raise DataFailed(f"{path.as_uri()}: expected a path below {opened}; {hint}")


def _listed(folder: Path, above: str, prefix: str, after: str | None) -> Iterator[Listed]:
    """The files below a folder whose own key is `above`, as S3 sorts them: a folder counts as its name with a `/`."""
    with os.scandir(folder) as found:
        entries = [
            (f"{above}{entry.name}{'/' if entry.is_dir(follow_symlinks=False) else ''}", entry) for entry in found
        ]
    for key, entry in sorted(entries, key=lambda one: one[0].encode("utf-8", "surrogateescape")):
        if key.endswith("/"):
            is_passed = after is not None and key < after and not after.startswith(key)
            if not is_passed and (key.startswith(prefix) or prefix.startswith(key)):
                yield from _listed(folder / entry.name, key, prefix, after)
        elif key.startswith(prefix) and (after is None or key > after) and entry.is_file() and _UNFINISHED not in key:
            about = entry.stat()
            etag = f'"{_version(about)}"'
            yield Listed(key, etag, int(about.st_mtime), about.st_size, "STANDARD")


def _version(about: os.stat_result) -> str:
    return f"{about.st_size:x}-{about.st_mtime_ns:x}"


def _told(error: OSError) -> str:
    return error.strerror or str(error)
