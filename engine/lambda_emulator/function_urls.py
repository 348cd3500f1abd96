"""Function URLs: HTTP requests become events, and what functions return becomes HTTP (lambda.md 3.4).

A URL is reached by its host name, `<id>.lambda-url.<region>.localhost`, or, where names cannot be resolved, by the path
`/lambda-url/<id>/`.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING, NamedTuple

from engine.http import sigv4
from engine.http.answers import encode
from engine.http.faults import Fault
from engine.lambda_emulator import url_cors, url_payloads
from engine.lambda_emulator.calls import Streamed
from engine.lambda_emulator.errors import LambdaError
from engine.lambda_emulator.invocable import function_url, invocable
from engine.lambda_emulator.invocation import Event
from engine.lambda_emulator.payloads import check_size
from engine.lambda_emulator.rest_json import Answer, status_of
from engine.lambda_emulator.running import Running, run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from typing import Any

    from engine.http.access import Access
    from engine.http.requests import Received
    from engine.lambda_emulator.calls import Call
    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.invocable import UrlTarget

ACTION = "InvokeFunctionUrl"

_HOST = re.compile(r"(?P<id>[a-z0-9]+)\.lambda-url\.[a-z0-9-]+\.[a-z0-9.-]+(?::\d+)?")
_PATH = re.compile(r"/lambda-url/(?P<id>[a-z0-9]+)(?P<path>/.*)?")
_FORBIDDEN, _NOT_FOUND = 403, 404


class Place(NamedTuple):
    """Which function URL a request is for, and what path of it."""

    url_id: str
    path: str


def place_of(scope: Mapping[str, Any], path: str) -> Place | None:
    """None: the request is for none."""
    found = _PATH.fullmatch(path)
    if found is not None:
        return Place(found["id"], found["path"] or "/")
    host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
    named = _HOST.fullmatch(host)
    return None if named is None else Place(named["id"], path or "/")


async def answer_url(
    emulator: Emulator, access: Access, place: Place, received: Received, call: Call, source_ip: str
) -> Answer | Streamed:
    """What the function behind a URL makes of a request; errors are answers too."""
    target = await function_url(emulator, place.url_id)
    if target is None:
        return _told(_NOT_FOUND, f"no function has the URL {place.url_id}")
    early = url_cors.preflight(target.cors, received)
    if early is not None:
        return early
    try:
        answer = await _answered(emulator.of(target.account_id), access, target, place, received, call, source_ip)
    except (LambdaError, Fault) as error:
        answer = _told(status_of(error), error.message)
    return answer._replace(headers=(*answer.headers, *url_cors.headers(target.cors, received)))


def _told(status: int, message: str | None) -> Answer:
    return Answer(status, ((b"Content-Type", b"application/json"),), encode({"Message": message}))


async def _answered(
    emulator: Emulator,
    access: Access,
    target: UrlTarget,
    place: Place,
    received: Received,
    call: Call,
    source_ip: str,
) -> Answer | Streamed:
    """Raises LambdaError, Fault."""
    caller = None
    if target.auth_type == "AWS_IAM":
        caller = await _caller(emulator, access, received)
        if caller is None:
            return _told(_FORBIDDEN, "Forbidden")
    found = await invocable(emulator, target.function_name, target.qualifier)
    asked = url_payloads.Asked(
        url_id=place.url_id,
        domain_name=received.headers.get("host", ""),
        path=place.path,
        source_ip=source_ip,
        account_id=None if caller is None else caller[0],
        access_key=None if caller is None else caller[1],
    )
    payload = url_payloads.event(
        received, asked, request_id=call.request_id, trace_id=call.trace_id, now=emulator.clock.now()
    )
    check_size(payload, "RequestResponse")
    event = Event(payload=payload, request_id=call.request_id, invoked_arn=found.invoked_arn, trace_id=call.trace_id)
    if target.invoke_mode == "RESPONSE_STREAM":
        running = Running(emulator, found, event)
        await running.begun()
        return await _streamed(running)
    outcome = await run(emulator, found, event)
    if outcome.function_error is not None:
        return url_payloads.bad_gateway()
    return url_payloads.answer(outcome.payload, outcome.content_type)


async def _caller(emulator: Emulator, access: Access, received: Received) -> tuple[str, str] | None:
    """Account and access key of who signed; None: nobody did. Raises Fault."""
    authorization = received.headers.get("authorization", "")
    if not authorization:
        return None
    account_id = await access.account_of(received, ACTION)
    key = ""
    if authorization.startswith(sigv4.SCHEME):
        key = sigv4.parse_authorization(authorization).key_id
    return account_id or emulator.account_id, key


async def _streamed(running: Running) -> Answer | Streamed:
    """The head of a response that comes in parts is known once its first parts are there."""
    chunks, prelude = running.chunks(), url_payloads.Prelude(running.content_type or "")
    begun = None
    async for chunk in chunks:
        if running.content_type is None:
            await chunks.aclose()
            content_type = "application/json" if running.outcome is None else running.outcome.content_type
            return url_payloads.answer(chunk, content_type)
        begun = prelude.feed(chunk)
        if begun is not None:
            break
    else:
        if running.outcome is not None and running.outcome.function_error is None:
            begun = prelude.feed(b"")
    if begun is None:
        return url_payloads.bad_gateway()
    head, first = begun
    return Streamed(head.status, head.headers, _rest(first, chunks))


async def _rest(first: bytes, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    if first:
        yield first
    async with aclosing(chunks):
        async for chunk in chunks:
            yield chunk
