"""What TestState shows of an HTTP Task at the level TRACE (api.md 9.2).

    {"request": {"protocol": "https", "method": "GET", "url": "...", "headers": "[a: b, c: d]", "body": "..."},
     "response": {"protocol": "https", "statusCode": "200", "statusMessage": "OK", "headers": "[...]", "body": "..."}}

The form is that of AWS's documents, which leave out `Host`, the trace and how the body is framed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from engine.integrations.http_task import NOTHING, HttpRequest, made_request, without

if TYPE_CHECKING:
    from collections.abc import Iterable

    from engine.integrations.request import Exchange

_NOT_SHOWN: Final = ("host", "x-amzn-trace-id", "transfer-encoding")


def traced(exchange: Exchange, *, region: str, reveals_secrets: bool) -> dict[str, dict[str, str]]:
    """The members `request` and `response` of the inspection data.

    Args:
        exchange: What was sent, and what came back.
        region: Of the execution.
        reveals_secrets: Show what the connection added as well; else only what the Task has itself.
    """
    task, sent = exchange.task, exchange.sent
    if not reveals_secrets:
        sent = made_request(without(task, exchange.added), NOTHING, region=region, trace_id="")
    own = {name.lower() for name, _ in (*task.headers, *exchange.added.headers.items())}
    data = {"request": _request(sent, own)}
    answer = exchange.answer
    if answer is not None:
        data["response"] = {
            "protocol": urlsplit(sent.url).scheme,
            "statusCode": str(answer.status),
            "statusMessage": answer.reason,
            "headers": _listed((name.lower(), value) for name, value in answer.headers),
            "body": answer.body.decode("utf-8", "replace"),
        }
    return data


def _request(sent: HttpRequest, own: set[str]) -> dict[str, str]:
    hidden = {*_NOT_SHOWN, *({"content-type"} - own)}
    shown = {
        "protocol": urlsplit(sent.url).scheme,
        "method": sent.method,
        "url": sent.url,
        "headers": _listed(header for header in sent.headers if header[0].lower() not in hidden),
    }
    return shown if sent.body is None else {**shown, "body": sent.body.decode()}


def _listed(headers: Iterable[tuple[str, str]]) -> str:
    return f"[{', '.join(f'{name}: {value}' for name, value in headers)}]"
