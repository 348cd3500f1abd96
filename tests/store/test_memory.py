"""The store of one process."""

from __future__ import annotations

import pytest

from engine.errors import ExecutionDoesNotExist, InvalidToken
from engine.store.memory import MemoryStore
from tests.store.suite import SUCCEEDED, StoreSuite, execution, started


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


class TestMemoryStore(StoreSuite):
    pass


def test_the_executions_closed_longest_ago_are_forgotten_with_their_tokens():
    store = MemoryStore(closed_executions_max=2)
    still_open = started(store, "open")
    for name in ("a", "b", "c"):
        started(store, name).write(store, tokens_opened=[(name, (0, 0, 1))], ending=SUCCEEDED)
    with pytest.raises(ExecutionDoesNotExist):
        store.execution(execution("a").arn)
    with pytest.raises(InvalidToken):
        store.take_token("a")
    assert store.execution(execution("b").arn).status == "SUCCEEDED"
    assert store.execution(still_open.snapshot.execution.arn).status == "RUNNING"
