"""Bearer tokens: JWTs of an OpenID Connect issuer, such as a Cognito user pool (RFC 6750, 7519, 9068).

A token must be signed with a key of the issuer, be in its time, be meant for this server (`aud`, or, in the access
tokens of Cognito, `client_id`), and have a scope that allows the action.
"""

from __future__ import annotations

import json
import re
import time
import urllib.request
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, TypeGuard
from urllib.parse import urlsplit

import anyio
from anyio import to_thread
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from engine.http import faults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from engine.http.faults import Fault

_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
"""Signatures with a private key alone: a public key must never pass for a shared secret."""

_LEEWAY_SECONDS = 60
_KEPT_SECONDS = 3_600
"""How long the issuer's keys are used without asking again."""

_AGAIN_SECONDS = 30
"""A token with an unknown key asks again, but not more often than this: anybody can write such a token."""

_AWAY_SECONDS = 5
"""How long an issuer that did not answer is not asked again: whoever waits would ask it, one after the other."""

_FETCH_SECONDS = 10
_DOCUMENT_BYTES_MAX = 1_000_000
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_ACTION = re.compile(r"[a-z]+:.+")
"""An action with its service, as `states:StartExecution`."""

_DEFAULT_SERVICE = "states"


class InvalidIssuer(ValueError):
    """What was said of the issuer means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Whose tokens hold here.

    Attributes:
        url: Its `iss`, to the letter.
        audiences: One of them must be in `aud`, or be the `client_id` of an access token that has no `aud`.
        jwks_url: Where its keys are; None: as its discovery document says.
        scopes: Scope → patterns of actions, as `{"orders/read": ("Describe*", "lambda:Get*")}`; one without a service
            is of Step Functions. Without any, a scope says it itself: `states:Describe*`, also behind the name of a
            resource server: `orders/states:*`.
    """

    url: str
    audiences: frozenset[str]
    jwks_url: str | None = None
    scopes: Mapping[str, tuple[str, ...]] | None = None

    def __post_init__(self) -> None:
        """Raises InvalidIssuer."""
        for what, url in (("issuer", self.url), ("JWKS", self.jwks_url)):
            if url is not None and not _is_trustworthy(url):
                raise InvalidIssuer(f"{what}: expected an https:// URL (http:// only of this machine), got {url!r}")
        if not self.audiences:
            raise InvalidIssuer("expected at least one audience: else tokens for other services would hold here")


def _is_trustworthy(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Whom a token stands for.

    Attributes:
        subject: Its `sub`, or else `client_id`.
        actions: Patterns of the actions that it may ask for, with their services: `states:Describe*`.
    """

    subject: str
    actions: tuple[str, ...]

    def may(self, action: str) -> bool:
        """Whether a scope allows the action, `states:StartExecution` for one."""
        return any(fnmatchcase(action, pattern) for pattern in self.actions)


class Bearers:
    """Checks tokens of one issuer."""

    def __init__(
        self,
        issuer: Issuer,
        *,
        fetch: Callable[[str], Any] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`fetch` gets the JSON document at a URL, in a thread."""
        self._issuer = issuer
        self._fetch = fetch or fetch_json
        self._monotonic = monotonic
        self._keys = KeySet([])
        self._fetched_at = -float("inf")
        self._away_since = -float("inf")
        self._fetching = anyio.Lock()

    async def holder(self, token: str) -> Holder:
        """Whom the token stands for.

        Raises:
            Fault: It does not hold; or the issuer cannot be asked for its keys.
        """
        claims = await self._claims(token)
        self._check(claims)
        subject = claims.get("sub") or claims.get("client_id") or "unknown"
        return Holder(subject=str(subject), actions=self._actions(claims))

    async def _claims(self, token: str) -> Mapping[str, Any]:
        if self._monotonic() - self._fetched_at > _KEPT_SECONDS:
            await self._refresh(_KEPT_SECONDS)
        try:
            return self._decoded(token)
        except JoseError:
            if self._monotonic() - self._fetched_at < _AGAIN_SECONDS:
                raise faults.bad_bearer("The bearer token is not signed by the issuer.") from None
        await self._refresh(_AGAIN_SECONDS)  # the issuer may have changed its keys
        try:
            return self._decoded(token)
        except JoseError:
            raise faults.bad_bearer("The bearer token is not signed by the issuer.") from None

    def _decoded(self, token: str) -> Mapping[str, Any]:
        """Raises JoseError."""
        try:
            claims = jwt.decode(token, self._keys, algorithms=_ALGORITHMS).claims
        except (ValueError, TypeError, KeyError, AttributeError):  # of tokens that are none in unforeseen ways
            raise faults.bad_bearer("The bearer token is not a JWT.") from None
        if not isinstance(claims, dict):
            raise faults.bad_bearer("The bearer token is not a JWT.")
        return claims

    def _check(self, claims: Mapping[str, Any]) -> None:
        """Raises Fault."""
        if claims.get("iss") != self._issuer.url:
            raise faults.bad_bearer("The bearer token is of another issuer.")
        now = time.time()
        expires, begins = claims.get("exp"), claims.get("nbf", 0)
        if not _is_number(expires) or not _is_number(begins):
            raise faults.bad_bearer("The bearer token does not say until when it holds.")
        if now >= expires + _LEEWAY_SECONDS:
            raise faults.bad_bearer("The bearer token is expired.", is_expired=True)
        if now < begins - _LEEWAY_SECONDS:
            raise faults.bad_bearer("The bearer token does not hold yet.")
        if not self._issuer.audiences & _audiences(claims):
            raise faults.bad_bearer("The bearer token is for another audience.")

    def _actions(self, claims: Mapping[str, Any]) -> tuple[str, ...]:
        scopes = _scopes(claims)
        if self._issuer.scopes is not None:
            patterns = (one for scope in scopes for one in self._issuer.scopes.get(scope, ()))
            return tuple(one if ":" in one else f"{_DEFAULT_SERVICE}:{one}" for one in patterns)
        names = (scope.rpartition("/")[2] for scope in scopes)
        return tuple(name for name in names if _ACTION.fullmatch(name))

    async def _refresh(self, older_than: float) -> None:
        """Asks the issuer for its keys, unless somebody else just did.

        Raises:
            Fault: It does not answer, and there are no keys yet.
        """
        async with self._fetching:
            if self._monotonic() - self._fetched_at <= older_than:
                return
            if not self._keys.keys and self._monotonic() - self._away_since < _AWAY_SECONDS:
                raise _no_keys()
            try:
                self._keys = await to_thread.run_sync(self._fetched)
            except (OSError, HTTPException, ValueError):
                if not self._keys.keys:
                    self._away_since = self._monotonic()
                    raise _no_keys() from None
            self._fetched_at = self._monotonic()

    def _fetched(self) -> KeySet:
        """Raises OSError, HTTPException, ValueError."""
        url = self._issuer.jwks_url
        if url is None:
            document = self._fetch(f"{self._issuer.url.rstrip('/')}/.well-known/openid-configuration")
            url = document.get("jwks_uri") if isinstance(document, dict) else None
            if not isinstance(url, str) or not _is_trustworthy(url):
                raise ValueError("the discovery document has no jwks_uri that can be trusted")
        keys = self._fetch(url)
        if not isinstance(keys, dict) or not isinstance(keys.get("keys"), list):
            raise ValueError("expected a JSON Web Key Set")
        public = [one for one in keys["keys"] if isinstance(one, dict) and one.get("kty") in ("RSA", "EC", "OKP")]
        return KeySet([key for one in public for key in _imported(one)])


def _imported(key: dict[str, Any]) -> list[Any]:
    """The key; none, if it is of a kind that we do not know: it must not take the others along (RFC 7517, 5)."""
    try:
        return list(KeySet.import_key_set({"keys": [key]}).keys)
    except (JoseError, ValueError, TypeError, KeyError):
        return []


def _no_keys() -> Fault:
    return faults.unavailable("the issuer of bearer tokens cannot be asked for its keys")


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _audiences(claims: Mapping[str, Any]) -> set[str]:
    named = claims.get("aud", claims.get("client_id"))
    return {one for one in (named if isinstance(named, list) else [named]) if isinstance(one, str)}


def _scopes(claims: Mapping[str, Any]) -> list[str]:
    """Of `scope`, words in one text, or of `scp`, which some issuers have as a list."""
    scopes = claims.get("scope", claims.get("scp", ""))
    if isinstance(scopes, str):
        return scopes.split()
    return [one for one in scopes if isinstance(one, str)] if isinstance(scopes, list) else []


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Keys come from where the operator said, and from nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        """No."""


def fetch_json(url: str) -> Any:
    """The document at a URL. Raises OSError, HTTPException, ValueError."""
    opener = urllib.request.build_opener(_NoRedirect)
    with opener.open(url, timeout=_FETCH_SECONDS) as response:
        return json.loads(response.read(_DOCUMENT_BYTES_MAX))
