"""`dask:module:function`: a Python callable that runs on a Dask cluster, for work that needs more than this machine.

The cluster's workers import the function, so they need its module, and this package in the same version. What crosses
the wire is JSON. Dask keeps nothing durable: the engine decides what runs again, and asks for each attempt under a key
of its own, so that an attempt that is repeated after a crash of the engine joins the one that still runs.

A function that runs cannot be killed: a time-out or a stop takes it out of the cluster's queue when it has not begun,
and otherwise leaves it alone, as with threads.
"""

from __future__ import annotations

import importlib.util
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn, TypeAlias

import anyio
import msgspec

from engine.errors import StatesError
from engine.integrations.invocation import (
    SECONDS_MAX,
    checked_answer,
    checked_seconds,
    event_of,
    new_request_id,
    timed_out,
)
from engine.integrations.process_child import Done, Job, Reference, do
from engine.integrations.request import UnsupportedTask

if TYPE_CHECKING:
    from distributed import Client, Future

    from engine.integrations.request import Answer, Channel, TaskRequest, WorkerLoss, Workplace
    from engine.jsonvalue import Json

PREFIX = "dask:"

_CONNECT_SECONDS = 10
_CANCEL_SECONDS = 5
_MS_PER_SECOND = 1_000

Report: TypeAlias = tuple[bytes, str | None]
"""What a worker of the cluster sends back: a `Done` as JSON, and what the function asked for in vain."""


class DaskCallable:
    """A function that the workers of a Dask cluster import and call: `function(event, context)`, or `function(event)`.

    Attributes:
        seconds: Limit for one invocation, its waiting in the cluster included: `Sandbox.Timedout` when it is reached.
        concurrency: See `Handler`.
        on_worker_loss: See `WorkerLoss`; it is about the engine's worker, not about Dask's.
    """

    fixed_answer = None

    def __init__(
        self,
        reference: Reference,
        scheduler: str | None,
        *,
        timeout_seconds: float = SECONDS_MAX,
        on_worker_loss: WorkerLoss = "rerun",
        concurrency: int | None = None,
    ) -> None:
        """Nothing is imported or connected before the first Task.

        Args:
            reference: Where the cluster's workers find the function.
            scheduler: Address of the cluster's scheduler, such as tcp://dask:8786.
            timeout_seconds, on_worker_loss, concurrency: See `Handlers.add`.

        Raises:
            ValueError: No scheduler is named, or another process cannot find the function.
            ImportError: Dask is not installed.
        """
        if importlib.util.find_spec("distributed") is None:
            raise ImportError("Dask is not installed: pip install 'asl-engine[dask]'")
        if scheduler is None:
            raise ValueError("no Dask scheduler is named: set ASL_DASK_SCHEDULER=tcp://HOST:8786, or give dask=ADDRESS")
        if reference.main is not None:
            raise ValueError(f"{reference.qualname}: expected a function of a module that the cluster's workers import")
        self.name = f"{PREFIX}{reference.module}:{reference.qualname}"
        self.scheduler = scheduler
        self.seconds = checked_seconds(timeout_seconds)
        self.on_worker_loss: WorkerLoss = on_worker_loss
        self.concurrency = concurrency
        self._reference = reference

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        """See `Handler`. Raises UnsupportedTask: somebody expects heartbeats, or the function wants the engine."""
        # Of `.waitForTaskToken` whoever has the token gives them, and a request-response Task needs none.
        if request.heartbeat_seconds is not None and request.resource.kind == "activity":
            raise UnsupportedTask(
                f"state {request.state!r}: HeartbeatSeconds is not supported by {self.name}: nothing on a Dask cluster "
                "can give a heartbeat; TimeoutSeconds is"
            )
        request_id = new_request_id()
        job = Job(
            reference=self._reference,
            takes_context=None,
            request=request,
            event=event_of(request),
            now=channel.now(),
            seconds=self.seconds,
            request_id=request_id,
        )
        key = f"asl-{request.idempotency_key}-{request.attempt}"
        with anyio.move_on_after(self.seconds) as limit:
            data, refused = await workplace.clusters.run(self.scheduler, key, msgspec.json.encode(job))
        if limit.cancelled_caught:
            raise timed_out(self.seconds, request_id)
        if refused is not None:
            raise UnsupportedTask(f"state {request.state!r}: context.{refused} is not supported by {self.name}")
        done = msgspec.json.decode(data, type=Done)
        if done.result is None:
            raise StatesError(done.error, done.cause)
        return checked_answer(request, done.result.encode(), request_id)


def parsed(spec: str) -> Reference:
    """What `dask:module:function` names. Raises ValueError."""
    module, _, qualname = spec.removeprefix(PREFIX).partition(":")
    if not all(part.isidentifier() for name in (module, qualname) for part in name.split(".")):
        raise ValueError(f'expected "dask:module:function", got {spec!r}')
    return Reference(module, qualname)


# ── here ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Clusters:
    """The connections of one engine to schedulers, made when they are needed. To be used in one asyncio event loop."""

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}
        self._lock = anyio.Lock()

    async def run(self, scheduler: str, key: str, job: bytes) -> Report:
        """Runs a job and gives the report. Cancelled, it takes the job back, unless that runs already.

        Raises:
            StatesError: `Dask.WorkerLost`, `Dask.Unavailable`, or `Dask.Failed` when a worker cannot read the job.
        """
        from distributed.scheduler import KilledWorker

        client = await self._client(scheduler)
        # Not pure: the key alone says what is the same. No retries: that is for the engine to decide.
        future: Future[Report] = client.submit(run_job, job, key=key, pure=False, retries=0)
        try:
            report: Report = await future.result()
            return report
        except KilledWorker as error:
            raise StatesError("Dask.WorkerLost", str(error)) from error
        except _gone() as error:
            self._clients.pop(scheduler, None)
            await self._leave(client)
            raise StatesError("Dask.Unavailable", f"{scheduler}: {error}") from error
        except Exception as error:  # `run_job` raises nothing: it was not reached
            raise StatesError("Dask.Failed", f"{type(error).__name__}: {error}") from error
        finally:
            if not future.done():
                with anyio.move_on_after(_CANCEL_SECONDS, shield=True), suppress(*_gone()):
                    await future.cancel(force=True)
            future.release()

    async def _client(self, scheduler: str) -> Client:
        from distributed import Client

        async with self._lock:
            client = self._clients.get(scheduler)
            if client is not None and client.status == "running":
                return client
            try:
                # As the default it would be found by functions of the user's that want another cluster.
                client = await Client(
                    scheduler, asynchronous=True, set_as_default=False, name="asl", timeout=_CONNECT_SECONDS
                )
            except (OSError, ValueError, RuntimeError) as error:  # no answer; no such address; no asyncio event loop
                raise StatesError("Dask.Unavailable", f"{scheduler}: {error}") from error
            self._clients[scheduler] = client
            return client

    async def close(self) -> None:
        """Ends the connections."""
        while self._clients:
            _, client = self._clients.popitem()
            await self._leave(client)

    async def _leave(self, client: Client) -> None:
        with anyio.move_on_after(_CANCEL_SECONDS, shield=True), suppress(*_gone()):
            await client.close()


def _gone() -> tuple[type[BaseException], ...]:
    """What is raised when the scheduler went away."""
    from concurrent.futures import CancelledError

    from distributed.comm import CommClosedError

    return (CancelledError, CommClosedError, OSError)


# ── on a worker of the cluster ──────────────────────────────────────────────────────────────────────────────────────


class _NoChannel:
    """`Signals` of a place that the engine does not hear. The Task is refused, whatever the function makes of it."""

    def __init__(self, now: int) -> None:
        self._began = time.monotonic() - now / _MS_PER_SECOND
        self.refused: str | None = None

    def now(self) -> int:
        return round((time.monotonic() - self._began) * _MS_PER_SECOND)

    def heartbeat(self) -> None:
        self._refuse("heartbeat")

    def send_task_success(self, task_token: str, output: Json) -> None:
        self._refuse("send_task_success")

    def send_task_failure(self, task_token: str, error: str | None, cause: str | None) -> None:
        self._refuse("send_task_failure")

    def send_task_heartbeat(self, task_token: str) -> None:
        self._refuse("send_task_heartbeat")

    def _refuse(self, verb: str) -> NoReturn:
        self.refused = verb
        raise UnsupportedTask(f"context.{verb} is not supported on a Dask cluster")


def run_job(data: bytes) -> Report:
    """Does a `Job`, given as JSON."""
    job = msgspec.json.decode(data, type=Job)
    channel = _NoChannel(job.now)
    return msgspec.json.encode(do(job, channel)), channel.refused
