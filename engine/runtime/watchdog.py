"""Whether an event loop turns, as a thread sees it; and the end of a process whose loop does not.

A handler that blocks the loop stops everything: answers, timers, the lease, even draining. Others take over what this
process has once the lease is over. Until it ends itself, it can neither work nor be told to stop.
"""

from __future__ import annotations

import os
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Self

from engine.runtime.calls import poster

if TYPE_CHECKING:
    from collections.abc import Callable

UNFIT = 75
"""Exit code of a process that is to be started anew (EX_TEMPFAIL of sysexits.h): its event loop stood still."""

STILL_PART = 2 / 3
"""Of the lease: a loop that stood still for so long has not dispatched anything since, and must not any more."""

_LOOKS_PER_SECOND = 4


class Watchdog:
    """Asks an event loop a few times a second whether it turns. To be entered in that loop, in its thread.

    A handler that never lets go of the interpreter's lock (an extension module) stops the watchdog as well; then it is
    the silence of the whole process that others notice.
    """

    def __init__(self, seconds_max: float | None = None, on_still: Callable[[float, str], None] | None = None) -> None:
        """Nothing is watched before it is entered.

        Args:
            seconds_max: After which `on_still` is called, once; None: never.
            on_still: Given for how many seconds the loop has stood still, and its stack. Called in the watchdog's
                thread. When not given the process is ended.
        """
        self._seconds_max = seconds_max
        self._on_still = on_still or end_process
        self._pause = 1 / _LOOKS_PER_SECOND
        self._unanswered = 0
        self._is_asked = False
        self._over = threading.Event()
        self._loop_thread = 0
        self._thread = threading.Thread(target=self._run, name="asl watchdog", daemon=True)

    def __enter__(self) -> Self:
        self._loop_thread = threading.get_ident()
        self._post = poster()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def still_seconds(self) -> float:
        """For how long the loop has stood still; from any thread.

        Only looks count, not the time between them: a process that was suspended as a whole did not stand still.
        """
        return max(0, self._unanswered - 1) * self._pause

    def _answer(self) -> None:
        self._unanswered = 0
        self._is_asked = False

    def _run(self) -> None:
        while not self._over.wait(self._pause):
            self._unanswered += 1
            if not self._is_asked:
                self._is_asked = True
                self._post(self._answer)
            elif self._seconds_max is not None and self.still_seconds >= self._seconds_max:
                self._on_still(self.still_seconds, self._stack())
                return

    def _stack(self) -> str:
        frame = sys._current_frames().get(self._loop_thread)  # noqa: SLF001  the only way; documented, for debuggers
        return "" if frame is None else "".join(traceback.format_stack(frame))


def end_process(seconds: float, stack: str) -> None:
    """Logs where the loop stands and ends the process with UNFIT, at once: nothing of it can be trusted to end well."""
    import structlog

    structlog.get_logger().critical("event loop stands still", seconds=round(seconds, 3), stack=stack, pid=os.getpid())
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(UNFIT)
