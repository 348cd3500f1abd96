"""What a client may cost that never comes to ask: bounds on one connection, before there is a request.

uvicorn waits for ever for a request that was begun, and keeps all of its head. `engine.http.requests` bounds the body.

And an answer in one piece: uvicorn sends its head by itself, ahead of the body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio

HEAD_BYTES_MAX = 65_536
"""Of request line and headers that are not yet whole. Those of AWS's tools have about 1,000."""

PATIENCE_SECONDS = 30.0
"""How long a client may take for a head and the first byte of a body; and to take some of an answer."""

JOINED_BYTES_MAX = 65_536
"""The head of an answer is sent together with so much of its body. To copy more costs more than to send twice."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
)  # fmt: skip


class Connection(HttpToolsProtocol):
    """A connection that is closed when its client is too slow, or its head too long."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._is_head = True
        self._is_owed = True  # a head, or the beginning of a body
        self._head_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """See asyncio."""
        super().connection_made(transport)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        super().connection_lost(exc)
        for timer in (self._deadline, self._stalled):
            if timer is not None:
                timer.cancel()
        self._deadline = self._stalled = None

    def data_received(self, data: bytes) -> None:
        """See asyncio."""
        self._head_bytes += len(data)
        if self._is_idle:  # even a bare line feed stops uvicorn's own clock
            self._is_owed = True
        super().data_received(data)
        if not self._is_head:
            self._head_bytes = 0
        elif self._head_bytes > HEAD_BYTES_MAX:
            self._refuse()
            return
        self._watch()

    @property
    def _is_idle(self) -> bool:
        return self.cycle is not None and self.cycle.response_complete

    def _watch(self) -> None:
        """Has a clock run while the client owes us something."""
        if not self._is_owed:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None
        elif self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(PATIENCE_SECONDS, self.transport.abort)

    def _refuse(self) -> None:
        if self.cycle is None or self._is_idle:
            self.transport.write(_TOO_LARGE)
        self.transport.close()

    # ── what the parser says ────────────────────────────────────────────────────────────────────────────────────────

    def on_message_begin(self) -> None:
        """See httptools."""
        self._is_head = self._is_owed = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """See httptools."""
        self._is_head = False
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:  # its task is made, and has not begun
            self.cycle.transport = cast("asyncio.Transport", _Answer(self.transport, self.loop))

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        self._is_owed = self._is_owed and self._is_idle  # not by the rest of what was answered before it was whole
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See httptools."""
        self._is_owed = self._is_owed and self._is_idle  # not by the rest of what was answered before it was whole
        super().on_message_complete()

    # ── a client that does not read ─────────────────────────────────────────────────────────────────────────────────

    def pause_writing(self) -> None:
        """See asyncio."""
        super().pause_writing()
        self._look_again()

    def _look_again(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._stalled = self.loop.call_later(PATIENCE_SECONDS, self._give_up_unless_less, left)

    def _give_up_unless_less(self, than: int) -> None:
        if self.transport.get_write_buffer_size() < than:
            self._look_again()  # slow, but it reads
        else:
            self.transport.abort()

    def resume_writing(self) -> None:
        """See asyncio."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None


class _Answer:
    """The transport that uvicorn writes one answer to: what comes first waits for what comes with it.

    It saves a call of the system, and it is kind to AWS's SDK for Go (and so to Terraform), which closes a request's
    body as soon as it has the head of the answer. Go's writer, if it is not quite done with that body, then takes its
    end for a failure (`safeWriteToReadCloser` of smithy-go) and closes the connection. What has been received by then
    counts; what comes in a second piece cannot be read any more, and the SDK asks again for what was done already.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""
        self._is_joined = False

    def write(self, data: bytes) -> None:
        if self._is_joined:
            self._transport.write(data)
        elif not self._head:
            self._head = data
            self._loop.call_soon(self._flush)  # a stream may have nothing to say yet, and a 100 Continue is all
        else:
            self._is_joined = True
            head, self._head = self._head, b""
            if len(data) <= JOINED_BYTES_MAX:
                self._transport.write(head + data)
            else:
                self._transport.write(head)
                self._transport.write(data)

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        return self._transport.is_closing()
