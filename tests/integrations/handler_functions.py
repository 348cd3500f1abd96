"""Functions that tests run in other processes, where they must be importable."""

from __future__ import annotations

import os
import sys
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import engine

if TYPE_CHECKING:
    from engine import HandlerContext


def pid(event):
    return os.getpid()


def echo(event):
    print("noise on stdout")  # noqa: T201
    return event


async def echo_async(event):
    return event


def facts(event, context: HandlerContext):
    return [context.state, context.attempt, context.idempotency_key, context.get_remaining_time_in_millis() > 0]


def fail(event):
    raise ValueError("no")


def fail_with_request_id(event, context: HandlerContext):
    raise ValueError(context.aws_request_id)


def fail_exactly(event):
    raise engine.TaskFailed("Out.Of.Stock", "none left")


def end(event: dict[str, int]) -> None:
    if "signal" in event:
        os.kill(os.getpid(), event["signal"])
    os._exit(event["status"])


def leave(event):
    os._exit(3)


def exit_politely(event):
    sys.exit(1)


def hang(event):
    threading.Event().wait()


def finish_own_token(event, context: HandlerContext):
    context.heartbeat()
    try:
        context.send_task_success(1, task_token="nonsense")
    except engine.InvalidToken as error:
        context.send_task_success(str(error))


def finish_with_what_is_not_json(event, context: HandlerContext):
    try:
        context.send_task_success({1, 2})  # type: ignore[arg-type]
    except engine.InvalidOutput as error:
        context.send_task_success([str(error), Decimal("1.5")])  # type: ignore[list-item]


def beat_until_told(event, context: HandlerContext):
    while True:
        context.heartbeat()
        time.sleep(0.01)


def touch_and_hang(event):
    """Says that it runs, and stays until the file is gone, or as long as any test may take."""
    Path(event).touch()
    until = time.monotonic() + 30
    while Path(event).exists() and time.monotonic() < until:
        time.sleep(0.01)


def swallow_heartbeat(event, context: HandlerContext):
    try:
        context.heartbeat()
    except engine.UnsupportedTask:
        return "beaten"


def takes_too_much(one, two, three):
    return None


def leave_at_first(event, context: HandlerContext):
    if context.attempt == 0:
        os._exit(3)
    return context.attempt


def give_what_is_not_json(event):
    return {1, 2}
