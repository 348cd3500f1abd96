"""What a program gives to an engine, and where its executions are when it says little."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

import engine
from engine.arguments import opener_of


def store_of(**given: object) -> tuple[str, object]:
    """Which way the store is opened, and with what; nothing is opened."""
    arguments = {"url": None, "data_dir": None, **given}
    opener = opener_of(arguments["url"], arguments["data_dir"])  # type: ignore[arg-type]
    assert isinstance(opener, partial)
    return opener.func.__name__, opener.args[0]


def test_a_url_goes_before_the_environment_and_that_before_our_own_server(monkeypatch: pytest.MonkeyPatch):
    assert store_of() == ("_open_own_server", None)
    monkeypatch.setenv("DATABASE_URL", "postgresql://the/applications")
    assert store_of() == ("_open_own_server", None)
    monkeypatch.setenv("ASL_DATABASE_URL", "postgresql://the/environments")
    assert store_of() == ("_open_database", "postgresql://the/environments")
    assert store_of(url="postgres://the/callers") == ("_open_database", "postgres://the/callers")
    assert store_of(data_dir="here") == ("_open_own_server", "here")


@pytest.mark.parametrize(("given", "environment", "meant"), [(None, "1", True), (None, "", False), (False, "1", False)])
def test_a_pooler_is_named_by_the_caller_or_the_environment(given, environment, meant, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ASL_POOLER", environment)
    opener = opener_of("postgresql://host/name", None, pooler=given)
    assert isinstance(opener, partial)
    assert opener.keywords == {"pooler": meant}


def test_a_server_of_the_callers_has_no_directory_of_ours():
    with pytest.raises(ValueError, match="exclude one another"):
        engine.Engine("postgresql://host/name", data_dir=Path("here"))


def test_what_is_no_url_is_told_with_where_it_came_from(monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ValueError, match=r"url: expected .*postgresql://.* got 'mysql://host/name'"):
        engine.Engine("mysql://host/name")
    monkeypatch.setenv("ASL_DATABASE_URL", "mysql://host/name")
    with pytest.raises(ValueError, match="ASL_DATABASE_URL: expected"):
        engine.Engine()
