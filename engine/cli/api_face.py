"""The API in a process that serves: where it listens, whom it knows, and how it begins and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from engine.api.app import Api
from engine.api.counts import Counts, CountsCollector
from engine.api.server import is_loopback

if TYPE_CHECKING:
    from anyio.abc import TaskStatus
    from prometheus_client.registry import Collector

    from engine.api.access import Access
    from engine.api.server import ApiServer
    from engine.api.throttling import Throttle
    from engine.operations.service import Service


class ApiFace:
    """One server of the API.

    Attributes:
        collector: Its metrics.
    """

    def __init__(self, server: ApiServer, access: Access, throttle: Throttle | None) -> None:
        self._server = server
        self._access = access
        self._throttle = throttle
        self._counts = Counts()
        self.collector: Collector = CountsCollector(self._counts)

    @property
    def url(self) -> str:
        """Where it answers."""
        return self._server.url

    @property
    def in_flight(self) -> int:
        """Requests that are being answered."""
        return self._counts.in_flight

    async def run(self, service: Service, *, task_status: TaskStatus[None]) -> None:
        """Answers for this service until `stop`; started once it does."""
        api = Api(service, access=self._access, throttle=self._throttle, counts=self._counts)
        log = structlog.get_logger()
        log.info("answering requests", url=self.url, open=self._access.is_open, account=service.account_id,
                 region=service.region)  # fmt: skip
        if self._access.bearers is not None and self.url.startswith("http:") and not is_loopback(self._server.host):
            log.warning("bearer tokens come unencrypted: give a certificate, or let a proxy have one", url=self.url)
        await self._server.run(api, task_status=task_status)

    async def stop(self, seconds: float) -> bool:
        """See `ApiServer.stop`."""
        return await self._server.stop(seconds)

    def close(self) -> None:
        """See `ApiServer.close`."""
        self._server.close()
