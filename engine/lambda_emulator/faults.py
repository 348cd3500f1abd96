"""What is told of errors that are no fault of the caller."""

from __future__ import annotations

import traceback

import structlog

from engine.errors import StoreUnavailable
from engine.lambda_emulator.errors import LambdaError, ServiceException, Unavailable


def told_of(error: Exception, operation: str | None, request_id: str) -> LambdaError:
    """Logs it; what the caller is told."""
    log = structlog.get_logger()
    if isinstance(error, StoreUnavailable):
        log.warning("request not served", operation=operation, request_id=request_id, error=str(error))
        return Unavailable("the database cannot be reached")
    # As text: what renders an exception may show the frames' variables, and with them what authorizes the request.
    trace = "".join(traceback.format_exception(error))
    log.error("request failed", operation=operation, request_id=request_id, exception=trace)
    return ServiceException("the emulator has logged what went wrong, with this request id")
