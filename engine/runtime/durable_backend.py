"""Executions on a store that others use as well. Without handlers it is a client; with them a worker too."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, Self, TypeVar
from weakref import WeakValueDictionary

import anyio

from engine.errors import ExecutionDoesNotExist, ExecutionNotRedrivable, InvalidExecutionInput, InvalidOutput
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
from engine.runtime.endings import Endings
from engine.runtime.executions import ExecutionQuarantined
from engine.runtime.fleet_worker import FleetWorker
from engine.runtime.housekeeping import Housekeeping
from engine.runtime.metrics import Metrics
from engine.store.protocol import UUID7_BITS, Mail, MailId, StoreUnavailable, uuid7

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from types import TracebackType

    from anyio.abc import TaskGroup

    from engine.asl.program import StateMachine
    from engine.integrations.registry import Handlers
    from engine.integrations.request import Answer
    from engine.interpreter.history import Segment
    from engine.interpreter.messages import ScheduleTask
    from engine.interpreter.plan import Plan
    from engine.interpreter.snapshot import Execution
    from engine.jsonvalue import Json
    from engine.query.evaluation import Chance
    from engine.runtime.executions import LiveExecution, Observer
    from engine.runtime.fleet_worker import FleetOptions
    from engine.store.hints import Hint
    from engine.store.library import ExecutionRecord, Garbage, Library, StateMachineRecord, Store
    from engine.store.protocol import Birth, DurableStore, ExecutionId, TakenTask

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE_SECONDS = 30.0
"""How long a call that may safely be made again is made again while the store cannot be reached."""

DEFINITION_SECONDS = 1.0
"""How long after somebody else's update executions may still start with the definition before it; of AWS too it is said
that this takes a few seconds. Asked for each start, it would be a third of what a start costs."""

_NOBODY_CAME_SECONDS = 1.0
"""After the five minutes of a synchronous execution, a worker that runs it ends it; this long later there is none."""

_CLIENT_KINDS = Endings.KINDS | ActivityPolls.KINDS
_REMEMBERED_MAX = 4_096
_CALLS_MAX = 16
_BACK_OFF_SECONDS = 0.05
_BACK_OFF_SECONDS_MAX = 2.0
_OPEN_BACK_OFF_SECONDS = 0.5
_OPEN_BACK_OFF_SECONDS_MAX = 10.0


class RemoteExecution:
    """An execution of the store: `Tracked`, and as far as it was seen from here.

    Attributes:
        ending: Once it was seen to be over.
    """

    __slots__ = ("__weakref__", "arn", "ending", "execution_id", "name")

    def __init__(self, execution_id: ExecutionId, arn: str, name: str) -> None:
        self.execution_id = execution_id
        self.arn = arn
        self.name = name
        self.ending: Ending | None = None


class _Waiter:
    """Somebody who waits for an end that this process may see before the store tells.

    Attributes:
        left: Done when the execution has left this process; `live` is how it then was.
    """

    __slots__ = ("left", "live")

    def __init__(self) -> None:
        self.left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.live: LiveExecution | None = None

    def look(self) -> LiveExecution | None:
        """How it was when it left; what comes later is waited for."""
        if self.left.done():
            self.left = asyncio.get_running_loop().create_future()
        return self.live

    def tell(self, live: LiveExecution | None) -> None:
        """It has left."""
        self.live = live
        if not self.left.done():
            self.left.set_result(None)


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
        self._waiters: dict[str, list[_Waiter]] = {}
        self._born_here: WeakValueDictionary[str, RemoteExecution] = WeakValueDictionary()
        self._is_open = False
        self._remembered: dict[str, tuple[StateMachineRecord, float]] = {}
        self._waits_for = "not entered yet"
        self._limiter = anyio.CapacityLimiter(_CALLS_MAX)
        self._client_polls = ActivityPolls()
        self._group: TaskGroup
        self._endings: Endings
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
                return await self._in_thread(self._open_store)
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
            self.clock.observe(await self._persistently(self._client.now))
            self._begin_listening()
            if self._handlers is not None:
                worker = FleetWorker(
                    self._store,
                    handlers=self._handlers,
                    clock=self.clock,
                    chance=self._chance,
                    observer=self._observer,
                    on_leaving=self._on_leaving,
                    options=self._options,
                )
                self._waits_for = "not enlisted among the workers yet"
                self.worker = await worker.__aenter__()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._in_thread(self._store.close)
            await self._group.__aexit__(None, None, None)
            raise
        self._group.start_soon(self._endings.run)
        self._is_open = True
        return self

    def _begin_listening(self) -> None:
        self._endings = Endings(self._ask_endings, self._store.hints)
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
        self._endings.heard(hint)
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
            for waiter in (waiter for waiters in self._waiters.values() for waiter in waiters):
                waiter.tell(None)
            with anyio.CancelScope(shield=True):
                await self._in_thread(self._store.close)
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
        return await self._in_thread(partial(self._store.gc, older_than=older_than, dry_run=dry_run))

    # ── calls ───────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _in_thread(self, function: Callable[[], T]) -> T:
        # Never abandoned: a statement that was cut off may have been carried out, and costs its connection.
        return await anyio.to_thread.run_sync(function, limiter=self._limiter)

    async def _persistently(self, function: Callable[[], T]) -> T:
        """Calls what may be called twice, until the store is there. Raises StoreUnavailable after PATIENCE_SECONDS."""
        back_off = _BACK_OFF_SECONDS
        with anyio.move_on_after(PATIENCE_SECONDS) as scope:
            while True:
                try:
                    return await self._in_thread(function)
                except StoreUnavailable:
                    if anyio.current_time() + back_off > scope.deadline:
                        raise
                await anyio.sleep(back_off * (0.5 + self._chance.random() / 2))
                back_off = min(back_off * 2, _BACK_OFF_SECONDS_MAX)
        raise StoreUnavailable(f"no answer for {PATIENCE_SECONDS:.0f} seconds")

    @property
    def library(self) -> Library:
        """See `Backend`."""
        return self._store

    async def ask(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """See `Backend`."""
        return await self._persistently(partial(function, *args, **kwargs))

    # ── state machines ──────────────────────────────────────────────────────────────────────────────────────────────

    async def create_state_machine(self, machine: StateMachineRecord) -> StateMachineRecord:
        """See `Backend`."""
        return self._remember(await self._persistently(partial(self._store.create_state_machine, machine)))

    async def deploy(self, machine: StateMachineRecord) -> StateMachineRecord:
        """See `Backend`."""
        return self._remember(await self._persistently(partial(self._store.deploy, machine)))

    async def state_machine(self, arn: str) -> StateMachineRecord:
        """See `Backend`: as it was at most DEFINITION_SECONDS ago."""
        record, until = self._remembered.get(arn, (None, 0.0))
        now = time.monotonic()
        if record is not None:
            if now < until:
                return record
            # One caller asks again; the others need not wait for it.
            self._remembered[arn] = (record, now + DEFINITION_SECONDS / 2)
        try:
            return self._remember(await self._persistently(partial(self._store.state_machine, arn)))
        except BaseException:
            self._remembered.pop(arn, None)
            raise

    def _remember(self, record: StateMachineRecord) -> StateMachineRecord:
        self._remembered.pop(record.arn, None)
        self._remembered[record.arn] = (record, time.monotonic() + DEFINITION_SECONDS / 2)
        if len(self._remembered) > _REMEMBERED_MAX:
            del self._remembered[next(iter(self._remembered))]
        return record

    def forget_machine(self, arn: str) -> None:
        """See `Backend`."""
        self._remembered.pop(arn, None)

    def check(self, program: StateMachine, region: str, account_id: str) -> None:
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
            # It may be over before anybody waits for its end, who then need not ask the store.
            self._born_here[execution.arn] = tracked
            fate, reason = await self.worker.start(execution_id, birth, plan)
            if fate == "UNWRITABLE":
                raise InvalidExecutionInput(reason)
            is_born = fate == "WRITTEN"
        if not is_born:
            start = partial(self._client.start_named, execution_id, birth)
            tracked.execution_id, is_new = await self._persistently(start)
            if is_new:
                self._hint(tracked.execution_id)
        return tracked

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
        return await self._persistently(partial(self._store.execution, execution_arn))

    async def history(self, execution_arn: str) -> Sequence[Segment]:
        """See `Backend`."""
        return await self._persistently(partial(self._store.history, execution_arn))

    async def stop(self, execution: RemoteExecution, error: str | None, cause: str | None) -> None:
        """See `Backend`."""
        check_error(error, cause)
        mail_id = MailId(uuid7(self.clock.now(), self._chance.getrandbits(UUID7_BITS)))
        mail = Mail(id=mail_id, execution_id=execution.execution_id, event=StopRequested(error, cause))
        await self._persistently(partial(self._client.deliver, [mail]))
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
            execution_id, made = await self._in_thread(partial(self._store.reopen, execution.arn, client_token))
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
        self._hint(await self._persistently(partial(self._store.resume, execution.arn)))

    async def result(self, execution: RemoteExecution) -> tuple[Ending, Json]:
        """See `Backend`."""
        if execution.ending is not None and execution.ending.status == "SUCCEEDED":
            return execution.ending, None  # every other end may be undone by a redrive
        waiter = _Waiter()
        waiters = self._waiters.setdefault(execution.arn, [])
        waiters.append(waiter)
        try:
            return await self._result(execution, waiter)
        finally:
            waiters.remove(waiter)
            if not waiters:
                self._waiters.pop(execution.arn, None)

    async def _result(self, execution: RemoteExecution, waiter: _Waiter) -> tuple[Ending, Json]:
        while True:
            live = waiter.look()
            if live is not None and live.ending is not None:
                if live.fault is not None:
                    raise live.fault
                execution.ending = live.ending
                return live.ending, live.failed_input
            if self._is_here(execution):
                await waiter.left
                continue
            if not self._is_open:  # nobody asks for all who wait any more
                answers = await self._ask_endings([execution.execution_id])
                if execution.execution_id in answers:
                    return await self._ended(execution, answers[execution.execution_id])
                await asyncio.sleep(PAUSE_SECONDS_MAX)
                continue
            found = self._endings.wait_for(execution.execution_id)
            try:
                await asyncio.wait((waiter.left, found), return_when=asyncio.FIRST_COMPLETED)
                if found.done():
                    return await self._ended(execution, found.result())
            finally:
                self._endings.forget(found)

    async def _ended(self, execution: RemoteExecution, found: Ending | str | None) -> tuple[Ending, Json]:
        if found is None:
            raise ExecutionDoesNotExist(execution.arn)
        if isinstance(found, str):
            raise ExecutionQuarantined(f"{execution.arn}: {found}")
        execution.ending = found
        return found, await self._failed_input(execution.arn, found)

    async def _ask_endings(self, execution_ids: Collection[ExecutionId]) -> Mapping[ExecutionId, Ending | str | None]:
        return await self._persistently(partial(self._store.endings, execution_ids))

    def _is_here(self, execution: RemoteExecution) -> bool:
        """Whether it runs in this very process, which will tell."""
        worker = self.worker
        return self._is_open and worker is not None and execution.execution_id in worker.worker.executions.live

    async def _failed_input(self, execution_arn: str, ending: Ending) -> Json:
        if ending.frame is None:
            return None
        snapshot = await self._persistently(partial(self._store.snapshot, execution_arn))
        frame = None if snapshot is None else snapshot.frames.get(ending.frame)
        return None if frame is None else frame.input

    def _on_leaving(self, live: LiveExecution) -> None:
        tracked = self._born_here.get(live.arn)
        if tracked is not None and live.fault is None:
            tracked.ending = live.ending
        for waiter in self._waiters.get(live.arn, ()):
            waiter.tell(live)

    def _hint(self, execution_id: ExecutionId) -> None:
        if self.worker is not None:
            self.worker.hint(execution_id)

    async def do_task(self, execution: Execution, command: ScheduleTask) -> Answer:
        """See `Backend`. A client has no handlers."""
        if self.worker is None:
            raise MissingHandler([(command.state, command.resource)])
        return await self.worker.worker.tasks.do_alone(execution, command)

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
        self._hint(await self._in_thread(partial(self._client.take_token, task_token, event)))

    async def send_task_heartbeat(self, task_token: str) -> None:
        """See `Backend`."""
        await self._persistently(partial(self._client.heartbeat_token, task_token))

    async def get_activity_task(
        self, activity_arn: str, worker_name: str | None, *, wait_seconds: float
    ) -> TakenTask | None:
        """See `Backend`."""
        check_text("worker_name", worker_name)

        async def take() -> TakenTask | None:
            taken = await self._in_thread(partial(self._client.take_task, activity_arn, worker_name))
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
