"""A TCP proxy before the server, which cuts connections and keeps bytes back at the worst moments."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import random
    from pathlib import Path

Mishap = Literal["before", "after", "late", "half", "cut"]
"""To a statement of a worker. before: it never arrives. after: it is carried out, and the answer never arrives. late:
it arrives long after its sender gave it up. half: one half arrives, the rest long after. cut: whatever it was doing."""

MISHAPS: tuple[Mishap, ...] = ("before", "after", "late", "half")

_FENCED = b"fence as ("
"""In every statement by which a worker writes or claims. Once prepared it goes by name: see `_is_statement`."""


@dataclass(frozen=True)
class Cut:
    """What happened to a connection, and when."""

    mishap: Mishap
    at: float


class Proxy:
    """Forwards a TCP port to the server's Unix socket.

    Attributes:
        likely: A mishap, for each statement.
        late_seconds: How long bytes are kept back that come too late.
        answer_seconds: How long every answer to a statement is kept back.
    """

    def __init__(self, folder: Path, draw: random.Random) -> None:
        self.likely = 0.0
        self.late_seconds = 3.0
        self.answer_seconds = 0.0
        self.cuts: list[Cut] = []
        self._links: set[socket.socket] = set()
        self._is_dark = False
        self._draw = draw
        self._socket = str(folder / ".s.PGSQL.5432")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._is_closed = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def url(self, url: str) -> str:
        """The URL of a database of the server, through here."""
        database = url.split("@/")[1].split("?")[0]
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def cut_one(self) -> None:
        """Cuts a connection, whatever it is for and whether anything is under way on it."""
        links = sorted(self._links, key=id)
        if links:
            self.cuts.append(Cut("cut", monotonic()))
            _abort(self._draw.choice(links))

    def go_dark(self) -> None:
        """Cuts all connections and lets nobody through, until `lighten`."""
        self._is_dark = True
        for link in list(self._links):
            _abort(link)

    def lighten(self) -> None:
        """There is a way again."""
        self._is_dark = False

    def close(self) -> None:
        """No more connections; those that are end with their ends."""
        self._is_closed.set()
        self._listener.close()
        self._thread.join(5)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._is_dark:
                    client.close()
                    continue
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self._socket)
        except OSError:
            # Like the server itself when it is down: the client is refused, as far as a proxy can.
            client.close()
            return
        self._links.add(client)
        link = _Link(self, client, server)
        threading.Thread(target=link.answer, daemon=True).start()
        try:
            link.ask()
        finally:
            _abort(server)  # closed alone, it stays open for the thread that waits for answers
        self._links.discard(client)

    def mishap(self, data: bytes) -> Mishap | None:
        """What is to happen to these bytes of a client."""
        if not self.likely or not _is_statement(data) or self._draw.random() >= self.likely:
            return None
        mishap = self._draw.choice(MISHAPS)
        self.cuts.append(Cut(mishap, monotonic()))
        return mishap

    def wait(self, seconds: float) -> None:
        """Keeps bytes back; not for longer than there is a proxy."""
        self._is_closed.wait(seconds)


class _Link:
    """One connection: two threads, one for each direction."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._drops_answers = False
        self._is_answering = False

    def ask(self) -> None:
        with suppress(OSError), self._client:
            while data := self._client.recv(1 << 20):
                mishap = self._proxy.mishap(data)
                self._is_answering = _is_statement(data)
                if mishap is None:
                    self._server.sendall(data)
                elif mishap == "before":
                    return
                elif mishap == "after":
                    self._drops_answers = True
                    self._server.sendall(data)
                    self._proxy.wait(0.2)  # as long as the answer may take
                    return
                else:
                    middle = len(data) // 2 if mishap == "half" else 0
                    self._server.sendall(data[:middle])
                    _abort(self._client)
                    self._proxy.wait(self._proxy.late_seconds)
                    self._server.sendall(data[middle:])
                    self._proxy.wait(0.2)
                    return

    def answer(self) -> None:
        with suppress(OSError), self._server:
            while data := self._server.recv(1 << 20):
                if self._is_answering and self._proxy.answer_seconds:
                    self._is_answering = False
                    self._proxy.wait(self._proxy.answer_seconds)
                if not self._drops_answers:
                    self._client.sendall(data)
        _abort(self._client)


def _abort(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)


def _is_statement(data: bytes) -> bool:
    """A fenced statement in full, or a prepared one with its parameters: whatever is sent but the smallest things."""
    return _FENCED in data or data[:1] == b"B"
