"""Connections: how the APIs of HTTP Tasks are authorized, kept apart from definitions and from what is shown.

Those that are configured here stand in tables `[connections.NAME]` beside the rules, or in `Handlers(connections=)`:

    {"type": "basic", "username": "...", "password": "..."}
    {"type": "api-key", "name": "X-Api-Key", "value": "..."}
    {"type": "oauth-client-credentials", "token_url": "https://...", "client_id": "...", "client_secret": "..."}

An OAuth connection may have `method` (POST; GET, PUT), and `token_headers`, `token_query` and `token_body` for the
token's request. All may have `headers`, `query` and `body`, which are added to each request and go before what the Task
has (integrations.md 5.11); `endpoints`, patterns such as `https://api.example.com/*` of the only ApiEndpoints that may
get it; and `ca_file`, authorities that are trusted besides the system's.

Each text but `type`, `token_url`, `method`, `endpoints` and `ca_file` may be `env:VARIABLE` or `file:PATH`; it is read
when it is needed. No `repr` and no error shows what a secret holds.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast, get_args
from urllib.parse import urlsplit

from engine.integrations.aws_endpoints import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Kind: TypeAlias = Literal["basic", "api-key", "oauth-client-credentials"]
TokenMethod: TypeAlias = Literal["POST", "GET", "PUT"]

ConnectionsLike: TypeAlias = "Mapping[str, Mapping[str, object]]"
"""Tables by name, as above."""

_ENV, _FILE = "env:", "file:"

_EXTRAS: Final = ("headers", "query", "body")
_REQUIRED: Final[Mapping[Kind, tuple[str, ...]]] = {
    "basic": ("username", "password"),
    "api-key": ("name", "value"),
    "oauth-client-credentials": ("token_url", "client_id", "client_secret"),
}
_OPTIONAL: Final[Mapping[Kind, tuple[str, ...]]] = {
    "basic": (),
    "api-key": (),
    "oauth-client-credentials": ("method", "token_headers", "token_query", "token_body"),
}


class InvalidConnection(ValueError):
    """A connection that is configured here means nothing. The text names the field, and never what is secret."""


class NoSecret(Exception):
    """A secret cannot be read: its variable is not set, or its file cannot be read. The text says which."""


class Secret:
    """A text that is not shown; as it was given, or where it is read: `env:VARIABLE`, `file:PATH`."""

    __slots__ = ("_source",)

    def __init__(self, source: str, *, is_literal: bool = False) -> None:
        """`is_literal`: the text itself, whatever it begins with."""
        self._source = f"text:{source}" if is_literal or not source.startswith((_ENV, _FILE)) else source

    def __repr__(self) -> str:
        return "Secret(...)" if self._source.startswith("text:") else f"Secret({self._source!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._source == other._source

    def __hash__(self) -> int:
        return hash(self._source)

    @property
    def is_in_file(self) -> bool:
        """Whether `read` reads a file, so that it is called in a thread."""
        return self._source.startswith(_FILE)

    def read(self) -> str:
        """The text; of a file without the line's end. Raises NoSecret."""
        where, _, what = self._source.partition(":")
        if where == "text":
            return what
        if where == "env":
            # The variable is the user's, so `settings` cannot know it.
            found = os.environ.get(what)
            if found is None:
                raise NoSecret(f"the environment variable {what} is not set")
            return found
        try:
            return Path(what).read_text(encoding="utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise NoSecret(f"{what} is not UTF-8 text") from None
        except OSError as error:
            raise NoSecret(f"{what}: {error.strerror}") from None


Secrets: TypeAlias = Mapping[str, Secret]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extras:
    """What a connection adds to requests, by name."""

    headers: Secrets = field(default_factory=dict)
    query: Secrets = field(default_factory=dict)
    body: Secrets = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Basic:
    """Basic authorization."""

    username: Secret
    password: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A header with a key."""

    name: Secret
    value: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthClient:
    """Client credentials of OAuth (RFC 6749, 4.4), and how the token is asked for."""

    token_url: str
    client_id: Secret
    client_secret: Secret
    method: TokenMethod = "POST"
    extras: Extras = field(default_factory=Extras)


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How an API is authorized, and what is added to each request.

    Attributes:
        endpoints: Patterns of the only URLs that may get it; empty: all.
    """

    name: str
    authorization: Basic | ApiKey | OAuthClient
    extras: Extras = field(default_factory=Extras)
    endpoints: tuple[str, ...] = ()
    ca_file: str | None = None

    def permits(self, url: str) -> bool:
        """Whether it may be sent to a URL."""
        return not self.endpoints or any(fnmatchcase(url, pattern) for pattern in self.endpoints)

    def secrets(self) -> Iterator[Secret]:
        """All of them."""
        for holder in (self.authorization, getattr(self.authorization, "extras", None), self.extras):
            for name in getattr(holder, "__slots__", ()):
                value = getattr(holder, name)
                if isinstance(value, Secret):
                    yield value
                elif isinstance(value, Mapping):
                    yield from value.values()


def read_connections(tables: ConnectionsLike) -> dict[str, Connection]:
    """The connections of a configuration, by name or ARN. Raises InvalidConnection."""
    return {name: read_connection(name, table) for name, table in tables.items()}


def read_connection(name: str, table: object) -> Connection:
    """One connection; the tables of this module's head. Raises InvalidConnection."""
    if not isinstance(table, Mapping):
        raise InvalidConnection("expected a table")
    kind = table.get("type")
    if kind not in get_args(Kind):
        raise InvalidConnection(f"type: expected {_listed(get_args(Kind))}, got {kind!r}")
    required, optional = _REQUIRED[cast("Kind", kind)], _OPTIONAL[cast("Kind", kind)]
    known = ("type", *required, *optional, *_EXTRAS, "endpoints", "ca_file")
    for key in table:
        if key not in known:
            raise InvalidConnection(f"expected {', '.join(known)}, got {key!r}")
    for key in required:
        if key not in table:
            raise InvalidConnection(f"expected {_listed(required, 'and')}; {key} is missing")
    ca_file = _text(table, "ca_file") if "ca_file" in table else None
    if ca_file is not None and not os.path.isfile(ca_file):
        raise InvalidConnection(f"ca_file: no such file: {ca_file}")
    endpoints = table.get("endpoints", [])
    if not isinstance(endpoints, list) or not all(isinstance(one, str) for one in endpoints):
        raise InvalidConnection('endpoints: expected a list of patterns such as "https://api.example.com/*"')
    return Connection(
        name=name,
        authorization=_authorization(cast("Kind", kind), table),
        extras=_extras(table),
        endpoints=tuple(endpoints),
        ca_file=ca_file,
    )


def _authorization(kind: Kind, table: Mapping[str, object]) -> Basic | ApiKey | OAuthClient:
    if kind == "basic":
        return Basic(username=_secret(table, "username"), password=_secret(table, "password"))
    if kind == "api-key":
        return ApiKey(name=_secret(table, "name"), value=_secret(table, "value"))
    token_url = _text(table, "token_url")
    if not is_permitted(token_url):
        raise InvalidConnection("token_url: expected a URL of https (of http on this machine alone)")
    method = table.get("method", "POST")
    if method not in get_args(TokenMethod):
        raise InvalidConnection(f"method: expected {_listed(get_args(TokenMethod))}, got {method!r}")
    return OAuthClient(
        token_url=token_url,
        client_id=_secret(table, "client_id"),
        client_secret=_secret(table, "client_secret"),
        method=cast("TokenMethod", method),
        extras=_extras(table, "token_"),
    )


def _extras(table: Mapping[str, object], prefix: str = "") -> Extras:
    return Extras(**{name: _secrets(table.get(f"{prefix}{name}", {}), f"{prefix}{name}") for name in _EXTRAS})


def _secrets(table: object, where: str) -> Secrets:
    if not isinstance(table, Mapping):
        raise InvalidConnection(f"{where}: expected a table")
    return {str(key): _secret(table, key, f"{where}.{key}") for key in table}


def _secret(table: Mapping[str, object], key: str, where: str | None = None) -> Secret:
    return Secret(_text(table, key, where))


def _text(table: Mapping[str, object], key: str, where: str | None = None) -> str:
    value = table[key]
    if not isinstance(value, str):
        raise InvalidConnection(f"{where or key}: expected a text")
    return value


def _listed(words: Iterable[str], last: str = "or") -> str:
    *most, end = words
    return f"{', '.join(most)} {last} {end}"


def is_permitted(url: str, *, allows_http: bool = True) -> bool:
    """Whether secrets may be sent to a URL: by https; by http at most to this machine."""
    try:
        parts = urlsplit(url)
        is_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    is_safe = parts.scheme == "https" or (allows_http and parts.scheme == "http" and is_loopback(url))
    return is_host and parts.username is None and is_safe


def names_of(connection_arn: str) -> Iterator[str]:
    """What a configuration may call the connection that a Task names, most specific first."""
    yield connection_arn
    head, found, rest = connection_arn.partition(":connection/")
    if found:
        name = rest.partition("/")[0]
        yield f"{head}{found}{name}"
        yield name
