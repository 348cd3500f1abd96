"""An endpoint that answers as the Lambda API does, over real HTTP, and notes what it was asked."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

_TURNS = 5
"""Of the loop, until a connection that was accepted when the server closed is one that can be closed."""

REQUEST_ID = "a3b8c1d2-0000-4000-8000-000000000001"


@dataclass(frozen=True)
class Asked:
    """A request as it came: method, path with its query, headers with lower-case names, body."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """What the endpoint answers. `status` None: it closes the connection instead."""

    body: bytes = b"null"
    status: int | None = 200
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any) -> Reply:
        """A function's result."""
        return cls(json.dumps(value, separators=(",", ":")).encode(), headers={"X-Amz-Executed-Version": "$LATEST"})

    @classmethod
    def function_error(cls, payload: str) -> Reply:
        """A function that failed."""
        return cls(payload.encode(), headers={"X-Amz-Executed-Version": "$LATEST", "X-Amz-Function-Error": "Unhandled"})

    @classmethod
    def refusal(cls, status: int, code: str, message: str | None) -> Reply:
        """An error of the API."""
        body = {"Type": "User"} | ({} if message is None else {"Message": message})
        return cls(json.dumps(body).encode(), status, {"x-amzn-ErrorType": code})


class StubLambda:
    """Attributes: `asked` in order; `inside` and `inside_max`: requests that are being answered."""

    def __init__(self, answer: Callable[[Asked], Awaitable[Reply]]) -> None:
        self.asked: list[Asked] = []
        self.inside = self.inside_max = self.connections = 0
        self.url = ""
        self._writers: set[asyncio.StreamWriter] = set()
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while await self._serve_one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def hang_up(self) -> None:
        """Closes all connections from this side."""
        for writer in list(self._writers):
            writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, path, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        asked = Asked(method, path, headers, await reader.readexactly(int(headers.get("content-length", 0))))
        self.asked.append(asked)
        self.inside += 1
        self.inside_max = max(self.inside_max, self.inside)
        try:
            reply = await self._answered(asked, reader)
        finally:
            self.inside -= 1
        if reply.status is None:
            return False
        given = {
            "Date": "Mon, 23 Nov 2026 14:00:00 GMT",
            "Content-Type": "application/json",
            "Content-Length": str(len(reply.body)),
            "Connection": "keep-alive",
            "x-amzn-RequestId": REQUEST_ID,
            **reply.headers,
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
        writer.write(f"HTTP/1.1 {reply.status} Whatever\r\n{lines}\r\n".encode() + reply.body)
        await writer.drain()
        return True

    async def _answered(self, asked: Asked, reader: asyncio.StreamReader) -> Reply:
        """The reply; none when the client hangs up before it."""
        answer = asyncio.ensure_future(self._answer(asked))
        hung_up = asyncio.ensure_future(reader.read(1))
        try:
            await asyncio.wait((answer, hung_up), return_when=asyncio.FIRST_COMPLETED)
            return answer.result() if answer.done() else Reply(status=None)
        finally:
            for waiting in (answer, hung_up):
                waiting.cancel()
            await asyncio.gather(answer, hung_up, return_exceptions=True)


@asynccontextmanager
async def stub_lambda(
    answer: Callable[[Asked], Awaitable[Reply]] | Reply, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[StubLambda]:
    """An endpoint that listens; `answer` makes its replies, or is always the same one."""

    async def same(_asked: Asked) -> Reply:
        assert isinstance(answer, Reply)
        return answer

    stub = StubLambda(same if isinstance(answer, Reply) else answer)
    serving: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.ensure_future(stub.serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, backlog=2_000, ssl=tls)
    host, port = server.sockets[0].getsockname()
    stub.url = f"http{'s' if tls else ''}://{host}:{port}"
    try:
        yield stub
    finally:
        server.close()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        for one in serving:
            one.cancel()
        await asyncio.gather(*serving, return_exceptions=True)
