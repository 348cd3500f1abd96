"""What operations work with: one emulator of Lambda, for one region."""

from __future__ import annotations

import copy
import random
from typing import TYPE_CHECKING, Protocol, Self

import anyio

from engine.lambda_emulator.clock import SystemClock
from engine.lambda_emulator.concurrency import Concurrency
from engine.lambda_emulator.destinations import Destinations
from engine.lambda_emulator.housekeeping import keep_house
from engine.lambda_emulator.invocation_store import MemoryInvocationStore
from engine.lambda_emulator.limits import Limits
from engine.lambda_emulator.queue import Queue

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from anyio.abc import TaskGroup

    from engine.lambda_emulator.clock import Clock
    from engine.lambda_emulator.code_cache import CodeCache
    from engine.lambda_emulator.functions import FunctionVersion
    from engine.lambda_emulator.invocation import Event, Outcome
    from engine.lambda_emulator.invocation_store import InvocationStore
    from engine.lambda_emulator.library import Library

_LIMITS = Limits()


class Runner(Protocol):
    """What runs functions: execution environments."""

    def check(self, runtime: str) -> None:
        """Raises ValueError: functions of this runtime cannot be run here; the text says what to do."""
        ...

    async def invoke(self, version: FunctionVersion, event: Event) -> Outcome:
        """Runs it once. A failure of the function is an outcome.

        Raises:
            LambdaError: It could not be run: ServiceException, or what befell its SnapStart snapshot.
        """
        ...

    async def prepare(self, version: FunctionVersion, count: int = 0) -> None:
        """Makes the snapshot of a version, or `count` environments that are to be there before they are needed.

        Raises:
            LambdaError: The initialisation failed.
        """
        ...

    async def retire(self, name: str, version: str | None = None, keep_revision: str | None = None) -> None:
        """Takes away the environments of a function, or of one of its versions, but for those of a revision."""
        ...


class Emulator:
    """Functions of one account as its operations see them; used as an asynchronous context manager.

    Attributes:
        account_id: Whose functions.
        url: Where the API answers, without a slash at its end.
        clock, draw: Time and chance; `draw` is uniform in [0, 1).
        environments: Where functions run.
        library: Which functions and layers there are.
        code: Their unpacked packages.
        limits: Quotas.
        concurrency: What runs now.
        queue: Asynchronous invocations.
        group: For what goes on behind an answer; it ends with the emulator.
    """

    def __init__(
        self,
        *,
        account_id: str,
        region: str,
        url: str,
        environments: Runner,
        library: Library,
        code: CodeCache,
        invocations: InvocationStore | None = None,
        destinations: Destinations | None = None,
        limits: Limits = _LIMITS,
        clock: Clock | None = None,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """`invocations`: where asynchronous ones wait; None: in this process."""
        self.account_id = account_id
        self.region = region
        self.url = url
        self.environments = environments
        self.library = library
        self.code = code
        self.limits = limits
        self.clock: Clock = clock or SystemClock()
        self.draw = draw
        self.concurrency = Concurrency(self.clock.monotonic)
        self.queue = Queue(
            MemoryInvocationStore() if invocations is None else invocations,
            destinations or Destinations(),
            in_hand_max=limits.concurrent_executions,
        )
        self.group: TaskGroup = anyio.create_task_group()

    def of(self, account_id: str) -> Emulator:
        """The same emulator, for the functions of another account."""
        if account_id == self.account_id:
            return self
        other = copy.copy(self)
        other.account_id = account_id
        return other

    async def __aenter__(self) -> Self:
        await self.group.__aenter__()
        self.group.start_soon(keep_house, self)
        self.group.start_soon(self.queue.run, self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        self.group.cancel_scope.cancel()
        try:
            return await self.group.__aexit__(kind, error, trace)
        finally:
            self.code.close()
