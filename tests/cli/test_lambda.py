"""The Lambda emulator as its users see it: processes, boto3, the shell, files that change, kill -9."""

from __future__ import annotations

import json
import signal
import socket
from contextlib import contextmanager
from shutil import which
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.cli.command_line import asl
from tests.cli.fleet import LEASE_SECONDS, Fleet
from tests.lambda_emulator.packages import zipped
from tests.waiting import DEADLINE_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.fleet import Process

ROLE = "arn:aws:iam::000000000000:role/r"
APP = """
import os, time

def handler(event, context):
    print("was asked", event)
    return {"event": event, "who": os.environ.get("WHO")}

def slow(event, context):
    print("slow began")
    time.sleep(event)
    print("slow ended")
    return "slept"

def broken(event, context):
    raise ValueError("no")
"""


STREAMS = """
export const handler = awslambda.streamifyResponse(async (event, stream) => {
  stream = awslambda.HttpResponseStream.from(stream, {statusCode: 206, headers: {"x-a": "b"}});
  stream.write("one ");
  stream.write("two");
  stream.end();
});
"""


@contextmanager
def client(service: str, url: str) -> Iterator[Any]:
    made = boto3.client(
        service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="000000000000",
        aws_secret_access_key="x",
        config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}, read_timeout=30),
    )  # fmt: skip
    try:
        yield made
    finally:
        made.close()


def create(functions: Any, name: str = "f", handler: str = "app.handler", **given: Any) -> None:
    functions.create_function(
        FunctionName=name, Role=ROLE, Runtime="python3.11", Handler=handler, Code={"ZipFile": zipped({"app.py": APP})},
        **given,
    )  # fmt: skip
    functions.get_waiter("function_active_v2").wait(FunctionName=name)


@pytest.fixture
def local(tmp_path: Path) -> Fleet:
    (tmp_path / "app.py").write_text(APP)
    return Fleet(tmp_path)


@contextmanager
def emulator(fleet: Fleet, *words: str) -> Iterator[tuple[Process, str]]:
    with fleet.process("lambda", "serve", "--port", "0", *words) as process:
        yield process, process.until("server started")["url"]


@contextmanager
def serving(fleet: Fleet, *words: str) -> Iterator[tuple[Process, str, str]]:
    """`asl serve`, the URL of Step Functions, and that of Lambda alone."""
    with fleet.process(
        "serve", "--port", "0", "--lambda-port", "0", "--lease-seconds", LEASE_SECONDS, *words
    ) as process:
        functions = process.until("serving functions")["url"]
        yield process, process.until("server started")["url"], functions


# ── asl lambda ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_module_is_a_function_and_a_change_of_its_file_is_seen(local: Fleet) -> None:
    with emulator(local, "app:handler", "--name", "f", "--watch", "--in-memory", "-e", "WHO=me") as (process, url):
        result = asl("lambda", "invoke", "f", "-p", '{"a": 1}', "--log", "--url", url)
        assert json.loads(result.stdout) == {"event": {"a": 1}, "who": "me"}
        assert result.exit_code == 0
        assert "was asked {'a': 1}\n" in result.stderr
        assert result.stderr.startswith("START RequestId: ")
        assert process.popen.stdout is not None
        assert process.popen.stdout.readline().startswith("f | START RequestId: ")
        (local.folder / "app.py").write_text(APP.replace("was asked", "is asked again"))
        process.until("function reloaded")
        assert "is asked again {}" in asl("lambda", "invoke", "f", "--log", "--url", url).stderr
        process.signal(signal.SIGTERM)
        assert process.ended() == 0


def test_several_functions_are_named_and_listed(local: Fleet) -> None:
    (local.folder / "index.mjs").write_text("export const handler = async (event) => event;\n")
    words = ("app:slow", "b=app:broken", "index.mjs:handler", "--in-memory", "--timeout", "9", "--memory", "256")
    with emulator(local, *words) as (_, url):
        lines = asl("lambda", "ls", "--url", url).stdout.splitlines()
        assert [line.split()[:3] for line in lines] == [
            ["NAME", "RUNTIME", "HANDLER"], ["b", "python3.11", "app.broken"], ["index", "nodejs22.x", "index.handler"],
            ["slow", "python3.11", "app.slow"],
        ]  # fmt: skip
        found = json.loads(asl("lambda", "ls", "--json", "--url", url).stdout)["Functions"]
        assert [(one["Timeout"], one["MemorySize"]) for one in found] == [(9, 256)] * 3
        failed = asl("lambda", "invoke", "b", "--url", url)
        assert failed.exit_code == 2
        assert json.loads(failed.stdout)["errorType"] == "ValueError"
        missing = asl("lambda", "invoke", "none", "--url", url)
        assert missing.exit_code == 1
        assert missing.stderr.startswith("Error: ResourceNotFoundException: Function not found: ")
        with client("lambda", url) as functions, pytest.raises(ClientError) as caught:
            functions.delete_function(FunctionName="slow")
        assert caught.value.response["Error"]["Code"] == "ResourceConflictException"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nothing:handler",), "has no module nothing: expected nothing.py, .mjs, .js or .cjs there"),
        (("app",), "expected [NAME=]MODULE:FUNCTION, as f=app:handler, got 'app'"),
        (("app:handler", "app:slow", "--name", "f"), "--name is for one function"),
        (("app:handler", "x=app:slow", "app:handler"), "two functions have one name (app, x, app)"),
        (("app:handler", "-e", "X"), "--env X: expected NAME=VALUE"),
        (("app:handler", "--name", "a b"), "expected a name of at most 64 letters, digits, - and _, got 'a b'"),
        (("app:handler", "-e", "A B=1"), "expected a variable of a letter and letters, digits or _, got 'A B'"),
        (("app:handler", "-e", "AWS_REGION=x"), "Reserved keys used in this request: AWS_REGION"),
        (("app:handler", "-e", f"XX={'x' * 4096}"), "exceeded the 4KB limit"),
        (("app:handler", "--timeout", "901"), "timeout: expected at most 900, got 901; ASL_LAMBDA_TIMEOUT_MAX allows"),
        (("app:handler", "--memory", "10241"), "memory: expected at most 10240, got 10241; ASL_LAMBDA_MEMORY_MAX"),
        (("--in-memory", "--data-dir", "d"), "--in-memory excludes --db"),
    ],
)
def test_what_cannot_be_served_is_told(local: Fleet, monkeypatch, words, told) -> None:
    monkeypatch.chdir(local.folder)
    assert told in " ".join(local.says("lambda", "serve", *words).split())


def test_a_module_may_have_more_time_where_the_setting_says_so(local: Fleet, monkeypatch) -> None:
    monkeypatch.setenv("ASL_LAMBDA_TIMEOUT_MAX", "1000")
    with emulator(local, "app:handler", "--in-memory", "--timeout", "1000") as (_, url):
        found = json.loads(asl("lambda", "ls", "--json", "--url", url).stdout)["Functions"]
    assert [one["Timeout"] for one in found] == [1_000]


def test_a_server_that_is_not_there_is_told() -> None:
    result = asl("lambda", "ls", "--url", "http://127.0.0.1:9")
    assert result.exit_code == 1
    assert "Is `asl serve` or `asl lambda serve` running?" in result.stderr


@pytest.mark.skipif(which("node") is None, reason="needs Node.js")
def test_a_node_function_streams_through_its_url(local: Fleet) -> None:
    with emulator(local, "--in-memory") as (_, url), client("lambda", url) as functions:
        functions.create_function(
            FunctionName="f", Role=ROLE, Runtime="nodejs22.x", Handler="index.handler", Timeout=30,
            Code={"ZipFile": zipped({"index.mjs": STREAMS})},
        )  # fmt: skip
        stream = functions.invoke_with_response_stream(FunctionName="f", Payload=b"{}")["EventStream"]
        parts = [event["PayloadChunk"]["Payload"] for event in stream if "PayloadChunk" in event]
        assert b"".join(parts) == b'{"statusCode":206,"headers":{"x-a":"b"}}' + bytes(8) + b"one two"
        made = functions.create_function_url_config(FunctionName="f", AuthType="NONE", InvokeMode="RESPONSE_STREAM")
        request = Request(url, headers={"Host": urlsplit(made["FunctionUrl"]).netloc})
        with urlopen(request, timeout=DEADLINE_SECONDS) as answer:
            assert (answer.status, answer.headers["x-a"], answer.read()) == (206, "b", b"one two")


def test_functions_survive_their_server(fleet: Fleet) -> None:
    with emulator(fleet) as (_, url), client("lambda", url) as functions:
        create(functions, Environment={"Variables": {"WHO": "kept"}})
    with emulator(fleet) as (_, url):
        assert json.loads(asl("lambda", "invoke", "f", "-p", "7", "--url", url).stdout) == {"event": 7, "who": "kept"}


# ── asl serve ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_one_server_answers_as_both_at_either_port(fleet: Fleet) -> None:
    with serving(fleet) as (_, sfn_url, lambda_url):
        assert f"AWS_ENDPOINT_URL_LAMBDA={sfn_url}\n" in asl("env", "--url", sfn_url).stdout
        with client("lambda", sfn_url) as functions:
            create(functions)
            location = functions.get_function(FunctionName="f")["Code"]["Location"]
            assert location.startswith(lambda_url)
        for url in (sfn_url, lambda_url):
            assert json.loads(asl("lambda", "invoke", "f", "-p", "1", "--url", url).stdout)["event"] == 1
        with client("stepfunctions", sfn_url) as machines:
            assert machines.list_state_machines()["stateMachines"] == []


def test_a_task_calls_a_function_that_was_created_here(fleet: Fleet) -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:f"
    with serving(fleet) as (process, url, lambda_url):
        with client("lambda", lambda_url) as functions:
            create(functions)
        fleet.deploy("direct", {"A": {"Type": "Task", "Resource": arn, "End": True}})
        assert json.loads(fleet.asl("wait", fleet.start("direct", "-i", "[1]")))["event"] == [1]
        parameters = {"FunctionName": "f", "Payload": {"b": 2}}
        state = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "Parameters": parameters, "End": True}
        fleet.deploy("envelope", {"A": state})
        found = json.loads(fleet.asl("wait", fleet.start("envelope")))
        assert (found["Payload"]["event"], found["StatusCode"], found["ExecutedVersion"]) == ({"b": 2}, 200, "$LATEST")
        with client("lambda", url) as functions:
            create(functions, "broken", "app.broken")
        fleet.deploy("fails", {"A": {"Type": "Task", "Resource": arn[:-1] + "broken", "End": True}})
        told = fleet.json("get", _ended(fleet, "fails"))
        assert told["error"] == "ValueError"
        process.signal(signal.SIGTERM)
        assert process.ended() == 0


def _ended(fleet: Fleet, machine: str) -> str:
    arn = fleet.start(machine)
    fleet.asl("wait", arn, code=2)
    return arn


def test_an_acknowledged_event_outlives_the_server(fleet: Fleet) -> None:
    """kill -9 while the function runs: the next server runs it again."""
    with serving(fleet) as (process, url, _), client("lambda", url) as functions:
        create(functions, handler="app.slow", Timeout=60)
        assert functions.invoke(FunctionName="f", Payload=b"60", InvocationType="Event")["StatusCode"] == 202
        wait_until(lambda: any("slow began" in line for line in process.lines))
        process.kill()
    with serving(fleet) as (process, _, _):
        wait_until(lambda: any("slow began" in line for line in process.lines))


def test_a_port_that_is_taken_is_done_without_unless_it_was_asked_for(fleet: Fleet) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert "--lambda-port" in fleet.says("serve", "--port", "0", "--lambda-port", port)


def test_no_emulator_is_had_when_none_is_wanted(fleet: Fleet) -> None:
    with fleet.process("serve", "--port", "0", "--no-lambda") as process:
        url = process.until("server started")["url"]
        with client("lambda", url) as functions, pytest.raises(ClientError):
            functions.list_functions()
        assert "AWS_ENDPOINT_URL_LAMBDA" not in asl("env", "--url", url).stdout
        assert not any("Lambda" in line for line in process.lines)
