"""Hints by LISTEN and NOTIFY: gathered, never in the way, and there again after the connection was lost."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest

from engine.store.hints import Hint
from engine.store.postgres.listener import PostgresHints, presence_key
from engine.store.postgres.store import PostgresStore
from engine.store.protocol import WorkerId
from tests.store.postgres.poolers import running_swapper
from tests.store.postgres.workers import enlisted
from tests.waiting import DEADLINE_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.store.postgres.cluster import Cluster

Database = psycopg.Connection[Any]


@pytest.fixture
def teller(url: str) -> Iterator[PostgresHints]:
    hints = PostgresHints(url)
    yield hints
    hints.close()


@pytest.fixture
def listener(url: str) -> Iterator[PostgresHints]:
    hints = PostgresHints(url)
    yield hints
    hints.close()


def listened(listener: PostgresHints) -> SimpleQueue[Hint]:
    heard: SimpleQueue[Hint] = SimpleQueue()
    listener.listen(heard.put)
    assert heard.get(timeout=DEADLINE_SECONDS) == Hint("CONNECTED")
    return heard


def sessions(database: Database) -> list[int]:
    return [row[0] for row in database.execute("select pid from pg_stat_activity where application_name = 'asl hints'")]


def test_a_flood_is_gathered(teller: PostgresHints, listener: PostgresHints):
    heard = listened(listener)
    told = {uuid4().hex for _ in range(5_000)}
    for one in told:
        teller.tell("MAIL", [one])
    teller.tell("START")
    hints, known = 0, set()
    while (hint := heard.get(timeout=DEADLINE_SECONDS)).kind == "MAIL":
        hints += 1
        known |= hint.about or told  # it is not said which when there are too many
    assert known == told
    assert hints < 500


def test_one_that_does_not_say_which_is_about_all(teller: PostgresHints, listener: PostgresHints):
    heard = listened(listener)
    teller.tell("START", ["a"])
    teller.tell("START")
    teller.tell("START", ["b"])
    while (hint := heard.get(timeout=DEADLINE_SECONDS)).about:
        assert hint == Hint("START", frozenset({"a"}))  # it was on its way already


def test_nobody_hears_himself(teller: PostgresHints, listener: PostgresHints):
    own, heard = listened(teller), listened(listener)
    teller.tell("START", ["own"])
    assert heard.get(timeout=DEADLINE_SECONDS) == Hint("START", frozenset({"own"}))
    listener.tell("START", ["other's"])
    assert own.get(timeout=DEADLINE_SECONDS) == Hint("START", frozenset({"other's"}))


def test_what_is_told_last_is_told_before_the_end(url: str, listener: PostgresHints):
    heard = listened(listener)
    hints = PostgresHints(url)
    hints.tell("START", ["last"])
    hints.close()
    assert heard.get(timeout=DEADLINE_SECONDS) == Hint("START", frozenset({"last"}))


def test_a_lost_connection_is_made_again(teller: PostgresHints, listener: PostgresHints, database: Database):
    heard = listened(listener)
    (pid,) = sessions(database)
    database.execute("select pg_terminate_backend(%s)", (pid,))
    assert heard.get(timeout=DEADLINE_SECONDS) == Hint("DISCONNECTED")
    assert heard.get(timeout=DEADLINE_SECONDS) == Hint("CONNECTED")
    teller.tell("START", ["a"])
    assert heard.get(timeout=DEADLINE_SECONDS) == Hint("START", frozenset({"a"}))


def test_what_is_not_ours_on_the_channel_is_passed_over(listener: PostgresHints, teller: PostgresHints, url: str):
    heard = listened(listener)
    with psycopg.connect(url, autocommit=True) as somebody:
        for payload in ("", "{", '["LATER", []]', '["START", 1]'):
            somebody.execute("select pg_notify('asl', %s)", (payload,))
    teller.tell("START", ["a"])
    assert heard.get(timeout=DEADLINE_SECONDS) == Hint("START", frozenset({"a"}))


def test_without_a_server_nothing_waits_and_nothing_fails():
    hints = PostgresHints("postgresql://nobody@127.0.0.1:1/nothing")
    hints.listen(lambda hint: None)
    hints.tell("START", ["a"])
    assert not hints.are_heard
    hints.close()


def test_through_a_pooler_nothing_is_listened_to(cluster: Cluster, url: str, database: Database):
    with running_swapper(cluster) as pooled:
        hints = PostgresHints(pooled)
        hints.listen(lambda hint: None)
        wait_until(lambda: hints._thread is not None and not hints._thread.is_alive())
        assert not hints.are_heard
        hints.close()


def test_an_idle_store_has_no_thread_and_no_connection(store: PostgresStore, database: Database):
    assert store.hints._thread is None
    assert sessions(database) == []


def test_the_presence_of_a_worker_ends_with_its_connection_and_comes_again(listener: PostgresHints, database: Database):
    worker_id = WorkerId(uuid4())

    def is_present() -> bool:
        if not database.execute("select pg_try_advisory_lock(%s)", (presence_key(worker_id),)).fetchall()[0][0]:
            return True
        database.execute("select pg_advisory_unlock(%s)", (presence_key(worker_id),))
        return False

    listened(listener)
    assert not is_present()
    listener.hold(worker_id)
    wait_until(is_present)
    (pid,) = sessions(database)
    database.execute("select pg_terminate_backend(%s)", (pid,))
    wait_until(lambda: sessions(database) not in ([], [pid]))
    wait_until(is_present)
    listener.hold(WorkerId(uuid4()), instead_of=worker_id)
    wait_until(lambda: not is_present())


def test_a_worker_is_present_while_its_process_listens(store: PostgresStore, url: str, database: Database):
    other = PostgresStore(url)
    worker, observer = enlisted(other), enlisted(store)

    def is_present() -> bool:
        ((_, _, present),) = observer.presence().values()
        return present

    assert not is_present()
    other.hints.listen(lambda hint: None)
    wait_until(is_present)
    first = worker._worker.ownership.worker_id
    worker.resign()
    worker.enlist(pools=["default"], host="here", pid=1)
    assert worker._worker.ownership.worker_id != first
    wait_until(is_present)
    other.close()
    wait_until(lambda: not is_present())
