"""Every operation of botocore's service model over real HTTP: its success, its paging, and each of its errors.

The tables are held against the model: an operation or error that AWS adds is missed here until somebody sees to it.
"""

from __future__ import annotations

import json
import selectors
import socket
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from engine.operations.activities import POLLERS_MAX
from tests.cli.fleet import Fleet
from tests.cli.test_serve import client, serving
from tests.conformance.api_adapter import service_model
from tests.waiting import DEADLINE_SECONDS, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HEAD = "arn:aws:states:us-east-1:123456789012"
ROLE = "arn:aws:iam::123456789012:role/any"
KEY = "arn:aws:kms:us-east-1:123456789012:key/a"


def machine(name: str) -> str:
    return f"{HEAD}:stateMachine:{name}"


def execution(name: str) -> str:
    return f"{HEAD}:execution:{name}"


def activity(name: str) -> str:
    return f"{HEAD}:activity:{name}"


def text(states: dict[str, Any]) -> str:
    return json.dumps({"StartAt": next(iter(states)), "States": states})


QUICK = text({
    "A": {
        "Type": "Choice", "Default": "B",
        "Choices": [{"Variable": "$.fails", "IsPresent": True, "Next": "F"}],
    },
    "B": {"Type": "Pass", "End": True},
    "F": {"Type": "Fail", "Error": "No"},
})  # fmt: skip
SLOW = text({"A": {"Type": "Wait", "Seconds": 3_000, "End": True}})
WORK = text({"A": {"Type": "Task", "Resource": activity("work"), "End": True}})
STATE = '{"Type": "Pass", "End": true}'

LONG = "x" * 3_000
"""Longer than any name, ARN or description may be."""

NO_ARN = "x"
NO_MACHINE, NO_EXECUTION, NO_ACTIVITY = machine("nobody"), execution("quick:nobody"), activity("nobody")
MAP_RUN = f"{HEAD}:mapRun:quick/l:1"
LABELLED = machine("quick/label")
ROUTE = [{"stateMachineVersionArn": machine("quick:1"), "weight": 100}]
MANY_TAGS = [{"key": f"k{number}", "value": ""} for number in range(51)]
OWN_KEY = {"type": "CUSTOMER_MANAGED_KMS_KEY"}
OPEN_TOKEN, CLOSED_TOKEN = "<open>", "<closed>"
"""Stand for tokens of Tasks that wait and that are over."""

CREATE = {"name": "new", "definition": QUICK, "roleArn": ROLE}
UPDATE = {"stateMachineArn": machine("quick")}


class World:
    """What is there before anything is asked: every kind of resource, in every condition that an error asks for."""

    def __init__(self, sfn: Any, url: str, fleet: Fleet) -> None:
        self.sfn = sfn
        self.fleet = fleet
        self.address = url.removeprefix("http://")
        self.tokens: dict[str, str] = {}
        for name, definition, kind in [
            ("quick", QUICK, "STANDARD"), ("slow", SLOW, "STANDARD"), ("work", WORK, "STANDARD"),
            ("leaving", SLOW, "STANDARD"), ("full", QUICK, "STANDARD"), ("gone", QUICK, "STANDARD"),
            ("express", text({"A": {"Type": "Succeed"}}), "EXPRESS"),
        ]:  # fmt: skip
            sfn.create_state_machine(name=name, definition=definition, roleArn=ROLE, type=kind, publish=True)
        for name in ("work", "other", "idle", "crowded", "gone"):
            sfn.create_activity(name=name)
        self._versions(fleet.place[1])
        self._executions()
        sfn.start_execution(stateMachineArn=machine("leaving"), name="waits")
        sfn.create_state_machine_alias(name="a", routingConfiguration=_route("leaving:1"))
        sfn.delete_state_machine(stateMachineArn=machine("leaving"))

    def _versions(self, database: str) -> None:
        sfn = self.sfn
        sfn.update_state_machine(stateMachineArn=machine("quick"), definition=QUICK + " ", publish=True)
        for name in ("live", "next", "gone"):
            sfn.create_state_machine_alias(name=name, routingConfiguration=ROUTE)
        for number in range(100):
            sfn.create_state_machine_alias(name=f"a{number}", routingConfiguration=_route("full:1"))
        sfn.update_state_machine(stateMachineArn=machine("full"), definition=SLOW)
        # A thousand publications take a thousand changes.
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "insert into asl.version (state_machine_id, number, revision_id, creation_date) "
                "select v.state_machine_id, n, gen_random_uuid(), 0 from generate_series(2, 1000) n, asl.version v "
                "join asl.state_machine m on m.id = v.state_machine_id where m.name = 'full'"
            )

    def _executions(self) -> None:
        sfn = self.sfn
        sfn.tag_resource(resourceArn=machine("quick"), tags=[{"key": "a", "value": "b"}])
        for name, given in [("done", "{}"), ("failed", '{"fails": 1}'), ("failed2", '{"fails": 1}')]:
            sfn.start_execution(stateMachineArn=machine("quick:live"), name=name, input=given)
        sfn.start_execution(stateMachineArn=machine("slow"), name="runs")
        sfn.start_execution(stateMachineArn=machine("slow"), name="stops")
        for name in ("failed", "failed2", "done"):
            wait_until(lambda name=name: self.status(execution(f"quick:{name}")) != "RUNNING")
        for name in (OPEN_TOKEN, CLOSED_TOKEN, "beats", "succeeds", "fails"):
            self.tokens[name] = self._token()
        sfn.send_task_success(taskToken=self.tokens[CLOSED_TOKEN], output="1")

    def _token(self) -> str:
        self.sfn.start_execution(stateMachineArn=machine("work"))
        return str(self.sfn.get_activity_task(activityArn=activity("work"))["taskToken"])

    def status(self, arn: str) -> str:
        return str(self.sfn.describe_execution(executionArn=arn)["status"])

    def ask(self, operation: str, arguments: dict[str, Any], sfn: Any = None) -> Any:
        """botocore's answer to an operation by AWS's name of it."""
        given = {name: self.tokens.get(value, value) if isinstance(value, str) else value
                 for name, value in arguments.items()}  # fmt: skip
        sfn = sfn or self.sfn
        method = next(python for python, name in sfn.meta.method_to_api_mapping.items() if name == operation)
        return getattr(sfn, method)(**given)

    @contextmanager
    def pollers(self, number: int) -> Iterator[None]:
        """Polls for the Tasks of `crowded`, as many as may; one more was refused."""
        host, _, port = self.address.partition(":")
        body = json.dumps({"activityArn": activity("crowded")})
        scope = "123456789012/20300101/us-east-1/states/aws4_request"
        request = (
            f"POST / HTTP/1.1\r\nHost: {host}\r\nX-Amz-Target: AWSStepFunctions.GetActivityTask\r\n"
            f"Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        with ExitStack() as stack:
            answered = stack.enter_context(selectors.DefaultSelector())
            for _ in range(number + 1):
                connection = stack.enter_context(socket.create_connection((host, int(port)), timeout=DEADLINE_SECONDS))
                connection.sendall(request.encode())
                answered.register(connection, selectors.EVENT_READ)
            assert answered.select(30)
            yield


def _route(version: str) -> list[dict[str, Any]]:
    return [{"stateMachineVersionArn": machine(version), "weight": 100}]


@pytest.fixture(scope="module")
def world(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    fleet = Fleet(tmp_path_factory.mktemp("world"), "--db", new_database())
    with serving(fleet) as (_, url), client(url) as sfn:
        yield World(sfn, url, fleet)


@pytest.fixture
def full(world: World) -> Iterator[Any]:
    """A client of a server that lets nobody create anything more."""
    quotas = ("--quota", "state-machines=1", "--quota", "activities=1")
    with serving(world.fleet, *quotas, command="server") as (_, url), client(url) as sfn:
        yield sfn


# ── success ─────────────────────────────────────────────────────────────────────────────────────────────────────────

SUCCESSES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "CreateActivity": ({"name": "paint", "tags": MANY_TAGS[:50]}, {"activityArn": activity("paint")}),
    "CreateStateMachine": (
        {**CREATE, "name": "made", "publish": True, "tags": MANY_TAGS[:50]},
        {"stateMachineArn": machine("made"), "stateMachineVersionArn": machine("made:1")},
    ),
    "CreateStateMachineAlias": (
        {"name": "new", "routingConfiguration": ROUTE},
        {"stateMachineAliasArn": machine("quick:new")},
    ),
    "DeleteActivity": ({"activityArn": activity("gone")}, {}),
    "DeleteStateMachine": ({"stateMachineArn": machine("gone")}, {}),
    "DeleteStateMachineAlias": ({"stateMachineAliasArn": machine("quick:gone")}, {}),
    "DeleteStateMachineVersion": ({"stateMachineVersionArn": machine("slow:1")}, {}),
    "DescribeActivity": ({"activityArn": activity("other")}, {"name": "other"}),
    "DescribeExecution": ({"executionArn": execution("quick:done")}, {"status": "SUCCEEDED", "output": "{}"}),
    "DescribeStateMachine": ({"stateMachineArn": machine("slow")}, {"definition": SLOW, "status": "ACTIVE"}),
    "DescribeStateMachineAlias": (
        {"stateMachineAliasArn": machine("quick:live")},
        {"name": "live", "routingConfiguration": ROUTE},
    ),
    "DescribeStateMachineForExecution": (
        {"executionArn": execution("quick:done")},
        {"definition": QUICK, "stateMachineArn": machine("quick")},
    ),
    "GetExecutionHistory": ({"executionArn": execution("quick:failed"), "reverseOrder": True, "maxResults": 1}, {}),
    "GetActivityTask": ({"activityArn": activity("work"), "workerName": "w"}, {"input": '{"n":1}'}),
    "ListActivities": ({}, {}),
    "ListExecutions": ({"stateMachineArn": machine("quick:live"), "statusFilter": "FAILED"}, {}),
    "ListMapRuns": ({"executionArn": execution("quick:done")}, {"mapRuns": []}),
    "ListStateMachineAliases": ({"stateMachineArn": machine("quick:1")}, {}),
    "ListStateMachineVersions": ({"stateMachineArn": machine("quick")}, {}),
    "ListStateMachines": ({}, {}),
    "ListTagsForResource": ({"resourceArn": machine("quick")}, {"tags": [{"key": "a", "value": "b"}]}),
    "PublishStateMachineVersion": (
        {"stateMachineArn": machine("quick"), "description": "x"},
        {"stateMachineVersionArn": machine("quick:2")},
    ),
    "RedriveExecution": ({"executionArn": execution("quick:failed2"), "clientToken": "x"}, {}),
    "SendTaskFailure": ({"taskToken": "fails", "error": "E", "cause": "C"}, {}),
    "SendTaskHeartbeat": ({"taskToken": "beats"}, {}),
    "SendTaskSuccess": ({"taskToken": "succeeds", "output": "{}"}, {}),
    "StartExecution": (
        {"stateMachineArn": machine("quick:live"), "name": "started", "input": "[1]"},
        {"executionArn": execution("quick:started")},
    ),
    "StartSyncExecution": (
        {"stateMachineArn": machine("express"), "input": "[1]"},
        {"status": "SUCCEEDED", "output": "[1]"},
    ),
    "StopExecution": ({"executionArn": execution("slow:stops"), "error": "E", "cause": "C"}, {}),
    "TagResource": ({"resourceArn": activity("idle"), "tags": [{"key": "c", "value": ""}]}, {}),
    "TestState": ({"definition": STATE, "input": "[1]"}, {"status": "SUCCEEDED", "output": "[1]"}),
    "UntagResource": ({"resourceArn": activity("idle"), "tagKeys": ["nothing"]}, {}),
    "UpdateStateMachine": ({"stateMachineArn": machine("slow"), "roleArn": ROLE + "2"}, {}),
    "UpdateStateMachineAlias": ({"stateMachineAliasArn": machine("quick:next"), "description": "d"}, {}),
    "ValidateStateMachineDefinition": (
        {"definition": QUICK},
        {"result": "OK", "diagnostics": [], "truncated": False},
    ),
}
"""What is asked, and what the answer has in it besides times and ids."""

NEVER_SUCCEED = {
    "DescribeMapRun": "there are no Map Runs: Distributed Maps are not run",
    "UpdateMapRun": "likewise",
}

LOOKED_UP_AFTERWARDS: dict[str, tuple[str, dict[str, Any], Callable[[Any], Any], Any]] = {
    "DeleteActivity": ("ListActivities", {},
                       lambda told: [one["name"] for one in told["activities"] if one["name"] == "gone"], []),
    "DeleteStateMachine": ("ListStateMachines", {},
                           lambda told: [one["name"] for one in told["stateMachines"] if one["name"] == "gone"], []),
    "DeleteStateMachineAlias": ("ListStateMachineAliases", {"stateMachineArn": machine("quick:1")},
                                lambda told: [one["stateMachineAliasArn"] for one in told["stateMachineAliases"]
                                              if one["stateMachineAliasArn"].endswith("gone")], []),
    "DeleteStateMachineVersion": ("ListStateMachineVersions", {"stateMachineArn": machine("slow")},
                                  lambda told: told["stateMachineVersions"], []),
    "StopExecution": ("DescribeExecution", {"executionArn": execution("slow:stops")},
                      lambda told: (told["status"], told["error"], told["cause"]), ("ABORTED", "E", "C")),
    "TagResource": ("ListTagsForResource", {"resourceArn": activity("idle")},
                    lambda told: told["tags"], [{"key": "c", "value": ""}]),
    "RedriveExecution": ("DescribeExecution", {"executionArn": execution("quick:failed2")},
                         lambda told: told["redriveCount"], 1),
    "UpdateStateMachine": ("DescribeStateMachine", {"stateMachineArn": machine("slow")},
                           lambda told: told["roleArn"], ROLE + "2"),
    "UpdateStateMachineAlias": ("DescribeStateMachineAlias", {"stateMachineAliasArn": machine("quick:next")},
                                lambda told: (told["description"], told["routingConfiguration"]), ("d", ROUTE)),
}  # fmt: skip
"""What is seen of it by another operation."""


@pytest.mark.parametrize("operation", sorted(SUCCESSES))
def test_an_operation_does_what_it_is_for(world: World, operation: str) -> None:
    if operation == "GetActivityTask":
        world.sfn.start_execution(stateMachineArn=machine("work"), input='{"n":1}')
    given, expected = SUCCESSES[operation]
    answer = world.ask(operation, given)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert {name: answer[name] for name in expected} == expected
    required = service_model().operation_model(operation).output_shape.required_members
    assert set(required) <= set(answer)
    if operation in LOOKED_UP_AFTERWARDS:
        other, asked, seen, wanted = LOOKED_UP_AFTERWARDS[operation]
        assert seen(world.ask(other, asked)) == wanted


# ── paging ──────────────────────────────────────────────────────────────────────────────────────────────────────────

PAGED: dict[str, tuple[dict[str, Any], str, Callable[[Any], Any], list[Any]]] = {
    "GetExecutionHistory": ({"executionArn": execution("quick:done")}, "events", lambda event: event["id"],
                            [1, 2, 3, 4, 5, 6]),
    "ListActivities": ({}, "activities", lambda one: one["name"], ["crowded", "idle", "other", "work"]),
    "ListExecutions": ({"stateMachineArn": machine("slow")}, "executions", lambda one: one["name"], ["stops", "runs"]),
    "ListStateMachineAliases": ({"stateMachineArn": machine("quick")}, "stateMachineAliases",
                                lambda one: one["stateMachineAliasArn"].rpartition(":")[2], ["live", "next"]),
    "ListStateMachineVersions": ({"stateMachineArn": machine("quick")}, "stateMachineVersions",
                                 lambda one: one["stateMachineVersionArn"], [machine("quick:2"), machine("quick:1")]),
    "ListStateMachines": ({}, "stateMachines", lambda one: one["name"],
                          ["express", "full", "leaving", "quick", "slow", "work"]),
}  # fmt: skip
"""What is asked, where the items are, what is looked at of each, and what there is at least."""

NEVER_PAGED = {"ListMapRuns": "there are no Map Runs: Distributed Maps are not run"}


@pytest.mark.parametrize("operation", sorted(PAGED))
def test_pages_of_one_have_together_what_one_page_has(world: World, operation: str) -> None:
    given, key, looked_at, expected = PAGED[operation]
    whole = [looked_at(item) for item in world.ask(operation, given)[key]]
    assert [item for item in whole if item in expected] == expected
    found: list[Any] = []
    more: dict[str, Any] = {"maxResults": 1}
    while more:
        answer = world.ask(operation, {**given, **more})
        assert len(answer[key]) <= 1
        found += [looked_at(item) for item in answer[key]]
        more = {"maxResults": 1, "nextToken": answer["nextToken"]} if "nextToken" in answer else {}
    assert found == whole


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────

BAD_TOKEN = {"nextToken": "x"}
ERRORS: dict[str, dict[str, dict[str, Any]]] = {
    "CreateActivity": {
        "ActivityLimitExceeded": {"name": "new"},
        "ActivityAlreadyExists": {"name": "other", "encryptionConfiguration": {**OWN_KEY, "kmsKeyId": KEY}},
        "InvalidEncryptionConfiguration": {"name": "new", "encryptionConfiguration": OWN_KEY},
        "InvalidName": {"name": "a b"},
        "TooManyTags": {"name": "new", "tags": MANY_TAGS},
    },
    "CreateStateMachine": {
        "InvalidArn": {**CREATE, "roleArn": NO_ARN},
        "InvalidDefinition": {**CREATE, "definition": "{}"},
        "InvalidEncryptionConfiguration": {**CREATE, "encryptionConfiguration": OWN_KEY},
        "InvalidLoggingConfiguration": {**CREATE, "loggingConfiguration": {"level": "ALL"}},
        "InvalidName": {**CREATE, "name": "a b"},
        "StateMachineAlreadyExists": {**CREATE, "name": "slow"},
        "StateMachineDeleting": {**CREATE, "name": "leaving"},
        "StateMachineLimitExceeded": CREATE,
        "TooManyTags": {**CREATE, "tags": MANY_TAGS},
        "ValidationException": {**CREATE, "versionDescription": "of no version"},
    },
    "CreateStateMachineAlias": {
        "ConflictException": {"name": "live", "routingConfiguration": _route("quick:2")},
        "InvalidArn": {"name": "a", "routingConfiguration": [{"stateMachineVersionArn": NO_ARN, "weight": 100}]},
        "ResourceNotFound": {"name": "a", "routingConfiguration": _route("quick:77")},
        "ServiceQuotaExceededException": {"name": "one-more", "routingConfiguration": _route("full:1")},
        "StateMachineDeleting": {"name": "b", "routingConfiguration": _route("leaving:1")},
        "ValidationException": {"name": "1", "routingConfiguration": ROUTE},
    },
    "DeleteActivity": {"InvalidArn": {"activityArn": NO_ARN}},
    "DeleteStateMachine": {
        "InvalidArn": {"stateMachineArn": NO_ARN},
        "ValidationException": {"stateMachineArn": LABELLED},
    },
    "DeleteStateMachineAlias": {
        "InvalidArn": {"stateMachineAliasArn": machine("quick")},
        "ResourceNotFound": {"stateMachineAliasArn": f"{NO_MACHINE}:a"},
        "ValidationException": {"stateMachineAliasArn": machine("quick/label:a")},
    },
    "DeleteStateMachineVersion": {
        "ConflictException": {"stateMachineVersionArn": machine("quick:1")},
        "InvalidArn": {"stateMachineVersionArn": machine("quick:live")},
        "ValidationException": {"stateMachineVersionArn": machine("quick/label:1")},
    },
    "DescribeActivity": {
        "ActivityDoesNotExist": {"activityArn": NO_ACTIVITY},
        "InvalidArn": {"activityArn": NO_ARN},
    },
    "DescribeExecution": {
        "ExecutionDoesNotExist": {"executionArn": NO_EXECUTION},
        "InvalidArn": {"executionArn": f"{HEAD}:express:m:e:1"},
    },
    "DescribeMapRun": {"InvalidArn": {"mapRunArn": NO_ARN}, "ResourceNotFound": {"mapRunArn": MAP_RUN}},
    "DescribeStateMachine": {
        "InvalidArn": {"stateMachineArn": NO_ARN},
        "StateMachineDoesNotExist": {"stateMachineArn": NO_MACHINE},
    },
    "DescribeStateMachineAlias": {
        "InvalidArn": {"stateMachineAliasArn": NO_ARN},
        "ResourceNotFound": {"stateMachineAliasArn": machine("quick:nobody")},
        "ValidationException": {"stateMachineAliasArn": LONG},
    },
    "DescribeStateMachineForExecution": {
        "ExecutionDoesNotExist": {"executionArn": NO_EXECUTION},
        "InvalidArn": {"executionArn": machine("quick")},
    },
    "GetActivityTask": {
        "ActivityDoesNotExist": {"activityArn": NO_ACTIVITY},
        "ActivityWorkerLimitExceeded": {"activityArn": activity("crowded")},
        "InvalidArn": {"activityArn": NO_ARN},
    },
    "GetExecutionHistory": {
        "ExecutionDoesNotExist": {"executionArn": NO_EXECUTION},
        "InvalidArn": {"executionArn": NO_ARN},
        "InvalidToken": {"executionArn": execution("quick:done"), **BAD_TOKEN},
    },
    "ListActivities": {"InvalidToken": BAD_TOKEN},
    "ListExecutions": {
        "InvalidArn": {"stateMachineArn": NO_ARN},
        "InvalidToken": {"stateMachineArn": machine("quick"), **BAD_TOKEN},
        "ResourceNotFound": {"mapRunArn": MAP_RUN},
        "StateMachineDoesNotExist": {"stateMachineArn": NO_MACHINE},
        "StateMachineTypeNotSupported": {"stateMachineArn": machine("express")},
        "ValidationException": {"stateMachineArn": machine("quick"), "mapRunArn": MAP_RUN},
    },
    "ListMapRuns": {
        "ExecutionDoesNotExist": {"executionArn": NO_EXECUTION},
        "InvalidArn": {"executionArn": NO_ARN},
        "InvalidToken": {"executionArn": execution("quick:done"), **BAD_TOKEN},
    },
    "ListStateMachineAliases": {
        "InvalidArn": {"stateMachineArn": NO_ARN},
        "InvalidToken": {"stateMachineArn": machine("quick"), **BAD_TOKEN},
        "ResourceNotFound": {"stateMachineArn": machine("quick:77")},
        "StateMachineDeleting": {"stateMachineArn": machine("leaving")},
        "StateMachineDoesNotExist": {"stateMachineArn": NO_MACHINE},
    },
    "ListStateMachineVersions": {
        "InvalidArn": {"stateMachineArn": NO_ARN},
        "InvalidToken": {"stateMachineArn": machine("quick"), **BAD_TOKEN},
        "ValidationException": {"stateMachineArn": machine("quick"), "maxResults": 1_001},
    },
    "ListStateMachines": {"InvalidToken": BAD_TOKEN},
    "ListTagsForResource": {
        "InvalidArn": {"resourceArn": execution("quick:done")},
        "ResourceNotFound": {"resourceArn": NO_MACHINE},
    },
    "PublishStateMachineVersion": {
        "ConflictException": {"stateMachineArn": machine("quick"), "revisionId": "INITIAL"},
        "InvalidArn": {"stateMachineArn": NO_ARN},
        "ServiceQuotaExceededException": {"stateMachineArn": machine("full")},
        "StateMachineDeleting": {"stateMachineArn": machine("leaving")},
        "StateMachineDoesNotExist": {"stateMachineArn": NO_MACHINE},
        "ValidationException": {"stateMachineArn": machine("quick"), "description": LONG},
    },
    "RedriveExecution": {
        "ExecutionDoesNotExist": {"executionArn": NO_EXECUTION},
        "ExecutionNotRedrivable": {"executionArn": execution("quick:done")},
        "InvalidArn": {"executionArn": f"{HEAD}:express:m:e:1"},
        "ValidationException": {"executionArn": execution("quick:failed"), "clientToken": "a b"},
    },
    "SendTaskFailure": {"InvalidToken": {"taskToken": "x"}, "TaskTimedOut": {"taskToken": CLOSED_TOKEN}},
    "SendTaskHeartbeat": {"InvalidToken": {"taskToken": "x"}, "TaskTimedOut": {"taskToken": CLOSED_TOKEN}},
    "SendTaskSuccess": {
        "InvalidOutput": {"taskToken": OPEN_TOKEN, "output": "{"},
        "InvalidToken": {"taskToken": "x", "output": "1"},
        "TaskTimedOut": {"taskToken": CLOSED_TOKEN, "output": "1"},
    },
    "StartExecution": {
        "ExecutionAlreadyExists": {"stateMachineArn": machine("quick"), "name": "done"},
        "InvalidArn": {"stateMachineArn": NO_ARN},
        "InvalidExecutionInput": {"stateMachineArn": machine("quick"), "input": "{"},
        "InvalidName": {"stateMachineArn": machine("quick"), "name": "a b"},
        "StateMachineDeleting": {"stateMachineArn": machine("leaving")},
        "StateMachineDoesNotExist": {"stateMachineArn": machine("quick:nobody")},
        "ValidationException": {"stateMachineArn": LABELLED},
    },
    "StartSyncExecution": {
        "InvalidArn": {"stateMachineArn": NO_ARN},
        "InvalidExecutionInput": {"stateMachineArn": machine("express"), "input": "{"},
        "InvalidName": {"stateMachineArn": machine("express"), "name": "a b"},
        "StateMachineDeleting": {"stateMachineArn": machine("leaving")},
        "StateMachineDoesNotExist": {"stateMachineArn": NO_MACHINE},
        "StateMachineTypeNotSupported": {"stateMachineArn": machine("quick")},
    },
    "StopExecution": {
        "ExecutionDoesNotExist": {"executionArn": NO_EXECUTION},
        "InvalidArn": {"executionArn": f"{HEAD}:express:m:e:1"},
        "ValidationException": {"executionArn": execution("slow:runs"), "error": LONG},
    },
    "TagResource": {
        "InvalidArn": {"resourceArn": NO_ARN, "tags": []},
        "ResourceNotFound": {"resourceArn": NO_ACTIVITY, "tags": MANY_TAGS[:1]},
        "TooManyTags": {"resourceArn": activity("other"), "tags": MANY_TAGS},
    },
    "TestState": {
        "InvalidArn": {"definition": STATE, "roleArn": NO_ARN},
        "InvalidDefinition": {"definition": "{}"},
        "InvalidExecutionInput": {"definition": STATE, "input": "{"},
        "ValidationException": {"definition": QUICK, "stateName": "nobody"},
    },
    "UntagResource": {
        "InvalidArn": {"resourceArn": NO_ARN, "tagKeys": []},
        "ResourceNotFound": {"resourceArn": NO_ACTIVITY, "tagKeys": ["a"]},
    },
    "UpdateMapRun": {
        "InvalidArn": {"mapRunArn": NO_ARN, "maxConcurrency": 1},
        "ResourceNotFound": {"mapRunArn": MAP_RUN, "maxConcurrency": 1},
        "ValidationException": {"mapRunArn": MAP_RUN},
    },
    "UpdateStateMachine": {
        "InvalidArn": {"stateMachineArn": NO_ARN, "roleArn": ROLE},
        "InvalidDefinition": {**UPDATE, "definition": "{}"},
        "InvalidEncryptionConfiguration": {**UPDATE, "encryptionConfiguration": OWN_KEY},
        "InvalidLoggingConfiguration": {**UPDATE, "loggingConfiguration": {"level": "ALL"}},
        "MissingRequiredParameter": UPDATE,
        "ServiceQuotaExceededException": {"stateMachineArn": machine("full"), "roleArn": ROLE, "publish": True},
        "StateMachineDeleting": {"stateMachineArn": machine("leaving"), "roleArn": ROLE},
        "StateMachineDoesNotExist": {"stateMachineArn": NO_MACHINE, "roleArn": ROLE},
        "ValidationException": {"stateMachineArn": LABELLED, "roleArn": ROLE},
    },
    "UpdateStateMachineAlias": {
        "InvalidArn": {"stateMachineAliasArn": NO_ARN, "description": "d"},
        "ResourceNotFound": {"stateMachineAliasArn": machine("quick:nobody"), "description": "d"},
        "StateMachineDeleting": {"stateMachineAliasArn": machine("leaving:a"), "description": "d"},
        "ValidationException": {"stateMachineAliasArn": machine("quick:live")},
    },
    "ValidateStateMachineDefinition": {"ValidationException": {"definition": QUICK, "maxResults": 101}},
}
"""What is asked so that an error of the model is the answer."""

OF_A_FULL_SERVER = {"ActivityLimitExceeded", "StateMachineLimitExceeded"}

NEVER_RAISED: dict[tuple[str, str], str] = {
    ("*", "KmsAccessDeniedException"): "nothing is encrypted with the caller's key, so none is ever asked for",
    ("*", "KmsInvalidStateException"): "likewise",
    ("*", "KmsThrottlingException"): "likewise",
    ("*", "ExecutionLimitExceeded"): "as many executions may be open as the database holds",
    ("*", "TaskDoesNotExist"): "InvalidToken for a token that nobody minted, as recorded; else TaskTimedOut",
    ("*", "InvalidTracingConfiguration"): "its one member is true or false, and both can be had",
    ("CreateStateMachine", "StateMachineTypeNotSupported"): "both types are supported",
    ("CreateStateMachine", "ConflictException"): "creations of one name are one after another",
    ("CreateStateMachineAlias", "InvalidName"): "the pattern of the model is stricter: ValidationException",
    ("DeleteStateMachineAlias", "ConflictException"): "changes of one alias are one after another",
    ("UpdateStateMachineAlias", "ConflictException"): "likewise",
    ("UpdateStateMachine", "ConflictException"): "takes another update between the change and its publication",
}  # fmt: skip
"""Errors of the model that no request can bring about here, and why; `*`: of any operation."""


def is_listed(operation: str, error: str) -> bool:
    return (operation, error) in NEVER_RAISED or ("*", error) in NEVER_RAISED


@pytest.mark.parametrize(
    ("operation", "error"), [(operation, error) for operation, errors in ERRORS.items() for error in errors]
)
def test_each_error_of_the_model_is_answered_where_it_is_due(
    world: World, operation: str, error: str, request: pytest.FixtureRequest
) -> None:
    sfn = request.getfixturevalue("full") if error in OF_A_FULL_SERVER else world.sfn
    with ExitStack() as stack:
        if error == "ActivityWorkerLimitExceeded":
            stack.enter_context(world.pollers(POLLERS_MAX))
        with pytest.raises(ClientError) as caught:
            world.ask(operation, ERRORS[operation][error], sfn)
    assert isinstance(caught.value, getattr(sfn.exceptions, error, ClientError))
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (error, 400)
    assert response["Error"]["Message"]


# ── the tables are whole ────────────────────────────────────────────────────────────────────────────────────────────


def operations() -> list[Any]:
    model = service_model()
    return [model.operation_model(name) for name in model.operation_names]


def test_every_operation_of_the_model_is_asked_or_listed() -> None:
    assert set(SUCCESSES).isdisjoint(NEVER_SUCCEED)
    assert {operation.name for operation in operations()} == {*SUCCESSES, *NEVER_SUCCEED}


def test_every_operation_that_pages_is_paged_or_listed() -> None:
    paging = {operation.name for operation in operations() if "nextToken" in operation.output_shape.members}
    assert paging == {*PAGED, *NEVER_PAGED}


def test_every_error_of_the_model_is_asked_for_or_listed() -> None:
    modelled = {(operation.name, shape.name) for operation in operations() for shape in operation.error_shapes}
    asked = {(operation, error) for operation, errors in ERRORS.items() for error in errors}
    assert sorted(asked - modelled) == []
    assert sorted(pair for pair in modelled - asked if not is_listed(*pair)) == []
    assert sorted(pair for pair in asked if is_listed(*pair)) == []
    errors = {error for _, error in modelled}
    assert all(error in errors if operation == "*" else (operation, error) in modelled
               for operation, error in NEVER_RAISED)  # fmt: skip


def test_what_another_account_has_is_denied(world: World) -> None:
    theirs = machine("quick").replace("123456789012", "210987654321")
    with pytest.raises(ClientError) as caught:
        world.sfn.start_execution(stateMachineArn=theirs)
    assert caught.value.response["Error"] == {
        "Code": "AccessDeniedException",
        "Message": "User: arn:aws:iam::123456789012:root is not authorized to perform: states:StartExecution on "
        f"resource: {theirs} because no resource-based policy allows the states:StartExecution action",
    }
