"""One invocation of what plays a Lambda function: its event, its result, its errors (lambda.md 2.2, 4, 9)."""

from __future__ import annotations

import base64
import inspect
import json
import os
import random
import traceback
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from engine.errors import StatesError, TaskFailed
from engine.exit_reasons import exit_reason
from engine.integrations.request import Answer, UnsupportedTask
from engine.jsonvalue import InvalidJson, decode, encode, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.integrations.request import TaskRequest
    from engine.jsonvalue import Json

SECONDS_MAX = 900
"""Lambda's longest Timeout (lambda.md 4). More: definitions that pass here would fail on AWS."""

LOG_TAIL_BYTES = 4_096
"""Of LogResult: Lambda's "last 4 KB of the execution log"."""

_HERE = os.path.dirname(__file__)

# A request id need not be unguessable, and asking the system for one takes as long as all else in a short invocation.
_ids = random.Random()  # noqa: S311
if hasattr(os, "register_at_fork"):  # there is no fork on Windows
    os.register_at_fork(after_in_child=_ids.seed)

_VARIANT = "89ab"


def new_request_id() -> str:
    """A UUID (version 4) for one invocation."""
    # By hand: an object of the class takes three times as long.
    digits = f"{_ids.getrandbits(122):031x}"
    return (
        f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-{_VARIANT[int(digits[15], 16) & 3]}{digits[16:19]}-{digits[19:]}"
    )


def checked_seconds(timeout_seconds: float) -> float:
    """The time limit of one invocation. Raises ValueError: it is beyond Lambda's, or none."""
    if not 0 < timeout_seconds <= SECONDS_MAX:
        raise ValueError(f"timeout_seconds: expected more than 0 and at most {SECONDS_MAX}, got {timeout_seconds}")
    return timeout_seconds


def takes_context(function: Callable[..., Any]) -> bool:
    """Whether it is called with (event, context), not with (event). Raises ValueError: it takes neither."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True  # a built-in without a signature: it gets what Lambda would give it
    for arguments in ((None, None), (None,)):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return len(arguments) > 1
    raise ValueError(f"expected a callable of (event, context) or (event), got {function!r}")


def is_lambda_invoke(request: TaskRequest) -> bool:
    """Whether the Task is `lambda:invoke`, whose function is a member of its arguments."""
    return request.resource.kind == "service" and request.resource.service == "lambda"


def function_of(request: TaskRequest) -> str | None:
    """The function that a `lambda:invoke` names."""
    if is_lambda_invoke(request) and isinstance(request.arguments, dict):
        named = request.arguments.get("FunctionName")
        return named if isinstance(named, str) else None
    return None


def wanted(request: TaskRequest) -> str:
    """What has to have a handler, for people: the Resource, and the function of a `lambda:invoke`."""
    function = function_of(request)
    return request.resource.arn if function is None else f"{request.resource.arn} of {function}"


def event_of(request: TaskRequest) -> Json:
    """What the function is called with: `lambda:invoke`'s Payload (`{}` without one, recorded), else all arguments.

    A Payload that is text is the request's body as it stands (recorded): `"[1]"` gives the function a list.

    Raises:
        TaskFailed: A Payload that is text, but not JSON (lambda.md 2).
        UnsupportedTask: `lambda:invoke` with an InvocationType or a LogType that is not in `_SUPPORTED`.
    """
    if not is_lambda_invoke(request):
        return request.arguments
    arguments = request.arguments if isinstance(request.arguments, dict) else {}
    for member, supported in _SUPPORTED.items():
        given = arguments.get(member)
        if given is not None and given not in supported:
            expected = " or ".join(f'"{value}"' for value in supported)
            raise UnsupportedTask(
                f"state {request.state!r}: {member} {text(given)} is not supported by a local handler; "
                f"expected {expected}"
            )
    payload = arguments.get("Payload")
    if isinstance(payload, str):
        return _event_in(payload)
    return {} if payload is None else payload


def _event_in(body: str) -> Json:
    try:
        return decode(body)
    except InvalidJson as error:
        raise TaskFailed(
            "Lambda.InvalidRequestContentException",
            f"Could not parse request body into json: Could not parse payload into json: {error}",
        ) from None


_SUPPORTED = {"InvocationType": ("RequestResponse",), "LogType": ("None", "Tail")}
"""Members of `lambda:invoke` that ask something of the function's host, and what can be asked of this one."""


def answer_of(request: TaskRequest, result: bytes, request_id: str, *, log: bytes = b"") -> Answer:
    """The Task's result: the function's, in AWS's envelope where the Task is `lambda:invoke` (lambda.md 9.1).

    Args:
        request: The Task.
        result: JSON text that the function gave.
        request_id: Of the invocation.
        log: What the function wrote, where that is known; `LogType: Tail` asks for the end of it.

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

    trace = uuid.UUID(int=_ids.getrandbits(128)).hex
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
    log_result: dict[str, Json] = {}
    if arguments.get("LogType") == "Tail":
        log_result["LogResult"] = headers["X-Amz-Log-Result"] = _log_tail(log, request_id, version)
    every: dict[str, Json] = {name: [header] for name, header in headers.items()}
    envelope: Json = {
        "ExecutedVersion": version,
        **log_result,
        "Payload": value,
        "SdkHttpMetadata": {"AllHttpHeaders": every, "HttpHeaders": headers, "HttpStatusCode": 200},
        "SdkResponseMetadata": {"RequestId": request_id},
        "StatusCode": 200,
    }
    return Answer(envelope, len(encode(envelope)))


def _log_tail(log: bytes, request_id: str, version: str) -> str:
    """The log in base64, between Lambda's START and END lines. There is no REPORT line: nothing here is billed."""
    lines = b"" if not log or log.endswith(b"\n") else b"\n"
    whole = f"START RequestId: {request_id} Version: {version}\n".encode() + log + lines
    return base64.b64encode((whole + f"END RequestId: {request_id}\n".encode())[-LOG_TAIL_BYTES:]).decode()


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
    except Exception as error:
        # Anything: the methods of the value's own classes run here, and Decimal has errors of its own.
        raise ValueError(message_of(error)) from error


def unshared(value: Json) -> Json:
    """A copy for user code, which may change what it is given; ours is shared with the history and other states."""
    return decode(encode(value)) if isinstance(value, dict | list) else value


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
        return StatesError(_text_or_none(error.error), _text_or_none(error.cause))
    if isinstance(error, SystemExit):
        return exit_error(request_id)
    frames = traceback.extract_tb(error.__traceback__)
    while frames and frames[0].filename.startswith(_HERE):
        frames.pop(0)
    # As tuples: from 3.13 on the lines would have carets under them, which Lambda's have not.
    stack = traceback.format_list([(f.filename, f.lineno or 0, f.name, f.line) for f in frames])
    return _function_error(_printable(type(error).__name__), message_of(error), request_id, stack=stack)


def timed_out(seconds: float, request_id: str) -> StatesError:
    """The function's own time limit, which is not `States.Timeout` (lambda.md 9.2)."""
    message = f"RequestId: {request_id} Error: Task timed out after {seconds:.2f} seconds"
    return StatesError("Sandbox.Timedout", text({"errorType": "Sandbox.Timedout", "errorMessage": message}))


def exit_error(request_id: str, status: int | None = None) -> StatesError:
    """The process of the function ended before it gave a result. For `status` see `exit_reason`."""
    message = f"RequestId: {request_id} Error: {exit_reason(status)}"
    return StatesError("Runtime.ExitError", text({"errorType": "Runtime.ExitError", "errorMessage": message}))


def _function_error(error_type: str, message: str, request_id: str, *, stack: list[str]) -> StatesError:
    payload: Json = {
        "errorMessage": message,
        "errorType": error_type,
        "requestId": request_id,
        "stackTrace": [_printable(line) for line in stack],
    }
    return StatesError(error_type, text(payload))


def message_of(error: BaseException) -> str:
    """The text of an exception; the name of its class where it cannot say it."""
    try:
        return _printable(str(error))
    except Exception:  # noqa: BLE001  user code: a `__str__` that fails
        return type(error).__name__


def check_text(what: str, given: object) -> None:
    """Raises ValueError: it is neither None nor text that UTF-8 can hold, so no history could show it."""
    if given is not None and (not isinstance(given, str) or given != _printable(given)):
        raise ValueError(f"{what}: expected text or None, got {given!r}")


ERROR_CHARACTERS_MAX = 256
CAUSE_CHARACTERS_MAX = 32_768
"""What history holds of an error's name and cause (execution.md 2.2)."""


def check_error(error: object, cause: object) -> None:
    """Raises ValueError: AWS would not take this error and cause of a StopExecution or SendTaskFailure."""
    for what, given, most in (("error", error, ERROR_CHARACTERS_MAX), ("cause", cause, CAUSE_CHARACTERS_MAX)):
        check_text(what, given)
        if isinstance(given, str) and len(given) > most:
            raise ValueError(f"{what}: expected at most {most} characters, got {len(given)}")


def shortened(error: StatesError) -> StatesError:
    """The error of a handler as far as history holds it."""
    name, cause = error.error or "", error.cause or ""
    if len(name) <= ERROR_CHARACTERS_MAX and len(cause) <= CAUSE_CHARACTERS_MAX:
        return error
    return StatesError(error.error and name[:ERROR_CHARACTERS_MAX], error.cause and cause[:CAUSE_CHARACTERS_MAX])


def _text_or_none(value: object) -> str | None:
    return None if value is None else _printable(str(value))


def _printable(line: str) -> str:
    """Half surrogate pairs cannot stand in UTF-8 text."""
    return line.encode("utf-8", "replace").decode()
