"""Distributed Maps on PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import engine
from tests.runtime.map_run_suite import Handlers, MapRunSuite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class TestPostgres(MapRunSuite):
    @pytest.fixture
    async def opened(self, handlers: Handlers, url: str) -> AsyncIterator[engine.Engine]:
        async with engine.Engine(url=url, handlers=handlers.table) as one:
            yield one
