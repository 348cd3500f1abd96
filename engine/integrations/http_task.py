"""What an HTTP Task asks for, read from its evaluated arguments, and the request that it becomes.

A request is made of the Task and of what its connection adds, which goes before what the Task has (integrations.md
5.11). No IO here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qsl, quote, urldefrag, urlsplit

from engine.asl.http_fields import ARRAY_FORMATS, BODY_ENCODINGS, HTTP_FIELDS, HTTP_METHODS, is_forbidden_in_http
from engine.asl.integration_members import unsupported
from engine.errors import StatesError
from engine.integrations.aws_endpoints import host_of
from engine.integrations.connections import is_permitted
from engine.integrations.url_encoding import ArrayFormat, joined, pairs, quoted, scalar_text
from engine.jsonvalue import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.jsonvalue import Json

_URL_SAFE: Final = "%/:=&?~#+!$,;'@()*[]"
"""What stands in a URL for itself, or is encoded already."""

_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_HEADER_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")

_JSON_TYPE, _FORM_TYPE = "application/json; charset=UTF-8", "application/x-www-form-urlencoded"
_RANGE: Final = "bytes=0-262144"

Headers = tuple[tuple[str, str], ...]


class Unusable(Exception):
    """The arguments cannot be used. `findings`: in AWS's words, where they are known."""

    def __init__(self, findings: list[str]) -> None:
        super().__init__(*findings)
        self.findings = findings


class HttpTask(NamedTuple):
    """What a Task asks for.

    Attributes:
        url: Percent-encoded, without the query parameters.
        body: None: there is none.
        is_form: The body is sent as a form.
    """

    method: str
    url: str
    connection_arn: str
    headers: Headers
    query: dict[str, Json]
    body: Json
    is_form: bool
    array_format: ArrayFormat


class Added(NamedTuple):
    """What a connection adds: its authorization among the headers. Not to be shown."""

    headers: Mapping[str, str]
    query: Mapping[str, str]
    body: Mapping[str, str]

    def __repr__(self) -> str:
        return "Added(...)"


NOTHING: Final = Added({}, {}, {})


class HttpRequest(NamedTuple):
    """A request as it is sent, with its secrets: not to be shown. `body` None: there is none."""

    method: str
    url: str
    headers: Headers
    body: bytes | None

    def __repr__(self) -> str:
        return f"HttpRequest({self.method!r}, ...)"


# ── the arguments ───────────────────────────────────────────────────────────────────────────────────────────────────


def read_http_task(arguments: Json, *, allows_http: bool) -> HttpTask:
    """Reads evaluated arguments.

    Args:
        arguments: Of the Task.
        allows_http: APIs on this machine may be called without TLS.

    Raises:
        Unusable: With everything that is wrong with them.
    """
    given = arguments if isinstance(arguments, dict) else {}
    findings = [unsupported(name) for name in given if name not in HTTP_FIELDS]
    url = required_text(given, "ApiEndpoint", findings)
    if url and not is_permitted(url, allows_http=allows_http):
        needs = ": http is for a rule aws:?http=loopback" if is_permitted(url) else ""
        findings.append(f"The value for the 'ApiEndpoint' field is not valid{needs}")
    method = required_text(given, "Method", findings)
    if method and method not in HTTP_METHODS:
        findings.append("The value for the 'Method' field is not valid")
    is_form, array_format = _transform(given.get("Transform"), findings)
    task = HttpTask(
        method=method,
        url=quote(urldefrag(url).url, safe=_URL_SAFE),
        connection_arn=_connection_arn(given, findings),
        headers=read_headers(given.get("Headers"), findings),
        query=read_query(given.get("QueryParameters"), findings),
        body=given.get("RequestBody"),
        is_form=is_form,
        array_format=array_format,
    )
    forbidden = [name for name, _ in task.headers if is_forbidden_in_http(name)]
    if forbidden:
        findings.append(f"The 'Headers' field contains unsupported values: [{', '.join(dict.fromkeys(forbidden))}]")
    if is_form and not isinstance(task.body, dict | str | None):
        findings.append("The value of the field 'RequestBody' has an invalid format")
    if findings:
        raise Unusable(findings)
    return task


def required_text(given: Mapping[str, Json], name: str, findings: list[str]) -> str:
    """A member that has to be a text; empty where it was found wanting."""
    value = given.get(name)
    if value is None:
        findings.append(f"The field '{name}' is required but was missing")
    elif not isinstance(value, str):
        findings.append(f"The value for the field '{name}' must be a STRING")
    else:
        return value
    return ""


def _connection_arn(given: Mapping[str, Json], findings: list[str]) -> str:
    holders = [given[name] for name in ("InvocationConfig", "Authentication") if given.get(name) is not None]
    if not holders:
        findings.append("This object should have only one of the following fields: [Authentication, InvocationConfig]")
        return ""
    holder = holders[0]
    return required_text(holder if isinstance(holder, dict) else {}, "ConnectionArn", findings)


def read_headers(given: Json, findings: list[str], *, needs_arrays: bool = False) -> Headers:
    """The headers of a Task: strings, or arrays of them. `needs_arrays`: only those (recorded of API Gateway)."""
    found: list[tuple[str, str]] = []
    is_good = given is None or isinstance(given, dict)
    for name, value in given.items() if isinstance(given, dict) else ():
        values = value if isinstance(value, list) else [value]
        is_good &= (isinstance(value, list) or not needs_arrays) and _HEADER_NAME.fullmatch(name) is not None
        for one in values:
            line = scalar_text(one).strip() if not isinstance(one, dict | list) else "\0"
            is_good &= _HEADER_VALUE.fullmatch(line) is not None
            found.append((name, line))
    if not is_good:
        findings.append("The value of the field 'Headers' has an invalid format")
    return tuple(found)


def read_query(given: Json, findings: list[str]) -> dict[str, Json]:
    """Query parameters: an object, whose nulls are left out; a string `a=b&c=d`; or an array of either."""
    if isinstance(given, dict):
        return {name: value for name, value in given.items() if value is not None}
    if isinstance(given, str):
        found: dict[str, Json] = {}
        for name, value in parse_qsl(given.removeprefix("?"), keep_blank_values=True):
            known = found.setdefault(name, [])
            assert isinstance(known, list)
            known.append(value)
        return found
    if isinstance(given, list) and all(isinstance(one, dict | str) for one in given):
        return {name: value for one in given for name, value in read_query(one, findings).items()}
    if given is not None:
        findings.append("The value of the field 'QueryParameters' has an invalid format")
    return {}


def _transform(given: Json, findings: list[str]) -> tuple[bool, ArrayFormat]:
    transform = {} if given is None else given
    options = transform.get("RequestEncodingOptions") if isinstance(transform, dict) else None
    options = {} if options is None else options
    if not isinstance(transform, dict) or not isinstance(options, dict):
        findings.append("The value of the field 'Transform' has an invalid format")
        return False, "INDICES"
    encoding = transform.get("RequestBodyEncoding", "NONE")
    if encoding not in BODY_ENCODINGS:
        findings.append("The value for the 'RequestBodyEncoding' field is not valid")
    given_format = options.get("ArrayFormat", "INDICES")
    for known in ARRAY_FORMATS:
        if given_format == known:
            return encoding == "URL_ENCODED", known
    findings.append("The value for the 'ArrayFormat' field is not valid")
    return encoding == "URL_ENCODED", "INDICES"


# ── the request ─────────────────────────────────────────────────────────────────────────────────────────────────────


def made_request(task: HttpTask, added: Added, *, region: str, trace_id: str) -> HttpRequest:
    """The request of a Task with what its connection adds.

    Raises:
        StatesError: `States.Runtime`: the bodies cannot be merged; or the connection adds what no header can hold.
    """
    own = {name.lower() for name in added.headers}
    for name, value in added.headers.items():
        if _HEADER_NAME.fullmatch(name) is None or _HEADER_VALUE.fullmatch(value) is None:
            raise StatesError("States.Runtime", f"The connection's header {name!r} is none that can be sent")
    headers = [(name, value) for name, value in task.headers if name.lower() not in own] + [*added.headers.items()]
    present = {name.lower() for name, _ in headers}
    url = _with_query(task, added)
    body = _body(task, added)
    always = [
        ("User-Agent", f"Amazon|StepFunctions|HttpInvoke|{region}"),
        ("Range", _RANGE),
        ("Host", host_of(url)),
        ("X-Amzn-Trace-Id", trace_id),
    ]
    if body is not None:
        always.append(("Content-Type", _FORM_TYPE if task.is_form else _JSON_TYPE))
        always.append(("Transfer-Encoding", "chunked"))
    headers += [(name, value) for name, value in always if name.lower() not in present]
    return HttpRequest(task.method, url, tuple(headers), body)


def without(task: HttpTask, added: Added) -> HttpTask:
    """The Task without the headers, parameters and members that its connection replaces: TestState hides those."""
    names = {name.lower() for name in added.headers}
    body = task.body
    if isinstance(body, dict):
        body = {name: value for name, value in body.items() if name not in added.body}
    return task._replace(
        headers=tuple(one for one in task.headers if one[0].lower() not in names),
        query={name: value for name, value in task.query.items() if name not in added.query},
        body=body,
    )


def _with_query(task: HttpTask, added: Added) -> str:
    own = {name: value for name, value in task.query.items() if name not in added.query}
    connections = ((quoted(name), quoted(value)) for name, value in added.query.items())
    query = joined([*pairs(own, "REPEAT"), *connections])
    if not query:
        return task.url
    return f"{task.url}{'&' if urlsplit(task.url).query else '?'}{query}"


def _body(task: HttpTask, added: Added) -> bytes | None:
    body = task.body
    if added.body:
        if body is not None and not isinstance(body, dict):
            raise StatesError(
                "States.Runtime",
                "The request body of the HTTP Task is no JSON object, so it cannot be merged with the body parameters "
                "of its connection",
            )
        body = {**(body or {}), **added.body}
    if body is None:
        return None
    if isinstance(body, str):
        return body.encode()
    if task.is_form:
        assert isinstance(body, dict), "read_http_task lets nothing else through"
        return joined(pairs(body, task.array_format)).encode()
    return encode(body)
