"""Ctrl-C and SIGTERM while executions run: the first asks to stop, and one too many ends the process at once."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from engine.cli.exits import ExitCode

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterator
    from types import FrameType

INTERRUPTED = "Interrupted by the user"
"""Cause of the executions that were stopped by a signal."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def interruptible(
    loop: AbstractEventLoop, stop: Callable[[str], None], at_once: Callable[[], None], *, asked_max: int = 1
) -> Iterator[None]:
    """Inside, SIGINT and SIGTERM call us instead of ending the process.

    They are caught below the event loop: a handler that blocks it must not keep the second Ctrl-C from working.

    Args:
        loop: The running event loop.
        stop: Called in the loop with the signal's name, at each of the first `asked_max` signals.
        at_once: Called in the signal handler at the one after them, before the process is ended with ABORTED.
        asked_max: How often somebody may ask before that.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals; whoever runs us in another one handles them
        return
    received: list[int] = []

    def receive(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > asked_max:
            at_once()
            os._exit(ExitCode.ABORTED)
        loop.call_soon_threadsafe(stop, signal.Signals(number).name)

    before = [signal.signal(number, receive) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)
