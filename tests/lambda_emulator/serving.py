"""A server of Lambda's API in a thread of this process, and boto3 that asks it."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import boto3
from anyio.from_thread import start_blocking_portal
from botocore.config import Config

from engine.http.access import Access
from engine.http.server import ApiServer
from engine.lambda_emulator.app import LambdaApi
from tests.waiting import DEADLINE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from engine.lambda_emulator.emulator import Emulator

ACCOUNT = "000000000000"
REGION = "eu-central-1"


class Server(NamedTuple):
    url: str
    emulator: Emulator
    portal: Any

    def client(self, service: str = "lambda", **more: Any) -> Any:
        given: dict[str, Any] = {"key": ACCOUNT, "secret": "dummy", **more}
        return boto3.client(
            service,
            endpoint_url=self.url,
            region_name=REGION,
            aws_access_key_id=given["key"],
            aws_secret_access_key=given["secret"],
            config=Config(retries={"total_max_attempts": 1}, read_timeout=30, inject_host_prefix=False),
        )


@contextmanager
def serving(make: Callable[[str], Emulator], *, access: Access | None = None, **api: Any) -> Iterator[Server]:
    """`make` is given the URL and makes the emulator, in the event loop."""
    server = ApiServer("127.0.0.1", 0)
    is_up, ended = threading.Event(), anyio.Event
    made: list[Emulator] = []
    stop: list[Any] = []

    async def run() -> None:
        stop.append(ended())
        async with make(server.url) as emulator, anyio.create_task_group() as group:
            made.append(emulator)
            app = LambdaApi(emulator, access=access or Access(now=time.time, service="lambda"), **api)
            await group.start(server.run, app)
            is_up.set()
            await stop[0].wait()
            await server.stop(5)

    with start_blocking_portal() as portal:
        running = portal.start_task_soon(run)
        running.add_done_callback(lambda _: is_up.set())
        assert is_up.wait(DEADLINE_SECONDS)
        try:
            if running.done():
                running.result()
            yield Server(server.url, made[0], portal)
        finally:
            if stop and not running.done():
                portal.call(stop[0].set)
            running.result(DEADLINE_SECONDS)
