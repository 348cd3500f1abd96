"""Tokens of OAuth's client credentials (RFC 6749, 4.4): asked for once, kept until they expire or are refused.

The token's request is a form by POST or PUT, `grant_type=client_credentials` with the client's id and secret, or the
same as query parameters by GET. What the connection has for it goes before that; with an `Authorization` header of its
own, the secret stays out of the body, and with a JSON content type the body is JSON. How EventBridge asks is not
documented; what it keeps and renews is: a token is renewed before it expires, and after a 401 or 407.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import anyio

from engine.integrations.aws_credentials import Flights
from engine.integrations.aws_endpoints import host_of
from engine.integrations.http_answers import SUCCESS
from engine.integrations.url_encoding import joined, quoted
from engine.jsonvalue import InvalidJson, decode, encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.integrations.aws import AwsClients
    from engine.integrations.connections import TokenMethod

_TOKENS_MAX = 1_000
"""Connections may be many, and their secrets change."""

_WITHOUT_EXPIRY_SECONDS = 3_600.0
"""Of a token that does not say how long it lives: then it is asked for anew, unless it was refused before."""

_EARLY_SECONDS = 30.0
_ERROR_LENGTH_MAX = 60

Pairs = tuple[tuple[str, str], ...]


class NoToken(Exception):
    """The token's server gave none. The text says what it answered, and no secret."""


class TokenRequest(NamedTuple):
    """What a token is asked for with; the same request is the same token. Not to be shown."""

    token_url: str
    method: TokenMethod
    client_id: str
    client_secret: str
    headers: Pairs
    query: Pairs
    body: Pairs
    ca_file: str | None

    def __repr__(self) -> str:
        return f"TokenRequest({self.token_url!r}, ...)"


class _Kept(NamedTuple):
    """A token, and until when."""

    token: str
    until: float

    def __repr__(self) -> str:
        return "_Kept(...)"


class Tokens:
    """The tokens of one engine. To be used in one event loop."""

    def __init__(self) -> None:
        self._kept: dict[TokenRequest, _Kept] = {}
        self._flights = Flights()

    async def token(self, asked: TokenRequest, clients: AwsClients, *, refused: str | None = None) -> str:
        """A token; many who want the same one at once get what comes of one request, be it a refusal.

        Args:
            asked: What it is asked for with.
            clients: Send the request.
            refused: A token that an API did not take: it is not given again.

        Raises:
            NoToken: The server refuses, or answers with something else.
            NoAnswer: It cannot be reached.
        """
        kept = self._kept.get(asked)
        if kept is not None and kept.token != refused and anyio.current_time() < kept.until:
            return kept.token

        async def work() -> _Kept | NoToken:
            try:
                token, lives_seconds = await _fetched(asked, clients)
            except NoToken as error:
                return error
            found = self._kept[asked] = _Kept(token, anyio.current_time() + lives_seconds)
            while len(self._kept) > _TOKENS_MAX:
                del self._kept[next(iter(self._kept))]
            return found

        found = await self._flights.once(asked, work)
        if isinstance(found, NoToken):
            raise NoToken(str(found))
        return found.token


async def _fetched(asked: TokenRequest, clients: AwsClients) -> tuple[str, float]:
    """A new token, and for how many seconds it is good."""
    url, headers, body = _request(asked)
    route = await clients.public_route(url, asked.ca_file)
    answer = await clients.send(asked.method, url, headers, body, route)
    try:
        value = decode(answer.body)
    except InvalidJson:
        value = None
    members = value if isinstance(value, dict) else {}
    token = members.get("access_token")
    where = host_of(asked.token_url)
    if answer.status not in SUCCESS:
        error = members.get("error")
        # What else a server says may repeat what it was sent.
        is_code = isinstance(error, str) and len(error) <= _ERROR_LENGTH_MAX and error.replace("_", "").isalpha()
        raise NoToken(f"{where} answered {answer.status}{f' ({error})' if is_code else ''}")
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
        raise NoToken(f"{where} answered {answer.status}, but with no access_token")
    return token, _lives(members.get("expires_in"))


def _lives(expires_in: object) -> float:
    try:
        seconds = float(expires_in) if isinstance(expires_in, int | float | str) else _WITHOUT_EXPIRY_SECONDS
    except ValueError:
        seconds = _WITHOUT_EXPIRY_SECONDS
    return max(seconds - _EARLY_SECONDS, seconds / 2)


def _request(asked: TokenRequest) -> tuple[str, list[tuple[str, str]], bytes]:
    headers = {name.lower(): (name, value) for name, value in asked.headers}
    given = {"grant_type": "client_credentials"}
    if "authorization" not in headers:
        given |= {"client_id": asked.client_id, "client_secret": asked.client_secret}
    is_get = asked.method == "GET"
    query = {**(given if is_get else {}), **dict(asked.query)}
    body = b"" if is_get else _body({**given, **dict(asked.body)}, headers)
    url = asked.token_url
    if query:
        url += ("&" if "?" in url else "?") + _form(query)
    always = [("Host", host_of(url)), ("Accept", "application/json"), ("Content-Length", str(len(body)))]
    if not is_get:
        always.append(("Content-Type", "application/x-www-form-urlencoded"))
    sent = [*headers.values(), *((name, value) for name, value in always if name.lower() not in headers)]
    return url, sent, body


def _body(members: Mapping[str, str], headers: Mapping[str, tuple[str, str]]) -> bytes:
    _, kind = headers.get("content-type", ("", ""))
    return encode(dict(members)) if "json" in kind else _form(members).encode()


def _form(members: Mapping[str, str]) -> str:
    return joined((quoted(name), quoted(value)) for name, value in members.items())
