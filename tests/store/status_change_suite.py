"""What every store promises about changes of status. A backend's test module gives a `store` fixture and subclasses
`StatusChangeSuite`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.store.protocol import Conflict, DurableStore, Group, StatusChange
from tests.store.runs import FAILED, SUCCEEDED, Run

if TYPE_CHECKING:
    from engine.store.library import Store
    from engine.store.records import TakenChange

RUNNING = StatusChange(number=0, event=b'{"status":"RUNNING"}')
OVER = StatusChange(number=1, event=b'{"status":"SUCCEEDED"}')
AN_HOUR_MS = 3_600_000


def told(store: Store, most: int = 10, hidden_ms: int = AN_HOUR_MS) -> list[tuple[TakenChange, bytes]]:
    return [(change, change.event) for change in store.take_status_changes(most=most, hidden_ms=hidden_ms)]


class StatusChangeSuite:
    """The promises."""

    @pytest.fixture
    def worker(self, store: Store) -> DurableStore:
        handle = store.handle()
        handle.enlist(pools=["default"], host="here", pid=1)
        return handle

    def test_a_change_of_status_is_there_once_its_checkpoint_is(self, store: Store, worker: DurableStore):
        run = Run()
        assert told(store) == []
        run.write(worker, status_changes=[RUNNING])
        run.write(worker, ending=SUCCEEDED, status_changes=[OVER])
        taken = store.take_status_changes(most=10, hidden_ms=AN_HOUR_MS)
        assert [(one.execution_id, one.number, one.attempts, one.event) for one in taken] == [
            (run.id, 0, 1, RUNNING.event), (run.id, 1, 1, OVER.event),
        ]  # fmt: skip

    def test_one_checkpoint_may_begin_and_end_an_execution(self, store: Store, worker: DurableStore):
        Run().write(worker, ending=FAILED, status_changes=[RUNNING, OVER])
        assert [event for _, event in told(store)] == [RUNNING.event, OVER.event]

    def test_of_a_checkpoint_that_is_refused_nothing_is_told(self, store: Store, worker: DurableStore):
        run = Run()
        run.write(worker)
        late = run.next(status_changes=[OVER])
        run.write(worker)
        with pytest.raises(Conflict):
            worker.commit(Group(checkpoints=[late]))
        assert told(store) == []

    def test_what_was_taken_is_hidden_from_others_and_comes_again_until_it_is_settled(
        self, store: Store, worker: DurableStore
    ):
        Run().write(worker, status_changes=[RUNNING])
        (first,) = store.take_status_changes(most=10, hidden_ms=0)
        (again,) = store.take_status_changes(most=10, hidden_ms=AN_HOUR_MS)
        assert (first.attempts, again.attempts) == (1, 2)
        assert told(store) == []
        store.settle_status_changes([again])
        store.settle_status_changes([again])
        assert told(store) == []

    def test_what_was_settled_does_not_come_again(self, store: Store, worker: DurableStore):
        Run().write(worker, status_changes=[RUNNING])
        store.settle_status_changes(store.take_status_changes(most=10, hidden_ms=0))
        assert told(store) == []

    def test_no_more_are_taken_than_asked_for(self, store: Store, worker: DurableStore):
        for _ in range(3):
            Run().write(worker, status_changes=[RUNNING])
        assert [len(told(store, most=2)) for _ in range(3)] == [2, 1, 0]

    def test_large_events_come_back_whole(self, store: Store, worker: DurableStore):
        event = b'{"input":"' + b"abc" * 50_000 + b'"}'
        Run().write(worker, status_changes=[StatusChange(number=0, event=event)])
        assert [found for _, found in told(store)] == [event]
