"""A client that costs little beside what is measured: finished bytes on raw sockets, one request in flight on each."""

from __future__ import annotations

import json
import select
import socket
import time
from typing import TYPE_CHECKING, Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.credentials import Credentials

_RECEIVED_MAX = 1 << 16
_DEADLINE_SECONDS = 60.0


class Refused(RuntimeError):
    """An answer other than 200."""


class RawClient:
    """Requests to one server.

    Attributes:
        port: On the loopback address.
    """

    def __init__(self, port: int, *, credentials: Credentials | None = None, region: str = "us-east-1") -> None:
        """`credentials`: Each request is signed with them; None: none is."""
        self.port = port
        self._credentials = credentials
        self._region = region

    def request(self, operation: str, **members: Any) -> bytes:
        """The bytes of a request."""
        body = json.dumps(members).encode()
        headers = {
            "Host": f"127.0.0.1:{self.port}",
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"AWSStepFunctions.{operation}",
        }
        if self._credentials is not None:
            asked = AWSRequest("POST", f"http://127.0.0.1:{self.port}/", headers=headers, data=body)
            SigV4Auth(self._credentials, "states", self._region).add_auth(asked)
            headers = dict(asked.headers.items())
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST / HTTP/1.1\r\n{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    def call(self, operation: str, **members: Any) -> dict[str, Any]:
        """One request on a connection of its own; its answer. Raises Refused."""
        answers: list[bytes] = []
        self.load(iter([self.request(operation, **members)]), connections=1, answers=answers)
        answer: dict[str, Any] = json.loads(answers[0])
        return answer

    def load(self, requests: Iterator[bytes], *, connections: int, answers: list[bytes] | None = None) -> list[float]:
        """Sends all requests, the next one on a connection as soon as the one before is answered.

        Args:
            answers: Takes the bodies of the answers, in the order in which they come.

        Returns:
            How long each took, in seconds.

        Raises:
            Refused: An answer other than 200.
        """
        opened = [socket.create_connection(("127.0.0.1", self.port), _DEADLINE_SECONDS) for _ in range(connections)]
        try:
            return _Load(opened, requests, answers).run()
        finally:
            for one in opened:
                one.close()


class _Load:
    def __init__(
        self, connections: list[socket.socket], requests: Iterator[bytes], answers: list[bytes] | None
    ) -> None:
        self._requests = requests
        self._answers = answers
        self._poll = select.epoll()
        self._open: dict[int, tuple[socket.socket, float]] = {}
        self._parts: dict[int, bytes] = {}
        self._took: list[float] = []
        for one in connections:
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._poll.register(one.fileno(), select.EPOLLIN)
            self._send(one)

    def run(self) -> list[float]:
        with self._poll:
            while self._open:
                ready = self._poll.poll(_DEADLINE_SECONDS)
                if not ready:
                    raise Refused(f"no answer for {_DEADLINE_SECONDS:.0f} seconds")
                for number, _ in ready:
                    self._receive(number)
        return self._took

    def _send(self, one: socket.socket) -> None:
        request = next(self._requests, None)
        if request is None:
            self._open.pop(one.fileno(), None)
            return
        self._open[one.fileno()] = one, time.perf_counter()
        one.sendall(request)

    def _receive(self, number: int) -> None:
        if number not in self._open:
            raise Refused("the server closed a connection that waits for nothing")
        one, sent = self._open[number]
        received = one.recv(_RECEIVED_MAX)
        if not received:
            raise Refused("the server closed a connection")
        got = self._parts.pop(number, b"") + received
        head, blank, body = got.partition(b"\r\n\r\n")
        if not blank or len(body) < _length(head):
            self._parts[number] = got
            return
        self._took.append(time.perf_counter() - sent)
        if not head.startswith(b"HTTP/1.1 200 "):
            raise Refused(f"{head.decode('latin-1')}\n\n{body.decode()}")
        if self._answers is not None:
            self._answers.append(body)
        self._send(one)


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"\ncontent-length:")[2].partition(b"\r")[0])
