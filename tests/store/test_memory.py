"""The store of one process keeps the promises of a durable one, as long as the process lives."""

from __future__ import annotations

import pytest

from engine.errors import ExecutionDoesNotExist, InvalidToken, TaskTimedOut
from engine.store.memory import MemoryStore
from tests.store.activity_suite import ActivitySuite
from tests.store.definitions_suite import DefinitionsSuite
from tests.store.durable_suite import DurableSuite
from tests.store.runs import SUCCEEDED, TASK, born
from tests.store.shown_suite import ShownSuite
from tests.store.status_change_suite import StatusChangeSuite


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


class TestMemoryStore(DurableSuite):
    pass


class TestActivities(ActivitySuite):
    pass


class TestDefinitions(DefinitionsSuite):
    pass


class TestShown(ShownSuite):
    pass


class TestStatusChanges(StatusChangeSuite):
    pass


def test_the_executions_closed_longest_ago_are_forgotten_with_their_tokens() -> None:
    store = MemoryStore(closed_executions_max=2)
    worker = store.handle()
    worker.enlist(pools=["default"], host="here", pid=1)
    still_open = born(worker)
    closed = []
    for token in ("a", "b", "c"):
        run = born(worker)
        run.write(worker, tokens_opened=[(token, TASK)])
        run.write(worker, ending=SUCCEEDED, tokens_closed=[token])
        closed.append(run)
    with pytest.raises(ExecutionDoesNotExist):
        store.execution(closed[0].arn)
    with pytest.raises(InvalidToken):
        worker.heartbeat_token("a")
    assert store.execution(closed[1].arn).status == "SUCCEEDED"
    with pytest.raises(TaskTimedOut):
        worker.heartbeat_token("b")
    assert store.execution(still_open.arn).status == "RUNNING"
