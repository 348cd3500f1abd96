"""SendTaskSuccess, SendTaskFailure, SendTaskHeartbeat: what ends a Task from outside (api.md 5.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.errors import InvalidOutput
from engine.starts import parsed

if TYPE_CHECKING:
    from engine.operations.service import Service


async def send_task_success(service: Service, *, task_token: str, output: str) -> dict[str, Any]:
    """Ends the Task of a token with an output.

    Raises:
        InvalidOutput: `output` is not JSON.
        InvalidToken: Nobody minted the token.
        TaskTimedOut: Its Task is over.
    """
    try:
        value = parsed(output)
    except ValueError as error:
        raise InvalidOutput(str(error)) from None
    await service.backend.send_task_success(task_token, value)
    return {}


async def send_task_failure(
    service: Service, *, task_token: str, error: str | None = None, cause: str | None = None
) -> dict[str, Any]:
    """Fails the Task of a token; what is not given, the event and the catchers do not have. Raises as above."""
    await service.backend.send_task_failure(task_token, error, cause)
    return {}


async def send_task_heartbeat(service: Service, *, task_token: str) -> dict[str, Any]:
    """Starts HeartbeatSeconds of the Task of a token anew. Raises InvalidToken, TaskTimedOut."""
    await service.backend.send_task_heartbeat(task_token)
    return {}
