"""What a callable gets beside its event: who it works for, how long it has, and how to give signs of life."""

from __future__ import annotations

import base64
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from engine.arns import function_arn
from engine.integrations.invocation import is_lambda_invoke
from engine.jsonvalue import decode

if TYPE_CHECKING:
    from engine.integrations.request import Signals, TaskRequest
    from engine.jsonvalue import Json

_MS_PER_SECOND = 1_000


@dataclass(frozen=True, slots=True)
class CognitoIdentity:
    """Who a mobile app's user is."""

    cognito_identity_id: str | None = None
    cognito_identity_pool_id: str | None = None


@dataclass(frozen=True, slots=True)
class ClientContext:
    """What a caller says about itself: {"client": ..., "custom": ..., "env": ...}."""

    client: Json = None
    custom: Json = None
    env: Json = None

    @classmethod
    def read(cls, given: Json) -> ClientContext:
        """Reads the base64 text that callers send. Raises ValueError."""
        try:
            members = decode(base64.b64decode(given, validate=True)) if isinstance(given, str) else None
        except ValueError:
            members = None
        if not isinstance(members, dict):
            raise ValueError("ClientContext: expected the JSON text of an object, in base64")
        return cls(members.get("client"), members.get("custom"), members.get("env"))


class HandlerContext:
    """The second argument of a callable. It has what Lambda's context object has (lambda.md 5.2), and more.

    All of it may be used from the thread or process that the callable runs in.
    """

    __slots__ = ("_channel", "_ends_at", "_logger", "_request", "_request_id")

    def __init__(self, request: TaskRequest, channel: Signals, *, seconds: float, request_id: str) -> None:
        self._request = request
        self._channel = channel
        self._request_id = request_id
        self._logger: Any = None
        if request.deadline is not None:
            seconds = min(seconds, (request.deadline - channel.now()) / _MS_PER_SECOND)
        self._ends_at = time.monotonic() + seconds

    # ── who it works for ────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def execution_arn(self) -> str:
        """ARN of the execution."""
        return self._request.execution_arn

    @property
    def execution_name(self) -> str:
        """Name of the execution."""
        return self._request.execution_name

    @property
    def state(self) -> str:
        """Name of the Task state."""
        return self._request.state

    @property
    def resource(self) -> str:
        """The Task's Resource, as it stands in the definition."""
        return self._request.resource.arn

    @property
    def attempt(self) -> int:
        """0 the first time, then 1, 2, ... with each retry."""
        return self._request.attempt

    @property
    def idempotency_key(self) -> str:
        """A UUID: the same when this attempt has to be repeated after a crash, another one for every other attempt."""
        return self._request.idempotency_key

    @property
    def task_token(self) -> str | None:
        """The token that ends the Task, where its Resource ends in `.waitForTaskToken` or is an activity."""
        return self._request.task_token

    @property
    def logger(self) -> Any:
        """A structlog logger that knows execution, state and attempt."""
        if self._logger is None:
            import structlog

            self._logger = structlog.get_logger().bind(
                execution=self.execution_arn, state=self.state, attempt=self.attempt
            )
        return self._logger

    # ── how long it has ─────────────────────────────────────────────────────────────────────────────────────────────

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the first of its time limits; 0 when it is past."""
        return max(0, round((self._ends_at - time.monotonic()) * _MS_PER_SECOND))

    # ── signs of life ───────────────────────────────────────────────────────────────────────────────────────────────

    def heartbeat(self) -> None:
        """Starts the state's HeartbeatSeconds anew.

        Raises:
            TaskTimedOut: Nobody waits for this Task any more; a good moment to give up.
        """
        self._channel.heartbeat()

    def send_task_success(self, output: Json, *, task_token: str | None = None) -> None:
        """Ends a `.waitForTaskToken` Task, by default this one.

        Raises:
            InvalidToken: Nobody minted the token.
            TaskTimedOut: Its Task is over.
            InvalidOutput: `output` is not JSON.
        """
        self._channel.send_task_success(self._token(task_token), output)

    def send_task_failure(
        self, error: str | None = None, cause: str | None = None, *, task_token: str | None = None
    ) -> None:
        """Fails a `.waitForTaskToken` Task, by default this one. Raises InvalidToken, TaskTimedOut."""
        self._channel.send_task_failure(self._token(task_token), error, cause)

    def _token(self, given: str | None) -> str:
        token = given or self.task_token
        if token is None:
            raise ValueError(f"state {self.state!r} has no task token: its Resource does not end in .waitForTaskToken")
        return token

    # ── as Lambda's ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def aws_request_id(self) -> str:
        """A UUID of this invocation: the `requestId` of its error."""
        return self._request_id

    @property
    def invoked_function_arn(self) -> str:
        """ARN of the function that the callable plays; the Resource where it plays none."""
        request = self._request
        name = request.arguments.get("FunctionName") if isinstance(request.arguments, dict) else None
        if is_lambda_invoke(request) and isinstance(name, str):
            return function_arn(name, request.region, request.account_id)
        return request.resource.arn

    @property
    def function_name(self) -> str:
        """Name of that function; the state's where it plays none."""
        arn = self.invoked_function_arn
        return arn.split(":")[6] if ":function:" in arn else self.state

    @property
    def function_version(self) -> str:
        """`$LATEST`, or the version or alias that was asked for."""
        parts = self.invoked_function_arn.split(":")
        return parts[7] if ":function:" in self.invoked_function_arn and len(parts) > 7 else "$LATEST"

    @property
    def memory_limit_in_mb(self) -> str:
        """Lambda's default. Nothing here limits memory."""
        return "128"

    @property
    def log_group_name(self) -> str:
        """As Lambda names it."""
        return f"/aws/lambda/{self.function_name}"

    @property
    def log_stream_name(self) -> str:
        """The execution: there is one stream for each."""
        return self.execution_name

    @property
    def identity(self) -> CognitoIdentity:
        """Nobody's, as always when Step Functions invokes."""
        return CognitoIdentity()

    @property
    def client_context(self) -> ClientContext | None:
        """What `ClientContext` of `lambda:invoke` holds; None without one.

        Raises:
            ValueError: It is not the JSON text of an object in base64.
        """
        arguments = self._request.arguments
        if not is_lambda_invoke(self._request) or not isinstance(arguments, dict):
            return None
        given = arguments.get("ClientContext")
        return None if given is None else ClientContext.read(given)

    @property
    def tenant_id(self) -> None:
        """No function here has tenants."""
        return

    def log(self, message: object) -> None:
        """Writes to stdout, as Lambda's does."""
        sys.stdout.write(str(message))
