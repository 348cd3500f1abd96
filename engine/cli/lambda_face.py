"""The Lambda emulator in a process that serves: what it is made of, where it answers, and how it begins and ends."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import anyio
import structlog
from anyio import to_thread

from engine.lambda_emulator.app import LambdaApi, is_for_lambda
from engine.lambda_emulator.errors import LambdaError, ServiceException
from engine.lambda_emulator.rest_json import error_answer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from anyio.abc import TaskStatus

    from engine.http.access import Access
    from engine.http.counts import Counts
    from engine.http.requests import Receive, Send
    from engine.http.server import ApiServer, Application
    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.environments import Environments
    from engine.lambda_emulator.invocation_store import InvocationStore
    from engine.lambda_emulator.invoker import Invoker
    from engine.lambda_emulator.limits import Limits
    from engine.lambda_emulator.local_functions import LocalFunction
    from engine.lambda_emulator.log_sink import LogSink
    from engine.lambda_emulator.store import FunctionStore
    from engine.store.postgres.lambda_functions import PostgresFunctionStore

_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The database that functions and queued events are in."""

    url: str
    pooler: bool


class LateInvoker:
    """Functions of an emulator that may not run yet: until then there are none. In the engine's event loop."""

    def __init__(self) -> None:
        self._invoker: Invoker | None = None
        self._why_not = "the emulator has not begun yet"

    def begin(self, invoker: Invoker) -> None:
        """From now on these."""
        self._invoker = invoker

    def give_up(self, why: str) -> None:
        """There will be none."""
        self._why_not = why

    def has(self, function: str, qualifier: str | None) -> bool:
        """See `LambdaEmulator`."""
        return self._invoker is not None and self._invoker.has(function, qualifier)

    async def invoke(self, function: str, payload: bytes, **given: Any) -> tuple[int, list[tuple[str, str]], bytes]:
        """See `LambdaEmulator`."""
        if self._invoker is not None:
            return await self._invoker.invoke(function, payload, **given)
        answer = error_answer(ServiceException(f"no function can be run here: {self._why_not}"))
        return answer.status, [(name.decode(), value.decode()) for name, value in answer.headers], answer.body


class LambdaFace:
    """One emulator.

    Attributes:
        invoker: Its functions for Tasks of the same process.
        server: A port of its own; None: it answers on another API's port alone.
    """

    def __init__(
        self,
        server: ApiServer | None,
        access: Access,
        *,
        url: str,
        account_id: str,
        region: str,
        sink: LogSink,
        variables: Mapping[str, str],
        counts: Counts,
        limits: Limits,
        local: tuple[LocalFunction, ...] = (),
        watches: bool = False,
    ) -> None:
        """Nothing begins yet.

        Args:
            url: Where it answers, as function URLs and links to packages show it.
            variables: Of every function, as the endpoints of other services.
            local: Functions in files of this machine.
            watches: Those are served anew when their files change.
        """
        self.invoker = LateInvoker()
        self.server = server
        self.url = url
        self._access = replace(access, service="lambda")
        self._account_id, self._region = account_id, region
        self._sink = sink
        self._variables = variables
        self._counts = counts
        self._limits = limits
        self._local, self._watches = local, watches
        self._where: Where | None = None

    def keep_in(self, url: str, *, pooler: bool) -> None:
        """Keeps functions and events in this database, not in memory."""
        self._where = Where(url=url, pooler=pooler)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[LambdaApi | None]:
        """The emulator while it lives; None where functions cannot be run, which is logged."""
        from engine.lambda_emulator.environments import Environments
        from engine.lambda_emulator.invoker import Invoker
        from engine.lambda_emulator.runtimes import Programs

        log = structlog.get_logger()
        async with AsyncExitStack() as stack:
            try:
                environments = await stack.enter_async_context(
                    Environments(self._sink, Programs(variables=self._variables))
                )
            except LambdaError as error:
                log.warning("functions are not served", reason=error.message)
                self.invoker.give_up(error.message)
                yield None
                return
            functions, invocations = await self._stores(stack)
            emulator = await stack.enter_async_context(self._emulator(environments, functions, invocations))
            self.invoker.begin(Invoker(emulator))
            self._serve_local(emulator)
            log.info("serving functions", url=self.url, isolation=environments.isolation,
                     kept=self._where is not None)  # fmt: skip
            yield LambdaApi(emulator, access=self._access, counts=self._counts)

    async def _stores(self, stack: AsyncExitStack) -> tuple[FunctionStore, InvocationStore | None]:
        if self._where is None:
            from engine.lambda_emulator.memory_store import MemoryFunctionStore

            return MemoryFunctionStore(), None
        from engine.store.postgres.connection import Pool
        from engine.store.postgres.lambda_invocations import PostgresInvocationStore

        functions = await _function_store(self._where)
        stack.callback(functions.close)
        pool = Pool(self._where.url, "asl events", pooler=self._where.pooler)
        stack.callback(pool.close)
        return functions, PostgresInvocationStore(pool)

    def _emulator(
        self, environments: Environments, functions: FunctionStore, events: InvocationStore | None
    ) -> Emulator:
        from engine.lambda_emulator.code_cache import CodeCache, default_cache_directory
        from engine.lambda_emulator.emulator import Emulator
        from engine.lambda_emulator.library import Library

        limits, library = self._limits, Library(functions)
        return Emulator(
            account_id=self._account_id,
            region=self._region,
            url=self.url,
            environments=environments,
            library=library,
            code=CodeCache(default_cache_directory(os.environ), library, limits),
            invocations=events,
            limits=limits,
        )

    def _serve_local(self, emulator: Emulator) -> None:
        from engine.lambda_emulator.local_functions import digest_of, put, watch

        for function in self._local:
            digest = digest_of(function.directory)
            put(emulator, function, digest)
            if self._watches:
                emulator.group.start_soon(watch, emulator, function, digest)
            structlog.get_logger().info("function served", function=function.name, handler=function.handler,
                                        runtime=function.runtime, directory=str(function.directory))  # fmt: skip

    async def run_server(self, api: LambdaApi, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Answers at the port of its own until it is stopped; started once it does."""
        assert self.server is not None, "it was given one"
        await self.server.run(api, task_status=task_status)

    async def stop(self, seconds: float) -> bool:
        """Takes no more requests at that port; whether none was cut off. The functions go on, for Tasks."""
        return self.server is None or await self.server.stop(seconds)

    def close(self) -> None:
        """Listens no more; for one that may never have answered."""
        if self.server is not None:
            self.server.close()


async def _function_store(where: Where) -> PostgresFunctionStore:
    """Once the database is there."""
    from engine.store.postgres.lambda_functions import PostgresFunctionStore
    from engine.store.protocol import StoreUnavailable

    while True:
        try:
            return await to_thread.run_sync(partial(PostgresFunctionStore, where.url, pooler=where.pooler))
        except StoreUnavailable as error:
            structlog.get_logger().warning("functions wait for the database", error=str(error))
            await anyio.sleep(_AGAIN_SECONDS)


class SharedPort:
    """Two APIs at one port: paths and host names tell which one is meant."""

    def __init__(self, api: Application, functions: LambdaApi) -> None:
        self._api = api
        self._functions = functions

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """See ASGI."""
        await (self._functions if is_for_lambda(scope) else self._api)(scope, receive, send)

    def stop_waiting(self) -> None:
        """See `Application`."""
        self._api.stop_waiting()
        self._functions.stop_waiting()
