"""`asl worker --processes N`: as many workers, each a process of its own; one that dies is replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import structlog

from engine.cli.exits import ExitCode
from engine.cli.streams import read_to_the_end

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import FrameType

_BACK_OFF_SECONDS = 1.0
_BACK_OFF_SECONDS_MAX = 30.0

_STEADY_SECONDS = 60.0
"""A process that lived so long died of something new, so the next one begins at once."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def supervise(
    words: Sequence[Sequence[str]],
    environment: Mapping[str, str],
    *,
    until_eof: bool = False,
    missed: Callable[[], None] = lambda: None,
) -> int:
    """Keeps as many processes of `asl worker` running until SIGTERM or Ctrl-C, which go on to each of them.

    One that finds its options or its database unusable ends them all: none of the others will fare better. Should this
    process be killed, they drain.

    Args:
        words: The options of each.
        environment: Theirs.
        until_eof: The end of this process's stdin counts as SIGTERM.
        missed: Called when one died, in any thread.

    Returns:
        The worst of their last exit codes.
    """
    fleet = _Processes(environment, missed)
    before = [signal.signal(number, fleet.pass_on) for number in _SIGNALS]
    if until_eof:
        threading.Thread(target=_stop_at_eof, name="asl stdin", daemon=True).start()
    try:
        threads = [
            threading.Thread(target=fleet.keep, args=(options,), name=f"asl worker {number}")
            for number, options in enumerate(words)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)
    return max(fleet.codes)


class _Processes:
    """The processes, each kept by a thread.

    Attributes:
        codes: Exit codes of those that are not replaced.
    """

    def __init__(self, environment: Mapping[str, str], missed: Callable[[], None]) -> None:
        self.codes: list[int] = []
        self._environment = environment
        self._missed = missed
        self._stopping = threading.Event()
        self._alive: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._log = structlog.get_logger()

    def pass_on(self, number: int, _frame: FrameType | None = None) -> None:
        """Sends a signal to all of them; none is replaced from now on. Runs in the main thread, which holds no lock."""
        with self._lock:
            self._stopping.set()
            for process in self._alive:
                process.send_signal(number)

    def keep(self, options: Sequence[str]) -> None:
        """Runs one process with these options after the other until it is time to stop."""
        command = [sys.executable, "-m", "engine", "worker", "--until-eof", *options]
        back_off = 0.0
        while not self._stopping.wait(back_off):
            begun = time.monotonic()
            code = self._run(command)
            if code is None:
                break
            if self._stopping.is_set() or code == ExitCode.USAGE:
                self.codes.append(_exit_code(code))
                if code == ExitCode.USAGE:
                    _stop_all()
                return
            is_steady = time.monotonic() - begun >= _STEADY_SECONDS
            back_off = 0.0 if is_steady else min(max(back_off * 2, _BACK_OFF_SECONDS), _BACK_OFF_SECONDS_MAX)
            self._log.error("worker process died", exit_code=code, replaced_after_seconds=back_off)
            self._missed()
        self.codes.append(ExitCode.SUCCEEDED)

    def _run(self, command: Sequence[str]) -> int | None:
        """The exit code of one process, negative when a signal killed it; None: it is too late to begin."""
        with self._lock:
            if self._stopping.is_set():
                return None
            # In a session of its own, as Ctrl-C in a terminal must reach each of them once; its stdin ends with us.
            process = subprocess.Popen(  # noqa: S603
                command, env=self._environment, stdin=subprocess.PIPE, start_new_session=True
            )
            self._alive.add(process)
        try:
            return process.wait()
        finally:
            assert process.stdin is not None
            process.stdin.close()
            with self._lock:
                self._alive.discard(process)


def _stop_all() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def _stop_at_eof() -> None:
    read_to_the_end()
    _stop_all()


def _exit_code(code: int) -> int:
    """Of a process that is over; a signal gives `Popen` a negative one."""
    if code == -signal.SIGTERM:  # before it had begun, and so without a Task in flight
        return ExitCode.SUCCEEDED
    return code if code >= 0 else ExitCode.ABORTED
