"""Functions that are containers somebody else runs: known by a URL, started and ended by whoever started them.

`http://host:port` is one whose image has the Runtime Interface Emulator, as AWS's base images do: it takes an event and
gives the result, and says little else (lambda.md 5.4). `runtime-api://host:port` is where the Runtime API listens for a
container that was started with `AWS_LAMBDA_RUNTIME_API=host:port`: that is an execution environment like any other, but
that it cannot be frozen, nor looked at, and that its end is up to its restart policy.

A container runs one invocation at a time; others wait.
"""

from __future__ import annotations

import base64
import signal
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio
import msgspec

from engine.lambda_emulator.environment import Environment
from engine.lambda_emulator.errors import ServiceException
from engine.lambda_emulator.function_log import FunctionLog
from engine.lambda_emulator.invocation import RESPONSE_BYTES_MAX, Outcome
from engine.lambda_emulator.report import Failure, Report, timed_out
from engine.lambda_emulator.runtime_api import too_large
from engine.lambda_emulator.runtimes import new_log_stream

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.lambda_emulator.errors import LambdaError
    from engine.lambda_emulator.functions import FunctionVersion
    from engine.lambda_emulator.invocation import Event
    from engine.lambda_emulator.launching import Process
    from engine.lambda_emulator.log_sink import LogSink
    from engine.lambda_emulator.memory_use import MemoryWatch

_PATH = "/2015-03-31/functions/function/invocations"
_MS = 1_000.0
_ATTACH_SECONDS = 1.0
"""How long the first invocation waits for a container before it counts as one that initialises under its timeout."""


class Containers:
    """All of them; each is asked by one invocation at a time."""

    def __init__(self, watch: MemoryWatch, sink: LogSink) -> None:
        self._watch = watch
        self._sink = sink
        self._locks: dict[str, anyio.Lock] = {}
        self._attached: dict[str, Environment] = {}

    async def invoke(self, version: FunctionVersion, endpoint: str, event: Event) -> Outcome:
        """Runs it once. Raises ServiceException: no container answers, or not as one of a function does."""
        async with self._locks.setdefault(endpoint, anyio.Lock()):
            if endpoint.startswith("http://"):
                return await _ask(version, endpoint, event, self._sink)
            environment = await self._environment_at(endpoint, version)
            return await environment.invoke(event)

    async def retire(self, name: str, version: str | None = None, keep_revision: str | None = None) -> None:
        """Listens no longer for a function, or one of its versions, but for those of a revision."""
        for endpoint, environment in list(self._attached.items()):
            one = environment.version
            if one.name == name and version in (None, one.version) and one.revision_id != keep_revision:
                await self._attached.pop(endpoint).destroy()

    async def close(self) -> None:
        """Listens no longer at all."""
        while self._attached:
            await self._attached.popitem()[1].destroy()

    async def _environment_at(self, endpoint: str, version: FunctionVersion) -> Environment:
        environment = self._attached.get(endpoint)
        if environment is not None and environment.version.revision_id == version.revision_id:
            return environment
        if environment is not None:
            await self._attached.pop(endpoint).destroy()
        place = urlsplit(endpoint)
        try:
            launcher = _Attaching(version, place.hostname or "127.0.0.1", place.port or 9001)
        except ValueError as error:
            raise ServiceException(f"{endpoint}: expected runtime-api://HOST:PORT: {error}") from None
        environment = Environment(version, launcher, self._watch, self._sink)
        try:
            await environment.initialise(anyio.CapacityLimiter(1))
        except OSError as error:
            await environment.destroy()
            raise ServiceException(f"{endpoint}: the Runtime API cannot listen there: {error}") from error
        self._attached[endpoint] = environment
        return environment


# ── the Runtime Interface Emulator ──────────────────────────────────────────────────────────────────────────────────


async def _ask(version: FunctionVersion, endpoint: str, event: Event, sink: LogSink) -> Outcome:
    log = FunctionLog(version, new_log_stream(version), sink)
    start = {"requestId": event.request_id, "version": version.version}
    log.begin(f"START RequestId: {event.request_id} Version: {version.version}", "start", start)
    began = time.perf_counter()
    failure: Failure | None
    try:
        with anyio.fail_after(version.timeout):
            status, body = await _post(endpoint, event)
        payload, failure = _outcome_of(endpoint, status, body, version, event)
    except TimeoutError:
        failure = timed_out(version.timeout, event.request_id)
        payload = failure.payload
    duration_ms = (time.perf_counter() - began) * _MS
    if failure is not None and failure.line is not None:
        log.platform(failure.line, "fault", {"requestId": event.request_id, "errorType": failure.error_type})
    report = Report(duration_ms=duration_ms, memory_size=version.memory_size, max_memory_used=0, failure=failure)
    log.platform(f"END RequestId: {event.request_id}", "runtimeDone", {"requestId": event.request_id})
    log.platform(report.text(event.request_id), "report", report.record(event.request_id))
    return Outcome(
        payload=payload,
        function_error=None if failure is None else "Unhandled",
        log_tail=log.tail(),
        duration_ms=duration_ms,
        billed_ms=report.billed_ms,
    )


async def _post(endpoint: str, event: Event) -> tuple[int, bytes]:
    import httpcore

    headers = [("Content-Type", "application/json")]
    if event.client_context:
        headers.append(("X-Amz-Client-Context", base64.b64encode(event.client_context.encode()).decode()))
    if event.trace_id:
        headers.append(("X-Amzn-Trace-Id", event.trace_id))
    if event.tenant_id:
        headers.append(("X-Amz-Tenant-Id", event.tenant_id))
    request = httpcore.Request("POST", endpoint.rstrip("/") + _PATH, headers=headers, content=event.payload)
    request.headers.append((b"Content-Length", str(len(event.payload)).encode()))
    try:
        async with httpcore.AsyncHTTPConnection(request.url.origin) as connection:
            response = await connection.handle_async_request(_with_host(request))
            parts, length = [], 0
            async for part in response.aiter_stream():
                length += len(part)
                if length <= RESPONSE_BYTES_MAX:
                    parts.append(part)
            await response.aclose()
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        text = f"{endpoint}: no container of a function answers there: {error}; start it, with its port published"
        raise ServiceException(text) from error
    return response.status, b"".join(parts) if length <= RESPONSE_BYTES_MAX else b"".join([*parts, bytes(1)])


def _with_host(request: Any) -> Any:
    request.headers.insert(0, (b"Host", request.url.host + b":" + str(request.url.port).encode()))
    return request


def _outcome_of(
    endpoint: str, status: int, body: bytes, version: FunctionVersion, event: Event
) -> tuple[bytes, Failure | None]:
    """What its answer stands for: all of them are 200, errors too, but for what befell the runtime."""
    if len(body) > RESPONSE_BYTES_MAX:
        told = too_large()
        return told.body, Failure(told.body, told.error_type or "")
    if body.startswith(b"Task timed out after "):
        failure = timed_out(version.timeout, event.request_id)
        return failure.payload, failure
    error_type = _error_type(body)
    if error_type is not None and status in (200, 502):
        return body, Failure(body, error_type)
    if status != 200:
        text = body[:500].decode("utf-8", "replace")
        raise ServiceException(f"{endpoint}: expected the answer of a function, got HTTP {status}: {text}")
    return body, None


def _error_type(body: bytes) -> str | None:
    """The `errorType` of what looks like an error; a result has no other mark here."""
    if not body.lstrip().startswith(b"{"):
        return None
    try:
        found = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
    if isinstance(found, dict) and isinstance(found.get("errorType"), str) and "errorMessage" in found:
        error_type: str = found["errorType"]
        return error_type
    return None


# ── the Runtime API ─────────────────────────────────────────────────────────────────────────────────────────────────


class _Attaching:
    """A `Launcher` that starts nothing: it lets a container come."""

    credentials = b""
    init_seconds = _ATTACH_SECONDS
    restores = False

    def __init__(self, version: FunctionVersion, host: str, port: int) -> None:
        self.log_stream = new_log_stream(version)
        self.address = host, port

    async def launch(self, address: str, log: int, ended: Callable[[Process], None]) -> Process:
        """See `Launcher`. Its log stays where the container runs."""
        return _Container(ended)

    def error_of(self, _failure: Failure) -> LambdaError | None:
        """See `Launcher`."""
        return None

    def forget(self) -> None:
        """See `Launcher`."""


class _Container:
    """A `Process` out of reach: killing it is to cut its connection, at which a runtime ends."""

    def __init__(self, ended: Callable[[Process], None]) -> None:
        self.pid = 0
        self.status: int | None = None
        self._tell_end = ended

    def freeze(self) -> None:
        """See `Process`."""

    def thaw(self) -> None:
        """See `Process`."""

    def kill(self) -> None:
        """See `Process`."""
        if self.status is None:
            self.status = -signal.SIGKILL
            self._tell_end(self)

    async def wait(self) -> None:
        """See `Process`."""
