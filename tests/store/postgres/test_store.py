"""The store in PostgreSQL keeps every promise of the contract."""

from __future__ import annotations

from tests.store.durable_suite import DurableSuite


class TestPostgresStore(DurableSuite):
    pass
