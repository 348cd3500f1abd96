"""Signed requests, held against botocore's own signer."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from engine.http import sigv4
from engine.http.faults import Fault
from engine.http.sigv4 import AccessKey, InvalidAccessKeys, read_access_keys

if TYPE_CHECKING:
    from pathlib import Path

KEY = AccessKey(name="k", id="AKIDEXAMPLE", secret="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
TEMPORARY = AccessKey(name="t", id="ASIAEXAMPLE", secret="s", session_token="tok/en==", expires=4e9)
KEYS = {KEY.id: KEY, TEMPORARY.id: TEMPORARY}
MINUTE = 60


def signed(
    key: AccessKey = KEY,
    *,
    url: str = "http://127.0.0.1:8083/",
    body: bytes = b"{}",
    service: str = "states",
    **more: str,
):
    """What botocore sends."""
    headers = {"X-Amz-Target": "AWSStepFunctions.ListActivities", "Content-Type": "application/x-amz-json-1.0", **more}
    request = AWSRequest("POST", url, headers=headers, data=body)
    SigV4Auth(Credentials(key.id, key.secret, key.session_token), service, "eu-central-1").add_auth(request)
    prepared = request.prepare()
    received = {
        name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in prepared.headers.items()
    }
    received.setdefault("host", url.split("/")[2])
    return received


def verify(
    headers: dict[str, str],
    *,
    body: bytes = b"{}",
    now: float | None = None,
    path: str = "/",
    query: str = "",
    keys: Any = KEYS,
):
    return sigv4.verified(
        keys, sigv4.parse_authorization(headers["authorization"]), method="POST", path=path, query=query,
        headers=headers, body=body, now=datetime.now(UTC).timestamp() if now is None else now, service="states",
    )  # fmt: skip


def refused(headers: dict[str, str], **more: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        verify(headers, **more)
    return caught.value


@given(body=st.binary(max_size=50), agent=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20))
def test_what_botocore_signs_is_taken(body, agent):
    assert verify(signed(body=body, **{"X-Custom": f"  a   {agent} "}), body=body) is KEY


@pytest.mark.parametrize("query", ["a=1&b=2", "b=2&a=1", "a=%20x&a=%2F", "a", "a=~-_."])
def test_queries_are_signed_as_well(query):
    headers = signed(url=f"http://127.0.0.1:8083/?{query}")
    assert verify(headers, query=query) is KEY
    assert refused(headers, query=f"{query}1").code == "InvalidSignatureException"


def test_temporary_credentials_need_their_session_token():
    headers = signed(TEMPORARY)
    assert headers["x-amz-security-token"] == "tok/en=="
    assert verify(headers) is TEMPORARY
    for token in ("other", ""):
        assert refused({**headers, "x-amz-security-token": token}).code == "UnrecognizedClientException"
    fault = refused({**signed(), "x-amz-security-token": "made up"})
    assert (fault.code, fault.message) == (
        "UnrecognizedClientException", "The security token included in the request is invalid.",
    )  # fmt: skip


def test_temporary_credentials_expire():
    now = datetime.now(UTC).timestamp()
    over = AccessKey(name="t", id="ASIA", secret="s", session_token="t", expires=now - 1)
    fault = refused(signed(over), keys={over.id: over}, now=now)
    assert (fault.code, fault.message) == (
        "ExpiredTokenException", "The security token included in the request is expired",
    )  # fmt: skip


def test_an_unknown_key_is_refused_as_on_aws():
    assert refused(signed(AccessKey(name="x", id="AKIAOTHER", secret="x"))).code == "UnrecognizedClientException"


@pytest.mark.parametrize(
    "changed",
    [
        {"body": b'{"maxResults":1}'},
        {"path": "/x"},
    ],
)
def test_a_request_that_was_changed_on_its_way_is_refused(changed):
    assert refused(signed(), **changed).code == "InvalidSignatureException"


@pytest.mark.parametrize("name", ["x-amz-target", "host", "x-amz-date", "content-type"])
def test_a_signed_header_that_was_changed_is_refused(name):
    headers = signed()
    headers.setdefault("host", "127.0.0.1:8083")
    value = headers[name]
    changed = value[:-2] + "9Z" if name == "x-amz-date" else value + "x"
    if changed != value:
        assert refused({**headers, name: changed}).code == "InvalidSignatureException"


def test_the_wrong_secret_is_refused():
    fault = refused(signed(AccessKey(name="k", id=KEY.id, secret="guessed")))
    assert fault.code == "InvalidSignatureException"
    assert fault.message is not None
    assert fault.message.startswith("The request signature we calculated does not match the signature you provided.")


@pytest.mark.parametrize("name", ["host", "x-amz-target", "x-amz-date"])
def test_what_a_request_means_must_be_signed(name):
    headers = signed()
    parts = headers["authorization"].split("SignedHeaders=")
    names = parts[1].split(",")[0]
    left = ";".join(one for one in names.split(";") if one != name)
    fault = refused({**headers, "authorization": parts[0] + f"SignedHeaders={left}, Signature=0"})
    assert fault.code == "InvalidSignatureException"
    assert fault.message == f"'{name}' must be a 'SignedHeader' in the AWS Authorization."


@pytest.mark.parametrize(("minutes", "word"), [(6, "expired"), (-6, "not yet current")])
def test_a_signature_holds_for_five_minutes(minutes, word):
    headers = signed()
    at = datetime.strptime(headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    assert verify(headers, now=at + 4 * MINUTE) is KEY
    assert verify(headers, now=at - 4 * MINUTE) is KEY
    fault = refused(headers, now=at + minutes * MINUTE)
    assert fault.code == "InvalidSignatureException"
    assert fault.message is not None
    assert fault.message.startswith(f"Signature {word}: {headers['x-amz-date']} is ")


def test_a_signature_for_another_service_is_refused():
    fault = refused(signed(service="sqs"))
    assert fault.message == "Credential should be scoped to correct service: 'states'."


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("AWS4-HMAC-SHA256", "requires 'Credential'"),
        ("AWS4-HMAC-SHA256 Credential=a/b/c/d/e", "requires 'Signature'"),
        ("AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0", "5 slash-delimited elements"),
        ("AWS4-HMAC-SHA256 ,,,=,", "requires 'Credential'"),
    ],
)
def test_a_header_that_is_not_whole_is_told(header, told):
    with pytest.raises(Fault, match=told) as caught:
        sigv4.parse_authorization(header)
    assert caught.value.code == "IncompleteSignatureException"


@given(st.text())
def test_no_header_does_harm(text):
    for header in (
        text,
        f"AWS4-HMAC-SHA256 {text}",
        f"AWS4-HMAC-SHA256 Credential={text}, SignedHeaders={text}, Signature={text}",
    ):
        with pytest.raises(Fault):
            verify({"authorization": header, "x-amz-date": text})


# ── the file ────────────────────────────────────────────────────────────────────────────────────────────────────────


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "keys"
    path.write_text(text, encoding="utf-8")
    return path


def test_keys_are_read_from_a_file_of_the_form_of_aws(tmp_path):
    path = written(
        tmp_path,
        """
        # comment
        [default]
        aws_access_key_id = AKIA1
        aws_secret_access_key = a/b+c==%x
        region = eu-west-1

        [temporary]
        AWS_ACCESS_KEY_ID=123456789012
        aws_secret_access_key=s
        aws_session_token=t
        aws_expiration=2030-01-01T00:00:00Z

        [other]
        aws_access_key_id = AKIA3
        aws_secret_access_key = s
        aws_account_id = 210987654321
    """.replace("        ", ""),
    )
    assert read_access_keys(path) == {
        "AKIA1": AccessKey(name="default", id="AKIA1", secret="a/b+c==%x"),
        "123456789012": AccessKey(
            name="temporary", id="123456789012", secret="s", session_token="t", account_id="123456789012",
            expires=datetime(2030, 1, 1, tzinfo=UTC).timestamp(),
        ),
        "AKIA3": AccessKey(name="other", id="AKIA3", secret="s", account_id="210987654321"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "at least one section"),
        ("SECRET", "expected sections"),
        ("[a]\naws_access_key_id=x\n", "aws_secret_access_key is missing"),
        ("[a]\naws_access_key_id=\naws_secret_access_key=SECRET\n", "must not be empty"),
        ("[a]\naws_access_key_id=x\naws_secret_access_key=SECRET\naws_account_id=1\n", "expected 12 digits"),
        ("[a]\naws_access_key_id=x\naws_secret_access_key=SECRET\naws_expiration=soon\n", "aws_expiration"),
        ("[a]\naws_access_key_id=x\naws_secret_access_key=SECRET\n[b]\naws_access_key_id=x\naws_secret_access_key=y\n",
         "same aws_access_key_id"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_is_told_without_its_secrets(tmp_path, text, told):
    with pytest.raises(InvalidAccessKeys, match=told) as caught:
        read_access_keys(written(tmp_path, text))
    assert "SECRET" not in str(caught.value)


def test_secrets_do_not_show():
    assert "tok/en" not in repr(TEMPORARY)
    assert KEY.secret not in repr(KEY)


def test_an_open_server_believes_an_access_key_of_twelve_digits():
    header = (
        "AWS4-HMAC-SHA256 Credential=123456789012/20260101/us-east-1/states/aws4_request, SignedHeaders=a, Signature=b"
    )
    assert sigv4.claimed_account(header) == "123456789012"
    assert sigv4.claimed_account(header.replace("1234", "AKIA")) is None
    assert sigv4.claimed_account(None) is None
    assert sigv4.claimed_account("Bearer x") is None
