"""Connections: how they are made, kept and lost, and what an error of the driver means.

All statements are written with `$n` (psycopg's raw cursors). Nothing here waits without a limit: a lost peer is noticed
by keep-alives and `tcp_user_timeout`, a statement that waits too long is ended by the server.

Through a pooler in transaction mode nothing of a session lasts: see `PoolerConnection`.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, LiteralString, TypeAlias

import psycopg
from psycopg.pq import ExecStatus, Format, TransactionStatus
from psycopg.raw_cursor import RawCursor
from psycopg_pool import ConnectionPool

from engine.store.postgres import arrays
from engine.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg.pq.abc import PGresult

    from engine.store.postgres.arrays import Parameter

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]
Row: TypeAlias = tuple[Any, ...]

NOW_MS = "(extract(epoch from clock_timestamp()) * 1000)::bigint"
"""The store's clock."""

# Plans are made on empty tables and kept. As a bare equation this invites the index on the owner: a statement about one
# execution then reads all that its worker owns. For the same reason rows that are known by their ids are joined as
# `o.id = any(array[u.id])`: the plain equation makes a scan of the whole index, in its order, a candidate, and on empty
# tables it is the cheapest.
OWNED_BY_ID = "coalesce(o.owner = $1, false)"
"""Whether a row of `open_execution`, found by its id, is this worker's ($1)."""

STATEMENT_TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 2_000
"""How long anybody waits for a row: a user's open transaction may hold the name of a start."""

_PINNED_STATEMENT_TIMEOUT_MS = 10_000
"""Two thirds of the lease: a worker whose statement takes longer must not dispatch any more anyway."""

CONNECT_TIMEOUT_SECONDS = 5
_TCP_USER_TIMEOUT_MS = 10_000
_POOL_SIZE_MAX = 8

# What `_EXPECTED` says of transactions is for those that begin later.
_BEGIN = "begin isolation level read committed, read write, not deferrable"

_IDLE_IN_TRANSACTION_MS = 5_000
"""Through a pooler: how long a process that stands still between a statement and its COMMIT may hold locks. Well below
the lease, which ends before others take over."""

# Planned while a table was small, a statement over sets turns into a sequential scan once a million parked rows arrive:
# 0.7 ms become 220 to 350 ms. Every join of the hot path is a loop over a handful of keys into a primary key.
_PINNED = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "statement_timeout": str(_PINNED_STATEMENT_TIMEOUT_MS),
}

# What a pooler in transaction mode makes of prepared statements: they are in another session, or there already.
_POOLER_STATES = frozenset({"26000", "42P05"})

_DOWN_STATES = frozenset({"57P02", "57P03"})
# Of a failed connection libpq gives a text only.
_FINAL_TEXTS = (
    "authentication failed", "no password supplied", " does not exist", "pg_hba.conf", "permission denied",
    "certificate", "server does not support SSL", "is not currently accepting connections",
)  # fmt: skip
_DOWN_TEXTS = ("Connection refused", "No such file or directory", "the database system is", "terminating connection")


class PoolerUnnamed(Exception):
    """The URL is that of a pooler in transaction mode, and nobody said so."""

    def __init__(self) -> None:
        super().__init__(
            "a pooler in transaction mode stands before the database: say so by --pooler, ASL_POOLER=1 or "
            "Engine(url, pooler=True), or give the URL of the database itself"
        )


class PoolerConnection(psycopg.Connection[Row]):
    """A connection to a pooler that gives each transaction another session of the server, PgBouncer's transaction mode.

    Nothing is prepared, and each statement outside a transaction brings its settings along: BEGIN and what holds for
    it, the statement, COMMIT. A pipeline would save two round trips and is slower: the client has more to do for it.
    """

    beginning: LiteralString = ""
    """BEGIN, and the settings of each statement."""

    def execute(
        self, query: Any, params: Any = None, *, prepare: bool | None = None, binary: bool = False
    ) -> psycopg.Cursor[Row]:
        """See `psycopg.Connection.execute`; nothing is prepared."""
        if not self.beginning or self.info.transaction_status != TransactionStatus.IDLE:
            return super().execute(query, params, prepare=False, binary=binary)
        with self.of_one_statement():
            return super().execute(query, params, prepare=False, binary=binary)

    @contextmanager
    def of_one_statement(self) -> Iterator[None]:
        """The transaction of one statement, with what holds for it."""
        super().execute(self.beginning, prepare=False)
        try:
            yield
        except BaseException:
            if not self.closed:
                self.rollback()
            raise
        super().execute("commit", prepare=False)


def connect(url: str, *, name: str, pinned: bool, pooler: bool = False) -> Connection:
    """A connection in autocommit.

    Args:
        url: A PostgreSQL URL or connection string.
        name: What `pg_stat_activity` shows.
        pinned: For statements of the hot path, whose plans must not change with the sizes of tables.
        pooler: The URL is that of a pooler in transaction mode.

    Raises:
        StoreUnavailable: It cannot be made now.
    """
    try:
        kind: type[Connection] = PoolerConnection if pooler else psycopg.Connection
        connection = kind.connect(url, **_arguments(name, pooler=pooler))
    except psycopg.OperationalError as error:
        is_down = any(text in str(error) for text in _DOWN_TEXTS)
        is_final = not is_down and any(text in str(error) for text in _FINAL_TEXTS)
        raise StoreUnavailable(str(error), nobody_is_connected=is_down, is_final=is_final) from error
    try:
        _configure(connection, name, _PINNED if pinned else {})
    except psycopg.OperationalError as error:
        connection.close()
        raise unavailable(error) from error
    return connection


def _arguments(name: str, *, pooler: bool) -> dict[str, Any]:
    return {
        "autocommit": True,
        **({"prepare_threshold": None} if pooler else {}),
        "application_name": name,
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "tcp_user_timeout": _TCP_USER_TIMEOUT_MS,
        "cursor_factory": RawCursor,
        "client_encoding": "UTF8",  # our arrays hold it, whatever the database is in
    }


# What a role or a database may have set otherwise. The statements are written for this isolation: one that waited for a
# lock must see what the other did. An answer that is not durable would be a lie.
_EXPECTED = {
    "default_transaction_isolation": "'read committed'",
    "default_transaction_read_only": "'off'",
    "default_transaction_deferrable": "'off'",
    "synchronous_commit": (
        "case current_setting('synchronous_commit') when 'off' then 'on' else current_setting('synchronous_commit') end"
    ),
}


def _configure(connection: Connection, name: str, settings: dict[str, str]) -> None:
    limits = {"statement_timeout": str(STATEMENT_TIMEOUT_MS), "lock_timeout": str(LOCK_TIMEOUT_MS)}
    given = _EXPECTED | {key: f"'{value}'" for key, value in (limits | settings).items()}
    if isinstance(connection, PoolerConnection):
        # The session's own name may be that of another client.
        given |= {
            "application_name": f"'{name}'",
            "idle_in_transaction_session_timeout": f"'{_IDLE_IN_TRANSACTION_MS}'",
        }
        connection.beginning = f"{_BEGIN}; {_set_config(given, is_local=True)}"
    else:
        connection.execute(_set_config(given, is_local=False))
    arrays.register(connection)
    connection.prepared_max = None  # there are as many kinds of groups as are sent


def _set_config(settings: dict[str, str], *, is_local: bool) -> LiteralString:
    calls = (f"set_config('{key}', {value}, {'true' if is_local else 'false'})" for key, value in settings.items())
    return f"select {', '.join(calls)}"


# Those of the pool are OperationalErrors. An IntegrityError is two calls that met: the next try sees the other. An
# InternalError is a server that became a standby (25006), or that is damaged: perhaps another answers next time.
WORLDS_ERRORS = (psycopg.OperationalError, psycopg.InterfaceError, psycopg.IntegrityError, psycopg.InternalError)


def unavailable(error: psycopg.Error) -> StoreUnavailable:
    """The error for a call of which nobody knows whether it took effect."""
    text = str(error) or type(error).__name__
    if error.sqlstate in _POOLER_STATES:
        text = f"{text}\n{PoolerUnnamed()}"
    return StoreUnavailable(text, nobody_is_connected=error.sqlstate in _DOWN_STATES)


class Session:
    """A pinned connection for one duty, made when it is first needed and anew after it broke."""

    def __init__(self, url: str, name: str, *, pooler: bool = False) -> None:
        self._url = url
        self._name = name
        self._pooler = pooler
        self._connection: Connection | None = None
        self._prepared: dict[str, bytes] = {}
        self._has_ended = False
        self._lock = threading.RLock()

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Runs a prepared statement, which is its own transaction; its rows.

        Raises:
            StoreUnavailable: There is no connection.
            psycopg.Error: Of the statement, or that the connection broke meanwhile.
        """
        with self._connected() as connection:
            return connection.execute(sql, parameters, prepare=True).fetchall()

    def execute_finished(self, sql: str, parameters: Sequence[Parameter]) -> list[str | None]:
        """As `execute`, for parameters that are finished bytes; the one row, each value as text.

        It is a single call of libpq, which lets other threads run meanwhile: a third of the time that a cursor takes,
        which asks for Python's lock four times.
        """
        with self._connected() as connection:
            link, formats = connection.pgconn, [Format.BINARY] * len(parameters)
            types = [parameter.oid for parameter in parameters]
            if isinstance(connection, PoolerConnection):
                with connection.of_one_statement():
                    result = _checked(link.exec_params(sql.encode(), parameters, types, formats, Format.TEXT))
            else:
                name = self._prepared.get(sql)
                if name is None:
                    name = b"asl_%d" % len(self._prepared)
                    _checked(link.prepare(name, sql.encode(), types))
                    self._prepared[sql] = name
                result = _checked(link.exec_prepared(name, parameters, formats, Format.TEXT))
            row = [result.get_value(0, column) for column in range(result.nfields)]
            return [None if value is None else value.decode() for value in row]

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        with self._lock:
            connection = self._connection
            if self._has_ended:
                raise StoreUnavailable("this session is closed")
            if connection is None:
                self._prepared.clear()
                connection = self._connection = connect(self._url, name=self._name, pinned=True, pooler=self._pooler)
            try:
                yield connection
            except BaseException:
                if connection.closed:
                    self._connection = None
                raise

    def run(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """As `execute`, where each failure is the world's, a right taken away as well. Raises StoreUnavailable."""
        try:
            return self.execute(sql, parameters)
        except psycopg.Error as error:
            raise unavailable(error) from error

    @property
    def is_connected(self) -> bool:
        """Whether the connection outlived the last statement."""
        return self._connection is not None

    def close(self) -> None:
        """Closes the connection; the next statement makes another."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def end(self) -> None:
        """Closes it for good: a thread that is late with a statement must not open it again, for nobody closes it."""
        with self._lock:
            self._has_ended = True
            self.close()


def _checked(result: PGresult) -> PGresult:
    """Raises psycopg.Error: the statement failed."""
    if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
        raise psycopg.errors.error_from_result(result)
    return result


class Pool:
    """Connections for everything that is not the hot path; any thread."""

    def __init__(self, url: str, name: str, *, pooler: bool = False) -> None:
        self._url = url
        self._name = name
        self._pooler = pooler
        self._pool: ConnectionPool[Connection] | None = None
        self._lock = threading.Lock()

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection in autocommit.

        Raises:
            PoolerUnnamed: See there.
            StoreUnavailable: In place of the errors of the driver that another try may not meet.
        """
        pool = self._opened()
        connection: Connection | None = None
        try:
            with pool.connection() as connection:
                yield connection
        except WORLDS_ERRORS as error:
            if connection is None or connection.closed:
                self._discard(pool)
            raise unavailable(error) from error
        except psycopg.ProgrammingError as error:
            if error.sqlstate in _POOLER_STATES:
                raise PoolerUnnamed from error
            raise

    def _discard(self, pool: ConnectionPool[Connection]) -> None:
        """Drops a pool of which a connection broke: the others are broken too, and it is slow to make new ones."""
        with self._lock:
            if self._pool is pool:
                self._pool = None
        # Its threads may be about to connect, which takes a while; who waits for none is told so in the log.
        threading.Thread(target=pool.close, name="asl pool", daemon=True).start()

    def execute(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Runs one statement, which is its own transaction; its rows. Raises StoreUnavailable."""
        with self.connection() as connection:
            return connection.execute(sql, parameters).fetchall()

    def _opened(self) -> ConnectionPool[Connection]:
        with self._lock:
            if self._pool is None:
                # One connection by hand first: its error tells what a pool would only time out on.
                with connect(self._url, name=self._name, pinned=False, pooler=self._pooler) as connection:
                    if not self._pooler:
                        try:
                            _refuse_pooler(connection, self._url)
                        except WORLDS_ERRORS as error:  # the server goes away just now
                            raise unavailable(error) from error
                kind: type[Connection] = PoolerConnection if self._pooler else psycopg.Connection
                self._pool = ConnectionPool(
                    self._url,
                    connection_class=kind,
                    kwargs=_arguments(self._name, pooler=self._pooler),
                    min_size=0,
                    max_size=_POOL_SIZE_MAX,
                    timeout=CONNECT_TIMEOUT_SECONDS,
                    configure=partial(_configure, name=self._name, settings={}),
                    open=True,
                )
            return self._pool

    def close(self) -> None:
        """Closes all connections."""
        with self._lock:
            if self._pool is not None:
                self._pool.close()
                self._pool = None


def is_direct(connection: Connection) -> bool:
    """Whether the session of the server is the one that the connection was made with: no pooler stands between."""
    return bool(connection.execute("select pg_backend_pid()").fetchall()[0][0] == connection.info.backend_pid)


def _refuse_pooler(connection: Connection, url: str) -> None:
    """Raises PoolerUnnamed where it shows at once that sessions are shared; one in session mode does no harm."""
    if is_direct(connection):
        return
    mine = connection.execute("select pg_backend_pid()").fetchall()
    with connect(url, name="asl", pinned=False) as other:
        # Which still has its session in session mode.
        if other.execute("select pg_backend_pid()").fetchall() == mine:
            raise PoolerUnnamed


def clock(pool: Pool) -> int:
    """The store's clock. Raises StoreUnavailable."""
    now: int = pool.execute(f"select {NOW_MS}")[0][0]
    return now
