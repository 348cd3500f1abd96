"""HTTP to events and back (payload format 2.0)."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import pytest

from engine.http.requests import Received
from engine.lambda_emulator import url_cors, url_payloads
from engine.lambda_emulator.url_payloads import INTEGRATION_RESPONSE, Asked, Prelude

NOW = datetime(2020, 3, 12, 19, 3, 58, 390_000, UTC)
ASKED = Asked("abc", "abc.lambda-url.eu-central-1.localhost:3001", "/my/p%20ath", "127.0.0.1", None, None)


def event(method: str = "GET", *, query: str = "", headers: Any = None, body: bytes = b"", asked: Asked = ASKED) -> Any:
    received = Received(method, "/x", query, {"host": "h", "user-agent": "agent", **(headers or {})}, body)
    return json.loads(url_payloads.event(received, asked, request_id="r", trace_id="Root=1", now=NOW))


def test_a_request_is_an_event_of_format_2():
    got = event(query="p=v1&p=v2&q=", headers={"cookie": "a=1; b=2", "accept": "x"})
    assert got == {
        "version": "2.0", "routeKey": "$default", "rawPath": "/my/p ath", "rawQueryString": "p=v1&p=v2&q=",
        "cookies": ["a=1", "b=2"], "queryStringParameters": {"p": "v1,v2", "q": ""},
        "headers": {"host": "h", "user-agent": "agent", "accept": "x", "x-amzn-trace-id": "Root=1"},
        "requestContext": {
            "accountId": "anonymous", "apiId": "abc", "domainName": "abc.lambda-url.eu-central-1.localhost:3001",
            "domainPrefix": "abc", "requestId": "r", "routeKey": "$default", "stage": "$default",
            "http": {"method": "GET", "path": "/my/p ath", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1",
                     "userAgent": "agent"},
            "time": "12/Mar/2020:19:03:58 +0000", "timeEpoch": 1_584_039_838_390,
        },
        "isBase64Encoded": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("application/json", b'{"a":1}', ('{"a":1}', False)),
        ("text/plain; charset=utf-8", b"x", ("x", False)),
        ("application/vnd.api+json", b"1", ("1", False)),
        ("application/x-www-form-urlencoded", b"a=1", (b64encode(b"a=1").decode(), True)),
        ("image/png", b"\x89", (b64encode(b"\x89").decode(), True)),
        ("text/plain", b"\xff", (b64encode(b"\xff").decode(), True)),
    ],
)
def test_a_body_that_is_no_text_is_base64(kind, body, told):
    got = event("POST", headers={"content-type": kind}, body=body)
    assert (got["body"], got["isBase64Encoded"]) == told


def test_who_signed_is_in_the_context():
    got = event(asked=ASKED._replace(account_id="111111111111", access_key="AKID"))
    assert got["requestContext"]["accountId"] == "111111111111"
    assert got["requestContext"]["authorizer"]["iam"]["accessKey"] == "AKID"


def answered(document: Any, kind: str = "application/json") -> tuple[int, dict[str, str], bytes]:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    answer = url_payloads.answer(text, kind)
    return answer.status, {name.decode(): value.decode() for name, value in answer.headers}, answer.body


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("document", "answer"),
    [
        ("Hello", (200, JSON, b"Hello")),
        ({"message": 1}, (200, JSON, b'{"message": 1}')),
        (None, (200, JSON, b"null")),
        ({"statusCode": 201, "headers": {"content-type": "text/html", "X-A": "b"}, "body": "<p>"},
         (201, {"content-type": "text/html", "X-A": "b"}, b"<p>")),
        ({"statusCode": "404"}, (404, JSON, b"")),
        ({"statusCode": 200, "body": "AAE=", "isBase64Encoded": True}, (200, JSON, b"\x00\x01")),
        ({"statusCode": 200, "cookies": ["a=1; Path=/"]}, (200, {**JSON, "Set-Cookie": "a=1; Path=/"}, b"")),
        ({"statusCode": 200, "body": {"a": 1}}, (200, JSON, b'{"a":1}')),
    ],
)  # fmt: skip
def test_what_a_function_returns_is_an_answer(document, answer):
    assert answered(document) == answer


@pytest.mark.parametrize(
    "document",
    [
        {"statusCode": "x"}, {"statusCode": 99}, {"statusCode": 101}, {"statusCode": 200, "headers": [1]},
        {"statusCode": 200, "body": "!", "isBase64Encoded": True},
        {"statusCode": 200, "headers": {"X-A": "b\r\nX-C: d"}}, {"statusCode": 200, "headers": {"X": "\u2603"}},
    ],
)  # fmt: skip
def test_what_is_no_answer_is_a_bad_gateway(document):
    assert answered(document) == (502, JSON, b"Internal Server Error")


def test_a_response_in_parts_begins_with_its_head():
    text = b'{"statusCode": 418, "headers": {"X-A": "b"}, "cookies": ["c=1"]}' + bytes(8) + b"body"
    head = {"X-A": "b", **JSON, "Set-Cookie": "c=1"}
    assert answered(text, INTEGRATION_RESPONSE) == (418, head, b"body")
    prelude = Prelude(INTEGRATION_RESPONSE)
    assert [prelude.feed(text[at : at + 1]) for at in range(len(text) - 5)] == [None] * (len(text) - 5)
    found = prelude.feed(text[-5:])
    assert found is not None
    assert (found[0].status, found[1]) == (418, b"body")


def test_a_response_in_parts_without_a_head_is_the_body_of_a_success():
    found = Prelude("text/html").feed(b"plain")
    assert found is not None
    assert (found[0].status, dict(found[0].headers), found[1]) == (200, {b"Content-Type": b"text/html"}, b"plain")


def test_a_head_without_an_end_is_a_bad_gateway():
    prelude = Prelude(INTEGRATION_RESPONSE)
    assert prelude.feed(bytes(7)) is None
    found = prelude.feed(b"{" * 70_000)
    assert found is not None
    assert found[0].status == 502


CORS = {"AllowOrigins": ["https://a.example"], "AllowMethods": ["GET"], "AllowHeaders": ["x-a"], "MaxAge": 60,
        "ExposeHeaders": ["x-b"], "AllowCredentials": True}  # fmt: skip


def told(cors: Any, method: str = "GET", **headers: str) -> dict[str, str]:
    received = Received(method, "/", "", {name.replace("_", "-"): text for name, text in headers.items()}, b"")
    answer = url_cors.preflight(cors, received)
    pairs = url_cors.headers(cors, received) if answer is None else answer.headers
    return {name.decode(): value.decode() for name, value in pairs}


def test_a_page_of_an_allowed_origin_is_told_what_it_may():
    origin = "https://a.example"
    common = {"Access-Control-Allow-Origin": origin, "Vary": "Origin", "Access-Control-Allow-Credentials": "true",
              "Access-Control-Expose-Headers": "x-b"}  # fmt: skip
    assert told(CORS, origin=origin) == common
    assert told(CORS, "OPTIONS", origin=origin, access_control_request_method="GET") == common | {
        "Access-Control-Allow-Methods": "GET", "Access-Control-Allow-Headers": "x-a", "Access-Control-Max-Age": "60",
    }  # fmt: skip
    assert told({"AllowOrigins": ["*"]}, origin=origin)["Access-Control-Allow-Origin"] == "*"


def test_another_page_is_told_nothing():
    assert told(CORS, origin="https://b.example") == {}
    assert told(None, origin="https://a.example") == {}
    assert told(CORS) == {}
    assert told(CORS, "OPTIONS", origin="https://b.example", access_control_request_method="GET") == {}
