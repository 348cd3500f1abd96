"""The store in PostgreSQL keeps every promise of the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine.store.postgres.store import PostgresStore
from tests.store.activity_suite import ActivitySuite
from tests.store.definitions_suite import DefinitionsSuite
from tests.store.durable_suite import DurableSuite
from tests.store.shown_suite import ShownSuite
from tests.store.status_change_suite import StatusChangeSuite

if TYPE_CHECKING:
    from collections.abc import Iterator


class TestPostgresStore(DurableSuite):
    @pytest.fixture
    def listening(self, store: PostgresStore, url: str) -> Iterator[PostgresStore]:
        opened = PostgresStore(url)
        yield opened
        opened.close()


class TestActivities(ActivitySuite):
    pass


class TestDefinitions(DefinitionsSuite):
    pass


class TestShown(ShownSuite):
    pass


class TestStatusChanges(StatusChangeSuite):
    pass
