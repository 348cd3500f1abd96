"""A Task on its way to a handler: the request, the answer, and the protocols between handlers and the runtime."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias, cast

import msgspec

from engine.asl.resource import Resource
from engine.interpreter.messages import Ticket
from engine.jsonvalue import Json

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from anyio import CapacityLimiter

    from engine.errors import StatesError
    from engine.integrations.aws import AwsClients, HttpAnswer
    from engine.integrations.connection_lookup import Connections
    from engine.integrations.dask_ import Clusters
    from engine.integrations.http_task import Added, HttpRequest, HttpTask
    from engine.integrations.lambda_ import LambdaEmulator
    from engine.integrations.processes import Processes
    from engine.integrations.threads import Threads


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Whose Task it is: the execution's id in the store, and where it runs."""

    execution_id: uuid.UUID
    task_id: Ticket
    pool: str


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
        origin: None: no execution waits for it.
        test_case: Key of the test case whose responses the execution gets, see `MockConfig`.
        may_have_run: This attempt may have been made before, by a worker that was lost and told nobody.
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
    origin: Origin | None = None
    test_case: str | None = None
    may_have_run: bool = False

    @property
    def idempotency_key(self) -> str:
        """A UUID that this attempt keeps when it runs again after a crash, and that no other attempt has."""
        name = f"{self.execution_arn}#{self.redrive_count}#{self.entered}#{self.attempt}"
        return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


class Answer(NamedTuple):
    """A Task's result, and the length of its JSON text."""

    output: Json
    output_bytes: int


class Exchange(NamedTuple):
    """A request to an API, and its answer.

    Attributes:
        task: What the Task asks for.
        added: What its connection adds: secrets.
        sent: The request that was made of both.
        answer: None: none has come yet.
    """

    task: HttpTask
    added: Added
    sent: HttpRequest
    answer: HttpAnswer | None


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

    def cancel(self, otherwise: StatesError) -> None:
        """Cancels the handler, whose time is up: what it then raises is the Task's end. In the event loop only.

        Should it not end, the Task ends with `otherwise`.
        """
        ...

    def exchanged(self, exchange: Exchange) -> None:
        """Shows a request to an API, once when it is sent and once with its answer: TestState tells of it."""
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

    @property
    def aws(self) -> AwsClients:
        """For calls to AWS, and to other servers."""
        ...

    @property
    def connections(self) -> Connections:
        """How the APIs of HTTP Tasks are authorized."""
        ...

    @property
    def lambda_emulator(self) -> LambdaEmulator | None:
        """The Lambda emulator of this process, if it has one."""
        ...


WorkerLoss: TypeAlias = Literal["rerun", "fail"]
"""What becomes of a Task that may have run when its worker was lost: run again, or failed as `Engine.WorkerLost`."""


class Handler(Protocol):
    """What does a Task. It may have these attributes as well.

    Attributes:
        on_worker_loss: A `WorkerLoss`.
        concurrency: How many of its Tasks may run at once.
        waits_apart: True: all it does is wait for an answer from elsewhere, so it takes no other Task's place.
        destination: Of a Resource: for people, the other machine that is called for it, or None: none is.
    """

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


# ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Submitted(NamedTuple):
    """A job was begun.

    Attributes:
        output: What the request was answered with: shown in TaskSubmitted.
        job: What it is known by from now on: small, as every checkpoint of its execution holds it.
        child: Where it is an execution of the same store that has this Task as its `Parent`: its id. Nobody asks about
            it: it tells of its end by mail, and is stopped by mail.
    """

    output: Json
    job: Json
    child: uuid.UUID | None = None


class RunningJob(NamedTuple):
    """A job that may be over. `age_seconds`: since it was submitted."""

    request: TaskRequest
    job: Json
    age_seconds: float


class Later(NamedTuple):
    """A job is not over. `seconds`: when to ask again, at the earliest; None: the older it is the later."""

    seconds: float | None = None


class JobHandler(Handler, Protocol):
    """A Handler that begins jobs for `.sync` Tasks, which go on whoever waits for them.

    The job is written with TaskSubmitted. From then on a worker only asks about it, now and then: no Task is in
    flight, the execution may be parked meanwhile, and whoever has it next goes on asking. A crash before that has
    `submit` called again, with the same `idempotency_key`. For all other Tasks `run` is called.
    """

    async def submit(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Submitted:
        """Begins the job, or finds the one that an earlier call with this `idempotency_key` began.

        Raises:
            StatesError: The request was refused.
            UnsupportedTask: As `run`.
        """
        ...

    async def find(self, request: TaskRequest, workplace: Workplace) -> Json | None:
        """The job that an earlier `submit` of this Task began, whose worker was lost before it could tell.

        Asked when nobody waits for the Task any more, so that the job can be stopped. None: there is none, or it cannot
        be found.
        """
        ...

    def poll_group(self, request: TaskRequest, job: Json) -> tuple[Hashable, int]:
        """Jobs with equal keys may be asked about in one call of `poll`, and so many in one at most."""
        ...

    async def poll(self, jobs: Sequence[RunningJob], workplace: Workplace) -> Sequence[Answer | StatesError | Later]:
        """How jobs of one group stand, in their order. What cannot be found out just now is `Later`.

        Raises:
            StatesError: As if it were the answer to each.
        """
        ...

    async def stop(self, request: TaskRequest, job: Json, workplace: Workplace) -> None:
        """Stops a job that nobody waits for any more, if it can be stopped. Raises anything: it is tried again."""
        ...


def job_handler(handler: Handler | None, resource: Resource) -> JobHandler | None:
    """The handler, if it begins a job for this Resource."""
    if resource.pattern not in ("SYNC", "SYNC_2") or not callable(getattr(handler, "submit", None)):
        return None
    return cast("JobHandler", handler)


class UnsupportedTask(Exception):
    """A Task asks for something that its handler cannot do; the run ends with this error."""
