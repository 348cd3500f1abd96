"""Fixtures that every test may use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def _no_database_of_the_users() -> Iterator[None]:
    """No test touches the executions of whoever runs the tests: without a URL or a directory an Engine cannot open."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("ASL_DATABASE_URL", raising=False)
        patch.setenv("XDG_DATA_HOME", "/dev/null/say-Engine.in_memory")
        yield
