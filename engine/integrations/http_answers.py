"""What APIs answered, as a Task's result (integrations.md 5.10, 5.11)."""

from __future__ import annotations

from email.message import Message
from typing import TYPE_CHECKING, Final

from engine.errors import StatesError
from engine.jsonvalue import InvalidJson, decode

if TYPE_CHECKING:
    from engine.integrations.aws import HttpAnswer
    from engine.jsonvalue import Json

SUCCESS: Final = range(200, 300)

_NO_TEXT: Final = ("image", "video", "audio")


class NoText(ValueError):
    """An answer that is no text. It says why."""


def text_of(answered: HttpAnswer) -> str:
    """The body in the charset that the answer names, else UTF-8. Raises NoText: what it holds is no text."""
    kind = _content_type(answered)
    if kind.get_content_maintype() in _NO_TEXT or kind.get_content_type() == "application/octet-stream":
        raise NoText(f"a response of the content type {kind.get_content_type()} is not supported")
    charset = str(kind.get_param("charset", "utf-8"))
    try:
        return answered.body.decode(charset)
    except (UnicodeDecodeError, LookupError):
        raise NoText(f"the response cannot be read as text in {charset}") from None


def body_of(answered: HttpAnswer, text: str) -> Json:
    """The body of an answer whose text is known: its value, if the content type says JSON and it is; else the text."""
    kind = _content_type(answered).get_content_type()
    if kind == "application/json" or kind.endswith("+json"):
        try:
            return decode(text)
        except InvalidJson:
            pass
    return text


def too_large(service: str) -> StatesError:
    """The error of an answer that is too long to be kept (integrations.md 1.2)."""
    cause = (
        f"The state/task '{service}' returned a result with a size exceeding the maximum number of bytes service limit."
    )
    return StatesError("States.DataLimitExceeded", cause)


def result_of(answered: HttpAnswer, text: str, *, lower_case: bool) -> dict[str, Json]:
    """`{"Headers": {name: [value]}, "ResponseBody": ..., "StatusCode": 200, "StatusText": "OK"}`.

    `lower_case`: of the headers' names, whatever the server wrote.
    """
    headers: dict[str, Json] = {}
    for name, value in answered.headers:
        values = headers.setdefault(name.lower() if lower_case else name, [])
        assert isinstance(values, list)
        values.append(value)
    return {
        "Headers": headers,
        "ResponseBody": body_of(answered, text),
        "StatusCode": answered.status,
        "StatusText": answered.reason,
    }


def _content_type(answered: HttpAnswer) -> Message:
    message = Message()
    message["Content-Type"] = next((value for name, value in answered.headers if name.lower() == "content-type"), "")
    return message
