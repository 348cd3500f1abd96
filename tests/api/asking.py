"""Asking an `Api` without a socket."""

from __future__ import annotations

import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio

from engine.api.app import Api
from engine.http.access import Access
from tests.waiting import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping


class Caller:
    """Stands for the service, as far as the wire looks at it."""

    def __init__(self, account_id: str = "000000000000") -> None:
        self.account_id = account_id

    def of(self, account_id: str) -> Caller:
        return Caller(account_id)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any

    @property
    def code(self) -> str:
        return str(self.body["__type"].rpartition("#")[2])


def api(*functions: Any, access: Access | None = None, **more: Any) -> Api:
    """An API of these functions; each is a pair (AWS's name, function)."""
    return Api(Caller(), access=access or Access(now=time.time), routes=dict(functions), **more)  # type: ignore[arg-type]


class Request:
    """One request to an application; `gone` makes its client go away."""

    def __init__(
        self,
        app: Api,
        operation: str | None,
        body: Any = None,
        *,
        method: str = "POST",
        path: str = "/",
        headers: Mapping[str, str] | None = None,
        pieces: list[bytes] | None = None,
    ) -> None:
        given = {"host": "127.0.0.1", **(headers or {})}
        if operation is not None:
            given["x-amz-target"] = f"AWSStepFunctions.{operation}"
        text = body if isinstance(body, bytes) else json.dumps({} if body is None else body).encode()
        self._pieces = [text] if pieces is None else list(pieces)
        self._app = app
        self._scope = {
            "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }  # fmt: skip
        self.gone = anyio.Event()
        self.sent: list[Any] = []

    async def _receive(self) -> dict[str, Any]:
        if self._pieces:
            piece = self._pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(self._pieces)}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.sent.append(message)

    async def run(self) -> None:
        await self._app(self._scope, self._receive, self._send)

    @property
    def answer(self) -> Answer:
        start, body = self.sent
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        assert headers["content-length"] == str(len(body["body"]))
        return Answer(start["status"], headers, json.loads(body["body"]))


async def ask(app: Api, operation: str | None, body: Any = None, **more: Any) -> Answer:
    request = Request(app, operation, body, **more)
    with anyio.fail_after(DEADLINE_SECONDS):
        await request.run()
    return request.answer


@asynccontextmanager
async def asked(app: Api, operation: str, body: Any = None) -> AsyncIterator[Request]:
    """A request that is being answered; inside it may still be."""
    request = Request(app, operation, body)
    with anyio.fail_after(DEADLINE_SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(request.run)
            yield request
