"""Finds the connection that an HTTP Task names: configured here, else EventBridge's; and makes its additions ready.

EventBridge's are asked for with DescribeConnection, and their secrets with GetSecretValue, in the account and region
that the Task calls AWS in. What they answered is kept for a minute.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, cast, get_args

import anyio

from engine.arns import parse_arn
from engine.errors import StatesError
from engine.integrations.aws_credentials import Flights, NoAnswer
from engine.integrations.aws_sdk import account_for, told
from engine.integrations.connections import (
    ApiKey,
    Basic,
    Connection,
    Extras,
    NoSecret,
    OAuthClient,
    Secret,
    TokenMethod,
    is_permitted,
    names_of,
)
from engine.integrations.http_task import Added
from engine.integrations.oauth import NoToken, TokenRequest, Tokens
from engine.jsonvalue import InvalidJson, decode

if TYPE_CHECKING:
    from engine.integrations.aws import Account, AwsClients
    from engine.integrations.request import TaskRequest
    from engine.integrations.threads import Threads

_KEPT_SECONDS = 60.0
_KEPT_MAX = 1_000
"""Connections may come from data."""

_PREFIX = "Events.ConnectionResource"
_STATES = {"CREATING": "AuthInProgress", "UPDATING": "AuthInProgress", "AUTHORIZING": "AuthInProgress"} | {
    "FAILED_CONNECTIVITY": "InvalidPrivateConnectionState"
}
_GOOD_STATES = ("AUTHORIZED", "ACTIVE")
_REFUSALS = {
    "ResourceNotFoundException": "ResourceNotFound",
    "ConcurrentModificationException": "ConcurrentModification",
    "AccessDeniedException": "AccessDenied",
}


class Opened(NamedTuple):
    """A connection with its secrets read. Not to be shown.

    Attributes:
        added: What it adds to requests, but for a token.
        token_request: What its token is asked for with, if it needs one.
        token: As it was given last.
    """

    name: str
    added: Added
    token_request: TokenRequest | None = None
    token: str | None = None

    def __repr__(self) -> str:
        return f"Opened({self.name!r}, ...)"


class _Kept(NamedTuple):
    """A connection of EventBridge, and until when."""

    connection: Connection
    until: float


class Connections:
    """The connections of one engine. To be used in one event loop."""

    def __init__(self, configured: Mapping[str, Connection], threads: Threads) -> None:
        """`configured`: by name or ARN."""
        self._configured = configured
        self._threads = threads
        self._tokens = Tokens()
        self._kept: dict[tuple[Account, str], _Kept] = {}
        self._flights = Flights()

    async def find(self, request: TaskRequest, arn: str, account: Account, clients: AwsClients) -> Connection:
        """The connection that a Task names.

        Args:
            request: The Task.
            arn: Of the connection; one that is configured here may be called by its name alone.
            account: How AWS is reached.
            clients: For calls to AWS.

        Raises:
            StatesError: `Events.ConnectionResource...`: there is none, or it cannot be used.
        """
        for name in names_of(arn):
            if name in self._configured:
                return self._configured[name]
        parsed = parse_arn(arn)
        if account.region is None and parsed is not None and parsed.region:
            account = account._replace(region=parsed.region)
        account = account_for(request, account, "events")
        key = (account, arn)
        kept = self._kept.get(key)
        if kept is not None and anyio.current_time() < kept.until:
            return kept.connection

        async def work() -> Connection | StatesError:
            try:
                connection = await _of_eventbridge(arn, account, request.region, clients)
            except StatesError as error:
                return error
            self._kept[key] = _Kept(connection, anyio.current_time() + _KEPT_SECONDS)
            while len(self._kept) > _KEPT_MAX:
                del self._kept[next(iter(self._kept))]
            return connection

        found = await self._flights.once(key, work)
        if isinstance(found, StatesError):
            raise StatesError(found.error, found.cause)
        return found

    async def opened(self, connection: Connection, clients: AwsClients) -> Opened:
        """Reads a connection's secrets, and gets its token where it needs one. Raises StatesError: it cannot."""
        try:
            if any(secret.is_in_file for secret in connection.secrets()):
                opened = await self._threads.run(_opened, connection)
            else:
                opened = _opened(connection)
        except NoSecret as error:
            raise _failure("InvalidConnectionState", f"connection {connection.name!r}: {error}") from None
        return opened if opened.token_request is None else await self.renewed(opened, clients)

    async def renewed(self, opened: Opened, clients: AwsClients) -> Opened:
        """The same with another token than it has. Raises StatesError: its server gives none."""
        assert opened.token_request is not None, "it has tokens"
        try:
            token = await self._tokens.token(opened.token_request, clients, refused=opened.token)
        except NoToken as error:
            cause = f"connection {opened.name!r} was refused a token: {error}"
            raise _failure("InvalidConnectionState", cause) from None
        except NoAnswer as error:
            raise _failure("InternalError", f"connection {opened.name!r} got no token: {error}") from None
        headers = {**opened.added.headers, "Authorization": f"Bearer {token}"}
        return opened._replace(added=opened.added._replace(headers=headers), token=token)


def _opened(connection: Connection) -> Opened:
    """Raises NoSecret."""
    extras = _read(connection.extras)
    authorization, token_request = connection.authorization, None
    match authorization:
        case Basic():
            known = f"{authorization.username.read()}:{authorization.password.read()}".encode()
            extras.headers["Authorization"] = f"Basic {base64.b64encode(known).decode()}"
        case ApiKey():
            extras.headers[authorization.name.read()] = authorization.value.read()
        case OAuthClient():
            own = _read(authorization.extras)
            token_request = TokenRequest(
                authorization.token_url,
                authorization.method,
                authorization.client_id.read(),
                authorization.client_secret.read(),
                tuple(own.headers.items()),
                tuple(own.query.items()),
                tuple(own.body.items()),
                connection.ca_file,
            )
    return Opened(connection.name, Added(extras.headers, extras.query, extras.body), token_request)


class _Read(NamedTuple):
    headers: dict[str, str]
    query: dict[str, str]
    body: dict[str, str]


def _read(extras: Extras) -> _Read:
    return _Read(*({name: secret.read() for name, secret in part.items()} for part in _parts(extras)))


def _parts(extras: Extras) -> tuple[Mapping[str, Secret], ...]:
    return extras.headers, extras.query, extras.body


def _failure(kind: str, cause: str) -> StatesError:
    return StatesError(f"{_PREFIX}.{kind}", cause)


# ── EventBridge's ───────────────────────────────────────────────────────────────────────────────────────────────────


async def _of_eventbridge(arn: str, account: Account, region: str, clients: AwsClients) -> Connection:
    """Raises StatesError."""
    *_, name = names_of(arn)
    here = f"connection {name!r} is not configured here (a table [connections.{name}] in asl.toml)"
    try:
        described = await _asked(clients, account, region, "DescribeConnection", {"Name": name}, here)
        _check(arn, name, described)
        secret = await _asked(
            clients,
            account._replace(service="secretsmanager"),
            region,
            "GetSecretValue",
            {"SecretId": described.get("SecretArn", "")},
            f"the secret of connection {name!r}",
        )
    except NoAnswer as error:
        raise _failure("InternalError", f"{here}, and AWS cannot be asked for it: {error}") from None
    try:
        held = decode(secret.get("SecretString", ""))
    except InvalidJson:
        held = None
    if not isinstance(held, dict):
        raise _failure("InvalidConnectionState", f"the secret of connection {name!r} is no JSON object")
    return _connection(name, described, held)


async def _asked(
    clients: AwsClients, account: Account, region: str, action: str, members: dict[str, Any], what: str
) -> dict[str, Any]:
    calls = await clients.calls(account, region)
    answered = await calls.call(action, members)
    if answered.is_refused:
        code, message, _ = told(answered)
        kind = _REFUSALS.get(code, "InternalError")
        raise _failure(kind, f"{what}, and {action} of {account.service} answers {code}: {message}")
    return answered.parsed


def _check(arn: str, name: str, described: Mapping[str, Any]) -> None:
    """Raises StatesError: it is another connection of the same name, or cannot be used now."""
    _, _, wanted = arn.partition(f":connection/{name}/")
    _, _, found = str(described.get("ConnectionArn", "")).partition(f":connection/{name}/")
    if wanted and found and wanted != found:
        raise _failure("ResourceNotFound", f"the connection {arn} is gone; EventBridge has another {name!r}")
    state = described.get("ConnectionState")
    if state not in _GOOD_STATES:
        kind = _STATES.get(str(state), "InvalidConnectionState")
        raise _failure(kind, f"connection {name!r} of EventBridge is {state}")


def _connection(name: str, described: Mapping[str, Any], held: Mapping[str, Any]) -> Connection:
    """What EventBridge keeps of a connection: members in snake_case, those of emulators in other spellings too."""
    parameters = described.get("AuthParameters") or {}
    extras = _extras(_member(parameters, "InvocationHttpParameters"), _member(held, "invocation_http_parameters"))
    kind = described.get("AuthorizationType")
    authorization: Basic | ApiKey | OAuthClient
    if kind == "BASIC":
        authorization = Basic(username=_held(name, held, "username"), password=_held(name, held, "password"))
    elif kind == "API_KEY":
        authorization = ApiKey(name=_held(name, held, "api_key_name"), value=_held(name, held, "api_key_value"))
    elif kind == "OAUTH_CLIENT_CREDENTIALS":
        authorization = _oauth(name, _member(parameters, "OAuthParameters") or {}, held)
    else:
        raise _failure("InvalidConnectionState", f"connection {name!r} has the unknown authorization type {kind}")
    return Connection(name=name, authorization=authorization, extras=extras)


def _oauth(name: str, parameters: Mapping[str, Any], held: Mapping[str, Any]) -> OAuthClient:
    client = {**(_member(held, "client_parameters") or {}), **held}
    token_url = _member(parameters, "AuthorizationEndpoint") or _member(held, "authorization_endpoint")
    if not isinstance(token_url, str) or not is_permitted(token_url):
        raise _failure("InvalidConnectionState", f"the authorization endpoint of connection {name!r} is none of https")
    method = _member(parameters, "HttpMethod") or _member(held, "http_method") or "POST"
    if method not in get_args(TokenMethod):
        raise _failure("InvalidConnectionState", f"connection {name!r} gets its tokens by {method}")
    return OAuthClient(
        token_url=token_url,
        client_id=_held(name, client, "client_id"),
        client_secret=_held(name, client, "client_secret"),
        method=cast("TokenMethod", method),
        extras=_extras(_member(parameters, "OAuthHttpParameters"), _member(held, "oauth_http_parameters")),
    )


def _held(name: str, held: Mapping[str, Any], member: str) -> Secret:
    value = _member(held, member)
    if not isinstance(value, str):
        raise _failure("InvalidConnectionState", f"the secret of connection {name!r} has no {member}")
    return Secret(value, is_literal=True)


def _extras(*sources: object) -> Extras:
    """Those of later sources go before; what is secret has no value in the description."""
    return Extras(
        headers=_listed(sources, "header_parameters"),
        query=_listed(sources, "query_string_parameters"),
        body=_listed(sources, "body_parameters"),
    )


def _listed(sources: tuple[object, ...], member: str) -> dict[str, Secret]:
    found: dict[str, Secret] = {}
    for source in sources:
        for one in (_member(source, member) or ()) if isinstance(source, Mapping) else ():
            key, value = _member(one, "key"), _member(one, "value")
            if isinstance(key, str) and isinstance(value, str):
                found[key] = Secret(value, is_literal=True)
    return found


def _member(given: object, name: str) -> Any:
    """A member, whether it is spelled `client_id`, `ClientID` or `client_i_d` (an emulator's)."""
    if not isinstance(given, Mapping):
        return None
    wanted = _folded(name)
    return next((value for key, value in given.items() if _folded(key) == wanted), None)


def _folded(name: object) -> str:
    return str(name).replace("_", "").lower()
