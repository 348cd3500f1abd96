"""Requests as they come in through ASGI, read whole."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import anyio

from engine.http import faults

if TYPE_CHECKING:
    from collections.abc import Mapping

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_BODY_SECONDS = 30


class Gone(Exception):
    """The client went away before its request was there."""


class Received(NamedTuple):
    """A request as it came.

    Attributes:
        path: Percent signs and all.
        headers: By lower-case name; several of one name joined by commas.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


async def read_request(scope: Mapping[str, Any], receive: Receive, *, bytes_max: int) -> Received:
    """The whole request.

    Args:
        bytes_max: Of headers and body together.

    Raises:
        Fault: It is longer, or its rest does not come.
        Gone: Its client went away.
    """
    headers: dict[str, str] = {}
    size = 0
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
        size += len(raw_name) + len(raw_value)
    length = headers.get("content-length", "0")
    if size + (int(length) if length.isdecimal() else 0) > bytes_max:
        raise faults.too_large(bytes_max)
    body = await _body(receive, bytes_max - size)
    if len(body) > bytes_max - size:
        raise faults.too_large(bytes_max)
    return Received(
        method=scope["method"],
        path=raw_path(scope),
        query=scope["query_string"].decode("latin-1"),
        headers=headers,
        body=body,
    )


def raw_path(scope: Mapping[str, Any]) -> str:
    """The path with its percent signs, without the query."""
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    return path.partition(b"?")[0].decode("latin-1")


async def gone(receive: Receive) -> None:
    """Waits until the client goes away; its request must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _body(receive: Receive, bytes_max: int) -> bytes:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    body: bytes = message.get("body", b"")
    return await _rest(receive, body, bytes_max) if message.get("more_body", False) else body


async def _rest(receive: Receive, begun: bytes, bytes_max: int) -> bytes:
    parts, size, has_more = [begun], len(begun), True
    with anyio.move_on_after(_BODY_SECONDS):
        while has_more and size <= bytes_max:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Gone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            has_more = message.get("more_body", False)
        return b"".join(parts)
    raise faults.too_slow(_BODY_SECONDS)
