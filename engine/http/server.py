"""An API on a socket: uvicorn as a task of ours, which neither takes signals nor writes logs of its own."""

from __future__ import annotations

import asyncio
import socket
import ssl
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Protocol

import anyio
import uvicorn

from engine.http.connection import Connection

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from anyio.abc import TaskStatus

    from engine.http.requests import Receive, Send

_BACKLOG = 2_048
_KEEP_ALIVE_SECONDS = 65
"""Longer than clients keep idle connections, and than a long poll: the client closes first, and no request is lost."""

_CUT_SECONDS = 1.0
"""How long requests that were cut off may take to end."""


class InvalidTls(ValueError):
    """Certificate and key cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """Files in PEM: the certificate with its chain, and its key."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """TLS 1.2 or later. Raises InvalidTls."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ValueError) as error:  # an SSLError is an OSError
            raise InvalidTls(f"{self.certificate}, {self.key}: {error}") from error
        return context


def _no_password() -> str:
    raise ValueError("the key is encrypted; expected one without a password")


def is_loopback(host: str) -> bool:
    """Whether what listens there can be reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Application(Protocol):
    """What is served: ASGI, of whose kinds of scope only `http` comes."""

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answers one request."""

    def stop_waiting(self) -> None:
        """The server stops: requests that wait for something to come answer at once that there is nothing."""


class ApiServer:
    """An application that listens.

    Attributes:
        host: Where, as it was given.
        url: Where, with the port that it got if 0 was asked for.
    """

    def __init__(self, host: str, port: int, tls: Tls | None = None) -> None:
        """Listens at once, so that an address that cannot be used is told at once; `run` answers.

        Args:
            host: A name or an address; empty: all addresses.
            port: 0: a free one.

        Raises:
            OSError: The address cannot be used.
            InvalidTls: Nor certificate and key.
        """
        self._context = None if tls is None else tls.context()
        self.host = host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        # Connections inherit it. asyncio sets it only on sockets that name their protocol, which this one does not; and
        # an answer is two writes, of which the second would wait 40 ms for the client's delayed acknowledgement.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        shown = f"[{host}]" if ":" in host else host or socket.gethostname()
        self.url = f"{'http' if tls is None else 'https'}://{shown}:{self._socket.getsockname()[1]}"
        self._running: tuple[Application, _Uvicorn] | None = None
        self._ended = anyio.Event()

    def close(self) -> None:
        """Listens no more; for a server that may never have answered."""
        self._socket.close()

    async def run(self, api: Application, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Answers until `stop`; started once it does."""
        context = self._context
        config = uvicorn.Config(
            api,
            loop="none",
            http=Connection,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            ssl_context_factory=None if context is None else lambda _config, _default: context,
        )
        server = _Uvicorn(config, task_status)
        self._running = api, server
        try:
            await server.serve(sockets=[self._socket])
        finally:
            for task in server.server_state.tasks:
                task.cancel()
            self.close()
            self._ended.set()

    async def stop(self, seconds: float) -> bool:
        """Takes no more connections, ends long polls, and waits for the other requests.

        Args:
            seconds: How long they are waited for; then they are cut off.

        Returns:
            Whether none was cut off.
        """
        if self._running is None:
            self.close()
            return True
        api, server = self._running
        api.stop_waiting()
        server.config.timeout_graceful_shutdown = seconds  # type: ignore[assignment]  # it goes to asyncio.wait_for
        server.should_exit = True
        await self._ended.wait()
        has_served_all = not server.server_state.tasks  # those that were cut off are still on their way out
        if not has_served_all:
            await asyncio.wait(server.server_state.tasks, timeout=_CUT_SECONDS)
        return has_served_all


class _Uvicorn(uvicorn.Server):
    """uvicorn without its hands on the process's signals; says when it listens."""

    def __init__(self, config: uvicorn.Config, task_status: TaskStatus[None]) -> None:
        super().__init__(config)
        self._task_status = task_status

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn."""
        await super().startup(sockets)
        self._task_status.started()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Whoever runs the process has them."""
        yield
