"""Directories for embedded servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.store.postgres.embedded import EmbeddedPostgres, stop
from tests.store.postgres.embedded_process import home_of_servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home() -> Iterator[Path]:
    """See `home_of_servers`."""
    with home_of_servers() as directory:
        yield directory


@pytest.fixture
def new_dir(home: Path) -> Path:
    """A data directory that is not there yet."""
    return home / "asl"


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data directory of the tests of a module that leave it as it was."""
    with home_of_servers() as directory:
        EmbeddedPostgres(directory / "asl").start().close()
        yield directory / "asl"


@pytest.fixture
def data_dir(made_once: Path) -> Iterator[Path]:
    """A data directory with a server that does not run."""
    yield made_once
    stop(made_once, force=True)
