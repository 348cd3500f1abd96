"""Where the logs of functions go."""

from __future__ import annotations

from typing import Protocol


class LogSink(Protocol):
    """Takes the logs of all functions. Called in the event loop, so it returns at once."""

    def write(self, log_group: str, log_stream: str, time: int, line: str) -> None:
        """One event of a log.

        Args:
            log_group: `/aws/lambda/f`, or what the function's logging configuration says.
            log_stream: `2026/01/31/[$LATEST]<32 hex>`: one for each execution environment.
            time: Milliseconds since the epoch.
            line: Without its line end; at most 256 KB.
        """
        ...
