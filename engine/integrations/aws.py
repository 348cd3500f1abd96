"""Calls to AWS: botocore says with which credentials and where, and signs; the event loop sends.

A call takes a connection and no thread, so thousands may wait for their answers at once, for 15 minutes each, and none
keeps another one waiting. Each is sent once: retrying is for `Retry` to say. Only what botocore must look up (profiles,
roles, the instance's metadata) is done in threads, for a moment, and kept.

httpcore's single connections are used, with a list of those that are idle, because its pool, as httpx's, takes time
with the square of the requests in flight; and not aiohttp, because a TLS connection of asyncio's own holds a buffer of
256 KiB (docs/decisions/0018).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import anyio

from engine.integrations.aws_credentials import Credentials, Flights, NoAnswer
from engine.integrations.aws_endpoints import Route, address_at, configured_endpoint, host_of, identity_of, region_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from httpcore import AsyncHTTPConnection, AsyncHTTPProxy, Request, Response

    from engine.integrations.aws_calls import ServiceCalls, ServiceClient
    from engine.integrations.aws_endpoints import ApiAddress
    from engine.integrations.threads import Threads

T = TypeVar("T")

CONNECT_SECONDS = 10.0
"""For a connection, with TLS. AWS answers within one; an address that swallows packets would take minutes."""

RESPONSE_BYTES_MAX = 16 << 20
"""More than twice what a Lambda function may return. More: an endpoint that never stops sending takes all memory."""

_IDLE_SECONDS = 20.0
_IDLE_MAX = 100
"""Of connections that wait for another call. A burst may have made a thousand; each costs 25 to 75 KB."""

_CLIENTS_MAX = 100
"""Regions may come from data; one costs 0.3 to 1.5 MB, as measured."""

_MODELS_MAX = 50
"""Services whose models are kept for the next client: 3 to 20 MB each, as measured."""

_LOOKUPS_AT_ONCE = 4
_ALIVE_IDLE_SECONDS, _ALIVE_PROBE_SECONDS, _ALIVE_PROBES = 60, 30, 4
"""A connection that waits 15 minutes is one that NAT gateways forget after 350 seconds of silence."""

ACCOUNT_OPTIONS = ("region", "profile", "endpoint", "role")
"""What `lambda:` and `aws:` may say of how AWS is reached."""


class AnswerTooLong(NoAnswer):
    """The answer has more than RESPONSE_BYTES_MAX bytes."""


class Account(NamedTuple):
    """Whose AWS calls go to, and where; what is None is as AWS's own configuration has it.

    Attributes:
        service: botocore's name of it.
        region: Of the service.
        profile: Of the configuration files.
        endpoint_url: Instead of AWS's.
        role_arns: Roles that are assumed, each with the credentials of the one before.
        is_local: An emulator on this machine: it takes any credentials, so there need be none.
    """

    service: str
    region: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    role_arns: tuple[str, ...] = ()
    is_local: bool = False


def read_account(service: str, options: str, known: Sequence[str] = ACCOUNT_OPTIONS) -> Account:
    """Reads `region=R&profile=P&endpoint=URL&role=ARN`, of which each may be left out. Raises ValueError."""
    given: dict[str, str] = {}
    for option, value in parse_qsl(options, keep_blank_values=True):
        if option not in known or not value or option in given:
            raise ValueError(f"expected {'=..., '.join(known)}=..., each once at most, got {options!r}")
        given[option] = value
    if options and not given:
        raise ValueError(f"expected options such as region=us-east-1, got {options!r}")
    endpoint_url = given.get("endpoint")
    if endpoint_url is not None and not endpoint_url.startswith(("http://", "https://")):
        raise ValueError(f"endpoint: expected a URL such as http://127.0.0.1:3001, got {endpoint_url!r}")
    return Account(
        service,
        region=given.get("region"),
        profile=given.get("profile"),
        endpoint_url=endpoint_url,
        role_arns=(given["role"],) if "role" in given else (),
    )


class HttpAnswer(NamedTuple):
    """What came back: status, headers as they were spelled, body, and the status in words."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    reason: str = ""


class AwsClients:
    """The clients of one engine, each made when it is first needed. To be used and closed in one event loop."""

    def __init__(self, threads: Threads) -> None:
        self.credentials = Credentials(threads)
        self._threads = threads
        self._lookups = anyio.CapacityLimiter(_LOOKUPS_AT_ONCE)
        self._flights = Flights()
        self._clients: dict[tuple[Account, str], ApiAddress] = {}
        self._services: dict[tuple[Account, str], ServiceClient] = {}
        self._loader: Any = None
        self._models: set[str] = set()
        self._tls: dict[str, ssl.SSLContext] = {}
        self._private: dict[str, ssl.SSLContext] = {}
        self._idle: dict[tuple[object, ...], list[AsyncHTTPConnection]] = {}
        self._proxies: dict[Route, AsyncHTTPProxy] = {}
        self._closed_old_at = 0.0

    async def client(self, account: Account, default_region: str) -> AwsClient:
        """The client for an account; in `default_region`, where neither it nor AWS's configuration names one.

        Raises:
            NoAnswer: There is no such profile.
        """
        address = await self._made(self._clients, _address_of, account, default_region)
        return AwsClient(self, account, address)

    async def calls(self, account: Account, default_region: str) -> ServiceCalls:
        """The actions of an account's service; region and errors as of `client`."""
        from engine.integrations.aws_calls import ServiceCalls, made

        service = await self._made(self._services, made, account, default_region)
        return ServiceCalls(self, service, identity_of(account, service.address))

    async def _made(
        self,
        known: dict[tuple[Account, str], T],
        make: Callable[[AwsClients, Account, str], T],
        account: Account,
        default_region: str,
    ) -> T:
        """What there is for an account, whatever its roles, made in a thread when it is first asked for."""
        key = (account._replace(role_arns=()), default_region)
        found = known.get(key)
        if found is None:

            async def work() -> T:
                async with self._lookups:
                    return await self._threads.run(make, self, *key)

            found = known[key] = await self._flights.once((make, key), work)
            while len(known) > _CLIENTS_MAX:
                del known[next(iter(known))]
        return found

    def session(self, account: Account) -> Any:
        """A session of botocore's that shares the models that were read; in a thread.

        Raises:
            ProfileNotFound: Of botocore's.
        """
        from botocore.session import Session

        session = Session(profile=account.profile)
        if self._loader is None or len(self._models) >= _MODELS_MAX:
            self._loader = session.get_component("data_loader")
            self._models = set()
        self._models.add(account.service)
        session.register_component("data_loader", self._loader)
        return session

    async def aside(self, function: Callable[..., T], *args: Any) -> T:
        """Calls the function in a thread."""
        return await self._threads.run(function, *args)

    async def token(self, source: Any) -> Any:
        """A bearer token of botocore's as it is now; renewed in a thread. Raises NoAnswer."""
        from botocore.exceptions import BotoCoreError, ClientError

        if not hasattr(source, "get_frozen_token"):
            return source
        try:
            async with self._lookups:
                return await self._threads.run(source.get_frozen_token)
        except (BotoCoreError, ClientError, OSError, ValueError) as error:
            raise NoAnswer(str(error)) from error

    def trusting(self, authorities: str) -> ssl.SSLContext:
        """Trusts the authorities in this file, which is read once."""
        found = self._tls.get(authorities)
        if found is None:
            found = self._tls[authorities] = ssl.create_default_context(cafile=authorities)
        return found

    def route(self, session: Any, endpoint_url: str) -> Route:
        """As AWS's other tools: AWS_CA_BUNDLE, else botocore's authorities; HTTPS_PROXY and NO_PROXY."""
        from botocore.httpsession import DEFAULT_CA_BUNDLE

        authorities = session.get_config_variable("ca_bundle") or DEFAULT_CA_BUNDLE
        tls = self.trusting(authorities) if endpoint_url.startswith("https:") else None
        return Route(tls, _proxy_of(endpoint_url))

    def route_to(self, endpoint_url: str, authority: str | None) -> Route:
        """The way to an endpoint that no public authority vouches for.

        Args:
            endpoint_url: Where it is.
            authority: The certificates to be trusted, as PEM; None: it is reached without TLS.

        Raises:
            ssl.SSLError: They are none.
        """
        if authority is None:
            return Route(None, _proxy_of(endpoint_url))
        found = self._private.get(authority)
        if found is None:
            found = self._private[authority] = ssl.create_default_context(cadata=authority)
            while len(self._private) > _CLIENTS_MAX:
                del self._private[next(iter(self._private))]
        return Route(found, _proxy_of(endpoint_url))

    async def public_route(self, url: str, ca_file: str | None = None) -> Route:
        """To servers that are not AWS's: the system's authorities; HTTPS_PROXY, HTTP_PROXY and NO_PROXY.

        Args:
            url: Of the server.
            ca_file: Authorities that are trusted besides the system's (which SSL_CERT_FILE and SSL_CERT_DIR replace).

        Raises:
            NoAnswer: The file cannot be used.
        """
        if not url.startswith("https:"):
            return Route(None, _proxy_of(url))
        key = f"system {ca_file}"
        if key not in self._tls:

            async def work() -> ssl.SSLContext:
                try:
                    return await self._threads.run(_trusting_the_system_and, ca_file)
                except OSError as error:  # ssl's own errors are some
                    raise NoAnswer(f"{ca_file}: {error}") from error

            self._tls[key] = await self._flights.once(key, work)
        return Route(self._tls[key], _proxy_of(url))

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | Sequence[tuple[str, str]],
        body: bytes,
        route: Route,
    ) -> HttpAnswer:
        """Sends one request, once. Cancelled, it closes the connection.

        Raises:
            NoAnswer: No answer came, or one that is none of HTTP's.
        """
        import httpcore

        try:
            request = httpcore.Request(
                method,
                url,
                headers=list(headers.items() if isinstance(headers, Mapping) else headers),
                content=body,
                extensions={"timeout": {"connect": CONNECT_SECONDS}},
            )
        except TypeError as error:  # a header that is not ASCII
            raise NoAnswer(f"Unable to execute HTTP request: {error}") from error
        try:
            if route.proxy_url is not None:
                return await _answer_of(await self._proxy(route, route.proxy_url).handle_async_request(request))
            return await self._send_directly(request, route)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpcore.ProxyError) as error:
            raise NoAnswer(f"Unable to execute HTTP request: {_told(error, url)}") from error

    async def _send_directly(self, request: Request, route: Route) -> HttpAnswer:
        import httpcore

        origin = request.url.origin
        key = (origin.scheme, origin.host, origin.port, route)
        connection = await _still_open(self._idle.get(key, [])) or httpcore.AsyncHTTPConnection(
            origin, ssl_context=route.tls, keepalive_expiry=_IDLE_SECONDS, socket_options=_socket_options()
        )
        is_done = False
        try:
            answer = await _answer_of(await connection.handle_async_request(request))
            is_done = connection.is_idle() and len(self._idle.get(key, ())) < _IDLE_MAX
        finally:
            if is_done:
                self._idle.setdefault(key, []).append(connection)
                await self._close_old()
            else:
                with anyio.CancelScope(shield=True):
                    await connection.aclose()
        return answer

    async def _close_old(self) -> None:
        """Closes what waits in vain, now and then: hosts may come from data, and nobody calls most of them again."""
        now = anyio.current_time()
        if now < self._closed_old_at + _IDLE_SECONDS:
            return
        self._closed_old_at = now
        for key, idle in list(self._idle.items()):
            while idle and idle[0].has_expired():
                await idle.pop(0).aclose()
            if not idle and self._idle.get(key) is idle:
                del self._idle[key]

    def _proxy(self, route: Route, proxy_url: str) -> AsyncHTTPProxy:
        """The connections through a proxy; httpcore's pool, for what a tunnel is has no public class."""
        import httpcore

        found = self._proxies.get(route)
        if found is None:
            parts = urlsplit(proxy_url)
            known = None if parts.username is None else (unquote(parts.username), unquote(parts.password or ""))
            found = self._proxies[route] = httpcore.AsyncHTTPProxy(
                parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),
                proxy_auth=known,
                ssl_context=route.tls,
                max_connections=None,
                max_keepalive_connections=_IDLE_MAX,
                keepalive_expiry=_IDLE_SECONDS,
                socket_options=_socket_options(),
            )
        return found

    async def close(self) -> None:
        """Closes the connections that wait for a call."""
        for idle in self._idle.values():
            while idle:
                await idle.pop().aclose()
        for proxy in self._proxies.values():
            await proxy.aclose()


class AwsClient:
    """Signs and sends calls to one service of one account."""

    def __init__(self, clients: AwsClients, account: Account, address: ApiAddress) -> None:
        self._clients = clients
        self._service = account.service
        self._identity = identity_of(account, address)
        self._address = address

    async def send(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """Sends one request, once; `path` is percent-encoded and may have a query.

        Raises:
            NoAnswer: It could not be signed, or no answer came.
        """
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        url = self._address.endpoint_url + path
        request = AWSRequest(method, url, headers=dict(headers), data=body)
        credentials = await self._clients.credentials.of(self._identity)
        SigV4Auth(credentials, self._service, self._address.region).add_auth(request)
        signed = {**request.headers, "Host": host_of(url), "Content-Length": str(len(body))}
        return await self._clients.send(method, url, signed, body, self._address.route)


def _address_of(clients: AwsClients, account: Account, default_region: str) -> ApiAddress:
    """Looks up where a service is; in a thread, for it reads files. Raises NoAnswer."""
    from botocore.exceptions import BotoCoreError

    try:
        session = clients.session(account)
        region = region_of(session, account, default_region)
        endpoint_url = account.endpoint_url or configured_endpoint(session, account.service, region)
        return address_at(session, account, region, endpoint_url, clients.route(session, endpoint_url))
    except (BotoCoreError, OSError, ValueError) as error:
        raise NoAnswer(str(error)) from error


async def _still_open(idle: list[AsyncHTTPConnection]) -> AsyncHTTPConnection | None:
    """Takes the connection that was used last, if the other side has not closed it; closes those that are too old."""
    while idle and idle[0].has_expired():
        await idle.pop(0).aclose()
    while idle:
        connection = idle.pop()
        if not connection.has_expired() and connection.is_idle():
            return connection
        await connection.aclose()
    return None


async def _answer_of(response: Response) -> HttpAnswer:
    """The whole answer. Raises NoAnswer: it is too long."""
    body = bytearray()
    try:
        async for chunk in response.aiter_stream():
            body += chunk
            if len(body) > RESPONSE_BYTES_MAX:
                raise AnswerTooLong(f"the response has more than {RESPONSE_BYTES_MAX} bytes")
    finally:
        with anyio.CancelScope(shield=True):
            await response.aclose()
    spelled = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in response.headers]
    reason = response.extensions.get("reason_phrase", b"").decode("latin-1")
    return HttpAnswer(response.status, spelled, bytes(body), reason)


def _proxy_of(url: str) -> str | None:
    """The proxy that the environment names for a URL."""
    parts = urlsplit(url)
    with suppress(OSError):  # a name that cannot be looked up is in no list
        if proxy_bypass(parts.netloc):
            return None
    proxy_url = getproxies().get(parts.scheme)
    return f"http://{proxy_url}" if proxy_url is not None and "://" not in proxy_url else proxy_url


def _trusting_the_system_and(ca_file: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def _told(error: Exception, url: str) -> str:
    text = str(error) or type(error).__name__
    return f"Connect to {host_of(url)} failed: {text}" if "Connect" in type(error).__name__ else text


def _socket_options() -> list[tuple[int, int, int]]:
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (
        ("TCP_KEEPIDLE", _ALIVE_IDLE_SECONDS),
        ("TCP_KEEPINTVL", _ALIVE_PROBE_SECONDS),
        ("TCP_KEEPCNT", _ALIVE_PROBES),
    ):
        if hasattr(socket, name):  # macOS has not all of them
            options.append((socket.IPPROTO_TCP, getattr(socket, name), value))
    return options
