"""Connections that are configured here, and what is shown of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from engine import Handlers, InvalidHandler
from engine.integrations.connections import NoSecret, Secret, is_permitted, names_of, read_connection

if TYPE_CHECKING:
    from pathlib import Path

ARN = "arn:aws:events:us-east-1:123456789012:connection/crm/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"
OAUTH = {"type": "oauth-client-credentials", "token_url": "https://t/x", "client_id": "i", "client_secret": "s"}


def test_a_secret_is_read_where_it_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CRM_KEY", "from the environment")
    (tmp_path / "key").write_text("from a file\n")
    assert Secret("env:CRM_KEY").read() == "from the environment"
    assert Secret(f"file:{tmp_path / 'key'}").read() == "from a file"
    assert Secret("text:itself").read() == "text:itself"
    assert Secret("env:CRM_KEY", is_literal=True).read() == "env:CRM_KEY"


def test_a_secret_that_cannot_be_read_tells_where_it_should_be(tmp_path: Path) -> None:
    with pytest.raises(NoSecret, match="the environment variable NOT_THERE is not set"):
        Secret("env:NOT_THERE").read()
    with pytest.raises(NoSecret, match="No such file or directory"):
        Secret(f"file:{tmp_path / 'key'}").read()
    (tmp_path / "key").write_bytes(b"\xff")
    with pytest.raises(NoSecret, match="is not UTF-8 text"):
        Secret(f"file:{tmp_path / 'key'}").read()


def test_what_is_shown_of_a_connection_has_no_secret() -> None:
    connection = read_connection(
        "crm", {**OAUTH, "client_secret": "hush", "headers": {"X": "hush"}, "token_body": {"audience": "hush"}}
    )
    assert "hush" not in repr(connection)
    assert "https://t/x" in repr(connection)
    assert repr(Secret("env:KEY")) == "Secret('env:KEY')"
    assert len(list(connection.secrets())) == 4


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("hush", "expected a table"),
        ({"type": "hush"}, "type: expected basic, api-key or oauth-client-credentials"),
        ({"type": "basic", "username": "u"}, "expected username and password; password is missing"),
        ({"type": "basic", "username": "u", "password": 7}, "password: expected a text"),
        ({"type": "api-key", "name": "n", "value": "hush", "key": "hush"}, "got 'key'"),
        ({"type": "api-key", "name": "n", "value": "hush", "headers": ["hush"]}, "headers: expected a table"),
        ({"type": "api-key", "name": "n", "value": "hush", "query": {"a": 1}}, "query.a: expected a text"),
        ({"type": "api-key", "name": "n", "value": "hush", "ca_file": "/not/there"}, "ca_file: no such file"),
        ({**OAUTH, "token_url": "http://hush@elsewhere/"}, "token_url: expected a URL of https"),
        ({"type": "api-key", "name": "n", "value": "hush", "endpoints": "https://"}, "endpoints: expected a list"),
        ({**OAUTH, "method": "HEAD"}, "method: expected POST, GET or PUT, got 'HEAD'"),
    ],
)
def test_a_connection_that_means_nothing_is_refused_by_name(table: Any, reason: str) -> None:
    with pytest.raises(InvalidHandler) as caught:
        Handlers(connections={"crm": table})
    assert str(caught.value).startswith("connection 'crm': ")
    assert reason in str(caught.value)
    if reason[:4] != "type":
        assert "hush" not in str(caught.value)


def test_rules_that_are_put_together_keep_their_connections() -> None:
    one = Handlers(connections={"crm": {"type": "basic", "username": "one", "password": ""}})
    two = Handlers(connections={name: {"type": "basic", "username": "two", "password": ""} for name in ("crm", "x")})
    one.include(two)
    names = {name: held.authorization.username.read() for name, held in one.connections.items()}
    assert names == {"crm": "one", "x": "two"}
    assert one.wrapped(lambda handler: handler).connections == Handlers(one).connections == one.connections


def test_a_task_may_name_a_connection_by_arn_or_by_name() -> None:
    assert list(names_of(ARN)) == [ARN, ARN.rpartition("/")[0], "crm"]
    assert list(names_of("crm")) == ["crm"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://api.test/x", True),
        ("http://api.test/x", False),
        ("http://127.0.0.1:8080/x", True),
        ("http://localhost/x", True),
        ("https://me:secret@api.test/", False),
        ("https:///x", False),
        ("https://api.test:x/", False),
        ("ftp://api.test/", False),
        ("api.test/x", False),
        ("", False),
    ],
)
def test_secrets_go_out_encrypted_or_not_at_all(url: str, expected: bool) -> None:
    assert is_permitted(url) is expected
