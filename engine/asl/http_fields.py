"""The arguments of Tasks that call APIs by HTTP: `http:invoke` and `apigateway:invoke` (integrations.md 5.10, 5.11).

What is certain to fail is refused when the machine is created. That AWS does so is documented and reported; its texts
are known of other integrations, and of `ApiEndpoint` by a report.
"""

from __future__ import annotations

from typing import Final, Literal

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
