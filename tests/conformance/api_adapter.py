"""The API over its wire: botocore writes each request and reads each answer, with an `Api` in this process between."""

from __future__ import annotations

import json
import time
import uuid
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import anyio
from anyio.from_thread import start_blocking_portal
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from engine import Engine, ExecutionFailed, TaskFailed
from engine.api.app import Api
from engine.http.access import Access
from tests.api.asking import Request
from tests.conformance.cases import ACCOUNT, SECOND_ACCOUNT, Parameters
from tests.conformance.functions import functions_of
from tests.conformance.replay import CallFailed
from tests.conformance.services import services

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from anyio.from_thread import BlockingPortal

    from tests.conformance.cases import Case
    from tests.conformance.services import Services

_REGION = "us-east-1"
_CALL_SECONDS = 30
_MOMENT_SECONDS = 0.05
_OK = 200
_ACCOUNTS: Final[Mapping[str, str]] = {"first": ACCOUNT, "second": SECOND_ACCOUNT}
_PLAYED: Final = frozenset({"echo", "return", "raise", "sleep"})
"""What recorded Lambda functions do that a handler here can do in their place; what sleeps is waited for in vain."""

_RUN: Final = _PLAYED | {"return_raw_repeat"}
"""What functions of the emulator do."""

_NOT_OUTSIDE: Final = ("states:", "aws-sdk:sfn:", "lambda:", "s3:")
"""Integrations that the engine itself is, or functions; and an ItemReader's, which is no Task's."""

_ASKS_LAMBDA_ITSELF: Final = frozenset(
    {"error_handling/test_task_service_lambda.TestTaskServiceLambda.test_no_such_function.json"}
)
"""Cases whose answers are Lambda's own and not a function's."""


def needs_more(case: Case, *, is_emulated: bool = False) -> str | None:
    """What a case needs besides the API and moto's services, and the emulator's functions; None: nothing."""
    kinds = {function["behaviour"]["kind"] for function in case.data.get("functions", ())}
    if not kinds <= (_RUN if is_emulated else _PLAYED) or (case.file in _ASKS_LAMBDA_ITSELF and not is_emulated):
        return "functions of the Lambda emulator"
    return None


@cache
def service_model() -> ServiceModel:
    """botocore's model of Step Functions."""
    return ServiceModel(Loader().load_service_model("stepfunctions", "service-2"))


@contextmanager
def api_adapter(case: Case, *, is_emulated: bool = False) -> Iterator[ApiAdapter]:
    """The API of an engine of its own on the virtual clock, and an event loop for it.

    `is_emulated`: Tasks call functions of the Lambda emulator that run in processes, not handlers in their place.
    """
    with start_blocking_portal() as portal, ExitStack() as exits:
        others = exits.enter_context(services(_REGION)) if _calls_others(case) else None
        handlers: dict[str, Any] = {}
        functions = None
        if is_emulated:
            functions = exits.enter_context(portal.wrap_async_context_manager(functions_of(case, _REGION)))
            handlers = dict.fromkeys(("arn:aws:states:::lambda:invoke*", "arn:aws:lambda:*"), "emulator:")
        else:
            handlers = _handlers(case)
        if others is not None:
            handlers |= {f"arn:aws:states:::{name}": f"aws:?endpoint={others.url}" for name in _outside(case)}
        logs = "cloudwatch" if "logs" in case.data["requires"] else None
        engine = Engine.in_memory(
            handlers, clock="virtual", region=_REGION, account_id=ACCOUNT, seed=0, lambda_emulator=functions, logs=logs
        )
        exits.enter_context(portal.wrap_async_context_manager(engine))
        yield ApiAdapter(portal, engine, others)


def _outside(case: Case) -> set[str]:
    """The integrations of a case that services besides Step Functions and Lambda answer."""
    return {name for name in case.data["uses"]["integrations"] if not name.startswith(_NOT_OUTSIDE)}


def _calls_others(case: Case) -> bool:
    return bool(_outside(case)) or any("service" in step for step in case.steps)


class ApiAdapter:
    """See `tests.conformance.replay.Adapter`."""

    def __init__(self, portal: BlockingPortal, engine: Engine, others: Services | None = None) -> None:
        self._others = others
        self._portal = portal
        self._engine = engine
        self._api = Api(engine.service, access=Access(now=time.time))
        self._started: list[str] = []

    def call(self, service: str, operation: str, params: Mapping[str, Any], account: str = "first") -> dict[str, Any]:
        """Answers one operation."""
        if service != "stepfunctions":
            assert self._others is not None, "the case has a step of that service"
            return self._others.call(service, operation, params)
        model = service_model().operation_model(operation)
        written = create_serializer("json").serialize_to_request(dict(params), model)
        key = f"AWS4-HMAC-SHA256 Credential={_ACCOUNTS[account]}/20260101/{_REGION}/states/aws4_request"
        request = Request(
            self._api, operation, written["body"], path=written["url_path"],
            headers={"authorization": key, "content-type": written["headers"]["Content-Type"]},
        )  # fmt: skip
        self._portal.call(_run, request)
        status, headers, body = request.answer
        raw = {"status_code": status, "headers": headers, "body": json.dumps(body).encode()}
        parsed: dict[str, Any] = create_parser("json").parse(raw, model.output_shape)
        del parsed["ResponseMetadata"]
        if status != _OK:
            error = parsed.pop("Error")
            raise CallFailed(error["Code"], error["Message"], status=status)
        if operation == "StartExecution":
            self._started.append(parsed["executionArn"])
        return parsed

    def let_pass(self, seconds: float) -> None:
        """Waits a moment for the executions that were started: the virtual clock jumps only while somebody waits."""
        del seconds
        self._portal.call(self._wait)

    async def _wait(self) -> None:
        with anyio.move_on_after(_MOMENT_SECONDS):
            for arn in self._started:
                with suppress(ExecutionFailed):
                    await (await self._engine.execution(arn)).result()


async def _run(request: Request) -> None:
    with anyio.fail_after(_CALL_SECONDS):
        await request.run()


def _handlers(case: Case) -> dict[str, Any]:
    names = Parameters(case)
    written = (",", ":") if "lambda:invoke" in case.data["uses"]["integrations"] else (", ", ": ")
    return {
        names.of(function["name"]): _hang
        if function["behaviour"]["kind"] == "sleep"
        else _Function(function["behaviour"], written)
        for function in case.data.get("functions", ())
    }


async def _hang(event: Any) -> Any:
    """A function that takes longer than its state may: engines wait for what is outside at real speed."""
    await anyio.sleep_forever()


class _Function:
    """A recorded Lambda function as a handler.

    Args:
        written: The separators in the text of its error: `lambda:invoke` writes it anew.
    """

    def __init__(self, behaviour: Mapping[str, Any], written: tuple[str, str]) -> None:
        self._behaviour = behaviour
        self._written = written

    def __call__(self, event: Any) -> Any:
        """Echoes, returns or raises, as the recorded one did."""
        behaviour = self._behaviour
        match behaviour["kind"]:
            case "echo":
                return event
            case "return":
                return behaviour["value"]
            case _:
                error = {
                    "errorMessage": behaviour["message"],
                    "errorType": behaviour["error"],
                    "requestId": str(uuid.uuid4()),
                    "stackTrace": behaviour["stackTrace"],
                }
                raise TaskFailed(behaviour["error"], json.dumps(error, separators=self._written))
