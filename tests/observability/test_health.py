"""The probes' server: what it answers, and where it listens."""

from __future__ import annotations

import http.client
import json
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from engine.observability.health import HealthServer, Page, fetch, parse_address, verdict
from tests.waiting import DEADLINE_SECONDS

if TYPE_CHECKING:
    from pathlib import Path


def ask(server: HealthServer, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(server.address, timeout=DEADLINE_SECONDS)
    connection.request(method, path)
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def broken() -> Page:
    raise ValueError("planted")


@pytest.fixture
def server():
    pages = {
        "/good": lambda: verdict("ready", []),
        "/bad": lambda: verdict("ready", ["it rains"], pid=7),
        "/broken": broken,
    }
    with HealthServer("127.0.0.1:0", pages) as running:
        yield running


def test_a_probe_is_answered_with_a_status_and_the_reasons(server: HealthServer):
    assert ask(server, "/good") == (200, b'{"ready": true, "reasons": []}\n')
    status, body = ask(server, "/bad?verbose=1")
    assert (status, json.loads(body)) == (503, {"ready": False, "reasons": ["it rains"], "pid": 7})


def test_a_path_that_is_not_there_is_answered_with_those_that_are(server: HealthServer):
    assert ask(server, "/") == (404, b"there is /bad, /broken, /good\n")


def test_a_page_that_cannot_be_made_breaks_its_own_answer_alone(server: HealthServer):
    assert ask(server, "/broken") == (500, b"ValueError('planted')\n")
    assert ask(server, "/good", "HEAD") == (200, b"")


def test_a_client_that_says_nothing_holds_nobody_up(server: HealthServer):
    host, _, port = server.address.rpartition(":")
    with socket.create_connection((host, int(port))):
        assert ask(server, "/good")[0] == 200


def test_a_port_that_is_taken_is_an_error_at_once(server: HealthServer):
    with pytest.raises(OSError, match="in use"):
        HealthServer(server.address, {})


def test_a_server_on_a_unix_socket_leaves_none_behind(tmp_path: Path):
    path = tmp_path / "socket"
    with HealthServer(f"unix:{path}", {"/": lambda: Page(200, "text/plain", b"here")}) as running:
        assert stat.S_ISSOCK(path.stat().st_mode)
        assert fetch(running.address, "/") == Page(200, "text/plain", b"here")
    assert not path.exists()
    with pytest.raises(OSError, match="No such file"):
        fetch(f"unix:{path}", "/")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9100", ("127.0.0.1", 9100)),
        (":9100", ("", 9100)),
        ("[::1]:9100", ("::1", 9100)),
        ("unix:/run/asl", "unix:/run/asl"),
    ],
)
def test_an_address_is_a_host_and_a_port(text: str, address: object):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "9100", "host", "host:", "host:http", "host:65536", "::1:9100", "unix:"])
def test_anything_else_is_no_address(text: str):
    with pytest.raises(ValueError, match="expected HOST:PORT"):
        parse_address(text)
