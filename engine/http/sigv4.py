"""AWS Signature Version 4, from the server's side (api.md 1 and 1.4).

The access keys stand in a file of the form that AWS's tools keep theirs in, so one file can serve both sides:

    [orders-service]
    aws_access_key_id = AKIDEXAMPLE
    aws_secret_access_key = ...
    aws_session_token = ...                    of temporary credentials
    aws_expiration = 2030-01-01T00:00:00Z      of temporary credentials; for ever when not given
    aws_account_id = 123456789012              whose resources it sees; the server's account when not given
"""

from __future__ import annotations

import configparser
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from engine.http import faults
from engine.timestamps import parse_timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCHEME = "AWS4-HMAC-SHA256"

_SKEW_SECONDS = 300
_NS_PER_SECOND = 1_000_000_000
_FORM = "%Y%m%dT%H%M%SZ"
_ACCOUNT = re.compile(r"\d{12}")
_MUST_BE_SIGNED = ("host", "x-amz-date", "x-amz-target")
"""What says where a request is for, when, and what it asks; unsigned, each of them could be exchanged on the way."""

_DERIVED_KEYS_MAX = 1_024


class InvalidAccessKeys(ValueError):
    """The file of access keys is not one. The message names file and section, and no secret."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """Somebody's credentials.

    Attributes:
        name: Of the section that it stands in.
        account_id: Whose resources it sees; None: the server's account.
        expires: Seconds since the epoch; None: never.
    """

    name: str
    id: str
    secret: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    account_id: str | None = None
    expires: float | None = None


def read_access_keys(path: Path) -> dict[str, AccessKey]:
    """The keys in a file, by id. Raises InvalidAccessKeys, OSError."""
    parser = configparser.RawConfigParser(default_section="")
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=str(path))
    except (configparser.Error, UnicodeDecodeError) as error:
        raise InvalidAccessKeys(f"{path}: expected sections of names and values ({type(error).__name__})") from None
    keys = [_access_key(path, name, parser[name]) for name in parser.sections()]
    if not keys:
        raise InvalidAccessKeys(f"{path}: expected at least one section with aws_access_key_id")
    if len({key.id for key in keys}) < len(keys):
        raise InvalidAccessKeys(f"{path}: two sections have the same aws_access_key_id")
    return {key.id: key for key in keys}


def _access_key(path: Path, name: str, section: Mapping[str, str]) -> AccessKey:
    try:
        key_id, secret = section["aws_access_key_id"].strip(), section["aws_secret_access_key"].strip()
    except KeyError as error:
        raise InvalidAccessKeys(f"{path}, [{name}]: {error.args[0]} is missing") from None
    account, expires = section.get("aws_account_id"), section.get("aws_expiration")
    if not key_id or not secret:
        raise InvalidAccessKeys(f"{path}, [{name}]: aws_access_key_id and aws_secret_access_key must not be empty")
    if account is not None and not _ACCOUNT.fullmatch(account):
        raise InvalidAccessKeys(f"{path}, [{name}]: aws_account_id: expected 12 digits, got {account!r}")
    return AccessKey(
        name=name,
        id=key_id,
        secret=secret,
        session_token=section.get("aws_session_token") or None,
        account_id=account or account_of(key_id),
        expires=None if expires is None else _seconds(path, name, expires),
    )


def _seconds(path: Path, name: str, text: str) -> float:
    instant = parse_timestamp(text)
    if instant is None:
        form = "2030-01-01T00:00:00Z"
        raise InvalidAccessKeys(f"{path}, [{name}]: aws_expiration: expected {form}, got {text!r}")
    return instant / _NS_PER_SECOND


def account_of(access_key_id: str) -> str | None:
    """The account that an access key of 12 digits stands for, as local emulators read it."""
    return access_key_id if _ACCOUNT.fullmatch(access_key_id) else None


# ── a request ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """The header's parts: `Credential=KEY/DATE/REGION/SERVICE/aws4_request, SignedHeaders=a;b, Signature=hex`."""

    key_id: str
    date: str
    region: str
    service: str
    terminator: str
    signed_headers: tuple[str, ...]
    signature: str


def parse_authorization(header: str) -> Authorization:
    """Raises Fault: IncompleteSignatureException."""
    parts = {
        name.strip(): value.strip()
        for name, _, value in (part.partition("=") for part in header.removeprefix(SCHEME).split(","))
    }
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if not parts.get(name)]
    if missing:
        told = " ".join(f"Authorization header requires '{name}' parameter." for name in missing)
        raise faults.incomplete_signature(told)
    scope = parts["Credential"].rsplit("/", 4)
    if len(scope) != 5:
        raise faults.incomplete_signature(
            "Credential must have exactly 5 slash-delimited elements: KEY/DATE/REGION/SERVICE/aws4_request"
        )
    key_id, date, region, service, terminator = scope
    return Authorization(
        key_id=key_id,
        date=date,
        region=region,
        service=service,
        terminator=terminator,
        signed_headers=tuple(parts["SignedHeaders"].lower().split(";")),
        signature=parts["Signature"],
    )


def claimed_account(header: str | None) -> str | None:
    """The account that a request without proof names by its access key, if it names one."""
    if header is None or not header.startswith(SCHEME):
        return None
    key_id = header.partition("Credential=")[2].partition("/")[0]
    return account_of(key_id)


def verified(
    keys: Mapping[str, AccessKey],
    authorization: Authorization,
    *,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    now: float,
    service: str,
) -> AccessKey:
    """The key that signed this request.

    Args:
        path: As it was sent, percent signs and all.
        query: Likewise.
        headers: By lower-case name; several of one name joined by commas.
        now: Seconds since the epoch.
        service: That it must be signed for.

    Raises:
        Fault: As api.md 1.4 has it.
    """
    key = keys.get(authorization.key_id)
    if key is None or not _same(headers.get("x-amz-security-token", ""), key.session_token or ""):
        raise faults.unknown_client()
    date = _date(headers, authorization, service)
    for name in _MUST_BE_SIGNED:
        if name in headers and name not in authorization.signed_headers:
            raise faults.wrong_signature(f"'{name}' must be a 'SignedHeader' in the AWS Authorization.")
    signature = _signature(key.secret, authorization, date, method, path, query, headers, body)
    if not _same(signature, authorization.signature):
        raise faults.wrong_signature()
    _check_time(date, now)
    if key.expires is not None and now >= key.expires:
        raise faults.expired_token()
    return key


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _date(headers: Mapping[str, str], authorization: Authorization, service: str) -> str:
    date = headers.get("x-amz-date")
    if date is None:
        raise faults.incomplete_signature("Authorization header requires existence of a 'X-Amz-Date' header.")
    if authorization.service != service or authorization.terminator != "aws4_request":
        raise faults.wrong_signature(f"Credential should be scoped to correct service: '{service}'.")
    if date[:8] != authorization.date:
        raise faults.wrong_signature("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date")
    return date


def _check_time(date: str, now: float) -> None:
    try:
        signed = datetime.strptime(date, _FORM).replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise faults.incomplete_signature("Date must be in ISO-8601 'basic format'.") from None
    ours = datetime.fromtimestamp(now, UTC).strftime(_FORM)
    if signed < now - _SKEW_SECONDS:
        edge = datetime.fromtimestamp(now - _SKEW_SECONDS, UTC).strftime(_FORM)
        raise faults.wrong_signature(f"Signature expired: {date} is now earlier than {edge} ({ours} - 5 min.)")
    if signed > now + _SKEW_SECONDS:
        edge = datetime.fromtimestamp(now + _SKEW_SECONDS, UTC).strftime(_FORM)
        raise faults.wrong_signature(f"Signature not yet current: {date} is still later than {edge} ({ours} + 5 min.)")


def _signature(
    secret: str,
    authorization: Authorization,
    date: str,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
) -> str:
    """What the signature must be. AWS: "Create a signed AWS API request"."""
    signed = authorization.signed_headers
    canonical = "\n".join(
        (
            method,
            quote(path, safe="/-_.~"),
            _canonical_query(query),
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signed),
            "",
            ";".join(signed),
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{authorization.date}/{authorization.region}/{authorization.service}/{authorization.terminator}"
    text = f"{SCHEME}\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = _derived_key(secret, authorization.date, authorization.region, authorization.service)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _canonical_query(query: str) -> str:
    pairs = [(quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~"))
             for name, _, value in (part.partition("=") for part in query.split("&") if part)]  # fmt: skip
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


@lru_cache(maxsize=_DERIVED_KEYS_MAX)
def _derived_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The signing key; good for a day."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key
