"""The API in a process that serves: where it listens, whom it knows, and how it begins and ends."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import anyio
import structlog

from engine.api.app import Api
from engine.http.counts import Counts, CountsCollector
from engine.http.server import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anyio.abc import TaskStatus
    from prometheus_client.registry import Collector

    from engine.api.throttling import Throttle
    from engine.cli.lambda_face import LambdaFace
    from engine.http.access import Access
    from engine.http.server import ApiServer
    from engine.operations.quotas import Quotas
    from engine.operations.service import Service


class ApiFace:
    """One server of the API.

    Attributes:
        access: Whom it knows.
        collector: Its metrics.
        counts: What those are made of.
        functions: The Lambda emulator beside it, which answers at its port as well; None: there is none.
    """

    def __init__(self, server: ApiServer, access: Access, throttle: Throttle | None, quotas: Quotas) -> None:
        self._server = server
        self._quotas = quotas
        self.access = access
        self.functions: LambdaFace | None = None
        self._throttle = throttle
        self.counts = Counts()
        self.collector: Collector = CountsCollector(self.counts)

    @property
    def url(self) -> str:
        """Where it answers."""
        return self._server.url

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return self.counts.in_flight

    async def run(self, service: Service, *, task_status: TaskStatus[None]) -> None:
        """Answers for this service until `stop`; started once it does. Functions then go on until it is cancelled."""
        api = Api(service.within(self._quotas), access=self.access, throttle=self._throttle, counts=self.counts)
        log = structlog.get_logger()
        log.info("answering requests", url=self.url, open=self.access.is_open, account=service.account_id,
                 region=service.region)  # fmt: skip
        if self.access.bearers is not None and self.url.startswith("http:") and not is_loopback(self._server.host):
            log.warning("bearer tokens come unencrypted: give a certificate, or let a proxy have one", url=self.url)
        if self.functions is None:
            await self._server.run(api, task_status=task_status)
            return
        from engine.cli.lambda_face import SharedPort

        async with self.functions.running() as functions, anyio.create_task_group() as group:
            if functions is None:
                await self._server.run(api, task_status=task_status)
                return
            if self.functions.server is not None:
                await group.start(self.functions.server.run, functions)
            await self._server.run(SharedPort(api, functions), task_status=task_status)
            await anyio.sleep_forever()  # Tasks that are still in flight may call functions

    async def stop(self, seconds: float) -> bool:
        """See `ApiServer.stop`; the emulator takes no more requests either."""
        functions_served: list[bool] = []

        async def stop_functions() -> None:
            functions_served.append(self.functions is None or await self.functions.stop(seconds))

        async with anyio.create_task_group() as group:
            group.start_soon(stop_functions)
            has_served_all = await self._server.stop(seconds)
        return has_served_all and functions_served[0]

    @contextmanager
    def closed_on_errors(self) -> Iterator[None]:
        """Listens no more when what is done inside fails."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """See `ApiServer.close`."""
        self._server.close()
        if self.functions is not None:
            self.functions.close()
