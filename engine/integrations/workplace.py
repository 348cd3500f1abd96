"""Threads, processes and clusters of one engine; nothing is started, or even imported, before a handler needs it."""

from __future__ import annotations

import os
from types import MappingProxyType
from typing import TYPE_CHECKING

import anyio

from engine.integrations.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.integrations.aws import AwsClients
    from engine.integrations.connection_lookup import Connections
    from engine.integrations.connections import Connection
    from engine.integrations.dask_ import Clusters
    from engine.integrations.lambda_ import LambdaEmulator
    from engine.integrations.processes import Processes


_NONE: Mapping[str, Connection] = MappingProxyType({})

COMMANDS_MAX = 40
"""Commands that run at once. More: thousands of Tasks would run out of processes and file descriptors."""


class OwnWorkplace:
    """A `Workplace`. To be made, used and closed in one event loop.

    Attributes:
        threads: For callables that block.
        commands: A command holds one of these while it runs.
        lambda_emulator: That of this process, if it has one.
    """

    def __init__(
        self,
        *,
        threads_max: int,
        processes_max: int | None,
        commands_max: int,
        lambda_emulator: LambdaEmulator | None = None,
        connections: Mapping[str, Connection] = _NONE,
    ) -> None:
        """Nothing is started yet.

        Args:
            processes_max: None: as many as there are processors.
            connections: Those that are configured here, by name or ARN.
        """
        self.lambda_emulator = lambda_emulator
        self.threads = Threads(threads_max)
        self.commands = anyio.CapacityLimiter(commands_max)
        self._processes_max = processes_max or os.cpu_count() or 1
        self._processes: Processes | None = None
        self._clusters: Clusters | None = None
        self._aws: AwsClients | None = None
        self._configured = connections
        self._connections: Connections | None = None

    @property
    def processes(self) -> Processes:
        """For callables that must be killable."""
        if self._processes is None:
            from engine.integrations.processes import Processes

            self._processes = Processes(self._processes_max)
        return self._processes

    @property
    def clusters(self) -> Clusters:
        """For callables on Dask clusters."""
        if self._clusters is None:
            from engine.integrations.dask_ import Clusters

            self._clusters = Clusters()
        return self._clusters

    @property
    def aws(self) -> AwsClients:
        """For calls to AWS, and to other servers."""
        if self._aws is None:
            from engine.integrations.aws import AwsClients

            self._aws = AwsClients(self.threads)
        return self._aws

    @property
    def connections(self) -> Connections:
        """How the APIs of HTTP Tasks are authorized."""
        if self._connections is None:
            from engine.integrations.connection_lookup import Connections

            self._connections = Connections(self._configured, self.threads)
        return self._connections

    async def close(self) -> None:
        """Ends connections, and threads and processes that wait for work.

        Those that work were left or killed by their cancellation.
        """
        self.threads.close()
        if self._processes is not None:
            await self._processes.close()
        if self._clusters is not None:
            await self._clusters.close()
        if self._aws is not None:
            await self._aws.close()
