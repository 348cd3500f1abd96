"""Where asynchronous invocations wait, in memory and in Postgres."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from engine.lambda_emulator.invocation_store import InvocationStore, MemoryInvocationStore, Queued
from engine.store.postgres.connection import Pool
from engine.store.postgres.lambda_invocations import PostgresInvocationStore
from tests.store.conftest import cluster, url, url_with_tables  # noqa: F401  fixtures

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "eu-central-1"


@pytest.fixture(params=["memory", "postgres"])
def store(request: pytest.FixtureRequest) -> Iterator[InvocationStore]:
    if request.param == "memory":
        yield MemoryInvocationStore()
        return
    pool = Pool(request.getfixturevalue("url"), "test")
    yield PostgresInvocationStore(pool)
    pool.close()


def queued(due_at: int = 1_000, **more: Any) -> Queued:
    given: dict[str, Any] = {
        "id": uuid4(), "account_id": "000000000000", "region": REGION, "function_name": "f", "qualifier": None,
        "request_id": "r", "trace_id": "t", "payload": b'{"\\u0000": 1}', "accepted_at": 1_000, "due_at": due_at,
    }  # fmt: skip
    return Queued(**given | more)


def take(store: InvocationStore, now: int, *, most: int = 10, hidden_until: int = 50_000) -> list[Queued]:
    return store.take(REGION, now, most=most, hidden_until=hidden_until)


def test_what_is_due_is_taken_the_oldest_first(store):
    later, sooner, not_yet = queued(900), queued(800, qualifier="live", attempts=1, refusals=2), queued(1_001)
    for one in (later, sooner, not_yet):
        store.put(one)
    assert store.next_due(REGION) == 800
    assert take(store, 1_000, most=1) == [sooner]
    assert take(store, 1_000) == [later]
    assert take(store, 1_000) == []
    assert store.next_due(REGION) == 1_001


def test_what_was_taken_is_hidden_until_it_is_settled_or_nobody_keeps_it(store):
    one = queued()
    store.put(one)
    assert take(store, 1_000, hidden_until=5_000) == [one]
    assert take(store, 4_999) == []
    store.hide([one.id], 9_000)
    assert take(store, 8_999) == []
    assert [found.id for found in take(store, 9_000, hidden_until=9_500)] == [one.id]
    store.settle(replace(one, due_at=70_000, attempts=1), one.id)
    assert take(store, 69_999) == []
    assert take(store, 70_000) == [replace(one, due_at=70_000, attempts=1)]
    store.settle(None, one.id)
    assert store.next_due(REGION) is None
    store.settle(None, one.id)  # by two servers that both had it


def test_another_regions_are_not_seen(store):
    store.put(queued(region="us-east-1"))
    assert (take(store, 2_000), store.next_due(REGION)) == ([], None)


def test_of_several_that_take_at_once_each_gets_others(store):
    for _ in range(60):
        store.put(queued())
    with ThreadPoolExecutor(6) as threads:
        taken = [one.id for some in threads.map(lambda _: take(store, 2_000), range(12)) for one in some]
    taken += [one.id for one in take(store, 2_000, most=60)]  # what was locked for a moment was passed over
    assert len(taken) == len(set(taken)) == 60
