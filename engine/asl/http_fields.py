"""The arguments of Tasks that call APIs by HTTP: `http:invoke` and `apigateway:invoke` (integrations.md 5.10, 5.11).

What is certain to fail is refused when the machine is created. That AWS does so is documented and reported; its texts
are known of other integrations, and of `ApiEndpoint` by a report.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from engine.asl.integration_members import unsupported
from engine.query.jsonata import is_expression

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.asl.fields import Fields
    from engine.asl.resource import Resource
    from engine.jsonvalue import Json

HTTP_METHODS: Final = ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD")
ARRAY_FORMATS: Final[tuple[Literal["INDICES", "REPEAT", "COMMAS", "BRACKETS"], ...]] = (
    "INDICES",
    "REPEAT",
    "COMMAS",
    "BRACKETS",
)
BODY_ENCODINGS: Final = ("NONE", "URL_ENCODED")

HTTP_FIELDS: Final = (
    "ApiEndpoint",
    "Method",
    "Authentication",
    "InvocationConfig",
    "Headers",
    "QueryParameters",
    "RequestBody",
    "Transform",
)

GATEWAY_FIELDS: Final = (
    "ApiEndpoint",
    "Method",
    "Stage",
    "Path",
    "Headers",
    "QueryParameters",
    "RequestBody",
    "AllowNullValues",
    "AuthType",
)
AUTH_TYPES: Final = ("NO_AUTH", "IAM_ROLE", "RESOURCE_POLICY")

_CONNECTION_HOLDERS: Final = ("Authentication", "InvocationConfig")
_ENDPOINT: Final = re.compile(
    r"https://[^/?#\s]+.*|http://(?:localhost|127(?:\.\d+){3}|\[::1\])(?:[:/?#].*)?", re.DOTALL
)
"""Of an API: https; and http on this machine, for tests, as `engine.integrations.connections.is_permitted` has it."""

_FORBIDDEN_IN_HTTP: Final = frozenset(
    [
        "a-im",
        "accept-charset",
        "accept-datetime",
        "accept-encoding",
        "authorization",
        "cache-control",
        "connection",
        "content-encoding",
        "content-md5",
        "date",
        "expect",
        "forwarded",
        "from",
        "host",
        "http2-settings",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "max-forwards",
        "origin",
        "pragma",
        "proxy-authorization",
        "referer",
        "server",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
        "warning",
    ]
)
_FORBIDDEN_PREFIXES_IN_HTTP: Final = ("x-forwarded-", "x-amz-", "x-amzn-")


def is_forbidden_in_http(header: str) -> bool:
    """Whether an HTTP Task may not have a header of this name (documented)."""
    name = header.lower()
    return name in _FORBIDDEN_IN_HTTP or name.startswith(_FORBIDDEN_PREFIXES_IN_HTTP)


_FORBIDDEN_IN_GATEWAY: Final = frozenset(
    [
        "authorization",
        "connection",
        "content-md5",
        "expect",
        "host",
        "max-forwards",
        "proxy-authenticate",
        "server",
        "te",
        "transfer-encoding",
        "trailer",
        "upgrade",
        "via",
        "www-authenticate",
    ]
)
_FORBIDDEN_PREFIXES_IN_GATEWAY: Final = ("x-forwarded", "x-amz")


def is_forbidden_in_gateway(header: str) -> bool:
    """Whether a Task of API Gateway may not have a header of this name (documented)."""
    name = header.lower()
    return name in _FORBIDDEN_IN_GATEWAY or name.startswith(_FORBIDDEN_PREFIXES_IN_GATEWAY)


# ── when the machine is created ─────────────────────────────────────────────────────────────────────────────────────


def check_http_arguments(fields: Fields, resource: Resource) -> None:
    """Reports literal arguments of a Task that its API cannot be called with. Without any, the input is what counts."""
    known = {"http": HTTP_FIELDS, "apigateway": GATEWAY_FIELDS}.get(resource.service)
    arguments = fields.object(arguments_field(fields)) if known and _has_literal_arguments(fields) else None
    if known is None or arguments is None:
        return
    for name in arguments.values:
        if _bare(name, fields) not in known:
            message = unsupported(_bare(name, fields))
            fields.report.error("unsupported-field", message, arguments.place, at=arguments.at(name), key=True)
    for name in ("ApiEndpoint", "Method"):
        _require(arguments, name)
    _check_word(arguments, "Method", HTTP_METHODS)
    if resource.service == "http":
        _check_endpoint(arguments)
        _check_connection(arguments)
        _check_transform(arguments)


def arguments_field(fields: Fields) -> str:
    """Where a state has its arguments."""
    return "Parameters" if fields.language == "JSONPath" else "Arguments"


def _has_literal_arguments(fields: Fields) -> bool:
    return isinstance(fields.get(arguments_field(fields)), dict)


def _bare(name: str, fields: Fields) -> str:
    return name.removesuffix(".$") if fields.language == "JSONPath" else name


def _require(arguments: Fields, name: str) -> None:
    if not any(_bare(given, arguments) == name for given in arguments.values):
        message = f"The field '{name}' is required but was missing"
        arguments.report.error("required-field", message, arguments.place)


def _literal(arguments: Fields, name: str) -> Json:
    """A member's value, if it is known before it is evaluated; else None."""
    value = arguments.get(name)
    return None if arguments.language == "JSONata" and is_expression(value) else value


def _check_word(arguments: Fields, name: str, words: Sequence[str]) -> None:
    value = _literal(arguments, name)
    if value is not None and value not in words:
        message = f"The value for the '{name}' field is not valid"
        hint = f"expected one of {', '.join(words)}"
        arguments.report.error("not-one-of-values", message, arguments.place, at=arguments.at(name), hint=hint)


def _check_endpoint(arguments: Fields) -> None:
    value = _literal(arguments, "ApiEndpoint")
    if value is not None and not (isinstance(value, str) and _ENDPOINT.fullmatch(value)):
        message = "The value for the 'ApiEndpoint' field is not valid"
        hint = "expected a URL that begins with https://"
        arguments.report.error("invalid-endpoint", message, arguments.place, at=arguments.at("ApiEndpoint"), hint=hint)


def _check_connection(arguments: Fields) -> None:
    given = [name for name in arguments.values if _bare(name, arguments) in _CONNECTION_HOLDERS]
    if not given:
        message = f"This object should have only one of the following fields: [{', '.join(_CONNECTION_HOLDERS)}]"
        arguments.report.error("one-of-fields-required", message, arguments.place)
    for name in given:
        value = _literal(arguments, name)
        holder = arguments.object(name) if isinstance(value, dict) else None
        if holder is not None:
            _require(holder, "ConnectionArn")


def _check_transform(arguments: Fields) -> None:
    transform = arguments.object("Transform") if isinstance(arguments.get("Transform"), dict) else None
    if transform is None:
        return
    _check_word(transform, "RequestBodyEncoding", BODY_ENCODINGS)
    options = transform.get("RequestEncodingOptions")
    inner = transform.object("RequestEncodingOptions") if isinstance(options, dict) else None
    if inner is not None:
        _check_word(inner, "ArrayFormat", ARRAY_FORMATS)
