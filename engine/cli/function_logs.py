"""Where a server's functions write what they say: on a terminal a line for each, else among the lines of JSON."""

from __future__ import annotations

import sys

import structlog

_PREFIX = "/aws/lambda/"


class ToServerLog:
    """Lines of the server's own log."""

    def __init__(self) -> None:
        self._log = structlog.get_logger()

    def write(self, log_group: str, log_stream: str, time: int, line: str) -> None:
        """See `LogSink`."""
        self._log.info("function log", log_group=log_group, log_stream=log_stream, time=time, line=line)


class ToStdout:
    """A line of text for each, behind the function's name."""

    def write(self, log_group: str, log_stream: str, time: int, line: str) -> None:
        """See `LogSink`."""
        sys.stdout.write(f"{log_group.removeprefix(_PREFIX)} | {line}\n")
        sys.stdout.flush()
