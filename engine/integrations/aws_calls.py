"""Actions of AWS's services: botocore makes the request and reads the answer, the event loop sends it (`aws`).

    calls = await workplace.aws.calls(Account("dynamodb"), region)
    answer = await calls.call("GetItem", {"TableName": "t", "Key": {"id": {"S": "1"}}})

So all that botocore knows holds: each service's protocol, where it is, how it is signed, tokens, checksums. One call is
one request: there are no retries beneath ASL's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from engine.integrations.aws import NoAnswer, host_of, parts_of_session

if TYPE_CHECKING:
    from botocore.model import ServiceModel

    from engine.integrations.aws import Account, AwsClients, HttpAnswer, Route

_ENV_PREFIX = "AWS_ENDPOINT_URL"
_OK_MAX = 300

_CONVENIENCES = frozenset(
    {"base64_encode_user_data", "decode_console_output", "json_decode_policies", "json_decode_template_body"}
)
"""Handlers of botocore's events."""


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


class ServiceCalls:
    """One service of one account. `client` is botocore's, and signs with what `held` gives it of `credentials`."""

    def __init__(self, clients: AwsClients, client: Any, credentials: Any, held: _Held, route: Route) -> None:
        self._clients = clients
        self._client = client
        self._credentials = credentials
        self._held = held
        self._route = route
        client.meta.events.register_last("request-created", _take)

    @property
    def model(self) -> ServiceModel:
        """Botocore's model of the service."""
        return self._client.meta.service_model

    @property
    def host(self) -> str:
        """Where requests go to."""
        return host_of(self._client.meta.endpoint_url)

    async def call(self, operation: str, members: dict[str, Any]) -> CallAnswer:
        """Calls an action, once.

        Args:
            operation: In the model's spelling: `PutItem`.
            members: Its input, in the model's spelling.

        Raises:
            NoAnswer: The request could not be made or signed, or no answer came.
        """
        self._held.frozen = await self._clients.frozen(self._credentials)
        request = self._signed(operation, members)
        prepared = request.prepare()
        headers = {_text(name): _text(value) for name, value in prepared.headers.items()}
        headers.setdefault("Host", host_of(prepared.url))
        body = _bytes(prepared.body)
        answer = await self._clients.send(prepared.method, prepared.url, headers, body, self._route)
        return self._read(operation, answer, request.context)

    def _signed(self, operation: str, members: dict[str, Any]) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self._client._make_api_call(operation, members)  # noqa: SLF001  what each of a client's methods is
        except _Signed as signed:
            return signed.request
        except (BotoCoreError, ClientError, ValueError) as error:
            raise NoAnswer(str(error)) from error
        raise AssertionError("botocore sent a request itself")

    def _read(self, operation: str, answer: HttpAnswer, context: dict[str, Any]) -> CallAnswer:
        from botocore.awsrequest import HeadersDict
        from botocore.parsers import ResponseParserError, create_parser

        model = self.model.operation_model(operation)
        name = f"{self.model.service_id.hyphenize()}.{operation}"
        response: dict[str, Any] = {
            "headers": HeadersDict(answer.headers),
            "status_code": answer.status,
            "body": answer.body,
            "context": {"operation_name": operation},
        }
        events, customised = self._client.meta.events, dict[str, Any]()
        events.emit(
            f"before-parse.{name}", operation_model=model, response_dict=response, customized_response_dict=customised
        )
        try:
            parsed: dict[str, Any] = create_parser(self.model.resolved_protocol).parse(response, model.output_shape)
        except ResponseParserError as error:
            raise NoAnswer(f"Unable to unmarshall response: {error}") from error
        is_refused = response["status_code"] >= _OK_MAX  # which a handler may have changed
        if is_refused:
            _read_modelled_error(self.model, parsed, response)
        parsed.update(customised)
        events.emit(f"after-call.{name}", http_response=_Http(answer), parsed=parsed, model=model, context=context)
        return CallAnswer(answer, parsed, is_refused)


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


def made(clients: AwsClients, account: Account, default_region: str) -> ServiceCalls:
    """Makes the calls of one service; in a thread, for it reads the service's model. Raises NoAnswer."""
    from botocore.config import Config
    from botocore.credentials import CredentialResolver
    from botocore.exceptions import BotoCoreError
    from botocore.session import Session

    try:
        session = Session(profile=account.profile)
        endpoint_url = account.endpoint_url or override_of(session, account.service)
        if endpoint_url is not None and is_loopback(endpoint_url):
            account = account._replace(is_local=True)
        region, credentials = parts_of_session(session, account, default_region)
        _leave_as_it_is(session)
        held = _Held()
        session.register_component("credential_provider", CredentialResolver([held]))
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
                s3=None if endpoint_url is None else {"addressing_style": "path"},
            ),
        )
        return ServiceCalls(clients, client, credentials, held, clients.route(session, client.meta.endpoint_url))
    except (BotoCoreError, OSError, ValueError) as error:
        raise NoAnswer(str(error)) from error


def override_of(session: Any, service: str) -> str | None:
    """The endpoint that the environment or the configuration files name for a service, in place of AWS's.

    Args:
        session: botocore's.
        service: botocore's name of it.
    """
    import os

    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    profile = session.get_scoped_config()
    services = session.full_config.get("services", {}).get(profile.get("services", ""), {})
    if not (profile.get("endpoint_url") or services or any(name.startswith(_ENV_PREFIX) for name in os.environ)):
        return None
    name = session.get_service_model(service).service_id.replace(" ", "_")
    own = services.get(name.lower())
    found = (
        os.environ.get(f"{_ENV_PREFIX}_{name.upper()}")
        or os.environ.get(_ENV_PREFIX)
        or (own.get("endpoint_url") if isinstance(own, dict) else None)
        or profile.get("endpoint_url")
    )
    return None if found is None else str(found)


def is_loopback(url: str) -> bool:
    """Whether a URL is one of this machine."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.") or host.endswith(".localhost")


class _Held:
    """Credentials, and their provider, that never look anything up by themselves: that would hold up the event loop."""

    METHOD = CANONICAL_NAME = method = "held"
    frozen: Any = None

    def load(self) -> Any:
        return self

    def get_frozen_credentials(self) -> Any:
        return self.frozen

    def get_deferred_property(self, name: str) -> Any:
        return lambda: getattr(self.frozen, name, None)


def _leave_as_it_is(session: Any) -> None:
    """Takes away what botocore does to members for users of Python: Java's SDK leaves them as the service has them."""
    from botocore import handlers

    for event, handler, *_ in handlers.BUILTIN_HANDLERS:
        if getattr(handler, "__name__", "") in _CONVENIENCES:
            session.unregister(event, handler)


def _take(request: Any, **_: Any) -> None:
    raise _Signed(request)


def _read_modelled_error(model: ServiceModel, parsed: dict[str, Any], response: dict[str, Any]) -> None:
    """Adds the members that the error's own shape has, as botocore's client does."""
    from botocore.parsers import create_parser

    shape = model.shape_for_error_code(parsed.get("Error", {}).get("Code"))
    if shape is not None:
        parsed.update(create_parser(model.resolved_protocol).parse(response, shape))


def _text(header: str | bytes) -> str:
    return header.decode("latin-1") if isinstance(header, bytes) else str(header)


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, str):
        return body.encode()
    content: bytes = body.read() if hasattr(body, "read") else bytes(body)
    return content
