"""Requests that Step Functions' own wire refuses (api.md 1.2 to 1.5); `engine.http.faults` has those of any wire."""

from __future__ import annotations

from engine.http.faults import Fault
from engine.operations.resources import not_authorized

SWF_SERVICE = "com.amazonaws.swf.service.v2.model"
"""The namespace of errors that operations raise."""

_METHOD_NOT_ALLOWED = 405


def unknown_operation(message: str | None = None) -> Fault:
    """`X-Amz-Target` names no operation."""
    return Fault("UnknownOperationException", message)


def not_a_post(method: str) -> Fault:
    """Everything is `POST /`."""
    message = f"expected POST / with the header X-Amz-Target: AWSStepFunctions.<Operation>, got {method}"
    status = _METHOD_NOT_ALLOWED
    return Fault("UnknownOperationException", message, status=status, headers=((b"allow", b"POST"),))


def throttled() -> Fault:
    """The caller's token bucket is empty."""
    return Fault("ThrottlingException", "Rate exceeded")


def of_another_account(account_id: str, action: str, resource_arn: str) -> Fault:
    """A resource of an account that is not the caller's."""
    return Fault("AccessDeniedException", not_authorized(account_id, action, resource_arn))
