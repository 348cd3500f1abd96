"""Waiting for what threads, processes and servers do, which tell nobody: by asking, never by sleeping for a while."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import anyio

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_SECONDS = 60.0
"""What has not happened by then never will. Less, and a machine that has much else to do fails tests."""


async def until(condition: Callable[[], Any]) -> None:
    """Waits in the event loop until the condition holds."""
    with anyio.fail_after(DEADLINE_SECONDS):
        while not condition():  # noqa: ASYNC110  see above
            await anyio.sleep(0.002)


def wait_until(condition: Callable[[], Any]) -> Any:
    """Waits in this thread; what the condition gives once it is true."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.002)
    return found
