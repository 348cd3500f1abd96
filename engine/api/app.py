"""The API as an ASGI application: `POST /` with `X-Amz-Target: AWSStepFunctions.<Operation>` (api.md 1).

    read the request -> which operation -> who asks -> not too often -> members -> the operation -> answer or error

It has one door, so it is the bare callable that ASGI asks for.
"""

from __future__ import annotations

import random
import time
import traceback
import uuid
from typing import TYPE_CHECKING, Any

import anyio
import structlog

from engine.api import faults
from engine.api.access import Received
from engine.api.aws_json import CONTENT_TYPE, TARGET_PREFIX, codecs, error_body
from engine.api.counts import Counts
from engine.api.faults import Fault
from engine.api.routes import LONG_POLLS, ROUTES, TRACED
from engine.errors import ApiError
from engine.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping

    from engine.api.access import Access
    from engine.api.aws_json import OperationCodec
    from engine.api.routes import Operation
    from engine.api.throttling import Throttle
    from engine.operations.service import Service

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

REQUEST_BYTES_MAX = 1_048_576
"""AWS: of a whole request, headers included (api.md 1)."""

_BODY_SECONDS = 30
_TRACE_HEADER_MAX = 256
_OK = 200
_BAD_REQUEST = 400


class _Gone(Exception):
    """The client went away before its request was there."""


class Api:
    """Answers for one service.

    Attributes:
        counts: What it counts.
        draw_bits: Where request ids come from.
    """

    def __init__(
        self,
        service: Service,
        *,
        access: Access,
        throttle: Throttle | None = None,
        routes: Mapping[str, Operation] = ROUTES,
        request_bytes_max: int = REQUEST_BYTES_MAX,
        counts: Counts | None = None,
    ) -> None:
        """`throttle`: None: nobody asks too often."""
        self.counts = counts or Counts()
        self._service = service
        self._access = access
        self._throttle = throttle
        self._routes = routes
        self._request_bytes_max = request_bytes_max
        self._codecs = codecs()
        # Request ids are no secret. The system's chance lets go of the interpreter lock, and getting that back among
        # threads that ask the database took 0.3 ms of each request.
        self.draw_bits = random.Random().getrandbits  # noqa: S311
        self._stopping = anyio.Event()
        self._log = structlog.get_logger()

    def stop_waiting(self) -> None:
        """Long polls, those that come later too, answer at once that there is nothing."""
        self._stopping.set()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """See ASGI; of its kinds of scope only `http` is served."""
        assert scope["type"] == "http", "uvicorn is told to have no lifespan and no WebSockets"
        self.counts.in_flight += 1
        try:
            await _Exchange(self, scope, receive, send).run()
        except _Gone:
            pass
        finally:
            self.counts.in_flight -= 1

    # ── what an exchange asks of it ─────────────────────────────────────────────────────────────────────────────────

    def operation(self, received: Received) -> tuple[OperationCodec, Operation]:
        """What the request names. Raises Fault."""
        if received.method != "POST" or received.path != "/":
            raise faults.not_a_post(f"{received.method} {received.path}")
        target = received.headers.get("x-amz-target", "")
        name = target.removeprefix(TARGET_PREFIX)
        if not target.startswith(TARGET_PREFIX) or name not in self._routes:
            raise faults.unknown_operation()
        return self._codecs[name], self._routes[name]

    async def service_for(self, received: Received, action: str) -> Service:
        """The service as the caller sees it. Raises Fault: it may not, or not now."""
        account_id = await self._access.account_of(received, action)
        service = self._service if account_id is None else self._service.of(account_id)
        if self._throttle is not None:
            self._throttle.take(service.account_id, action)
        return service

    async def received(self, scope: Mapping[str, Any], receive: Receive) -> Received:
        """The whole request. Raises Fault, _Gone."""
        headers: dict[str, str] = {}
        size = 0
        for raw_name, raw_value in scope["headers"]:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            headers[name] = f"{headers[name]},{value}" if name in headers else value
            size += len(raw_name) + len(raw_value)
        length = headers.get("content-length", "0")
        if size + (int(length) if length.isdecimal() else 0) > self._request_bytes_max:
            raise faults.too_large(self._request_bytes_max)
        path = scope.get("raw_path") or scope["path"].encode()
        return Received(
            method=scope["method"],
            path=path.partition(b"?")[0].decode("latin-1"),
            query=scope["query_string"].decode("latin-1"),
            headers=headers,
            body=await self._body(receive, self._request_bytes_max - size),
        )

    async def _body(self, receive: Receive, bytes_max: int) -> bytes:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        body: bytes = message.get("body", b"")
        if message.get("more_body", False):
            body = await self._rest(receive, body, bytes_max)
        if len(body) > bytes_max:
            raise faults.too_large(self._request_bytes_max)
        return body

    async def _rest(self, receive: Receive, begun: bytes, bytes_max: int) -> bytes:
        parts, size, has_more = [begun], len(begun), True
        with anyio.move_on_after(_BODY_SECONDS):
            while has_more and size <= bytes_max:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Gone
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                has_more = message.get("more_body", False)
            return b"".join(parts)
        raise faults.too_slow(_BODY_SECONDS)

    async def waited(self, answer: Awaitable[Mapping[str, Any] | None], receive: Receive) -> Mapping[str, Any] | None:
        """The answer of a long poll; none when its client goes away or the server stops meanwhile.

        Cancelling it loses nothing: what it was about to be given while it was cancelled, it still gives.
        """
        outcome: Mapping[str, Any] | None = None
        error: ApiError | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_when, _gone, receive, group.cancel_scope)
            group.start_soon(_cancel_when, self._stopping.wait, None, group.cancel_scope)
            try:
                outcome = await answer
            except ApiError as refused:
                error = refused  # raised in here it would come out in a group
            group.cancel_scope.cancel()
        if error is not None:
            raise error
        return outcome

    def failed(self, error: Exception, operation: str | None, request_id: str) -> Fault:
        """Logs what is no fault of the caller; what the caller is told."""
        if isinstance(error, StoreUnavailable):
            self._log.warning("request not served", operation=operation, request_id=request_id, error=str(error))
            return faults.unavailable()
        # As text: what renders an exception may show the frames' variables, and with them what authorizes the request.
        trace = "".join(traceback.format_exception(error))
        self._log.error("request failed", operation=operation, request_id=request_id, exception=trace)
        return faults.internal_failure()


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _cancel_when(
    happens: Callable[..., Awaitable[None]], receive: Receive | None, scope: anyio.CancelScope
) -> None:
    await (happens() if receive is None else happens(receive))
    scope.cancel()


class _Exchange:
    """One request and its answer."""

    def __init__(self, api: Api, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        self._api = api
        self._scope = scope
        self._receive = receive
        self._send = send
        self._request_id = str(uuid.UUID(int=api.draw_bits(128), version=4))
        self._operation: str | None = None

    async def run(self) -> None:
        """Raises _Gone."""
        begun = time.perf_counter()
        status, code = _OK, ""
        headers: tuple[tuple[bytes, bytes], ...] = ()
        try:
            body = await self._answer()
        except Fault as fault:
            status, code, headers, body = fault.status, fault.code, fault.headers, error_body(fault)
        except ApiError as error:
            status, code, body = _BAD_REQUEST, type(error).__name__, error_body(error)
        except _Gone:
            raise
        except Exception as error:  # noqa: BLE001  the top of a request: it is logged, and the next one is served
            told = self._api.failed(error, self._operation, self._request_id)
            status, code, body = told.status, told.code, error_body(told)
        self._api.counts.answer(self._operation, status, code, time.perf_counter() - begun)
        await self._reply(status, body, headers)

    async def _answer(self) -> bytes:
        """Raises ApiError, Fault, _Gone."""
        api = self._api
        received = await api.received(self._scope, self._receive)
        codec, function = api.operation(received)
        self._operation = codec.name
        service = await api.service_for(received, codec.name)
        arguments = codec.arguments(received.body)
        trace = received.headers.get("x-amzn-trace-id", "")
        if codec.name in TRACED and 0 < len(trace) <= _TRACE_HEADER_MAX and trace.isascii():
            arguments["trace_header"] = trace
        answer = function(service, **arguments)
        if codec.name in LONG_POLLS:
            return codec.body(await api.waited(answer, self._receive))
        return codec.body(await answer)

    async def _reply(self, status: int, body: bytes, headers: tuple[tuple[bytes, bytes], ...]) -> None:
        start = [
            (b"content-type", CONTENT_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"x-amzn-requestid", self._request_id.encode()),
            *headers,
        ]
        await self._send({"type": "http.response.start", "status": status, "headers": start})
        await self._send({"type": "http.response.body", "body": body})
