"""HTTP as functions behind a URL see it: payload format 2.0 of API Gateway's HTTP APIs, both ways (lambda.md 3.4).

No IO here.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote

import msgspec

from engine.http.answers import encode
from engine.lambda_emulator.rest_json import Answer

if TYPE_CHECKING:
    from datetime import datetime

    from engine.http.requests import Received
    from engine.lambda_emulator.rest_json import Headers

_OK, _BAD_GATEWAY = 200, 502
_TEXT_TYPES = ("text/", "application/json", "application/javascript", "application/xml")
_PRELUDE_END = bytes(8)
_PRELUDE_BYTES_MAX = 65_536
_HOP_BY_HOP = frozenset({"connection", "content-length", "transfer-encoding", "keep-alive", "upgrade"})

INTEGRATION_RESPONSE = "application/vnd.awslambda.http-integration-response"
"""A streamed response that begins with `{"statusCode": 200, "headers": {}, "cookies": []}` and eight zero bytes."""


class Asked(NamedTuple):
    """A request of a function URL.

    Attributes:
        path: Of the URL, as it was sent.
        account_id: Of the caller; None: nobody asked who it is.
        access_key: Likewise.
    """

    url_id: str
    domain_name: str
    path: str
    source_ip: str
    account_id: str | None
    access_key: str | None


def event(received: Received, asked: Asked, *, request_id: str, trace_id: str, now: datetime) -> bytes:
    """The event, as JSON."""
    headers = {name: value for name, value in received.headers.items() if name != "cookie"}
    query: dict[str, str] = {}
    for name, value in parse_qsl(received.query, keep_blank_values=True):
        query[name] = f"{query[name]},{value}" if name in query else value
    context: dict[str, Any] = {
        "accountId": asked.account_id or "anonymous",
        "apiId": asked.url_id,
        "domainName": asked.domain_name,
        "domainPrefix": asked.url_id,
        "http": {
            "method": received.method,
            "path": unquote(asked.path),
            "protocol": "HTTP/1.1",
            "sourceIp": asked.source_ip,
            "userAgent": headers.get("user-agent", ""),
        },
        "requestId": request_id,
        "routeKey": "$default",
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now.timestamp() * 1000),
    }
    if asked.account_id is not None:
        context["authorizer"] = {"iam": _who(asked)}
    told: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": unquote(asked.path),
        "rawQueryString": received.query,
        "headers": {**headers, "x-amzn-trace-id": trace_id},
    }
    if "cookie" in received.headers:
        told["cookies"] = [one.strip() for one in received.headers["cookie"].split(";")]
    if query:
        told["queryStringParameters"] = query
    told["requestContext"] = context
    if received.body:
        told["body"], told["isBase64Encoded"] = _body(received)
    else:
        told["isBase64Encoded"] = False
    return encode(told)


def _who(asked: Asked) -> dict[str, Any]:
    return {
        "accessKey": asked.access_key,
        "accountId": asked.account_id,
        "callerId": asked.access_key,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": f"arn:aws:iam::{asked.account_id}:root",
        "userId": asked.access_key,
    }


def _body(received: Received) -> tuple[str, bool]:
    kind = received.headers.get("content-type", "text/plain").partition(";")[0].strip().lower()
    if kind.startswith(_TEXT_TYPES) or kind.endswith(("+json", "+xml")):
        try:
            return received.body.decode(), False
        except UnicodeDecodeError:
            pass
    return b64encode(received.body).decode(), True


# ── responses ───────────────────────────────────────────────────────────────────────────────────────────────────────


def answer(payload: bytes, content_type: str) -> Answer:
    """What a function returned, as HTTP: by its `statusCode`, or else as the body of a success."""
    if content_type.startswith(INTEGRATION_RESPONSE):
        head, _, body = payload.partition(_PRELUDE_END)
        begun = prelude_answer(head)
        return begun._replace(body=body) if begun.status != _BAD_GATEWAY else begun
    try:
        document = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return Answer(_OK, ((b"Content-Type", content_type.encode()),), payload)
    if isinstance(document, dict) and "statusCode" in document:
        return _structured(document)
    body = document.encode() if isinstance(document, str) else payload
    return Answer(_OK, ((b"Content-Type", b"application/json"),), body)


def _structured(document: dict[str, Any]) -> Answer:
    status, body = _status(document), document.get("body", "")
    headers = _headers(document)
    if status is None or headers is None:
        return bad_gateway()
    text = body if isinstance(body, str) else "" if body is None else encode(body).decode()
    if document.get("isBase64Encoded") is True:
        try:
            return Answer(status, headers, b64decode(text, validate=True))
        except ValueError:
            return bad_gateway()
    return Answer(status, headers, text.encode())


def prelude_answer(head: bytes) -> Answer:
    """Status and headers of a streamed response, as the document before its body says."""
    try:
        document = msgspec.json.decode(head)
    except msgspec.DecodeError:
        return bad_gateway()
    if not isinstance(document, dict):
        return bad_gateway()
    status, headers = _status({"statusCode": _OK} | document), _headers(document)
    return bad_gateway() if status is None or headers is None else Answer(status, headers, b"")


def _status(document: dict[str, Any]) -> int | None:
    status = document["statusCode"]
    if isinstance(status, str) and status.isdecimal():
        status = int(status)
    # Below 200 another response is still to come, which a function cannot give.
    return status if isinstance(status, int) and 200 <= status < 600 else None


def _headers(document: dict[str, Any]) -> Headers | None:
    """None: what is there are no headers."""
    given, cookies = document.get("headers") or {}, document.get("cookies") or []
    if not isinstance(given, dict) or not isinstance(cookies, list):
        return None
    told = {str(name): str(value) for name, value in given.items()}
    if not any(name.lower() == "content-type" for name in told):
        told["Content-Type"] = "application/json"
    pairs = [*told.items(), *(("Set-Cookie", str(one)) for one in cookies)]
    try:
        encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    except UnicodeEncodeError:
        return None
    if any(b"\n" in part or b"\r" in part for pair in encoded for part in pair):
        return None
    return tuple((name, value) for name, value in encoded if name.decode("latin-1").lower() not in _HOP_BY_HOP)


def bad_gateway() -> Answer:
    """The function failed, or what it returned is no answer of HTTP."""
    return Answer(_BAD_GATEWAY, ((b"Content-Type", b"application/json"),), b"Internal Server Error")


class Prelude:
    """Finds the document before the body of a streamed response, if it has one, while the response comes."""

    def __init__(self, content_type: str) -> None:
        self._content_type = content_type
        self._begun = b""

    def feed(self, chunk: bytes) -> tuple[Answer, bytes] | None:
        """Status and headers with the beginning of the body; None: not yet known."""
        self._begun += chunk
        if not self._content_type.startswith(INTEGRATION_RESPONSE):
            return Answer(_OK, ((b"Content-Type", self._content_type.encode("latin-1")),), b""), self._begun
        head, found, body = self._begun.partition(_PRELUDE_END)
        if not found:
            return None if len(self._begun) <= _PRELUDE_BYTES_MAX else (bad_gateway(), b"")
        return prelude_answer(head), body
