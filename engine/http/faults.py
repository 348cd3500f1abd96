"""Requests that are refused before an operation sees them, and failures of ours, in AWS's shape (api.md 1.2 to 1.4)."""

from __future__ import annotations

_CORAL_SERVICE = "com.amazon.coral.service"
_CORAL_VALIDATE = "com.amazon.coral.validate"

_BAD_REQUEST = 400
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_TIMED_OUT = 408
_TOO_LARGE = 413
_INTERNAL = 500
_UNAVAILABLE = 503

_HOST_SHOWN = 253
"""No name is longer."""


class Fault(Exception):
    """One answer that is no success.

    Attributes:
        code: AWS's name of it, without namespace.
        message: For a person; None: AWS gives none.
        namespace: Of the code, in protocols that tell it.
        status: Of the HTTP answer.
        headers: More of the HTTP answer.
    """

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        status: int = _BAD_REQUEST,
        namespace: str = _CORAL_SERVICE,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.status = status
        self.namespace = namespace
        self.headers = headers


def broken_constraints(items: list[str]) -> Fault:
    """Members that break what the service model says of them (api.md 1.3)."""
    count = len(items)
    detected = f"{count} validation error{'s' if count > 1 else ''} detected: {'; '.join(items)}"
    return Fault("ValidationException", detected, namespace=_CORAL_VALIDATE)


def serialization(message: str) -> Fault:
    """The body is not JSON, or a member has the wrong JSON type."""
    return Fault("SerializationException", message)


def too_large(bytes_max: int) -> Fault:
    """The request is longer than AWS takes."""
    message = f"the request is longer than {bytes_max:,} bytes"
    return Fault("RequestEntityTooLargeException", message, status=_TOO_LARGE, headers=((b"connection", b"close"),))


def too_slow(seconds: float) -> Fault:
    """The rest of the body did not come."""
    message = f"the request did not come within {seconds:g} seconds"
    return Fault("RequestTimeoutException", message, status=_TIMED_OUT, headers=((b"connection", b"close"),))


def internal_failure() -> Fault:
    """A fault of ours; what it was is logged."""
    return Fault("InternalFailure", "the server has logged what went wrong, with this request id", status=_INTERNAL)


def unavailable(message: str = "the database cannot be reached") -> Fault:
    """What is needed for an answer does not answer itself."""
    return Fault("ServiceUnavailable", message, status=_UNAVAILABLE)


# ── who asks ────────────────────────────────────────────────────────────────────────────────────────────────────────


def no_authentication() -> Fault:
    """There is no `Authorization`, and there must be one."""
    return Fault("MissingAuthenticationTokenException", "Missing Authentication Token")


def incomplete_signature(message: str) -> Fault:
    """`Authorization` is there, but not whole."""
    return Fault("IncompleteSignatureException", message)


def unknown_client() -> Fault:
    """The access key, or its session token, is not one of ours."""
    return Fault("UnrecognizedClientException", "The security token included in the request is invalid.")


def wrong_signature(message: str | None = None) -> Fault:
    """Signed with another secret, other content, or at another time."""
    return Fault(
        "InvalidSignatureException",
        message
        or "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
        "Access Key and signing method. Consult the service documentation for details.",
    )


def expired_token() -> Fault:
    """The temporary credentials are over."""
    return Fault("ExpiredTokenException", "The security token included in the request is expired")


def bad_bearer(message: str, *, is_expired: bool = False) -> Fault:
    """A bearer token that does not hold. Its clients speak OAuth, hence 401 and RFC 6750's header."""
    return Fault(
        "ExpiredTokenException" if is_expired else "UnrecognizedClientException",
        message,
        status=_UNAUTHORIZED,
        headers=((b"www-authenticate", b'Bearer error="invalid_token"'),),
    )


def not_allowed(who: str, action: str) -> Fault:
    """A bearer token that holds, but not for this: `action` is `states:StartExecution`, for one."""
    return Fault(
        "AccessDeniedException",
        f"User: {who} is not authorized to perform: {action} because no scope of its token allows the action",
        status=_FORBIDDEN,
        headers=((b"www-authenticate", b'Bearer error="insufficient_scope"'),),
    )


def from_a_browser() -> Fault:
    """An open server is for the tools of its machine, not for the pages that its user happens to look at."""
    return Fault(
        "AccessDeniedException",
        "requests of web pages (they carry the header Origin) are refused by a server without authentication",
        status=_FORBIDDEN,
    )


def of_another_name(host: str) -> Fault:
    """An open server is asked under a name that could be that of a web page."""
    return Fault(
        "AccessDeniedException",
        f"Host: expected an address, localhost or another name that is not public, got {host[:_HOST_SHOWN]!r}; "
        "a server without authentication takes any name when it is started with --insecure-no-auth",
        status=_FORBIDDEN,
    )
