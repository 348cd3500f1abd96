"""Who is told how asynchronous invocations ended: destinations, and dead-letter queues (lambda.md 2.3).

Queues, topics and buses are AWS's, or whatever answers at `AWS_ENDPOINT_URL_SQS` and its kin; a function is one of the
emulator's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from uuid import uuid4

import anyio
import msgspec
import structlog
from anyio import to_thread

from engine.lambda_emulator.calls import Call
from engine.lambda_emulator.invocable import invocable
from engine.lambda_emulator.lineage import LOOP_MAX, passed_on

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from engine.lambda_emulator.emulator import Emulator
    from engine.lambda_emulator.invocable import Invocable
    from engine.lambda_emulator.invocation import Outcome

Condition: TypeAlias = Literal["Success", "RetriesExhausted", "EventAgeExceeded", "ZeroReservedConcurrency"]

_ATTEMPTS = 3
_OK = 200
_THROTTLED = 429
_DEAD_LETTER_TEXT_MAX = 1_024


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How an asynchronous invocation ended.

    Attributes:
        function_arn: With a qualifier.
        invoke_count: Of attempts.
        outcome: Of the last attempt; None when there was none.
        trace_id: X-Ray's header.
    """

    condition: Condition
    request_id: str
    function_arn: str
    executed_version: str
    invoke_count: int
    request_payload: bytes
    outcome: Outcome | None
    time: datetime
    trace_id: str = ""

    def record(self) -> dict[str, Any]:
        """What destinations get.

        {"version": "1.0", "timestamp": "2026-01-31T12:00:00.000Z",
         "requestContext": {"requestId": "...", "functionArn": "...", "condition": "RetriesExhausted",
                            "approximateInvokeCount": 3},
         "requestPayload": {}, "responseContext": {"statusCode": 200, "executedVersion": "$LATEST",
         "functionError": "Unhandled"}, "responsePayload": {}}
        """
        told: dict[str, Any] = {
            "version": "1.0",
            "timestamp": self.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "requestContext": {
                "requestId": self.request_id,
                "functionArn": self.function_arn,
                "condition": self.condition,
                "approximateInvokeCount": self.invoke_count,
            },
            "requestPayload": msgspec.Raw(self.request_payload),
        }
        if self.outcome is not None:
            told["responseContext"] = {"statusCode": _OK, "executedVersion": self.executed_version}
            if self.outcome.function_error is not None:
                told["responseContext"]["functionError"] = self.outcome.function_error
            told["responsePayload"] = _document(self.outcome.payload)
        return told


def _document(payload: bytes) -> Any:
    """A response as a part of JSON; one that is no JSON as a text."""
    try:
        msgspec.json.decode(payload)
    except msgspec.DecodeError:
        return payload.decode(errors="replace")
    return msgspec.Raw(payload)


class Destinations:
    """Tells them."""

    def __init__(self, make_client: Callable[[str, str], Any] | None = None) -> None:
        """`make_client`: (service, region) -> a client of boto3's."""
        self._make_client = make_client or _client
        self._clients: dict[tuple[str, str], Any] = {}
        self._log = structlog.get_logger()

    async def tell(self, emulator: Emulator, found: Invocable, result: Result) -> None:
        """Whoever is to know; who cannot be reached in a few attempts is not told, and that is logged."""
        config = found.event_invoke_config
        target = config.on_success if result.condition == "Success" else config.on_failure
        if target is not None:
            await self._attempt(target, result, partial(self._send, emulator, target, result))
        if result.condition != "Success" and found.dead_letter_target is not None:
            await self._attempt(
                found.dead_letter_target, result, partial(self._send_dead_letter, found.dead_letter_target, result)
            )

    async def _attempt(self, target: str, result: Result, send: Callable[[], Any]) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await send()
            except Exception as error:  # noqa: BLE001  the edge of a service that is not ours
                self._log.warning(
                    "destination not told",
                    target=target,
                    request_id=result.request_id,
                    attempt=attempt,
                    error=str(error),
                )
            else:
                return
            if attempt < _ATTEMPTS:
                await anyio.sleep(attempt)

    async def _send(self, emulator: Emulator, target: str, result: Result) -> None:
        service, region = _service_of(target), target.split(":")[3] or emulator.region
        text = msgspec.json.encode(result.record()).decode()
        match service:
            case "lambda":
                await self._pass_on(emulator, target, text.encode(), result)
            case "sqs":
                await self._call("sqs", region, partial(_send_message, arn=target, body=text, attributes={}))
            case "sns":
                await self._call("sns", region, lambda sns: sns.publish(TopicArn=target, Message=text))
            case "events":
                await self._call("events", region, partial(_put_event, bus=target, detail=text, result=result))
            case _:
                raise ValueError(f"expected a function, queue, topic or event bus as destination, got {target}")

    async def _pass_on(self, emulator: Emulator, target: str, payload: bytes, result: Result) -> None:
        found = await invocable(emulator, target, None)
        trace_id, count = passed_on(result.trace_id, found.version.arn(None))
        if count > LOOP_MAX and not found.may_loop:
            self._log.warning("recursive loop ended", target=target, request_id=result.request_id, invocations=count)
            return
        await emulator.queue.put(emulator, found, payload, Call(request_id=str(uuid4()), trace_id=trace_id))

    async def _send_dead_letter(self, target: str, result: Result) -> None:
        """The event itself, with what went wrong beside it."""
        attributes = {"RequestID": result.request_id, "ErrorCode": str(_THROTTLED if result.outcome is None else _OK)}
        if result.outcome is not None:
            attributes["ErrorMessage"] = _error_message(result.outcome.payload)
        region, body = target.split(":")[3], result.request_payload.decode()
        match _service_of(target):
            case "sqs":
                await self._call("sqs", region, partial(_send_message, arn=target, body=body, attributes=attributes))
            case "sns":
                more = _attributes(attributes)
                await self._call(
                    "sns", region, lambda sns: sns.publish(TopicArn=target, Message=body, MessageAttributes=more)
                )
            case _:
                raise ValueError(f"expected a queue or topic as dead-letter target, got {target}")

    async def _call(self, service: str, region: str, use: Callable[[Any], Any]) -> None:
        def call() -> None:
            client = self._clients.get((service, region))
            if client is None:
                client = self._clients[service, region] = self._make_client(service, region)
            use(client)

        await to_thread.run_sync(call)


def _service_of(arn: str) -> str:
    parts = arn.split(":")
    if len(parts) < 6 or parts[0] != "arn":
        raise ValueError(f"expected an ARN, got {arn}")
    return parts[2]


def _client(service: str, region: str) -> Any:
    import boto3

    return boto3.client(service, region_name=region)


def _send_message(sqs: Any, *, arn: str, body: str, attributes: dict[str, str]) -> None:
    _, _, _, _, account_id, name = arn.split(":", 5)
    url = sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account_id)["QueueUrl"]
    more = {"MessageGroupId": name, "MessageDeduplicationId": str(uuid4())} if name.endswith(".fifo") else {}
    sqs.send_message(QueueUrl=url, MessageBody=body, MessageAttributes=_attributes(attributes), **more)


def _attributes(attributes: dict[str, str]) -> dict[str, Any]:
    kinds = {"ErrorCode": "Number"}
    return {name: {"DataType": kinds.get(name, "String"), "StringValue": text} for name, text in attributes.items()}


def _put_event(events: Any, *, bus: str, detail: str, result: Result) -> None:
    kind = "Success" if result.condition == "Success" else "Failure"
    entry = {
        "Time": result.time,
        "Source": "lambda",
        "DetailType": f"Lambda Function Invocation Result - {kind}",
        "Resources": [bus, result.function_arn],
        "Detail": detail,
        "EventBusName": bus,
    }
    answer = events.put_events(Entries=[entry])
    if answer["FailedEntryCount"]:
        raise ValueError(answer["Entries"][0].get("ErrorMessage", "the bus did not take the event"))


def _error_message(payload: bytes) -> str:
    try:
        document = msgspec.json.decode(payload)
    except msgspec.DecodeError:
        document = None
    message = document.get("errorMessage") if isinstance(document, dict) else None
    return (message if isinstance(message, str) and message else "unknown")[:_DEAD_LETTER_TEXT_MAX]
