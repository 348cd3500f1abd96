"""A tiny HTTP server in a thread, so that it answers for an event loop that does not turn: probes, and metrics.

    GET /healthz   200 while the process is fit to go on, else 503: to be restarted
    GET /readyz    200 while it can take work, else 503, saying why
    GET /metrics   Prometheus text

It is for the operator's own network: it has neither TLS nor passwords, and shows numbers and no data.
"""

from __future__ import annotations

import json
import socket
import threading
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

UNIX = "unix:"

_REQUEST_SECONDS = 5.0
"""A client that sends no request, or takes no answer, for so long is let go."""


class Page(NamedTuple):
    """An answer."""

    status: int
    content_type: str
    body: bytes


def verdict(key: str, reasons: Sequence[str], **more: Any) -> Page:
    """The page of a probe: `{"ready": false, "reasons": ["..."]}`; 503 when there are reasons against it."""
    document = {key: not reasons, "reasons": list(reasons), **more}
    return Page(503 if reasons else 200, "application/json", json.dumps(document).encode() + b"\n")


def parse_address(text: str) -> tuple[str, int] | str:
    """HOST:PORT, [IPv6]:PORT or :PORT (all addresses); `unix:PATH` stays as it is. Raises ValueError."""
    if text.startswith(UNIX) and len(text) > len(UNIX):
        return text
    host, colon, port = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not port.isdecimal() or int(port) > 65_535 or (":" in bare and bare == host):
        raise ValueError(f"expected HOST:PORT, as in 127.0.0.1:9100 or :9100, got {text!r}")
    return bare, int(port)


class HealthServer:
    """Serves pages by path; a context manager.

    Attributes:
        address: Where it listens: HOST:PORT, with the port that it got if 0 was asked for.
    """

    def __init__(self, address: str, pages: Mapping[str, Callable[[], Page]]) -> None:
        """Listens, and answers once it is entered.

        Args:
            address: As `parse_address`.
            pages: Called in threads of the server.

        Raises:
            ValueError: The address is none.
            OSError: It cannot be used.
        """
        where = parse_address(address)
        self._server = _Server(where, pages)
        if isinstance(where, str):
            self.address = where
        else:
            host, port = self._server.server_address[:2]
            shown = str(host)
            self.address = f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="asl health", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        if self.address.startswith(UNIX):
            Path(self.address.removeprefix(UNIX)).unlink(missing_ok=True)


class _Server(ThreadingMixIn, TCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, where: tuple[str, int] | str, pages: Mapping[str, Callable[[], Page]]) -> None:
        self.pages = pages
        if isinstance(where, str):
            self.address_family = socket.AF_UNIX
            path: Any = where.removeprefix(UNIX)  # as this family has its addresses
            _clear(path)
            super().__init__(path, _Request)
        else:
            self.address_family = socket.AF_INET6 if ":" in where[0] else socket.AF_INET
            super().__init__(where, _Request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


def _clear(path: str) -> None:
    """Removes the socket that a killed process left behind: its successor listens at the same path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(_REQUEST_SECONDS)
        try:
            client.connect(path)
        except ConnectionRefusedError:  # a socket that nobody listens at
            Path(path).unlink(missing_ok=True)
        except OSError:
            return  # nothing is there, or it is none of ours: binding tells


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "asl"
    sys_version = ""
    timeout = _REQUEST_SECONDS
    server: _Server

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        make = self.server.pages.get(self.path.partition("?")[0])
        page = self._not_found() if make is None else _made(make)
        self.send_response(page.status)
        self.send_header("Content-Type", page.content_type)
        self.send_header("Content-Length", str(len(page.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(page.body)

    def _not_found(self) -> Page:
        known = ", ".join(sorted(self.server.pages))
        return Page(404, "text/plain; charset=utf-8", f"there is {known}\n".encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: probes come every few seconds."""


def _made(make: Callable[[], Page]) -> Page:
    try:
        return make()
    except Exception as error:  # noqa: BLE001  the top of a request: whoever asks is told, and can ask again
        return Page(500, "text/plain; charset=utf-8", f"{error!r}\n".encode())


def fetch(address: str, path: str, *, seconds: float = _REQUEST_SECONDS) -> Page:
    """The page of a server that listens on a Unix socket. Raises OSError, http.client.HTTPException."""
    connection = HTTPConnection("localhost", timeout=seconds)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(seconds)
        client.connect(address.removeprefix(UNIX))
        connection.sock = client
        connection.request("GET", path)
        response = connection.getresponse()
        return Page(response.status, response.getheader("Content-Type", ""), response.read())
