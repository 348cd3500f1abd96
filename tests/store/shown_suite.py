"""What every store promises about executions as they are shown. A backend's test module gives a `store` fixture and
subclasses `ShownSuite`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.errors import ExecutionDoesNotExist
from tests.store.durable_suite import Run

if TYPE_CHECKING:
    from engine.store.library import Store
    from engine.store.protocol import DurableStore


class ShownSuite:
    """The promises."""

    @pytest.fixture
    def worker(self, store: Store) -> DurableStore:
        handle = store.handle()
        handle.enlist(pools=["default"], host="here", pid=1)
        return handle

    def test_history_is_read_in_pages(self, store: Store, worker: DurableStore):
        run = Run()
        for events in (2, 1, 3, 2):
            run.write(worker, events=events)

        def firsts(**page: object) -> list[int]:
            return [segment.first_event_id for segment in store.history(run.arn, **page)]  # type: ignore[arg-type]

        assert firsts() == [1, 3, 4, 7]
        assert firsts(events_max=2) == [1]
        assert firsts(events_max=3) == [1, 3]
        assert firsts(from_event_id=5) == [4, 7]
        assert firsts(from_event_id=4, events_max=1) == [4]
        assert firsts(backwards=True, events_max=2) == [7, 4]
        assert firsts(backwards=True, from_event_id=6, events_max=2) == [4]
        assert firsts(backwards=True, from_event_id=6, events_max=4) == [4, 3]
        assert firsts(backwards=True, from_event_id=5) == [4, 3, 1]
        with pytest.raises(ExecutionDoesNotExist):
            store.history(run.arn + "x")
