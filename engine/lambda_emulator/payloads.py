"""What may go into a function: JSON text of a limited size, and a client context (lambda.md 2, 4)."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from typing import Literal

import msgspec

from engine.lambda_emulator.errors import (
    InvalidRequestContentException,
    RequestEntityTooLargeException,
    UnsupportedMediaTypeException,
    ValidationException,
)
from engine.lambda_emulator.invocation import PAYLOAD_BYTES_MAX

EVENT_BYTES_MAX = 1_048_576
"""Of a payload that is queued."""

_CLIENT_CONTEXT_MAX = 3_583
"""Characters, encoded."""

_NOT_JSON = "Could not parse request body into json: Could not parse payload into json: "
_SOURCE = "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: {}, column: {}]"
_WORD = re.compile(r"[A-Za-z_$][\w$]*")

# What tools send when nobody says what it is counts as JSON; whether it is shows when it is read.
_JSON_TYPES = frozenset(
    {"application/json", "application/octet-stream", "binary/octet-stream", "application/x-www-form-urlencoded"}
)


def check_size(payload: bytes, invocation_type: Literal["RequestResponse", "Event"]) -> None:
    """Raises RequestEntityTooLargeException."""
    most = EVENT_BYTES_MAX if invocation_type == "Event" else PAYLOAD_BYTES_MAX
    if len(payload) > most:
        raise RequestEntityTooLargeException(
            f"{len(payload)} byte payload is too large for the {invocation_type} invocation type (limit {most} bytes)"
        )


def event_payload(payload: bytes, content_type: str | None) -> bytes:
    """What the function gets: the payload, or an empty object when there is none.

    Raises:
        UnsupportedMediaTypeException: Its sender says that it is something else than JSON.
        InvalidRequestContentException: It is no JSON.
    """
    if content_type is not None:
        kind = content_type.partition(";")[0].strip().lower()
        if kind not in _JSON_TYPES and not kind.endswith("+json") and not kind.startswith("application/x-amz-json"):
            raise UnsupportedMediaTypeException(f"Unsupported content type: {content_type}; expected application/json")
    if not payload:
        return b"{}"
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequestContentException(f"{_NOT_JSON}Invalid UTF-8 at byte {error.start + 1}") from None
    try:
        msgspec.json.decode(payload, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequestContentException(_NOT_JSON + _what_is_wrong(text)) from None
    return payload


def _what_is_wrong(text: str) -> str:
    """In the words of the parser that Lambda uses."""
    try:
        json.loads(text)
    except RecursionError:
        return "Document nesting depth exceeds the maximum allowed"
    except json.JSONDecodeError as error:
        at = error.pos
    else:
        at = 0  # Python's parser takes NaN and the like
    where = _SOURCE.format(text.count("\n", 0, at) + 1, at - (text.rfind("\n", 0, at) + 1) + 1)
    if at >= len(text):
        return f"Unexpected end-of-input{where}"
    word = _WORD.match(text, at)
    if word is not None:
        expected = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
        return f"Unrecognized token '{word[0]}': was expecting {expected}{where}"
    return f"Unexpected character ('{text[at]}' (code {ord(text[at])})){where}"


def client_context_text(encoded: str | None) -> str | None:
    """The JSON text in a client context.

    Raises:
        ValidationException: It is too long.
        InvalidRequestContentException: It is no JSON object in base64.
    """
    if encoded is None:
        return None
    if len(encoded) > _CLIENT_CONTEXT_MAX:
        raise ValidationException(
            f"1 validation error detected: Value '{encoded}' at 'clientContext' failed to satisfy constraint: "
            f"Member must have length less than or equal to {_CLIENT_CONTEXT_MAX}"
        )
    try:
        text = b64decode(encoded, validate=True).decode()
        is_object = isinstance(msgspec.json.decode(text), dict)
    except (ValueError, msgspec.DecodeError):
        is_object = False
    else:
        if is_object:
            return text
    raise InvalidRequestContentException("Client context must be a valid Base64-encoded JSON object.")
