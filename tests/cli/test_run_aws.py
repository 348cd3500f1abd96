"""`asl run` and Tasks that call AWS: none leaves the machine unasked, and those that may are told at the start."""

from pathlib import Path
from typing import Any

import pytest

from tests.aws_environment import without_credentials
from tests.cli.command_line import asl, write_definition

LIST_QUEUES = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sqs:listQueues", "End": True}


@pytest.fixture(autouse=True)
def _no_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    without_credentials(monkeypatch)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def machine(folder: Path, state: dict[str, Any]) -> str:
    return write_definition(folder / "m.asl.json", {"A": state})


def nested(state: dict[str, Any], mode: str = "INLINE") -> dict[str, Any]:
    """A Parallel with a Map with the state, which is called Inner."""
    config = {"Mode": mode} | ({"ExecutionType": "STANDARD"} if mode == "DISTRIBUTED" else {})
    processor = {"ProcessorConfig": config, "StartAt": "Inner", "States": {"Inner": state}}
    each = {"Type": "Map", "ItemProcessor": processor, "End": True}
    return {"Type": "Parallel", "Branches": [{"StartAt": "Each", "States": {"Each": each}}], "End": True}


@pytest.mark.parametrize("mode", ["INLINE", "DISTRIBUTED"])
def test_a_task_wherever_it_stands_asks_for_leave(mode: str, tmp_path: Path) -> None:
    result = asl("run", machine(tmp_path, nested(LIST_QUEUES, mode)), "-i", "[{}]")
    assert result.exit_code != 0
    assert "Inner calls arn:aws:states:::aws-sdk:sqs:listQueues" in result.stderr
    assert "--allow-aws lets those without a target call AWS" in result.stderr
    assert "AWS_ENDPOINT_URL, or -t '*=aws:?endpoint=URL', has an emulator such as LocalStack do them" in result.stderr


def test_a_task_whose_function_comes_from_data_asks_when_it_runs(tmp_path: Path) -> None:
    invoke = {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName.$": "$.f"},
        "End": True,
    }
    result = asl("run", machine(tmp_path, invoke), "-i", '{"f": "work"}')
    assert result.exit_code != 0
    assert "They would leave this machine" in result.stderr


@pytest.mark.parametrize("mode", ["INLINE", "DISTRIBUTED"])
def test_with_leave_what_calls_aws_is_told_before_it_does(mode: str, tmp_path: Path) -> None:
    result = asl("run", machine(tmp_path, nested(LIST_QUEUES, mode)), "-i", "[{}]", "--allow-aws")
    told = "These Tasks call other machines:\n  Inner calls arn:aws:states:::aws-sdk:sqs:listQueues at AWS\n"
    assert result.stderr.startswith(told)
    assert result.exit_code != 0, "there are no credentials, so nothing was sent"


def test_an_endpoint_elsewhere_is_told_and_one_here_is_not(tmp_path: Path, free_tcp_port: int) -> None:
    file = machine(tmp_path, LIST_QUEUES)
    here = asl("run", file, "-t", f"*=aws:?endpoint=http://127.0.0.1:{free_tcp_port}")
    assert "call other machines" not in here.stderr
    elsewhere = asl("run", file, "-t", "*=aws:?endpoint=http://elsewhere.invalid&region=us-east-1")
    assert "A calls arn:aws:states:::aws-sdk:sqs:listQueues at http://elsewhere.invalid" in elsewhere.stderr


def test_a_configured_endpoint_is_leave_enough(
    tmp_path: Path, free_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{free_tcp_port}")
    result = asl("run", machine(tmp_path, LIST_QUEUES))
    assert "Sqs.SdkClientException" in result.stderr
    assert "call other machines" not in result.stderr


def test_a_rule_answers_in_place_of_aws(tmp_path: Path) -> None:
    result = asl("run", machine(tmp_path, nested(LIST_QUEUES)), "-i", "[1]", "--allow-aws", "-t", 'Inner=mock:{"a": 1}')
    assert (result.exit_code, result.stdout) == (0, '[[{"a":1}]]\n')
    assert "call other machines" not in result.stderr


HTTP_TASK = {
    "Type": "Task",
    "Resource": "arn:aws:states:::http:invoke",
    "Parameters": {
        "ApiEndpoint": "https://api.invalid",
        "Method": "GET",
        "Authentication": {"ConnectionArn": "c"},
    },
    "End": True,
}
GATEWAY_TASK = {
    "Type": "Task",
    "Resource": "arn:aws:states:::apigateway:invoke",
    "Parameters": {"ApiEndpoint": "a.execute-api.us-east-1.invalid", "Method": "GET"},
    "End": True,
}


@pytest.mark.parametrize(
    ("state", "target", "told"),
    [
        (HTTP_TASK, "aws:", "A calls arn:aws:states:::http:invoke at the server of its ApiEndpoint"),
        (HTTP_TASK, "aws:?endpoint=http://127.0.0.1:1", "http:invoke at the server of its ApiEndpoint"),
        (HTTP_TASK, "aws:?api=https://fake.invalid", "A calls arn:aws:states:::http:invoke at https://fake.invalid"),
        (HTTP_TASK, "aws:?api=http://127.0.0.1:1", None),
        (HTTP_TASK, "https://fake.invalid/x", "A calls arn:aws:states:::http:invoke at https://fake.invalid/x"),
        (HTTP_TASK, "http://127.0.0.1:1/x", None),
        (GATEWAY_TASK, "aws:", "A calls arn:aws:states:::apigateway:invoke at AWS"),
        (GATEWAY_TASK, "aws:?endpoint=http://fake.invalid", "apigateway:invoke at http://fake.invalid"),
        (GATEWAY_TASK, "aws:?endpoint=http://127.0.0.1:1", None),
    ],
)
def test_an_api_that_is_called_is_told_unless_it_is_here(
    state: dict[str, Any], target: str, told: str | None, tmp_path: Path
) -> None:
    result = asl("run", machine(tmp_path, state), "-t", f"A={target}")
    assert result.exit_code == 2
    assert ("call other machines" in result.stderr) is (told is not None)
    assert told is None or told in result.stderr


@pytest.mark.parametrize("state", [HTTP_TASK, GATEWAY_TASK])
def test_an_api_is_not_called_unasked(state: dict[str, Any], tmp_path: Path) -> None:
    result = asl("run", machine(tmp_path, state))
    assert "--allow-aws lets those without a target call AWS and HTTPS APIs" in result.stderr
    assert """-t 'A=mock:{"StatusCode": 200, "ResponseBody": {}}'""" in result.stderr


def test_quiet_tells_nothing_at_the_start(tmp_path: Path) -> None:
    assert "call other machines" not in asl("run", machine(tmp_path, LIST_QUEUES), "--allow-aws", "-q").stderr


def test_a_misspelled_action_is_found_before_anything_runs(tmp_path: Path) -> None:
    state = LIST_QUEUES | {"Resource": "arn:aws:states:::aws-sdk:sqs:listQeues"}
    for command in ("run", "validate"):
        result = asl(command, machine(tmp_path, state))
        assert result.exit_code != 0
        assert "did you mean 'aws-sdk:sqs:listQueues'?" in result.stdout + result.stderr
