"""What a store tells those who listen."""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING

import pytest

from engine.store.hints import Hint, HintKind, NoHints
from engine.store.protocol import NEVER_DUE, Birth, DurableStore, Group, Release
from tests.store.runs import FAILED, REVISION, SUCCEEDED, born, execution, new_id, parked, stop
from tests.store.store_suite import StoreSuite
from tests.waiting import DEADLINE_SECONDS, wait_until

if TYPE_CHECKING:
    from engine.store.library import Store


class HintsSuite(StoreSuite):
    """A part of `DurableSuite`."""

    @pytest.fixture
    def listening(self, store: Store) -> Store:
        """A store of another process on the same data."""
        return store

    def test_what_others_can_do_something_about_is_told(self, store: Store, listening: Store, worker: DurableStore):
        if isinstance(store.hints, NoHints):
            pytest.skip("nothing can be told through a pooler")
        heard: SimpleQueue[Hint] = SimpleQueue()
        listening.hints.listen(heard.put)
        wait_until(lambda: listening.hints.are_heard)
        client, run, due, lacking = store.handle(), parked(worker), born(worker), born(worker)

        def told(kind: HintKind, *about: str) -> None:
            while (hint := heard.get(timeout=DEADLINE_SECONDS)).kind in ("CONNECTED", "WAITING"):
                pass
            assert hint == Hint(kind, frozenset(about))

        named = Birth(execution=execution("told"), revision_id=REVISION, pool="gpu")
        client.start_named(new_id(), named)
        told("START", "gpu")
        client.start_named(new_id(), named)  # which is there already
        client.deliver([stop(run.id), stop(new_id())])
        told("MAIL", run.id.hex)
        worker.commit(Group(releases=[Release(execution_id=due.id, seq=1, wake_at=0)]))
        told("START")
        worker.commit(Group(releases=[Release(execution_id=lacking.id, seq=1, wake_at=NEVER_DUE, missing=["r"])]))
        told("MISSING")
        parked(worker, 0)
        told("START")

    def test_endings_are_told_while_somebody_waits(self, store: Store, listening: Store, worker: DurableStore):
        if isinstance(store.hints, NoHints):
            pytest.skip("nothing can be told through a pooler")
        heard: SimpleQueue[Hint] = SimpleQueue()
        listening.hints.listen(heard.put)
        store.hints.listen(lambda hint: None)
        wait_until(lambda: listening.hints.are_heard and store.hints.are_heard)
        early, late = born(worker), born(worker)
        early.write(worker, ending=SUCCEEDED)
        listening.hints.tell("WAITING")
        wait_until(lambda: store.hints.are_endings_wanted)
        late.write(worker, ending=FAILED)
        while (hint := heard.get(timeout=DEADLINE_SECONDS)).kind != "END":
            pass
        assert hint.about == {late.id.hex}
