"""The store of one process keeps the promises of every store, as long as the process lives."""

from __future__ import annotations

import pytest

from engine.lambda_emulator.memory_store import MemoryFunctionStore
from tests.lambda_emulator.function_store_suite import FunctionStoreSuite


@pytest.fixture
def store() -> MemoryFunctionStore:
    return MemoryFunctionStore()


class TestMemoryFunctionStore(FunctionStoreSuite):
    pass
