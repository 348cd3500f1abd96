"""`asl run` of HTTP Tasks: connections of the handlers file, in a shell that has never heard of AWS."""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.cli.command_line import asl, write_definition

if TYPE_CHECKING:
    from collections.abc import Iterator

FILE = '[connections.crm]\ntype = "api-key"\nname = "X-Key"\nvalue = "env:CRM_KEY"\n'
ARN = "arn:aws:events:us-east-1:123456789012:connection/crm/0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"


class Api(ThreadingHTTPServer):
    """Notes keys."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Requests)
        self.keys: list[str | None] = []


class Requests(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Api)
        self.server.keys.append(self.headers["X-Key"])
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def api() -> Iterator[Api]:
    server = Api()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.upper().endswith("_PROXY") or name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CRM_KEY", "hush")


def definition(api: Api) -> str:
    parameters = {
        "ApiEndpoint": f"http://127.0.0.1:{api.server_port}/v1",
        "Method": "GET",
        "InvocationConfig": {"ConnectionArn": ARN},
    }
    state = {"Type": "Task", "Resource": "arn:aws:states:::http:invoke", "Parameters": parameters, "End": True}
    return write_definition(Path("m.json"), {"A": state})


def test_a_connection_of_the_handlers_file_authorizes(api: Api) -> None:
    Path("asl.toml").write_text(FILE)
    result = asl("run", definition(api), "-t", "*=aws:?http=loopback", "--trace")
    assert result.exit_code == 0
    assert '"ResponseBody":[]' in result.stdout
    assert api.keys == ["hush"]
    assert "hush" not in result.stdout + result.stderr


def test_test_state_shows_the_request_and_hides_the_key(api: Api) -> None:
    Path("asl.toml").write_text(FILE)
    words = ("test-state", definition(api), "--state", "A", "-t", "*=aws:?http=loopback", "--inspection-level", "TRACE")
    result = asl(*words)
    assert '"statusCode":"200"' in result.stdout
    assert "hush" not in result.stdout + result.stderr
    assert "X-Key: hush" in asl(*words, "--reveal-secrets").stdout


def test_a_connection_that_means_nothing_is_told_with_its_place(api: Api) -> None:
    Path("asl.toml").write_text(FILE.replace("value", "val"))
    result = asl("run", definition(api), "--allow-aws")
    assert result.exit_code == 1
    assert "asl.toml, line 1: connections.crm: expected type, name, value, " in result.stderr
    assert api.keys == []
