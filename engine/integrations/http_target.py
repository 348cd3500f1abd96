"""`http://host/path` or `https://host/path`: an HTTP endpoint as a handler.

It gets what a callable would get, as JSON by POST, and answers with the result as JSON (nothing is null). Who it works
for stands in headers: `Asl-Execution-Arn`, `Asl-State-Name` (percent-encoded), `Asl-Attempt`, `Idempotency-Key` and,
where there is one, `Asl-Task-Token`.

A status other than 2xx fails the Task: with the error and cause of its body, `{"error": "Busy", "cause": "..."}`, or
else as `Endpoint.StatusCode.503` with the body as the cause. Redirects are not followed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import anyio

from engine.errors import StatesError
from engine.integrations.aws import AnswerTooLong
from engine.integrations.aws_credentials import NoAnswer
from engine.integrations.aws_endpoints import is_loopback
from engine.integrations.invocation import (
    SECONDS_MAX,
    answer_of,
    checked_seconds,
    event_of,
    new_request_id,
    shortened,
    timed_out,
)
from engine.jsonvalue import InvalidJson, decode, encode

if TYPE_CHECKING:
    from engine.asl.resource import Resource
    from engine.integrations.aws import HttpAnswer
    from engine.integrations.request import Answer, Channel, TaskRequest, WorkerLoss, Workplace

_OK = range(200, 300)


class HttpTarget:
    """An endpoint of one's own.

    Attributes:
        seconds: The time limit of one invocation: `Sandbox.Timedout` when it is reached.
        on_worker_loss, waits_apart, concurrency: See `Handler`.
    """

    fixed_answer = None
    waits_apart = True

    def __init__(
        self,
        spec: str,
        *,
        timeout_seconds: float = SECONDS_MAX,
        on_worker_loss: WorkerLoss = "rerun",
        concurrency: int | None = None,
    ) -> None:
        """Raises ValueError: a time limit beyond Lambda's, or no URL."""
        self.name = spec
        self.concurrency = concurrency
        self.on_worker_loss: WorkerLoss = on_worker_loss
        self.seconds = checked_seconds(timeout_seconds)
        check_url(spec)

    def destination(self, resource: Resource) -> str | None:
        """See `Handler`."""
        return None if is_loopback(self.name) else self.name

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        """See `Handler`. Cancelled, it closes the connection."""
        request_id = new_request_id()
        body = encode(event_of(request))
        answered = None
        try:
            with anyio.move_on_after(self.seconds):
                route = await workplace.aws.public_route(self.name)
                answered = await workplace.aws.send("POST", self.name, _headers(self.name, request, body), body, route)
        except AnswerTooLong as error:
            raise StatesError("Endpoint.OutputTooLarge", f"{self.name}: {error}") from None
        except NoAnswer as error:
            raise StatesError("Endpoint.NotReached", f"{self.name}: {error}") from None
        if answered is None:
            raise timed_out(self.seconds, request_id)
        if answered.status not in _OK:
            raise shortened(_failure(answered))
        try:
            return answer_of(request, answered.body.strip() or b"null", request_id)
        except InvalidJson as error:
            raise StatesError("Endpoint.InvalidOutput", f"the answer of {self.name} is not JSON: {error}") from None


def check_url(url: str) -> None:
    """Raises ValueError: it is not a URL of http or https, or tells a password."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isascii() or not url.isprintable():
        raise ValueError(f"expected a URL such as http://127.0.0.1:8080/path, got {url!r}")
    if parts.username is not None:
        raise ValueError("expected a URL without user and password: rules are shown in logs")
    if parts.fragment:
        raise ValueError(f"expected a URL without a fragment, got {url!r}")
    _ = parts.port  # which raises ValueError where it is no number


def _headers(url: str, request: TaskRequest, body: bytes) -> dict[str, str]:
    headers = {
        "Host": urlsplit(url).netloc,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Accept": "application/json",
        "Asl-Execution-Arn": quote(request.execution_arn, safe=":/"),
        "Asl-State-Name": quote(request.state, safe=" "),
        "Asl-Attempt": str(request.attempt),
        "Idempotency-Key": request.idempotency_key,
    }
    if request.task_token is not None:
        headers["Asl-Task-Token"] = request.task_token
    return headers


def _failure(answered: HttpAnswer) -> StatesError:
    cause = answered.body.decode("utf-8", "replace")
    try:
        value = decode(answered.body)
    except InvalidJson:
        value = None
    if isinstance(value, dict) and isinstance(value.get("error"), str):
        told = value.get("cause")
        return StatesError(str(value["error"]), told if isinstance(told, str) else None)
    return StatesError(f"Endpoint.StatusCode.{answered.status}", cause or answered.reason or None)
