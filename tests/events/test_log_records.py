"""Log records are what AWS writes to a log group: recorded, and by the rules of levels and payloads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from engine.events.log_records import RECORD_BYTES_MAX, LoggingConfiguration, logging_configuration, record_text
from tests.definitions import machine, retry, task
from tests.events.engines import GROUP_ARN, logging_to, run_logged
from tests.shared_data import ROOT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

RECORDINGS = sorted(ROOT.glob("conformance/sfn/logs/*.json")) + sorted(
    ROOT.glob("conformance/sfn/express/test_express_async.*BASE_RAISE_FAILURE.json")
)
FAIL = {"Type": "Fail", "Error": "Sold.Out", "Cause": "none left"}
PASS = {"Type": "Pass"}


async def records(tmp_path: Path, *run: Any, **options: Any) -> list[dict[str, Any]]:
    """What was logged of an execution."""
    path = tmp_path / "log.jsonl"
    await run_logged(*run, logs=f"file:{path}", **options)
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def comparable(record: dict[str, Any]) -> dict[str, Any]:
    """With what differs from run to run put aside, and JSON texts as what they stand for, as in the recordings."""
    details = dict(record["details"])
    for name in ("input", "output"):
        if isinstance(details.get(name), str):
            details[name] = json.loads(details[name])
    if "roleArn" in details:
        details["roleArn"] = "snf_role_arn"
    return {**record, "details": details, "event_timestamp": "timestamp", "execution_arn": "ARN"}


def test_there_are_recordings() -> None:
    if not RECORDINGS:
        pytest.skip(f"measuring data not found: {ROOT} (set ASL_SHARED_DATA to its folder)")


@pytest.fixture(params=RECORDINGS, ids=lambda path: path.stem.rpartition(".")[2][-50:])
def steps(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(request.param.read_text())["steps"]
    return found


async def test_records_are_those_that_aws_wrote(steps: list[dict[str, Any]], tmp_path: Path):
    asked = [step["params"] for step in steps if step["op"] in ("CreateStateMachine", "UpdateStateMachine")]
    logging = next(params["loggingConfiguration"] for params in asked if "loggingConfiguration" in params)
    definition = asked[0]["definition"]["@json"]
    found = [comparable(record) for record in await records(tmp_path, definition, logging, type=asked[0]["type"])]
    expectations = [
        one for step in steps for one in step.get("expect", ()) if one.get("of", "").endswith("log_messages")
    ]
    expected = [comparable(record) for one in expectations for record in one["value"]]
    last = [
        comparable(one["value"])
        for step in steps
        for one in step.get("expect", ())
        if one.get("of") == "last_log_message"
    ]
    assert (found[-1:] if last else found) == (last or expected)


async def test_levels_choose_among_the_events(tmp_path: Path):
    definition = machine(task(Retry=retry(MaxAttempts=1)), FAIL)

    async def types(level: str) -> list[str]:
        path = tmp_path / level
        path.mkdir()
        handlers = {"work": "fail:Busy:later"}
        return [one["type"] for one in await records(path, definition, logging_to(level=level), handlers=handlers)]

    assert await types("FATAL") == ["ExecutionFailed"]
    assert await types("ERROR") == ["LambdaFunctionFailed", "LambdaFunctionFailed", "ExecutionFailed"]
    assert "TaskStateEntered" in await types("ALL")
    assert await types("OFF") == []


async def test_a_fail_state_that_is_entered_is_an_error(tmp_path: Path):
    found = await records(tmp_path, machine(PASS, FAIL), logging_to(level="ERROR"))
    assert [one["type"] for one in found] == ["FailStateEntered", "ExecutionFailed"]
    assert {name: found[1][name] for name in ("id", "previous_event_id", "redrive_count")} == {
        "id": "5", "previous_event_id": "4", "redrive_count": "0",
    }  # fmt: skip


async def test_without_execution_data_there_is_no_payload_but_names_errors_and_resources(tmp_path: Path):
    definition = machine({**PASS, "Assign": {"secret": "s"}}, task(), PASS)
    logging = logging_to(include=False)
    found = await records(tmp_path, definition, logging, {"secret": 1}, handlers={"work": 'mock:{"secret":2}'})
    assert "secret" not in json.dumps([one["details"] for one in found])
    details = {one["type"]: one["details"] for one in found}
    assert details["ExecutionSucceeded"] == {}
    assert details["LambdaFunctionStarted"] == {}
    assert details["TaskStateEntered"] == {"name": "B"}
    assert details["LambdaFunctionScheduled"]["resource"].endswith(":function:work")


async def test_a_payload_too_long_for_one_event_is_cut_and_says_so(tmp_path: Path):
    given = {"text": '"' * 120_000}
    found = await records(tmp_path, machine(PASS), logging_to(), given)
    lines = (tmp_path / "log.jsonl").read_bytes().splitlines()
    assert all(len(line) <= RECORD_BYTES_MAX for line in lines)
    started = found[0]["details"]
    assert started["inputDetails"] == {"truncated": True}
    whole = json.dumps(given, ensure_ascii=False, separators=(",", ":"))
    assert whole.startswith(started["input"])
    assert max(map(len, lines)) > RECORD_BYTES_MAX - 20, "as much as fits is there"


def test_a_record_that_fits_is_left_as_it_is() -> None:
    record = {"details": {"input": "x" * 1_000, "inputDetails": {"truncated": False}}}
    assert json.loads(record_text(record)) == record


def test_a_configuration_is_read_from_the_document_of_aws() -> None:
    assert logging_configuration(logging_to(level="FATAL")) == LoggingConfiguration(
        level="FATAL", include_execution_data=True, log_group_arn=GROUP_ARN.removesuffix(":*")
    )
    assert logging_configuration({}) == LoggingConfiguration()
