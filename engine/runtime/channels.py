"""What a handler may tell the engine about the Task that it does: see `Channel`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import anyio

    from engine.errors import StatesError
    from engine.integrations.request import Exchange
    from engine.jsonvalue import Json
    from engine.runtime.open_task import OpenTask
    from engine.runtime.tasks import Tasks


class _Signals:
    """What the channels of all Tasks have."""

    __slots__ = ("_tasks",)

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks

    def now(self) -> int:
        return self._tasks.clock.now()

    def send_task_success(self, task_token: str, output: Json) -> None:
        self._tasks.send_task_success(task_token, output)

    def send_task_failure(self, task_token: str, error: str | None, cause: str | None) -> None:
        self._tasks.send_task_failure(task_token, error, cause)

    def send_task_heartbeat(self, task_token: str) -> None:
        self._tasks.send_task_heartbeat(task_token)


class TaskChannel(_Signals):
    """The `Channel` of one Task."""

    __slots__ = ("_task",)

    def __init__(self, tasks: Tasks, task: OpenTask) -> None:
        super().__init__(tasks)
        self._task = task

    def cancel(self, otherwise: StatesError) -> None:
        """See `Channel`."""
        self._tasks.cut_off(self._task, otherwise)

    def exchanged(self, exchange: Exchange) -> None:
        """See `Channel`; nobody looks."""

    def heartbeat(self) -> None:
        """See `Signals`."""
        self._tasks.in_loop(self._tasks.heartbeat, self._task)


class LoneChannel(_Signals):
    """The `Channel` of a Task that no execution waits for: nobody counts its heartbeats."""

    __slots__ = ("_on_exchange", "_scope")

    def __init__(self, tasks: Tasks, scope: anyio.CancelScope, on_exchange: Callable[[Exchange], None]) -> None:
        super().__init__(tasks)
        self._scope = scope
        self._on_exchange = on_exchange

    def cancel(self, otherwise: StatesError) -> None:
        """See `Channel`; whoever asked waits for the handler's end."""
        self._scope.cancel()

    def exchanged(self, exchange: Exchange) -> None:
        """See `Channel`."""
        self._on_exchange(exchange)

    def heartbeat(self) -> None:
        """See `Signals`."""
