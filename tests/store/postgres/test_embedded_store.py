"""The library over a server of its own: a program that names no database needs nothing set up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import engine
from engine import blocking
from tests.definitions import machine, task
from tests.store.postgres.embedded_process import installed, postmaster

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(not installed(), reason="no PostgreSQL server is installed")
def test_an_engine_without_a_database_keeps_executions_in_the_users_directory(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("XDG_DATA_HOME", str(home))
    with blocking.Engine({"work": lambda event: event + 1}) as worker:
        worker.deploy(machine(task()), "m")
        arn = worker.start_execution("m", 1).arn
        assert worker.execution(arn).result() == 2
    assert not list((home / "asl-engine" / "data").glob("postmaster.pid"))
    with blocking.Engine() as client:
        assert client.execution(arn).result() == 2


def test_several_engines_share_a_directory_and_the_last_one_stops_the_server(data_dir: Path):
    with blocking.Engine(data_dir=data_dir) as client:
        server = postmaster(data_dir)
        client.deploy(machine(task()), "m")
        execution = client.start_execution("m", 1)
        with blocking.Engine({"work": lambda event: event + 1}, data_dir=str(data_dir)):
            assert execution.result() == 2
        assert postmaster(data_dir) == server
        assert execution.describe().status == "SUCCEEDED"
    assert not (data_dir / "data" / "postmaster.pid").exists()


def test_a_directory_that_cannot_be_used_is_told_with_what_to_do(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(engine.EmbeddedPostgresError, match="ASL_DATABASE_URL"):
        blocking.Engine(data_dir=tmp_path / "file" / "asl").__enter__()


def test_tables_of_a_newer_engine_are_refused_and_the_server_is_left(data_dir: Path, monkeypatch: pytest.MonkeyPatch):
    with blocking.Engine(data_dir=data_dir):
        pass
    monkeypatch.setattr("engine.store.postgres.upgrade.SCHEMA_REVISION", "0000")
    with pytest.raises(engine.SchemaMismatch, match="newer"):
        blocking.Engine(data_dir=data_dir).__enter__()
    assert not (data_dir / "data" / "postmaster.pid").exists()
