"""Log records reach a file, the process's log, and log groups of CloudWatch Logs."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

from engine import Engine
from engine.errors import InvalidLoggingConfiguration
from engine.events.delivery import TryAgain
from engine.events.execution_logs import LogRecord
from engine.events.log_sinks import VALIDATION_STREAM, CloudWatchSink, FileSink
from engine.operations.state_machines import create_state_machine, update_state_machine
from tests.definitions import machine
from tests.events.engines import GROUP, GROUP_ARN, Notices, logging_to, run_logged

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

PASS = {"Type": "Pass"}
WHOLE = ["ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"]


@pytest.fixture
def logs(aws: Any) -> Iterator[Any]:
    """A client of CloudWatch Logs that has the log group."""
    client = aws("logs")
    client.create_log_group(logGroupName=GROUP)
    yield client
    client.delete_log_group(logGroupName=GROUP)
    client.close()


def streams(logs: Any) -> list[str]:
    return [stream["logStreamName"] for stream in logs.describe_log_streams(logGroupName=GROUP)["logStreams"]]


def messages(logs: Any, stream: str) -> list[dict[str, Any]]:
    """What is in a stream, all pages of it."""
    found: list[dict[str, Any]] = []
    token: dict[str, str] = {}
    while True:
        page = logs.get_log_events(logGroupName=GROUP, logStreamName=stream, startFromHead=True, **token)
        if not page["events"]:
            return found
        found += page["events"]
        token = {"nextToken": page["nextForwardToken"]}


def record(number: int, text: str = "{}") -> LogRecord:
    at = int(time.time() * 1_000)
    return LogRecord(GROUP_ARN.removesuffix(":*"), "orders", at, json.dumps({"n": number, "text": text}))


async def test_the_log_group_of_the_destination_gets_the_records(logs: Any):
    notices = Notices()
    await run_logged(machine(PASS), logging_to(), {"a": 1}, logs="cloudwatch", notice=notices)
    validation, ours = streams(logs)
    assert validation == VALIDATION_STREAM, "clients count on AWS's own stream being the first"
    assert ours.startswith("states/orders/20")
    found = messages(logs, ours)
    records = [json.loads(one["message"]) for one in found]
    assert [one["type"] for one in records] == WHOLE
    assert [str(one["timestamp"]) for one in found] == [one["event_timestamp"] for one in records]
    assert notices.told == []


async def test_of_an_express_execution_there_is_a_log_too(logs: Any):
    await run_logged(machine(PASS), logging_to(), type="EXPRESS", logs="cloudwatch")
    arns = {json.loads(one["message"])["execution_arn"] for one in messages(logs, streams(logs)[1])}
    assert len(arns) == 1
    assert ":express:orders:" in arns.pop()


async def test_a_log_group_that_is_not_there_is_told_and_keeps_no_execution(aws: Any):
    notices = Notices()
    await run_logged(machine(PASS), logging_to(), logs="cloudwatch", notice=notices)
    (refused,) = notices.named("execution logs: refused")
    assert refused["log_group"] == GROUP
    assert "ResourceNotFoundException" in refused["error"]


async def test_a_state_machine_cannot_be_made_to_log_to_a_group_that_is_not_there(logs: Any):
    async with Engine.in_memory(logs="cloudwatch", region="us-east-1") as engine:
        definition = {"StartAt": "A", "States": {"A": {**PASS, "End": True}}}
        given = {"definition": json.dumps(definition), "role_arn": "arn:aws:iam::123456789012:role/r"}
        made = await create_state_machine(engine.service, name="there", logging_configuration=logging_to(), **given)
        assert streams(logs) == [VALIDATION_STREAM], "AWS tries the group with it, recorded"
        elsewhere = logging_to(GROUP_ARN.replace(GROUP, "/none"))
        with pytest.raises(InvalidLoggingConfiguration, match=r"Log Destination not found\."):
            await create_state_machine(engine.service, name="other", logging_configuration=elsewhere, **given)
        with pytest.raises(InvalidLoggingConfiguration):
            await update_state_machine(
                engine.service, state_machine_arn=made["state_machine_arn"], logging_configuration=elsewhere
            )


async def test_a_group_that_cannot_be_asked_about_is_taken_for_granted(aws: Any, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    notices = Notices()
    assert CloudWatchSink(notices).has_log_group(GROUP_ARN)
    (told,) = notices.named("execution logs: log group not checked")
    assert told["log_group"] == GROUP


def test_more_than_one_call_takes_goes_in_several(logs: Any):
    sink = CloudWatchSink(Notices())
    large = [record(number, "x" * 200_000) for number in range(12)]
    assert sink.write(large) == 0
    assert sink.write([record(number) for number in range(12, 20)]) == 0
    sink.close()
    found = messages(logs, streams(logs)[1])
    assert sorted(json.loads(one["message"])["n"] for one in found) == list(range(20))


@pytest.mark.parametrize(
    ("info", "refused"),
    [
        (None, 0),
        ({"tooOldLogEventEndIndex": 2}, 2),
        ({"tooNewLogEventStartIndex": 4}, 1),
        ({"tooOldLogEventEndIndex": 2, "expiredLogEventEndIndex": 3, "tooNewLogEventStartIndex": 4}, 4),
    ],
)
def test_records_that_are_too_old_or_too_new_are_counted(info: Any, refused: int):
    # The places as AWS documents them; the emulator is one off.
    class Client:
        def create_log_stream(self, **_: Any) -> None:
            pass

        def put_log_events(self, **_: Any) -> Any:
            return {} if info is None else {"rejectedLogEventsInfo": info}

    sink = CloudWatchSink(Notices())
    sink._clients["us-east-1"] = Client()
    assert sink.write([record(number) for number in range(5)]) == refused


def test_a_stream_that_was_deleted_is_made_again(logs: Any):
    sink = CloudWatchSink(Notices())
    assert sink.write([record(1)]) == 0
    stream = streams(logs)[1]
    logs.delete_log_stream(logGroupName=GROUP, logStreamName=stream)
    with pytest.raises(TryAgain):
        sink.write([record(2)])
    assert sink.write([record(2)]) == 0
    sink.close()
    assert [json.loads(one["message"])["n"] for one in messages(logs, streams(logs)[1])] == [2]


def test_an_endpoint_that_is_away_is_tried_again(monkeypatch: pytest.MonkeyPatch, aws: Any):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    sink = CloudWatchSink(Notices())
    with pytest.raises(TryAgain, match=GROUP):
        sink.write([record(1)])
    sink.close()


async def test_structlog_gets_a_line_for_each_record():
    with capture_logs() as lines:
        await run_logged(machine(PASS), logging_to(level="ALL", include=False), logs="log")
    mine = [line for line in lines if line["event"] == "history event"]
    assert [line["type"] for line in mine] == WHOLE
    assert mine[1]["details"] == {"name": "A"}


def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path):
    path = tmp_path / "log"
    sink = FileSink(path)
    sink.write([record(1)])
    path.rename(tmp_path / "old")
    sink.write([record(2)])
    assert [json.loads(line)["n"] for line in path.read_text().splitlines()] == [2]


def test_a_file_that_cannot_be_written_is_tried_again(tmp_path: Path):
    with pytest.raises(TryAgain, match="No such file"):
        FileSink(tmp_path / "nowhere" / "log").write([record(1)])
