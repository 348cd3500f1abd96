"""Waiting for what another session of the server does: by asking, with a deadline, never by sleeping for a while."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING, Any

from tests.waiting import DEADLINE_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

    import psycopg


def until_sessions_wait(database: psycopg.Connection[Any], count: int) -> None:
    """Until so many sessions of the database wait for a lock."""
    sql = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    wait_until(lambda: database.execute(sql).fetchall()[0][0] >= count)


def cut(connection: psycopg.Connection[Any]) -> None:
    """Cuts the connection as a network does: neither side says goodbye."""
    with socket.socket(fileno=os.dup(connection.fileno())) as end:
        end.shutdown(socket.SHUT_RDWR)


class InThread:
    """A call in a thread of its own; its result or error is asked for later."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call
        self._result: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:  # noqa: BLE001  handed over to the test
            self._error = error

    def result(self) -> Any:
        self._thread.join(DEADLINE_SECONDS)
        assert not self._thread.is_alive()
        if self._error is not None:
            raise self._error
        return self._result
