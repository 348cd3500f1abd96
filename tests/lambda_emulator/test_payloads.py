"""What may go into a function."""

from __future__ import annotations

from base64 import b64encode

import pytest

from engine.lambda_emulator.errors import (
    InvalidRequestContentException,
    RequestEntityTooLargeException,
    UnsupportedMediaTypeException,
    ValidationException,
)
from engine.lambda_emulator.payloads import check_size, client_context_text, event_payload

MB = 1_048_576
PREFIX = "Could not parse request body into json: Could not parse payload into json: "


@pytest.mark.parametrize(("kind", "most"), [("RequestResponse", 6 * MB), ("Event", MB)])
def test_a_payload_has_its_limit_to_the_byte(kind, most):
    check_size(bytes(most), kind)
    with pytest.raises(RequestEntityTooLargeException) as caught:
        check_size(bytes(most + 1), kind)
    assert caught.value.message == (
        f"{most + 1} byte payload is too large for the {kind} invocation type (limit {most} bytes)"
    )
    assert (caught.value.status, caught.value.type) == (413, None)


@pytest.mark.parametrize("text", [b"1", b'"x"', b"null", b' {"a": [1.5e3]} ', '"ä"'.encode()])
def test_any_json_goes_in_as_it_is(text):
    assert event_payload(text, None) is text


def test_nothing_is_an_empty_object():
    assert event_payload(b"", None) == b"{}"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"xyz",
         "Unrecognized token 'xyz': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"),  # noqa: E501
        (b'{\n  "a": ]}', "Unexpected character (']' (code 93))"),
        (b"{", "Unexpected character"),
        (b'"\xff"', "Invalid UTF-8"),
        (b"[1] 2", "Unexpected character ('2' (code 50))"),
        (b"NaN", "Unrecognized token 'NaN'"),
        (b"[" * 100_000, ""),
    ],
)  # fmt: skip
def test_what_is_no_json_is_told_in_the_parsers_words(text, told):
    with pytest.raises(InvalidRequestContentException) as caught:
        event_payload(text, None)
    assert caught.value.status == 400
    assert caught.value.message.startswith(PREFIX)
    if text != b"{":
        assert caught.value.message.startswith(PREFIX + told)


def test_the_place_is_told():
    with pytest.raises(InvalidRequestContentException) as caught:
        event_payload(b'{\n  "a": ]}', None)
    assert caught.value.message.endswith(
        "\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: 2, column: 8]"
    )


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "application/cloudevents+json"]
)
def test_json_by_any_name_is_taken(kind):
    assert event_payload(b"1", kind) == b"1"


@pytest.mark.parametrize("kind", ["text/html", "image/png"])
def test_another_content_type_is_refused(kind):
    with pytest.raises(UnsupportedMediaTypeException) as caught:
        event_payload(b"1", kind)
    assert caught.value.status == 415


def test_a_client_context_is_json_in_base64():
    assert client_context_text(None) is None
    assert client_context_text(b64encode(b'{"custom": {"a": "b"}}').decode()) == '{"custom": {"a": "b"}}'


@pytest.mark.parametrize(
    "text", ["!", b64encode(b"[1]").decode(), b64encode(b"{").decode(), b64encode(b"\xff").decode()]
)
def test_a_client_context_of_another_form_is_refused(text):
    with pytest.raises(InvalidRequestContentException):
        client_context_text(text)


def test_a_client_context_has_3583_characters_at_most():
    fits = b64encode(b'{"a": "' + b"x" * 2_676 + b'"}').decode()
    assert len(fits) == 3_580
    assert client_context_text(fits)
    with pytest.raises(ValidationException):
        client_context_text(b64encode(b'{"a": "' + b"x" * 2_679 + b'"}').decode())
