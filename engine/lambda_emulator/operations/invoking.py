"""Invoke, InvokeAsync and InvokeWithResponseStream (lambda.md 2).

They answer in HTTP's terms themselves, for what a function returns is no document of the API.
"""

from __future__ import annotations

from base64 import b64encode
from contextlib import aclosing
from typing import TYPE_CHECKING, Literal

from engine.lambda_emulator.calls import Streamed
from engine.lambda_emulator.errors import NotImplementedException
from engine.lambda_emulator.event_stream import invoke_complete, payload_chunk
from engine.lambda_emulator.invocable import invocable
from engine.lambda_emulator.invocation import Event
from engine.lambda_emulator.payloads import check_size, client_context_text, event_payload
from engine.lambda_emulator.rest_json import Answer
from engine.lambda_emulator.running import Running, run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from engine.lambda_emulator.calls import Call
    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.rest_json import Headers

_OK, _ACCEPTED, _NO_CONTENT = 200, 202, 204


async def invoke(
    emulator: Emulator,
    *,
    call: Call,
    function_name: str,
    payload: bytes = b"",
    invocation_type: Literal["RequestResponse", "Event", "DryRun"] = "RequestResponse",
    log_type: Literal["None", "Tail"] = "None",
    client_context: str | None = None,
    qualifier: str | None = None,
    durable_execution_name: str | None = None,
    tenant_id: str | None = None,
) -> Answer:
    """Runs a function and answers with its result; or queues an event for it; or only looks whether that could be."""
    if durable_execution_name is not None:
        raise NotImplementedException("DurableExecutionName: this emulator has no durable functions")
    if invocation_type != "DryRun":
        check_size(payload, invocation_type)
    found = await invocable(emulator, function_name, qualifier)
    if invocation_type == "DryRun":
        return Answer(_NO_CONTENT, (), b"")
    text = event_payload(payload, call.content_type)
    if invocation_type == "Event":
        await emulator.queue.put(emulator, found, text, call)
        return Answer(_ACCEPTED, _headers(call, (b"x-amzn-Remapped-Content-Length", b"0")), b"")
    event = Event(
        payload=text,
        request_id=call.request_id,
        invoked_arn=found.invoked_arn,
        client_context=client_context_text(client_context),
        trace_id=call.trace_id,
        tenant_id=tenant_id,
    )
    outcome = await run(emulator, found, event)
    more: list[tuple[bytes, bytes]] = []
    if outcome.function_error is not None:
        more.append((b"X-Amz-Function-Error", outcome.function_error.encode()))
    if log_type == "Tail":
        more.append((b"X-Amz-Log-Result", b64encode(outcome.log_tail)))
    headers = _headers(
        call,
        (b"Content-Type", b"application/json"),
        (b"X-Amz-Executed-Version", found.version.version.encode()),
        *more,
        (b"x-amzn-Remapped-Content-Length", b"0"),
    )
    return Answer(_OK, headers, outcome.payload)


async def invoke_async(emulator: Emulator, *, call: Call, function_name: str, invoke_args: bytes) -> Answer:
    """The older form of an Event."""
    return await invoke(emulator, call=call, function_name=function_name, payload=invoke_args, invocation_type="Event")


async def invoke_with_response_stream(
    emulator: Emulator,
    *,
    call: Call,
    function_name: str,
    payload: bytes = b"",
    invocation_type: Literal["RequestResponse", "DryRun"] = "RequestResponse",
    log_type: Literal["None", "Tail"] = "None",
    client_context: str | None = None,
    qualifier: str | None = None,
    tenant_id: str | None = None,
) -> Answer | Streamed:
    """Runs a function and answers with what it returns while it does, as an event stream."""
    check_size(payload, "RequestResponse")
    found = await invocable(emulator, function_name, qualifier)
    if invocation_type == "DryRun":
        return Answer(_NO_CONTENT, (), b"")
    event = Event(
        payload=event_payload(payload, call.content_type),
        request_id=call.request_id,
        invoked_arn=found.invoked_arn,
        client_context=client_context_text(client_context),
        trace_id=call.trace_id,
        tenant_id=tenant_id,
    )
    running = Running(emulator, found, event)
    await running.begun()
    headers = _headers(
        call,
        (b"Content-Type", b"application/vnd.amazon.eventstream"),
        (b"X-Amz-Executed-Version", found.version.version.encode()),
    )
    return Streamed(_OK, headers, _events(running, has_log=log_type == "Tail"))


async def _events(running: Running, *, has_log: bool) -> AsyncGenerator[bytes, None]:
    async with aclosing(running.chunks()) as chunks:
        async for chunk in chunks:
            yield payload_chunk(chunk)
    outcome = running.outcome
    if outcome is None:
        yield invoke_complete("ServiceException", "the server has logged what went wrong", None)
        return
    log = b64encode(outcome.log_tail).decode() if has_log else None
    if outcome.function_error is None:
        yield invoke_complete(None, None, log)
    else:
        yield invoke_complete(outcome.function_error, outcome.payload.decode(errors="replace"), log)


def _headers(call: Call, *more: tuple[bytes, bytes]) -> Headers:
    return (*more, (b"X-Amzn-Trace-Id", call.trace_id.encode()))
