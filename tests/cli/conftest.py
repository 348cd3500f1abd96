"""Databases for the commands that operate a fleet."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING

import psycopg
import pytest

from engine.store.postgres.upgrade import upgrade
from tests.cli.fleet import Fleet
from tests.store.postgres.cluster import running_cluster
from tests.store.postgres.embedded_process import home_of_servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.store.postgres.cluster import Cluster

_TEMPLATE = "asl_cli_template"
_numbers = count(1)


@pytest.fixture(autouse=True)
def _no_database_of_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test may touch the executions of whoever runs the tests."""
    monkeypatch.delenv("ASL_DATABASE_URL", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "nobody"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with running_cluster() as running:
        with psycopg.connect(running.url(), autocommit=True) as admin:
            admin.execute(f"create database {_TEMPLATE}")
        upgrade(running.url(_TEMPLATE))
        yield running


@pytest.fixture(scope="session")
def new_database(cluster: Cluster) -> Callable[[], str]:
    """Makes a database with our tables and nothing in them, which goes with the cluster; its URL."""

    def make() -> str:
        name = f"asl_cli_{next(_numbers)}"
        with psycopg.connect(cluster.url(), autocommit=True) as admin:
            admin.execute(f"create database {name} template {_TEMPLATE}")
        return cluster.url(name)

    return make


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    """Of a database of one test."""
    return new_database()


@pytest.fixture
def fleet(url: str, tmp_path: Path) -> Fleet:
    """Commands over a database of their own."""
    return Fleet(tmp_path, "--db", url)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory that is not there yet."""
    with home_of_servers() as directory:
        yield directory / "asl"
