"""Actions of AWS's services: botocore makes the request and reads the answer, the event loop sends it (`aws`).

    calls = await workplace.aws.calls(Account("dynamodb"), region)
    answer = await calls.call("GetItem", {"TableName": "t", "Key": {"id": {"S": "1"}}})

So all that botocore knows holds: each service's protocol, where it is, how it is signed, tokens, checksums. One call is
one request: there are no retries beneath ASL's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from engine.integrations.aws_credentials import NoAnswer
from engine.integrations.aws_endpoints import address_at, host_of, override_of, region_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from botocore.model import ServiceModel

    from engine.integrations.aws import Account, AwsClients, HttpAnswer
    from engine.integrations.aws_credentials import Identity
    from engine.integrations.aws_endpoints import ApiAddress

_OK_MAX = 300
_TOLD_CHARACTERS_MAX = 1_000

_READ_AT_ONCE_BYTES = 256 << 10
"""Longer answers are read in a thread, for the event loop would stand still; a Task's result may have as much."""

_CONVENIENCES = frozenset(
    {
        "base64_encode_user_data",
        "copy_source_sse_md5",
        "decode_console_output",
        "handle_copy_source_param",
        "json_decode_policies",
        "json_decode_template_body",
        "sse_md5",
    }
)
"""Handlers of botocore's events."""

_WITH_URLS = ("machinelearning",)
"""Services of which a member is a URL to call, which then must be below the service's own."""

_AWS_ALONE = (".aws", ".aws.amazon.com")
"""Domains that a few services have beside their partition's."""

_SIGV4, _BEARER = "aws.auth#sigv4", "smithy.api#httpBearerAuth"


class CallAnswer(NamedTuple):
    """What an action gave.

    Attributes:
        http: The answer as it came.
        parsed: Its members as botocore reads them; of a refusal `Error`.
        is_refused: Whether it is an error of the service; S3 has some with status 200.
    """

    http: HttpAnswer
    parsed: dict[str, Any]
    is_refused: bool


class _Signed(Exception):
    """Carries a request out of botocore, which would go on and send it."""

    def __init__(self, request: Any) -> None:
        self.request = request


class ServiceClient:
    """One service in one place, for whoever calls it. `client` is botocore's, and signs with what `held` gives it.

    Attributes:
        address: Where it is.
        token: A bearer token of botocore's, if there is one for the service.
    """

    def __init__(self, client: Any, held: _Held, address: ApiAddress, token: Any, domains: tuple[str, ...]) -> None:
        """`domains`: its hosts may be in these, beside the address's."""
        self.address = address
        self.token = token
        self._domains = domains
        self._client = client
        self._held = held
        events = client.meta.events
        events.register_first("choose-signer", self._choose_signer)
        events.register_last("request-created", _take)

    @property
    def model(self) -> ServiceModel:
        """Botocore's model of the service."""
        return self._client.meta.service_model

    @property
    def events(self) -> Any:
        """Botocore's hooks of the client."""
        return self._client.meta.events

    def signed(self, operation: str, members: Mapping[str, Any], credentials: Any, token: Any) -> Any:
        """The request that calls an action, as botocore prepares it.

        Args:
            operation: In the model's spelling.
            members: Its input, in the model's spelling.
            credentials: To sign with; None: there is only a token.
            token: A bearer token; None: there is none.

        Raises:
            NoAnswer: It cannot be made or signed.
        """
        self._held.credentials, self._held.token = credentials, token
        try:
            self._client._make_api_call(operation, dict(members))  # noqa: SLF001  what each of a client's methods is
        except _Signed as signed:
            prepared = signed.request.prepare()
            self._check(prepared.url)
            return prepared, signed.request.context
        except Exception as error:
            raise NoAnswer(_told(error)) from error
        finally:
            self._held.credentials = self._held.token = None
        raise AssertionError("botocore sent a request itself")

    def presigned(self, operation: str, headers: Mapping[str, str], seconds: int, credentials: Any) -> str:
        """See `ServiceCalls.presigned`. Raises NoAnswer: it cannot be signed."""
        meta = self._client.meta
        url = f"{self.address.endpoint_url.rstrip('/')}/?Action={operation}&Version={self.model.api_version}"
        request = {"method": "GET", "url": url, "body": {}, "headers": dict(headers), "context": {}}
        signer = self._client._request_signer  # noqa: SLF001  as `aws eks get-token` does
        self._held.credentials = credentials
        try:
            found: str = signer.generate_presigned_url(
                request, operation, expires_in=seconds, region_name=meta.region_name
            )
        except Exception as error:
            raise NoAnswer(_told(error)) from error
        finally:
            self._held.credentials = None
        return found

    def _choose_signer(self, context: Mapping[str, Any], **_: Any) -> str | None:
        """Whoever calls without a token signs, whatever tokens the environment has for others."""
        options = context.get("auth_options") or ()
        return "v4" if self._held.token is None and _BEARER in options and _SIGV4 in options else None

    def _check(self, url: str) -> None:
        """Refuses a request to anywhere but the service: some members become part of its host.

        Raises:
            NoAnswer: It would go elsewhere.
        """
        host, own = urlsplit(url).netloc, urlsplit(self.address.endpoint_url).netloc
        if host != own and not host.endswith((f".{own}", *self._domains)):
            raise NoAnswer(f"Unable to execute HTTP request: {host} is no host of the service, which is at {own}")


class ServiceCalls:
    """The actions of a service, called as somebody."""

    def __init__(self, clients: AwsClients, service: ServiceClient, identity: Identity) -> None:
        self._clients = clients
        self._service = service
        self._identity = identity

    @property
    def model(self) -> ServiceModel:
        """Botocore's model of the service."""
        return self._service.model

    async def call(self, operation: str, members: dict[str, Any]) -> CallAnswer:
        """Calls an action, once.

        Args:
            operation: In the model's spelling: `PutItem`.
            members: Its input, in the model's spelling.

        Raises:
            NoAnswer: The request could not be made or signed, or no answer came.
        """
        # A role has no token: those of the environment and of profiles are not the role's.
        token = None if self._identity.role_arns else await self._clients.token(self._service.token)
        try:
            credentials = await self._clients.credentials.of(self._identity)
        except NoAnswer:
            if token is None:
                raise
            credentials = None
        prepared, context = self._service.signed(operation, members, credentials, token)
        headers = {_text(name): _text(value) for name, value in prepared.headers.items()}
        headers.setdefault("Host", host_of(prepared.url))
        body = _bytes(prepared.body)
        route = self._service.address.route
        answer = await self._clients.send(prepared.method, prepared.url, headers, body, route)
        if len(answer.body) <= _READ_AT_ONCE_BYTES:
            return self._read(operation, answer, context)
        return await self._clients.aside(self._read, operation, answer, context)

    async def presigned(self, operation: str, headers: dict[str, str], seconds: int) -> str:
        """A URL that makes a call without members, for whoever has it, as long as it holds; of the query protocol.

        Args:
            operation: As of `call`.
            headers: Those that whoever has it must send along: they are signed too.
            seconds: How long it holds.

        Raises:
            NoAnswer: There are no credentials any more.
        """
        credentials = await self._clients.credentials.of(self._identity)
        return self._service.presigned(operation, headers, seconds, credentials)

    def _read(self, operation: str, answer: HttpAnswer, context: dict[str, Any]) -> CallAnswer:
        """Raises NoAnswer: the answer is not one of the service's."""
        try:
            return self._parsed(self.model.operation_model(operation), answer, context)
        except Exception as error:
            raise NoAnswer(f"Unable to unmarshall response: {_told(error)}") from error

    def _parsed(self, model: Any, answer: HttpAnswer, context: dict[str, Any]) -> CallAnswer:
        from botocore.awsrequest import HeadersDict
        from botocore.parsers import create_parser

        name = f"{self.model.service_id.hyphenize()}.{model.name}"
        response: dict[str, Any] = {
            "headers": HeadersDict(answer.headers),
            "status_code": answer.status,
            "body": answer.body,
            "context": {"operation_name": model.name},
        }
        events, customised = self._service.events, dict[str, Any]()
        events.emit(
            f"before-parse.{name}", operation_model=model, response_dict=response, customized_response_dict=customised
        )
        is_refused = response["status_code"] >= _OK_MAX  # which a handler may have changed
        raw = None if is_refused else _raw_member(model.output_shape)
        if raw is not None:
            response["body"] = b""  # which botocore would take for text
            customised[raw] = answer.body
        parsed: dict[str, Any] = create_parser(self.model.resolved_protocol).parse(response, model.output_shape)
        if is_refused:
            _read_modelled_error(self.model, parsed, response)
        parsed.update(customised)
        events.emit(f"after-call.{name}", http_response=_Http(answer), parsed=parsed, model=model, context=context)
        return CallAnswer(answer, parsed, is_refused)


def _raw_member(shape: Any) -> str | None:
    """The member of an output that is the body as it comes, if there is one."""
    payload: str | None = None if shape is None else shape.serialization.get("payload")
    return payload if payload is not None and shape.members[payload].type_name == "blob" else None


class _Http:
    """What botocore's own after-call handlers look at."""

    def __init__(self, answer: HttpAnswer) -> None:
        self.answer = answer

    @property
    def status_code(self) -> int:
        return self.answer.status

    @property
    def content(self) -> bytes:
        return self.answer.body

    raw = content


def made(clients: AwsClients, account: Account, default_region: str) -> ServiceClient:
    """Makes the client of one service; in a thread, for it reads the service's model. Raises NoAnswer."""
    from botocore.config import Config
    from botocore.credentials import CredentialResolver
    from botocore.exceptions import BotoCoreError

    try:
        session = clients.session(account)
        endpoint_url = account.endpoint_url or override_of(session, account.service)
        region = region_of(session, account, default_region)
        _leave_as_it_is(session, is_elsewhere=endpoint_url is not None)
        held, token = _Held(), _token_of(session, account.service)
        session.register_component("credential_provider", CredentialResolver([held]))
        session.register_component("token_provider", held)
        client = session.create_client(
            account.service,
            region_name=region,
            endpoint_url=endpoint_url,
            config=Config(
                retries={"total_max_attempts": 1},
                parameter_validation=False,  # what AWS says to bad members is the service's to say
                inject_host_prefix=endpoint_url is None,
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                disable_request_compression=True,
                s3={
                    "disable_s3_express_session_auth": True,  # else botocore would call CreateSession by itself
                    **({} if endpoint_url is None else {"addressing_style": "path"}),
                },
            ),
        )
        route = clients.route(session, client.meta.endpoint_url)
        address = address_at(session, account, region, client.meta.endpoint_url, route)
        is_anywhere = endpoint_url is None and account.service not in _WITH_URLS
        domains = _domains(session, address.endpoint_url) if is_anywhere else ()
        return ServiceClient(client, held, address, token, domains)
    except (BotoCoreError, OSError, ValueError) as error:
        raise NoAnswer(str(error)) from error


def _token_of(session: Any, service: str) -> Any:
    """Botocore's bearer token for a service that takes one: `AWS_BEARER_TOKEN_*`'s, or that of the profile's SSO."""
    model = session.get_service_model(service)
    is_taken = _BEARER in (model.metadata.get("auth") or ()) or model.signature_version == "bearer"
    return session.get_auth_token(signing_name=model.signing_name) if is_taken else None


def _domains(session: Any, endpoint_url: str) -> tuple[str, ...]:
    """The domains that services have in the partition of AWS that this endpoint is in, each with a dot before it."""
    host = urlsplit(endpoint_url).netloc
    for partition in session.get_component("data_loader").load_data("partitions")["partitions"]:
        outputs = partition["outputs"]
        domains = tuple({f".{outputs['dnsSuffix']}", f".{outputs['dualStackDnsSuffix']}"})
        if host.endswith(domains):
            return (*domains, *_AWS_ALONE)
    return ()


class _Held:
    """Credentials and a token, and their provider, that never look anything up: that would hold up the event loop."""

    METHOD = CANONICAL_NAME = method = "held"
    credentials: Any = None
    token: Any = None

    def load(self) -> Any:
        return self

    def load_token(self, **_: Any) -> Any:
        return self

    def get_frozen_credentials(self) -> Any:
        return self.credentials

    def get_frozen_token(self) -> Any:
        return self.token

    def get_deferred_property(self, name: str) -> Any:
        return lambda: getattr(self.credentials, name, None)


def _leave_as_it_is(session: Any, *, is_elsewhere: bool) -> None:
    """Takes away what botocore does to members for users of Python: Java's SDK leaves them as the service has them.

    `is_elsewhere`: there is an endpoint in place of AWS's, which no member may replace.
    """
    from botocore import handlers

    unwanted = _CONVENIENCES | ({"switch_host_machinelearning"} if is_elsewhere else set())
    for event, handler, *_ in handlers.BUILTIN_HANDLERS:
        if getattr(handler, "__name__", "") in unwanted:
            session.unregister(event, handler)


def _take(request: Any, **_: Any) -> None:
    raise _Signed(request)


def _read_modelled_error(model: ServiceModel, parsed: dict[str, Any], response: dict[str, Any]) -> None:
    """Adds the members that the error's own shape has, as botocore's client does."""
    from botocore.parsers import create_parser

    shape = model.shape_for_error_code(parsed.get("Error", {}).get("Code"))
    if shape is not None:
        parsed.update(create_parser(model.resolved_protocol).parse(response, shape))


def _told(error: Exception) -> str:
    """What an error of botocore's says; some repeat the whole answer."""
    return (str(error) or type(error).__name__)[:_TOLD_CHARACTERS_MAX]


def _text(header: str | bytes) -> str:
    return header.decode("latin-1") if isinstance(header, bytes) else str(header)


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    content: bytes = body.read() if hasattr(body, "read") else bytes(body)
    return content
