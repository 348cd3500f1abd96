"""Who uses a store in the suites."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from engine.store.library import Store
    from engine.store.protocol import DurableStore, WorkerId


class StoreSuite:
    """Two handles of one store are two workers on the same data."""

    @pytest.fixture
    def worker(self, store: Store) -> DurableStore:
        return self.enlisted(store)

    @pytest.fixture
    def other(self, store: Store) -> DurableStore:
        return self.enlisted(store)

    @pytest.fixture
    def client(self, store: Store) -> DurableStore:
        return store.handle()

    def enlisted(self, store: Store, *pools: str) -> DurableStore:
        handle = store.handle()
        handle.enlist(pools=pools or ("default",), host="here", pid=1)
        return handle

    def bury(self, observer: DurableStore) -> None:
        """Declares all other workers dead."""
        for worker_id, (epoch, heartbeat) in observer.others().items():
            assert observer.declare_dead(worker_id, epoch=epoch, heartbeat=heartbeat)

    def enlisted_as(self, store: Store) -> tuple[WorkerId, DurableStore]:
        handle = store.handle()
        return handle.enlist(pools=["default"], host="here", pid=1), handle
