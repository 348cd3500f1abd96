"""`arn:aws:states:::apigateway:invoke`: an API of API Gateway, signed or not (integrations.md 5.10).

`IAM_ROLE` signs with SigV4 for `execute-api`, with the credentials that other calls to AWS have. So does
`RESOURCE_POLICY`, where AWS signs as its own service `states.amazonaws.com`, which nobody else can.

Another endpoint takes the place of `https://API_ENDPOINT`: the rule's, or that of AWS_ENDPOINT_URL_EXECUTE_API. In it
`{api_id}` stands for the first word of the Task's ApiEndpoint.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from engine.asl.http_fields import AUTH_TYPES, GATEWAY_FIELDS, HTTP_METHODS, is_forbidden_in_gateway
from engine.asl.integration_members import unsupported
from engine.errors import StatesError
from engine.integrations.aws import AnswerTooLong
from engine.integrations.aws_credentials import NoAnswer
from engine.integrations.aws_endpoints import host_of
from engine.integrations.aws_sdk import account_for, unusable
from engine.integrations.http_answers import SUCCESS, NoText, result_of, text_of, too_large
from engine.integrations.http_task import Unusable, read_headers, required_text
from engine.integrations.request import Answer
from engine.integrations.url_encoding import joined, quoted, scalar_text
from engine.jsonvalue import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.integrations.aws import Account, HttpAnswer
    from engine.integrations.request import TaskRequest, Workplace
    from engine.jsonvalue import Json

_PATH_SAFE: Final = "/%:@!$&'()*+,;=~"
_HOST: Final = re.compile(r"[A-Za-z0-9.-]+(?::\d+)?")
_REGION: Final = re.compile(r"[^.]+\.execute-api\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
_WITH_BODY: Final = ("PATCH", "POST", "PUT")


class GatewayCall(NamedTuple):
    """What a Task asks for.

    Attributes:
        host: Of the API.
        path: Percent-encoded, with the query.
        headers: A name once; values of a list are joined by commas.
    """

    host: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    is_signed: bool


async def gateway_answer(request: TaskRequest, account: Account, workplace: Workplace) -> Answer:
    """Does a Task of API Gateway, once.

    Args:
        request: The Task.
        account: Whose credentials sign, and perhaps another endpoint.
        workplace: Has the clients.

    Raises:
        StatesError: `States.Runtime`: the arguments or the response cannot be used. `ApiGateway.403` and the like: the
            API answered so. `ApiGateway.SdkClientException`: no answer came.
    """
    try:
        call = read_call(request.arguments)
    except Unusable as error:
        raise unusable(request, error.findings) from None
    try:
        answered = await _sent(request, call, account, workplace)
        text = text_of(answered)
    except AnswerTooLong:
        raise too_large("apigateway") from None
    except NoAnswer as error:
        raise StatesError("ApiGateway.SdkClientException", str(error)) from None
    except NoText as error:
        raise StatesError("States.Runtime", f"API Gateway: {error}") from None
    if answered.status not in SUCCESS:
        raise StatesError(f"ApiGateway.{answered.status}", text or answered.reason)
    result = result_of(answered, text, lower_case=False)
    return Answer(result, len(encode(result)))


async def _sent(request: TaskRequest, call: GatewayCall, account: Account, workplace: Workplace) -> HttpAnswer:
    elsewhere = account.endpoint_url or endpoint_elsewhere()
    if elsewhere is None:
        base = f"https://{call.host}"
    else:
        base = elsewhere.rstrip("/").replace("{api_id}", call.host.partition(".")[0])
    if call.is_signed:
        found = _REGION.fullmatch(call.host)
        account = account_for(request, account, "execute-api")._replace(
            endpoint_url=base, region=found[1] if found else account.region
        )
        client = await workplace.aws.client(account, request.region)
        return await client.send(call.method, call.path, call.headers, call.body)
    url = base + call.path
    headers = {**call.headers, "Host": host_of(url), "Content-Length": str(len(call.body))}
    return await workplace.aws.send(call.method, url, headers, call.body, await workplace.aws.public_route(url))


def endpoint_elsewhere() -> str | None:
    """The endpoint that the environment has in place of API Gateway's."""
    from engine.settings import Settings

    return Settings.from_environment().endpoints.get("AWS_ENDPOINT_URL_EXECUTE_API")


# ── the arguments ───────────────────────────────────────────────────────────────────────────────────────────────────


def read_call(arguments: Json) -> GatewayCall:
    """Reads evaluated arguments. Raises Unusable, with everything that is wrong with them."""
    given = arguments if isinstance(arguments, dict) else {}
    findings = [unsupported(name) for name in given if name not in GATEWAY_FIELDS]
    host = required_text(given, "ApiEndpoint", findings)
    if host and not _HOST.fullmatch(host):
        findings.append("The value for the 'ApiEndpoint' field is not valid")
    method = required_text(given, "Method", findings)
    if method and method not in HTTP_METHODS:
        findings.append("The value for the 'Method' field is not valid")
    auth_type = given.get("AuthType", "NO_AUTH")
    if auth_type not in AUTH_TYPES:
        findings.append("The value for the 'AuthType' field is not valid")
    allows_null = given.get("AllowNullValues", False)
    if not isinstance(allows_null, bool):
        findings.append("The value for the field 'AllowNullValues' must be a BOOLEAN")
    headers = _headers(given.get("Headers"), findings, allows_null=allows_null is True)
    # Published definitions have a body with GET, so it cannot be wrong; documented is that it is only sent with these.
    body = given.get("RequestBody") if method in _WITH_BODY else None
    content = b"" if body is None else body.encode() if isinstance(body, str) else encode(body)
    if body is not None and not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    call = GatewayCall(
        host=host,
        method=method,
        path=_path(given, findings) + _query(given.get("QueryParameters"), findings, allows_null=allows_null is True),
        headers=headers,
        body=content,
        is_signed=auth_type != "NO_AUTH",
    )
    if findings:
        raise Unusable(findings)
    return call


def _headers(given: Json, findings: list[str], *, allows_null: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in read_headers(_without_null(given) if allows_null else given, findings, needs_arrays=True):
        found[name] = f"{found[name]},{value}" if name in found else value
    forbidden = [name for name in found if is_forbidden_in_gateway(name)]
    if forbidden:
        findings.append(f"The 'Headers' field contains unsupported values: [{', '.join(forbidden)}]")
    return found


def _query(given: Json, findings: list[str], *, allows_null: bool) -> str:
    parameters = _without_null(given) if allows_null else given
    pairs: list[tuple[str, str]] = []
    is_good = parameters is None or isinstance(parameters, dict)
    for name, values in parameters.items() if isinstance(parameters, dict) else ():
        is_good &= isinstance(values, list)
        for value in values if isinstance(values, list) else ():
            is_good &= value is not None and not isinstance(value, dict | list)
            pairs.append((quoted(name), quoted(scalar_text(value))))
    if not is_good:
        findings.append("The value of the field 'QueryParameters' has an invalid format")
    return f"?{joined(pairs)}" if pairs else ""


def _without_null(given: Json) -> Json:
    """Null is no value: `""`."""
    if not isinstance(given, dict):
        return given
    return {name: [""] if values is None else _filled(values) for name, values in given.items()}


def _filled(values: Json) -> Json:
    return ["" if value is None else value for value in values] if isinstance(values, list) else values


def _path(given: Mapping[str, Json], findings: list[str]) -> str:
    parts = []
    for name in ("Stage", "Path"):
        value = given.get(name)
        if isinstance(value, str):
            parts.append(value.strip("/") if name == "Stage" else value.removeprefix("/"))
        elif value is not None:
            findings.append(f"The value for the field '{name}' must be a STRING")
    return "/" + "/".join(quote(part, safe=_PATH_SAFE) for part in parts if part)
