"""Distributed Maps in one process's memory, on a store in memory that workers share, and by one apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import engine
from engine.store.memory import MemoryStore
from tests.runtime.fleets import on
from tests.runtime.map_run_suite import Handlers, MapRunSuite

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class TestInMemory(MapRunSuite):
    @pytest.fixture
    async def opened(self, handlers: Handlers) -> AsyncIterator[engine.Engine]:
        async with engine.Engine.in_memory(handlers.table) as one:
            yield one


class TestFleet(MapRunSuite):
    @pytest.fixture
    async def opened(self, handlers: Handlers) -> AsyncIterator[engine.Engine]:
        async with on(MemoryStore(through_bytes=True), handlers.table) as one:
            yield one


class TestOfAWorkerThatClaimsNothingOfOthers(MapRunSuite):
    @pytest.fixture
    async def opened(self, handlers: Handlers) -> AsyncIterator[engine.Engine]:
        async with on(MemoryStore(through_bytes=True), handlers.table, claims="own") as one:
            yield one
