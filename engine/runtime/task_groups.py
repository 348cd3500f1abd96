"""Leaving a task group by hand, for whoever enters one in `__aenter__` and leaves it in `__aexit__`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

if TYPE_CHECKING:
    from types import TracebackType

    from anyio.abc import TaskGroup


async def cancel_and_leave(
    group: TaskGroup, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
) -> None:
    """Cancels the group's tasks and waits for them; the rest is what `__aexit__` was given.

    The error of the body is the caller's own; handed over, the task group would wrap it in a group.
    """
    group.cancel_scope.cancel()
    if isinstance(error, anyio.get_cancelled_exc_class()):
        await group.__aexit__(kind, error, trace)
    else:
        await group.__aexit__(None, None, trace)
