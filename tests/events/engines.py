"""Engines whose executions are told of, and state machines that have a logging configuration."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import engine
from engine.store.protocol import RevisionId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from engine.library import Engine
    from engine.store.records import Changes

GROUP = "/aws/vendedlogs/states/orders"
GROUP_ARN = f"arn:aws:logs:us-east-1:123456789012:log-group:{GROUP}:*"


def logging_to(group_arn: str = GROUP_ARN, *, level: str = "ALL", include: bool = True) -> dict[str, Any]:
    """A loggingConfiguration."""
    destination = {"cloudWatchLogsLogGroup": {"logGroupArn": group_arn}}
    return {"level": level, "includeExecutionData": include, "destinations": [destination]}


async def deployed(one: Engine, definition: Any, logging: dict[str, Any], **fields: Any) -> str:
    """A state machine with this logging configuration; its ARN."""
    machine = await one.create_state_machine(definition, "orders", **fields)
    service = one.service
    changes: Changes = {"logging": logging}
    update, revision_id = service.library.update_state_machine, RevisionId(service.new_uuid())
    await service.ask(update, machine.arn, changes, revision_id=revision_id, now=service.now())
    return machine.arn


async def run_logged(definition: Any, logging: dict[str, Any], given: Any = None, **options: Any) -> None:
    """Runs an execution of such a state machine in memory, to its end."""
    type_ = options.pop("type", "STANDARD")
    async with engine.Engine.in_memory(options.pop("handlers", None), clock="virtual", **options) as one:
        arn = await deployed(one, definition, logging, type=type_)
        with suppress(engine.ExecutionFailed):
            await (await one.start_execution(arn, {} if given is None else given)).result()


class Posted:
    """A web server, and what was posted to it.

    Attributes:
        statuses: Of its next answers; 200 when there is none left.
        events: What it has taken.
    """

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.requests = 0
        self.events: list[dict[str, Any]] = []
        self.url = ""
        self._lock = threading.Lock()

    def answer(self, body: bytes) -> int:
        with self._lock:
            self.requests += 1
            status = self.statuses.pop(0) if self.statuses else 200
            if status == 200:
                self.events.append(json.loads(body))
            return status

    def told(self) -> list[tuple[str, str]]:
        """(name, status) of the executions it was told of, sorted."""
        return sorted((event["detail"]["name"], event["detail"]["status"]) for event in self.events)


@contextmanager
def posted() -> Iterator[Posted]:
    """A web server on this machine."""
    found = Posted()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(found.answer(body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}/told"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


class Notices:
    """What an operator is told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, event: str, **about: Any) -> None:
        self.told.append((event, about))

    def named(self, event: str) -> list[dict[str, Any]]:
        return [about for name, about in self.told if name == event]
