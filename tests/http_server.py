"""An HTTP server on this machine that notes what it was asked, and answers as a test wants; with TLS if wanted."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import h11

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

_CHUNK = 65_536


@dataclass(frozen=True)
class Asked:
    """A request as it came: method, path with its query, headers in order with lower-case names, body."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """The values of a header."""
        return [value for known, value in self.headers if known == name.lower()]

    def header(self, name: str) -> str | None:
        """The first value of a header."""
        return next(iter(self.all(name)), None)


@dataclass
class Reply:
    """What the server answers; `status` None: it closes the connection instead."""

    body: bytes = b""
    status: int | None = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    reason: str = "OK"

    @classmethod
    def of(cls, value: Any, status: int = 200, reason: str = "OK", **headers: str) -> Reply:
        """A JSON document; the header `x_y` is `X-Y`."""
        given = [(name.replace("_", "-").title(), text) for name, text in headers.items()]
        return cls(json.dumps(value).encode(), status, [("Content-Type", "application/json"), *given], reason)

    @classmethod
    def text(cls, body: str, status: int = 200, reason: str = "OK", kind: str = "text/plain") -> Reply:
        """Text, or whatever `kind` says."""
        return cls(body.encode(), status, [("Content-Type", kind)], reason)


class HttpServer:
    """Attributes: `asked` in order; `connections` that were made; `gone`: clients that hung up before their answer."""

    def __init__(self, answer: Callable[[Asked], Awaitable[Reply]]) -> None:
        self.asked: list[Asked] = []
        self.connections = self.gone = 0
        self.url = ""
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        connection = h11.Connection(h11.SERVER)
        try:
            while await self._serve_one(connection, reader, writer):
                connection.start_next_cycle()
        except (ConnectionError, h11.RemoteProtocolError):
            pass
        finally:
            writer.close()

    async def _serve_one(
        self, connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> bool:
        request, body = None, b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                data = await reader.read(_CHUNK)
                if not data and request is None:
                    return False
                connection.receive_data(data)
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            else:
                return False
        assert request is not None
        headers = [(name.decode().lower(), value.decode("latin-1")) for name, value in request.headers]
        asked = Asked(request.method.decode(), request.target.decode(), headers, body)
        self.asked.append(asked)
        reply = await self._replied(asked, reader)
        if reply is None or reply.status is None:
            return False
        given = [*reply.headers, ("Content-Length", str(len(reply.body)))]
        head = h11.Response(status_code=reply.status, headers=given, reason=reply.reason.encode())
        content = b"" if asked.method == "HEAD" else reply.body
        parts = [connection.send(part) for part in (head, h11.Data(data=content), h11.EndOfMessage())]
        writer.write(b"".join(part for part in parts if part))
        await writer.drain()
        return connection.our_state is h11.DONE

    async def _replied(self, asked: Asked, reader: asyncio.StreamReader) -> Reply | None:
        """The reply; None: the client hung up before it."""
        answer = asyncio.ensure_future(self._answer(asked))
        hung_up = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((answer, hung_up), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            self.gone += 1
            return None
        finally:
            for waiting in (answer, hung_up):
                waiting.cancel()
            await asyncio.gather(answer, hung_up, return_exceptions=True)


@asynccontextmanager
async def http_server(
    answer: Callable[[Asked], Awaitable[Reply]] | Reply, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[HttpServer]:
    """Listens on 127.0.0.1 (as `localhost` with TLS); `answer` makes its replies, or is always the same one."""

    async def same(_asked: Asked) -> Reply:
        assert isinstance(answer, Reply)
        return answer

    one = HttpServer(same if isinstance(answer, Reply) else answer)
    serving: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.ensure_future(one.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=2_000, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    one.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    try:
        yield one
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
