"""A service for each kind of backend: executions in memory, and executions on a store that others use as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from engine import Engine
from engine.store.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from engine.operations.service import Service

ACCOUNT = "123456789012"


@pytest.fixture(params=["memory", "store"])
async def engine(request: pytest.FixtureRequest) -> AsyncIterator[Engine]:
    made = (
        Engine.in_memory(account_id=ACCOUNT)
        if request.param == "memory"
        else Engine(url=MemoryStore, handlers={}, account_id=ACCOUNT)
    )
    async with made as one:
        yield one


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """For operations that never reach a backend's executions."""
    async with Engine.in_memory(clock="virtual", region="us-east-1", account_id=ACCOUNT, seed=0) as one:
        yield one.service
