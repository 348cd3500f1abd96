from __future__ import annotations

import anyio
import pytest

from engine.errors import (
    ActivityAlreadyExists,
    ActivityDoesNotExist,
    ActivityWorkerLimitExceeded,
    InvalidArn,
    InvalidEncryptionConfiguration,
    InvalidName,
    InvalidToken,
    TooManyTags,
)
from engine.operations import activities
from engine.operations.activities import (
    create_activity,
    delete_activity,
    describe_activity,
    get_activity_task,
    list_activities,
)
from engine.operations.tags import list_tags_for_resource
from tests.waiting import DEADLINE_SECONDS

pytestmark = pytest.mark.anyio

HEAD = "arn:aws:states:us-east-1:123456789012"
DEFINITION = {
    "StartAt": "T",
    "States": {"T": {"Type": "Task", "Resource": f"{HEAD}:activity:paint", "TimeoutSeconds": 600, "End": True}},
}


async def test_an_activity_is_created_once_and_deleted_as_often_as_one_likes(engine):
    service = engine.service
    made = await create_activity(service, name="paint")
    arn = made["activity_arn"]

    assert arn == f"{HEAD}:activity:paint"
    assert await create_activity(service, name="paint") == made
    assert await describe_activity(service, activity_arn=arn) == {
        **made,
        "name": "paint",
        "encryption_configuration": {"type": "AWS_OWNED_KEY"},
    }
    for _ in range(2):
        assert await delete_activity(service, activity_arn=arn) == {}
    for operation in (describe_activity, get_activity_task):
        with pytest.raises(ActivityDoesNotExist, match=rf"^Activity Does Not Exist: '{arn}'$"):
            await operation(service, activity_arn=arn)


async def test_encryption_and_tags_are_those_of_the_creation(engine):
    service = engine.service
    own_key = {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "k"}
    made = await create_activity(
        service, name="paint", tags=[{"key": "a", "value": "1"}], encryption_configuration=own_key
    )
    arn = made["activity_arn"]
    again = await create_activity(service, name="paint", tags=[{"key": "b"}], encryption_configuration=own_key)
    assert again == made
    assert (await list_tags_for_resource(service, resource_arn=arn))["tags"] == [{"key": "a", "value": "1"}]
    shown = await describe_activity(service, activity_arn=arn)
    assert shown["encryption_configuration"]["kmsKeyId"] == "k"
    with pytest.raises(ActivityAlreadyExists):
        await create_activity(service, name="paint")
    with pytest.raises(InvalidEncryptionConfiguration):
        await create_activity(service, name="x", encryption_configuration={"type": "CUSTOMER_MANAGED_KMS_KEY"})
    with pytest.raises(TooManyTags):
        await create_activity(service, name="x", tags=[{"key": str(number)} for number in range(51)])


@pytest.mark.parametrize("name", ["a b", "a}b", "a~b", "a\x7f", "ab:c"])
async def test_a_name_that_aws_would_not_take_is_refused(engine, name):
    with pytest.raises(InvalidName, match=r"^Invalid Name: "):
        await create_activity(engine.service, name=name)


@pytest.mark.parametrize("operation", [describe_activity, delete_activity, get_activity_task])
async def test_the_arn_of_something_else_is_refused(engine, operation):
    for arn in ("paint", f"{HEAD}:stateMachine:M"):
        with pytest.raises(InvalidArn):
            await operation(engine.service, activity_arn=arn)


async def test_activities_are_listed_by_name_in_pages_for_their_account_alone(engine):
    service = engine.service
    for name in ("a_10", "a_1", "a_0", "Z"):
        await create_activity(service, name=name)
    await create_activity(service.of("999999999999"), name="a_00")
    names, token = [], None
    while True:
        page = await list_activities(service, max_results=2, next_token=token)
        names += [item["name"] for item in page["activities"]]
        assert all(item.keys() == {"activity_arn", "name", "creation_date"} for item in page["activities"])
        token = page.get("next_token")
        if token is None:
            break
    assert names == ["Z", "a_0", "a_1", "a_10"]
    with pytest.raises(InvalidToken):
        await list_activities(service, next_token="nonsense")


async def test_a_poll_gets_the_task_that_comes_while_it_waits(engine):
    service = engine.service
    arn = (await create_activity(service, name="paint"))["activity_arn"]
    machine = await engine.deploy(DEFINITION, "M")
    with anyio.fail_after(DEADLINE_SECONDS):
        async with anyio.create_task_group() as group:

            async def start() -> None:
                await anyio.wait_all_tasks_blocked()
                await engine.start_execution(machine, {"a": [1]})

            group.start_soon(start)
            task = await get_activity_task(service, activity_arn=arn, worker_name="w")
    assert task["input"] == '{"a":[1]}'
    assert task["task_token"]


async def test_a_poll_that_gets_nothing_answers_with_nothing(engine):
    arn = (await create_activity(engine.service, name="paint"))["activity_arn"]
    assert await get_activity_task(engine.service, activity_arn=arn, wait_seconds=0) == {}


async def test_more_than_so_many_workers_may_not_poll_at_once(engine, monkeypatch):
    monkeypatch.setattr(activities, "POLLERS_MAX", 1)
    service = engine.service
    arn = (await create_activity(service, name="paint"))["activity_arn"]
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: get_activity_task(service, activity_arn=arn))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(ActivityWorkerLimitExceeded, match=r"^The maximum number of workers concurrently polling"):
            await get_activity_task(service.of("999999999999"), activity_arn=arn)
        group.cancel_scope.cancel()
    assert await get_activity_task(service, activity_arn=arn, wait_seconds=0) == {}
