"""What goes into an execution environment, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

PAYLOAD_BYTES_MAX = 6 * 1024 * 1024
"""Of a request (lambda.md 4)."""

RESPONSE_BYTES_MAX = PAYLOAD_BYTES_MAX + 100
"""Of a response that is not streamed; the 100 is AWS's (lambda.md 2.2)."""

STREAMED_BYTES_MAX = 200 * 1024 * 1024
"""Of a streamed response (lambda.md 4)."""

LOG_TAIL_BYTES = 4_096


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One invocation of a function.

    Attributes:
        payload: JSON text.
        request_id: All attempts of an asynchronous invocation share it.
        invoked_arn: As the caller named the function: unqualified, or with version or alias.
        client_context: JSON text, decoded from base64.
        trace_id: What stood in `X-Amzn-Trace-Id`; None makes one.
        on_begin: Takes the content type of a streamed response, before its first part.
        on_chunk: Takes the parts of a streamed response as they come. Without it they are collected, as for `Invoke`.
    """

    payload: bytes
    request_id: str
    invoked_arn: str
    client_context: str | None = None
    trace_id: str | None = None
    tenant_id: str | None = None
    on_begin: Callable[[str], None] | None = field(default=None, compare=False)
    on_chunk: Callable[[bytes], None] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it ended.

    Attributes:
        payload: JSON text of the result, or of the error (lambda.md 2.2). Empty when `on_chunk` got everything.
        function_error: What `X-Amz-Function-Error` says; None for a result.
        content_type: That the runtime gave with the response.
        log_tail: The last 4 KB of the invocation's log: START, output, END, REPORT.
        duration_ms: Of the handler, and of an initialisation that was repeated in the invocation.
        billed_ms: Whole milliseconds.
        init_ms: Of the initialisation before the invocation; None when the environment was warm.
        restore_ms: Of the restoring of a snapshot; None without SnapStart or when the environment was warm.
        max_memory_used: MB; that the environment had used at most until then.
        streamed: Whether the function asked for a streamed response.
    """

    payload: bytes
    function_error: Literal["Unhandled", "Handled"] | None = None
    content_type: str = "application/json"
    log_tail: bytes = b""
    duration_ms: float = 0.0
    billed_ms: int = 0
    init_ms: float | None = None
    restore_ms: float | None = None
    max_memory_used: int = 0
    streamed: bool = False
