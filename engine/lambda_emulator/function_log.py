"""The log of one execution environment: what its processes write, between the lines of the platform.

A pipe brings the output. What was written before a response was sent is in the pipe by then, so it is read to its end
before END is written. A function that floods its output waits: no more than a few lines are taken at a time, and
nothing is kept but the last 4 KB and an unfinished line.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from engine.lambda_emulator.invocation import LOG_TAIL_BYTES

if TYPE_CHECKING:
    from engine.lambda_emulator.functions import FunctionVersion
    from engine.lambda_emulator.log_sink import LogSink

LINE_BYTES_MAX = 262_144
"""Of one event; CloudWatch Logs takes no larger one, and a longer line is broken there."""

_READ_BYTES = 65_536
_LINES_AT_A_TIME = 200
_DRAIN_READS_MAX = 64
"""A pipe holds one such read; more of them in a row means that somebody goes on writing."""


class FunctionLog:
    """Takes output and the platform's lines to the sink, and keeps the tail of the current invocation."""

    def __init__(self, version: FunctionVersion, log_stream: str, sink: LogSink) -> None:
        self.log_stream = log_stream
        self._group = version.log_group
        self._sink = sink
        self._is_json = version.logging_config.log_format == "JSON"
        self._tail = bytearray()
        self._unfinished = bytearray()
        self._lines: list[bytes] = []
        self._reader: int | None = None
        self._is_paused = False

    def open(self) -> int:
        """Begins to read. Returns the descriptor that the process writes to; it is the caller's to close."""
        self.close()
        reader, writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reader, False)
        self._reader = reader
        asyncio.get_running_loop().add_reader(reader, self._readable)
        return writer

    def close(self) -> None:
        """Reads what is there, and no more."""
        reader = self._reader
        if reader is None:
            return
        self.drain()
        self._reader = None
        if not self._is_paused:
            asyncio.get_running_loop().remove_reader(reader)
        self._is_paused = False
        os.close(reader)
        self._finish_line()

    def begin(self, text: str, kind: str, record: dict[str, Any]) -> None:
        """An invocation begins: the tail is its own from here on, its first line the platform's `text`."""
        self.drain()
        self._finish_line()
        self._tail.clear()
        self.platform(text, kind, record)

    def platform(self, text: str, kind: str, record: dict[str, Any]) -> None:
        """A line of the platform's: as text, or where the function logs JSON, as `{"time", "type", "record"}`."""
        if self._is_json:
            now = time.time()
            stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
            text = msgspec.json.encode({"time": stamp, "type": f"platform.{kind}", "record": record}).decode()
        self._take_line(text.encode())

    def drain(self) -> None:
        """Takes what has been written until now."""
        for _ in range(_DRAIN_READS_MAX):
            data = self._read()
            if not data:
                break
            self._split(data)
        self._emit(len(self._lines))

    def finish_line(self) -> None:
        """Output that ends without a line end gets one, before a line of the platform's."""
        self._finish_line()

    def tail(self) -> bytes:
        """The last 4 KB of the invocation's log."""
        return bytes(self._tail[-LOG_TAIL_BYTES:])

    def _readable(self) -> None:
        data = self._read()
        if data is None:
            return
        if data == b"":
            assert self._reader is not None
            asyncio.get_running_loop().remove_reader(self._reader)
            self._is_paused = True
            return
        self._split(data)
        self._emit(_LINES_AT_A_TIME)
        if self._lines:
            self._pause()

    def _pause(self) -> None:
        """Others have their turn before the next lines of a flood."""
        assert self._reader is not None
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._reader)
        self._is_paused = True
        loop.call_soon(self._continue, self._reader)

    def _continue(self, reader: int) -> None:
        if self._reader != reader:
            return
        loop = asyncio.get_running_loop()
        self._emit(_LINES_AT_A_TIME)
        if self._lines:
            loop.call_soon(self._continue, reader)
        else:
            self._is_paused = False
            loop.add_reader(reader, self._readable)

    def _read(self) -> bytes | None:
        """None: nothing now. Empty: nobody can write any more."""
        if self._reader is None:
            return None
        with suppress(BlockingIOError, InterruptedError):
            return os.read(self._reader, _READ_BYTES)
        return None

    def _split(self, data: bytes) -> None:
        # A runtime may join the lines of one event by carriage returns, as AWS's for Python does.
        self._unfinished += data
        *lines, rest = self._unfinished.split(b"\n")
        self._unfinished = bytearray(rest)
        for line in lines:
            self._break(line)
        while len(self._unfinished) > LINE_BYTES_MAX:
            self._lines.append(bytes(self._unfinished[:LINE_BYTES_MAX]))
            del self._unfinished[:LINE_BYTES_MAX]

    def _break(self, line: bytearray) -> None:
        for start in range(0, len(line) or 1, LINE_BYTES_MAX):
            self._lines.append(bytes(line[start : start + LINE_BYTES_MAX]))

    def _emit(self, most: int) -> None:
        taken, self._lines = self._lines[:most], self._lines[most:]
        for line in taken:
            self._take_line(line)

    def _finish_line(self) -> None:
        self._emit(len(self._lines))
        if self._unfinished:
            line, self._unfinished = bytes(self._unfinished), bytearray()
            self._take_line(line)

    def _take_line(self, line: bytes) -> None:
        line = line.removesuffix(b"\r").replace(b"\r", b"\n")
        self._tail += line + b"\n"
        if len(self._tail) > 2 * LOG_TAIL_BYTES:
            del self._tail[:-LOG_TAIL_BYTES]
        self._sink.write(self._group, self.log_stream, time.time_ns() // 1_000_000, line.decode("utf-8", "replace"))
