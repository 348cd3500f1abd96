"""The Runtime API of one execution environment: what its runtime asks, and in which order it may (lambda.md 5).

Each environment listens on a port of its own: a runtime is told `host:port` and nothing else, and that has to say
whose it is. HTTP is parsed by httptools; what is written is a head and a body. A web framework, and uvicorn with it,
would make the two requests of a warm invocation cost several times what they do (docs/decisions/0017).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

import httptools
import msgspec

from engine.lambda_emulator.invocation import RESPONSE_BYTES_MAX, STREAMED_BYTES_MAX

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

State: TypeAlias = Literal["starting", "restoring", "ready", "busy", "responding", "responded", "failed"]
"""Where a runtime is between its requests.

starting    it was started, and initialises
restoring   it asked for the restoring of its snapshot, and waits
ready       it asked for the next invocation, and waits
busy        it has one
responding  it streams the response of that
responded   it gave its response or its error
failed      its initialisation failed
"""

_PREFIX: Final = "/2018-06-01/runtime/"
_HEADERS_BYTES_MAX = 1_048_576
"""lambda.md 4."""

_TOO_LARGE = f"Exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes)."
_STATUS_TEXTS: Final = {200: "OK", 202: "Accepted", 400: "Bad Request", 403: "Forbidden", 404: "Not Found"} | {
    405: "Method Not Allowed",
    413: "Payload Too Large",
    500: "Internal Server Error",
}
_ACCEPTED: Final = b'{"status":"OK"}\n'


@dataclass(frozen=True, slots=True)
class Ready:
    """The runtime waits for an invocation."""


@dataclass(frozen=True, slots=True)
class Restoring:
    """It has initialised, run its hooks, and waits for the snapshot to be restored."""


@dataclass(frozen=True, slots=True)
class InitFailed:
    """Its initialisation failed, or a hook of its snapshot."""

    body: bytes
    error_type: str


@dataclass(frozen=True, slots=True)
class Responded:
    """What it made of an invocation.

    Attributes:
        error_type: None for a result.
        streamed: Whether the body was handed over in parts already; it then holds what came after an error only.
    """

    body: bytes
    content_type: str = "application/json"
    error_type: str | None = None
    streamed: bool = False


Message: TypeAlias = Ready | Restoring | InitFailed | Responded


class RuntimeApi:
    """The server of one environment, for one runtime at a time.

    Attributes:
        state: See `State`.
        on_begin, on_chunk: Take the content type and the parts of a streamed response; None collects the parts.
    """

    def __init__(self, tell: Callable[[Message], None], *, credentials: bytes = b"") -> None:
        """`tell` is called in the event loop; `credentials` is the JSON that SnapStart functions fetch theirs from."""
        self.state: State = "starting"
        self.on_begin: Callable[[str], None] | None = None
        self.on_chunk: Callable[[bytes], None] | None = None
        self.address = ""
        self._tell = tell
        self._credentials = credentials
        self._request_id = ""
        self._waiting: _Connection | None = None
        self._connections: set[_Connection] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Answers from now on. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port, backlog=8)
        bound: socket.socket = self._server.sockets[0]
        self.address = f"{host}:{bound.getsockname()[1]}"

    def close(self) -> None:
        """No longer."""
        if self._server is not None:
            self._server.close()
        self.forget()

    def forget(self) -> None:
        """The runtime is no more; another one may be started."""
        self.state = "starting"
        self._waiting = None
        for connection in tuple(self._connections):
            connection.abort()

    def deliver(self, request_id: str, head: Mapping[str, str], payload: bytes) -> None:
        """Gives an invocation to the runtime that waits for it."""
        assert self.state == "ready"
        waiting, self._waiting = self._waiting, None
        assert waiting is not None
        self.state = "busy"
        self._request_id = request_id
        waiting.answer(200, payload, head)

    def restore(self) -> None:
        """Tells the runtime that waits for it that its snapshot is restored."""
        assert self.state == "restoring"
        waiting, self._waiting = self._waiting, None
        assert waiting is not None
        self.state = "starting"
        waiting.answer(200, b"", {})

    # ── what connections call ───────────────────────────────────────────────────────────────────────────────────────

    def attach(self, connection: _Connection) -> None:
        """A connection was made."""
        self._connections.add(connection)

    def detach(self, connection: _Connection) -> None:
        """And has ended."""
        self._connections.discard(connection)
        if self._waiting is connection:
            # Whoever waited went away: it may come back with another connection.
            self._waiting = None
            self.state = "responded" if self.state == "ready" else "starting"

    def may_respond(self, request_id: str) -> tuple[int, str, str] | None:
        """Why the current invocation cannot be answered so: status, type and message; None when it can."""
        if self.state not in ("busy", "responding", "responded"):
            return _wrong_state(self.state, "an invocation's response or error")
        if request_id != self._request_id:
            return 400, "InvalidRequestID", "Invalid request ID"
        return None if self.state == "busy" else _wrong_state(self.state, "a second response or error")

    def begin_stream(self, content_type: str) -> None:
        """A streamed response has begun."""
        self.state = "responding"
        if self.on_begin is not None:
            self.on_begin(content_type)

    def respond(self, responded: Responded) -> None:
        """The invocation is answered."""
        self.state = "responded"
        self._tell(responded)

    def take(self, connection: _Connection, request: _Request) -> None:
        """A whole request."""
        method, path = request.method, request.path
        if path.startswith(_PREFIX):
            rest = path[len(_PREFIX) :]
            if method == "GET" and rest in ("invocation/next", "restore/next"):
                self._wait(connection, "ready" if rest == "invocation/next" else "restoring")
                return
            if method == "POST" and rest in ("init/error", "restore/error"):
                self._take_failure(connection, request)
                return
            if method == "POST" and request.request_id:
                self._take_response(connection, request)
                return
        if method == "GET" and path == "/ping":
            connection.answer(200, b"pong", {"Content-Type": "text/plain"})
        elif method == "GET" and path == "/credentials" and self._credentials:
            connection.answer(200, self._credentials, {})
        elif path.startswith(("/2020-01-01/extension/", "/2020-08-15/logs", "/2022-07-01/telemetry")):
            text = "extensions are not supported by this emulator: remove the extension, or the layer that brings it"
            connection.refuse(403, "Extension.NotSupported", text)
        else:
            connection.refuse(404, "NotFound", f"{method} {path}: expected a call of the Lambda Runtime API 2018-06-01")

    def _wait(self, connection: _Connection, state: Literal["ready", "restoring"]) -> None:
        allowed = ("starting", "responded") if state == "ready" else ("starting",)
        if self.state not in allowed:
            connection.refuse(*_wrong_state(self.state, "a request for the next invocation"))
            return
        self.state = state
        self._waiting = connection
        self._tell(Ready() if state == "ready" else Restoring())

    def _take_failure(self, connection: _Connection, request: _Request) -> None:
        if self.state != "starting":
            connection.refuse(*_wrong_state(self.state, "an error of the initialisation"))
            return
        self.state = "failed"
        if request.length > RESPONSE_BYTES_MAX:
            connection.refuse(413, "RequestEntityTooLarge", _TOO_LARGE)
            self._tell(InitFailed(too_large().body, request.error_type()))
            return
        connection.answer(202, _ACCEPTED, {})
        self._tell(InitFailed(request.body(), request.error_type()))

    def _take_response(self, connection: _Connection, request: _Request) -> None:
        refused = None if request.streamed else self.may_respond(request.request_id)
        if refused is not None:
            connection.refuse(*refused)
        elif request.streamed:
            connection.answer(202, _ACCEPTED, {})
            self.respond(request.streamed_response())
        elif request.length > RESPONSE_BYTES_MAX:
            connection.refuse(413, "RequestEntityTooLarge", _TOO_LARGE)
            self.respond(too_large())
        elif request.is_error:
            connection.answer(202, _ACCEPTED, {})
            self.respond(Responded(request.body(), error_type=request.error_type()))
        else:
            connection.answer(202, _ACCEPTED, {})
            self.respond(Responded(request.body(), content_type=request.content_type))


def too_large() -> Responded:
    """What the caller gets of a response above the limit (lambda.md 2.2)."""
    message = f"Response payload size exceeded maximum allowed payload size ({RESPONSE_BYTES_MAX} bytes)."
    error = {"errorMessage": message, "errorType": "Function.ResponseSizeTooLarge"}
    return Responded(msgspec.json.encode(error), error_type="Function.ResponseSizeTooLarge")


def _wrong_state(state: State, what: str) -> tuple[int, str, str]:
    return 403, "InvalidStateTransition", f"State transition is not allowed: {what}, while the runtime is {state}"


class _Request:
    """One request as it comes in."""

    def __init__(self) -> None:
        self.method = ""
        self.path = ""
        self.request_id = ""
        self.is_error = False
        self.content_type = "application/json"
        self.length = 0
        self.streamed = False
        self.refused: tuple[int, str, str] | None = None
        self.headers: dict[str, str] = {}
        self.header_bytes = 0
        self.parts: list[bytes] = []

    def body(self) -> bytes:
        """All of it."""
        return self.parts[0] if len(self.parts) == 1 else b"".join(self.parts)

    def error_type(self) -> str:
        """That the runtime reported."""
        return self.headers.get("lambda-runtime-function-error-type", "Function.Unknown")

    def begin(self) -> None:
        """The head is complete."""
        self.content_type = self.headers.get("content-type", "application/json")
        if self.path.startswith(_PREFIX + "invocation/"):
            request_id, _, verb = self.path[len(_PREFIX) + len("invocation/") :].partition("/")
            if verb in ("response", "error"):
                self.request_id, self.is_error = request_id, verb == "error"

    def streamed_response(self) -> Responded:
        """What a stream ended as: its trailers tell of an error midway (lambda.md 5)."""
        error_type = self.headers.get("lambda-runtime-function-error-type")
        if error_type is None:
            return Responded(self.body(), content_type=self.content_type, streamed=True)
        try:
            body = base64.b64decode(self.headers.get("lambda-runtime-function-error-body", ""), validate=True)
        except binascii.Error:
            body = b""
        if not body:
            body = msgspec.json.encode({"errorType": error_type, "errorMessage": ""})
        return Responded(body, content_type=self.content_type, error_type=error_type, streamed=True)


class _Connection(asyncio.Protocol):
    """One connection of a runtime; its requests come one after the other."""

    def __init__(self, api: RuntimeApi) -> None:
        self._api = api
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._request: _Request | None = None
        self._closes = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # by its shape: uvloop's are none by their class
        self._api.attach(self)

    def connection_lost(self, _error: Exception | None) -> None:
        self._truncated()
        self._api.detach(self)
        self._transport = None

    def eof_received(self) -> bool:
        self._truncated()
        return False

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise
        except httptools.HttpParserError as error:
            self._closes = True
            self.refuse(400, "BadRequest", f"not HTTP/1.1: {error}")

    def _truncated(self) -> None:
        """The other side stopped in the middle of a request."""
        request, self._request = self._request, None
        if request is None or request.refused is not None or not request.request_id:
            return
        if request.streamed or self._api.may_respond(request.request_id) is None:
            self._closes = True
            self.refuse(400, "TruncatedHTTPRequest", "HTTP request detected as truncated")
            error = {"errorMessage": "Response payload was truncated", "errorType": "Runtime.TruncatedResponse"}
            body = msgspec.json.encode(error)
            self._api.respond(Responded(body, error_type="Runtime.TruncatedResponse", streamed=request.streamed))

    # ── httptools ───────────────────────────────────────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        """See httptools."""
        self._request = _Request()

    def on_url(self, url: bytes) -> None:
        """See httptools."""
        assert self._request is not None
        self._request.path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Of the head, and of the trailers."""
        assert self._request is not None
        request = self._request
        request.header_bytes += len(name) + len(value)
        if request.header_bytes > _HEADERS_BYTES_MAX:
            request.refused = 400, "BadRequest", f"expected at most {_HEADERS_BYTES_MAX} bytes of headers"
            return
        request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """See httptools."""
        assert self._request is not None
        request = self._request
        request.method = self._parser.get_method().decode()
        request.begin()
        self._closes = not self._parser.should_keep_alive()
        if request.headers.get("expect", "").lower() == "100-continue":
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        mode = request.headers.get("lambda-runtime-function-response-mode")
        if not request.request_id or request.is_error or mode is None or request.refused is not None:
            return
        if mode != "streaming":
            text = f'Lambda-Runtime-Function-Response-Mode: expected "streaming", got {mode!r}'
            request.refused = 400, "InvalidFunctionResponseMode", text
            return
        request.refused = self._api.may_respond(request.request_id)
        if request.refused is None:
            request.streamed = True
            self._api.begin_stream(request.content_type)

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        assert self._request is not None
        request = self._request
        request.length += len(body)
        if request.refused is not None:
            return
        if request.streamed and self._api.on_chunk is not None:
            if request.length <= STREAMED_BYTES_MAX:
                self._api.on_chunk(body)
            return
        if request.length <= RESPONSE_BYTES_MAX:
            request.parts.append(body)
        else:
            request.parts.clear()  # it will be refused, once all of it was read

    def on_message_complete(self) -> None:
        """See httptools."""
        request, self._request = self._request, None
        assert request is not None
        most = STREAMED_BYTES_MAX if request.streamed and self._api.on_chunk is not None else RESPONSE_BYTES_MAX
        if request.refused is not None:
            status, error_type, text = request.refused
            self.refuse(status, error_type, text)
            if error_type == "InvalidFunctionResponseMode" and self._api.may_respond(request.request_id) is None:
                error = {"errorMessage": text, "errorType": "Runtime.InvalidResponseModeHeader"}
                body = msgspec.json.encode(error)
                self._api.respond(Responded(body, error_type="Runtime.InvalidResponseModeHeader"))
        elif request.streamed and request.length > most:
            self.refuse(413, "RequestEntityTooLarge", f"Exceeded maximum allowed payload size ({most} bytes).")
            self._api.respond(too_large())
        else:
            self._api.take(self, request)

    # ── answers ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def answer(self, status: int, body: bytes, head: Mapping[str, str]) -> None:
        """Writes a response."""
        lines = [f"HTTP/1.1 {status} {_STATUS_TEXTS[status]}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in head.items()]
        if "Content-Type" not in head:
            lines.append("Content-Type: application/json")
        if self._closes:
            lines.append("Connection: close")
        # UTF-8: a client context may have any character, and runtimes take a header's bytes as they are.
        self._write("\r\n".join([*lines, "", ""]).encode() + body)
        if self._closes and self._transport is not None:
            self._transport.close()

    def refuse(self, status: int, error_type: str, message: str) -> None:
        """Writes an error as AWS words it."""
        self.answer(status, msgspec.json.encode({"errorMessage": message, "errorType": error_type}), {})

    def abort(self) -> None:
        """Ends the connection at once."""
        self._request = None
        if self._transport is not None:
            self._transport.abort()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
