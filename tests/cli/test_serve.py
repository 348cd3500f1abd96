"""The server as its operator and real clients see it: a process, boto3, signals, keys."""

from __future__ import annotations

import json
import signal
import socket
import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.cli.command_line import asl
from tests.cli.fleet import LAMBDA, LEASE_SECONDS, TOKEN_RESOURCE, Fleet, task
from tests.cli.test_worker_service import probe, sample
from tests.waiting import DEADLINE_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.fleet import Process

KEYS = """
[a]
aws_access_key_id = AKIDA
aws_secret_access_key = secret-of-a
[b]
aws_access_key_id = ASIAB
aws_secret_access_key = secret-of-b
aws_session_token = token-of-b
aws_account_id = 210987654321
"""


@contextmanager
def serving(fleet: Fleet, *words: str, command: str = "serve") -> Iterator[tuple[Process, str]]:
    """A server that answers, and its URL."""
    more = ("--handlers", "shop.py", "--lease-seconds", LEASE_SECONDS) if command == "serve" else ()
    with fleet.process(command, "--port", "0", *more, *words) as process:
        url = process.until("answering requests")["url"]
        process.until("server started")
        yield process, url


@contextmanager
def client(url: str, key: str = "123456789012", secret: str = "x", token: str | None = None) -> Iterator[Any]:
    made = boto3.client(
        "stepfunctions", endpoint_url=url, region_name="us-east-1",
        aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token,
        config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}, read_timeout=65),
    )  # fmt: skip
    try:
        yield made
    finally:
        made.close()


def refusal(call: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call()
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_boto3_sees_what_the_worker_beside_it_did(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": task("charge")})
    with serving(fleet, "-t", 'charge=mock:{"paid": true}', "--health", "127.0.0.1:0") as (process, url):
        address = next(event for event in process.events() if event["event"] == "answering probes")["address"]
        arn = fleet.start("m")
        fleet.asl("wait", arn)
        with client(url, "000000000000") as sfn:
            told = sfn.describe_execution(executionArn=arn)
            assert (told["status"], told["output"]) == ("SUCCEEDED", '{"paid":true}')
            events = sfn.get_execution_history(executionArn=arn)["events"]
            assert [event["type"] for event in events][-1] == "ExecutionSucceeded"
            assert refusal(lambda: sfn.describe_execution(executionArn=arn + "x")) == ("ExecutionDoesNotExist", 400)
            assert refusal(lambda: sfn.send_task_success(taskToken="x", output="{}")) == ("InvalidToken", 400)
            assert refusal(lambda: sfn.list_activities(maxResults=1001)) == ("ValidationException", 400)
        counted = 'asl_api_requests_total{error="InvalidToken",operation="SendTaskSuccess",status="400"}'
        wait_until(lambda: sample(address, counted) == 1)
        assert sample(address, 'asl_executions_ended_total{status="SUCCEEDED"}') == 1
        assert probe(address, "/readyz")[0] == 200
        process.signal(signal.SIGTERM)
        assert process.ended() == 0
        assert process.events()[-1]["event"] == "server stopped"


def test_a_client_of_aws_needs_nothing_else(fleet: Fleet) -> None:
    waits = {"Type": "Task", "Resource": TOKEN_RESOURCE, "End": True,
             "Parameters": {"FunctionName": LAMBDA + "ask", "Payload": {"token.$": "$$.Task.Token"}}}  # fmt: skip
    definition = json.dumps({"StartAt": "A", "States": {"A": waits}})
    role = "arn:aws:iam::123456789012:role/any"
    with serving(fleet) as (_, url), client(url) as sfn:
        machine = sfn.create_state_machine(
            name="m", definition=definition, roleArn=role, tags=[{"key": "a", "value": ""}]
        )
        arn = machine["stateMachineArn"]
        assert arn == "arn:aws:states:us-east-1:123456789012:stateMachine:m"  # the account of the access key
        assert sfn.describe_state_machine(stateMachineArn=arn)["definition"] == definition
        assert sfn.list_tags_for_resource(resourceArn=arn)["tags"] == [{"key": "a", "value": ""}]
        started = sfn.start_execution(stateMachineArn=arn, name="one", input='{"a": 1}', traceHeader="Root=1")
        execution = started["executionArn"]
        assert (
            sfn.start_execution(stateMachineArn=arn, name="one", input='{"a": 1}')["startDate"] == started["startDate"]
        )
        pages = sfn.get_paginator("get_execution_history")

        def scheduled() -> str | None:
            events = [event for page in pages.paginate(executionArn=execution, PaginationConfig={"PageSize": 1})
                      for event in page["events"]]  # fmt: skip
            found = [event["taskScheduledEventDetails"] for event in events if "taskScheduledEventDetails" in event]
            return json.loads(found[0]["parameters"])["Payload"]["token"] if found else None

        sfn.send_task_success(taskToken=wait_until(scheduled), output='{"ok":true}')
        wait_until(lambda: sfn.describe_execution(executionArn=execution)["status"] != "RUNNING")
        told = sfn.describe_execution(executionArn=execution)
        assert (told["status"], told["output"], told["traceHeader"]) == ("SUCCEEDED", '{"ok":true}', "Root=1")
        assert [one["name"] for one in sfn.list_executions(stateMachineArn=arn)["executions"]] == ["one"]
        again = lambda: sfn.start_execution(stateMachineArn=arn, name="one")  # noqa: E731
        assert refusal(again) == ("ExecutionAlreadyExists", 400)
        assert sfn.test_state(definition='{"Type": "Pass", "End": true}', roleArn=role)["status"] == "SUCCEEDED"
        quick = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
        express = sfn.create_state_machine(name="e", definition=quick, roleArn=role, type="EXPRESS")["stateMachineArn"]
        done = sfn.start_sync_execution(stateMachineArn=express, input='{"b": 2}')
        assert (done["status"], json.loads(done["output"])) == ("SUCCEEDED", {"b": 2})
        with client(url, "210987654321") as other:
            assert other.list_state_machines()["stateMachines"] == []
        sfn.delete_state_machine(stateMachineArn=arn)


def test_a_server_alone_starts_nothing_and_leaves_the_tasks_to_workers(fleet: Fleet) -> None:
    fleet.deploy("m", {"A": task("charge")})
    with (
        serving(fleet, "--health", "127.0.0.1:0", command="server") as (process, url),
        client(url, "000000000000") as sfn,
    ):
        address = next(event for event in process.events() if event["event"] == "answering probes")["address"]
        assert probe(address, "/readyz")[0] == 200
        arn = fleet.start("m")
        assert sfn.describe_execution(executionArn=arn)["status"] == "RUNNING"
        with fleet.worker("-t", "charge=mock:1"):
            wait_until(lambda: sfn.describe_execution(executionArn=arn)["status"] == "SUCCEEDED")
        process.signal(signal.SIGTERM)
        assert process.ended() == 0


def test_a_long_poll_ends_when_the_server_is_told_to_stop(fleet: Fleet) -> None:
    activity = "arn:aws:states:us-east-1:000000000000:activity:pack"
    fleet.deploy("m", {"A": {"Type": "Pass", "End": True}})
    answers: list[Any] = []
    with (
        serving(fleet, "--health", "127.0.0.1:0", "--drain-seconds", "30") as (process, url),
        client(url, "000000000000") as sfn,
    ):
        address = next(event for event in process.events() if event["event"] == "answering probes")["address"]
        create_activity(fleet, "pack")
        poll = threading.Thread(target=lambda: answers.append(sfn.get_activity_task(activityArn=activity)))
        poll.start()
        wait_until(lambda: sample(address, "asl_api_in_flight") == 1)
        process.signal(signal.SIGTERM)
        poll.join(DEADLINE_SECONDS)
        assert process.ended() == 0
    assert set(answers[0]) == {"ResponseMetadata"}


def create_activity(fleet: Fleet, name: str) -> None:
    from engine import blocking

    with blocking.Engine(fleet.place[1]) as engine:
        engine.create_activity(name)


def test_access_keys_decide_who_is_answered_and_no_secret_is_logged(fleet: Fleet, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(KEYS)
    with serving(fleet, "--access-keys", str(keys), "--host", "0.0.0.0", command="server") as (process, url):
        url = url.replace("0.0.0.0", "127.0.0.1")
        with client(url, "AKIDA", "secret-of-a") as sfn:
            assert sfn.list_activities()["activities"] == []
        with client(url, "ASIAB", "secret-of-b", "token-of-b") as sfn:
            assert sfn.list_activities()["activities"] == []
        with client(url, "AKIDA", "guessed") as sfn:
            assert refusal(sfn.list_activities) == ("InvalidSignatureException", 400)
        with client(url, "ASIAB", "secret-of-b") as sfn:
            assert refusal(sfn.list_activities) == ("UnrecognizedClientException", 400)
        with client(url) as sfn:
            assert refusal(sfn.list_activities) == ("UnrecognizedClientException", 400)
        process.signal(signal.SIGTERM)
        assert process.ended() == 0
        assert "secret" not in "".join(process.lines)
        assert "token-of-b" not in "".join(process.lines)


def test_clients_are_throttled_as_by_aws_when_that_is_asked_for(fleet: Fleet) -> None:
    with serving(fleet, "--rate-limit", "ListActivities=2/0.001", command="server") as (_, url), client(url) as sfn:
        assert [sfn.list_activities()["activities"] for _ in range(2)] == [[], []]
        assert refusal(sfn.list_activities) == ("ThrottlingException", 400)


# ── how it refuses to begin ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("command", ["serve", "server", "dev"])
def test_an_open_server_refuses_an_address_that_others_reach(command: str) -> None:
    result = asl(command, "--host", "0.0.0.0", "--port", "0")
    assert result.exit_code == 1
    assert "--host 0.0.0.0: whoever reaches this address could start executions" in result.stderr


def status_under_another_name(url: str) -> int:
    connection = HTTPConnection("127.0.0.1", int(url.rpartition(":")[2]))
    try:
        headers = {"Host": "page.example", "X-Amz-Target": "AWSStepFunctions.ListActivities"}
        connection.request("POST", "/", b"{}", headers)
        return connection.getresponse().status
    finally:
        connection.close()


def test_that_it_is_open_may_be_meant(fleet: Fleet) -> None:
    with serving(fleet, "--host", "0.0.0.0", "--insecure-no-auth", command="server") as (process, url):
        assert url.startswith("http://0.0.0.0:")
        assert next(event for event in process.events() if event["event"] == "answering requests")["open"]
        assert status_under_another_name(url) == 200


def test_an_open_server_is_not_asked_under_the_name_of_a_web_page(fleet: Fleet) -> None:
    with serving(fleet, command="server") as (_, url):
        assert status_under_another_name(url) == 403


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--access-keys", "/nowhere"], "--access-keys /nowhere: No such file or directory"),
        (["--jwt-audience", "x"], "need --jwt-issuer"),
        (["--jwt-issuer", "https://x.example"], "expected at least one audience"),
        (["--jwt-issuer", "http://x.example", "--jwt-audience", "x"], "expected an https:// URL"),
        (["--jwt-issuer", "https://x.example", "--jwt-audience", "x", "--jwt-scope", "x"], "expected SCOPE=ACTIONS"),
        (["--tls-cert", "x"], "go together"),
        (["--tls-cert", "/nowhere", "--tls-key", "/nowhere"], "--tls-cert, --tls-key: /nowhere"),
        (["--rate-limit", "fast"], "--rate-limit: expected aws, or"),
        (["--quota", "few"], "--quota: expected aws, state-machines=N or activities=N, got 'few'"),
        (["--port", "70000"], "70000"),
        (["--host", "no.such.host.invalid", "--insecure-no-auth"], "--host no.such.host.invalid"),
    ],
)
def test_options_that_mean_nothing_are_told(words: list[str], told: str) -> None:
    result = asl("server", *words)
    assert result.exit_code == 1
    assert told in result.stderr


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        result = asl("server", "--port", port)
    assert result.exit_code == 1
    assert f"--host 127.0.0.1 --port {port}: Address already in use; --port N takes another port" in result.stderr


def test_the_environment_may_name_the_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASL_ACCESS_KEYS", "/nowhere")
    assert "ASL_ACCESS_KEYS /nowhere: No such file" in asl("server").stderr
