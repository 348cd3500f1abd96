"""One invocation of what plays a Lambda function: its event, its result, its errors (lambda.md 2.2, 4, 9)."""

from __future__ import annotations

import json
import os
import traceback
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.errors import StatesError
from engine.integrations.request import Answer, UnsupportedTask
from engine.jsonvalue import InvalidJson, decode, encode, text

if TYPE_CHECKING:
    from engine.integrations.request import TaskRequest
    from engine.jsonvalue import Json

SECONDS_MAX = 900
"""Lambda's longest Timeout (lambda.md 4). More: definitions that pass here would fail on AWS."""

_HERE = os.path.dirname(__file__)


def is_lambda_invoke(request: TaskRequest) -> bool:
    """Whether the Task is `lambda:invoke`, whose function is a member of its arguments."""
    return request.resource.kind == "service" and request.resource.service == "lambda"


def event_of(request: TaskRequest) -> Json:
    """What the function is called with: `lambda:invoke`'s Payload (`{}` without one, recorded), else all arguments.

    Raises:
        UnsupportedTask: `lambda:invoke` with an InvocationType other than RequestResponse.
    """
    if not is_lambda_invoke(request):
        return request.arguments
    arguments = request.arguments if isinstance(request.arguments, dict) else {}
    kind = arguments.get("InvocationType", "RequestResponse")
    if kind != "RequestResponse":
        raise UnsupportedTask(
            f"state {request.state!r}: InvocationType {text(kind)} is not supported by a local handler; "
            'expected "RequestResponse"'
        )
    payload = arguments.get("Payload")
    return {} if payload is None else payload


def answer_of(request: TaskRequest, result: bytes, request_id: str) -> Answer:
    """The Task's result: the function's, in AWS's envelope where the Task is `lambda:invoke` (lambda.md 9.1).

    Args:
        request: The Task.
        result: JSON text that the function gave.
        request_id: Of the invocation.

    Raises:
        InvalidJson: `result` is not JSON.
    """
    value = decode(result)
    if not is_lambda_invoke(request):
        return Answer(value, len(result))
    arguments = request.arguments if isinstance(request.arguments, dict) else {}
    qualifier = arguments.get("Qualifier")
    version = qualifier if isinstance(qualifier, str) and qualifier.isdigit() else "$LATEST"
    from email.utils import formatdate

    trace = uuid.uuid4().hex
    headers: dict[str, Json] = {
        "Connection": "keep-alive",
        "Content-Length": str(len(result)),
        "Content-Type": "application/json",
        "Date": formatdate(usegmt=True),
        "X-Amz-Executed-Version": version,
        "x-amzn-Remapped-Content-Length": "0",
        "x-amzn-RequestId": request_id,
        "X-Amzn-Trace-Id": f"root=1-{trace[:8]}-{trace[8:]};parent={trace[:16]};sampled=0",
    }
    every: dict[str, Json] = {name: [header] for name, header in headers.items()}
    envelope: Json = {
        "ExecutedVersion": version,
        "Payload": value,
        "SdkHttpMetadata": {"AllHttpHeaders": every, "HttpHeaders": headers, "HttpStatusCode": 200},
        "SdkResponseMetadata": {"RequestId": request_id},
        "StatusCode": 200,
    }
    return Answer(envelope, len(encode(envelope)))


# ── results ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _decimal_too(value: Any) -> int | float:
    """Lambda's runtime for Python writes a Decimal as a number, and nothing else that JSON does not have."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_decimal_too)


def json_text(value: object) -> bytes:
    """The JSON text of a Python value, as Lambda's runtime writes it: tuples are arrays, a Decimal is a number.

    The standard library writes it, because msgspec would take sets and datetimes, and NaN as null.

    Raises:
        ValueError: It is not JSON; the text says why.
    """
    try:
        return _encoder.encode(value).encode()
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from error


def json_value(value: object) -> Answer:
    """A Python value as JSON, apart from the original, and the length of its text. Raises ValueError."""
    data = json_text(value)
    return Answer(decode(data), len(data))


def marshal(result: object, request_id: str) -> bytes:
    """The JSON text of what a callable returned.

    Raises:
        StatesError: `Runtime.MarshalError`: it is not JSON.
    """
    try:
        return json_text(result)
    except ValueError as error:
        message = f"Unable to marshal response: {error}"
        raise _function_error("Runtime.MarshalError", message, request_id, stack=[]) from error


def checked_answer(request: TaskRequest, result: bytes, request_id: str) -> Answer:
    """As `answer_of`, for text that `marshal` made: what it lets through and JSON does not is a MarshalError too."""
    try:
        return answer_of(request, result, request_id)
    except InvalidJson as error:
        message = f"Unable to marshal response: {error}"
        raise _function_error("Runtime.MarshalError", message, request_id, stack=[]) from error


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def unhandled(error: BaseException, request_id: str) -> StatesError:
    """What Step Functions makes of an exception in a function: the class's bare name, and the payload as JSON text.

    {"errorMessage":"no stock","errorType":"OutOfStock","requestId":"<uuid>","stackTrace":["  File ..."]}
    """
    if isinstance(error, StatesError):
        return error
    if isinstance(error, SystemExit):
        return exit_error(request_id)
    frames = traceback.extract_tb(error.__traceback__)
    while frames and frames[0].filename.startswith(_HERE):
        frames.pop(0)
    # As tuples: from 3.13 on the lines would have carets under them, which Lambda's have not.
    stack = traceback.format_list([(f.filename, f.lineno or 0, f.name, f.line) for f in frames])
    return _function_error(type(error).__name__, _printable(str(error)), request_id, stack=stack)


def timed_out(seconds: float, request_id: str) -> StatesError:
    """The function's own time limit, which is not `States.Timeout` (lambda.md 9.2)."""
    message = f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds"
    return StatesError("Sandbox.Timedout", text({"errorType": "Sandbox.Timedout", "errorMessage": message}))


def exit_error(request_id: str) -> StatesError:
    """The process of the function ended before it gave a result."""
    message = f"RequestId: {request_id} Error: Runtime exited without providing a reason"
    return StatesError("Runtime.ExitError", text({"errorType": "Runtime.ExitError", "errorMessage": message}))


def _function_error(error_type: str, message: str, request_id: str, *, stack: list[str]) -> StatesError:
    payload: Json = {
        "errorMessage": message,
        "errorType": error_type,
        "requestId": request_id,
        "stackTrace": [_printable(line) for line in stack],
    }
    return StatesError(error_type, text(payload))


def _printable(line: str) -> str:
    """Half surrogate pairs cannot stand in UTF-8 text."""
    return line.encode("utf-8", "replace").decode()
