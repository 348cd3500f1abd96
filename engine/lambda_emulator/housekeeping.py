"""What an emulator does unasked.

It learns of others' functions, goes on with what a server that stopped had under way, and removes code that nothing
names any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
import structlog

from engine.lambda_emulator.library import FRESH_SECONDS
from engine.lambda_emulator.preparation import resume

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from engine.lambda_emulator.emulator import Emulator

_SWEEP_SECONDS = 600
_AGAIN_SECONDS = 5
"""After something failed: the store could not be reached, mostly."""


async def keep_house(emulator: Emulator) -> None:
    """Runs until it is cancelled."""
    async with anyio.create_task_group() as group:
        group.start_soon(_repeat, emulator.library.learn_names, FRESH_SECONDS)
        group.start_soon(_repeat, emulator.code.sweep, _SWEEP_SECONDS)
        group.start_soon(_once, emulator)


async def _repeat(do: Callable[[], Awaitable[object]], every_seconds: float) -> None:
    while True:
        is_done = await _tried(do)
        await anyio.sleep(every_seconds if is_done else max(every_seconds, _AGAIN_SECONDS))


async def _once(emulator: Emulator) -> None:
    while True:
        if await _tried(lambda: resume(emulator)):
            return
        await anyio.sleep(_AGAIN_SECONDS)


async def _tried(do: Callable[[], Awaitable[object]]) -> bool:
    try:
        await do()
    except Exception:  # noqa: BLE001
        structlog.get_logger().exception("housekeeping of functions failed, and is tried again")
        return False
    return True
