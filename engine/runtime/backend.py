"""What stands behind an engine: executions in this process's memory, or on a store that others use as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, ParamSpec, Protocol, Self, TypeVar

from engine.interpreter.advance import not_redrivable, time_limit
from engine.interpreter.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from engine.asl.program import StateMachine
    from engine.integrations.request import Answer, Exchange
    from engine.interpreter.history import Segment
    from engine.interpreter.messages import Event, ScheduleTask
    from engine.interpreter.plan import Plan
    from engine.interpreter.snapshot import Ending, Execution
    from engine.jsonvalue import Json
    from engine.runtime.clock import Clock
    from engine.runtime.live import LiveExecution
    from engine.runtime.metrics import Metrics
    from engine.store.library import Library
    from engine.store.protocol import Birth, ExecutionId, TakenTask
    from engine.store.records import ExecutionRecord, Garbage, StateMachineRecord

_REDRIVABLE_MS = 14 * 24 * 3_600 * 1_000


class Tracked(Protocol):
    """An execution, as a backend knows it."""

    @property
    def arn(self) -> str:
        """Its ARN."""
        ...

    @property
    def name(self) -> str:
        """Its name."""
        ...

    @property
    def execution_id(self) -> ExecutionId:
        """Its id in the store."""
        ...

    @property
    def ending(self) -> Ending | None:
        """How it ended, as far as it is known here."""
        ...


class Ended(NamedTuple):
    """How a synchronous execution ended, and when (ms since the epoch)."""

    ending: Ending
    stop_date: int

    @classmethod
    def of(cls, live: LiveExecution, stop_date: int | None) -> Ended:
        """Of one that is over. Raises its fault when it has no ending."""
        if live.ending is None or stop_date is None:
            assert live.fault is not None, "it is over"
            raise live.fault
        return cls(live.ending, stop_date)


X = TypeVar("X", bound=Tracked)
P = ParamSpec("P")
T = TypeVar("T")


class Backend(Protocol[X]):
    """An asynchronous context manager, to be entered and left in one task."""

    @property
    def clock(self) -> Clock:
        """Where the time of its executions comes from."""
        ...

    @property
    def abandoned(self) -> int:
        """Handlers in threads that were given up while they ran."""
        ...

    def metrics(self) -> Metrics:
        """What it counts; from any thread. A client counts nothing."""
        ...

    def not_ready(self) -> Sequence[str]:
        """Why it cannot take work now; empty: it can. From any thread."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def drain(self, seconds: float) -> bool:
        """Stops claiming and starting Tasks, and waits for those in flight; whether none is any more."""
        ...

    async def gc(self, *, older_than: int | None, dry_run: bool) -> Garbage:
        """See `Store`."""
        ...

    @property
    def library(self) -> Library:
        """The store's definitions and executions, whose methods wait: for `ask`."""
        ...

    async def ask(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a method of `library` that may be called twice, without holding up the event loop.

        Raises:
            StoreUnavailable: The store could not be reached for so long that it was given up.
        """
        ...

    async def create_state_machine(self, machine: StateMachineRecord) -> StateMachineRecord:
        """See `Library`."""
        ...

    async def deploy(self, machine: StateMachineRecord) -> StateMachineRecord:
        """See `Library`."""
        ...

    async def state_machine(self, arn: str) -> StateMachineRecord:
        """See `Library`."""
        ...

    def forget_machine(self, arn: str) -> None:
        """A state machine was changed by a call of `library`: what was remembered of it may be wrong."""
        ...

    def check(self, program: StateMachine, region: str, account_id: str, test_case: str | None = None) -> None:
        """Refuses to start a program of which it is certain that a Task has no handler. Raises MissingHandler.

        `test_case`: key of the one that is to be run; see `MockConfig`.
        """
        ...

    async def start(self, execution_id: ExecutionId, birth: Birth, plan: Plan) -> X:
        """Starts an execution, or finds the one that has its name and its input (execution.md 7).

        Args:
            execution_id: Of the new one.
            plan: Of its revision.

        Raises:
            ExecutionAlreadyExists: The name is taken.
            InvalidExecutionInput: The store cannot hold the input.
        """
        ...

    async def run_sync(self, execution_id: ExecutionId, birth: Birth, plan: Plan, program: StateMachine) -> Ended:
        """Runs a synchronous Express execution: at most once, for five minutes at most (api.md 5.2).

        Where this process has a handler for all of its Tasks nothing is written. Else the execution goes to the workers
        like an asynchronous one, and is waited for.

        Args:
            program: Of its revision, as `plan`.

        Raises:
            ExecutionQuarantined: The engine itself failed on it.
            InvalidExecutionInput: The store cannot hold the input.
        """
        ...

    async def find(self, execution_arn: str) -> X:
        """An execution, open or over. Raises ExecutionDoesNotExist."""
        ...

    async def describe(self, execution_arn: str) -> ExecutionRecord:
        """See `Library.execution`."""
        ...

    async def history(self, execution_arn: str) -> Sequence[Segment]:
        """See `Library`."""
        ...

    async def stop(self, execution: X, error: str | None, cause: str | None) -> None:
        """Stops an execution; one that is over stays as it is (execution.md 8)."""
        ...

    async def send(self, execution: X, event: Event) -> None:
        """Mails an execution an event, if it is open."""
        ...

    async def redrive(self, execution: X, plan: Plan | None, client_token: str | None = None) -> int:
        """Goes on with an execution that did not succeed, where it failed (execution.md 9).

        Args:
            execution: Which.
            plan: Of its state machine, if that is at hand.
            client_token: A call with one that is known from lately changes nothing.

        Returns:
            When the redrive was made, now or by the earlier call; ms since the epoch.

        Raises:
            ExecutionDoesNotExist: It is no longer kept.
            ExecutionNotRedrivable: With AWS's reason.
        """
        ...

    async def result(self, execution: X) -> tuple[Ending, Json]:
        """Waits for the end; with it the input of the state whose error ended the execution.

        Raises:
            MissingHandler, UnsupportedTask: It was stopped, because a Task cannot be done here.
            ExecutionQuarantined: It cannot go on until somebody resumes it.
        """
        ...

    async def resume(self, execution: X, plan: Plan | None) -> None:
        """See `Library`.

        Args:
            plan: Of its revision, if that is at hand.
        """
        ...

    async def do_task(
        self, execution: Execution, command: ScheduleTask, on_exchange: Callable[[Exchange], None]
    ) -> Answer:
        """Does a Task once with a handler of this process; no execution waits for it, and nothing is written.

        Args:
            execution: What its handler sees as the one it belongs to.
            command: The Task.
            on_exchange: Is shown the requests of an HTTP Task.

        Raises:
            StatesError: It failed.
            UnsupportedTask, MissingHandler: It cannot be done here.
        """
        ...

    async def send_task_success(self, task_token: str, output: Json) -> None:
        """Raises InvalidToken, TaskTimedOut, InvalidOutput."""
        ...

    async def send_task_failure(self, task_token: str, error: str | None, cause: str | None) -> None:
        """Raises InvalidToken, TaskTimedOut."""
        ...

    async def send_task_heartbeat(self, task_token: str) -> None:
        """Raises InvalidToken, TaskTimedOut."""
        ...

    async def get_activity_task(
        self, activity_arn: str, worker_name: str | None, *, wait_seconds: float
    ) -> TakenTask | None:
        """Takes the Task that waits longest for a worker; None: none came in time.

        Raises:
            ActivityDoesNotExist: No such activity.
            ValueError: `worker_name` is no text.
        """
        ...


def not_redrivable_now(record: ExecutionRecord, now: int) -> str | None:
    """Why the execution cannot be redriven, in AWS's words (execution.md 9.1); None: it can."""
    ended = Snapshot(execution=record.execution, ending=record.ending, last_event_id=record.last_event_id)
    reason = not_redrivable(ended)
    if reason is not None or record.stop_date is None:
        return reason
    if record.stop_date >= time_limit(record.execution, record.redrives):  # AWS adds how long it was open before
        return "Execution has exceeded the max execution time"
    return "Execution redrivable period exceeded" if now - record.stop_date > _REDRIVABLE_MS else None
