"""A Lambda function as a handler: AWS's own, or one of the built-in emulator (lambda.md 2, 9).

What comes back is read the same way from both: the Task's result with or without `lambda:invoke`'s envelope, and its
errors with the names and causes that Step Functions gives. Each attempt is one invocation: retrying is for `Retry`.

    lambda:                                      the function that the Task names
    lambda:NAME, lambda:ARN                      this one instead, with its qualifier if it has one
    lambda:?region=R&profile=P&endpoint=URL&role=ARN      how AWS is reached; each may be left out
    emulator:, emulator:NAME, emulator:?endpoint=URL      the emulator: this process's, else the one at the URL
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import quote

import anyio

from engine.arns import parse_arn
from engine.errors import StatesError, TaskFailed
from engine.integrations.aws import ACCOUNT_OPTIONS, read_account
from engine.integrations.aws_credentials import NoAnswer
from engine.integrations.aws_endpoints import destination_of
from engine.integrations.aws_members import sdk_metadata
from engine.integrations.invocation import (
    SECONDS_MAX,
    checked_seconds,
    is_lambda_invoke,
    new_request_id,
    timed_out,
)
from engine.integrations.request import Answer
from engine.jsonvalue import PAYLOAD_BYTES_MAX, InvalidJson, decode, encode, text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.asl.resource import Resource
    from engine.integrations.aws import AwsClient
    from engine.integrations.request import Channel, TaskRequest, WorkerLoss, Workplace
    from engine.jsonvalue import Json

EMULATOR_URL = "http://127.0.0.1:3001"
"""Where `asl lambda serve` listens, and SAM's and LocalStack's users look for it."""

ANSWER_SECONDS = 5.0
"""Beyond Lambda's own 900 seconds, so that its answer comes first, which knows the request's id."""

ACKNOWLEDGE_SECONDS = 60.0
"""For what Lambda answers without running the function."""

_MODELLED_NAMES = (
    "CodeArtifactUserDeletedException CodeArtifactUserFailedException CodeArtifactUserPendingException "
    "DurableExecutionAlreadyStartedException EC2AccessDeniedException EC2ThrottledException "
    "EC2UnexpectedException EFSIOException EFSMountConnectivityException EFSMountFailureException "
    "EFSMountTimeoutException ENILimitReachedException ENINotReadyException InvalidParameterValueException "
    "InvalidRequestContentException InvalidRuntimeException InvalidSecurityGroupIDException "
    "InvalidSubnetIDException InvalidZipFileException KMSAccessDeniedException KMSDisabledException "
    "KMSInvalidStateException KMSNotFoundException ModeNotSupportedException NoPublishedVersionException "
    "RecursiveInvocationException RequestEntityTooLargeException RequestTooLargeException "
    "ResourceConflictException ResourceNotFoundException ResourceNotReadyException "
    "RuntimeAliasDeletedException RuntimeVersionDeletedException S3FilesMountConnectivityException "
    "S3FilesMountFailureException S3FilesMountTimeoutException SerializedRequestEntityTooLargeException "
    "ServiceException ServiceQuotaExceededException SnapStartException SnapStartNotReadyException "
    "SnapStartRegenerationFailureException SnapStartTimeoutException SubnetIPAddressLimitReachedException "
    "TooManyRequestsException UnsupportedMediaTypeException"
)
_MODELLED = frozenset(_MODELLED_NAMES.split())
"""Errors of Invoke with a class in AWS's clients; others are `Lambda.AWSLambdaException` (integrations.md 1.3)."""


class LambdaAnswer(NamedTuple):
    """What Invoke gave: the HTTP status, headers as Lambda spells them, the body."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class LambdaClient(Protocol):
    """Invokes functions, wherever they are."""

    async def invoke(
        self,
        function: str,
        payload: bytes,
        *,
        qualifier: str | None,
        invocation_type: str,
        client_context: str | None,
        log_type: str | None,
    ) -> tuple[int, Sequence[tuple[str, str]], bytes]:
        """Invokes once; an error of Lambda's is an answer with its status. Cancelled, nobody waits for it any more.

        Args:
            function: A name or an ARN, whole or in part, perhaps with its qualifier.
            payload: The request's body.
            qualifier: A version or an alias.
            invocation_type: `RequestResponse`, `Event` or `DryRun`.
            client_context: In base64.
            log_type: `None` or `Tail`.

        Raises:
            NoAnswer: None came.
        """
        ...


class LambdaEmulator(LambdaClient, Protocol):
    """The emulator of this process."""

    def has(self, function: str, qualifier: str | None) -> bool:
        """Whether there is such a function, without waiting; `function` as in `invoke`."""
        ...


class Invocation(NamedTuple):
    """One call of Invoke: see `LambdaClient.invoke`."""

    function: str
    payload: bytes
    qualifier: str | None = None
    invocation_type: str = "RequestResponse"
    client_context: str | None = None
    log_type: str | None = None


class LambdaFunction:
    """A function behind the Lambda API.

    Attributes:
        seconds: The time limit of one invocation: `Sandbox.Timedout` when it is reached.
        on_worker_loss, waits_apart, concurrency: See `Handler`.
    """

    fixed_answer = None
    waits_apart = True

    def __init__(
        self,
        spec: str,
        *,
        timeout_seconds: float | None = None,
        on_worker_loss: WorkerLoss = "rerun",
        concurrency: int | None = None,
    ) -> None:
        """Raises ValueError: a time limit beyond Lambda's, or an option that does not exist."""
        self.concurrency = concurrency
        self.name = spec
        self.on_worker_loss: WorkerLoss = on_worker_loss
        self.seconds = SECONDS_MAX if timeout_seconds is None else checked_seconds(timeout_seconds)
        self._patience = self.seconds + (ANSWER_SECONDS if timeout_seconds is None else 0)
        kind, _, rest = spec.partition(":")
        self._is_emulator = kind == "emulator"
        function, _, options = rest.partition("?")
        self._function = function or None
        known = ("endpoint",) if self._is_emulator else ACCOUNT_OPTIONS
        self._account = read_account("lambda", options, known)._replace(is_local=self._is_emulator)

    def destination(self, resource: Resource) -> str | None:
        """See `Handler`."""
        return None if self._is_emulator else destination_of(self._account)

    async def run(self, request: TaskRequest, channel: Channel, workplace: Workplace) -> Answer:
        """See `Handler`."""
        call = invocation_of(request, self._function)
        answered = None
        is_run = call.invocation_type == "RequestResponse"
        try:
            client = await self._client(call, request, workplace)
            with anyio.move_on_after(self._patience if is_run else ACKNOWLEDGE_SECONDS):
                answered = await client.invoke(
                    call.function,
                    call.payload,
                    qualifier=call.qualifier,
                    invocation_type=call.invocation_type,
                    client_context=call.client_context,
                    log_type=call.log_type,
                )
        except NoAnswer as error:
            raise TaskFailed("Lambda.SdkClientException", str(error)) from error
        if answered is not None:
            return answer_of(request, LambdaAnswer(*answered))
        if is_run:
            raise timed_out(self.seconds, new_request_id())
        raise TaskFailed(
            "Lambda.ClientExecutionTimeoutException",
            "Client execution did not complete before the specified timeout configuration",
        )

    async def _client(self, call: Invocation, request: TaskRequest, workplace: Workplace) -> LambdaClient:
        account = self._account
        if self._is_emulator:
            if workplace.lambda_emulator is not None and account.endpoint_url is None:
                return workplace.lambda_emulator
            if account.endpoint_url is None:
                from engine.settings import Settings

                account = account._replace(endpoint_url=Settings.from_environment().lambda_endpoint or EMULATOR_URL)
        elif request.role_arn is not None:
            account = account._replace(role_arns=(*account.role_arns, request.role_arn))
        arn = parse_arn(call.function)
        if account.region is None and arn is not None:
            account = account._replace(region=arn.region)
        return _LambdaApi(await workplace.aws.client(account, request.region))


class _LambdaApi:
    """A `LambdaClient` that asks the Lambda API over HTTP."""

    def __init__(self, client: AwsClient) -> None:
        self._client = client

    async def invoke(
        self,
        function: str,
        payload: bytes,
        *,
        qualifier: str | None,
        invocation_type: str,
        client_context: str | None,
        log_type: str | None,
    ) -> LambdaAnswer:
        """See `LambdaClient`."""
        path = f"/2015-03-31/functions/{quote(function, safe='')}/invocations"
        if qualifier is not None:
            path += f"?Qualifier={quote(qualifier, safe='')}"
        headers = {"Content-Type": "application/json", "X-Amz-Invocation-Type": invocation_type}
        if log_type is not None:
            headers["X-Amz-Log-Type"] = log_type
        if client_context is not None:
            headers["X-Amz-Client-Context"] = client_context
        answer = await self._client.send("POST", path, headers, payload)
        return LambdaAnswer(answer.status, answer.headers, answer.body)


# ── asking ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def invocation_of(request: TaskRequest, function: str | None = None) -> Invocation:
    """What a Task asks Lambda for; of `function`, where a rule names one (lambda.md 9.1).

    Raises:
        TaskFailed: `States.Runtime`: the arguments of `lambda:invoke` cannot be used; or the Task names no function.
    """
    if not is_lambda_invoke(request):
        named = function or (request.resource.arn if request.resource.kind == "lambda" else None)
        if named is None:
            raise TaskFailed("States.Runtime", f"{request.resource.arn} names no function; expected lambda:FUNCTION")
        return Invocation(named, encode(request.arguments))
    arguments = request.arguments if isinstance(request.arguments, dict) else {}
    members: dict[str, str | None] = {}
    for member in ("FunctionName", "Qualifier", "InvocationType", "ClientContext", "LogType"):
        value = arguments.get(member)
        if value is not None and not isinstance(value, str):
            raise _unusable(request, f"The value for the field '{member}' must be a STRING")
        members[member] = value
    named = function or members["FunctionName"]
    if named is None:
        raise _unusable(request, "The field 'FunctionName' is required but was missing")
    payload = arguments.get("Payload")
    return Invocation(
        named,
        payload.encode() if isinstance(payload, str) else b"{}" if payload is None else encode(payload),
        members["Qualifier"] if function is None else None,
        members["InvocationType"] or "RequestResponse",
        members["ClientContext"],
        members["LogType"],
    )


def _unusable(request: TaskRequest, finding: str) -> TaskFailed:
    """Wording of integrations.md 1.3."""
    given = text(request.arguments)
    return TaskFailed("States.Runtime", f"The Parameters '{given}' could not be used to start the Task: [{finding}]")


# ── what came back ──────────────────────────────────────────────────────────────────────────────────────────────────


def answer_of(request: TaskRequest, answered: LambdaAnswer) -> Answer:
    """The Task's result, in AWS's envelope where the Task is `lambda:invoke` (lambda.md 9.1).

    Raises:
        StatesError: The function failed, or Lambda refused the call (lambda.md 9.2).
    """
    headers = {name.lower(): value for name, value in answered.headers}
    if answered.status >= 300:
        raise _refused(answered, headers)
    if "x-amz-function-error" in headers:
        raise _function_error(answered.body, is_written_anew=is_lambda_invoke(request))
    if not answered.body:  # of an invocation that Lambda only took down
        value: Json = ""
    else:
        try:
            value = decode(answered.body)
        except InvalidJson as error:
            if len(answered.body) <= PAYLOAD_BYTES_MAX:
                raise TaskFailed("States.Runtime", f"The function's result is not JSON: {error}") from error
            value = answered.body.decode("utf-8", "replace")  # its size is what the Task fails by
    if not is_lambda_invoke(request):
        return Answer(value, len(answered.body))
    envelope = _envelope(answered, headers, value)
    return Answer(envelope, len(encode(envelope)))


def _envelope(answered: LambdaAnswer, headers: dict[str, str], value: Json) -> Json:
    envelope: dict[str, Json] = {}
    if "x-amz-executed-version" in headers:
        envelope["ExecutedVersion"] = headers["x-amz-executed-version"]
    if "x-amz-log-result" in headers:
        envelope["LogResult"] = headers["x-amz-log-result"]
    return envelope | {
        "Payload": value,
        **sdk_metadata(answered.status, answered.headers, headers.get("x-amzn-requestid", "")),
        "StatusCode": answered.status,
    }


def _function_error(payload: bytes, *, is_written_anew: bool) -> StatesError:
    """The function's own error: its type, and its payload (lambda.md 9.2).

    `is_written_anew`: without blanks, as `lambda:invoke` gives it in recordings; where a function is the Resource, its
    payload stays as it came.
    """
    cause = payload.decode("utf-8", "replace")
    try:
        value = decode(payload)
    except InvalidJson:
        value = None
    else:
        cause = text(value) if is_written_anew else cause
    error_type = value.get("errorType") if isinstance(value, dict) else None
    if isinstance(error_type, str) and error_type:
        return StatesError(error_type, cause)
    return StatesError(
        "Lambda.Unknown",
        "The cause could not be determined because Lambda did not return an error type. Returned payload: " + cause,
    )


def _refused(answered: LambdaAnswer, headers: dict[str, str]) -> StatesError:
    """An error of the API: `Lambda.<code>`, with the text that AWS's client makes of it."""
    try:
        value = decode(answered.body)
    except InvalidJson:
        value = None
    members = value if isinstance(value, dict) else {}
    code = headers.get("x-amzn-errortype") or members.get("__type") or members.get("code") or "null"
    code = str(code).split(":", 1)[0].rsplit("#", 1)[-1]
    message = members.get("Message") or members.get("message") or "null"
    request_id = headers.get("x-amzn-requestid", "null")
    about = (
        f"Service: AWSLambda; Status Code: {answered.status}; Error Code: {code}; Request ID: {request_id}; Proxy: null"
    )
    return StatesError(f"Lambda.{code if code in _MODELLED else 'AWSLambdaException'}", f"{message} ({about})")
