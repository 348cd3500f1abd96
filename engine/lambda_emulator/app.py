"""Lambda's API as an ASGI application.

read the request -> which operation -> who asks -> its members -> the operation -> answer or error
"""

from __future__ import annotations

import random
import re
import time
import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from engine.http.counts import Counts
from engine.http.faults import Fault
from engine.http.requests import Gone, raw_path, read_request
from engine.lambda_emulator.calls import Call, Streamed, new_trace_id
from engine.lambda_emulator.errors import LambdaError, RequestEntityTooLargeException
from engine.lambda_emulator.faults import told_of
from engine.lambda_emulator.function_urls import ACTION, answer_url, place_of
from engine.lambda_emulator.operations.code import code_zip
from engine.lambda_emulator.rest_json import Answer, Routing, codecs, error_answer
from engine.lambda_emulator.routes import CALLED, ROUTES, operation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.http.access import Access
    from engine.http.requests import Receive, Received, Send
    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.rest_json import OperationCodec
    from engine.lambda_emulator.routes import Operation

REQUEST_BYTES_MAX = 70_167_211
"""Of a body: a package of 50 MB in base64, and the rest (lambda.md 4)."""

_READ_BYTES_MAX = 128 << 20
"""Requests that are too large are read to their end up to this size: a client that is still sending sees no answer."""

_API_DATE = re.compile(r"/20\d\d-\d\d-\d\d/")
_PACKAGE = re.compile(r"/lambda-code/([0-9a-f]{64})\.zip")
_OK = 200
_BODILESS = frozenset({204, 304})
"""Clients take what comes after their heads for the next response. Functions behind URLs do give bodies with them."""


def is_for_lambda(scope: Mapping[str, Any]) -> bool:
    """Whether a request is one of ours, where another API answers as well.

    The paths of Lambda's API begin with an API date; besides there are function URLs and packages to be fetched.
    """
    path = raw_path(scope)
    return _API_DATE.match(path) is not None or _PACKAGE.match(path) is not None or place_of(scope, path) is not None


class LambdaApi:
    """Answers for one emulator.

    Attributes:
        counts: What it counts.
    """

    def __init__(
        self,
        emulator: Emulator,
        *,
        access: Access,
        routes: Mapping[str, Operation] = ROUTES,
        counts: Counts | None = None,
    ) -> None:
        """`access` is one whose service is `lambda`."""
        self.counts = counts or Counts()
        self._emulator = emulator
        self._access = access
        self._routes = routes
        self._routing = Routing(list(codecs().values()))
        self._draw_bits = random.Random().getrandbits  # noqa: S311  request ids are no secret

    def stop_waiting(self) -> None:
        """Nothing here waits but for functions, and they are waited for."""

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """See ASGI; of its kinds of scope only `http` is served."""
        assert scope["type"] == "http", "uvicorn is told to have no lifespan and no WebSockets"
        self.counts.in_flight += 1
        begun = time.perf_counter()
        answer: Answer | Streamed
        request_id = str(uuid.UUID(int=self._draw_bits(128), version=4))
        name: list[str] = []
        try:
            answer, code = await self._answer(scope, receive, request_id, name), ""
        except Gone:
            return
        except (Fault, LambdaError) as error:
            answer, code = error_answer(error), error.code
        except Exception as error:  # noqa: BLE001  the top of a request: it is logged, and the next one is served
            failed = told_of(error, name[0] if name else None, request_id)
            answer, code = error_answer(failed), failed.code
        finally:
            self.counts.in_flight -= 1
        self.counts.answer(name[0] if name else None, answer.status, code, time.perf_counter() - begun)
        await _reply(answer, request_id, send)

    async def _answer(
        self, scope: Mapping[str, Any], receive: Receive, request_id: str, name: list[str]
    ) -> Answer | Streamed:
        """Raises LambdaError, Fault, Gone. The operation's name goes to `name` once it is known."""
        received = await read_request(scope, receive, bytes_max=_READ_BYTES_MAX)
        place = place_of(scope, received.path)
        if place is not None:
            name.append(ACTION)
            source_ip = scope["client"][0] if scope.get("client") else ""
            call = self._call(received, request_id)
            return await answer_url(self._emulator, self._access, place, received, call, source_ip)
        package = _PACKAGE.fullmatch(received.path)
        if package is not None and received.method == "GET":
            return Answer(_OK, ((b"Content-Type", b"application/zip"),), await code_zip(self._emulator, package[1]))
        codec, path = self._routing.find(received.method, received.path, received.query)
        name.append(codec.name)
        account_id = await self._access.account_of(received, codec.name)
        emulator = self._emulator if account_id is None else self._emulator.of(account_id)
        return await self._asked(emulator, codec, received, path, request_id)

    async def _asked(
        self, emulator: Emulator, codec: OperationCodec, received: Received, path: Mapping[str, str], request_id: str
    ) -> Answer | Streamed:
        """What an operation answers. Raises LambdaError, Fault."""
        function = operation(codec.name, self._routes)
        if len(received.body) > REQUEST_BYTES_MAX:
            raise RequestEntityTooLargeException(
                f"Request must be smaller than {REQUEST_BYTES_MAX} bytes for the {codec.name} operation"
            )
        arguments = codec.arguments(received, path)
        if codec.name not in CALLED:
            return codec.answer(await function(emulator, **arguments))
        answer: Answer | Streamed = await function(emulator, call=self._call(received, request_id), **arguments)
        return answer

    def _call(self, received: Received, request_id: str) -> Call:
        trace_id = received.headers.get("x-amzn-trace-id") or new_trace_id(self._emulator.clock.now(), self._draw_bits)
        return Call(request_id=request_id, trace_id=trace_id, content_type=received.headers.get("content-type") or None)


async def _reply(answer: Answer | Streamed, request_id: str, send: Send) -> None:
    headers = [*answer.headers, (b"x-amzn-RequestId", request_id.encode())]
    has_body = answer.status not in _BODILESS
    if isinstance(answer, Streamed):
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        async with aclosing(answer.body) as parts:
            async for part in parts:
                if not has_body:
                    break
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    if has_body:
        headers.append((b"Content-Length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body if has_body else b""})
