from __future__ import annotations

import pytest

from engine.errors import ConflictException, InvalidArn, InvalidToken, StateMachineDoesNotExist, ValidationException
from engine.operations.versions import (
    delete_state_machine_version,
    list_state_machine_versions,
    publish_state_machine_version,
)
from tests.operations.test_state_machines import HEAD, created, passing, updated

pytestmark = pytest.mark.anyio

MACHINE = HEAD + "m"


async def published(service, arn=MACHINE, **members):
    return await publish_state_machine_version(service, state_machine_arn=arn, **members)


async def listed(service, arn=MACHINE, **members):
    answer = await list_state_machine_versions(service, state_machine_arn=arn, **members)
    arns = [item["state_machine_version_arn"].rpartition(":")[2] for item in answer["state_machine_versions"]]
    return arns, answer.get("next_token")


async def test_a_revision_is_published_once(service):
    await created(service)
    first = await published(service, description="one")
    assert first["state_machine_version_arn"] == MACHINE + ":1"
    assert await published(service, revision_id="INITIAL") == first
    revision_id = (await updated(service, definition=passing(Comment="2")))["revision_id"]
    with pytest.raises(ConflictException) as caught:
        await published(service, revision_id="x")
    assert caught.value.message == (
        "Failed to publish the State Machine version for revision x. "
        f"The current State Machine revision is {revision_id}."
    )
    assert (await published(service, revision_id=revision_id))["state_machine_version_arn"] == MACHINE + ":2"


@pytest.mark.parametrize(
    ("arn", "error"),
    [("m", InvalidArn), (MACHINE + "/l", ValidationException), (HEAD + "n", StateMachineDoesNotExist),
     (MACHINE + ":1", StateMachineDoesNotExist)],
)  # fmt: skip
async def test_only_a_state_machine_can_be_published(service, arn, error):
    await created(service, publish=True)
    with pytest.raises(error):
        await published(service, arn)


async def test_versions_are_listed_the_newest_first_in_pages(service):
    await created(service, publish=True)
    for comment in "234":
        await updated(service, definition=passing(Comment=comment), publish=True)
    assert await listed(service) == (["4", "3", "2", "1"], None)
    first, token = await listed(service, max_results=3)
    await updated(service, definition=passing(Comment="5"), publish=True)
    assert (first, await listed(service, max_results=3, next_token=token)) == (["4", "3", "2"], (["1"], None))
    with pytest.raises(InvalidToken):
        await listed(service, HEAD + "n", next_token=token)
    with pytest.raises(InvalidArn):
        await listed(service, "m")
    assert await listed(service, HEAD + "n") == ([], None)


async def test_a_version_can_be_deleted_again_and_again(service):
    await created(service, publish=True)
    for _ in range(2):
        assert await delete_state_machine_version(service, state_machine_version_arn=MACHINE + ":1") == {}
    assert await listed(service) == ([], None)
    for arn in ("x", MACHINE, MACHINE + ":prod"):
        with pytest.raises(InvalidArn):
            await delete_state_machine_version(service, state_machine_version_arn=arn)
