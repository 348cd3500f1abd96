"""Hints by LISTEN and NOTIFY, and the presence of workers by advisory locks: one thread, one connection of its own.

NOTIFY in the transaction that it is about makes commits three to eighteen times slower, for they then go one after the
other. Here it comes after them, all of a hundredth of a second at once, in a transaction that waits for no disk.

The same connection holds a session lock for each worker of this process. When the process dies the server lets it go at
once, and others see that (`DurableStore.present`).
"""

from __future__ import annotations

import random
import socket
import threading
from contextlib import suppress
from selectors import EVENT_READ, DefaultSelector
from time import monotonic
from typing import TYPE_CHECKING

import msgspec
import psycopg

from engine.jsonvalue import encode
from engine.store.hints import Hint, HintKind, Listeners
from engine.store.postgres.connection import connect, is_direct
from engine.store.protocol import StoreUnavailable, WorkerId

if TYPE_CHECKING:
    from collections.abc import Collection

    from engine.store.hints import Heard
    from engine.store.postgres.connection import Connection

CHANNEL = "asl"

GATHER_SECONDS = 0.01
"""Between two NOTIFYs: what is told meanwhile goes together."""

PAYLOAD_BYTES_MAX = 7_900
"""Of one hint; where that is too little it is not said what it is about. The server takes less than 8,000."""

_BACK_OFF_SECONDS = 0.05
_BACK_OFF_SECONDS_MAX = 5.0
_LAST_WORDS_SECONDS = 1.0
_LOCK_RETRY_SECONDS = 0.2

_CHANCE = random.Random()  # noqa: S311  no secret; its own, for a program that seeds the common one counts on its order

_NOTIFY = "select pg_notify($1, u.payload) from unnest($2::text[]) u(payload)"
_HOLD = "select pg_try_advisory_lock($1::bigint)"
_LET_GO = "select pg_advisory_unlock($1::bigint)"


class _Told(msgspec.Struct, array_like=True, frozen=True):
    """A payload: `["MAIL", ["0123..."]]`. One of a kind that is not known, a newer engine's, is no `_Told`."""

    kind: HintKind
    about: list[str]


_decode_told = msgspec.json.Decoder(_Told).decode


def presence_key(worker_id: WorkerId) -> int:
    """The key of a worker's advisory lock: half of an id that is drawn by chance."""
    return int.from_bytes(worker_id.bytes[:8], "big", signed=True)


class PostgresHints:
    """`Hints` over a database. Its thread begins when something is told or listened for."""

    def __init__(self, url: str) -> None:
        self.are_heard = False
        self._url = url
        self._listeners = Listeners()
        self._pending: dict[HintKind, set[str]] = {}
        self._present: set[WorkerId] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._ears: socket.socket
        self._bell: socket.socket | None = None

    @property
    def are_endings_wanted(self) -> bool:
        """See `Hints`."""
        return self._listeners.are_endings_wanted

    def tell(self, kind: HintKind, about: Collection[str] = ()) -> None:
        """See `Hints`."""
        with self._lock:
            is_first = not self._pending
            known = self._pending.setdefault(kind, set(about))
            if not about or not known:  # one of them does not say which
                known.clear()
            else:
                known.update(about)
        if is_first:
            self._begin()

    def listen(self, heard: Heard) -> None:
        """See `Hints`."""
        self._listeners.add(heard)
        self._begin()

    def ignore(self, heard: Heard) -> None:
        """See `Hints`."""
        self._listeners.remove(heard)

    def hold(self, worker_id: WorkerId, instead_of: WorkerId | None = None) -> None:
        """This process is that worker, from now until it dies or holds another one instead."""
        with self._lock:
            if instead_of is not None:
                self._present.discard(instead_of)
            self._present.add(worker_id)
        self._ring()

    def close(self) -> None:
        """Tells what is not told yet, and ends the connection."""
        with self._lock:
            self._is_closing, thread = True, self._thread
        if thread is not None:
            self._ring()
            thread.join(_LAST_WORDS_SECONDS)

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None and not self._is_closing:
                self._ears, self._bell = socket.socketpair()
                self._bell.setblocking(False)
                self._thread = threading.Thread(target=self._run, name="asl hints", daemon=True)
                self._thread.start()
        self._ring()

    def _ring(self) -> None:
        """Wakes the thread, if there is one."""
        with self._lock, suppress(BlockingIOError):  # then it has been rung often enough
            if self._bell is not None:
                self._bell.send(b"\0")

    # ── the thread ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _run(self) -> None:
        try:
            self._connect_again_and_again()
        finally:
            with self._lock:
                assert self._bell is not None
                self._bell.close()
                self._ears.close()
                self._bell = None

    def _connect_again_and_again(self) -> None:
        back_off = _BACK_OFF_SECONDS
        while not self._is_closing or self._pending:
            try:
                with connect(self._url, name="asl hints", pinned=False) as connection:
                    if not is_direct(connection):
                        return  # a pooler: who listens there hears what is meant for another client
                    back_off = _BACK_OFF_SECONDS
                    self._serve(connection)
            except (StoreUnavailable, psycopg.Error, OSError):
                pass  # nobody depends on it
            if self.are_heard:
                self.are_heard = False
                self._listeners.hand_out(Hint("DISCONNECTED"))
            if self._is_closing:
                return
            # All who lose the server lose it at once; they must not all come back at once.
            self._rest(back_off * (0.5 + _CHANCE.random() / 2))
            back_off = min(back_off * 2, _BACK_OFF_SECONDS_MAX)

    def _rest(self, seconds: float) -> None:
        until = monotonic() + seconds
        while not self._is_closing and (left := until - monotonic()) > 0:
            self._wait(left)

    def _wait(self, seconds: float | None, connection: Connection | None = None) -> None:
        """Until the bell rings or the connection has something to say."""
        with DefaultSelector() as selector:
            selector.register(self._ears, EVENT_READ)
            if connection is not None:
                selector.register(connection.fileno(), EVENT_READ)
            for key, _ in selector.select(seconds):
                if key.fileobj is self._ears:
                    self._ears.recv(4_096)

    def _serve(self, connection: Connection) -> None:
        """Until the end, or an error."""
        held: set[WorkerId] = set()
        tell_at = hold_at = monotonic()
        own_pid = connection.info.backend_pid
        # A hint that a crash of the server loses is a hint that is lost.
        connection.execute("set synchronous_commit to off")
        while True:
            is_last = self._is_closing
            now = monotonic()
            if self._listeners and not self.are_heard:
                connection.execute(f"listen {CHANNEL}")
                self.are_heard = True
                self._listeners.hand_out(Hint("CONNECTED"))
            if held != self._present and now >= hold_at:
                hold_at = now + _LOCK_RETRY_SECONDS
                self._hold(connection, held)
            if self._pending and (now >= tell_at or is_last):
                tell_at = now + GATHER_SECONDS
                self._tell(connection)
            for told in connection.notifies(timeout=0):
                if told.pid != own_pid:
                    self._hand_out(told.payload)
            if is_last:
                return
            due = [tell_at] if self._pending else []
            due += [hold_at] if held != self._present else []
            self._wait(max(0.0, min(due) - monotonic()) if due else None, connection)

    def _hold(self, connection: Connection, held: set[WorkerId]) -> None:
        with self._lock:
            present = set(self._present)
        for worker_id in held - present:
            connection.execute(_LET_GO, (presence_key(worker_id),))
            held.discard(worker_id)
        for worker_id in present - held:
            # Not free: the connection before this one has not been missed by the server yet.
            if connection.execute(_HOLD, (presence_key(worker_id),)).fetchall()[0][0]:
                held.add(worker_id)

    def _tell(self, connection: Connection) -> None:
        with self._lock:
            pending, self._pending = self._pending, {}
        connection.execute(_NOTIFY, (CHANNEL, [_payload(kind, about) for kind, about in pending.items()]))

    def _hand_out(self, payload: str) -> None:
        try:
            told = _decode_told(payload)
        except msgspec.MsgspecError:
            return
        self._listeners.hand_out(Hint(told.kind, frozenset(told.about)))


def _payload(kind: HintKind, about: Collection[str]) -> str:
    payload = encode([kind, list(about)])
    return (payload if len(payload) <= PAYLOAD_BYTES_MAX else encode([kind, []])).decode()
