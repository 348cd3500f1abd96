"""Named starts beside other people's transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from engine.store.postgres.identity import machine_key
from engine.store.protocol import Birth, StoreUnavailable
from tests.store.durable_suite import MACHINE, REVISION, DurableSuite, born, execution, new_id
from tests.store.postgres.waiting import InThread, until_sessions_wait
from tests.store.postgres.workers import enlisted

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
        births = [DurableSuite.named("free"), DurableSuite.named("n")]
        started = InThread(lambda: worker.start_all(worker_id, births))
        until_sessions_wait(database, 1)
        worker.renew()
        run.write(worker)
        until_sessions_wait(database, 1)  # it still does
        assert list(started.result()) == []
    assert list(worker.owned()) == [run.id]
