"""Places that files are in: buckets of S3, and folders.

A folder stands where a bucket's name does, as a `file:` URL: `{"Bucket": "file:///srv/data", "Key": "orders.csv"}`, or
`file:data`, from the process's own directory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias
from urllib.parse import unquote, urlsplit

from engine.map_data.failures import DataFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from engine.jsonvalue import Json


class StoredFile(Protocol):
    """One file, open for reading. If it changes meanwhile, reading fails.

    Attributes:
        name: For people: a URL.
        size: In bytes.
        version: Another one, another content.
    """

    name: str
    size: int
    version: str

    def part(self, first: int, length: int) -> bytes:
        """So many bytes from `first` on; fewer only at the end of the file. Raises DataFailed."""
        ...

    def close(self) -> None:
        """May be called twice."""
        ...


class Listed(NamedTuple):
    """An object as ListObjectsV2 shows it. `etag` has quotes; `last_modified` is in seconds since the epoch."""

    key: str
    etag: str
    last_modified: float
    size: int
    storage_class: str


class Upload(Protocol):
    """A file that is being written: it is there when it is finished, and not before."""

    def write(self, data: bytes) -> None:
        """Appends. Raises DataFailed."""
        ...

    def finish(self) -> None:
        """Makes it be there, in place of another one of its name. Raises DataFailed."""
        ...

    def abandon(self) -> None:
        """Leaves nothing of it; may be called after `finish`, where it does nothing."""
        ...


class Place(Protocol):
    """A bucket or a folder. `name` is a URL."""

    name: str

    def open(self, key: str) -> StoredFile:
        """Opens a file. Raises DataFailed."""
        ...

    def listed(self, prefix: str, after: str | None) -> Iterator[Listed]:
        """All files whose key begins so, in the order of their keys, those after `after`. Raises DataFailed."""
        ...

    def upload(self, key: str) -> Upload:
        """Begins to write a file. Raises DataFailed."""
        ...

    def close(self) -> None:
        """May be called twice."""
        ...


S3: TypeAlias = "Callable[[str], Any]"
"""Makes boto3's client of S3, in a region where none is configured. Raises DataFailed: S3 is not to be called."""


def is_folder(bucket: str) -> bool:
    """Whether what stands for a bucket is a `file:` URL."""
    return bucket.startswith("file:")


def open_place(bucket: str, more: Mapping[str, Json], *, region: str, s3: S3 | None = None) -> Place:
    """Opens a bucket or a folder.

    Args:
        bucket: Its name, or a `file:` URL.
        more: What else the calls to S3 are to have: `ExpectedBucketOwner`, `VersionId`, ...
        region: Where AWS's own configuration names none.
        s3: None: as that configuration has it.

    Raises:
        DataFailed: There is no such folder, or it may not be used; or S3 may not.
    """
    if not is_folder(bucket):
        from engine.map_data.buckets import Bucket, own_client

        return Bucket(bucket, more, (s3 or own_client)(region))
    from engine.map_data.folders import Folder

    if more:
        raise DataFailed(f"{bucket}: a folder takes no {', '.join(more)}")
    return Folder(folder_path(bucket))


def folder_path(url: str) -> str:
    """The path in a `file:` URL. Raises DataFailed: it names another machine."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise DataFailed(f"{url}: expected file:///an/absolute/folder or file:a/relative/one, got a host")
    return unquote(parts.path) or "."
