"""Asynchronous invocations: taken up when they are due, tried again, told to their destinations (lambda.md 2.3)."""

from __future__ import annotations

import traceback
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from uuid import uuid4

import anyio
import structlog
from anyio import to_thread

from engine.lambda_emulator.destinations import Condition, Result
from engine.lambda_emulator.errors import LambdaError, ResourceNotFoundException, TooManyRequestsException
from engine.lambda_emulator.functions import LATEST
from engine.lambda_emulator.invocable import invocable
from engine.lambda_emulator.invocation import Event
from engine.lambda_emulator.invocation_store import MemoryInvocationStore, Queued
from engine.lambda_emulator.records import function_key
from engine.lambda_emulator.running import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from engine.lambda_emulator.calls import Call
    from engine.lambda_emulator.destinations import Destinations
    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.invocable import Invocable
    from engine.lambda_emulator.invocation import Outcome
    from engine.lambda_emulator.invocation_store import InvocationStore

P = ParamSpec("P")
T = TypeVar("T")

_RETRY_MS = (60_000, 120_000)
"""Before the second and the third attempt."""

_BACK_OFF_MS, _BACK_OFF_MS_MAX = 1_000, 300_000
"""When it could not be run at all: doubled each time."""

_HIDDEN_MS = 6_000
"""How long nobody notices that a server that took an invocation is gone."""

_RENEW_SECONDS = 1.5
_POLL_MS = 1_000
"""What other servers put into the store is seen after that."""

_TAKE_MAX = 100
_MS_PER_SECOND = 1_000


class Queue:
    """What waits for one emulator, with all its accounts.

    Attributes:
        in_hand: Invocations that were taken and are not settled.
    """

    def __init__(self, store: InvocationStore, destinations: Destinations, *, in_hand_max: int) -> None:
        self.in_hand: dict[UUID, Queued] = {}
        self._store = store
        self._local = MemoryInvocationStore()  # of functions that no other server knows
        self._destinations = destinations
        self._in_hand_max = in_hand_max
        self._woken = anyio.Event()
        self._is_away = False  # the store; that is said once
        self._log = structlog.get_logger()

    async def put(self, emulator: Emulator, found: Invocable, payload: bytes, call: Call) -> None:
        """Keeps an event for a function. When this returned it may be acknowledged."""
        _, _, qualifier = found.invoked_arn.partition(f":function:{found.version.name}")
        now = _ms(emulator)
        queued = Queued(
            id=uuid4(),
            account_id=emulator.account_id,
            region=emulator.region,
            function_name=found.version.name,
            qualifier=qualifier.removeprefix(":") or None,
            request_id=call.request_id,
            trace_id=call.trace_id,
            payload=payload,
            accepted_at=now,
            due_at=now,
        )
        key = function_key(emulator.account_id, emulator.region, found.version.name)
        if emulator.library.local_code(key) is not None:
            self._local.put(queued)
        else:
            await self._ask(self._store.put, queued)
        self._wake()

    async def run(self, emulator: Emulator) -> None:
        """Takes up what is due, until it is cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._keep_hidden, emulator)
            while True:
                try:
                    taken = await self._take(emulator)
                    next_due = None if taken else await self._next_due(emulator)
                except Exception as error:  # noqa: BLE001  the top of a loop: the store may be back the next time
                    if not self._is_away:
                        self._log.warning("asynchronous invocations cannot be taken", error=str(error))
                    self._is_away = True
                    await anyio.sleep(_POLL_MS / _MS_PER_SECOND)
                    continue
                self._is_away = False
                for one in taken:
                    self.in_hand[one.id] = one
                    group.start_soon(self._work, emulator.of(one.account_id), one)
                if not taken:
                    await self._rest(emulator, next_due)

    async def _take(self, emulator: Emulator) -> list[Queued]:
        room = min(_TAKE_MAX, self._in_hand_max - len(self.in_hand))
        if room <= 0:
            return []
        now = _ms(emulator)
        until = now + _HIDDEN_MS
        taken = self._local.take(emulator.region, now, most=room, hidden_until=until)
        if len(taken) < room:
            room -= len(taken)
            taken += await self._ask(self._store.take, emulator.region, now, most=room, hidden_until=until)
        # What nobody kept in time is in hand all the same, if it is ours.
        return [one for one in taken if one.id not in self.in_hand]

    async def _next_due(self, emulator: Emulator) -> int | None:
        dues = (self._local.next_due(emulator.region), await self._ask(self._store.next_due, emulator.region))
        return min((due for due in dues if due is not None), default=None)

    async def _rest(self, emulator: Emulator, next_due: int | None) -> None:
        """Until something is due, is put here, or may have been put by others."""
        until = next_due
        if self._store.is_remote:
            poll = _ms(emulator) + _POLL_MS
            until = poll if until is None else min(until, poll)
        if len(self.in_hand) >= self._in_hand_max:
            until = None  # whatever is due, there is no room
        async with anyio.create_task_group() as group:
            if until is not None:
                group.start_soon(self._wake_at, emulator, until)
            await self._woken.wait()
            self._woken = anyio.Event()  # before anything else is awaited, or somebody's wake-up could be missed
            group.cancel_scope.cancel()

    async def _wake_at(self, emulator: Emulator, moment: int) -> None:
        await emulator.clock.sleep_until(datetime.fromtimestamp(moment / _MS_PER_SECOND, UTC))
        self._wake()

    def _wake(self) -> None:
        self._woken.set()

    async def _keep_hidden(self, emulator: Emulator) -> None:
        """From other servers, what this one works on."""
        while True:
            await anyio.sleep(_RENEW_SECONDS)
            if not self.in_hand:
                continue
            self._local.hide(list(self.in_hand), _ms(emulator) + _HIDDEN_MS)
            try:
                await self._ask(self._store.hide, list(self.in_hand), _ms(emulator) + _HIDDEN_MS)
            except Exception as error:  # noqa: BLE001  as in `run`
                self._log.warning("asynchronous invocations cannot be kept", error=str(error))

    # ── one invocation ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _work(self, emulator: Emulator, queued: Queued) -> None:
        """One attempt, and what comes of it."""
        try:
            after = await self._attempted(emulator, queued)
            await self._settle(after, queued.id)
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True):  # whoever comes next need not wait for it
                await self._settle(queued, queued.id)
            raise
        except Exception as error:  # noqa: BLE001  others go on; it stays hidden for a while, and is tried again then
            trace = "".join(traceback.format_exception(error))
            self._log.error("asynchronous invocation failed", request_id=queued.request_id, exception=trace)
        finally:
            del self.in_hand[queued.id]
            self._wake()

    async def _attempted(self, emulator: Emulator, queued: Queued) -> Queued | None:
        """As it waits anew; None when it is over."""
        try:
            found = await invocable(emulator, queued.function_name, queued.qualifier)
        except ResourceNotFoundException as error:
            self._log.warning("event of a function that is gone", request_id=queued.request_id, error=error.message)
            return None
        except LambdaError:
            return _refused(queued, _ms(emulator))
        config = found.event_invoke_config
        if _ms(emulator) - queued.accepted_at > config.age_seconds_max * _MS_PER_SECOND:
            await self._tell(emulator, found, queued, "EventAgeExceeded", None)
            return None
        if found.reserved_concurrency == 0:
            await self._tell(emulator, found, queued, "ZeroReservedConcurrency", None)
            return None
        event = Event(
            payload=queued.payload,
            request_id=queued.request_id,
            invoked_arn=found.invoked_arn,
            trace_id=queued.trace_id,
        )
        try:
            outcome = await run(emulator, found, event, is_synchronous=False)
        except TooManyRequestsException:
            return _refused(queued, _ms(emulator))
        except LambdaError as error:
            self._log.warning("function could not be run", request_id=queued.request_id, error=error.message)
            return _refused(queued, _ms(emulator))
        tried = replace(queued, attempts=queued.attempts + 1, refusals=0)
        if outcome.function_error is None or tried.attempts > config.retries_max:
            condition: Condition = "Success" if outcome.function_error is None else "RetriesExhausted"
            await self._tell(emulator, found, tried, condition, outcome)
            return None
        return replace(tried, due_at=_ms(emulator) + _RETRY_MS[tried.attempts - 1])

    async def _settle(self, after: Queued | None, of: UUID) -> None:
        if of in self._local:
            self._local.settle(after, of)
        else:
            await self._ask(self._store.settle, after, of)

    async def _tell(
        self, emulator: Emulator, found: Invocable, queued: Queued, condition: Condition, outcome: Outcome | None
    ) -> None:
        result = Result(
            condition=condition,
            request_id=queued.request_id,
            function_arn=found.version.arn(queued.qualifier or LATEST),
            executed_version=found.version.version,
            invoke_count=queued.attempts,
            request_payload=queued.payload,
            outcome=outcome,
            time=emulator.clock.now(),
            trace_id=queued.trace_id,
        )
        await self._destinations.tell(emulator, found, result)

    async def _ask(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a method of the store, in a thread if it waits for somebody."""
        if not self._store.is_remote:
            return function(*args, **kwargs)
        return await to_thread.run_sync(lambda: function(*args, **kwargs))


def _refused(queued: Queued, now: int) -> Queued:
    wait = min(_BACK_OFF_MS << min(queued.refusals, 20), _BACK_OFF_MS_MAX)
    return replace(queued, refusals=queued.refusals + 1, due_at=now + wait)


def _ms(emulator: Emulator) -> int:
    return int(emulator.clock.now().timestamp() * _MS_PER_SECOND)
