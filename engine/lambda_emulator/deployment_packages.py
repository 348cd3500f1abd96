"""Deployment packages: whether a zip is one that Lambda would take, and its files in a directory.

A zip is somebody else's: nothing in it is believed. No file leaves the directory, by its name or through a link; sizes
are taken from the zip's directory and counted again while reading.
"""

from __future__ import annotations

import base64
import hashlib
import io
import lzma
import os
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from engine.lambda_emulator.store import Digest

_CHUNK_BYTES = 1 << 20
_LINK_BYTES_MAX = 4_096
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}
_UNIX = 3
_ENCRYPTED = 0x1
# What zipfile and its codecs raise for damaged data.
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, NotImplementedError, ValueError)


class BadPackage(Exception):
    """Not a zip, damaged, or one that reaches beyond its directory; the text says which file and why."""


class PackageTooLarge(Exception):
    """Its files have more bytes than they may."""


class EmptyPackage(Exception):
    """No file is in it."""


def digest_of(data: bytes) -> Digest:
    """The name of a package."""
    return Digest(hashlib.sha256(data).hexdigest())


def shown_digest(digest: Digest) -> str:
    """As AWS shows it, in CodeSha256: base64."""
    return base64.b64encode(bytes.fromhex(digest)).decode()


def unpack(data: bytes, directory: Path, *, bytes_max: int) -> int:
    """Writes the files of a zip below an empty directory.

    Files keep their permissions and can be read by all, as Lambda wants it of them. Links are kept where they lead to
    something within the directory.

    Returns:
        Bytes of the files.

    Raises:
        BadPackage, EmptyPackage, PackageTooLarge: Files may have been written before it was found out.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            if not entries:
                raise EmptyPackage
            if sum(entry.file_size for entry in entries) > bytes_max:
                raise PackageTooLarge
            return _write(archive, entries, directory, bytes_max)
    except _DAMAGE as error:
        raise BadPackage(str(error) or type(error).__name__) from error


def _write(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], directory: Path, bytes_max: int) -> int:
    links: list[tuple[Path, str]] = []
    written = 0
    for entry in entries:
        target = directory / _safe(entry)
        mode = entry.external_attr >> 16 if entry.create_system == _UNIX else 0
        if entry.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISLNK(mode):
            if entry.file_size > _LINK_BYTES_MAX:
                raise BadPackage(f"{entry.filename}: a link of {entry.file_size} bytes")
            links.append((target, archive.read(entry).decode()))
        elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
            written += _extract(archive, entry, target, bytes_max - written)
            # Zips of other systems do not say what can be run.
            target.chmod((mode & 0o755) | 0o444 if mode else 0o755)
        else:
            raise BadPackage(f"{entry.filename}: neither a file nor a directory nor a link")
    _link(links, directory)
    return written


def _safe(entry: zipfile.ZipInfo) -> PurePosixPath:
    """Where the file is to be, below the directory."""
    name = entry.filename
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or not path.parts:
        raise BadPackage(f"{name!r}: not a path below the package")
    if entry.flag_bits & _ENCRYPTED:
        raise BadPackage(f"{name!r}: encrypted")
    if entry.compress_type not in _METHODS:
        raise BadPackage(f"{name!r}: compressed in a way that is not known")
    return path


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, bytes_max: int) -> int:
    written = 0
    with archive.open(entry) as source, target.open("wb") as sink:
        while chunk := source.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > bytes_max:
                raise PackageTooLarge
            sink.write(chunk)
    return written


def _link(links: list[tuple[Path, str]], directory: Path) -> None:
    """Links are made when no file is to be written any more, and looked at when all of them are there."""
    for path, target in links:
        if path.exists() or path.is_symlink():
            raise BadPackage(f"{path.name}: twice in the package")
        path.symlink_to(target)
    root = os.path.realpath(directory)
    for path, target in links:
        if os.path.commonpath((root, os.path.realpath(path))) != root or target.startswith("/"):
            raise BadPackage(f"{path.relative_to(directory)}: a link that leads out of the package")
