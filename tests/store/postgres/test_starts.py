"""Named starts beside other people's transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from engine.store.postgres.identity import machine_key
from engine.store.protocol import Birth, StoreUnavailable
from tests.store.postgres.waiting import InThread, until_sessions_wait
from tests.store.postgres.workers import enlisted
from tests.store.runs import MACHINE, REVISION, born, execution, named, new_id

if TYPE_CHECKING:
    from engine.store.postgres.store import PostgresStore


def test_a_name_in_somebodys_open_transaction_holds_nobody_else_up(store: PostgresStore, url: str):
    worker = enlisted(store)
    birth = Birth(execution=execution("n"), revision_id=REVISION)
    with psycopg.connect(url) as user:
        user.execute(
            "insert into asl.execution_name (state_machine_id, name, execution_id, input_digest) "
            "values (%s, 'n', %s, '')",
            (machine_key(MACHINE), new_id()),
        )
        with pytest.raises(StoreUnavailable):
            store.handle().start_named(new_id(), birth)
        born(worker).write(worker)
        user.rollback()
    given = new_id()
    assert store.handle().start_named(given, birth) == (given, True)


def test_many_starts_are_all_left_when_somebodys_open_transaction_holds_one_of_their_names(
    store: PostgresStore, url: str
):
    client = store.handle()
    births = [(new_id(), Birth(execution=execution(name), revision_id=REVISION)) for name in ("free", "n")]
    with psycopg.connect(url) as user:
        user.execute(
            "insert into asl.execution_name (state_machine_id, name, execution_id, input_digest) "
            "values (%s, 'n', %s, '')",
            (machine_key(MACHINE), new_id()),
        )
        assert not client.start_many(births)
        assert client.start_named(*births[0]) == (births[0][0], True)
        user.rollback()
    assert set(client.start_many(births)) == {births[1][0]}


def test_many_starts_are_all_left_when_one_of_them_cannot_be_written(store: PostgresStore):
    client = store.handle()
    for pool in ("nul\0", "surrogate\ud800"):
        bad = Birth(execution=execution("bad"), revision_id=REVISION, pool=pool)
        good = Birth(execution=execution("good"), revision_id=REVISION)
        assert not client.start_many([(new_id(), good), (new_id(), bad)])


def test_a_wait_for_a_name_holds_up_no_renewal_and_no_group(store: PostgresStore, url: str):
    """The fence is locked after the names, so a worker that waits for one goes on living."""
    worker = store.handle()
    worker_id = worker.enlist(pools=["default"], host="here", pid=1)
    run = born(worker)
    with psycopg.connect(url) as user, psycopg.connect(url, autocommit=True) as database:
        user.execute(
            "insert into asl.execution_name (state_machine_id, name, execution_id, input_digest) "
            "values (%s, 'n', %s, '')",
            (machine_key(MACHINE), new_id()),
        )
        births = [named("free"), named("n")]
        started = InThread(lambda: worker.start_all(worker_id, births))
        until_sessions_wait(database, 1)
        worker.renew()
        run.write(worker)
        until_sessions_wait(database, 1)  # it still does
        assert list(started.result()) == []
    assert list(worker.owned()) == [run.id]
