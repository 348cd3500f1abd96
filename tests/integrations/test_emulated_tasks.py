"""Tasks whose functions run in the Lambda emulator of the same process: real zips, in processes of their own."""

from __future__ import annotations

import base64
import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import engine
from engine.lambda_emulator.clock import SystemClock
from engine.lambda_emulator.environments import Environments
from engine.lambda_emulator.invoker import Invoker
from tests.definitions import catch, invoke, machine, retry
from tests.lambda_emulator.control_plane import ACCOUNT, REGION, created, new_emulator
from tests.lambda_emulator.packages import zipped
from tests.lambda_emulator.running import Log
from tests.waiting import DEADLINE_SECONDS, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

ECHO = {"Type": "Pass"}
RUNTIME = f"python3.{sys.version_info.minor}"

APP = """
import os, time

class OutOfStock(Exception):
    pass

def echo(event, context):
    print("looking at", event)
    return event

def fail(event, context):
    raise OutOfStock("none left")

def leave(event, context):
    os._exit(3)

def hang(event, context):
    time.sleep(1_000)

def doze(event, context):
    time.sleep(1_000)

def give_much(event, context):
    return "x" * event["bytes"]

def claim(event, context):
    return [context.client_context.custom, context.function_version]
"""


@asynccontextmanager
async def emulated(directory: Path, *functions: str, **options: Any) -> AsyncIterator[engine.Engine]:
    """An engine, and beside it an emulator that has these functions of APP."""
    async with (
        Environments(Log()) as environments,
        new_emulator(directory, environments=environments, clock=SystemClock()) as emulator,
    ):
        for name in functions:
            timeout = 1 if name == "hang" else 30
            code = {"ZipFile": zipped({"app.py": APP})}
            await created(emulator, name, runtime=RUNTIME, handler=f"app.{name}", code=code, timeout=timeout)
        invoker = Invoker(emulator)
        await until(lambda: all(invoker.has(name, None) for name in functions))
        async with engine.Engine.in_memory(
            options.pop("handlers", None), lambda_emulator=invoker, region=REGION, account_id=ACCOUNT, **options
        ) as one:
            yield one


def direct(function: str, **fields: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}", **fields}


async def result(one: engine.Engine, definition: dict[str, Any], value: Any = None) -> Any:
    with anyio.fail_after(DEADLINE_SECONDS):
        return await (await one.start_execution(definition, value or {})).result()


async def test_a_function_does_the_tasks_that_call_it_in_both_ways(tmp_path):
    state = invoke("echo") | {"Parameters": {"FunctionName": "echo", "Payload.$": "$", "LogType": "Tail"}}
    async with emulated(tmp_path, "echo") as one:
        assert await result(one, machine(direct("echo")), {"n": "ü"}) == {"n": "ü"}
        envelope = await result(one, machine(state), {"n": 2})
    assert (envelope["Payload"], envelope["ExecutedVersion"], envelope["StatusCode"]) == ({"n": 2}, "$LATEST", 200)
    assert (
        envelope["SdkResponseMetadata"]["RequestId"] == envelope["SdkHttpMetadata"]["HttpHeaders"]["x-amzn-RequestId"]
    )
    assert b"looking at {'n': 2}" in base64.b64decode(envelope["LogResult"])


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        ("fail", "OutOfStock", "none left"),
        ("leave", "Runtime.ExitError", "Runtime exited"),
        ("hang", "Sandbox.Timedout", "Task timed out after 1.00 seconds"),
    ],
)
async def test_a_function_fails_as_lambdas_do(function, error, message, tmp_path):
    async with emulated(tmp_path, function) as one:
        caught = await result(one, machine(invoke(function, Retry=retry(1), Catch=catch("B")), ECHO))
    cause = json.loads(caught["Cause"])
    assert (caught["Error"], cause["errorType"]) == (error, error)
    assert message in cause["errorMessage"]


async def test_a_state_that_has_less_time_than_its_function_times_out(tmp_path):
    async with emulated(tmp_path, "echo", "doze") as one:
        caught = await result(one, machine(direct("doze", TimeoutSeconds=1, Catch=catch("B")), ECHO))
        assert caught["Error"] == "States.Timeout"
        assert await result(one, machine(direct("echo")), 5) == 5


async def test_what_lambda_refuses_is_its_own_error(tmp_path):
    state = direct("echo:nowhere", Catch=catch("B"))
    async with emulated(tmp_path, "echo") as one:
        caught = await result(one, machine(state, ECHO))
        bad = invoke("echo") | {"Parameters": {"FunctionName": "echo", "Payload": "no JSON"}, "Catch": catch("B")}
        refused = await result(one, machine(bad, ECHO))
    assert caught["Error"] == "Lambda.ResourceNotFoundException"
    assert (
        "(Service: AWSLambda; Status Code: 404; Error Code: ResourceNotFoundException; Request ID: " in caught["Cause"]
    )
    assert refused["Error"] == "Lambda.InvalidRequestContentException"


async def test_256_kib_go_through_and_more_do_not(tmp_path):
    async with emulated(tmp_path, "give_much") as one:
        assert len(await result(one, machine(direct("give_much")), {"bytes": 262_142})) == 262_142
        caught = await result(one, machine(direct("give_much", Catch=catch("B")), ECHO), {"bytes": 262_143})
    assert caught["Error"] == "States.DataLimitExceeded"


async def test_client_context_and_qualifier_reach_the_function(tmp_path):
    parameters = {
        "FunctionName": "claim",
        "Payload": {},
        "Qualifier": "$LATEST",
        "ClientContext": "eyJjdXN0b20iOnsiYSI6ImIifX0=",
    }
    async with emulated(tmp_path, "claim") as one:
        envelope = await result(one, machine(invoke("claim") | {"Parameters": parameters}))
    assert envelope["Payload"] == [{"a": "b"}, "$LATEST"]


async def test_an_event_is_taken_down_and_the_state_goes_on(tmp_path):
    state = invoke("hang") | {"Parameters": {"FunctionName": "hang", "InvocationType": "Event"}}
    async with emulated(tmp_path, "hang") as one:
        assert (await result(one, machine(state)))["StatusCode"] == 202
