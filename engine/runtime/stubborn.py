"""Handlers that were cancelled and do not end: coroutines that swallow their cancellation.

Like a thread that hangs, such a handler cannot be killed. After PATIENCE_SECONDS it is left alone: its place goes to
the next Task, its own Task ends as it would have, and it is counted (`Metrics.hanging`) until it ends after all.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import anyio

PATIENCE_SECONDS = 5.0
"""For a handler to end once it is cancelled. Less: cleaning up that takes a while counts as hanging."""


def let_hang(scope: anyio.CancelScope) -> None:
    """Stops the cancelling of what does not heed it."""
    # anyio cancels again in every round of the event loop, and has no public way to stop: else one such handler keeps a
    # processor busy for ever. Were the attribute gone, that alone would be so again.
    handle: asyncio.Handle | None = getattr(scope, "_cancel_handle", None)
    if handle is not None:
        handle.cancel()


def forget(running: asyncio.Task[None]) -> None:
    """The end of the event loop does not wait for this task."""
    asyncio._unregister_task(running)  # noqa: SLF001  documented, in "Extending asyncio"
