"""Starts in a transaction of the caller's: over every kind of connection, and what must not happen to it."""

from __future__ import annotations

from contextlib import asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import psycopg
import pytest
import sqlalchemy
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from sqlalchemy.orm import Session, scoped_session, sessionmaker

import engine
from engine import blocking
from engine.store.postgres.starts import numbered
from engine.store.postgres.store import PostgresStore
from tests.definitions import machine, task
from tests.waiting import DEADLINE_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

Database = psycopg.Connection[Any]

PASS = {"Type": "Pass"}
MACHINE = "arn:aws:states:us-east-1:000000000000:stateMachine:m"

pytestmark = pytest.mark.anyio


@pytest.fixture
def client(url: str) -> blocking.Engine:
    """An engine that is not entered."""
    with blocking.Engine(url) as deployer:
        deployer.deploy(machine(PASS), "m")
    return blocking.Engine(url)


def open_rows(database: Database) -> int:
    return int(database.execute("select count(*) from asl.open_execution").fetchall()[0][0])


def sqlalchemy_url(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


SYNCHRONOUS = ("psycopg", "client cursors", "dictionaries", "pipeline", "core", "session", "scoped session")


@contextmanager
def transaction(kind: str, url: str) -> Iterator[Any]:
    """A connection of this kind, which is committed at the end unless an error comes."""
    if kind in ("psycopg", "client cursors", "dictionaries", "pipeline"):
        given: dict[str, Any] = {"client cursors": {"cursor_factory": psycopg.ClientCursor}}.get(kind, {})
        with psycopg.connect(
            url, row_factory=dict_row if kind == "dictionaries" else psycopg.rows.tuple_row, **given
        ) as one:
            if kind == "dictionaries":
                one.adapters.register_loader("uuid", psycopg.types.string.TextLoader)
                one.adapters.register_dumper(dict, psycopg.types.json.JsonbDumper)
            if kind == "pipeline":
                with one.pipeline():
                    yield one
            else:
                yield one
        return
    pool = sqlalchemy.create_engine(sqlalchemy_url(url), poolclass=sqlalchemy.NullPool)
    if kind == "core":
        with pool.begin() as connection:
            yield connection
    elif kind == "session":
        with Session(pool) as session, session.begin():
            yield session
    else:
        sessions = scoped_session(sessionmaker(pool))
        try:
            yield sessions
            sessions.commit()
        finally:
            sessions.remove()
    pool.dispose()


@pytest.mark.parametrize("kind", SYNCHRONOUS)
def test_the_execution_is_there_once_the_transaction_is_committed(
    client: blocking.Engine, url: str, database: Database, kind: str
):
    with transaction(kind, url) as connection:
        execution = client.start_execution("m", {"a": "é"}, name="n", connection=connection)
        unnamed = client.start_execution(MACHINE, b'{"a": 1}', connection=connection)
        assert open_rows(database) == 0
    assert execution.arn == MACHINE.replace("stateMachine", "execution") + ":n"
    with blocking.Engine(url, handlers={}) as worker:
        assert worker.execution(execution.arn).result() == {"a": "é"}
        assert worker.execution(unnamed.arn).result() == {"a": 1}


@pytest.mark.parametrize("kind", SYNCHRONOUS)
def test_a_rolled_back_transaction_leaves_nothing(client: blocking.Engine, url: str, database: Database, kind: str):
    def interrupted() -> None:
        with transaction(kind, url) as connection:
            client.start_execution("m", name="n", connection=connection)
            raise KeyError

    with pytest.raises(KeyError):
        interrupted()
    for table in ("execution", "execution_name", "open_execution", "mail"):
        assert database.execute(f"select count(*) from asl.{table}").fetchall() == [(0,)]


@pytest.mark.parametrize("kind", SYNCHRONOUS)
def test_what_is_refused_does_not_break_the_transaction(
    client: blocking.Engine, url: str, database: Database, kind: str
):
    with transaction(kind, url) as connection:
        first = client.start_execution("m", 1, name="n", connection=connection)
        assert client.start_execution("m", 1, name="n", connection=connection).arn == first.arn
        with pytest.raises(engine.ExecutionAlreadyExists):
            client.start_execution("m", 2, name="n", connection=connection)
        with pytest.raises(engine.StateMachineDoesNotExist):
            client.start_execution("nobody", connection=connection)
        with pytest.raises(engine.InvalidName):
            client.start_execution("m", name="a b", connection=connection)
        with pytest.raises(engine.InvalidExecutionInput):
            client.start_execution("m", b"{", connection=connection)
        client.start_execution("m", connection=connection)
    assert open_rows(database) == 2


@asynccontextmanager
async def asynchronous_transaction(kind: str, url: str) -> AsyncIterator[Any]:
    if kind == "psycopg":
        async with await psycopg.AsyncConnection.connect(url, row_factory=dict_row) as connection:
            yield connection
        return
    pytest.importorskip("greenlet")
    from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

    pool = create_async_engine(sqlalchemy_url(url), poolclass=sqlalchemy.NullPool)
    try:
        if kind == "core":
            async with pool.begin() as core:
                yield core
        else:
            async with AsyncSession(pool) as session, session.begin():
                yield session
    finally:
        await pool.dispose()


@pytest.mark.parametrize("kind", ["psycopg", "core", "session"])
async def test_a_connection_that_is_awaited_does_as_well(
    client: blocking.Engine, url: str, database: Database, kind: str
):
    outside = engine.Engine(url)
    async with asynchronous_transaction(kind, url) as connection:
        execution = await outside.start_execution("m", {"a": 1}, name="n", connection=connection)
        assert (await outside.start_execution("m", {"a": 1}, name="n", connection=connection)).arn == execution.arn
        with pytest.raises(engine.ExecutionAlreadyExists):
            await outside.start_execution("m", {"a": 2}, name="n", connection=connection)
        assert open_rows(database) == 0
    async with engine.Engine(url, handlers={}) as worker:
        assert await (await worker.execution(execution.arn)).result() == {"a": 1}
    with pytest.raises(TypeError, match="awaited"):
        client.start_execution("m", connection=connection)


async def test_an_asynchronous_engine_takes_a_connection_that_is_not_awaited(url: str, database: Database):
    async with engine.Engine(url, handlers={}) as one:
        handle = await one.deploy(machine(PASS), "m")
        with psycopg.connect(url) as user:
            execution = await one.start_execution(handle, 5, connection=user)
            assert execution.status == "RUNNING"
            assert open_rows(database) == 0
            user.commit()
            assert await execution.result() == 5


def test_in_autocommit_it_is_there_at_once(client: blocking.Engine, url: str, database: Database):
    with psycopg.connect(url, autocommit=True) as user:
        client.start_execution("m", connection=user)
        assert open_rows(database) == 1
        assert user.info.transaction_status is psycopg.pq.TransactionStatus.IDLE


def test_nothing_of_the_connection_changes(client: blocking.Engine, url: str):
    settings = "select name, setting from pg_settings where source = 'session' order by name"
    with psycopg.connect(url, prepare_threshold=0) as user:
        before = user.execute(settings).fetchall()
        for number in range(8):
            client.start_execution("m", number, connection=user)
        assert user.execute(settings).fetchall() == before
        statements = [row[0] for row in user.execute("select statement from pg_prepared_statements").fetchall()]
        assert not [statement for statement in statements if "execution_name" in statement or "born" in statement]
        assert user.info.transaction_status is psycopg.pq.TransactionStatus.INTRANS


def test_nobody_is_notified(client: blocking.Engine, url: str):
    with psycopg.connect(url, autocommit=True) as listener, psycopg.connect(url) as user:
        channels = "select channel from pg_listening_channels() as channel"
        assert listener.execute(channels).fetchall() == []
        client.start_execution("m", connection=user)
        pending = user.execute("select pg_notification_queue_usage()").fetchall()
        assert pending == [(0.0,)]


def test_a_start_is_one_statement(client: blocking.Engine, url: str, monkeypatch: pytest.MonkeyPatch):
    asked = []
    execute = psycopg.RawCursor.execute

    def counted(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        asked.append(query)
        return execute(self, query, *args, **kwargs)

    monkeypatch.setattr(psycopg.RawCursor, "execute", counted)
    with psycopg.connect(url) as user:
        client.start_execution("m", connection=user)
        client.start_execution("m", name="n", connection=user)
    assert len(asked) == 2


def test_two_transactions_of_one_name_wait_for_each_other(client: blocking.Engine, url: str):
    started: list[str] = []

    def second() -> None:
        with psycopg.connect(url, application_name="second") as user:
            started.append(client.start_execution("m", 1, name="n", connection=user).arn)

    import threading

    waiting = "select 1 from pg_stat_activity where application_name = 'second' and wait_event_type = 'Lock'"
    with psycopg.connect(url, autocommit=True) as watcher, psycopg.connect(url) as user:
        first = client.start_execution("m", 1, name="n", connection=user).arn
        thread = threading.Thread(target=second)
        thread.start()
        wait_until(lambda: watcher.execute(waiting).fetchall())
        assert started == []
        user.commit()
        thread.join(DEADLINE_SECONDS)
    assert started == [first]


def test_a_name_that_a_repeatable_read_cannot_see_is_a_serialization_failure(client: blocking.Engine, url: str):
    with psycopg.connect(url) as user, psycopg.connect(url) as other:
        user.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        user.execute("select count(*) from asl.execution_name")
        arn = client.start_execution("m", 1, name="n", connection=other).arn
        other.commit()
        with pytest.raises(psycopg.errors.SerializationFailure):
            client.start_execution("m", 1, name="n", connection=user)
        user.rollback()
        assert client.start_execution("m", 1, name="n", connection=user).arn == arn


def test_the_rows_of_the_caller_and_of_the_start_go_together(client: blocking.Engine, url: str, database: Database):
    database.execute("create table public.orders (id int primary key, body jsonb)")
    try:
        with psycopg.connect(url) as user:
            user.execute("insert into public.orders values (1, %s)", (Jsonb({"a": 1}),))
            client.start_execution("m", {"id": 1}, name="order-1", connection=user)
        with psycopg.connect(url) as user:
            client.start_execution("m", {"id": 2}, name="order-2", connection=user)
            with pytest.raises(psycopg.errors.UniqueViolation):
                user.execute("insert into public.orders values (1, null)")
        assert database.execute("select name from asl.execution").fetchall() == [("order-1",)]
    finally:
        database.execute("drop table public.orders")


def test_an_express_state_machine_is_found_out(client: blocking.Engine, url: str):
    with blocking.Engine(url) as deployer:
        deployer.deploy(machine(PASS), "e", type="EXPRESS")
    with psycopg.connect(url) as user:
        arns = {client.start_execution("e", name="n", connection=user).arn for _ in range(2)}
    assert [arn.rpartition(":")[0] for arn in arns] == ["arn:aws:states:us-east-1:000000000000:express:e:n"] * 2


@pytest.mark.parametrize("kind", SYNCHRONOUS)
def test_a_version_and_an_alias_are_started_like_a_state_machine(client: blocking.Engine, url: str, kind: str):
    with blocking.Engine(url) as deployer:
        for result in (1, 2):
            deployer.deploy(machine({"Type": "Pass", "Result": result}), "m")
            deployer.publish_version("m")
        alias = deployer.create_alias("live", {f"{MACHINE}:1": 100, f"{MACHINE}:2": 0})
        deployer.deploy(machine({"Type": "Pass", "Result": 3}), "m")
    with transaction(kind, url) as connection:
        started = [client.start_execution(arn, connection=connection).arn for arn in (f"{MACHINE}:2", alias, MACHINE)]
        for nobody in (f"{MACHINE}:9", f"{MACHINE}:nobody", f"{MACHINE}x:1"):
            with pytest.raises(engine.StateMachineDoesNotExist, match=f"{nobody}'$"):
                client.start_execution(nobody, connection=connection)
    with blocking.Engine(url, handlers={}) as worker:
        assert [worker.execution(arn).result() for arn in started] == [2, 1, 3]
    with closing(PostgresStore(url)) as store:
        through = [store.execution(arn).execution for arn in started]
    assert [one.state_machine_arn for one in through] == [MACHINE] * 3
    assert [one.state_machine_version_arn for one in through] == [f"{MACHINE}:2", f"{MACHINE}:1", None]
    assert [one.state_machine_alias_arn for one in through] == [None, alias, None]


def test_a_state_machine_that_is_being_deleted_starts_nothing_by_its_versions(client: blocking.Engine, url: str):
    with blocking.Engine(url) as deployer:
        deployer.publish_version("m")
        deployer.start_execution("m")
        deployer.delete_state_machine("m")
        with psycopg.connect(url) as user:
            for named in (MACHINE, f"{MACHINE}:1", f"{MACHINE}:live"):
                with pytest.raises(engine.StateMachineDeleting):
                    client.start_execution(named, connection=user)
                with pytest.raises(engine.StateMachineDeleting):
                    deployer.start_execution(named)


def test_it_runs_in_the_pool_that_is_given_or_in_the_state_machines(
    client: blocking.Engine, url: str, store: PostgresStore
):
    with blocking.Engine(url) as deployer:
        handle = deployer.deploy(machine(PASS), "g", pool="gpu")
        deployer.deploy(machine(task()), "g", pool="cpu")
    with psycopg.connect(url) as user:
        old = client.start_execution(handle, connection=user)
        new = client.start_execution("g", connection=user)
        other = client.start_execution("g", pool="mine", connection=user)
    records = [store.execution(one.arn) for one in (old, new, other)]
    assert [record.pool for record in records] == ["gpu", "cpu", "mine"]
    assert records[0].revision_id == handle.revision_id
    assert (
        records[1].revision_id
        == records[2].revision_id
        == store.state_machine(old.arn.replace("execution", "stateMachine").rpartition(":")[0]).revision_id
    )


def test_a_definition_as_it_is_is_deployed_first(url: str, database: Database):
    with blocking.Engine(url, handlers={}) as one, psycopg.connect(url) as user:
        execution = one.start_execution(machine(PASS), 3, connection=user)
        user.commit()
        assert execution.result() == 3


def test_an_engine_that_is_not_entered_says_so_when_it_is_asked_for_more(client: blocking.Engine, url: str):
    with psycopg.connect(url) as user:
        execution = client.start_execution("m", connection=user)
        with pytest.raises(RuntimeError, match="not open"):
            execution.result()
        with pytest.raises(RuntimeError, match="not open"):
            client.start_execution(machine(PASS), connection=user)
    with pytest.raises(RuntimeError, match="not open"):
        anyio.run(engine.Engine(url).start_execution, "m")


# ── what cannot be used ─────────────────────────────────────────────────────────────────────────────────────────────


def test_a_database_without_our_tables_is_told(client: blocking.Engine, cluster: Any):
    with psycopg.connect(cluster.url()) as user:
        with pytest.raises(engine.SchemaMismatch, match="asl db upgrade"):
            client.start_execution("m", connection=user)
        user.rollback()
    pool = sqlalchemy.create_engine(sqlalchemy_url(cluster.url()), poolclass=sqlalchemy.NullPool)
    with pool.connect() as connection, pytest.raises(engine.SchemaMismatch, match="no tables of ours"):
        client.start_execution("m", connection=connection)


def test_other_connections_are_refused_by_name(client: blocking.Engine, url: str):
    import sqlite3

    with pytest.raises(TypeError, match=r"expected a psycopg Connection .* got sqlite3.Connection"):
        client.start_execution("m", connection=sqlite3.connect(":memory:"))
    with pytest.raises(TypeError, match=r"got sqlalchemy.engine.base.Engine"):
        client.start_execution("m", connection=sqlalchemy.create_engine(sqlalchemy_url(url)))


def test_executions_in_memory_are_in_no_transaction(url: str):
    with (
        blocking.Engine.in_memory() as memory,
        psycopg.connect(url) as user,
        pytest.raises(ValueError, match="in memory"),
    ):
        memory.start_execution("m", connection=user)


def test_a_query_has_a_number_for_each_of_its_parameters():
    assert numbered("select {machine}, {id}, {machine}") == ("select $2::uuid, $1::uuid, $2::uuid", ["id", "machine"])
