"""A store that engines share, and its clock."""

from __future__ import annotations

import pytest

from engine.store.memory import MemoryStore
from tests.runtime.fleets import Now


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def store(now: Now) -> MemoryStore:
    return MemoryStore(now=now, through_bytes=True)
