from __future__ import annotations

import pytest

from engine.errors import InvalidArn, ResourceNotFound, TooManyTags, ValidationException
from engine.operations.tags import list_tags_for_resource, tag_resource, untag_resource
from tests.operations.test_state_machines import HEAD, created

pytestmark = pytest.mark.anyio

MACHINE = HEAD + "m"


def tags(**given: str):
    return [{"key": key, "value": value} for key, value in given.items()]


async def shown(service):
    return (await list_tags_for_resource(service, resource_arn=MACHINE))["tags"]


async def test_tags_are_put_replaced_and_removed(service):
    await created(service, tags=tags(a="1"))
    assert await tag_resource(service, resource_arn=MACHINE, tags=tags(b="", a="2")) == {}
    assert await shown(service) == tags(a="2", b="")
    assert await untag_resource(service, resource_arn=MACHINE, tag_keys=["a", "a", "z", "\0"]) == {}
    assert await tag_resource(service, resource_arn=MACHINE, tags=[]) == {}
    assert await shown(service) == tags(b="")


@pytest.mark.parametrize(
    ("arn", "error"),
    [("x", InvalidArn), (HEAD + "n", ResourceNotFound), (MACHINE + ":1", ResourceNotFound),
     (HEAD.replace("stateMachine", "execution") + "m:e", InvalidArn), (MACHINE + "\0", InvalidArn)],
)  # fmt: skip
async def test_only_state_machines_and_activities_have_tags(service, arn, error):
    await created(service, publish=True)
    for call in (
        tag_resource(service, resource_arn=arn, tags=tags(a="1")),
        untag_resource(service, resource_arn=arn, tag_keys=["a"]),
        list_tags_for_resource(service, resource_arn=arn),
    ):
        with pytest.raises(error):
            await call


async def test_a_resource_has_fifty_tags_at_most(service):
    await created(service, tags=tags(**{f"k{number}": "" for number in range(50)}))
    with pytest.raises(TooManyTags) as caught:
        await tag_resource(service, resource_arn=MACHINE, tags=tags(more=""))
    assert caught.value.resource_name == MACHINE


@pytest.mark.parametrize("tag", [{"aws:x": "1"}, {"a": "{}"}, {"a\0": "1"}, {"a": "\ud800"}])
async def test_what_aws_does_not_take_is_refused(service, tag):
    await created(service)
    with pytest.raises(ValidationException):
        await tag_resource(service, resource_arn=MACHINE, tags=tags(**tag))
    assert await shown(service) == []
