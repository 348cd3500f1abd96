"""Migrations: from nothing, twice, at once, from an installed package; and schemas that are refused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from engine.store.postgres.store import PostgresStore
from engine.store.postgres.tables import metadata
from engine.store.postgres.upgrade import SCHEMA_REVISION, SchemaMismatch, status, upgrade
from engine.store.protocol import StoreUnavailable
from tests.store.runs import at_once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.store.postgres.cluster import Cluster

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[str]:
    with psycopg.connect(cluster.url(), autocommit=True) as admin:
        admin.execute("create database empty")
        yield cluster.url("empty")
        admin.execute("drop database empty with (force)")


def test_an_empty_database_is_refused_until_it_is_upgraded(empty: str):
    assert (status(empty).state, status(empty).revision) == ("absent", None)
    with pytest.raises(SchemaMismatch, match="asl db upgrade"):
        PostgresStore(empty)
    assert upgrade(empty).state == "absent"
    assert status(empty).state == "current"
    PostgresStore(empty).close()
    assert upgrade(empty).state == "current"


def test_upgrades_at_once_go_one_after_the_other(empty: str):
    at_once(lambda: upgrade(empty), 4)
    assert status(empty).state == "current"


@pytest.mark.parametrize(
    ("revision", "state", "advice"), [("0000", "outdated", "asl db upgrade"), ("9999", "newer", "upgrade this engine")]
)
def test_tables_of_another_engine_are_refused_with_what_to_do(empty: str, revision: str, state: str, advice: str):
    upgrade(empty)
    with psycopg.connect(empty, autocommit=True) as admin:
        admin.execute("update asl.alembic_version set version_num = %s", (revision,))
    assert status(empty).state == state
    with pytest.raises(SchemaMismatch, match=advice):
        PostgresStore(empty)
    if state == "newer":
        with pytest.raises(SchemaMismatch, match=advice):
            upgrade(empty)


def test_the_migrations_make_the_tables_that_are_described(url: str):
    def is_ours(name: str | None, kind: str, _: Any) -> bool:
        if kind == "table":
            return re.search(r"_([0-9]{8}|default)$", name or "") is None  # partitions are as their table is
        return name == "asl" if kind == "schema" else True

    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url))
    with engine.connect() as connection:
        options = {
            "include_schemas": True,
            "include_name": is_ours,
            "version_table_schema": "asl",
            "compare_type": True,
        }
        context = MigrationContext.configure(connection, opts=options)
        assert context.get_current_revision() == SCHEMA_REVISION
        assert compare_metadata(context, metadata) == []
        for table in metadata.sorted_tables:
            found = connection.exec_driver_sql(
                "select reloptions from pg_class where oid = %s::regclass", (f"asl.{table.name}",)
            ).scalar()
            given = table.dialect_options["postgresql"]["with"] or {}
            assert sorted(found or ()) == sorted(f"{key}={value}" for key, value in given.items()), table.name
    engine.dispose()


def test_an_unreachable_server_is_said_to_be_down(cluster: Cluster):
    nowhere = cluster.url().replace(str(cluster.folder), "/nonexistent")
    for ask in (status, upgrade, PostgresStore):
        with pytest.raises(StoreUnavailable):
            ask(nowhere)


def test_migrations_run_from_an_installed_wheel(empty: str, tmp_path: Path):
    pytest.importorskip("hatchling")
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    built = subprocess.run(
        [sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    installed = tmp_path / "installed"
    with zipfile.ZipFile(tmp_path / built.stdout.split()[-1]) as wheel:
        wheel.extractall(installed)
    use = (
        "import sys, engine; from engine.store.postgres.upgrade import upgrade; "
        "upgrade(sys.argv[1]); print(engine.__file__)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", use, empty],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(installed)},
        check=True,
        capture_output=True,
        text=True,
    )
    assert ran.stdout.startswith(str(installed))
    assert status(empty).state == "current"
