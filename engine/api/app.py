"""The API as an ASGI application: `POST /` with `X-Amz-Target: AWSStepFunctions.<Operation>` (api.md 1).

    read the request -> which operation -> who asks -> not too often -> members -> whose -> the operation -> answer

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

from engine.api.aws_json import CONTENT_TYPE, TARGET_PREFIX, codecs, error_body
from engine.api.faults import not_a_post, unknown_operation
from engine.api.ownership import check_own
from engine.api.routes import LONG_POLLS, ROUTES, TRACED
from engine.errors import ApiError
from engine.http import faults
from engine.http.counts import Counts
from engine.http.faults import Fault
from engine.http.requests import Gone, gone, read_request
from engine.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from engine.api.aws_json import OperationCodec
    from engine.api.routes import Operation
    from engine.api.throttling import Throttle
    from engine.http.access import Access
    from engine.http.requests import Receive, Received, Send
    from engine.operations.service import Service

REQUEST_BYTES_MAX = 1_048_576
"""AWS: of a whole request, headers included (api.md 1)."""

_TRACE_HEADER_MAX = 256
_OK = 200
_BAD_REQUEST = 400


class Api:
    """Answers for one service.

    Attributes:
        counts: What it counts.
        draw_bits: Where request ids come from.
        request_bytes_max: Of a whole request.
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
        self.request_bytes_max = request_bytes_max
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
        except Gone:
            pass
        finally:
            self.counts.in_flight -= 1

    # ── what an exchange asks of it ─────────────────────────────────────────────────────────────────────────────────

    def operation(self, received: Received) -> tuple[OperationCodec, Operation]:
        """What the request names. Raises Fault."""
        if received.method != "POST" or received.path != "/":
            raise not_a_post(f"{received.method} {received.path}")
        target = received.headers.get("x-amz-target", "")
        name = target.removeprefix(TARGET_PREFIX)
        if not target.startswith(TARGET_PREFIX) or name not in self._routes:
            raise unknown_operation()
        return self._codecs[name], self._routes[name]

    async def service_for(self, received: Received, action: str) -> Service:
        """The service as the caller sees it. Raises Fault: it may not, or not now."""
        account_id = await self._access.account_of(received, action)
        service = self._service if account_id is None else self._service.of(account_id)
        if self._throttle is not None:
            self._throttle.take(service.account_id, action)
        return service

    async def waited(self, answer: Awaitable[Mapping[str, Any] | None], receive: Receive) -> Mapping[str, Any] | None:
        """The answer of a long poll; none when its client goes away or the server stops meanwhile.

        Cancelling it loses nothing: what it was about to be given while it was cancelled, it still gives.
        """
        outcome: Mapping[str, Any] | None = None
        error: Exception | None = None
        async with anyio.create_task_group() as group:
            group.start_soon(_cancel_when, gone, receive, group.cancel_scope)
            group.start_soon(_cancel_when, self._stopping.wait, None, group.cancel_scope)
            try:
                outcome = await answer
            except Exception as failed:  # noqa: BLE001  raised in here it would come out in a group, below as it is
                error = failed
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
        """Raises Gone."""
        begun = time.perf_counter()
        status, code = _OK, ""
        headers: tuple[tuple[bytes, bytes], ...] = ()
        try:
            body = await self._answer()
        except Fault as fault:
            status, code, headers, body = fault.status, fault.code, fault.headers, error_body(fault)
        except ApiError as error:
            status, code, body = _BAD_REQUEST, type(error).__name__, error_body(error)
        except Gone:
            raise
        except Exception as error:  # noqa: BLE001  the top of a request: it is logged, and the next one is served
            told = self._api.failed(error, self._operation, self._request_id)
            status, code, body = told.status, told.code, error_body(told)
        self._api.counts.answer(self._operation, status, code, time.perf_counter() - begun)
        await self._reply(status, body, headers)

    async def _answer(self) -> bytes:
        """Raises ApiError, Fault, Gone."""
        api = self._api
        received = await read_request(self._scope, self._receive, bytes_max=api.request_bytes_max)
        codec, function = api.operation(received)
        self._operation = codec.name
        service = await api.service_for(received, codec.name)
        arguments = codec.arguments(received.body)
        check_own(service.account_id, codec.name, arguments)
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
