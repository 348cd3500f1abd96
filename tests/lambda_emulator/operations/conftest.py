"""An emulator for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lambda_emulator.control_plane import emulating

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from engine.lambda_emulator.emulator import Emulator


@pytest.fixture
async def emulator(tmp_path: Path, anyio_backend: str) -> AsyncIterator[Emulator]:
    async with emulating(tmp_path / "code") as entered:
        yield entered
