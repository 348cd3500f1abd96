from __future__ import annotations

import json

import pytest

from engine import Engine
from engine.errors import (
    ApiError,
    ExecutionDoesNotExist,
    InvalidArn,
    InvalidName,
    InvalidToken,
    MissingRequiredParameter,
    StateMachineAlreadyExists,
    StateMachineDoesNotExist,
    TooManyTags,
    ValidationException,
)
from engine.operations.resources import target
from engine.operations.state_machines import (
    create_state_machine,
    delete_state_machine,
    describe_state_machine,
    describe_state_machine_for_execution,
    list_state_machines,
    update_state_machine,
)
from engine.operations.tags import list_tags_for_resource
from engine.operations.versions import list_state_machine_versions

pytestmark = pytest.mark.anyio

HEAD = "arn:aws:states:us-east-1:123456789012:stateMachine:"
ROLE = "arn:aws:iam::123456789012:role/r"
LOG_GROUP = "arn:aws:logs:us-east-1:123456789012:log-group:g:*"


def passing(**fields: object) -> str:
    return json.dumps({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True, **fields}}})


async def created(service, name="m", **members):
    return await create_state_machine(service, **{"name": name, "definition": passing(), "role_arn": ROLE, **members})


async def described(service, arn=HEAD + "m", **members):
    return await describe_state_machine(service, state_machine_arn=arn, **members)


def logging_to(*groups: str, level: str = "ALL"):
    return {"level": level, "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": group}} for group in groups]}


# ── CreateStateMachine ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_state_machine_is_described_with_what_nobody_said(service):
    made = await created(service)
    assert await described(service) == {
        "state_machine_arn": HEAD + "m",
        "name": "m",
        "status": "ACTIVE",
        "definition": passing(),
        "role_arn": ROLE,
        "type": "STANDARD",
        "creation_date": made["creation_date"],
        "logging_configuration": {"level": "OFF", "includeExecutionData": False},
        "tracing_configuration": {"enabled": False},
        "encryption_configuration": {"type": "AWS_OWNED_KEY"},
    }
    assert set(made) == {"state_machine_arn", "creation_date"}


async def test_the_same_again_gives_the_first_one_whatever_its_role_and_tags(service):
    first = await created(service, tags=[{"key": "k", "value": "v"}])
    again = await created(service, role_arn=ROLE + "2", tags=[{"key": "k", "value": "w"}])
    assert again == first
    assert (await described(service))["role_arn"] == ROLE
    assert await list_tags_for_resource(service, resource_arn=HEAD + "m") == {"tags": [{"key": "k", "value": "v"}]}


@pytest.mark.parametrize(
    "other",
    [
        {"definition": passing() + " "},
        {"type": "EXPRESS"},
        {"logging_configuration": logging_to(LOG_GROUP)},
        {"tracing_configuration": {"enabled": True}},
        {"publish": True},
    ],
)
async def test_another_one_of_that_name_is_refused(service, other):
    await created(service)
    with pytest.raises(StateMachineAlreadyExists, match=f"State Machine Already Exists: '{HEAD}m'"):
        await created(service, **other)


async def test_the_defaults_said_aloud_are_no_difference(service):
    first = await created(service)
    spelled = {"logging_configuration": {"level": "OFF"}, "tracing_configuration": {}, "type": "STANDARD"}
    assert await created(service, **spelled, encryption_configuration={"type": "AWS_OWNED_KEY"}) == first


async def test_it_can_be_published_at_once(service):
    made = await created(service, publish=True, version_description="one")
    assert made["state_machine_version_arn"] == HEAD + "m:1"
    assert await created(service, publish=True, version_description="one") == made
    version = await described(service, HEAD + "m:1")
    assert (version["state_machine_arn"], version["description"]) == (HEAD + "m:1", "one")
    assert "description" not in await described(service)


@pytest.mark.parametrize(
    ("members", "error", "message"),
    [
        ({"name": "a b"}, InvalidName, "Invalid Name: 'a b'"),
        ({"role_arn": "r"}, InvalidArn, "Invalid Role Arn: 'r'"),
        ({"role_arn": HEAD + "m"}, InvalidArn, f"Invalid Role Arn: '{HEAD}m'"),
        (
            {"version_description": "d"},
            ValidationException,
            "Version description can only be set when publish is true",
        ),
        ({"publish": True, "version_description": "\0"}, ValidationException, None),
        ({"tags": [{"key": "aws:k", "value": "v"}]}, ValidationException, None),
        ({"tags": [{"key": "k", "value": "\ud800"}]}, ValidationException, None),
        ({"tags": [{"key": str(number)} for number in range(51)]}, TooManyTags, None),
        (
            {"definition": "{}"},
            ApiError,
            "Invalid State Machine Definition: 'SCHEMA_VALIDATION_FAILED: These fields are required: "
            "[States, StartAt] at /'",
        ),
        (
            {"logging_configuration": {"level": "ALL"}},
            ApiError,
            "Invalid Logging Configuration: Must specify exactly one Log Destination.",
        ),
        (
            {"logging_configuration": logging_to(LOG_GROUP, LOG_GROUP)},
            ApiError,
            "Invalid Logging Configuration: Must specify exactly one Log Destination.",
        ),
        (
            {"logging_configuration": logging_to(LOG_GROUP.removesuffix(":*"))},
            ApiError,
            "Invalid Logging Configuration: Log Destination not found.",
        ),
        ({"encryption_configuration": {"type": "CUSTOMER_MANAGED_KMS_KEY"}}, ApiError, None),
        ({"encryption_configuration": {"type": "AWS_OWNED_KEY", "kmsKeyId": "k"}}, ApiError, None),
    ],
)
async def test_a_member_that_is_wrong_is_refused_and_nothing_is_made(service, members, error, message):
    with pytest.raises(error) as caught:
        await created(service, **members)
    if message is not None:
        assert caught.value.message == message
    assert await list_state_machines(service) == {"state_machines": []}


async def test_logging_is_shown_as_it_was_given_and_whole(service):
    await created(service, logging_configuration=logging_to(LOG_GROUP))
    shown = (await described(service))["logging_configuration"]
    assert shown == {**logging_to(LOG_GROUP), "includeExecutionData": False}
    await created(service, "n", logging_configuration={"destinations": []})
    shown = (await described(service, HEAD + "n"))["logging_configuration"]
    assert shown == {"level": "OFF", "includeExecutionData": False, "destinations": []}


async def test_a_key_of_the_customers_is_shown_with_its_period(service):
    await created(service, encryption_configuration={"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "k"})
    assert (await described(service))["encryption_configuration"] == {
        "type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "k", "kmsDataKeyReusePeriodSeconds": 300
    }  # fmt: skip


# ── UpdateStateMachine ──────────────────────────────────────────────────────────────────────────────────────────────


async def updated(service, arn=HEAD + "m", **members):
    return await update_state_machine(service, state_machine_arn=arn, **members)


async def test_a_change_has_a_revision_id_and_the_same_again_the_same(service):
    await created(service)
    assert "revision_id" not in await described(service)
    first = await updated(service, definition=passing(Comment="2"))
    assert (await described(service))["revision_id"] == first["revision_id"]
    again = await updated(service, definition=passing(Comment="2"), role_arn=ROLE)
    assert again["revision_id"] == first["revision_id"]
    by_role = await updated(service, role_arn=ROLE + "2")
    by_logging = await updated(service, logging_configuration={"level": "OFF", "includeExecutionData": True})
    assert len({made["revision_id"] for made in (first, by_role, by_logging)}) == 3
    shown = await described(service)
    assert (shown["role_arn"], json.loads(shown["definition"])["States"]["P"]["Comment"]) == (ROLE + "2", "2")


async def test_an_update_that_publishes_names_the_version(service):
    await created(service)
    unchanged = await updated(service, definition=passing(), publish=True, version_description="one")
    assert unchanged["state_machine_version_arn"] == HEAD + "m:1"
    assert "revision_id" not in unchanged
    assert (await updated(service, definition=passing(), publish=True))["state_machine_version_arn"] == HEAD + "m:1"
    changed = await updated(service, definition=passing(Comment="2"), publish=True)
    assert changed["state_machine_version_arn"] == HEAD + "m:2"
    assert (await described(service, HEAD + "m:2"))["revision_id"] == changed["revision_id"]
    assert (await described(service, HEAD + "m:1"))["definition"] == passing()


async def test_an_update_without_anything_to_update_says_what_is_missing(service):
    await created(service)
    for members in ({}, {"publish": True}):
        with pytest.raises(MissingRequiredParameter, match=r"^Either the definition, the role ARN, the LoggingConf"):
            await updated(service, **members)


@pytest.mark.parametrize("arn", [HEAD + "n", HEAD + "m:1", HEAD + "m:prod"])
async def test_only_a_state_machine_can_be_updated(service, arn):
    await created(service, publish=True)
    with pytest.raises(StateMachineDoesNotExist, match=f"^State Machine Does Not Exist: '{arn}'$"):
        await updated(service, arn, role_arn=ROLE)


async def test_an_update_with_a_wrong_member_changes_nothing(service):
    await created(service, type="EXPRESS")
    before = await described(service)
    waiting = passing(Type="Task", Resource="arn:aws:states:::sqs:sendMessage.waitForTaskToken", Parameters={})
    for members in ({"definition": "{}"}, {"definition": waiting}, {"role_arn": "r"}, {"role_arn": ROLE + "\0"}):
        with pytest.raises(ApiError):
            await updated(service, **members)
    assert await described(service) == before


# ── DescribeStateMachine ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arn", "error"),
    [
        ("m", InvalidArn),
        (HEAD + "m:1:2", InvalidArn),
        (HEAD + "m:", InvalidArn),
        (HEAD + "\0", InvalidArn),
        (HEAD + "m:\ud800", InvalidArn),
        (HEAD.replace("stateMachine", "activity") + "m", InvalidArn),
        (HEAD + "n", StateMachineDoesNotExist),
        (HEAD + "m:2", StateMachineDoesNotExist),
        (HEAD + "m:01", StateMachineDoesNotExist),
        (HEAD + "m:" + "9" * 30, StateMachineDoesNotExist),
        (HEAD + "m:prod", StateMachineDoesNotExist),
    ],
)
async def test_what_is_not_there_is_not_described(service, arn, error):
    await created(service, publish=True)
    for asked in (described, target):
        with pytest.raises(error) as caught:
            await asked(service, arn)
        assert error is not StateMachineDoesNotExist or f"'{arn}'" in caught.value.message


async def test_a_labelled_arn_is_refused_with_its_reason(service):
    for refused in (described, updated):
        with pytest.raises(ValidationException) as caught:
            await refused(service, HEAD + "m/label")
        assert caught.value.reason == "API_DOES_NOT_SUPPORT_LABELED_ARNS"
    with pytest.raises(ValidationException):
        await delete_state_machine(service, state_machine_arn=HEAD + "m/label")


async def test_variables_that_states_read_are_shown_by_state(service):
    definition = {
        "StartAt": "A",
        "States": {
            "A": {"Type": "Pass", "Assign": {"x": 1, "y": 2}, "Next": "B"},
            "B": {"Type": "Pass", "Parameters": {"a.$": "$y", "b.$": "$x"}, "End": True},
        },
    }
    await created(service, definition=json.dumps(definition))
    assert (await described(service))["variable_references"] == {"B": ["x", "y"]}
    metadata = await described(service, included_data="METADATA_ONLY")
    assert metadata["definition"] == "{}"
    assert "variable_references" not in metadata


async def test_a_definition_in_yaml_is_shown_as_json():
    async with Engine.in_memory() as engine:
        machine = await engine.deploy("StartAt: P\nStates:\n  P:\n    Type: Pass\n    End: true\n", "m")
        shown = await described(engine.service, machine.arn)
        assert json.loads(shown["definition"]) == json.loads(passing())
        assert shown["role_arn"] == f"arn:aws:iam::{engine.service.account_id}:role/asl-engine"


# ── DescribeStateMachineForExecution ────────────────────────────────────────────────────────────────────────────────


async def test_the_state_machine_of_an_execution_is_as_it_was_when_that_started():
    async with Engine.in_memory(clock="virtual") as engine:
        service = engine.service
        machine = await engine.create_state_machine(passing(), "m")
        execution = await engine.start_execution(machine)
        await execution.result()
        changed = await updated(service, machine.arn, definition=passing(Comment="2"), role_arn=ROLE)
        shown = await describe_state_machine_for_execution(service, execution_arn=execution.arn)
        assert (shown["definition"], shown["state_machine_arn"]) == (passing(), machine.arn)
        assert "revision_id" not in shown
        assert not {"type", "status", "creation_date", "description"} & set(shown)
        later = await engine.start_execution("m")
        shown = await describe_state_machine_for_execution(service, execution_arn=later.arn)
        assert (shown["revision_id"], shown["role_arn"]) == (changed["revision_id"], ROLE)
        assert shown["update_date"] == changed["update_date"]
        with pytest.raises(ExecutionDoesNotExist):
            await describe_state_machine_for_execution(service, execution_arn=execution.arn + "x")
        with pytest.raises(InvalidArn, match="Resource type not valid in this context: express"):
            await describe_state_machine_for_execution(
                service, execution_arn=execution.arn.replace("execution", "express")
            )


# ── DeleteStateMachine, ListStateMachines ───────────────────────────────────────────────────────────────────────────


async def test_one_that_is_deleted_is_gone_with_its_versions_and_deleting_nothing_is_fine(service):
    await created(service, publish=True)
    for _ in range(2):
        assert await delete_state_machine(service, state_machine_arn=HEAD + "m") == {}
    for arn in (HEAD + "m", HEAD + "m:1"):
        with pytest.raises(StateMachineDoesNotExist):
            await described(service, arn)
    versions = await list_state_machine_versions(service, state_machine_arn=HEAD + "m")
    assert versions == {"state_machine_versions": []}
    with pytest.raises(InvalidArn, match="Invalid ARN prefix: m"):
        await delete_state_machine(service, state_machine_arn="m")
    with pytest.raises(ValidationException):
        await delete_state_machine(service, state_machine_arn=HEAD + "m:1")


async def test_state_machines_are_listed_in_pages_of_one_account(service):
    for name in ("b", "a_1", "a_10", "B"):
        await created(service, name)
    await created(service.of("999999999999"), "other")
    pages, token = [], None
    while True:
        answer = await list_state_machines(service, max_results=3, next_token=token)
        pages.append([item["name"] for item in answer["state_machines"]])
        token = answer.get("next_token")
        if token is None:
            break
    assert pages == [["B", "a_1", "a_10"], ["b"]]
    with pytest.raises(InvalidToken):
        await list_state_machines(service, next_token="x")
    assert (await list_state_machines(service.of("999999999999")))["state_machines"][0]["state_machine_arn"] == (
        "arn:aws:states:us-east-1:999999999999:stateMachine:other"
    )
