"""What does the Tasks of the chaos run. What a Task gives is decided by what it is given, however often it runs.

Each beginning and end is a line in a file that all workers append to: the effects that the world sees. Without the file
(`ASL_CHAOS_EFFECTS`), which is in the process that computes the expected outputs, a Task is done at once.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
import zlib
from functools import cache
from typing import Any

from engine.jsonvalue import encode
from tests.chaos.maps import work_on

SOFT = "Soft"
"""States with this in their names fail the first time."""


class Soft(Exception):
    """An error that goes away by itself."""


@cache
def _file() -> int:
    return os.open(os.environ["ASL_CHAOS_EFFECTS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)


def note(line: dict[str, Any]) -> None:
    """Adds a line to the file of effects; in one write, so that lines of several workers do not mix."""
    os.write(_file(), json.dumps(line).encode() + b"\n")


def _note(what: str, context: Any, **more: Any) -> None:
    about = {"what": what, "key": context.idempotency_key, "arn": context.execution_arn, "state": context.state}
    line = about | {"pid": os.getpid(), "at": time.monotonic(), "time": time.time()} | more
    note(line)


def _seconds(event: Any) -> float:
    if isinstance(event, dict) and isinstance(event.get("seconds"), int | float):
        return float(event["seconds"])
    low, high = (float(part) for part in os.environ.get("ASL_CHAOS_SECONDS", "0-0.2").split("-"))
    return random.uniform(low, high)


async def work(event: Any, context: Any) -> Any:
    """Every Task."""
    if isinstance(event, dict) and "item" in event:
        return await work_on(event["item"])
    token = event.get("token") if isinstance(event, dict) else None
    arguments = event if token is None else event["given"]
    answer = {"answer": [context.state, zlib.crc32(encode(arguments))]}
    if "ASL_CHAOS_EFFECTS" not in os.environ:
        if token is not None:
            context.send_task_success(answer)
    else:
        _note("begun", context)
        try:
            await asyncio.sleep(_seconds(arguments))
        except asyncio.CancelledError:
            _note("cancelled", context)
            raise
        _note("done", context, **({} if token is None else {"token": token, "answer": answer}))
    if SOFT in context.state and context.attempt == 0:
        raise Soft("try again")
    return answer
