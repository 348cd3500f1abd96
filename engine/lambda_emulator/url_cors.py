"""Which web pages may ask a function URL: its `Cors` (lambda.md 3.4). No IO here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.lambda_emulator.rest_json import Answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.http.requests import Received
    from engine.lambda_emulator.rest_json import Headers

_OK = 200


def preflight(cors: Mapping[str, Any] | None, received: Received) -> Answer | None:
    """The answer to a browser that asks beforehand; None: it is a request like any other."""
    if cors is None or received.method != "OPTIONS" or "access-control-request-method" not in received.headers:
        return None
    allowed = headers(cors, received)
    if allowed:
        allowed += tuple(
            (name, value)
            for name, value in (
                (b"Access-Control-Allow-Methods", _joined(cors.get("AllowMethods"))),
                (b"Access-Control-Allow-Headers", _joined(cors.get("AllowHeaders"))),
                (b"Access-Control-Max-Age", str(cors.get("MaxAge") or "").encode()),
            )
            if value
        )
    return Answer(_OK, allowed, b"")


def headers(cors: Mapping[str, Any] | None, received: Received) -> Headers:
    """What an answer says besides; nothing when the page's origin is not allowed."""
    origin = received.headers.get("origin")
    origins = () if cors is None else cors.get("AllowOrigins") or ()
    if cors is None or origin is None or not ("*" in origins or origin in origins):
        return ()
    with_credentials = bool(cors.get("AllowCredentials"))
    told = "*" if "*" in origins and not with_credentials else origin
    more: list[tuple[bytes, bytes]] = [(b"Access-Control-Allow-Origin", told.encode("latin-1")), (b"Vary", b"Origin")]
    if with_credentials:
        more.append((b"Access-Control-Allow-Credentials", b"true"))
    if exposed := _joined(cors.get("ExposeHeaders")):
        more.append((b"Access-Control-Expose-Headers", exposed))
    return tuple(more)


def _joined(words: list[str] | None) -> bytes:
    return ",".join(words or ()).encode("latin-1")
