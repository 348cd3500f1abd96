"""The API on a socket: clients by the thousand, TLS, and how it stops."""

from __future__ import annotations

import json
import socket
import ssl
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from engine.http.server import ApiServer, InvalidTls, Tls, is_loopback
from tests.api.asking import api
from tests.api.test_app import CREATE, Polls
from tests.certificates import write_certificate
from tests.waiting import DEADLINE_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from anyio.abc import ByteStream

    from engine.http.server import Application

pytestmark = pytest.mark.anyio

BODY = b'{"name":"a"}'


def request(operation: str, body: bytes = BODY, *, host: str = "127.0.0.1") -> bytes:
    head = (
        f"POST / HTTP/1.1\r\nHost: {host}\r\nX-Amz-Target: AWSStepFunctions.{operation}\r\nContent-Length: {len(body)}"
    )
    return head.encode() + b"\r\n\r\n" + body


async def reply(stream: ByteStream) -> tuple[int, Any]:
    """The next answer on a connection: status and document."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += await stream.receive()
    head, _, body = got.partition(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
    )
    while len(body) < length:
        body += await stream.receive()
    return int(head.split()[1]), json.loads(body)


def port_of(server: ApiServer) -> int:
    return int(server.url.rpartition(":")[2])


@asynccontextmanager
async def running(app: Application, tls: Tls | None = None) -> AsyncIterator[ApiServer]:
    """A server that answers; inside, somebody may stop it."""
    server = ApiServer("127.0.0.1", 0, tls)
    with anyio.fail_after(DEADLINE_SECONDS):
        async with anyio.create_task_group() as group:
            await group.start(server.run, app)
            yield server
            await server.stop(5)


async def test_a_connection_serves_one_request_after_another():
    async with running(api(CREATE)) as server, await anyio.connect_tcp("127.0.0.1", port_of(server)) as stream:
        for _ in range(3):
            await stream.send(request("CreateActivity"))
            assert (await reply(stream))[0] == 200
        await stream.send(request("CreateActivity", host="sync-localhost:8083"))
        assert (await reply(stream))[0] == 200


async def test_a_thousand_clients_poll_and_others_are_served_meanwhile():
    polls = Polls()
    app = api(("GetActivityTask", polls), CREATE)
    async with running(app) as server:
        port = port_of(server)
        answers: list[tuple[int, Any]] = []

        async def poll() -> None:
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(request("GetActivityTask", b'{"activityArn":"a"}'))
                answers.append(await reply(stream))

        async with anyio.create_task_group() as clients:
            for _ in range(1_000):
                clients.start_soon(poll)
            await until(lambda: app.counts.in_flight == 1_000)
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(request("CreateActivity"))
                assert (await reply(stream))[0] == 200
            assert await server.stop(30)
        assert answers == [(200, {})] * 1_000


async def test_a_client_that_goes_away_ends_its_poll():
    polls = Polls()
    app = api(("GetActivityTask", polls))
    async with running(app) as server:
        async with await anyio.connect_tcp("127.0.0.1", port_of(server)) as stream:
            await stream.send(request("GetActivityTask", b'{"activityArn":"a"}'))
            await polls.waits.wait()
        await until(lambda: not app.counts.in_flight)
    assert polls.was_cancelled


class Slow:
    """An operation that answers when it is let go."""

    def __init__(self) -> None:
        self.begun, self.go, self.was_cancelled = anyio.Event(), anyio.Event(), False

    async def __call__(self, _service: Any, **_: Any) -> dict[str, Any]:
        self.begun.set()
        try:
            await self.go.wait()
        except anyio.get_cancelled_exc_class():
            self.was_cancelled = True
            raise
        return {"activity_arn": "a"}


async def test_a_server_that_stops_serves_what_it_has_and_takes_nothing_more():
    slow = Slow()
    async with (
        running(api(("CreateActivity", slow))) as server,
        await anyio.connect_tcp("127.0.0.1", port_of(server)) as one,
    ):
        await one.send(request("CreateActivity"))
        await slow.begun.wait()
        ended: list[bool] = []

        async def stop() -> None:
            ended.append(await server.stop(30))

        async with anyio.create_task_group() as group:
            group.start_soon(stop)
            await until(lambda: _is_refused(port_of(server)))
            slow.go.set()
            assert await reply(one) == (200, {"activityArn": "a"})
        assert ended == [True]


def _is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_SECONDS).close()
    except ConnectionRefusedError:
        return True
    return False


async def test_what_takes_too_long_is_cut_off():
    slow = Slow()
    app = api(("CreateActivity", slow))
    async with running(app) as server, await anyio.connect_tcp("127.0.0.1", port_of(server)) as stream:
        await stream.send(request("CreateActivity"))
        await slow.begun.wait()
        assert not await server.stop(0.1)
        assert slow.was_cancelled
        assert app.counts.in_flight == 0


async def test_a_server_that_never_answered_can_be_stopped():
    server = ApiServer("127.0.0.1", 0)
    assert await server.stop(1)
    assert _is_refused(port_of(server))


async def test_what_is_no_http_harms_nobody():
    async with running(api(CREATE)) as server:
        for garbage in (b"\x16\x03\x01\x00", b"GARBAGE\r\n\r\n", b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n"):
            async with await anyio.connect_tcp("127.0.0.1", port_of(server)) as stream:
                await stream.send(garbage)
        async with await anyio.connect_tcp("127.0.0.1", port_of(server)) as stream:
            await stream.send(request("CreateActivity"))
            assert (await reply(stream))[0] == 200


# ── addresses and TLS ───────────────────────────────────────────────────────────────────────────────────────────────


def test_an_address_that_is_taken_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        ApiServer("127.0.0.1", taken.getsockname()[1])


HOSTS = {
    **dict.fromkeys(("127.0.0.1", "127.9.9.9", "::1", "localhost"), True),
    **dict.fromkeys(("0.0.0.0", "", "10.0.0.1", "::", "example.com"), False),
}


@pytest.mark.parametrize(("host", "is_it"), HOSTS.items())
def test_loopback_is_what_only_this_machine_reaches(host, is_it):
    assert is_loopback(host) is is_it


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """A certificate of our own for localhost."""
    folder = tmp_path_factory.mktemp("tls")
    write_certificate(folder)
    return Tls(certificate=folder / "cert.pem", key=folder / "key.pem")


async def test_it_speaks_https(tls: Tls):
    trusting = ssl.create_default_context(cafile=str(tls.certificate))
    async with running(api(CREATE), tls) as server:
        assert server.url.startswith("https://127.0.0.1:")
        async with await anyio.connect_tcp(
            "127.0.0.1",
            port_of(server),
            tls=True,
            ssl_context=trusting,
            tls_hostname="localhost",
            tls_standard_compatible=False,
        ) as stream:
            await stream.send(request("CreateActivity"))
            assert (await reply(stream))[0] == 200


def test_a_certificate_that_cannot_be_used_is_told(tls: Tls, tmp_path: Path):
    for files in (
        Tls(certificate=tmp_path / "none.pem", key=tls.key),
        Tls(certificate=tls.key, key=tls.key),
        Tls(certificate=tls.certificate, key=tls.key.with_name("locked.pem")),
    ):
        with pytest.raises(InvalidTls, match=str(files.key)):
            ApiServer("127.0.0.1", 0, files)


async def test_the_second_write_of_an_answer_does_not_wait_for_the_client():
    """Nagle's algorithm would hold it back until the first one was acknowledged: for 40 ms on Linux."""
    async with running(api(CREATE)) as server, await anyio.connect_tcp("127.0.0.1", port_of(server)) as stream:
        await stream.send(request("CreateActivity"))
        await reply(stream)
        (accepted,) = server._running[1].server_state.connections
        connection = accepted.transport.get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
