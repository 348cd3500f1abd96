"""The AWS CLI from PyPI, unchanged, with nothing but what `asl env` prints, against a server on PostgreSQL."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.command_line import asl
from tests.cli.fleet import LAMBDA, TOKEN_RESOURCE
from tests.cli.test_serve import KEYS, serving
from tests.waiting import DEADLINE_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.cli.fleet import Fleet

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("awscli") is None, reason="no AWS CLI: pip install awscli, or the extra dev"
)

ROLE = "arn:aws:iam::123456789012:role/any"
PASS = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
REFUSED = 255
"""The exit code of the AWS CLI when a service answers with an error."""


class AwsCli:
    """`aws stepfunctions`, in a home of its own."""

    def __init__(self, home: Path, url: str, *words: str) -> None:
        """`words`: More of `asl env`."""
        self._home = home
        printed = json.loads(asl("env", "--url", url, *words, "--json").stdout)
        exports = {name: text for name, text in printed.items() if text}
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(("AWS_", "ASL_"))}
        self._environment = {**inherited, **exports, "HOME": str(home)}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "awscli", "stepfunctions", *words]
        return subprocess.run(
            command, env=self._environment, cwd=self._home, capture_output=True, text=True, timeout=DEADLINE_SECONDS
        )

    def __call__(self, *words: str) -> Any:
        """What an action prints; it must succeed."""
        result = self.run(*words)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout) if result.stdout.strip() else None

    def refusal(self, *words: str) -> str:
        """What it says when the service refuses."""
        result = self.run(*words)
        assert result.returncode == REFUSED, result
        return result.stderr.strip()


@pytest.fixture
def aws(fleet: Fleet, tmp_path: Path) -> Iterator[AwsCli]:
    with serving(fleet) as (_, url):
        yield AwsCli(tmp_path, url)


def created(aws: AwsCli, name: str, definition: dict[str, Any], *words: str) -> str:
    (aws._home / f"{name}.json").write_text(json.dumps(definition))
    given = ("--name", name, "--role-arn", ROLE, "--definition", f"file://{name}.json")
    return str(aws("create-state-machine", *given, *words)["stateMachineArn"])


def status_of(aws: AwsCli, execution: str) -> str:
    return str(aws("describe-execution", "--execution-arn", execution, "--query", "status"))


def test_a_state_machine_lives_from_creation_to_deletion(aws: AwsCli) -> None:
    arn = created(aws, "orders", PASS, "--tags", "key=team,value=shop")
    assert arn == "arn:aws:states:us-east-1:000000000000:stateMachine:orders"
    assert aws("list-tags-for-resource", "--resource-arn", arn)["tags"] == [{"key": "team", "value": "shop"}]
    described = aws("describe-state-machine", "--state-machine-arn", arn)
    assert (json.loads(described["definition"]), described["status"]) == (PASS, "ACTIVE")
    logging = '{"level": "OFF", "includeExecutionData": true}'
    updated = aws("update-state-machine", "--state-machine-arn", arn, "--logging-configuration", logging, "--publish")
    assert updated["stateMachineVersionArn"] == f"{arn}:1"
    route = f"stateMachineVersionArn={arn}:1,weight=100"
    alias = aws("create-state-machine-alias", "--name", "live", "--routing-configuration", route)
    for number in range(2):
        aws("start-execution", "--state-machine-arn", alias["stateMachineAliasArn"], "--name", f"e{number}")
    listing = ("list-executions", "--state-machine-arn", arn, "--query", "executions[].name", "--page-size", "1")
    assert aws(*listing) == ["e1", "e0"]
    last = "arn:aws:states:us-east-1:000000000000:execution:orders:e1"
    wait_until(lambda: status_of(aws, last) == "SUCCEEDED")
    told = ("get-execution-history", "--execution-arn", last, "--query", "events[].type", "--page-size", "2")
    assert aws(*told) == ["ExecutionStarted", "PassStateEntered", "PassStateExited", "ExecutionSucceeded"]
    aws("delete-state-machine", "--state-machine-arn", arn)
    wait_until(lambda: aws("list-state-machines")["stateMachines"] == [])


def test_long_lists_come_in_pages(aws: AwsCli) -> None:
    for name in "abc":
        aws("create-activity", "--name", name)
    first = aws("list-activities", "--max-items", "2")
    assert [one["name"] for one in first["activities"]] == ["a", "b"]
    rest = aws("list-activities", "--max-items", "2", "--starting-token", first["NextToken"])
    assert [one["name"] for one in rest["activities"]] == ["c"]
    assert "NextToken" not in rest
    by_hand = aws("list-activities", "--no-paginate", "--max-results", "2")
    assert len(by_hand["activities"]) == 2
    rest = aws("list-activities", "--no-paginate", "--next-token", by_hand["nextToken"])
    assert [one["name"] for one in rest["activities"]] == ["c"]


def test_express_executions_and_single_states_need_no_host_of_their_own(aws: AwsCli) -> None:
    express = created(aws, "quick", PASS, "--type", "EXPRESS")
    ran = aws("start-sync-execution", "--state-machine-arn", express, "--input", '{"a": 1}')
    assert (ran["status"], json.loads(ran["output"])) == ("SUCCEEDED", {"a": 1})
    state = '{"Type": "Pass", "Result": 7, "Next": "B"}'
    trial = aws("test-state", "--definition", state, "--role-arn", ROLE)
    assert trial == {"output": "7", "nextState": "B", "status": "SUCCEEDED"}
    told = aws("validate-state-machine-definition", "--definition", "{}")
    assert (told["result"], told["diagnostics"][0]["code"]) == ("FAIL", "SCHEMA_VALIDATION_FAILED")


def test_people_and_workers_outside_do_tasks(aws: AwsCli) -> None:
    activity = aws("create-activity", "--name", "pack")["activityArn"]
    packs = {"StartAt": "A", "States": {"A": {"Type": "Task", "Resource": activity, "End": True}}}
    arn = created(aws, "packing", packs)
    given: list[Any] = []
    poll = threading.Thread(
        target=lambda: given.append(aws("get-activity-task", "--activity-arn", activity, "--worker-name", "me"))
    )
    poll.start()
    started = ("start-execution", "--state-machine-arn", arn, "--input", '{"parcel": 3}', "--query", "executionArn")
    execution = aws(*started)
    poll.join(DEADLINE_SECONDS)
    token = given[0]["taskToken"]
    assert json.loads(given[0]["input"]) == {"parcel": 3}
    aws("send-task-heartbeat", "--task-token", token)
    aws("send-task-success", "--task-token", token, "--task-output", '"packed"')
    wait_until(lambda: status_of(aws, execution) == "SUCCEEDED")
    late = aws.refusal("send-task-failure", "--task-token", token)
    assert "An error occurred (TaskTimedOut) when calling the SendTaskFailure operation" in late


def test_what_failed_is_driven_again_and_what_waits_is_stopped(aws: AwsCli) -> None:
    fails = {"StartAt": "A", "States": {"A": {"Type": "Fail", "Error": "No", "Cause": "luck"}}}
    failing = created(aws, "failing", fails)
    execution = aws("start-execution", "--state-machine-arn", failing, "--query", "executionArn")
    wait_until(lambda: status_of(aws, execution) == "FAILED")
    aws("redrive-execution", "--execution-arn", execution)
    redriven = ("describe-execution", "--execution-arn", execution, "--query", "[redriveCount,status]")
    wait_until(lambda: aws(*redriven) == [1, "FAILED"])
    asked = {"FunctionName": LAMBDA + "ask", "Payload": {"token.$": "$$.Task.Token"}}
    asks = {"Type": "Task", "Resource": TOKEN_RESOURCE, "Parameters": asked, "End": True}
    waiting = created(aws, "waiting", {"StartAt": "A", "States": {"A": asks}})
    execution = aws("start-execution", "--state-machine-arn", waiting, "--query", "executionArn")
    assert aws("stop-execution", "--execution-arn", execution, "--error", "Enough")["stopDate"]
    assert status_of(aws, execution) == "ABORTED"


def test_errors_have_their_names_and_exit_codes(aws: AwsCli) -> None:
    nobody = "arn:aws:states:us-east-1:000000000000:stateMachine:nobody"
    said = aws.refusal("start-execution", "--state-machine-arn", nobody)
    assert said == (
        "An error occurred (StateMachineDoesNotExist) when calling the StartExecution operation: "
        f"State Machine Does Not Exist: '{nobody}'"
    )
    said = aws.refusal("list-activities", "--no-paginate", "--max-results", "1001")
    assert "(ValidationException)" in said
    assert "Member must have value less than or equal to 1000" in said
    said = aws.refusal("create-state-machine", "--name", "a b", "--role-arn", ROLE, "--definition", "{}")
    assert "(InvalidName)" in said


def test_requests_are_signed_with_the_keys_of_a_profile(fleet: Fleet, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(KEYS)
    with serving(fleet, "--access-keys", str(keys), command="server") as (_, url):
        temporary = AwsCli(tmp_path, url, "--access-keys", str(keys), "--profile", "b")
        activity = temporary("create-activity", "--name", "pack")["activityArn"]
        assert activity == "arn:aws:states:us-east-1:210987654321:activity:pack"
        own = AwsCli(tmp_path, url, "--access-keys", str(keys))
        assert own("list-activities")["activities"] == []
        said = own.refusal("describe-activity", "--activity-arn", activity)
        assert "(AccessDeniedException)" in said
        assert "arn:aws:iam::000000000000:root is not authorized to perform: states:DescribeActivity" in said
        keys.write_text(KEYS.replace("secret-of-a", "guessed"))
        assert "(InvalidSignatureException)" in own.refusal("list-activities")
