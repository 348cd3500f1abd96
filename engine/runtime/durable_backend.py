"""Executions on a store that others use as well. Without handlers it is a client; with them a worker too."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar

import anyio

from engine.errors import ExecutionNotRedrivable, InvalidExecutionInput, InvalidOutput
from engine.integrations.invocation import check_error, check_text, json_value
from engine.integrations.registry import MissingHandler
from engine.interpreter.advance import EXPRESS_SECONDS_MAX
from engine.interpreter.messages import NO_TICKET, StopRequested, TaskDone, TaskError
from engine.interpreter.recovery import TIMEOUT
from engine.interpreter.snapshot import Ending
from engine.runtime.activities import HEARD_PAUSE_SECONDS_MAX, PAUSE_SECONDS_MAX, ActivityPolls
from engine.runtime.backend import Ended, not_redrivable_now
from engine.runtime.calls import poster
from engine.runtime.clock import StoreClock
from engine.runtime.definitions import Definitions
from engine.runtime.fleet_worker import FleetWorker
from engine.runtime.housekeeping import Housekeeping
from engine.runtime.metrics import Metrics
from engine.runtime.patience import Patience
from engine.runtime.results import RemoteExecution, Results
from engine.runtime.together import Together
from engine.store.protocol import Mail, MailId, StoreUnavailable
from engine.uuids import UUID7_BITS, uuid7

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from anyio.abc import TaskGroup

    from engine.asl.program import StateMachine
    from engine.integrations.registry import Handlers
    from engine.integrations.request import Answer, Exchange
    from engine.interpreter.history import Segment
    from engine.interpreter.messages import Event, ScheduleTask
    from engine.interpreter.plan import Plan
    from engine.interpreter.snapshot import Execution
    from engine.jsonvalue import Json
    from engine.query.evaluation import Chance
    from engine.runtime.fleet_worker import FleetOptions
    from engine.runtime.observers import Observer
    from engine.store.hints import Hint
    from engine.store.library import Library, Store
    from engine.store.protocol import Birth, DurableStore, ExecutionId, TakenTask
    from engine.store.records import ExecutionRecord, Garbage, StateMachineRecord

P = ParamSpec("P")
T = TypeVar("T")

_NOBODY_CAME_SECONDS = 1.0
"""After the five minutes of a synchronous execution, a worker that runs it ends it; this long later there is none."""

_CLIENT_KINDS = Results.KINDS | ActivityPolls.KINDS
_OPEN_BACK_OFF_SECONDS = 0.5
_OPEN_BACK_OFF_SECONDS_MAX = 10.0


class DurableBackend:
    """A `Backend`.

    Attributes:
        worker: None of a client.
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        *,
        handlers: Handlers | None,
        chance: Chance,
        observer: Observer | None,
        options: FleetOptions,
    ) -> None:
        """Nothing is opened before it is entered.

        Args:
            open_store: Connects; it is closed when the backend is left.
            handlers: None: a client.
        """
        self.clock = StoreClock()
        self.worker: FleetWorker | None = None
        self._open_store = open_store
        self._handlers = handlers
        self._chance = chance
        self._observer = observer
        self._options = options
        self._entered: Store | None = None
        self._handle: DurableStore | None = None
        self._is_open = False
        self._waits_for = "not entered yet"
        self._patience = Patience(chance)
        self._definitions = Definitions(self._asked_state_machine)
        self._client_polls = ActivityPolls()
        self._group: TaskGroup
        self._results: Results
        self._descriptions: Together[str, ExecutionRecord] = Together("asl reader", self._described)
        self._starts: Together[tuple[ExecutionId, Birth], bool] = Together("asl client", self._started)
        # Apart: somebody's open transaction may hold one of the names.
        self._named_starts: Together[tuple[ExecutionId, Birth], bool] = Together("asl namer", self._started)
        self._heard: Callable[[Hint], None]

    @property
    def abandoned(self) -> int:
        """Handlers in threads that were given up while they ran."""
        return 0 if self.worker is None else self.worker.abandoned

    def metrics(self) -> Metrics:
        """See `Backend`."""
        return Metrics() if self.worker is None else self.worker.metrics()

    def not_ready(self) -> list[str]:
        """See `Backend`."""
        if self.worker is None:
            return [] if self._is_open else [self._waits_for]
        return self.worker.not_ready()

    async def _opened(self) -> Store:
        """The store. Raises StoreUnavailable, unless it is to be waited for."""
        back_off = _OPEN_BACK_OFF_SECONDS
        while True:
            try:
                return await self._patience.once(self._open_store)
            except StoreUnavailable as error:
                if error.is_final or not self._options.waits_for_store:
                    raise
                self._waits_for = f"the database cannot be reached: {error}"
                seconds = back_off * (0.5 + self._chance.random() / 2)
                self._options.tell("waiting for the database", error=str(error), seconds=round(seconds, 3))
            await anyio.sleep(seconds)
            back_off = min(back_off * 2, _OPEN_BACK_OFF_SECONDS_MAX)

    async def __aenter__(self) -> Self:
        self._entered = await self._opened()
        self._group = await anyio.create_task_group().__aenter__()
        try:
            self._handle = self._store.handle()
            self.clock.observe(await self._patience.ask(self._client.now))
            self._begin_listening()
            if self._handlers is not None:
                worker = FleetWorker(
                    self._store,
                    handlers=self._handlers,
                    clock=self.clock,
                    chance=self._chance,
                    observer=self._observer,
                    on_leaving=self._results.left,
                    options=self._options,
                )
                self._waits_for = "not enlisted among the workers yet"
                self.worker = await worker.__aenter__()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._patience.once(self._store.close)
            await self._group.__aexit__(None, None, None)
            raise
        self._group.start_soon(self._results.run)
        self._is_open = True
        return self

    def _begin_listening(self) -> None:
        self._results = Results(self._store, self._patience, is_here=self._is_here)
        post = poster()

        def heard(hint: Hint) -> None:
            worker = self.worker
            if worker is not None:
                worker.heard_at_once(hint)
            if hint.kind in _CLIENT_KINDS or (worker is not None and hint.kind in Housekeeping.KINDS):
                post(self._hear, hint)

        self._store.hints.listen(heard)
        self._heard = heard

    def _hear(self, hint: Hint) -> None:
        self._results.heard(hint)
        self._polls.heard(hint)
        if self.worker is not None:
            self.worker.heard(hint)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._waits_for = "left"
        try:
            if self.worker is not None:
                await self.worker.__aexit__(kind, error, trace)
        finally:
            self._is_open = False
            self._store.hints.ignore(self._heard)
            for calls in (self._descriptions, self._starts, self._named_starts):
                calls.close()
            self._results.close()
            with anyio.CancelScope(shield=True):
                await self._patience.once(self._store.close)
            self._group.cancel_scope.cancel()
            await self._group.__aexit__(None, None, None)

    @property
    def _store(self) -> Store:
        if self._entered is None:
            raise RuntimeError("the engine is not open: it works inside `async with engine.Engine(...) as name:`")
        return self._entered

    @property
    def _client(self) -> DurableStore:
        assert self._store is not None
        assert self._handle is not None, "made when the store is opened"
        return self._handle

    async def drain(self, seconds: float) -> bool:
        """See `FleetWorker.drain`; a client has nothing to wait for."""
        return True if self.worker is None else await self.worker.drain(seconds)

    async def gc(self, *, older_than: int | None, dry_run: bool) -> Garbage:
        """See `Backend`."""
        return await self._patience.once(self._store.gc, older_than=older_than, dry_run=dry_run)

    # ── calls ───────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def library(self) -> Library:
        """See `Backend`."""
        return self._store

    async def ask(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Backend`."""
        return await self._patience.ask(function, *args, **kwargs)

    # ── state machines ──────────────────────────────────────────────────────────────────────────────────────────────

    async def create_state_machine(self, machine: StateMachineRecord) -> StateMachineRecord:
        """See `Backend`."""
        return self._definitions.remember(await self._patience.ask(self._store.create_state_machine, machine))

    async def deploy(self, machine: StateMachineRecord) -> StateMachineRecord:
        """See `Backend`."""
        return self._definitions.remember(await self._patience.ask(self._store.deploy, machine))

    async def state_machine(self, arn: str) -> StateMachineRecord:
        """See `Backend`: as it was at most DEFINITION_SECONDS ago."""
        return await self._definitions.of(arn)

    async def _asked_state_machine(self, arn: str) -> StateMachineRecord:
        return await self._patience.ask(self._store.state_machine, arn)

    def forget_machine(self, arn: str) -> None:
        """See `Backend`."""
        self._definitions.forget(arn)

    def check(self, program: StateMachine, region: str, account_id: str, test_case: str | None = None) -> None:
        """See `Backend`: another worker may have the handlers that this one has not."""

    # ── executions ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self, execution_id: ExecutionId, birth: Birth, plan: Plan) -> RemoteExecution:
        """See `Backend`."""
        execution = birth.execution
        tracked = RemoteExecution(execution_id, execution.arn, execution.name)
        if self.worker is not None:
            self.worker.revisions.add(birth.revision_id, plan)
        is_born = False
        if self.worker is not None and self.worker.free() > 0:
            self._results.born_here(tracked)
            fate, reason = await self.worker.start(execution_id, birth, plan)
            if fate == "UNWRITABLE":
                raise InvalidExecutionInput(reason)
            is_born = fate == "WRITTEN"
        if not is_born:
            tracked.execution_id, is_new = await self._start_unowned(execution_id, birth)
            if is_new:
                self._hint(tracked.execution_id)
        return tracked

    async def _start_unowned(self, execution_id: ExecutionId, birth: Birth) -> tuple[ExecutionId, bool]:
        """See `DurableStore.start_named`."""
        if self._is_open:
            with suppress(StoreUnavailable):
                if await (self._named_starts if birth.is_named else self._starts).ask((execution_id, birth)):
                    return execution_id, True
        return await self._patience.ask(self._client.start_named, execution_id, birth)

    def _started(self, births: Sequence[tuple[ExecutionId, Birth]]) -> list[bool]:
        started = self._client.start_many(births)
        return [execution_id in started for execution_id, _ in births]

    async def run_sync(self, execution_id: ExecutionId, birth: Birth, plan: Plan, program: StateMachine) -> Ended:
        """See `Backend`."""
        if self.worker is not None and self.worker.may_run_sync(birth, program):
            live = await self.worker.sync.run(execution_id, birth, plan)
            return Ended.of(live, live.stopped_at)
        tracked = await self.start(execution_id, birth, plan)
        due = birth.execution.start_time + EXPRESS_SECONDS_MAX * 1_000
        with anyio.move_on_after((due - self.clock.now()) / 1_000 + _NOBODY_CAME_SECONDS), suppress(MissingHandler):
            await self.result(tracked)
        record = await self.describe(tracked.arn)
        if record.ending is None or record.stop_date is None:
            await self.stop(tracked, TIMEOUT, "No worker has run the execution in time")
            return Ended(Ending("TIMED_OUT", error=TIMEOUT), due)
        return Ended(record.ending, record.stop_date)

    async def find(self, execution_arn: str) -> RemoteExecution:
        """See `Backend`."""
        record = await self.describe(execution_arn)
        execution = RemoteExecution(record.execution_id, execution_arn, record.execution.name)
        execution.ending = record.ending
        return execution

    async def describe(self, execution_arn: str) -> ExecutionRecord:
        """See `Backend`."""
        if self._is_open:
            with suppress(StoreUnavailable):  # alone, then
                return await self._descriptions.ask(execution_arn)
        return await self._patience.ask(self._store.execution, execution_arn)

    def _described(self, execution_arns: Sequence[str]) -> list[ExecutionRecord | Exception]:
        found = self._store.described(set(execution_arns))
        return [found[arn] for arn in execution_arns]

    async def history(self, execution_arn: str) -> Sequence[Segment]:
        """See `Backend`."""
        return await self._patience.ask(self._store.history, execution_arn)

    async def stop(self, execution: RemoteExecution, error: str | None, cause: str | None) -> None:
        """See `Backend`."""
        check_error(error, cause)
        await self.send(execution, StopRequested(error, cause))

    async def send(self, execution: RemoteExecution, event: Event) -> None:
        """See `Backend`."""
        mail_id = MailId(uuid7(self.clock.now(), self._chance.getrandbits(UUID7_BITS)))
        mail = Mail(id=mail_id, execution_id=execution.execution_id, event=event)
        await self._patience.ask(self._client.deliver, [mail])
        self._hint(execution.execution_id)

    async def redrive(self, execution: RemoteExecution, plan: Plan | None, client_token: str | None = None) -> int:
        """See `Backend`."""
        if client_token is not None:
            known = await self.ask(self._store.redriven, execution.arn, client_token)
            if known is not None:
                return known
        try:
            reason = not_redrivable_now(await self.describe(execution.arn), self.clock.now())
            if reason is not None:
                raise ExecutionNotRedrivable(reason)
            execution_id, made = await self._patience.once(self._store.reopen, execution.arn, client_token)
        except ExecutionNotRedrivable:
            # The same call made twice at once: the other one was faster.
            if client_token is None:
                raise
            known = await self.ask(self._store.redriven, execution.arn, client_token)
            if known is None:
                raise
            return known
        execution.ending = None
        self._hint(execution_id)
        return made

    async def resume(self, execution: RemoteExecution, plan: Plan | None) -> None:
        """See `Backend`."""
        self._hint(await self._patience.ask(self._store.resume, execution.arn))

    async def result(self, execution: RemoteExecution) -> tuple[Ending, Json]:
        """See `Backend`."""
        assert self._store is not None
        return await self._results.of(execution)

    def _is_here(self, execution_id: ExecutionId) -> bool:
        return self.worker is not None and execution_id in self.worker.worker.executions.live

    def _hint(self, execution_id: ExecutionId) -> None:
        if self.worker is not None:
            self.worker.hint(execution_id)

    async def do_task(
        self, execution: Execution, command: ScheduleTask, on_exchange: Callable[[Exchange], None]
    ) -> Answer:
        """See `Backend`. A client has no handlers."""
        if self.worker is None:
            raise MissingHandler([(command.state, command.resource)])
        return await self.worker.worker.tasks.do_alone(execution, command, on_exchange)

    # ── Tasks that are answered from outside ────────────────────────────────────────────────────────────────────────

    async def send_task_success(self, task_token: str, output: Json) -> None:
        """See `Backend`. Raises StoreUnavailable: whether the answer counted is not known."""
        try:
            value, size = json_value(output)
        except ValueError as error:
            raise InvalidOutput(str(error)) from None
        await self._take_token(task_token, TaskDone(NO_TICKET, value, size))

    async def send_task_failure(self, task_token: str, error: str | None, cause: str | None) -> None:
        """See `Backend`. Raises StoreUnavailable: whether the answer counted is not known."""
        check_error(error, cause)
        await self._take_token(task_token, TaskError(NO_TICKET, error, cause))

    async def _take_token(self, task_token: str, event: TaskDone | TaskError) -> None:
        self._hint(await self._patience.once(self._client.take_token, task_token, event))

    async def send_task_heartbeat(self, task_token: str) -> None:
        """See `Backend`."""
        await self._patience.ask(self._client.heartbeat_token, task_token)

    async def get_activity_task(
        self, activity_arn: str, worker_name: str | None, *, wait_seconds: float
    ) -> TakenTask | None:
        """See `Backend`."""
        check_text("worker_name", worker_name)

        async def take() -> TakenTask | None:
            taken = await self._patience.once(self._client.take_task, activity_arn, worker_name)
            if taken is not None:
                self._hint(taken.execution_id)
            return taken

        return await self._polls.poll(
            activity_arn, take, wait_seconds=wait_seconds, pause_seconds_max=self._poll_seconds_max
        )

    @property
    def _polls(self) -> ActivityPolls:
        """The worker's, where there is one: it tells what it offers itself."""
        return self._client_polls if self.worker is None else self.worker.worker.tasks.polls

    def _poll_seconds_max(self) -> float:
        return HEARD_PAUSE_SECONDS_MAX if self._store.hints.are_heard else PAUSE_SECONDS_MAX
