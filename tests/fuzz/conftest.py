"""Nothing that is made up at random reaches a database: whatever a command wants of one, it cannot have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", autouse=True)
def no_database() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASL_DATABASE_URL", "postgresql://nobody@/nothing?host=/nonexistent")
        yield
