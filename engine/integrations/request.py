"""A Task on its way to a handler: the request, the answer, and the protocols between handlers and the runtime."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

import msgspec

from engine.asl.resource import Resource
from engine.jsonvalue import Json

if TYPE_CHECKING:
    from anyio import CapacityLimiter

    from engine.integrations.dask_ import Clusters
    from engine.integrations.processes import Processes
    from engine.integrations.threads import Threads


class TaskRequest(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One attempt of a Task.

    Attributes:
        state: The Task state's name.
        arguments: The evaluated Parameters or Arguments; shared with the execution's data, so never changed.
        attempt: 0 first, then 1, 2, ... with each retry.
        entered: Id of the TaskStateEntered event.
        redrive_count: How often the execution was redriven.
        task_token: The token that ends the Task, where the integration pattern has one.
        deadline: When TimeoutSeconds ends, in ms since the epoch.
        heartbeat_seconds: How long the Task may go without a heartbeat.
        role_arn: The role of `Credentials`.
    """

    execution_arn: str
    execution_name: str
    state: str
    resource: Resource
    arguments: Json
    attempt: int
    entered: int
    redrive_count: int
    region: str
    account_id: str
    task_token: str | None
    deadline: int | None
    heartbeat_seconds: int | None
    role_arn: str | None

    @property
    def idempotency_key(self) -> str:
        """A UUID that this attempt keeps when it runs again after a crash, and that no other attempt has."""
        name = f"{self.execution_arn}#{self.redrive_count}#{self.entered}#{self.attempt}"
        return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


class Answer(NamedTuple):
    """A Task's result, and the length of its JSON text."""

    output: Json
    output_bytes: int


class Signals(Protocol):
    """What user code may tell the engine while it runs, from whatever thread or process it runs in."""

    def now(self) -> int:
        """The engine's time, ms since the epoch."""
        ...

    def heartbeat(self) -> None:
        """Starts HeartbeatSeconds of this Task anew. Raises TaskTimedOut when nobody waits for it any more."""
        ...

    def send_task_success(self, task_token: str, output: Json) -> None:
        """Ends the Task of the token. Raises InvalidToken, TaskTimedOut, InvalidOutput."""
        ...

    def send_task_failure(self, task_token: str, error: str | None, cause: str | None) -> None:
        """Fails the Task of the token. Raises InvalidToken, TaskTimedOut."""
        ...

    def send_task_heartbeat(self, task_token: str) -> None:
        """A heartbeat of the Task of the token. Raises InvalidToken, TaskTimedOut."""
        ...


class Channel(Signals, Protocol):
    """What a handler may tell the engine."""

    def cancel(self) -> None:
        """Cancels the handler, whose time is up: what it then raises is the Task's end. In the event loop only."""
        ...


class Workplace(Protocol):
    """Where handlers that are not asynchronous run; one for each engine."""

    @property
    def threads(self) -> Threads:
        """For callables that block."""
        ...

    @property
    def processes(self) -> Processes:
        """For callables that must be killable."""
        ...

    @property
    def clusters(self) -> Clusters:
        """For callables on Dask clusters."""
        ...

    @property
    def commands(self) -> CapacityLimiter:
        """A command holds one of these while it runs."""
        ...


WorkerLoss: TypeAlias = Literal["rerun", "fail"]
"""What becomes of a Task that may have run when its worker was lost: run again, or failed as `Engine.WorkerLost`."""


class Handler(Protocol):
    """What does a Task. Its attribute `on_worker_loss`, if it has one, is a `WorkerLoss`."""

    @property
    def name(self) -> str:
        """For people, and the worker name where it works for an activity."""
        ...

    @property
    def fixed_answer(self) -> Answer | Exception | None:
        """The Task's end when it is known beforehand (an Exception is a StatesError); None: `run` tells."""
        ...

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        """Does the Task once. Cancelling it stops it, as far as it can be stopped.

        Raises:
            StatesError: The Task failed.
            UnsupportedTask: The engine cannot do this, whatever Retry and Catch say.
        """
        ...


class UnsupportedTask(Exception):
    """A Task asks for something that its handler cannot do; the run ends with this error."""
