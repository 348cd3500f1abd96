"""Clients that never come to ask are let go, and cost little until then; the others have their answers in one piece."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import pytest

from engine.http import connection
from engine.http.connection import HEAD_BYTES_MAX, JOINED_BYTES_MAX, Connection
from tests.api.asking import api
from tests.api.test_app import CREATE, MOMENT
from tests.http.test_server import port_of, reply, request, running
from tests.waiting import DEADLINE_SECONDS

if TYPE_CHECKING:
    from anyio.abc import ByteStream

pytestmark = pytest.mark.anyio

WHOLE = request("CreateActivity")
HEAD, _, BODY = WHOLE.partition(b"\r\n\r\n")


async def rest(stream: ByteStream) -> bytes:
    """All that comes until the server closes."""
    got = b""
    with anyio.fail_after(DEADLINE_SECONDS):
        while True:
            try:
                got += await stream.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                return got


async def sent_for_ever(stream: ByteStream, pieces: bytes) -> int:
    """How many bytes were taken before the server closed."""
    taken = 0
    with anyio.fail_after(DEADLINE_SECONDS):
        while True:
            try:
                await stream.send(pieces)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return taken
            taken += len(pieces)
            await anyio.lowlevel.checkpoint()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.2)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "begun",
    [b"", b"\r\n", b"POST", HEAD[:40], HEAD, HEAD + b"\r\n\r\n", WHOLE + b"\r\n", WHOLE + HEAD[:40]],
    ids=["nothing", "blank", "method", "half", "head", "no body", "blank after an answer", "half after an answer"],
)
async def test_a_request_that_does_not_go_on_is_given_up(begun):
    async with running(api(CREATE)) as server, await anyio.connect_tcp("127.0.0.1", port_of(server)) as stream:
        if begun.startswith(WHOLE):
            await stream.send(WHOLE)
            assert (await reply(stream))[0] == 200
            begun = begun.removeprefix(WHOLE)
        await stream.send(begun)
        assert await rest(stream) == b""


@pytest.mark.usefixtures("impatient")
async def test_bytes_that_come_one_by_one_do_not_buy_time():
    async def drip(stream: ByteStream) -> None:
        for byte in HEAD * 100:
            try:
                await stream.send(bytes([byte]))
            except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                return
            await anyio.sleep(0.02)
        pytest.fail("it may drip for ever")

    async with running(api(CREATE)) as server, await anyio.connect_tcp("127.0.0.1", port_of(server)) as stream:
        with anyio.fail_after(DEADLINE_SECONDS):
            await drip(stream)


@pytest.mark.parametrize("begun", [b"POST /", HEAD + b"\r\nX-Long: ", HEAD + b"\r\nX"], ids=["path", "value", "name"])
async def test_a_head_without_end_is_refused(begun):
    async with running(api(CREATE)) as server, await anyio.connect_tcp("127.0.0.1", port_of(server)) as stream:
        await stream.send(begun)
        # What the sockets hold on both sides is taken by the kernel.
        assert await sent_for_ever(stream, b"a" * HEAD_BYTES_MAX) < 200 * HEAD_BYTES_MAX


async def test_a_head_that_is_too_long_is_told():
    async with running(api(CREATE)) as server, await anyio.connect_tcp("127.0.0.1", port_of(server)) as stream:
        await stream.send(HEAD + b"\r\nX-Long: " + b"a" * HEAD_BYTES_MAX)
        assert (await rest(stream)).startswith(b"HTTP/1.1 431 ")


async def test_many_small_requests_are_no_long_head():
    async with running(api(CREATE)) as server, await anyio.connect_tcp("127.0.0.1", port_of(server)) as stream:
        for _ in range(2 * HEAD_BYTES_MAX // len(WHOLE)):
            await stream.send(WHOLE)
            assert (await reply(stream))[0] == 200


@pytest.mark.usefixtures("impatient")
async def test_a_client_that_does_not_take_its_answers_is_let_go(monkeypatch: pytest.MonkeyPatch):
    lost = anyio.Event()
    monkeypatch.setattr(Connection, "connection_lost", lambda _self, _error: lost.set())
    name = "a" * 20_000_000  # more than the sockets hold

    async def long(_service, **_):
        return {"activity_arn": name, "creation_date": MOMENT}

    app = api(("CreateActivity", long))
    async with running(app) as server, await anyio.connect_tcp("127.0.0.1", port_of(server)) as stream:
        await stream.send(WHOLE)
        await lost.wait()


async def test_the_patience_is_for_requests_and_not_for_answers(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection, "PATIENCE_SECONDS", 0.1)

    async def slow(_service, **_):
        await anyio.sleep(0.4)
        return {"activity_arn": "arn", "creation_date": MOMENT}

    app = api(("CreateActivity", slow))
    async with running(app) as server, await anyio.connect_tcp("127.0.0.1", port_of(server)) as stream:
        for _ in range(2):
            await stream.send(WHOLE)
            assert (await reply(stream))[0] == 200
            await anyio.sleep(0.3)  # idle between requests


@pytest.mark.usefixtures("impatient")
async def test_a_slow_client_that_takes_its_answer_gets_it_all():
    name = "a" * 8_000_000

    async def long(_service, **_):
        return {"activity_arn": name, "creation_date": MOMENT}

    app = api(("CreateActivity", long))
    async with running(app) as server, await anyio.connect_tcp("127.0.0.1", port_of(server)) as stream:
        await stream.send(WHOLE)
        got = 0
        while got < len(name):
            got += len(await stream.receive(1_000_000))
            await anyio.sleep(0.02)  # in all several times the patience


# ── answers in one piece ────────────────────────────────────────────────────────────────────────────────────────────


class Recorded:
    """A transport, and the pieces that were written to it."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.pieces: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.pieces.append(bytes(data))
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@pytest.mark.parametrize(
    ("name_bytes", "pieces"), [(1, 1), (JOINED_BYTES_MAX, 2)], ids=["small", "one that is not worth copying"]
)
async def test_an_answer_comes_in_one_piece(name_bytes: int, pieces: int):
    name = "a" * name_bytes

    async def create(_service: Any, **_: Any) -> Any:
        return {"activity_arn": name, "creation_date": MOMENT}

    app = api(("CreateActivity", create))
    async with running(app) as server, await anyio.connect_tcp("127.0.0.1", port_of(server)) as stream:
        await stream.send(WHOLE)
        await reply(stream)
        (accepted,) = server._running[1].server_state.connections
        accepted.transport = recorded = Recorded(accepted.transport)
        await stream.send(WHOLE)
        assert (await reply(stream))[1]["activityArn"] == name
        assert len(recorded.pieces) == pieces


class Streaming:
    """Answers with a head, and the rest when it is told to."""

    def __init__(self) -> None:
        self.go_on = anyio.Event()

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await self.go_on.wait()
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    def stop_waiting(self) -> None:
        pass


async def test_the_head_of_a_stream_does_not_wait_for_what_is_not_there_yet():
    app = Streaming()
    async with running(app) as server, await anyio.connect_tcp("127.0.0.1", port_of(server)) as stream:
        await stream.send(HEAD + b"\r\nExpect: 100-continue\r\n\r\n")
        assert await stream.receive() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await stream.send(BODY)
        assert (await stream.receive()).endswith(b"transfer-encoding: chunked\r\n\r\n")
        app.go_on.set()
        got = b""
        while not got.endswith(b"0\r\n\r\n"):
            got += await stream.receive()
        assert got == b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"


class Broken(Streaming):
    """Fails when it has sent a head."""

    async def __call__(self, _scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        raise ValueError("as is meant")


async def test_the_head_of_an_answer_that_breaks_off_is_sent_before_the_connection_is_closed():
    async with running(Broken()) as server, await anyio.connect_tcp("127.0.0.1", port_of(server)) as stream:
        await stream.send(WHOLE)
        assert (await rest(stream)).endswith(b"content-length: 9\r\n\r\n")
